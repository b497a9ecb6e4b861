"""The finished wheel of a package: from its page, its index, the registry or its own setup, for the torch that is there.

What a package's authors publish, and how a command asks for it, stands in knowledge/data/built_packages.json with its sources.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from attn_doctor import commands
from attn_doctor.failure_modes.shared import package_wheels
from attn_doctor.knowledge import built_packages
from attn_doctor.knowledge.rows import BuiltPackage
from attn_doctor.knowledge.tables import load
from attn_doctor.model.facts import Facts, Interpreter, Subject, System, Torch, Unknown
from attn_doctor.model.steps import SetVariable

LINUX = {"interpreter": Interpreter(platform="linux-x86_64", version="3.11.9"), "system": System(os="linux")}
WINDOWS = {"interpreter": Interpreter(platform="win-amd64", version="3.11.9"), "system": System(os="windows")}
TORCH_2_4 = Torch(version="2.4.1+cu121", cuda="12.1")


def lines(name: str, *, again: bool = False, torch: Torch = TORCH_2_4, machine=LINUX, **parts) -> list[str]:
    """What a reader copies of the first fix; empty where no finished wheel is known."""
    facts = Facts(grade="stated", subject=Subject(package=name, **parts), torch=torch, **machine)
    found = package_wheels.ready(facts, name, again=again)
    steps = [commands.rendered(facts, step) for step in found[0].steps] if found else []
    return [
        f"{step.name}={step.value}"
        if isinstance(step, SetVariable)
        else " ".join(step.argv).removeprefix("python3 -m ").removeprefix("python -m ")
        for step in steps
    ]


PAGE = "--find-links https://data.pyg.org/whl/torch-2.4.0+cu121.html"
MMCV = "--find-links https://download.openmmlab.com/mmcv/dist/cu121/torch2.4.0/index.html"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda: lines("xformers"), ["pip install xformers torch==2.4.1 --index-url https://download.pytorch.org/whl/cu121"]),
        (lambda: lines("xformers", again=True),
         ["pip install --upgrade xformers torch==2.4.1 --index-url https://download.pytorch.org/whl/cu121"]),
        (lambda: lines("torch-scatter"), [f"pip install --no-build-isolation torch-scatter {PAGE}"]),
        (lambda: lines("torch-sparse", again=True),
         [f"pip install --force-reinstall --no-deps --no-build-isolation --no-cache-dir torch-sparse {PAGE}"]),
        (lambda: lines("mmcv"), [f"pip install --only-binary mmcv mmcv {MMCV}"]),
        (lambda: lines("mmcv", torch=Torch(version="2.6.0+cu124", cuda="12.4")), []),  # its wheels end with torch 2.4
        (lambda: lines("natten", torch=Torch(version="2.10.0+cu130", cuda="13.0")),
         ["pip install --no-build-isolation natten==0.21.6+torch2100cu130 --find-links https://whl.natten.org"]),
        (lambda: lines("natten"), []),  # which has none for torch 2.4
        (lambda: lines("torchcodec", again=True), ["pip install torchcodec==0.0.3"]),
        (lambda: lines("bitsandbytes", again=True), ["pip install --upgrade bitsandbytes"]),
        (lambda: lines("deepspeed"), ["DS_BUILD_OPS=0", "pip install --no-cache-dir deepspeed"]),
        (lambda: lines("deepspeed", machine=WINDOWS, command="pip install deepspeed==0.15.4"),
         ["DS_BUILD_OPS=0", "pip install --no-cache-dir deepspeed==0.15.4"]),
        (lambda: lines("mamba-ssm"),
         ["pip install setuptools wheel packaging ninja", "MAMBA_SKIP_CUDA_BUILD=TRUE", "pip install --no-build-isolation --no-cache-dir mamba-ssm"]),
        (lambda: lines("mamba-ssm", again=True), []),  # it is built again by its setup, which asks for the wheel first
        (lambda: lines("mamba-ssm", torch=Torch(version=None)), []),  # its setup imports torch
        (lambda: lines("vllm", machine=WINDOWS), [""]),  # words alone: its authors support Linux
        (lambda: lines("torch-scatter", torch=Torch(version=None)), []),
    ],
)  # fmt: skip
def test_the_command_asks_for_the_wheel_of_the_torch_that_is_there(asked: Callable[[], list[str]], told):
    assert asked() == told


def test_where_nobody_knows_the_torch_both_come_together_or_it_is_looked_at():
    unknown = Torch(version=Unknown("not recorded"))
    assert lines("xformers", again=True, torch=unknown) == [
        "pip install --upgrade torch torchvision torchaudio xformers --index-url https://download.pytorch.org/whl/cu126"
    ]
    look, line = lines("torch-cluster", again=True, torch=unknown)
    assert look.startswith("sh -c V=$(")
    assert line.endswith("torch-cluster --find-links https://data.pyg.org/whl/torch-$V.html")
    (asked,) = lines("mmcv", torch=unknown)
    assert "/mmcv/dist/=F/torch=M.0/index.html'.replace(" in asked


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("flash_attn_2_cuda", "flash-attn"),
        ("amp_C", "apex"),
        ("scaled_upper_triang_masked_softmax_cuda", "apex"),
        ("_qattn_sm89", "sageattention"),
        ("sageattn_qk_int8", "sageattention"),
        ("selective_scan_cuda", "mamba-ssm"),
        ("exlv2_ext", "autoawq-kernels"),
        ("_C", None),  # many packages have one
        ("numpy", None),
    ],
)
def test_a_compiled_module_that_only_one_package_installs_names_it(module, package):
    assert built_packages.of_module(module.lower().replace("_", "-")) == package


def test_what_the_table_says_of_wheels_fits_together():
    for row in load(BuiltPackage):
        fields = set((row.url or "").replace("}", "{").split("{")[1::2])
        assert fields <= {"flavour", "minor", "torch", "cuda"}, row.name
        assert (row.pin is not None) <= bool(row.pins), row.name
        assert not row.only_wheels or row.wheels == "links", row.name
        assert not row.setup_takes_wheel or row.wheels == "releases", row.name
        assert not (row.linux_only and "win_amd64" in row.platforms), row.name
    modules = [name for row in load(BuiltPackage) for name in row.extensions]
    assert len(modules) == len(set(modules))
