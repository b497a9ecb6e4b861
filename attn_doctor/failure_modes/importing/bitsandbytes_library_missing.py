"""bitsandbytes has no compiled library for the CUDA or ROCm of this torch.

What it is
    A wheel of bitsandbytes contains one library for each CUDA (or ROCm) that was current when the wheel was made. bitsandbytes loads the
    library that fits the installed torch. Here no library fits, or torch is a CPU build.

How it shows
    "CUDA Setup failed despite GPU being available", "Could not find the bitsandbytes CUDA binary at PosixPath(...)", "Configured CUDA binary
    not found at ...libbitsandbytes_cuda130.so", "The installed version of bitsandbytes was compiled without GPU support", "Method '...' not
    available in CPU-only version of bitsandbytes", "'NoneType' object has no attribute 'cadam32bit_grad_fp32'".

Why it happens
    One of these: torch is newer than bitsandbytes (a torch for CUDA 13 beside a bitsandbytes of 2024); BNB_CUDA_VERSION names a library
    that does not exist; torch is a CPU build; or the system is Windows and bitsandbytes is older than 0.43, which had no wheels for Windows.
    On a Jetson no wheel of PyPI fits: old ones hold code for x86 alone, newer ones code for ARM servers.

What to do
    Upgrade bitsandbytes: 0.50.2 contains libraries for CUDA 11.8 to 13.2, ROCm 6.4 to 7.2 and XPU. If torch is a CPU build: install the CUDA
    build. If BNB_CUDA_VERSION is set: unset it. On a Jetson: build it from source. `python -m bitsandbytes` prints which library it looked for.

How to reproduce
    There is no recipe: bitsandbytes complains at its first call on a GPU. Without a GPU, `python -m bitsandbytes` beside a CPU build of
    torch shows the sentences about the CPU.

References
    https://huggingface.co/docs/bitsandbytes/main/en/installation
    https://huggingface.co/docs/bitsandbytes/main/en/errors
    https://github.com/bitsandbytes-foundation/bitsandbytes/releases
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import bitsandbytes_jetson, bitsandbytes_releases
from attn_doctor.failure_modes.shared.fact_queries import package_evidence
from attn_doctor.failure_modes.shared.torch_facts import distribution
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.versions import pair

MODE = FailureMode(
    code="AD323",
    slug="bitsandbytes-library-missing",
    title="bitsandbytes has no library for this torch",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("libcudart-missing", "torch-cpu-build", "driver-missing"),
    signs=(
        # transformers, where bitsandbytes is missing or too old, and bitsandbytes' own refusal on a machine without a GPU that it supports.
        Sign(
            pattern=r"(?P<absent>Using `bitsandbytes` \d-bit quantization requires|`bitsandbytes` 8-bit quantization requires)",
            literal="bitsandbytes` ",
            sample="ImportError: Using `bitsandbytes` 4-bit quantization requires the latest version of bitsandbytes: `pip install -U bitsandbytes`",
        ),
        Sign(
            pattern=r"(?P<nogpu>No GPU found\. A GPU is needed for quantization)",
            literal="A GPU is needed for quantization",
            sample="RuntimeError: No GPU found. A GPU is needed for quantization.",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<dlopen>dlopen\(\S{1,300}libbitsandbytes_\w+\.(?:so|dylib))",
            literal="dlopen(",
            sample="dlopen(/Users/me/v/bitsandbytes/libbitsandbytes_cpu.so, 0x0006): tried: '/Users/me/v/bitsandbytes/libbitsandbytes_cpu.so' (not a mach-o file)",
        ),
        Sign(
            pattern=r"CUDA Setup failed despite (?:CUDA|GPU) being available",
            literal="CUDA Setup failed despite ",
            sample="RuntimeError: CUDA Setup failed despite GPU being available. Please run the following command to get more information:",
        ),
        Sign(
            pattern=r"(?:Could not find the bitsandbytes|Configured) (?:CUDA|ROCm)? ?binary",
            literal=" binary ",
            sample="Could not find the bitsandbytes CUDA binary at PosixPath('/opt/venv/bitsandbytes/libbitsandbytes_cuda126.so')",
        ),
        Sign(
            pattern=r"bitsandbytes was compiled without GPU support",
            literal="bitsandbytes was compiled without GPU support",
            sample="The installed version of bitsandbytes was compiled without GPU support. 8-bit optimizers and GPU quantization are unavailable.",
        ),
        Sign(
            pattern=r"not available in CPU-only version of bitsandbytes",
            literal="CPU-only version of bitsandbytes",
            sample="RuntimeError: Method 'cquantize_blockwise_fp16_nf4' not available in CPU-only version of bitsandbytes.",
        ),
        Sign(
            pattern=r"libbitsandbytes_(?:cpu|cuda\d+(?:_nocublaslt)?)\.(?:so|dll): (?:undefined symbol|cannot open shared object)",
            literal="libbitsandbytes_",
            sample="AttributeError: /opt/venv/lib/python3.10/site-packages/bitsandbytes/libbitsandbytes_cpu.so: undefined symbol: cget_col_row_stats",
        ),
        # Releases before 0.43, bitsandbytes/cuda_setup/main.py. On Windows, too, they look for files that only Linux has.
        # https://github.com/bitsandbytes-foundation/bitsandbytes/blob/0.38.1/bitsandbytes/cuda_setup/main.py
        Sign(
            pattern=r"CUDA[_ ]SETUP: (?:WARNING! (?P<lacks>libcuda(?:rt)?\.so)|Required library version not found|Defaulting to libbitsandbytes_cpu)",
            literal="SETUP: ",
            sample="CUDA_SETUP: WARNING! libcudart.so not found in any environmental path. Searching in backup paths...",
        ),
        Sign(
            pattern=r"(?P<lacks>libcuda(?:rt)?)\.so not found! Do you have a CUDA driver installed",
            literal="Do you have a CUDA driver installed",
            sample="WARNING! libcuda.so not found! Do you have a CUDA driver installed? If you are on a cluster, make sure you are on a CUDA machine!",
        ),
        Sign(
            pattern=r"(?P<windows>argument of type 'WindowsPath' is not iterable)",
            literal="argument of type 'WindowsPath' is not iterable",
            sample="TypeError: argument of type 'WindowsPath' is not iterable",
        ),
        Sign(
            pattern=r"(?P<windows>[A-Za-z]:[\\/]\S{0,250}bitsandbytes[\\/]libbitsandbytes_\w+\.so)",
            literal="libbitsandbytes_",
            sample="bin C:\\ai\\venv\\lib\\site-packages\\bitsandbytes\\libbitsandbytes_cpu.so",
        ),
        Sign(
            pattern=r"Could not find module '\S{0,250}(?P<windows>libbitsandbytes_\w+\.so)'",
            literal="Could not find module '",
            sample="FileNotFoundError: Could not find module 'C:\\v\\site-packages\\bitsandbytes\\libbitsandbytes_cpu.so' (or one of its dependencies).",
        ),
        Sign(
            pattern=r"Could not find module '\S{0,250}libbitsandbytes_\w+\.dll'",
            literal="Could not find module '",
            sample="Could not find module 'C:\\v\\site-packages\\bitsandbytes\\libbitsandbytes_cuda118.dll' (or one of its dependencies).",
        ),
        # Releases 0.39 to 0.42 print this for each folder that they search; they may find the file in another folder.
        Sign(
            pattern=r"did not contain \[?'?(?P<sought>libcudart\.so).{0,80} as expected",
            literal="did not contain ",
            sample="UserWarning: /opt/env did not contain ['libcudart.so', 'libcudart.so.11.0', 'libcudart.so.12.0'] as expected! Searching further paths...",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<found>CUDA runtime path found|Loading binary \S+bitsandbytes_cuda\d+|Highest compute capability|Detected CUDA version)",
            literal="CUDA",
            sample="CUDA SETUP: CUDA runtime path found: /usr/local/cuda/lib64/libcudart.so",
            strength="context",
        ),
        Sign(
            pattern=r"(?P<banner>^=+ ?BUG REPORT ?=+)",
            literal="BUG REPORT",
            sample="===================================BUG REPORT===================================",
            strength="context",
        ),
        # On a Jetson: the wheel for ARM servers loads, and its kernels do not start.
        Sign(
            pattern=r"(?P<kernels>Error named symbol not found at line \d+ in file \S*csrc/ops\.cu)",
            literal="Error named symbol not found",
            sample="Error named symbol not found at line 233 in file /src/csrc/ops.cu",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<wsl>^WSL$)",
            literal="WSL",
            sample="WSL",
            strength="context",
        ),
        Sign(
            pattern=r"Using `bitsandbytes` \d-bit quantization requires (?:the latest version of bitsandbytes|`?bitsandbytes`?)",
            literal="Using `bitsandbytes`",
            sample="ImportError: Using `bitsandbytes` 8-bit quantization requires the latest version of bitsandbytes: `pip install -U bitsandbytes`",
        ),
        Sign(
            pattern=r"'NoneType' object has no attribute 'c(?:quantize_blockwise|dequantize_blockwise|adam|lion|momentum|rmsprop|adagrad|get_)\w*'",
            literal="'NoneType' object has no attribute 'c",
            sample="AttributeError: 'NoneType' object has no attribute 'cadam32bit_grad_fp32'",
        ),
    ),
)


class Sources(Variant, frozen=True, kw_only=True):
    """Hold the folder of sources that Python imported instead of the installed package.

    Sources contain no compiled library.
    """

    folder: str


class Old(Variant, frozen=True, kw_only=True):
    """Hold the system on which a bitsandbytes before 0.43 does not work, and the library that it did not find."""

    on: Literal["windows", "wsl", "linux"]
    lacks: str | None  # "libcuda.so", which is a part of the driver, or "libcudart.so"


class OnMac(Variant, frozen=True):
    """Mark a Mac. https://pypi.org/project/bitsandbytes/0.49.0/#files has the first wheel for macOS."""


