"""The C++ library that the loader finds first is older than the extension needs.

What it is
    libstdc++.so.6 is the C++ library of gcc, and each gcc release brings a newer one. An extension that was compiled with a newer
    gcc needs symbols that an older libstdc++ does not have.

How it shows
    "ImportError: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.29' not found (required by .../flash_attn_2_cuda...so)",
    or CXXABI_1.3.13 instead of GLIBCXX.

Why it happens
    The distribution's libstdc++ is old. Or there are two, and the loader finds the older one first: that of an old conda
    environment, or that of the system. The path in the message shows which file was loaded.

What to do
    In a conda environment: install a newer libstdcxx-ng. Else install a newer libstdc++6 from the distribution, or a wheel that was
    built on an older system.

How to reproduce
    `attn-doctor reproduce glibcxx-too-old` imports an extension that was linked with a libstdc++ newer than any that exists. It
    downloads nothing.

References
    https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html
    https://github.com/buaacyw/MeshAnything/issues/20
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Extension, Gone, Library, Recipe
from attn_doctor.failure_modes.shared import image_of_jetpack, subject, symbols, wheel_fixes
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence, no_machine, text_of
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried

_LIBRARY = re.compile(r"(\S*libstdc\+\+\.so\.6)\S*: version `((?:GLIBCXX|CXXABI)_[\d.]+)' not found")

MODE = FailureMode(
    code="AD306",
    slug="glibcxx-too-old",
    title="libstdc++ is older than the extension needs",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=(
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
        "ultralytics-broken",
    ),
    signs=(
        *image_of_jetpack.SIGNS,
        Sign(
            pattern=r"(?P<version>GLIBCXX_\d+\.\d+(?:\.\d+)?)[`'\"]? not found(?: \(required by (?P<by>[^)]*)\))?",
            literal="GLIBCXX_3.",
            sample="ImportError: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by "
            "/venv/lib/python3.11/site-packages/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so)",
        ),
        Sign(
            pattern=r"(?P<version>CXXABI_\d+\.\d+(?:\.\d+)?)[`'\"]? not found(?: \(required by (?P<by>[^)]*)\))?",
            literal="CXXABI_1.",
            sample="ImportError: /opt/conda/lib/libstdc++.so.6: version `CXXABI_1.3.15' not found (required by /venv/lib/python3.11/"
            "site-packages/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so)",
        ),
        # In the words of a person, above a traceback that is cut.
        Sign(
            pattern=r"\b(?P<worded>GLIBCXX) (?:error|problem|issue|mismatch|version (?:error|problem|issue|mismatch)|报错|错误)",
            literal="GLIBCXX ",
            sample="GLIBCXX error on the cluster when flash_attn is imported",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="imports an extension that was linked with a libstdc++ newer than any that exists",
        of=(
            Library(path="link/libstdc++.so.6", exports=("newest@GLIBCXX_3.4.99",)),
            Extension(name="flash_attn_2_cuda", asks=("newest",), needs=("link/libstdc++.so.6",)),
            Gone(path="link"),
        ),
        run=(("{python}", "-c", "import flash_attn_2_cuda"),),
        shows="version `GLIBCXX_3.4.99' not found",
        seconds=2,
    ),
)


def detect(facts: Facts) -> Hit | None:
    for attempt in tried(facts):
        found = _LIBRARY.search(text_of(attempt.fault))
        if found:
            general = attempt.module in ("cv2", "numpy", "torchvision")
            have = facts.system.glibcxx
            newest = f", whose newest is GLIBCXX_{have}" if isinstance(have, str) else ""
            return Hit(
                message=f"{attempt.module} was built for {found[2]}; the loader finds {found[1]}{newest}.",
                evidence=(attempt_evidence(facts, attempt.module), fact(facts, "system.libstdcxx")),
                certainty=Certainty.OBSERVED,
                severity=Severity.ERROR if general else None,
            )
    imported = {i.module for i in tried(facts) if i.ok is True}
    for index, binary in enumerate(facts.binaries if isinstance(facts.binaries, tuple) else ()):
        if binary.cause == "glibcxx" and binary.module not in imported:
            return Hit(
                message=f"{binary.module} was built for GLIBCXX_{binary.glibcxx}; the newest in {facts.system.libstdcxx} is "
                f"GLIBCXX_{facts.system.glibcxx}.",
                evidence=(fact(facts, f"binaries.{index}.glibcxx"), fact(facts, "system.glibcxx")),
            )
    return None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if all("worded" in m.groups for m in seen.matches):
        return _in_words(facts, evidence)
    by = seen.group("by")
    if by and not by.endswith(".so") and not symbols.IN_PYTHON.search(by):
        return None  # a library of another program
    if (other := image_of_jetpack.told(facts, seen)) is not None:
        return other
    what = by.rsplit("/", 1)[-1] if by else "A library"
    return Hit(
        message=f"{what} was built for {seen.group('version')}, and the loader finds an older libstdc++ first.",
        evidence=evidence,
    )


class Worded(Variant, frozen=True):
    """Mark the case that the log names the library only in words: neither the missing version nor its place is known."""


def _in_words(facts: Facts, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Return the hit for a log in which a person names GLIBCXX, and whose traceback is cut in the import of a compiled package."""
    if facts.subject.doing != "importing":
        return None
    return Hit(
        message="The log is cut: somebody names GLIBCXX there, and the line with the missing version is not in the log. Probably a compiled "
        "package needs a newer libstdc++ than the loader finds. To be sure, send the line with `not found (required by`.",
        evidence=evidence,
        variant=Worded(),
        confidence=Confidence.LOW,
        severity=Severity.ERROR,
    )


