"""Importing OpenCV fails: a system library is missing, as in most slim containers.

What it is
    Ultralytics imports OpenCV (cv2). opencv-python, the build that can open windows, needs libGL and a few X libraries of the
    system. Slim container images do not contain them.

How it shows
    "ImportError: libGL.so.1: cannot open shared object file: No such file or directory", or libgthread-2.0.so.0, libSM.so.6,
    libXext.so.6, libxcb.so.1.

Why it happens
    python:3.x-slim, minimal server installations and most CI images have no desktop libraries.

What to do
    Replace opencv-python by opencv-python-headless, the build that opens no windows. Or install the system package libgl1.

How to reproduce
    `attn-doctor reproduce libgl-missing` imports OpenCV where there is no libGL. It downloads 90 MB. Where that cannot be
    had, a simulated machine is judged.

References
    https://github.com/ultralytics/ultralytics/issues/1270
    https://pypi.org/project/opencv-python-headless/
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import system_tools
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, Variant, known
from attn_doctor.failure_modes.recipe import Packages, Recipe, no_system_library
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence, text_of, version
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD315",
    slug="libgl-missing",
    title="OpenCV does not find a system library",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("ultralytics-broken",),
    signs=(
        Sign(
            pattern=r"ImportError: (?P<library>lib(?:GL|EGL|gthread-2\.0|glib-2\.0|SM|ICE|Xext|Xrender|X11|xcb)\.so\.\d+): cannot open "
            r"shared object file",
            literal="cannot open shared object",
            sample="ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
        ),
    ),
    recipe=Recipe(
        does="imports OpenCV where there is no libGL",
        of=(Packages(requirements=("opencv-python", "numpy"), megabytes=90), *no_system_library("libGL.so*")),
        run=(("{python}", "-c", "import cv2"),),
        shows="libGL",
        seconds=15,
    ),
)

_LIBRARY = re.compile(
    r"(lib(?:GL|EGL|gthread-2\.0|glib-2\.0|SM|ICE|Xext|Xrender|X11|xcb)\.so\.\d+): cannot open shared object file"
)


class Missing(Variant, frozen=True, kw_only=True):
    """Hold the system library that OpenCV did not find: "libGL.so.1"."""

    library: str


def detect(facts: Facts) -> Hit | None:
    for attempt in known(facts.imports):
        found = _LIBRARY.search(text_of(attempt.fault))
        if found and attempt.module in ("cv2", "ultralytics"):
            return Hit(
                message=f"Importing OpenCV fails: {found[1]} is not on this system.",
                evidence=(attempt_evidence(facts, attempt.module),),
                variant=Missing(library=found[1]),
                certainty=Certainty.OBSERVED,
            )
    return None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    library = seen.captured()["library"]
    return Hit(
        message=f"Importing OpenCV failed: {library} is missing.",
        evidence=evidence,
        variant=Missing(library=library),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    stem = hit.variant.library.split(".")[0] if isinstance(hit.variant, Missing) else "libGL"
    made = []
    try:
        have = version(facts, "opencv-python")
    except Unsure:
        have = ""  # not known: a log names only few packages
    if have is not None:
        headless = f"opencv-python-headless=={have}" if have else "opencv-python-headless"
        steps: tuple[Step, ...] = (
            commands.uninstall(
                "opencv-python", why="opencv-python can open windows, and needs this system library for them"
            ),
            commands.install(
                headless,
                why="the same OpenCV; it opens no windows and needs no libGL",
                changes="opencv-python-headless",
            ),
        )
        made.append(Fix(title="Use OpenCV without windows", steps=steps, verify=verify))
    system = system_tools.opencv_library(facts, stem)
    if system:
        made.append(Fix(title="Install the system library", steps=system, verify=verify))
    return tuple(made)
