"""Under WSL the GPU is reached through Windows' own driver, but that driver is hidden or missing.

What it is
    WSL2 has no NVIDIA driver inside: /usr/lib/wsl/lib contains thin libraries that pass calls on to the Windows driver.
    A Linux driver installed inside the distribution hides them; WSL1 has no GPU at all.

How it shows
    "CUDA_ERROR_NO_DEVICE", "Found no NVIDIA driver on your system", or "Driver Version: 0" in nvidia-smi; the name of
    the kernel ends in -microsoft-standard-WSL2.
    With a card in the driver model TCC: "Failed to initialize NVML: GPU access blocked by the operating system", "Unable to determine the
    device handle for GPU0".

Why it happens
    `apt install nvidia-driver-...` or `apt install cuda` inside WSL brings a Linux driver; or /usr/lib/wsl/lib is not on the
    loader's path; or the Windows driver is too old or missing; or the card is in the driver model TCC or MCDM (Tesla and data center
    cards, some Quadro): WSL sees only cards in the driver model WDDM.

What to do
    Remove the Linux driver from inside WSL, keep only the toolkit (cuda-toolkit-12-8 for example, never cuda or cuda-drivers), and update the
    driver in Windows. A card in TCC: `nvidia-smi -g 0 -dm 0` in Windows, as administrator, and restart Windows.

How to reproduce
    `attn-doctor reproduce wsl2-driver-stub` asks a Linux driver for GPUs on a played WSL2, and examines that machine. Stand-in: WSL2,
    whose kernel, /dev/dxg and /usr/lib/wsl/lib are a folder of files; the driver, which is compiled here. It needs gcc. If
    that is not available, a simulated machine is judged.

References
    https://docs.nvidia.com/cuda/wsl-user-guide/index.html
    https://github.com/microsoft/WSL/issues/9254
    https://github.com/rapidsai/cuml/issues/6218
    https://github.com/microsoft/WSL/issues/9952
    https://github.com/microsoft/WSL/issues/13027
"""

from __future__ import annotations

import re

import msgspec

from attn_doctor import commands
from attn_doctor.commands import nvidia_drivers, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, known
from attn_doctor.failure_modes.recipe import ASK_DRIVER, PlayedMachine, Recipe, StubDriver, Torch
from attn_doctor.failure_modes.shared import building, old_windows, wsl_driver_model, wsl_first
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Goal, Severity, fact

_WSL_FOLDER = "/usr/lib/wsl/"

