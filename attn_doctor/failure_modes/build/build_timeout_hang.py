"""The build takes hours, or was stopped before it ended.

What it is
    pip prints "Building wheel for flash-attn (setup.py) ..." and then nothing for hours. The build is compiling:
    about 3 hours of processor time for each GPU architecture. Or it is waiting for an answer from GitHub.

How it shows
    The last line is "Building wheel for flash-attn (setup.py) ... -" with a turning bar. Or a job ends during a build
    with "DUE TO TIME LIMIT", "The operation was canceled" or Ctrl-C.

Why it happens
    No finished wheel fits this torch and Python, so pip compiles, and prints nothing meanwhile. Without ninja, or
    with MAX_JOBS=1, only one file is compiled at a time.

What to do
    Look for a finished wheel first (`attn-doctor wheels`). If there is none, install ninja, build only for your own
    GPU (FLASH_ATTN_CUDA_ARCHS), set MAX_JOBS to as many jobs as the memory is enough for, and add `-v` to see the
    progress.

How to reproduce
    `attn-doctor reproduce build-timeout-hang` lets flash-attn's own setup.py wait for its wheel from a server that
    never answers, and stops it. Stand-ins (parts that are not real): a torch that only looks like a CUDA build;
    GitHub. It downloads 13 MB, and a CPU build of torch (200 MB) if the target's torch cannot be used.

References
    https://github.com/Dao-AILab/flash-attention/issues/1038
    https://github.com/Dao-AILab/flash-attention/issues/113
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every
from attn_doctor.failure_modes.recipe import (
    BUILD_TOOLS,
    GITHUB,
    INSTALL_SOURCE,
    LOOKS_LIKE_CUDA,
    Network,
    Recipe,
    Source,
    StubToolkit,
    Torch,
    Variable,
)
from attn_doctor.failure_modes.shared import building, package_cures, subject
from attn_doctor.knowledge.build import predict
from attn_doctor.logs.reader import Log, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD121",
    slug="build-timeout-hang",
    title="The build takes hours",
    train=Severity.INFO,
    flash_attn=Severity.WARNING,
    stops="build",
    signs=(
        Sign(
            pattern=r"Building wheels? for (?:collected packages: )?(?P<package>[\w.-]+)",
            literal="Building wheel",
            sample="  Building wheel for flash-attn (setup.py) ... -",
            strength="hint",
        ),
        Sign(
            pattern=r"^\s*(?:[^\w\s]\s)?(?:Building|Preparing packages\.\.\.) (?P<package>flash[-_]attn\S*|[a-z][\w.-]{1,60}==\d\S{0,40}$)",
            literal="Building ",
            sample="   Building flash-attn==2.8.3.post2",
            strength="hint",
        ),
        Sign(
            pattern=r"CANCELLED AT .{0,40}DUE TO TIME LIMIT",
            literal="DUE TO TIME LIMIT",
            sample="slurmstepd: error: *** JOB 123 ON node1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***",
            strength="hint",
        ),
        *(
            Sign(pattern=re.escape(literal), literal=literal, sample=sample, strength="hint")
            for literal, sample in (
                ("The operation was cancel", "##[error]The operation was canceled."),
                (
                    "exceeded the maximum execution time",
                    "The job has exceeded the maximum execution time of 360 minutes.",
                ),
                ("timeout: sending signal ", "timeout: sending signal TERM to command 'pip'"),
                ("Operation cancelled by user", "ERROR: Operation cancelled by user"),
                ("context deadline exceeded", "ERROR: failed to solve: context deadline exceeded"),
            )
        ),
    ),
    recipe=Recipe(
        does="lets flash-attn's own setup.py wait for its wheel from a server that never answers, and stops it",
        of=(
            Torch(cuda="12.8"),
            BUILD_TOOLS,
            Source(),
            StubToolkit(version="12.8"),
            Network(kind="hang", hosts=GITHUB),
            Variable(name="CUDA_HOME", value="{toolkit}"),
        ),
        run=(INSTALL_SOURCE,),
        shows="stopped after",
        seconds=80,
        deadline=60,
        stands_in=(LOOKS_LIKE_CUDA, "GitHub"),
    ),
)

LONG = 2.0  # hours; a longer build gets a notice before it begins
# Lines after the end of a log, which a recorder, a shell or a person added.
_ENDED = re.compile(r"^\[(?:exit code: ?-?\d+|stopped after )|^\^C|^Terminated\b|^[\w.-]+@[\w.-]+[:~ ].{0,80}[$#] ?$")
_WAITING = re.compile(
    r"Building wheels? for (?:collected packages: )?[\w., -]*(?:\((?:setup\.py|pyproject\.toml)\)(?: ?\.\.\.|: started)?)?\s*[-\\|/⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏\s]*$"
    r"|(?:^|\s)Building (?:flash[-_]attn\S*|[a-z][\w.-]{1,60}==\d\S{0,40})\s*$"
    # With -v the last line is the command of the compiler that is running, or belongs to the step before it.
    r"|^(?:DEBUG )?\s*(?:building '[\w.]+' extension$|(?:adding|copying|creating) '?\S+\.(?:py|so|h|txt)\b|creating \S*build/temp\.|\[\d+/\d+\] \S*(?:nvcc|g\+\+|c\+\+|cc) "
    r"|(?:\S*/)?(?:[\w-]{0,30}(?:g\+\+|gcc|c\+\+)|cc|nvcc) .{0,4000}(?: -c |-[ID]\S))"
)
# Lines of an error. The log was cut later, in the compiler's command that is printed after the error.
_FAILED = re.compile(r"finished with status 'error'|^\s*FAILED: ")


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: building.would_be_built(facts), lambda: building.nvcc(facts) is not None):
        return None
    release = building.wanted_release(facts)
    foreseen = predict(building.build_key(facts, release))
    cost = foreseen.default_cost
    if cost is None or cost.hours < LONG:
        return None
    return Hit(
        message=f"Compiling flash-attn {release} here takes about {cost.duration}, and pip prints nothing meanwhile.",
        evidence=(
            fact(facts, "system.cores", f"{cost.cpu_hours:.0f} hours of processor time on this machine's cores"),
        ),
        confidence=Confidence.MEDIUM,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    stopped = tuple(m for m in seen.matches if "package" not in m.groups and building.in_build(seen, m))
    if stopped:
        return Hit(message="The build was stopped from outside before it ended.", evidence=building.lines(stopped))
    unfinished = tuple(
        m for log in seen.logs if _unfinished(log) for m in seen.matches if m.file == log.file and "package" in m.groups
    )
    if not unfinished:
        return None
    return Hit(
        message="The log ends while a wheel is being built. The build was compiling (for hours), was waiting for GitHub, or was stopped.",
        evidence=building.lines(unfinished[-1:]),
        confidence=Confidence.MEDIUM,
    )


# A sentence that a person wrote below the lines of a terminal: it has three words, or letters that are not ASCII, and does not begin with a word that
# pip, uv or a compiler prints.
_SENTENCE = re.compile(
    r"(?=.*[^\x00-\x7f]|(?:\S+ ){2,}\S)(?!(?:Successfully|Created|Stored|Building|Built|Running|Installing|Collecting|Downloading|Using|Looking|Preparing|Getting|Removing|"
    r"Processing|Requirement|Attempting|Found|Audited|Resolved|Prepared|Uninstalled|Installed|Killed|Aborted)\b)"
    r"[^\W\d_][^/\\=:<>{}\[\]()$#|]{3,200}[.?!,。？！…]*"
)
_SENTENCES = 4  # at most so many sentences are skipped


def _unfinished(log: Log) -> bool:
    """Return whether a log ends while a wheel is being built, and no line says that the build failed.

    Sentences below the log, by the person who posted it, are skipped.
    """
    rest = [line for line in log.tail if line.strip() and not _ENDED.match(line)]
    for _ in range(_SENTENCES):
        if len(rest) > 1 and not _WAITING.search(rest[-1]) and _SENTENCE.fullmatch(rest[-1].strip()):
            rest.pop()
    return bool(rest) and bool(_WAITING.search(rest[-1])) and not any(_FAILED.search(line) for line in rest)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    steps = [commands.install("ninja", why="compiles several files at the same time", changes="adds ninja")]
    if subject.is_flash_attn(facts):
        settings = building.variables(building.foreseen(facts))
        steps.extend(
            commands.variable(n, v, "limits the build to what this machine and its GPU need")
            for n, v in settings.items()
        )
    else:
        steps.append(package_cures.fewer_jobs(facts))
    steps.append(building.build(facts, "add -v to see the progress"))
    quick = Fix(title="Build as quickly as this machine can", steps=tuple(steps), verify=building.verify(facts))
    return building.with_own_build(facts, quick)
