"""Find the code to which a file of YOLO12 weights belongs, and make the fixes that install that code.

There are three codes (their sources were read in 2026-11, for names and versions only):

    ultralytics 8.3.78 and newer    AAttn has `qkv`       weights yolo12n.pt     https://github.com/ultralytics/ultralytics/pull/19325
    the fork, branch V1.0           AAttn has `qkv`       weights yolov12n.pt of the release v1.0; ultralytics loads them too
    the fork, main ("turbo")        AAttn has `qk`, `v`   weights yolov12n.pt of the releases turbo, seg and cls

The fork is https://github.com/sunsmarterjie/yolov12. All of its branches have the version ultralytics 8.3.63.
The layouts differ in more than names: the convolution `pe` has width 5 in turbo, and 7 in the other two. So weights cannot be converted
by renaming.
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
# What the fork needs and its setup does not install: it imports huggingface_hub, and calls numpy.trapz, which numpy 2.4 removed.
# https://numpy.org/doc/stable/release/2.4.0-notes.html
FORK_NEEDS = ("huggingface-hub", "numpy<2.4")
_PUBLISHED = re.compile(r"yolo(?P<fork>v?)12(?P<size>[nsmlx])(?P<task>-\w+)?\.pt", re.IGNORECASE)

# The model that a program loads, if the log shows its command or its line of code.
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
    """Return the attributes of AAttn in a layout: "`qkv`", or "`qk` and `v`"."""
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
    """Return the name of the other code's weights of the same size: "yolo12n.pt" for "yolov12n.pt"; None if its authors publish none."""
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
    """Return the fix that installs the fork into the target."""
    # If there is no git, pip downloads the archive of the same branch.
    source = f"{FORK}/archive/refs/heads/main.zip" if facts.toolchain.git is None else f"git+{FORK}"
    steps: list[Step] = []
    if facts.yolo.version == FORK_VERSION:  # pip would keep an installed ultralytics of the same version
        steps.append(
            commands.uninstall(
                "ultralytics",
                why=f"the installed ultralytics has the same version as the fork, {FORK_VERSION}, so pip would not replace it",
            )
        )
    steps.append(
        commands.install(
            f"ultralytics @ {source}",
            *FORK_NEEDS,
            why="the code that made these weights, and two requirements that its setup.py does not install",
            changes="replaces ultralytics by the fork",
            risk="medium",
            risk_text="weights of ultralytics no longer run in this environment; to keep both, use a new environment",
        )
    )
    return Fix(title="Use these weights with the YOLOv12 fork that made them", steps=tuple(steps), verify=verify)


def with_ultralytics(facts: Facts, least: str, why: str, verify: tuple[str, ...], *, fork: bool = False) -> Fix:
    """Return the fix that installs ultralytics `least` ("8.3.78") or newer into the target. `fork`: it replaces the fork."""
    text = "weights of the fork no longer run in this environment; to keep both, use a new environment"
    step = commands.install(
        f"ultralytics>={least}",
        upgrade=True,
        why=why,
        changes="replaces the fork by ultralytics" if fork else "ultralytics",
        risk="medium" if fork else "low",
        risk_text=text if fork else None,
    )
    title = "Use these weights with ultralytics itself" if fork else f"Install ultralytics {least} or newer"
    copy = own_copy(facts) if isinstance(facts.yolo.location, str) else None
    away = _out_of_the_clone(facts) if fork else _without_copy(copy) if copy else ()
    return Fix(title=title, steps=(step, *away), verify=verify)


def _without_copy(copy: str) -> tuple[Step, ...]:
    """Return the step after which Python imports the new release, and no longer the project's own copy of ultralytics.

    `copy`: its folder, or words for it.
    """
    why = f"rename the folder {copy}, or start your program from another folder: Python finds this copy before the release that pip installs"
    return (commands.by_hand((), why, "the project's own copy of ultralytics"),)


def newest(verify: tuple[str, ...], copy: str | None = None) -> Fix:
    """Return the fix that installs the newest ultralytics. `copy`: the folder of a project's own copy, which Python finds first."""
    why = "it has all classes of its models, and can load what older releases saved"
    step = commands.install("ultralytics", upgrade=True, why=why, changes="ultralytics")
    away = _without_copy(copy) if copy else ()
    return Fix(title="Install the newest ultralytics", steps=(step, *away), verify=verify)


def new_enough(facts: Facts) -> tuple[Step, ...]:
    """Return the step that installs an ultralytics with YOLO12; empty if the installed one has or may have YOLO12."""
    have = parse(facts.yolo.version) if isinstance(facts.yolo.version, str) else None
    if isinstance(facts.yolo.attention, str) or have is None or have >= Version(FIRST_WITH_YOLO12):
        return ()
    why = f"YOLO12 came with ultralytics {FIRST_WITH_YOLO12}"
    return (commands.install(f"ultralytics>={FIRST_WITH_YOLO12}", upgrade=True, why=why, changes="ultralytics"),)


def own_copy(facts: Facts) -> str | None:
    """Return the folder of the ultralytics in use, if it is a project's own copy, a clone or a checkout; None: an installed release.

    Python imports such a copy before an installed release, because the folder of the program is first on sys.path.
    """
    place, listed = facts.yolo.location, facts.packages.distributions
    if isinstance(place, str) and not re.search(r"(?:site|dist)-packages", place):
        return place
    checkout = isinstance(listed, tuple) and any(
        d.name == "ultralytics" and isinstance(d.direct_url, str) for d in listed
    )
    return "the checkout of ultralytics" if checkout else None


def _out_of_the_clone(facts: Facts) -> tuple[Step, ...]:
    """Return the step for a clone of the fork, whose folder ultralytics/ hides the installed package; empty if there is no clone."""
    place = facts.yolo.location
    if isinstance(place, str) and ("site-packages" in place or "dist-packages" in place):
        return ()
    why = (
        "start your program from a folder outside the clone of the fork, and not as a script in the clone: else Python imports the clone's folder "
        "ultralytics/ and not the installed package"
    )
    return (commands.by_hand((), why, "the folder that you work in", "none"),)