# Words that every system prints: they count where the log shows WSL.
_ANYWHERE = (
    (
        "Found no NVIDIA driver",
        "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU",
    ),
    ("NVIDIA-SMI has failed because", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."),
    ("CUDA_ERROR_NO_DEVICE", "failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected"),
    ("No CUDA GPUs are available", "RuntimeError: No CUDA GPUs are available"),
    ("no CUDA-capable device is detected", "-> no CUDA-capable device is detected"),
    ("Failed to initialize NVML: N/A", "Failed to initialize NVML: N/A"),
)

MODE = FailureMode(
    code="AD409",
    slug="wsl2-driver-stub",
    title="WSL's GPU libraries are hidden or missing",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=(
        "torch-sees-no-gpu",
        "driver-missing",
        "driver-library-mismatch",
        "container-without-gpu",
        "container-toolkit-missing",
        "no-gpu-present",
        "cuda-init-error",
        "config-device-cpu",
        "torch-cpu-build",
        "bitsandbytes-library-missing",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
    ),
    signs=(
        *wsl_first.SIGNS,
        *old_windows.SIGNS,
        Sign(
            pattern=r"microsoft-standard-WSL2?",
            literal="microsoft-standard-WSL",
            sample="Linux version 5.15.153.1-microsoft-standard-WSL2 (root@host)",
            strength="context",
        ),
        Sign(
            pattern=r"Driver Version: 0\s",
            literal="Driver Version: 0",
            sample="| NVIDIA-SMI 470.57.02    Driver Version: 0    CUDA Version: 11.4 |",
        ),
        Sign(
            pattern=r"Driver Version: [\d.]+ +CUDA Version: ERR!",
            literal="CUDA Version: ERR!",
            sample="| NVIDIA-SMI 545.46                 Driver Version: 546.80       CUDA Version: ERR!     |",
        ),
        Sign(
            pattern=r"/usr/lib/wsl/(?:lib|drivers)\S*: (?:cannot open|file too short|undefined symbol)",
            literal="/usr/lib/wsl/",
            sample="/usr/lib/wsl/lib/libcuda.so.1: file too short",
        ),
        Sign(
            pattern=r"GPU access blocked by the operating system",
            literal="GPU access blocked by the operating",
            sample="Failed to initialize NVML: GPU access blocked by the operating system",
        ),
        # https://github.com/NVIDIA/libnvidia-container/blob/main/src/nvc.c: Docker's toolkit works, and WSL gave it no GPU.
        Sign(
            pattern=r"WSL environment detected but no adapters were found",
            literal="WSL environment detected but no adapters",
            sample="nvidia-container-cli: initialization error: WSL environment detected but no adapters were found: unknown.",
        ),
        Sign(
            pattern=r"NVMLError_OperatingSystem",
            literal="NVMLError_OperatingSystem",
            sample="pynvml.NVMLError_OperatingSystem: The operating system has blocked the request.",
        ),
        *(
            Sign(pattern=re.escape(literal), literal=literal, sample=sample, strength="hint")
            for literal, sample in _ANYWHERE
        ),
        Sign(
            pattern=r"Error 304: OS call failed",
            literal="Error 304: OS call failed",
            sample="Unexpected error from cudaGetDeviceCount(). Error 304: OS call failed or operation not supported on this OS",
            strength="hint",
        ),
        # Ubuntu's advice to install a driver's package, which would hide the Windows driver; nvidia-smi is in WSL's own folder.
        Sign(
            pattern=r"(?P<command>Command 'nvidia-smi' not found)",
            literal="Command 'nvidia-smi' not found",
            sample="Command 'nvidia-smi' not found, but can be installed with:",
            strength="hint",
        ),
        # The name without .1 is what cuDNN 8 and bitsandbytes before 0.43 look for. https://github.com/microsoft/WSL/issues/8587
        Sign(
            pattern=r"(?P<unfound>libcuda\.so(?:\.1)?'?(?:: cannot open shared object file|; dlerror: | not found))",
            literal="libcuda.so",
            sample="Could not load library libcudnn_cnn_infer.so.8. Error: libcuda.so: cannot open shared object file: No such file or directory",
            strength="hint",
        ),
        *wsl_driver_model.SIGNS,
        Sign(
            pattern=r"^(?:OS: )?(?:Windows ?1[01][ ,]{0,2})?WSL ?2?\b|\b(?:[Uu]sing|[Uu]nder|inside|[Oo]n) WSL ?2?\b",
            literal="WSL",
            sample="WSL2",
            strength="context",
        ),
        Sign(
            pattern=r"\bWSL2 ",
            literal="WSL2 ",
            sample="WSL2 Ubuntu 22.04",
            strength="context",
        ),
        Sign(
            pattern=r"WSL_DISTRO_NAME=",
            literal="WSL_DISTRO_NAME",
            sample="WSL_DISTRO_NAME=Ubuntu-22.04",
            strength="context",
        ),
        Sign(
            pattern=r"/usr/lib/wsl/",
            literal="/usr/lib/wsl/",
            sample="LD_LIBRARY_PATH=/usr/lib/wsl/lib",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="asks a Linux driver for GPUs on a played WSL2, and examines that machine",
        of=(
            Torch(build="cuda", if_there=True),
            PlayedMachine(
                wsl=True, files=((f"{_WSL_FOLDER}lib/libcuda.so.1", ""), (f"{_WSL_FOLDER}lib/libdxcore.so", ""))
            ),
            StubDriver(cuda="12.2", version="535.183.01", refusal=100, nvml=True, nvml_error=9),
        ),
        run=(ASK_DRIVER,),
        shows="cuInit: 100",  # CUDA_ERROR_NO_DEVICE
        examine=("--no-trial",),
        goal=Goal.TRAIN,
        seconds=8,
        stands_in=("WSL2", "the driver"),
    ),
)


def detect(facts: Facts) -> Hit | None:
    system, graphics = facts.system, facts.graphics
    wsl = known(system.wsl)
    if wsl is None:
        return None
    if wsl == 1:
        return Hit(
            message="This is WSL1, which cannot reach a GPU: convert the distribution to WSL2.",
            evidence=(fact(facts, "system.wsl", "WSL version 1"),),
            certainty=Certainty.OBSERVED,
        )
    if isinstance(graphics.gpus, tuple) and graphics.gpus:
        return None
    libcuda = known(graphics.libcuda)
    if libcuda is not None and _WSL_FOLDER not in libcuda:
        return Hit(
            message=f"A Linux driver inside WSL ({libcuda}) hides the Windows driver in {_WSL_FOLDER}lib.",
            evidence=(
                fact(facts, "graphics.libcuda", f"the loader finds {libcuda}"),
                fact(facts, "system.wsl", "WSL version 2"),
            ),
            certainty=Certainty.OBSERVED,
        )
    if known(system.wsl_driver_folder) and known(system.dxg):
        if libcuda is None:
            return Hit(
                message=f"{_WSL_FOLDER}lib is not on the loader's path, so no program finds the Windows driver.",
                evidence=(fact(facts, "graphics.libcuda", "the loader finds no libcuda.so.1"),),
                certainty=Certainty.OBSERVED,
            )
        answered = graphics.nvml_error is None and not known(graphics.gpus)
        if answered or isinstance(graphics.nvml_error, str):
            return Hit(
                message=f"WSL2 gives Linux no GPU: {graphics.nvml_error or 'the driver shows none'}.",
                evidence=(fact(facts, "graphics.nvml_error"), fact(facts, "system.dxg", "/dev/dxg is there")),
                certainty=Certainty.OBSERVED,
            )
    return None


class Unfound(Variant, frozen=True):
    """Mark the case that the loader did not find libcuda.so, which is in WSL's own folder."""


class Command(Variant, frozen=True):
    """Mark the case that only the command nvidia-smi was not found."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proven = any(m.strength == "proof" for m in seen.matches)
    named = any(
        m.strength == "context"
        and not {"linux_driver", "build", "named"} & m.groups.keys()
        and not wsl_driver_model.is_sign(m)
        for m in seen.matches
    )
    if places.wsl(facts) == 1:
        return wsl_first.found(facts, seen, evidence)
    if not proven and not named and not places.wsl(facts):
        return None  # no line shows that this was WSL
    model = wsl_driver_model.of(seen)
    if model is not None:
        return Hit(
            message=wsl_driver_model.sentence(model),
            evidence=wsl_driver_model.evidence(seen),
            variant=model,
            explains=(*MODE.explains, "gpu-xid"),  # the card does not answer inside WSL, and is well
            confidence=Confidence.HIGH if proven else Confidence.MEDIUM,
        )
    if all(m.strength == "context" or wsl_driver_model.is_sign(m) for m in seen.matches):
        return None
    unfound = [m for m in seen.matches if "unfound" in m.groups]
    if unfound and not proven:
        return Hit(
            message=f"libcuda.so is not found inside WSL: the file is in {_WSL_FOLDER}lib, which is not on the loader's path.",
            evidence=building.lines(unfound),
            variant=Unfound(),
            confidence=Confidence.MEDIUM,
            explains=(*MODE.explains, "segfault"),  # cuDNN aborts the process
        )
    command = [m for m in seen.matches if "command" in m.groups]
    if command and not proven:
        return Hit(
            message=f"nvidia-smi is not on the path of this WSL: it comes with the Windows driver, in {_WSL_FOLDER}lib. Ubuntu's packages of it would hide that driver.",
            evidence=building.lines(command[:1]),
            variant=Command(),
        )
    reached = isinstance(facts.graphics.driver, str) or places.container(facts) is not None
    if not proven and not named and reached:
        return None  # the driver answered, or the program ran in a container
    if (old := old_windows.told(seen)) is not None:
        return Hit(message=old_windows.in_wsl(old), evidence=evidence, variant=old, confidence=Confidence.MEDIUM)
    return Hit(
        message="Inside WSL, programs do not reach the NVIDIA driver of Windows: a Linux driver inside WSL hides the Windows driver, or the Windows driver is missing or too old.",
        evidence=evidence,
        confidence=Confidence.HIGH if proven else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if facts.system.wsl == 1:
        return (wsl_first.converted(facts, hit),)
    inside = msgspec.structs.replace(facts, system=msgspec.structs.replace(facts.system, wsl=2, os="linux"))
    if isinstance(hit.variant, wsl_driver_model.Model):
        return wsl_driver_model.fixes(facts, hit.variant)
    if isinstance(hit.variant, old_windows.TooOld):
        return old_windows.fixes(facts, wsl=True)
    newer = Fix(title="Update the driver in Windows", steps=nvidia_drivers.not_here(inside), verify=verify)
    if isinstance(hit.variant, Command):
        ask = commands.by_hand(
            (f"{_WSL_FOLDER}lib/nvidia-smi",),
            "must list the GPU. If it does, all is well, and torch needs no more; the line below lets the shell find it. If the file is missing: update the driver in Windows. Never "
            "install nvidia-utils or another Linux driver inside WSL",
            "nothing",
            "none",
        )
        path = commands.in_front(
            facts, "PATH", f"{_WSL_FOLDER}lib", "the folder of the commands of the Windows driver, for this shell"
        )
        return (Fix(title="Use the nvidia-smi of the Windows driver", steps=(ask, path), verify=verify), newer)
    if isinstance(hit.variant, Unfound):
        return (_on_the_path(facts), newer)
    libcuda = facts.graphics.libcuda
    if isinstance(libcuda, str) and _WSL_FOLDER not in libcuda:
        return (Fix(title="Remove the Linux driver from inside WSL", steps=wsl_first.removal(facts), verify=verify),)
    if libcuda is None:
        path = commands.in_front(
            facts, "LD_LIBRARY_PATH", f"{_WSL_FOLDER}lib", "the folder of Windows' driver inside WSL"
        )
        return (Fix(title="Put WSL's driver folder on the path", steps=(path,), verify=verify),)
    if not isinstance(libcuda, Unknown):
        return (newer,)
    look = commands.by_hand(
        ("sh", "-c", "ldconfig -p | grep libcuda.so"),
        f"the first line of the output must name a file in {_WSL_FOLDER}lib. If it does not, a Linux driver inside WSL hides the Windows driver",
        "nothing",
        "none",
    )
    remove = Fix(title="Remove a Linux driver from inside WSL", steps=(look, *wsl_first.removal(facts)), verify=verify)
    return newer, remove


def _on_the_path(facts: Facts) -> Fix:
    """Return the fix that adds WSL's folder to the loader's path, and shows whether the Windows driver is in it.

    https://docs.nvidia.com/cuda/wsl-user-guide/index.html
    """
    path = commands.in_front(
        facts,
        "LD_LIBRARY_PATH",
        f"{_WSL_FOLDER}lib",
        "the folder of the Windows driver inside WSL, for this shell; add the same line to ~/.bashrc to keep it",
    )
    look = commands.by_hand(
        ("ls", "-l", f"{_WSL_FOLDER}lib/"),
        "must list libcuda.so and libcuda.so.1. If they are missing, the driver in Windows is missing or too old. Never install a Linux "
        "driver inside WSL",
        "nothing",
        "none",
    )
    title = "Put WSL's driver folder on the path"
    return Fix(title=title, steps=(path, look), verify=commands.check(facts))
