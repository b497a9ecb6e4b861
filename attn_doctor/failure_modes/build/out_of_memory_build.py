"""The build ran out of memory, and the system killed a compiler.

What it is
    To compile flash-attn's kernels, much memory is needed: over 6 GB for the largest file, for each architecture that
    nvcc compiles at the same time. And several files are compiled at the same time.

How it shows
    "Killed", "c++: fatal error: Killed signal terminated program cc1plus", "nvcc error : 'cicc' died due to signal
    9", exit code 137, "virtual memory exhausted", MSVC's "C1060: compiler is out of heap space". Often there is no
    message: the machine does not answer any more, or the ssh connection is lost. A traceback of "HTTP Error 404" or
    "urlopen error" below these lines is not the cause.

Why it happens
    The memory that is needed is jobs × threads of nvcc × the peak of one file. setup.py reads the free memory and
    sets MAX_JOBS to one job for each 9 GB; but with four architectures and four threads the largest job needs three
    times as much. In a container setup.py reads the memory of the host, and not the limit of the container.

What to do
    Set MAX_JOBS to a number from 1 to 4, and NVCC_THREADS=1. Name only the architecture of your own GPU
    (FLASH_ATTN_CUDA_ARCHS, since 2.7.3). Or add swap. Or install a finished wheel.

How to reproduce
    `attn-doctor reproduce out-of-memory-build` compiles C++ with 100 MB of memory. It downloads nothing.

References
    https://github.com/Dao-AILab/flash-attention/issues/347
    https://github.com/Dao-AILab/flash-attention/issues/2493
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every
from attn_doctor.failure_modes.recipe import File, Memory, Recipe
from attn_doctor.failure_modes.shared import building, make_builds, memory_cures, package_cures, subject
from attn_doctor.knowledge import translated_messages
from attn_doctor.knowledge.build import GIGABYTE, predict
from attn_doctor.knowledge.translated_messages import translations
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step

# 已终止 is "Terminated" in Chinese: a program that watches the memory, such as earlyoom, ends other programs before the kernel kills them.
_KILLED = (*translations("Killed"), "已终止")
_SIGKILL = translated_messages.pattern("Killed")
# "Exit code" in other languages, and the word "Error" in make's "Error 137" (its po files).
_EXIT_CODE = (
    "退出码", "退出代码", "返回码", "返回值", "結束代碼", "終了コード", "종료 코드", "Exit-Code", "Rückgabewert", "Exitcode", "code de sortie",
    "code de retour", "código de salida", "código de saída", "codice di uscita", "код выхода", "кодом выхода", "кодом возврата", "код завершения",
    "错误", "錯誤", "エラー", "오류", "Fehler", "Erreur", "Erro", "Errore", "Ошибка",
)  # fmt: skip
_COMPILER = r"(?:cicc|cc1plus|cc1|cudafe\+\+|ptxas|nvcc|fatbinary|ld|collect2|lto1|cl)"

MODE = FailureMode(
    code="AD120",
    slug="out-of-memory-build",
    title="The build ran out of memory",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "build-timeout-hang", "out-of-memory-host", "extension-not-built"),
    signs=(
        Sign(
            pattern=r"(?<!Segmentation fault )(?<!Aborted )(?<!Bus error )signal terminated program (?P<program>cc1plus|cc1|\w+)",
            literal="signal terminated program",
            sample="c++: fatal error: Killed signal terminated program cc1plus",
        ),
        Sign(
            pattern=r"信号终止了程序 ?(?P<program>\w+)",
            literal="信号终止了程序",
            sample="c++: 致命错误：已杀死 信号终止了程序 cc1plus",
        ),
        # gcc's translations: https://gcc.gnu.org/git/?p=gcc.git;a=tree;f=gcc/po
        *(
            Sign(pattern=pattern, literal=literal, sample=sample)
            for pattern, literal, sample in (
                (
                    rf"{_SIGKILL}.{{0,30}} hat Programm (?P<program>\w+) beendet",
                    " hat Programm ",
                    "c++: schwerwiegender Fehler: Signal Getötet hat Programm cc1plus beendet",
                ),
                (
                    rf"{_SIGKILL}.{{0,30}} a terminé le programme (?P<program>\w+)",
                    " le programme ",
                    "c++: erreur fatale: le signal Processus arrêté a terminé le programme cc1plus",
                ),
                (
                    rf"{_SIGKILL}.{{0,30}} terminó el programa (?P<program>\w+)",
                    " el programa ",
                    "g++: error fatal: la señal Terminado (killed) terminó el programa cc1plus",
                ),
            )
        ),
        Sign(
            pattern=rf"\(program (?P<program>{_COMPILER})\)",
            literal="(program c",
            sample="g++: internal compiler error: Killed (program cc1plus)",
        ),
        Sign(
            pattern=r"'(?P<program>[\w+]{1,20})' died due to signal 9",
            literal="died due to signal 9",
            sample="nvcc error   : 'cicc' died due to signal 9 (Kill signal)",
        ),
        Sign(
            pattern=r"\b(?P<program>\w{1,20}) terminated with signal 9",
            literal="terminated with signal 9",
            sample="collect2: fatal error: ld terminated with signal 9 [Killed]",
        ),
        Sign(
            pattern=rf"Out of memory: Killed process \d+ \((?P<program>{_COMPILER})\)",
            literal="Out of memory: Killed process",
            sample="[ 1234.567890] Out of memory: Killed process 4242 (cicc) total-vm:9123456kB, anon-rss:6912345kB",
        ),
        Sign(
            pattern=r"virtual memory exhausted",
            literal="virtual memory exhausted",
            sample="virtual memory exhausted: Cannot allocate memory",
        ),
        Sign(
            pattern=rf"(?P<program>{_COMPILER}): out of memory allocating \d+ bytes",
            literal="out of memory allocating",
            sample="cc1plus: out of memory allocating 65536 bytes after a total of 1073741824 bytes",
        ),
        Sign(
            pattern=r"fatal error C(?:1060|1076|3859|1002)\b",
            literal="fatal error C",
            sample="flash_api.cpp(1): fatal error C1060: compiler is out of heap space",
        ),
        Sign(
            pattern=r"unable to execute command: Killed",
            literal="unable to execute command: Killed",
            sample="clang++: error: unable to execute command: Killed",
        ),
        Sign(
            pattern=r"(?:pip3? install|uv pip|uv sync|setup\.py)[^']{0,400}' returned a non-zero code: 137",
            literal="non-zero code: 137",
            sample="The command '/bin/sh -c pip install flash-attn' returned a non-zero code: 137",
            strength="hint",
        ),
        Sign(
            pattern=r"internal compiler error: Segmentation fault|Segmentation fault signal terminated program",
            literal="egmentation fault",
            sample="g++: internal compiler error: Segmentation fault signal terminated program cc1plus",
            strength="hint",
        ),
        # Any program may print these lines: they count only if the log is about a build.
        Sign(
            pattern=r"(?:^|[\s:\]|])Killed(?:\s+(?:/|nvcc|g\+\+|c\+\+|python|pip|ninja|\()|\s*$|\x0b)",
            literal="Killed",
            sample="Killed",
            strength="hint",
        ),
        *(
            Sign(
                pattern=rf"(?<![^\s:：\]|]){re.escape(word)}(?:\s+(?:/|nvcc|g\+\+|c\+\+|python|pip|ninja|MAX_JOBS|\()|\s*$|\x0b)",
                literal=word,
                sample=word,
                strength="hint",
            )
            for word in _KILLED
        ),
        *(
            Sign(pattern=re.escape(literal) + r"\b", literal=literal, sample=sample, strength="hint")
            for literal, sample in (
                (
                    "code: 137",
                    'process "/bin/sh -c pip install flash-attn" did not complete successfully: exit code: 137',
                ),
                (
                    "status 137",
                    "subprocess.CalledProcessError: Command '['ninja', '-v']' returned non-zero exit status 137.",
                ),
                ("code 137", "The command '/bin/sh -c pip install flash-attn' returned a non-zero code 137"),
                ("rc=137", "nvcc rc=137"),
                ("by signal 9", "sh: nvcc: killed by signal 9"),
                ("with signal 9", "Program exited with signal 9"),
                (
                    "signal: 9",
                    "error: process didn't exit successfully: `python setup.py bdist_wheel` (signal: 9, SIGKILL: kill)",
                ),
                ("code=137", "flash_attn build failed, code=137"),
                ("status: 137", "Call to `setuptools.build_meta.build_wheel` failed (exit status: 137)"),
                ("Error 137", "make: *** [Makefile:12: flash_api.o] Error 137"),
                ("code -9", "error: command '/usr/bin/g++' failed with exit code -9"),
                ("status -9", "error: command '/usr/bin/g++' failed with exit status -9"),
                (
                    "Signals.SIGKILL",
                    "subprocess.CalledProcessError: Command '['ninja', '-v']' died with <Signals.SIGKILL: 9>.",
                ),
                ("oom_kill event", "slurmstepd: error: Detected 1 oom_kill event in StepId=123.batch."),
                ("oom-kill event", "slurmstepd: error: Detected 1 oom-kill event(s) in step 123.batch cgroup."),
                ("OOM Killed", "Some of the step tasks have been OOM Killed."),
            )
        ),
        *(
            Sign(
                pattern=rf"(?<!\w){word}\s?[:：]?\s?(?:为|是|は)?\s?137\b",
                literal=word,
                sample=f"{word} 137",
                strength="hint",
            )
            for word in _EXIT_CODE
        ),
        # torch compiles the extension while the program runs: https://docs.pytorch.org/docs/stable/cpp_extension.html#torch.utils.cpp_extension.load
        Sign(
            pattern=r"Error building extension '(?P<loaded>\w{1,80})'",
            literal="Error building extension",
            sample="RuntimeError: Error building extension 'rasterizer_plugin': [1/16] c++ -MMD -MF common.o.d",
            strength="context",
        ),
        *(
            Sign(
                pattern=rf"[\\/](?P<isolated>{literal}{rest})[\\/]",
                literal=literal,
                sample=f'  File "/t/{sample}/lib/python3.10/site-packages/torch/utils/cpp_extension.py", line 9, in x',
                strength="context",
            )
            for literal, rest, sample in (
                ("pip-build-env-", r"\w{4,12}", "pip-build-env-x1y2z3w4/overlay"),
                ("builds-v0", r"[\\/]\.tmp\w{4,12}", "builds-v0/.tmpAb12cD"),
            )
        ),
        Sign(
            pattern=r"std::bad_alloc",
            literal="std::bad_alloc",
            sample="terminate called after throwing an instance of 'std::bad_alloc'",
            strength="hint",
        ),
        Sign(
            pattern=r"Cannot allocate memory",
            literal="Cannot allocate memory",
            sample="OSError: [Errno 12] Cannot allocate memory",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="compiles C++ with 100 MB of memory",
        of=(File(path="small.cpp", text=('#include <regex>\nstd::regex small("small");\n')), Memory(megabytes=100)),
        run=(("g++", "-O2", "-c", "small.cpp", "-o", "small.o"),),
        shows="memory",
        seconds=1,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: building.would_be_built(facts), lambda: building.nvcc(facts) is not None):
        return None
    release = building.wanted_release(facts)
    cost = predict(building.build_key(facts, release)).default_cost
    if cost is None:
        return None
    free = building.memory(facts) / GIGABYTE
    if free >= cost.likely_gigabytes:
        return None
    jobs = max(1, round(cost.gigabytes / cost.gigabytes_per_job))
    return Hit(
        message=f"Compiling flash-attn {release} with its own settings needs about {cost.likely_gigabytes:.0f} GB "
        f"({jobs} job{'s' if jobs > 1 else ''} of up to {cost.gigabytes_per_job:.0f} GB), and {free:.0f} GB are available.",
        evidence=(fact(facts, "system.available_bytes", f"{free:.1f} GB of memory are available to a build"),),
        confidence=Confidence.HIGH if cost.verified else Confidence.MEDIUM,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    program = seen.group("program")
    if any(m.strength == "proof" for m in seen.matches):
        who = f" ({program})" if program else ""
        return Hit(
            message=f"A compiler{who} was stopped because memory ran out.",
            evidence=evidence,
            variant=make_builds.ByMake()
            if make_builds.made_it(seen)
            else AtRunTime(name=loaded)
            if (loaded := seen.group("loaded"))
            else None,
        )
    typed = facts.subject.command
    installs = isinstance(typed, str) and _INSTALL.search(typed) is not None
    hints = tuple(
        m
        for m in seen.matches
        if m.strength == "hint" and (installs or building.in_build(seen, m) or _INSTALL.search(m.text))
    )
    crash = all("egmentation" in m.text for m in hints)
    if hints and crash:
        return Hit(
            message="A compiler crashed: memory ran out, or the compiler has a bug.",
            evidence=evidence,
            confidence=Confidence.LOW,
        )
    if not hints:
        return None
    sure = any(_a_kill(m) for m in hints)
    return Hit(
        message="A process of the build was killed. The usual reason is that memory ran out.",
        evidence=building.lines(hints),
        variant=make_builds.target(seen) or (Isolated() if seen.group("isolated") else None),
        confidence=Confidence.HIGH if sure else Confidence.MEDIUM,
    )


class Isolated(Variant, frozen=True):
    """Mark the case that the installer built in an environment of its own, where the package's build has all it needs."""