def _look(facts: Facts) -> Fix:
    """Return the fix that shows which version is missing in which libstdc++, and how a newer one is loaded."""
    module = (subject.stated(facts) or subject.FLASH_ATTN).replace("-", "_")
    look = commands.by_hand(
        (*commands.starting(facts), "-c", f"import torch, {module}"),
        "prints the whole error again: its last line names the missing version, and the libstdc++ that does not have it",
        "nothing",
        "none",
    )
    newer = (
        commands.by_hand(
            ("module", "load", "gcc"),
            "then run the program again: brings the libstdc++ of a newer gcc; `module avail gcc` lists the releases, gcc 12 and newer have GLIBCXX_3.4.30",
            "this shell's environment only",
            "none",
        )
        if places.on_cluster(facts)
        else commands.by_hand(
            (),
            "a newer libstdc++ comes with a newer gcc (on a cluster: `module load gcc`), or with conda: `conda install -c conda-forge libstdcxx-ng`, and its lib "
            "folder in front of LD_LIBRARY_PATH",
            "this shell's environment only",
            "none",
        )
    )
    return Fix(
        title="See which version is missing, and load a newer libstdc++",
        steps=(look, newer),
        verify=commands.check(facts),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Worded):
        return (_look(facts), *wheel_fixes.fixes(facts, "it needs a newer libstdc++ than is found here"))
    verify = commands.check(facts, "--goal", "flash-attn", "--no-trial")
    if isinstance(hit.variant, image_of_jetpack.Other):
        return (image_of_jetpack.fix(facts, hit.variant),)
    made = []
    if no_machine(facts):
        step = commands.by_hand(
            ("conda", "install", "-c", "conda-forge", "libstdcxx-ng"),
            "in the activated environment: its Python loads conda's own libstdc++, and this installs a newer one",
            "libstdcxx-ng of this environment",
        )
        made.append(Fix(title="In a conda environment: install a newer libstdc++", steps=(step,), verify=verify))
    if facts.interpreter.kind in ("conda", "pixi") and isinstance(facts.interpreter.prefix, str):
        step = commands.by_hand(
            places.conda_install(facts, "libstdcxx-ng"),
            "the Python of a conda environment loads conda's own libstdc++",
            "libstdcxx-ng of this environment",
        )
        made.append(Fix(title="Install a newer libstdc++ into the conda environment", steps=(step,), verify=verify))
    return (*made, *wheel_fixes.fixes(facts, "it needs a newer libstdc++ than is found here"))