_LIBRARY = re.compile(r"(?P<folder>/[^'\"\s:]*)/bitsandbytes/libbitsandbytes_\w+\.so")


def detect(facts: Facts) -> Hit | None:
    """Return the hit for a PyPI release without a library for torch's CUDA, or for Windows; else None.

    A release before 0.43 has none for Windows; this counts only in a stated environment, and with confidence MEDIUM,
    because other people built such releases for Windows.
    https://pypi.org/project/bitsandbytes/0.43.0/#files is the first with a wheel for Windows.
    """
    found = distribution(facts, "bitsandbytes")
    release = pair(found.version) if found and isinstance(found.version, str) else None
    if found is None or release is None or release >= (0, 43) or facts.system.os != "windows":
        return bitsandbytes_releases.told(facts)
    if facts.grade != "stated" or (isinstance(found.wheel_tag, str) and "win" in found.wheel_tag):
        return None
    return Hit(
        message=f"bitsandbytes {found.version} of PyPI is for Linux only, and the system is Windows: 0.43 was the first release with a library for Windows.",
        evidence=(package_evidence(facts, "bitsandbytes"), fact(facts, "system.os")),
        variant=Old(on="windows", lacks=None),
        confidence=Confidence.MEDIUM,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if facts.system.os == "darwin" and any(m.strength == "proof" or "nogpu" in m.groups for m in seen.matches):
        return Hit(
            message="bitsandbytes has no code for the GPU of a Mac: on a Mac it computes on the CPU at most, and older releases are for Linux and CUDA only.",
            evidence=evidence,
            variant=OnMac(),
        )
    if seen.group("kernels"):
        return _of_servers(facts, evidence)
    places = [found["folder"] for m in seen.matches if (found := _LIBRARY.search(m.text))]
    old = _of_old_release(facts, seen, evidence)
    if old is not None:
        return old
    own = next((place for place in places if not place.endswith(("site-packages", "dist-packages"))), None)
    if all(m.strength != "proof" for m in seen.matches):
        return _searching(seen, evidence)
    if all("Using `bitsandbytes`" in m.text for m in seen.matches if m.strength == "proof"):
        message = "transformers needs bitsandbytes for this model, and it is missing, too old, or does not import."
        return Hit(
            message=message, evidence=evidence, variant=Old(on="linux", lacks=None), confidence=Confidence.MEDIUM
        )
    if own is None:
        return Hit(
            message="bitsandbytes contains no compiled library for the CUDA version of the installed torch.",
            evidence=evidence,
        )
    return Hit(
        message=f"Python imported bitsandbytes from its sources in {own}, and they contain no compiled library.",
        evidence=evidence,
        variant=Sources(folder=own),
    )


def _of_servers(facts: Facts, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Return the hit for a wheel for ARM servers on a Jetson; None for other machines, on which the error has other causes."""
    if facts.system.board != "jetson":
        return None
    message = "The installed bitsandbytes is PyPI's build for ARM servers, and its kernels do not start on a Jetson."
    return Hit(message=message, evidence=evidence)


def _of_old_release(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Return the hit for a release before 0.43: the lines of its setup, or the names of Linux files on Windows. None: another release."""
    lacks = seen.group("lacks")
    reports = lacks is not None or any("SETUP: " in m.text for m in seen.matches if m.strength != "context")
    if seen.group("windows") or (reports and facts.system.os == "windows"):
        message = "The installed bitsandbytes is for Linux only, and the system is Windows: 0.43 was the first release with a library for Windows."
        return Hit(message=message, evidence=evidence, variant=Old(on="windows", lacks=lacks))
    if not reports:
        return None
    wsl = seen.group("wsl") is not None or isinstance(facts.system.wsl, str)
    lacks = f"{lacks.removesuffix('.so')}.so" if lacks else None
    where = " in WSL" if wsl else ""
    told = f"did not find {lacks}" if lacks else "found none of its libraries for CUDA"
    message = f"An old bitsandbytes{where} {told}, and loaded its library without CUDA."
    return Hit(message=message, evidence=evidence, variant=Old(on="wsl" if wsl else "linux", lacks=lacks))


def _searching(seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Return the hit for an old release that searches for CUDA's runtime, if the log does not show that it found one; else None."""
    sought = [m for m in seen.matches if "sought" in m.groups]
    if not sought or seen.group("found"):
        return None
    message = "A bitsandbytes before 0.43 searches for libcudart.so, and the log does not show that it found the file. Newer releases use torch's own file."
    return Hit(
        message=message, evidence=evidence, variant=Old(on="linux", lacks="libcudart.so"), confidence=Confidence.LOW
    )


def _newer(facts: Facts, old: Old) -> tuple[Fix, ...]:
    """Return the fixes for a release before 0.43. Newer releases use torch's CUDA libraries and do not search the system for others."""
    verify = commands.check(facts)
    why = (
        "0.43 and newer contain libraries for Windows"
        if old.on == "windows"
        else "0.46 was the first release with a library for ARM, and newer releases use torch's CUDA libraries"
        if _arm(facts)
        else "0.43 and newer use torch's CUDA libraries"
    )
    newer = commands.install(
        "bitsandbytes>=0.46" if _arm(facts) else "bitsandbytes>=0.43",
        upgrade=True,
        why=f"{why}, and do not search for other libraries",
        changes="bitsandbytes",
    )
    sees = commands.by_hand(
        (*commands.starting(facts), "-c", "import torch; print(torch.__version__, torch.cuda.is_available())"),
        "has to print True: bitsandbytes computes on the GPU only if torch does",
        "nothing",
        "none",
    )
    first = Fix(
        title=f"Install bitsandbytes {'0.46' if _arm(facts) else '0.43'} or newer", steps=(newer, sees), verify=verify
    )
    if old.lacks != "libcuda.so":
        return (first,)
    if old.on == "wsl":
        why = "in WSL this folder contains the libcuda.so of the Windows driver"
        path = commands.in_front(facts, "LD_LIBRARY_PATH", "/usr/lib/wsl/lib", why)
        return (first, Fix(title="Let the old release find WSL's libcuda.so", steps=(path,), verify=verify))
    smi = commands.by_hand(
        ("nvidia-smi",),
        "has to list the GPU: libcuda.so is a part of the driver. If it does not list it, the driver is missing, or the container was started without the GPU",
        "nothing",
        "none",
    )
    return (
        Fix(title="Check the driver, then install bitsandbytes 0.43 or newer", steps=(smi, newer, sees), verify=verify),
    )


def _arm(facts: Facts) -> bool:
    """Return whether the machine has an ARM processor, for which older releases have no library: https://pypi.org/project/bitsandbytes/#files."""
    return facts.system.board == "jetson" or facts.system.machine in ("aarch64", "arm64")


def _without(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a Mac: do without bitsandbytes, or install a newer release if a package only imports it.

    https://huggingface.co/docs/bitsandbytes/main/en/installation lists the systems and what each supports.
    """
    verify = commands.check(facts)
    plain = commands.by_hand(
        (),
        'load the model without load_in_4bit, load_in_8bit and BitsAndBytesConfig, with torch_dtype=torch.float16 and device_map="mps"; a training: optim="adamw_torch" in place of '
        "an 8-bit optimizer, and no QLoRA. For a quantised model on a Mac take GGUF (llama.cpp) or MLX (mlx-lm)",
        "your program",
        "none",
    )
    newer = commands.install(
        "bitsandbytes>=0.49",
        upgrade=True,
        why="newer releases have a wheel for macOS, so that importing it does not fail; it does not use the GPU of a Mac",
        changes="bitsandbytes",
    )
    return (
        Fix(title="Do without bitsandbytes on the Mac", steps=(plain,), verify=verify),
        Fix(title="If a package only imports it: install a newer release", steps=(newer,), verify=verify),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if isinstance(hit.variant, OnMac):
        return _without(facts)
    if isinstance(hit.variant, bitsandbytes_releases.WithoutLibrary):
        return bitsandbytes_releases.fixes(facts, hit.variant)
    if facts.system.board == "jetson" and not isinstance(hit.variant, Sources):
        return bitsandbytes_jetson.fixes(facts)
    if isinstance(hit.variant, Old):
        return _newer(facts, hit.variant)
    upgrade = commands.install(
        "bitsandbytes",
        upgrade=True,
        why="0.50.2 contains libraries for CUDA 11.8 to 13.2, ROCm 6.4 to 7.2 and XPU, for Linux and Windows",
        changes="bitsandbytes",
    )
    ask = commands.by_hand(
        (*commands.starting(facts), "-m", "bitsandbytes"),
        "prints which library it looked for; if BNB_CUDA_VERSION is set, unset it first",
        "nothing",
        "none",
    )
    if isinstance(hit.variant, Sources):
        words = f"do not start the program in {hit.variant.folder}: the folder bitsandbytes in it hides the installed package"
        away = commands.by_hand(("cd", ".."), words, "nothing", "none")
        installed = commands.install(
            "bitsandbytes",
            upgrade=True,
            why="the release, with its libraries; it replaces an installation that was made with -e",
            changes="bitsandbytes",
        )
        unset = commands.variable(
            "BNB_CUDA_VERSION", None, "if it is set: it names a library for another CUDA than torch's"
        )
        return (Fix(title="Leave the folder of the sources", steps=(away, unset, installed), verify=verify),)
    return (
        Fix(title="Upgrade bitsandbytes", steps=(upgrade,), verify=verify),
        Fix(title="Ask bitsandbytes what it looked for", steps=(ask,), verify=verify),
    )
