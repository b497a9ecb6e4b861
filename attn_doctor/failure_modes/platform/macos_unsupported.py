"""flash-attn needs CUDA or ROCm, and a Mac has neither.

What it is
    flash-attn's kernels are written for CUDA and ROCm. There is no CUDA for macOS, so flash-attn can be neither
    installed nor built there.

How it shows
    "OSError: CUDA_HOME environment variable is not set" with paths in /private/var/folders, /Users or /opt/homebrew.

Why it happens
    A requirements file that was written for Linux names flash-attn.

What to do
    Remove flash-attn from the requirements file. PyTorch's own attention runs on Apple's GPU (device="mps") and on the
    CPU.

How to reproduce
    `attn-doctor reproduce macos-unsupported` judges a Mac: a simulated machine, on which nothing is run.

References
    https://github.com/Dao-AILab/flash-attention/issues/873
    https://pytorch.org/docs/stable/notes/mps.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import GPU_BACKENDS, FailureMode, Hit, Sign, Variant, known
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD503",
    slug="macos-unsupported",
    title="flash-attn cannot run on a Mac",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=GPU_BACKENDS,
    explains=(
        "no-gpu-present",
        "torch-cpu-build",
        "transformers-flash-attn-2-not-installed",
        "triton-missing",
        "abi-mismatch-torch-version",
    ),
    explains_what_stops="build",
    signs=(
        Sign(
            pattern=r"/private/var/folders/",
            literal="/private/var/folders/",
            sample="  /private/var/folders/s_/5_d2t/T/pip-install-50gdc2wk/flash-attn_4037/setup.py:78: UserWarning: flash_attn was "
            "requested, but nvcc was not found.",
            strength="hint",
        ),
        Sign(
            pattern=r"/opt/homebrew/",
            literal="/opt/homebrew/",
            sample='  File "/opt/homebrew/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 1077, in CUDAExtension',
            strength="hint",
        ),
        Sign(
            # Not "C:/Users/", "/c/Users/" and "/mnt/c/Users/": these are folders of Windows.
            pattern=r"(?<![\w:.\\])/Users/[^/\s\"']+/",
            literal="/Users/",
            sample='  File "/Users/user/venv/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 1077, in CUDAExtension',
            strength="hint",
        ),
        Sign(
            pattern=r"flash_attn-\S{5,160}-macosx_\S+\.whl",
            literal="-macosx_",
            sample="Guessing wheel URL:  https://github.com/Dao-AILab/flash-attention/releases/download/v2.8.3/flash_attn-2.8.3+cu12torch2.8"
            "cxx11abiTRUE-cp311-cp311-macosx_14_0_x86_64.whl",
            strength="hint",
        ),
        # xformers installs on a Mac, without any compiled code, and prints this at each start.
        Sign(
            pattern=r"xFormers (?P<warned>can't load C\+\+/CUDA extensions|wasn't build with CUDA support)",
            literal="xFormers ",
            sample="WARNING[XFORMERS]: xFormers can't load C++/CUDA extensions. xFormers was built for:",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="judges a Mac",
        seconds=1,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if known(facts.system.os) != "darwin":
        return None
    return Hit(
        message="This is a Mac: flash-attn cannot run here, but PyTorch's own attention can.",
        evidence=(fact(facts, "system.os"),),
        certainty=Certainty.OBSERVED,
    )


class Installed(Variant, frozen=True, kw_only=True):
    """Hold the package that is installed on a Mac, although it has no code for Macs."""

    package: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if seen.group("warned") and facts.system.os == "darwin":
        return Hit(
            message="xformers has no code for a Mac: there is no CUDA for macOS. A program that asks for it runs without it, or stops at its first call.",
            evidence=tuple(e for e in evidence if "xFormers" in e.text) or evidence,
            severity=Severity.WARNING,
            variant=Installed(package="xformers"),
        )
    # Every log from a Mac has such paths: only a build that looks for CUDA counts.
    wanted = any(log.of("cuda-home-unset") for log in seen.logs) or any("macosx_" in m.text for m in seen.matches)
    if not wanted:
        return None
    return Hit(
        message=f"{_what(facts)} cannot be built on a Mac: there is no CUDA for macOS.",
        evidence=evidence,
        confidence=Confidence.HIGH,
    )


def _what(facts: Facts) -> str:
    package = facts.subject.package
    return package if isinstance(package, str) and package != "torch" else "flash-attn"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Installed):
        name = hit.variant.package
        gone = commands.uninstall(name, why="programs that can do without it then use PyTorch's own attention")
        off = commands.by_hand(
            (),
            f"if the program still asks for {name}, turn that off in its settings (enable_xformers = false, no --xformers); it computes on Apple's GPU "
            'with device="mps", or on the CPU',
            "the settings of the program",
            "none",
        )
        return (Fix(title=f"Remove {name}", steps=(gone, off), verify=commands.check(facts)),)
    what = _what(facts)
    row = built_packages.row_of(what)
    instead = (
        "PyTorch's own attention does the same on Apple's GPU (device=\"mps\") and on the CPU"
        if row is not None and row.attention
        else f"a model that cannot run without {what} needs a Linux machine with such a GPU (rented, or Colab); other models run on Apple's GPU "
        '(device="mps") or on the CPU'
    )
    step = commands.by_hand(
        (),
        f"remove {what} from the requirements: it needs an NVIDIA or AMD GPU, with CUDA or ROCm, which do not exist for macOS; no package changes "
        f"that. Instead: {instead}",
        "your requirements file",
        "none",
    )
    return (Fix(title=f"Do without {what}", steps=(step,), verify=commands.check(facts)),)
