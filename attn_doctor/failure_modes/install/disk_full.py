"""A disk is full, or its quota is used up.

What it is
    The disk of the temporary files, of pip's cache or of the environment has no space left for an installation or a
    build.

How it shows
    "OSError: [Errno 28] No space left on device", "(os error 28)", "[Errno 122] Disk quota exceeded", "NoSpaceLeftError"
    (conda), "[WinError 112]".

Why it happens
    An isolated build downloads a second torch (several gigabytes) into the temporary folder, which is often on a
    small disk or in memory. Or the home folder has a quota.

What to do
    Set TMPDIR (and PIP_CACHE_DIR) to a folder on a disk with enough space, or empty the cache with `pip cache purge`.
    A full /dev/shm is a different problem: see shared-memory-full.

How to reproduce
    `attn-doctor reproduce disk-full` installs a package of 4 MB into a file system of 2 MB. It downloads nothing.

References
    https://github.com/vllm-project/vllm/issues/7025
    https://pip.pypa.io/en/stable/topics/caching/
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.commands.installers import own
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import PIP, Recipe, SmallDisk, Variable, Wheel
from attn_doctor.failure_modes.shared import building, full_disks
from attn_doctor.knowledge.build import GIGABYTE
from attn_doctor.knowledge.translated_messages import translations
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Disk, Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step

ROOM = 4 * GIGABYTE  # bytes: the size of an unpacked torch, of which an isolated build downloads its own copy

MODE = FailureMode(
    code="AD210",
    slug="disk-full",
    title="A disk is full",
    train=Severity.WARNING,
    flash_attn=Severity.ERROR,
    explains=(
        building.FAILED,
        "no-matching-distribution",
        "wheel-download-failed",
        "network-proxy-ssl",
        "torch-install-broken",
        "sdist-packaging-bug",
        "torch-missing-at-build",
        "requirements-missing",
    ),
    signs=(
        # These lines show that the file that could not be written is in TMPDIR.
        *(
            Sign(pattern=pattern, literal=literal, sample=sample, strength="context")
            for pattern, literal, sample in (
                (
                    r"pip/_internal/network/download\.py\", line \d+, in (?P<temporary>__call__|_\w+)",
                    "_internal/network/download.py",
                    '  File "/v/lib/python3.11/site-packages/pip/_internal/network/download.py", line 148, in __call__',
                ),
                # pip writes what it downloads into TMPDIR: the error stands behind the bar, or in the line below it.
                (
                    r"\d/\d+(?:\.\d+)? [kMG]B .{0,80}(?P<temporary>ERROR: ).{0,120}\[Errno 28\]",
                    "[Errno 28]",
                    "-------- 70.3/173.2 MB 11.8 MB/s eta 0:00:09ERROR: Could not install packages due to an OSError: [Errno 28] No space left",
                ),
                (
                    r"(?:^|\s)(?P<bar>\d+(?:\.\d+)?)/(?P<size>\d+(?:\.\d+)?) [kMG]B\b",
                    " eta ",
                    "     -------- 70.3/173.2 MB 11.8 MB/s eta 0:00:09",
                ),
                # The user looked, and another disk has room.
                *(
                    (
                        rf"(?P<roomy>\b\d{{2,5}} {unit}\b (?:of )?(?:\w+ )?(?:available|free|left|libres?|frei|свободно|空闲|剩余)|\b(?:free|available)(?: space)?:? \d{{2,5}} {unit})",
                        f" {unit}",
                        f"It says so, but there are over 50 {unit} available.",
                    )
                    for unit in ("GB", "GiB", "Go", "TB", "Гб", "ГБ")
                ),
                (
                    r"(?P<temporary>/tmp/)\S{1,200}?'?:? No space left on device",
                    "o space left on device",
                    "/usr/bin/as: unable to write /tmp/ccX1Y2Z3.o: No space left on device",
                ),
            )
        ),
        *(
            Sign(pattern=pattern, literal=literal, sample=sample)
            for pattern, literal, sample in (
                (r"\[Errno 27\]", "[Errno 27]", "OSError: [Errno 27] File too large"),
                # torch.save: its stream does not say why it could not write. https://github.com/pytorch/pytorch/issues/156955
                (
                    r"\] \. ?(?P<saving>unexpected pos) \d+ vs \d+",
                    "unexpected pos ",
                    "RuntimeError: [enforce fail at inline_container.cc:659] . unexpected pos 2387758464 vs 2387758376",
                ),
                (
                    r"File size limit exceeded",
                    "File size limit exceeded",
                    "bash: line 1: 6597 File size limit exceeded(core dumped) pip install torch",
                ),
                (
                    r"\[Errno 28\]",
                    "[Errno 28]",
                    "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
                ),
                (r"\[Errno 122\]", "[Errno 122]", "OSError: [Errno 122] Disk quota exceeded"),
                (
                    r"[Nn]o space left on device",
                    "o space left on device",
                    "cp: error writing '/tmp/b': No space left on device",
                ),
                (r"\(os error (?:28|122|112)\)", "(os error ", "cause: No space left on device (os error 28)"),
                (r"[Dd]isk quota exceeded", "isk quota exceeded", "tar: write error: Disk quota exceeded"),
                (r"NoSpaceLeftError", "NoSpaceLeftError", "NoSpaceLeftError: No space left on devices."),
                (
                    r"\[WinError 112\]",
                    "[WinError 112]",
                    "OSError: [WinError 112] There is not enough space on the disk",
                ),
            )
        ),
        # Programs with a cache of their own in the home folder, which often has a quota on a cluster.
        *(
            Sign(pattern=pattern, literal=literal, sample=sample, strength="context")
            for pattern, literal, sample in (
                (r"(?P<apptainer>\bapptainer\b)", "apptainer", "$ apptainer pull docker://ultralytics/ultralytics"),
                (
                    r"(?P<apptainer>\bsingularity\b)",
                    "singularity",
                    "FATAL: write /home/u/.singularity/cache/blob: disk quota exceeded",
                ),
                (
                    r"(?P<triton>\.triton[\\/])",
                    ".triton",
                    "OSError: [Errno 122] Disk quota exceeded: '/home/u/.triton/cache/ab'",
                ),
            )
        ),
        *(
            Sign(pattern=re.escape(word), literal=word, sample=f"/usr/bin/ld: final link failed: {word}")
            for word in translations("No space left on device")
        ),
    ),
    recipe=Recipe(
        does="installs a package of 4 MB into a file system of 2 MB",
        of=(
            Wheel(name="large", version="1.0", megabytes=4),
            SmallDisk(path="full", megabytes=2),
            Variable(name="TMPDIR", value="{folder}/full"),
        ),
        run=(
            (
                *PIP,
                "install",
                "--no-deps",
                "--no-index",
                "--target",
                "{folder}/full/site",
                "{folder}/large-1.0-py3-none-any.whl",
            ),
        ),
        shows="No space left on device",
        seconds=6,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: known(facts.system.os) in ("linux", "windows"), lambda: not building.works(facts)):
        return None
    for index, disk in enumerate(known(facts.system.disks)):
        free = disk.free_bytes
        if isinstance(free, int) and free < ROOM:
            return Hit(
                message=f"{disk.path} ({_what(disk.purpose)}) has {free / GIGABYTE:.1f} GB left; an installation of torch needs more.",
                evidence=(
                    fact(facts, f"system.disks.{index}.free_bytes", f"{free / GIGABYTE:.1f} GB free under {disk.path}"),
                ),
                confidence=Confidence.MEDIUM,
                severity=Severity.INFO,
            )
    return None


def _what(purpose: str) -> str:
    return {"tmp": "temporary files", "cache": "pip's cache", "site-packages": "the environment"}.get(purpose, purpose)


class Full(Variant, frozen=True, kw_only=True):
    """Hold the installer that printed the error (each installer has its own cache), and the place that was full.

    `what`: "disk" if the log does not show more, "temporary" for the disk of TMPDIR, "saved" for a file of torch.save, "limit" for
    the largest file that the shell allows.
    """

    of: Literal["uv", "conda", "apptainer", "triton", "another"]
    what: Literal["disk", "temporary", "limit", "saved"] = "disk"


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    said = [m.text for m in seen.matches]
    conda = any("NoSpaceLeftError" in text for text in said)
    uv = any("(os error" in text for text in said)  # programs in Rust print this: uv, and pixi
    proofs = [m.text for m in seen.matches if m.strength == "proof"]
    if not proofs:
        return None
    if all("unexpected pos" in text for text in proofs):
        return Hit(
            message="torch.save could not write its file to the end: most often the disk is full, or a quota is used up.",
            evidence=evidence,
            confidence=Confidence.MEDIUM,
            variant=Full(of="another", what="saved"),
        )
    limit = all("Errno 27]" in text or "File size" in text for text in proofs)
    temporary = any("temporary" in m.groups for m in seen.matches) or (
        facts.system.os != "windows" and (seen.group("roomy") is not None or _while_it_downloads(seen))
    )
    message = "The quota was used up." if all("uota" in text for text in proofs) else "The disk was full."
    if limit:
        message = "A file became larger than the shell allows (ulimit -f), or than the file system allows."
    elif temporary:
        message = "The disk of the temporary files (TMPDIR) was full."
    return Hit(
        message=message,
        evidence=evidence,
        variant=Full(
            of="apptainer"
            if seen.group("apptainer")
            else "triton"
            if seen.group("triton")
            else "conda"
            if conda
            else "uv"
            if uv
            else "another",
            what="limit" if limit else "temporary" if temporary else "disk",
        ),
    )


def _while_it_downloads(seen: Seen) -> bool:
    """Return whether pip was downloading a file when the disk was full: a line of its progress is close above the error."""
    full = next(m for m in seen.matches if m.strength == "proof")
    bars = [m for m in seen.matches if "bar" in m.groups and m.file == full.file and 0 <= full.line - m.line <= _NEAR]
    return any(m.groups["bar"] != m.groups["size"] for m in bars[-1:])


_NEAR = 3  # lines from the progress bar to the error


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    disks = facts.system.disks if isinstance(facts.system.disks, tuple) else ()
    roomy = [d for d in disks if isinstance(d.free_bytes, int) and d.free_bytes >= ROOM and d.purpose != "tmp"]
    made = []
    what = hit.variant.what if isinstance(hit.variant, Full) else "disk"
    if what == "saved":
        return (full_disks.of_checkpoints(facts),)
    if what == "limit":
        # Not "unlimited": that also sets the hard limit, which only root may raise, and bash says "Operation not permitted".
        why = (
            "sets the shell's limit to its hard limit. If ulimit -H -f shows a number and not unlimited, open a new shell, or ask the "
            "operator of the container or cluster for a higher limit"
        )
        step = commands.by_hand(("ulimit", "-S", "-f", "hard"), why, "the limit of this shell", "none")
        return (Fix(title="Allow larger files in this shell", steps=(step,), verify=building.verify(facts)),)
    if isinstance(hit.variant, Full) and hit.variant.of in ("apptainer", "triton"):
        return (full_disks.of_a_cache(facts, hit.variant.of),)
    if what == "temporary" and not roomy and facts.system.os != "windows":
        why = "the installer unpacks its downloads in TMPDIR: /tmp is often small and in memory, /var/tmp is on a disk; df -h /var/tmp shows its free space"
        step = commands.variable("TMPDIR", "/var/tmp", why)  # noqa: S108 -- no file is made here
        made.append(Fix(title="Put temporary files on another disk", steps=(step,), verify=building.verify(facts)))
    if places.container(facts) == places.BUILD:
        made.append(full_disks.of_the_host(facts))
    full = next((d for d in disks if d.purpose == "site-packages" and _is_full(d)), None)
    if full is not None and not isinstance(hit.variant, Full):
        made.append(_of_the_environment(facts, hit, full))
    elif roomy:
        folder = roomy[0].path.rpartition("/")[0] or "/"
        name = "TEMP" if facts.system.os == "windows" else "TMPDIR"
        step = commands.variable(
            name, folder, "this disk has enough space; the installer unpacks its downloads in that folder"
        )
        made.append(
            Fix(title="Put temporary files on a disk with enough space", steps=(step,), verify=building.verify(facts))
        )
    if not _without_cache(facts) and places.container(facts) != places.BUILD:
        made.append(Fix(title="Clear the cache", steps=(_purge(facts, hit),), verify=building.verify(facts)))
    if not roomy:
        move = commands.by_hand(
            (),
            "or set these variables to a folder on a disk with enough space: TMPDIR (on Windows TEMP) for unpacked files, and PIP_CACHE_DIR, "
            "UV_CACHE_DIR or CONDA_PKGS_DIRS for the cache",
            "where temporary files go",
            "none",
        )
        made.append(Fix(title="Use another disk", steps=(move,), verify=building.verify(facts)))
    return tuple(made)


def _is_full(disk: Disk) -> bool:
    return isinstance(disk.free_bytes, int) and disk.free_bytes < ROOM


def _of_the_environment(facts: Facts, hit: Hit, disk: Disk) -> Fix:
    """Return the fix for a full disk of the environment, which another place for temporary files does not help."""
    words = (
        f"shows what is left of the disk with this environment: an installation of torch needs {ROOM // GIGABYTE} GB there. Delete what you do not need, or "
        "make the environment in a folder on another disk, and check that one with --target"
    )
    argv = ("df", "-h", disk.path) if facts.system.os != "windows" else ()
    room = commands.by_hand(argv, words, "files of yours", "none")
    purge = () if _without_cache(facts) else (_purge(facts, hit),)
    return Fix(title="Make room on the disk of the environment", steps=(*purge, room), verify=building.verify(facts))


def _without_cache(facts: Facts) -> bool:
    """Return whether the command uses no cache (--no-cache-dir, usual in image builds), so that there is nothing to clear."""
    command = facts.subject.command
    return isinstance(command, str) and "--no-cache" in command


def _purge(facts: Facts, hit: Hit) -> Step:
    """Return the step that empties the cache of the tool which ran out of space."""
    why = "deletes wheels that were downloaded before; they are downloaded again when they are needed"
    of = hit.variant.of if isinstance(hit.variant, Full) else "another"
    kind = facts.interpreter.kind
    if kind == "pixi":
        return commands.run(("pixi", "clean", "cache"), why, "empties pixi's cache")
    if of == "conda":
        tools = facts.interpreter.installers if isinstance(facts.interpreter.installers, tuple) else ()
        tool = next((name for t in tools if (name := t.partition(" ")[0]) in ("mamba", "micromamba")), "conda")
        return commands.run((tool, "clean", "--all", "--yes"), why, f"empties {tool}'s cache of packages")
    if of == "uv" or own(facts) == "uv":
        return commands.run(("uv", "cache", "clean"), why, "empties uv's cache")
    return commands.run(
        (*commands.starting(facts), "-m", "pip", "cache", "purge"), why=why, changes="empties pip's cache"
    )
