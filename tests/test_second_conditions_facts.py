"""The second of two conditions in what shared helpers, evidence and small choices read of facts and of a log."""

from __future__ import annotations

import functools
import io

import pytest
from one_rule import found, told
from plan_reading import variable
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed, with_flash_attn

from attn_doctor import commands
from attn_doctor.failure_modes import find, patterns
from attn_doctor.failure_modes.build.cross_compile_archs import Refused
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.shared import building, symbols, torch_facts
from attn_doctor.logs.reader import Reader, Seen
from attn_doctor.model.facts import AmdGpu, Binary, Gpu, Unknown, Variable
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import RunByHand

H = RTX_4090
UNKNOWN = Unknown("not asked")
NOTHING = Hit(message="m", evidence=())
WHEEL_FITS = read(next(folder for folder in MACHINES if folder.name == "rtx-4080-uv-without-wheel"))[0]


# -- packages by the words of a log


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ImportError: /v/site-packages/xformers/_C.so: undefined symbol: x", "xformers"),
        ("ImportError: /v/site-packages/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so: undefined symbol: x", "flash-attn"),
        ("ImportError: /b/causal_conv1d_cuda.so: undefined symbol: x", "causal-conv1d"),
        ("ImportError: /b/selective_scan_cuda.so: undefined symbol: x", "mamba-ssm"),
        ("ImportError: /v/dist-packages/mmcv/_ext.so: undefined symbol: x", "mmcv"),
        ("ImportError: /b/mmcv_ext.so: undefined symbol: x", "mmcv"),
        ("ImportError: /b/zork_ext.so: undefined symbol: x", "zork-ext"),
        ("ImportError: /v/site-packages/zork/core.so: undefined symbol: x", "zork"),
        ("ImportError: /b/zork.so: undefined symbol: x", None),
    ],
)  # fmt: skip
def test_the_package_of_an_extension_is_told_by_its_folder_or_its_file(text, name):
    assert symbols.package_of(text) == name


# -- AMD GPUs


def amd(*cards: AmdGpu, rocm: object = "6.4"):
    return changed(
        H, graphics__amd=cards, graphics__gpus=(), graphics__driver=None, graphics__pci=(), graphics__rocm=rocm
    )


@pytest.mark.parametrize(
    ("cards", "gfx"),
    [
        ((AmdGpu(name="x", gfx="gfx942"),), ("gfx942",)),
        ((AmdGpu(name="AMD Radeon 780M", gfx=UNKNOWN),), ("gfx1103",)),
        ((AmdGpu(name=UNKNOWN, gfx=UNKNOWN),), ()),
        ((AmdGpu(name=UNKNOWN, gfx="gfx1030"), AmdGpu(name="x", gfx="gfx1030")), ("gfx1030",)),
        ((AmdGpu(name="x", gfx="gfx1036"), AmdGpu(name="y", gfx="gfx1100")), ("gfx1100",)),
        ((AmdGpu(name="x", gfx="gfx1036"),), ("gfx1036",)),
    ],
)
def test_the_gpus_of_amd_to_compute_on(cards, gfx):
    assert torch_facts._gfx(amd(*cards)) == gfx


# -- evidence


@pytest.mark.parametrize(("because", "text"), [(("a string of the old ABI", "and another"), "a string of the old ABI; and another"), ((), None)])  # fmt: skip
def test_a_file_of_the_other_abi_is_named_with_its_reasons(because, text):
    there = changed(with_flash_attn(H), imports=UNKNOWN)
    binary = Binary(path="/v/f.so", module="flash_attn_2_cuda", verdict="fails", cause="cxx11-abi", because=because)
    line = found("abi-mismatch-cxx11", changed(there, binaries=(binary,))).evidence[0]
    assert line.path == "binaries.0.cause"
    assert line.text == text if text else line.text != ""


HIDING = tuple(f"/x/m{number}.py" for number in range(6))


def test_of_many_hidden_modules_and_findings_the_first_few_are_named():
    facts = changed(H, interpreter__standard_hidden=HIDING, interpreter__differs_isolated=(), packages__conflicts=())
    finding = found("environment-pollution", facts)
    assert "m0.py, m1.py, m2.py, m3.py on PYTHONPATH" in finding.message
    assert "m4" not in finding.message
    assert finding.evidence[0].text == "on PYTHONPATH: /x/m0.py, /x/m1.py, /x/m2.py, /x/m3.py"


@pytest.mark.parametrize(("repeated", "shown"), [(1, 1), (3, 3), (4, 4), (5, 4), (9, 4)])
def test_of_many_lines_four_are_evidence(repeated, shown):
    text = "".join(f"ModuleNotFoundError: No module named 'packaging'  # {number}\n" for number in range(repeated))
    assert len(told("packaging-missing-at-build", text).evidence) == shown


# -- builds


READER = functools.cache(lambda: Reader(patterns()))


def seen(text: str, slug: str) -> Seen:
    log = READER().read(io.BytesIO(text.encode()), "log")
    return Seen(matches=tuple(log.of(slug)), logs=(log,))


