"""Say which code a file of YOLO12 weights belongs to, and how that code is installed.

There are three codes (read in their sources, 2026-11; names and versions only):

    ultralytics 8.3.78 and newer    AAttn has `qkv`       weights yolo12n.pt     https://github.com/ultralytics/ultralytics/pull/19325
    the fork, branch V1.0           AAttn has `qkv`       weights yolov12n.pt of the release v1.0; ultralytics loads them too
    the fork, main ("turbo")        AAttn has `qk`, `v`   weights yolov12n.pt of the releases turbo, seg and cls

The fork is https://github.com/sunsmarterjie/yolov12. All of its branches call themselves ultralytics 8.3.63.
The layouts differ by more than names: turbo's `pe` is 5 wide, the others' is 7. So no renaming makes one of the other.
"""

from __future__ import annotations

import re

from packaging.version import Version

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.model.facts import Facts, YoloLayout
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import parse

FORK = "https://github.com/sunsmarterjie/yolov12"
FORK_VERSION = "8.3.63"
FIRST_WITH_YOLO12 = "8.3.78"
# What the fork's setup does not ask for, and cannot do without: it imports huggingface_hub, and calls numpy.trapz, which
# numpy 2.4 removed. https://numpy.org/doc/stable/release/2.4.0-notes.html
FORK_NEEDS = ("huggingface-hub", "numpy<2.4")
_PUBLISHED = re.compile(r"yolo(?P<fork>v?)12(?P<size>[nsmlx])(?P<task>-\w+)?\.pt", re.IGNORECASE)

# The model that a program loads, where its command or its line of code stands in the log.
NAMED_IN_LOGS = (
    Sign(
        pattern=r"(?:^|[\s\"'(,-])model=[\"']?(?P<weights>[^\"'\s,)]{1,200}\.(?:pt|ya?ml))\b",
        literal="model=",
        sample="yolo predict model=yolov12n.pt source=bus.jpg",
        strength="context",
    ),
    Sign(
        pattern=r"\bYOLO\(r?[\"'](?P<weights>[^\"'\n]{1,200}\.(?:pt|ya?ml))[\"']",
        literal="YOLO(",
        sample='model = YOLO("yolov12n.yaml")',
        strength="context",
    ),
)


def of_layout(layout: YoloLayout) -> str:
    """Return a layout in words, as the attributes of AAttn."""
    return "`qkv`" if layout == "qkv" else "`qk` and `v`"


def fork_name(path: str) -> bool:
    """Return whether a file has the name of weights that the fork publishes: yolov12n.pt, with a v."""
    match = _published(path)
    return match is not None and bool(match["fork"])


def ultralytics_name(path: str) -> bool:
    """Return whether a file has the name of weights that ultralytics publishes: yolo12n.pt, without a v."""
    match = _published(path)
    return match is not None and not match["fork"]


def other_name(path: str) -> str | None:
    """Return the name of the same weights by the other maker; None for weights of one's own, or where there are none."""
    match = _published(path)
    if match is None or match["task"]:  # ultralytics publishes YOLO12 for detection only
        return None
    return f"yolo{'' if match['fork'] else 'v'}12{match['size'].lower()}.pt"


def download(name: str) -> str:
    """Return the address of weights that the fork publishes, "yolov12n.pt" or "yolov12n-seg.pt"."""
    match = _published(name)
    task = (match["task"] or "").removeprefix("-") if match else ""
    return f"{FORK}/releases/download/{task or 'turbo'}/{name}"


def _published(path: str) -> re.Match[str] | None:
    return _PUBLISHED.fullmatch(re.split(r"[\\/]", path)[-1])


