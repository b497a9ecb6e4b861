"""coremltools was installed without its compiled libraries.

What it is
    coremltools converts models for Apple's devices. Its wheels contain compiled libraries for macOS and for Linux on x86-64, for some Pythons. Where
    there is no such wheel, pip installs it from its sources, without them: it imports, and cannot write a model.

How it shows
    "Fail to import BlobReader from libmilstoragepython. No module named 'coremltools.libmilstoragepython'", "Failed to load _MLModelProxy: No module
    named 'coremltools.libcoremlpython'", "CoreML: export failure: BlobWriter not loaded".

Why it happens
    The Python is newer than the newest wheel of coremltools (8.1 to 8.3 have wheels up to Python 3.12, 9.0 up to 3.13), or the system is Windows or
    Linux on ARM, for which there is none.

What to do
    Use Python 3.12 or 3.11 and the newest coremltools, on macOS or Linux on x86-64. Under Windows: export in WSL or on a Mac.

How to reproduce
    There is no recipe: it needs a Python without such a wheel. `python -c "import coremltools"` prints the lines there.

References
    https://github.com/apple/coremltools/issues/2361
    https://github.com/apple/coremltools/issues/2617
    https://pypi.org/project/coremltools/#files
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD611",
    slug="coreml-without-libraries",
    title="coremltools without its compiled libraries",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("requirements-missing", "extension-not-built"),
    signs=(
        Sign(
            pattern=r"BlobWriter not loaded",
            literal="BlobWriter not loaded",
            sample="RuntimeError: BlobWriter not loaded",
        ),
        Sign(
            pattern=r"No module named 'coremltools\.lib(?:(?P<storage>milstorage)|coreml)python'",
            literal="No module named 'coremltools.lib",
            sample="Fail to import BlobWriter from libmilstoragepython. No module named 'coremltools.libmilstoragepython'",
            strength="hint",
        ),
        Sign(
            pattern=r"Unable to load lib(?:modelpackage|coremlpython)\. Cannot",
            literal="Unable to load lib",
            sample="CoreML export failure: Unable to load libmodelpackage. Cannot make save spec.",
        ),
    ),
)
# There is no `detect`: only an export to Core ML needs it.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if not any(m.strength == "proof" for m in seen.matches):
        return _notice(seen, evidence)
    return Hit(
        message="coremltools was installed without its compiled libraries: there is no wheel of it for this Python or system, so it cannot write a model.",
        evidence=evidence,
    )


def _notice(seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Return the hit for the notices of the import alone. coremltools for Linux has libmilstoragepython, and no libcoremlpython."""
    if seen.group("storage") is None:
        return None
    return Hit(
        message="coremltools was installed without its compiled libraries: there is no wheel of this release for this Python or system. It can be imported, and cannot write a model.",
        evidence=evidence,
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = (*commands.starting(facts), "-c", "import coremltools.libmilstoragepython")
    arm = facts.system.os == "linux" and places.architecture(facts) == "aarch64"
    if facts.system.os == "windows" or arm:
        words = (
            "export on a Mac, or on a PC with Linux: there are no libraries of coremltools for Linux on ARM"
            if arm
            else "export on a Mac, or inside WSL: there are no libraries of coremltools for Windows. For Windows itself export format=onnx or format=openvino"
        )
        step = commands.by_hand((), words, "where the export runs", "none")
        return (Fix(title="Export on macOS or Linux", steps=(step,), verify=verify),)
    newest = commands.reinstall(
        "coremltools", why="newer releases have wheels for newer Pythons: 9.0 up to 3.13", changes="coremltools"
    )
    older = commands.by_hand(
        (),
        "if the same lines come again: create an environment with Python 3.12 (conda create -n coreml python=3.12, or uv venv --python 3.12), install ultralytics and coremltools "
        "there, and export in it",
        "adds an environment",
        "none",
    )
    return (Fix(title="Install coremltools with its libraries", steps=(*newest, older), verify=verify),)