class AtRunTime(Variant, frozen=True, kw_only=True):
    """Hold the extension that the program itself compiles when it runs."""

    name: str


def _repeat(facts: Facts, variant: Variant | None) -> Step:
    """Return the step that builds again, by what had built: make, the running program, or an installer."""
    if isinstance(variant, make_builds.ByMake):
        return make_builds.again(facts)
    if isinstance(variant, make_builds.ByTarget):
        return make_builds.target_again(facts, variant)
    if isinstance(variant, AtRunTime):
        words = (
            f"start the program again in this shell: it compiles {variant.name} itself, now with one compiler at a time"
        )
        return commands.by_hand((), words, "torch's folder of compiled extensions", "none", takes="minutes")
    if isinstance(variant, Isolated) and subject.requirement(facts) is None:
        words = "repeat your command in this shell, with no other option: its build gets this variable too. Compiling may take hours"
        return commands.by_hand((), words, "adds the package", takes="hours")
    return building.build(facts, "with one compiler at a time")


_INSTALL = re.compile(
    r"pip3? install|uv (?:pip|sync|add)|setup\.py|ninja|flash[-_]attn|cc1plus|nvcc|internal compiler error"
)


def _a_kill(match: Match) -> bool:
    """Return whether the line says that a process was killed. 已终止 alone does not: it is also what `kill` prints."""
    return (
        any(
            word in match.text
            for word in ("Killed", "137", "ignal 9", "ignal: 9", "SIGKILL", *_KILLED)
            if word != "已终止"
        )
        or "oom" in match.text.lower()
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    steps: list[Step] = []
    if subject.is_flash_attn(facts) and not isinstance(hit.variant, AtRunTime):
        foreseen = building.foreseen(facts)
        if foreseen is not None and isinstance(foreseen.fits_memory, Answer) and not foreseen.fits_memory.yes:
            steps.append(memory_cures.swap(facts, ""))
        variables = building.variables(foreseen) or {"MAX_JOBS": "1", "NVCC_THREADS": "1"}
        steps.extend(
            commands.variable(name, value, "fewer compilers run at the same time, so less memory is needed")
            for name, value in variables.items()
        )
        cost = foreseen.cost if foreseen else None
        takes = f": needs about {cost.duration} and {cost.gigabytes:.0f} GB of memory" if cost else ""
        steps.append(building.build(facts, f"with fewer compilers at the same time{takes}"))
    else:
        steps += (
            make_builds.limits(facts)
            if isinstance(hit.variant, make_builds.ByMake)
            else [package_cures.fewer_jobs(facts, 1)]
        )
        repeated = _repeat(facts, hit.variant)
        swap = memory_cures.swap(facts, "if this is not enough: ")
        steps += [repeated, swap] if isinstance(hit.variant, make_builds.ByTarget) else [swap, repeated]
    less = Fix(title="Build with less at once", steps=tuple(steps), verify=building.verify(facts))
    return (less,) if isinstance(hit.variant, AtRunTime) else building.with_own_build(facts, less)
