"""The GPU of Intel (XPU) cannot be used: another build of torch, or no driver for computing.

What it is
    PyTorch computes on Intel Arc cards and on the graphics of a Core Ultra by its build for XPU, with Intel's compute driver (Level
    Zero). The usual builds of torch, for CUDA and for the CPU, have no code for it.

How it shows
    "AssertionError: Torch not compiled with XPU enabled", "RuntimeError: No XPU devices are available", "ImportError: libze_loader.so.1:
    cannot open shared object file", "Native API failed. Native API returns: -997", "Intel Extension for PyTorch needs to work with
    PyTorch 2.3.*, but PyTorch 2.5.1+cu124 is found".

Why it happens
    torch came from PyPI or another index; or the driver for computing is missing (on Linux it is a package of its own, beside the
    driver of the screen); or this user may not open /dev/dri/renderD128; or intel-extension-for-pytorch belongs to another torch.

What to do
    `pip install torch torchvision --index-url https://download.pytorch.org/whl/xpu`. Linux: the packages intel-opencl-icd and
    libze-intel-gpu1 (level-zero), and the group render. Windows: Intel's newest graphics driver. intel-extension-for-pytorch is not
    needed since torch 2.5.

How to reproduce
    `attn-doctor reproduce xpu-not-available` asks a CPU build of torch for a tensor on xpu. It downloads a CPU build of torch (200 MB) where
    the target has none.

References
    https://docs.pytorch.org/docs/stable/notes/get_start_xpu.html
    https://dgpu-docs.intel.com/driver/client/overview.html
    https://github.com/intel/intel-extension-for-pytorch
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import File, Recipe, Torch
from attn_doctor.failure_modes.shared import building, torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD459",
    slug="xpu-not-available",
    title="The GPU of Intel cannot be used",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=("torch-cpu-build", "torch-sees-no-gpu", "mkl-does-not-fit"),
    signs=(
        *(
            Sign(pattern=rf"(?P<{group}>{pattern})", literal=literal, sample=sample)
            for group, pattern, literal, sample in (
                (
                    "build",
                    "Torch not compiled with XPU enabled",
                    "Torch not compiled with XPU",
                    "AssertionError: Torch not compiled with XPU enabled",
                ),
                (
                    "driver",
                    "No XPU devices are available",
                    "No XPU devices are available",
                    "RuntimeError: No XPU devices are available.",
                ),
                (
                    "driver",
                    r"lib(?:ze_loader|ze_intel_gpu|OpenCL|sycl)\.so[.\d]*: cannot open shared object file",
                    ": cannot open shared object file",
                    "ImportError: libze_loader.so.1: cannot open shared object file: No such file or directory",
                ),
                (
                    "native",
                    r"Native API (?:failed\. Native API )?returns: -\d+",
                    "Native API",
                    "RuntimeError: Native API failed. Native API returns: -997 (The plugin has emitted a backend specific error)",
                ),
                (
                    "extension",
                    r"Extension for PyTorch\*? needs to work with PyTorch \d",
                    "needs to work with PyTorch",
                    "ERROR! Intel® Extension for PyTorch* needs to work with PyTorch 2.3.*, but PyTorch 2.5.1+cu124 is found.",
                ),
            )
        ),
    ),
    recipe=Recipe(
        does="asks a CPU build of torch for a tensor on xpu",
        of=(Torch(build="cpu"), File(path="on_xpu.py", text="import torch\ntorch.ones(1, device='xpu')\n")),
        run=(("{python}", "on_xpu.py"),),
        shows="XPU",
        goal=Goal.TRAIN,
        seconds=10,
    ),
)
# There is no `detect`: GPUs of Intel are among the facts by their bus only.


class Lacks(Variant, frozen=True, kw_only=True):
    """Hold why the GPU of Intel cannot be used.

    "build": torch is not the build for XPU. "driver": Intel's compute driver is missing, or this user may not open the GPU. "native": the
    driver ended a call with an error. "extension": intel-extension-for-pytorch is for another torch.
    """

    what: Literal["build", "driver", "native", "extension"]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    said = seen.captured()
    what: Literal["build", "driver", "native", "extension"] = (
        "extension"
        if "extension" in said
        else "build"
        if "build" in said
        else "driver"
        if "driver" in said
        else "native"
    )
    message = {
        "build": "The installed torch is not the build for Intel GPUs (XPU).",
        "driver": "torch finds no GPU of Intel: Intel's driver for computing (Level Zero) is missing, or this user may not open the GPU.",
        "native": "Intel's driver for computing ended a call with an error: the driver is too old for this torch, or its memory is full.",
        "extension": "intel-extension-for-pytorch belongs to another release of torch than the installed one.",
    }[what]
    return Hit(
        message=message,
        evidence=building.lines(seen.matches),
        variant=Lacks(what=what),
        confidence=Confidence.MEDIUM if what == "native" else Confidence.HIGH,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = (*commands.starting(facts), "-c", "import torch; print(torch.__version__, torch.xpu.is_available())")
    what = hit.variant.what if isinstance(hit.variant, Lacks) else "build"
    build = Fix(title="Install the torch for Intel GPUs", steps=_build(facts), verify=verify)
    if facts.system.os == "darwin":
        mac = commands.by_hand(
            (),
            'a Mac has no GPU for XPU: write "mps" or "cpu" where the program says "xpu"',
            "the settings of the program",
            "none",
        )
        return (Fix(title="Use the Mac's own GPU", steps=(mac,), verify=verify),)
    driver = Fix(title="Install Intel's driver for computing", steps=_driver(facts), verify=verify)
    if what == "extension":
        gone = commands.uninstall(
            "intel-extension-for-pytorch",
            why="torch has supported these GPUs by itself since 2.5; the extension is no longer developed",
        )
        return (Fix(title="Do without the extension", steps=(gone, *_build(facts)), verify=verify),)
    return (build, driver) if what == "build" else (driver, build)


def _build(facts: Facts) -> tuple[Step, ...]:
    return torch_steps.newest_steps(
        facts, "PyTorch's build for Intel Arc and for the graphics of a Core Ultra", reinstall=True, maker="intel"
    )


def _driver(facts: Facts) -> tuple[Step, ...]:
    if facts.system.os == "windows" or places.wsl(facts):
        where = "in Windows: " if places.wsl(facts) else ""
        return (
            commands.by_hand(
                (),
                f"{where}install Intel's newest graphics driver: https://www.intel.com/content/www/us/en/download/785597/",
                "Windows' driver",
                "medium",
                risk_text="the screen flickers",
            ),
        )
    packages = commands.by_hand(
        places.as_root(facts, "apt-get", "install", "-y", "libze1", "libze-intel-gpu1", "intel-opencl-icd"),
        "Ubuntu 24.04 and newer; other systems: https://dgpu-docs.intel.com/driver/client/overview.html",
        "Intel's driver for computing",
    )
    group = commands.by_hand(
        ("sh", "-c", "sudo usermod -a -G render,video $USER"),
        "lets this user open /dev/dri/renderD128; then log in again",
        "the groups of the user",
    )
    return packages, group
