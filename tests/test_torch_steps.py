"""The steps that install a torch: from the facts of a machine, from a log alone, and where no index is reached."""

from __future__ import annotations

import io

import pytest
from whole_machines import CARD, RTX_4090, changed, gpu, packages, without_driver

from attn_doctor import commands
from attn_doctor.examination.inputs import log_reader
from attn_doctor.failure_modes.shared import torch_carried_over, torch_here, torch_install, torch_steps
from attn_doctor.failure_modes.shared.torch_facts import machine_of, own_index
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.facts import AmdGpu, Fault, PciDevice, Unknown, Variable
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import Install

WHL = "https://download.pytorch.org/whl/"


# -- steps, from the facts of a machine


def argv(fix):
    return [" ".join(commands.rendered(RTX_4090, step).argv) for step in fix.steps]


BARE = changed(
    RTX_4090,
    torch__version=None,
    torch__importable=False,
    torch__available=False,
    torch__cuda=None,
    packages__distributions=(),
)
PIP = "/venv/bin/python -m pip install "


def test_an_empty_environment_ends_with_the_command():
    assert argv(torch_steps.newest(BARE)[0]) == [PIP + "torch==2.15.0 torchvision==0.29.2"]
    without = changed(BARE, graphics__pci=(), graphics__gpus=(), graphics__driver=None, graphics__driver_cuda=None)
    assert argv(torch_steps.newest(without)[0]) == [PIP + f"torch==2.15.0 torchvision==0.29.2 --index-url {WHL}cpu"]


def test_a_card_without_a_driver_gets_a_build_that_most_drivers_run():
    fix = torch_steps.newest(without_driver(BARE))[0]
    assert argv(fix) == [PIP + f"torch==2.14.1 torchvision==0.29.1 --index-url {WHL}cu126"]
    assert "nvidia-smi" in fix.steps[0].why


def test_a_small_intel_gpu_is_none_and_an_arc_is_one():
    plain = {"graphics__gpus": (), "graphics__driver": None, "graphics__driver_cuda": None}
    for device, maker in (("a780", "none"), ("56a0", "intel"), ("e20b", "intel"), ("7d55", "intel")):
        bus = (PciDevice(vendor="8086", device=device, pci_class="0300"),)
        assert machine_of(changed(BARE, graphics__pci=bus, **plain)).maker == maker


def test_the_graphics_of_a_ryzen_are_no_reason_for_rocm():
    away = {"graphics__pci": (), "graphics__gpus": (), "graphics__driver": None, "graphics__driver_cuda": None}
    small = changed(BARE, **away, graphics__amd=(AmdGpu(name="AMD Radeon Graphics", gfx="gfx90c"),))
    both = changed(BARE, **away, graphics__amd=(AmdGpu(gfx="gfx1100"), AmdGpu(gfx="gfx1036")), graphics__rocm="7.2")
    assert machine_of(small).maker == "none"
    assert machine_of(both).gfx == ("gfx1100",)
    assert torch_steps.newest(both)[0].steps[0].index_url == WHL + "rocm7.2"


def test_on_colab_the_torch_of_the_host_comes_first():
    there = changed(RTX_4090, system__hosted="colab", torch__version="2.14.1+cpu", torch__cuda=None)
    first, second = torch_steps.newest(there, "Install a CUDA build of torch")
    assert first.title == "Use Colab's own torch again"
    assert not [step for step in first.steps if isinstance(step, Install)]
    assert second.steps[0].requirements == ("torch==2.15.0", "torchvision==0.29.2")


def test_where_conda_installed_torch_conda_installs_it_again():
    listed = tuple(
        d if d.name not in ("torch", "torchvision") else d.__class__(name=d.name, version=d.version, installer="conda")
        for d in RTX_4090.packages.distributions
    )
    there = changed(
        RTX_4090,
        packages__distributions=listed,
        interpreter__kind="conda",
        interpreter__prefix="/opt/conda/envs/yolo",
        torch__version="2.9.1",
        torch__cuda=None,
    )
    (fix,) = torch_steps.newest(there)
    assert fix.steps[0].argv == (
        "conda",
        "install",
        "--prefix",
        "/opt/conda/envs/yolo",
        "-c",
        "conda-forge",
        "pytorch-gpu",
        "torchvision",
    )
    by_pip = changed(there, packages__distributions=packages(torch="2.9.1"))
    assert isinstance(torch_steps.newest(by_pip)[0].steps[0], Install)