LINE = "ModuleNotFoundError: No module named 'packaging'\n"
FAILED = "ninja: build stopped: subcommand failed.\n"
AGAIN = "RuntimeError: Error compiling objects for extension\n"
WELL = "Successfully installed flash-attn-2.8.3\n"


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        (LINE, False),
        (f"{FAILED}{LINE}", True),
        (f"{LINE}{FAILED}", True),
        (f"{FAILED}{WELL}{LINE}", False),
        (f"{WELL}{FAILED}{LINE}", True),
        (f"{FAILED}{WELL}{LINE}{AGAIN}", True),  # one before and one behind it
    ],
)
def test_a_line_belongs_to_a_build_until_an_installation_ends_well(text, yes):
    lines = seen(text, "packaging-missing-at-build")
    assert building.in_build(lines, lines.matches[0]) is yes


OWN = Fix(title="Build gently", steps=(commands.by_hand((), "w", "c"),), verify=())


@pytest.mark.parametrize(
    ("facts", "first"),
    [
        (WHEEL_FITS, False),
        (changed(WHEEL_FITS, subject__package="xformers"), False),  # its command asks the torch that is there
        (changed(WHEEL_FITS, subject__package="zork-of-mine"), False),
        (changed(WHEEL_FITS, subject__package="causal-conv1d"), False),
        # Its setup.py had looked for a wheel before it began to compile.
        (changed(WHEEL_FITS, subject__package="causal-conv1d", torch__version=UNKNOWN), False),
        (changed(WHEEL_FITS, subject__package="gptqmodel", torch__version=UNKNOWN), True),
    ],
)
def test_a_gentler_build_comes_after_what_keeps_the_torch_that_is_there(facts, first):
    titles = [fix.title for fix in building.with_own_build(facts, OWN)]
    assert (titles[0] == OWN.title and len(titles) > 1) is first
    assert OWN.title in titles


@pytest.mark.parametrize(
    ("device", "title"),
    [
        ("7.5", "Compile for an older architecture"),  # CUDA 13 has it: so nvcc is too old
        ("8.0", "Compile for an older architecture"),
        ("7.0", "Take compute capability 7.0 out of the build"),  # CUDA 13 dropped it: so nvcc may be too new
        ("3.0", "Take compute capability 3.0 out of the build"),
    ],
)
def test_an_architecture_that_nvcc_refused_is_new_or_was_dropped(device, title):
    facts = changed(H, toolchain__toolkits=UNKNOWN, toolchain__cuda_home_by=UNKNOWN)
    hit = Hit(message="m", evidence=(), variant=Refused(device=device))
    made = find("cross-compile-archs").fixes(facts, hit)
    assert title in (made[0].title, made[-1].title)


# -- variables


@pytest.mark.parametrize(
    ("variables", "unset"),
    [
        ((Variable(name="LD_LIBRARY_PATH", value="/c"),), True),
        ((Variable(name="LD_LIBRARY_PATH", value=""),), False),
        ((Variable(name="HOME", value="/h"),), False),
        (UNKNOWN, False),
    ],
)
def test_a_library_that_does_not_start_is_loaded_without_the_folders_in_front_where_there_are_some(variables, unset):
    fixes = find("cuda-library-not-initialized").fixes(changed(H, environment=variables), NOTHING)
    assert [variable(fix.steps[0]) for fix in fixes[1:]] == [
        ("CUDA_LAUNCH_BLOCKING", "1"),
        *([("LD_LIBRARY_PATH", None)] if unset else []),
    ]


@pytest.mark.parametrize(
    ("card", "torch", "newer"),
    [
        ("NVIDIA GeForce GTX 1650", "1.11.0+cu113", True),
        ("NVIDIA GeForce GTX 1650", "1.12.0+cu113", False),
        ("NVIDIA GeForce RTX 2060", "1.11.0+cu113", False),
    ],
)
def test_a_newer_torch_is_offered_for_a_gtx_16_under_one_before_1_12(card, torch, newer):
    gpus = (Gpu(index=0, name=card, compute_capability="7.5"),)
    facts = changed(H, graphics__gpus=gpus, torch__version=torch)
    titles = [fix.title for fix in find("cuda-library-not-initialized").fixes(facts, NOTHING)]
    assert ("Install a newer torch" in titles) is newer


# -- steps that leave this system


def test_a_step_by_hand_keeps_all_that_is_said_of_it():
    step = commands.by_hand(("a", "b"), "w", "c", "high", risk_text="r", takes="t", elsewhere=True, into="f")
    assert step == RunByHand(
        argv=("a", "b"), why="w", changes="c", risk="high", risk_text="r", takes="t", elsewhere=True, into="f"
    )
    plain = commands.by_hand((), "w", "c")
    assert (plain.risk, plain.risk_text, plain.takes, plain.elsewhere, plain.into) == ("low", None, None, False, None)


@pytest.mark.parametrize(
    ("slug", "facts"),
    [("windows-unsupported", changed(H, system__os="windows")), ("source-for-linux", changed(H, system__os="windows"))],
)
def test_the_way_into_wsl_leaves_this_system(slug, facts):
    steps = [step for fix in find(slug).fixes(facts, NOTHING) for step in fix.steps if isinstance(step, RunByHand)]
    assert [step for step in steps if step.elsewhere]
