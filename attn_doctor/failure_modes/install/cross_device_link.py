"""setup.py cannot move the wheel that it downloaded: the two folders are on different file systems.

What it is
    flash-attn's setup.py downloads a finished wheel and moves it with os.rename to the folder that pip expects. A
    rename cannot move a file to another file system.

How it shows
    "Raw wheel path ...", then "error: [Errno 18] Invalid cross-device link: '...whl' -> '...whl'" (the words are
    translated, the number is the same in all languages); Windows: "[WinError 17]".

Why it happens
    /tmp is a separate file system (tmpfs, a scratch disk, a layer of a container), and the build folder or pip's
    cache is on another file system.

What to do
    Set TMPDIR to a folder on the same file system as pip's cache; or pass --no-cache-dir; or install the wheel by its
    address: then setup.py does not run.

How to reproduce
    `attn-doctor reproduce cross-device-link` moves a file to another file system as flash-attn's setup.py does. It downloads
    nothing.

References
    https://github.com/Dao-AILab/flash-attention/issues/598
    https://github.com/Dao-AILab/flash-attention/issues/875
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known
from attn_doctor.failure_modes.recipe import File, Recipe, SmallDisk
from attn_doctor.failure_modes.shared import building
from attn_doctor.failure_modes.shared.fact_queries import cuda_build
from attn_doctor.model.facts import Disk, Facts
from attn_doctor.model.findings import Confidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD209",
    slug="cross-device-link",
    title="The downloaded wheel cannot be moved to another file system",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=(building.FAILED,),
    says="The downloaded wheel could not be moved: the two folders are on different file systems.",
    signs=(
        Sign(
            pattern=r"\[Errno 18\][^:]{0,80}:? ?(?:'(?P<source>[^']{1,400})' -> '(?P<target>[^']{1,400})')?",
            literal="[Errno 18]",
            sample="error: [Errno 18] Invalid cross-device link: 'flash_attn-2.8.3.whl' -> '/tmp/pip-wheel-x/flash_attn-2.8.3.whl'",
        ),
        Sign(
            pattern=r"Invalid cross-device link",
            literal="Invalid cross-device link",
            sample="OSError: [Errno 18] Invalid cross-device link",
        ),
        Sign(
            pattern=r"\[WinError 17\]",
            literal="[WinError 17]",
            sample="OSError: [WinError 17] The system cannot move the file to a different disk drive",
        ),
    ),
    recipe=Recipe(
        does="moves a file to another file system as flash-attn's setup.py does",
        of=(SmallDisk(path="other", megabytes=1), File(path="flash_attn.whl")),
        run=(("{python}", "-c", "import os; os.rename('flash_attn.whl', 'other/flash_attn.whl')"),),
        shows="Errno 18",
        seconds=2,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: cuda_build(facts), lambda: not building.works(facts)):
        return None
    disks = known(facts.system.disks)
    tmp, cache = _disk(disks, "tmp"), _disk(disks, "cache")
    if tmp is None or cache is None or known(tmp.device) == known(cache.device):
        return None
    index = next(i for i, d in enumerate(disks) if d is tmp)
    return Hit(
        message=f"Temporary files ({tmp.path}) and pip's cache ({cache.path}) are on different file systems: flash-attn's setup.py "
        "may fail to move the wheel that it downloads.",
        evidence=(fact(facts, f"system.disks.{index}.device", f"{tmp.path} is on another device than {cache.path}"),),
        confidence=Confidence.LOW,
        severity=Severity.INFO,
    )


def _disk(disks: tuple[Disk, ...], purpose: str) -> Disk | None:
    return next((d for d in disks if d.purpose == purpose), None)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    disks = facts.system.disks if isinstance(facts.system.disks, tuple) else ()
    cache = _disk(disks, "cache")
    made = list(building.without_compiling(facts))
    if cache is not None and cache.path:
        parent = cache.path.rpartition("/")[0] or "/"
        step = commands.variable("TMPDIR", parent, "then temporary files and the cache are on the same file system")
        made.append(
            Fix(
                title="Put temporary files beside the cache",
                steps=(step, building.build(facts)),
                verify=building.verify(facts),
            )
        )
    else:
        step = commands.by_hand(
            (), "set TMPDIR to a folder on the file system of pip's cache, or pass --no-cache-dir", "this shell"
        )
        made.append(Fix(title="Use one file system", steps=(step,), verify=building.verify(facts)))
    return tuple(made)