def test_the_same_build_comes_again_from_its_own_index():
    there = changed(
        RTX_4090,
        torch__version="2.8.0+cu126",
        torch__cuda="12.6",
        packages__distributions=packages(torch="2.8.0", torchvision="0.23.0", numpy="2.4.6"),
    )
    assert [" ".join(s.requirements) for s in torch_here.again(there)] == ["torch==2.8.0 torchvision==0.23.0"] * 2
    assert {s.index_url for s in torch_here.again(there)} == {WHL + "cu126"}
    everything = torch_here.again(there, everything=True)[0]
    assert everything.requirements == ("torch==2.8.0", "torchvision==0.23.0", "numpy==2.4.6")


def test_an_index_of_the_users_own_is_asked_for_the_build():
    there = changed(
        RTX_4090, torch__version="2.8.0+cu126", torch__cuda="12.6", packages__distributions=packages(torch="2.8.0", torchvision="0.23.0"),
        environment=(Variable(name="PIP_INDEX_URL", value="https://me:secret@nexus.example/simple"),),
    )  # fmt: skip
    step = torch_here.again(there)[0]
    assert (step.requirements, step.index_url) == (("torch==2.8.0+cu126", "torchvision==0.23.0+cu126"), None)
    assert "nexus.example" in step.why
    assert "secret" not in repr(step)
    assert (
        own_index(changed(there, environment=(Variable(name="PIP_INDEX_URL", value="https://pypi.org/simple"),)))
        is None
    )
    assert (
        own_index(changed(there, environment=(), interpreter__indexes=("https://a.example/simple",)))
        == "https://a.example/simple"
    )


@pytest.mark.parametrize(
    ("version", "cuda", "driver", "kept"),
    [
        ("2.8.0+cpu", None, "580.95.05", False),  # a CPU build, half written, beside an RTX 4090
        ("2.15.0+cu132", "13.2", "550.54.14", False),  # this driver does not run it
        ("2.14.1+cu126", "12.6", "550.54.14", True),
        ("2.6.0+cu124", "12.4", "550.54.14", True),
        ("2.9.0a0+145a3a7bda.nv25.10", "13.0", "580.95.05", True),  # NVIDIA's container
    ],
)
def test_an_interrupted_installation_is_cured_with_the_build_for_this_machine(version, cuda, driver, kept):
    there = changed(
        RTX_4090, torch__version=version, torch__cuda=cuda, torch__importable=False, graphics__driver=driver,
        torch__available=Unknown("it does not import"),
        torch__fault=Fault(kind="raised", type="ImportError", message="libtorch_cpu.so: file too short"),
    )  # fmt: skip
    assert bool(torch_here.again(there)) is kept
    titles = [
        x.title for f in diagnose(there, Goal.TRAIN).findings if f.slug == "torch-install-broken" for x in f.fixes
    ]
    assert titles[0] == ("Install torch afresh" if kept else "Install torch afresh, in the build for this machine")


def test_the_torchvision_follows_the_torch_that_is_there():
    there = changed(RTX_4090, torch__version="2.6.0+cu124", torch__cuda="12.4")
    step = torch_here.vision(there)
    assert (step.requirements, step.index_url) == (
        ("torchvision==0.21.0",),
        None,
    )  # the registry's build of 2.6 is cu124
    windows = changed(there, system__os="windows", interpreter__platform="win-amd64")
    assert torch_here.vision(windows).index_url == WHL + "cu124"
    jetson = changed(
        there,
        torch__version="2.5.0a0+872d972e41.nv24.08",
        system__board="jetson",
        system__jetpack="6.1",
        system__machine="aarch64",
    )
    built = torch_here.vision(jetson)  # no index has a torchvision for NVIDIA's torch: it is compiled on the board
    assert "NVIDIA" in built.why
    assert built.requirements == ("torchvision @ git+https://github.com/pytorch/vision.git@v0.20.0",)
    assert (built.index_url, built.no_deps, built.no_build_isolation) == (None, True, True)


def test_the_torch_of_a_wheel_is_one_with_cuda_also_where_no_gpu_is():
    away = changed(RTX_4090, graphics__pci=(), graphics__gpus=(), graphics__driver=None, graphics__driver_cuda=None)
    (step,) = torch_steps.release(away, "2.8.0", "it has a wheel", "12.8")
    assert (step.requirements, step.index_url) == (("torch==2.8.0", "torchvision==0.23.0"), None)