def with_the_fork(facts: Facts, verify: tuple[str, ...]) -> Fix:
    """Return the fix that puts the fork into the target."""
    # Without git, pip takes the archive of the same branch.
    source = f"{FORK}/archive/refs/heads/main.zip" if facts.toolchain.git is None else f"git+{FORK}"
    steps: list[Step] = []
    if facts.yolo.version == FORK_VERSION:  # pip takes an installed one of the same version for the fork
        steps.append(
            commands.uninstall("ultralytics", why=f"it has the fork's version, {FORK_VERSION}, and would stay")
        )
    steps.append(
        commands.install(
            f"ultralytics @ {source}",
            *FORK_NEEDS,
            why="the code that these weights were made with; the other two are what it needs and does not ask for",
            changes="ultralytics, replaced by the fork",
            risk="medium",
            risk_text="the fork replaces ultralytics here: weights of ultralytics no longer run; a new environment keeps both",
        )
    )
    return Fix(title="Use these weights with the YOLOv12 fork that made them", steps=tuple(steps), verify=verify)


def with_ultralytics(facts: Facts, least: str, why: str, verify: tuple[str, ...], *, fork: bool = False) -> Fix:
    """Return the fix that puts an ultralytics of at least this release into the target; `fork`: in place of the fork."""
    text = "it replaces the fork here: the fork's weights no longer run; a new environment keeps both"
    step = commands.install(
        f"ultralytics>={least}",
        upgrade=True,
        why=why,
        changes="ultralytics, in place of the fork" if fork else "ultralytics",
        risk="medium" if fork else "low",
        risk_text=text if fork else None,
    )
    title = "Use these weights with ultralytics itself" if fork else f"Install ultralytics {least} or newer"
    copy = own_copy(facts) if isinstance(facts.yolo.location, str) else None
    away = _out_of_the_clone(facts) if fork else _without_copy(copy) if copy else ()
    return Fix(title=title, steps=(step, *away), verify=verify)


def _without_copy(copy: str) -> tuple[Step, ...]:
    """Return the step without which the release stays unused: the project's own copy comes before it."""
    why = f"rename the folder {copy}, or start your program outside of its folder: it is found before the release that pip installs"
    return (commands.by_hand((), why, "the project's own copy of ultralytics"),)


def newest(verify: tuple[str, ...], copy: str | None = None) -> Fix:
    """Return the fix that installs the newest ultralytics. `copy`: the folder of a project's own copy, which is found before it."""
    why = "it has all classes of its models, and knows how to load what older releases saved"
    step = commands.install("ultralytics", upgrade=True, why=why, changes="ultralytics")
    away = _without_copy(copy) if copy else ()
    return Fix(title="Install the newest ultralytics", steps=(step, *away), verify=verify)


def new_enough(facts: Facts) -> tuple[Step, ...]:
    """Return the step that brings an ultralytics with YOLO12; none where the installed one has it, or may have it."""
    have = parse(facts.yolo.version) if isinstance(facts.yolo.version, str) else None
    if isinstance(facts.yolo.attention, str) or have is None or have >= Version(FIRST_WITH_YOLO12):
        return ()
    why = f"YOLO12 came with ultralytics {FIRST_WITH_YOLO12}"
    return (commands.install(f"ultralytics>={FIRST_WITH_YOLO12}", upgrade=True, why=why, changes="ultralytics"),)


def own_copy(facts: Facts) -> str | None:
    """Return the folder of the ultralytics in use where it is none of an installed release: a project's own copy, a clone, a checkout.

    A release that is installed beside it is not imported: the folder of the program comes first on sys.path.
    """
    place, listed = facts.yolo.location, facts.packages.distributions
    if isinstance(place, str) and not re.search(r"(?:site|dist)-packages", place):
        return place
    checkout = isinstance(listed, tuple) and any(
        d.name == "ultralytics" and isinstance(d.direct_url, str) for d in listed
    )
    return "the checkout of ultralytics" if checkout else None


def _out_of_the_clone(facts: Facts) -> tuple[Step, ...]:
    """Return the step that a clone of the fork needs, whose folder ultralytics/ hides the package; none where it is no clone."""
    place = facts.yolo.location
    if isinstance(place, str) and ("site-packages" in place or "dist-packages" in place):
        return ()
    why = (
        "run your program outside the clone of the fork, and not as a script that lies in it: the clone's folder ultralytics/ "
        "comes before the package that was installed"
    )
    return (commands.by_hand((), why, "the folder that you work in", "none"),)