def test_the_build_that_is_there_is_not_installed_again():
    assert torch_steps.newest(RTX_4090) == ()
    assert len(torch_steps.newest(RTX_4090, reinstall=True)[0].steps) == 2


def test_two_cards_are_both_served():
    two = changed(
        RTX_4090,
        graphics__gpus=(gpu("NVIDIA GeForce RTX 3090", "8.6"), gpu("NVIDIA TITAN V", "7.0")),
        graphics__pci=(CARD, CARD),
    )
    assert torch_steps.newest(two)[0].steps[0].index_url == WHL + "cu126"


# -- logs alone

READER = log_reader()


def facts_of(text):
    return facts_of_logs([READER.read(io.BytesIO(text.encode()), "log")])


@pytest.mark.parametrize(
    ("lines", "requirements", "index"),
    [
        (
            r'File "C:\Users\me\ai\venv\Lib\site-packages\torchvision\_meta_registrations.py", line 26',
            "torch torchvision",
            "cu126",
        ),
        (
            "OS: Windows 11\nGPU 0: NVIDIA GeForce RTX 5080 (UUID: GPU-1)\nDriver Version: 577.00",
            "torch torchvision",
            "cu128",
        ),
        (
            "| NVIDIA-SMI 550.90  Driver Version: 550.90.07  CUDA Version: 12.4 |\nPython version: 3.11.4",
            "torch==2.14.1 torchvision==0.29.1",
            "cu126",
        ),
    ],
)
def test_a_log_alone_gets_a_torch_with_an_index(lines, requirements, index):
    facts = facts_of(lines)
    found = torch_install.choice(facts)
    assert " ".join(found.requirements()) == requirements
    assert found.index_url == WHL + index


def test_a_log_of_a_jetson_gets_nvidias_torch():
    facts = facts_of("Linux ubuntu 5.15.148-tegra\nJetPack 6.2\nPython 3.10.12")
    assert torch_install.choice(facts).index_url == "https://pypi.jetson-ai-lab.io/jp6/cu126"


# -- where no index is reached


def test_the_wheels_that_are_carried_over_are_named_for_this_machine():
    windows = changed(RTX_4090, system__os="windows", interpreter__platform="win-amd64", graphics__driver="560.94")
    fetch, copy, put = torch_carried_over.carried_over(windows)
    assert (
        " ".join(fetch.argv)
        == f"python -m pip download -d wheels torch==2.14.1 torchvision==0.29.1 --index-url {WHL}cu126"
    )
    assert "Windows and Python 3.12" in fetch.why
    assert "torch-2.14.1+cu126-cp312-*.whl" in fetch.why
    assert not isinstance(copy, Install)
    assert (put.requirements, put.from_folder, put.index_url) == (
        ("torch==2.14.1", "torchvision==0.29.1"),
        "wheels",
        None,
    )
    jetson = changed(RTX_4090, system__board="jetson", system__machine="aarch64", system__jetpack=None)
    assert len(torch_carried_over.carried_over(jetson)) == 1


def test_another_package_that_cannot_be_fetched_is_not_cured_with_torch():
    text = (
        "$ pip install causal-conv1d\n"
        "Collecting causal-conv1d\n"
        "ERROR: Could not find a version that satisfies the requirement causal-conv1d (from versions: none)\n"
        "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Proxy Authentication Required'))\n"
    )
    log = READER.read(io.BytesIO(text.encode()), "log")
    found = diagnose(facts_of_logs([log]), Goal.TRAIN, logs=[log]).findings
    proxy = next(f for f in found if f.slug == "network-proxy-ssl")
    assert "causal-conv1d" in repr(proxy.fixes)
    assert "torch==" not in repr(proxy.fixes)


def test_on_kaggle_a_broken_torch_is_first_taken_from_the_host():
    fault = Fault(kind="raised", type="ImportError", message="libtorch_cpu.so: file too short")
    there = changed(RTX_4090, system__hosted="kaggle", torch__importable=False, torch__fault=fault)
    found = next(f for f in diagnose(there, Goal.TRAIN).findings if f.slug == "torch-install-broken")
    assert found.fixes[0].title == "Use Kaggle's own torch again"
