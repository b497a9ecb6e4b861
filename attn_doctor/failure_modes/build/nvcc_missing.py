"""A CUDA folder is found, but it contains no compiler that runs.

What it is
    CUDA_HOME (or /usr/local/cuda) is a folder without a working bin/nvcc. It contains only the runtime part of a
    toolkit.

How it shows
    "FileNotFoundError: [Errno 2] No such file or directory: '/usr/local/cuda/bin/nvcc'" from get_cuda_bare_metal_version;
    "PermissionError: ... nvcc"; "Command '['/usr/local/bin/nvcc', '-V']' returned non-zero exit status 127"; "nvcc: command not
    found"; "Could not find NVCC executable".

Why it happens
    Docker images have tags with -runtime (no compiler) and with -devel (with compiler). conda's cuda-runtime and
    cudatoolkit contain no nvcc. Or nvcc is a script, and the program that it calls was removed.

What to do
    Use a -devel image; or install the compiler that belongs to that folder; or set CUDA_HOME to a complete toolkit. A
    finished wheel, installed by its address, needs no toolkit.

How to reproduce
    `attn-doctor reproduce nvcc-missing` runs flash-attn's own setup.py with CUDA_HOME set to a toolkit without nvcc.
    Stand-ins (parts that are not real): a torch that only looks like a CUDA build. It downloads 13 MB, and a CPU
    build of torch (200 MB) if the target's torch cannot be used.

References
    https://github.com/Dao-AILab/flash-attention/issues/1093
    https://hub.docker.com/r/nvidia/cuda
"""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.commands import system_tools
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import (
    BUILD_TOOLS,
    INSTALL_SOURCE,
    LOOKS_LIKE_CUDA,
    Recipe,
    Source,
    StubToolkit,
    Torch,
    Variable,
)
from attn_doctor.failure_modes.shared import building, cut_logs, not_found_words, own_locate_cuda, toolkits
from attn_doctor.knowledge import translated_messages
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts, Toolkit
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD106",
    slug="nvcc-missing",
    title="A CUDA folder without nvcc",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=("build-failed-unspecified", "extension-not-built"),
    signs=(
        Sign(
            pattern=r"(?:No such file or directory|\[WinError 2\][^']{0,80}): '(?P<nvcc>(?!~|.{0,300}(?:/bin/bin|nvcc/bin)/nvcc)"
            r"(?:[A-Za-z]:)?[^':;\"$]{0,300}nvcc(?:\.exe)?)'",
            literal="nvcc'",
            sample="FileNotFoundError: [Errno 2] No such file or directory: '/usr/local/cuda/bin/nvcc'",
        ),
        Sign(
            pattern=r"\[WinError 2\][^']{0,80}: '(?P<nvcc>[^']{0,300}nvcc\.exe)'",
            literal="nvcc.exe'",
            sample="FileNotFoundError: [WinError 2] The system cannot find the file specified: 'C:\\\\CUDA\\\\bin\\\\nvcc.exe'",
        ),
        Sign(
            pattern=r"PermissionError: \[Errno 13\][^']*'(?P<nvcc>[^']*/nvcc)'",
            literal="nvcc'",
            sample="PermissionError: [Errno 13] Permission denied: '/opt/cuda/bin/nvcc'",
        ),
        Sign(
            pattern=r"Command '\['(?P<nvcc>[^']*nvcc)', '-V'\]' returned non-zero exit status",
            literal="nvcc', '-V']' returned",
            sample="subprocess.CalledProcessError: Command '['/usr/local/bin/nvcc', '-V']' returned non-zero exit status 127.",
        ),
        Sign(
            pattern=rf"(?<!\S)(?P<nvcc>[^\s':]{{0,300}}nvcc)\s?: (?:{translated_messages.pattern('Permission denied')}|cannot execute|Exec format error)",
            literal="nvcc: ",
            sample="/bin/sh: 1: /usr/local/cuda/bin/nvcc: Permission denied",
        ),
        # setup.py looks for the word "release" in what nvcc -V prints.
        Sign(
            pattern=r"'release' is not in list",
            literal="'release' is not in list",
            sample="ValueError: 'release' is not in list",
        ),
        Sign(
            pattern=r"(?P<nvcc>nvcc): not found",
            literal=": not found",
            sample="/bin/sh: 1: nvcc: not found",
        ),
        Sign(
            pattern=r"Could not find (?P<nvcc>NVCC) executable",
            literal="Could not find NVCC",
            sample="FileNotFoundError: Could not find NVCC executable",
        ),
        Sign(
            pattern=rf"\b(?P<nvcc>nvcc){not_found_words.NO_COMMAND}",
            literal="nvcc: ",
            sample="/bin/bash: line 1: nvcc: command not found",
        ),
        Sign(
            pattern=rf"\b(?P<nvcc>nvcc){not_found_words.NO_COMMAND}",
            literal="nvcc：",
            sample="bash: nvcc：未找到命令",
        ),
        Sign(
            pattern=rf"\b(?P<nvcc>nvcc){not_found_words.NO_COMMAND}",
            literal="nvcc :",
            sample="bash: nvcc : commande introuvable",
        ),
        Sign(
            pattern=rf"\b(?P<nvcc>nvcc){not_found_words.NO_COMMAND}",
            literal="nvcc\xa0:",
            sample="bash: nvcc\xa0: commande introuvable",
        ),
        # CMake's words, in the builds of vLLM, llama-cpp-python, tiny-cuda-nn and NATTEN.
        Sign(
            pattern=r"CMAKE_CUDA_COMPILER not set, after EnableLanguage|No CMAKE_CUDA_COMPILER could be found|Could NOT find CUDA(?:Toolkit)? \(missing:",
            literal="CUDA",
            sample="CMake Error: CMAKE_CUDA_COMPILER not set, after EnableLanguage",
        ),
        # MSBuild compiles CUDA only with the part of the toolkit that is put into Visual Studio.
        Sign(
            pattern=r"(?P<studio>No CUDA toolset found)",
            literal="No CUDA toolset found",
            sample="  No CUDA toolset found.",
        ),
        *not_found_words.unknown_to_windows("nvcc", "nvcc"),
        *own_locate_cuda.SIGNS,
        Sign(
            pattern=r"(?:Error|ERROR|error|Exception|FATAL)\b.{0,60}\b(?:(?:[Cc]ould not|[Cc]annot|[Cc]an't|[Uu]nable to) (?:find|locate) nvcc|nvcc (?:is |was )?not (?:found|in (?:your |the )?(?:PATH|path)))",
            literal="nvcc",
            sample="RuntimeError: Could not find nvcc, please install the CUDA toolkit",
        ),
        # flash-attn, apex, mamba and causal-conv1d ask nvcc for its version in this function of their setup.py.
        cut_logs.frame(
            "get_cuda_bare_metal_version",
            "get_cuda_bare_metal_version",
            '  File "/tmp/pip-install-q5/flash-attn_c7/setup.py", line 57, in get_cuda_bare_metal_version',
            called=True,
        ),
        # The source line that starts nvcc, in the setup.py of DeepSpeed, xformers, apex and others. A log may end below it, in the frames of subprocess.
        *(
            Sign(
                pattern=r"(?P<cut>(?:check_output|Popen|run|check_call|getoutput)\(.{0,10}(?:cuda_home|cuda_dir|CUDA_HOME|nvcc)\b.{0,60})",
                literal=literal,
                sample=sample,
                strength="hint",
            )
            for literal, sample in (
                ("nvcc", '    raw = subprocess.check_output([cuda_home + "/bin/nvcc", "-V"], universal_newlines=True)'),
                ("nvcc,", "    subprocess.check_output([nvcc, '--version'], stderr=subprocess.STDOUT)"),
            )
        ),
        Sign(
            pattern=r"[\\/]subprocess\.py\", line \d+, in (?P<within>run|check_output|__init__|call|check_call|_execute_child)",
            literal='subprocess.py", line',
            sample='  File "/usr/lib/python3.10/subprocess.py", line 421, in check_output',
            strength="context",
        ),
        Sign(
            pattern=r"(?P<named>\bCUDA_(?:HOME|PATH)=['\"]?(?P<home>[^\s'\";]{2,200}))",
            literal="CUDA_",
            sample="CUDA_HOME=/opt/cuda-11.4 pip install -e .",
            strength="context",
        ),
        *cut_logs.TRACEBACKS,
    ),
    recipe=Recipe(
        does="runs flash-attn's own setup.py with CUDA_HOME set to a toolkit without nvcc",
        of=(
            Torch(cuda="12.8"),
            BUILD_TOOLS,
            Source(),
            StubToolkit(version="12.8", nvcc=False),
            Variable(name="CUDA_HOME", value="{toolkit}"),
        ),
        run=(INSTALL_SOURCE,),
        shows="No such file or directory: '.*/bin/nvcc'",
        seconds=20,
        stands_in=(LOOKS_LIKE_CUDA,),
    ),
)

# The words of the toolchain probe for a CUDA_HOME without a compiler that runs.
_NO_COMPILER = ("no bin/nvcc", "nvcc is not executable", "nvcc does not run")


def detect(facts: Facts) -> Hit | None:
    chain = facts.toolchain
    if not every(lambda: known(chain.cuda_home) is not None, lambda: building.setup_would_run(facts)):
        return None
    problem = known(chain.cuda_home_problem)
    if problem is None or not any(text in problem for text in _NO_COMPILER):
        return None
    whole = _whole_toolkit(facts)
    message = f"{chain.cuda_home}, where PyTorch looks for the CUDA compiler, {problem}."
    if whole is not None:
        message += f" {whole.root} is a complete toolkit."
    evidence = (
        fact(facts, "toolchain.cuda_home", f"PyTorch would use {chain.cuda_home} (from {chain.cuda_home_by})"),
        fact(facts, "toolchain.cuda_home_problem", f"it {problem}"),
    )
    return Hit(message=message, evidence=evidence)


def _whole_toolkit(facts: Facts) -> Toolkit | None:
    toolkits = facts.toolchain.toolkits
    if not isinstance(toolkits, tuple):
        return None
    return next((t for t in toolkits if isinstance(t.version, str) and t.missing_headers == ()), None)


class Called(Variant, frozen=True, kw_only=True):
    """Hold the CUDA_HOME in whose bin the build called nvcc, as a log names it; None if the log does not name it."""

    home: str | None
    variable: str = "CUDA_HOME"  # the variable that this setup.py reads


class InStudio(Variant, frozen=True):
    """Mark the case that CMake's generator is Visual Studio.

    It finds CUDA only by files that the toolkit's installer copies into it.
    """


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if cut_logs.alone(seen):
        called = _in_call(seen)
        if called is not None:
            return called
        return cut_logs.hit(
            Seen(tuple(m for m in seen.matches if "cut" not in m.groups or not _starts(m)), seen.logs),
            "In that function setup.py asks nvcc for its version. Probably the CUDA folder has no nvcc, or no CUDA folder was found.",
            "FileNotFoundError, PermissionError, TypeError or subprocess.CalledProcessError",
        )
    if seen.group("studio"):
        message = (
            "Visual Studio does not know CUDA: the toolkit is not installed, or was installed before Visual Studio."
        )
        return Hit(message=message, evidence=evidence, variant=InStudio())
    if any("CMAKE_CUDA" in m.text or "NOT find CUDA" in m.text for m in seen.matches):
        return Hit(
            message="CMake found no nvcc: no CUDA toolkit is installed, or its folder bin is not on PATH.",
            evidence=evidence,
        )
    own = own_locate_cuda.told(seen)
    if own is not None:
        return Hit(message=own.message, evidence=evidence, variant=Called(home=None, variable=own.variable))
    nvcc = (seen.group("nvcc") or "").replace("\\\\", "\\")  # a path of Windows, as Python's repr writes it
    if nvcc:
        message = f"{nvcc}, which the build called, does not exist or does not run."
    else:
        message = "The program that the build called as nvcc does not print a version as NVIDIA's nvcc does."
    return Hit(message=message, evidence=evidence)


def _starts(match: Match) -> bool:
    """Return whether the match is the source line that starts nvcc, and not the frame above that line."""
    return ", in " not in match.text and "get_cuda_bare_metal_version" not in match.groups["cut"]


def _in_call(seen: Seen) -> Hit | None:
    """Return the hit for a log that ends in the frames of subprocess, below the line that starts nvcc; None for all other logs."""
    calls = [m for m in seen.matches if "cut" in m.groups and _starts(m)]
    if not calls:
        return None
    last = calls[-1]
    log = next(log for log in seen.logs if log.file == last.file)
    below = [m for m in seen.matches if "within" in m.groups and m.file == last.file and m.line > last.line]
    named = any(m.line > last.line for m in log.about("an exception"))
    if not below or named:
        return None
    home = seen.group("home")
    where, place = (f" in {home}/bin", "in that folder") if home else ("", "where the build looks for it")
    return Hit(
        message=f"The log is cut: its last lines show that the build starts nvcc{where}, and the error is missing. Probably nvcc is not {place}. To be sure, "
        "run `attn-doctor diagnose` with the whole log: the missing line begins with FileNotFoundError or PermissionError.",
        evidence=tuple(
            Evidence(kind="log", file=m.file, line=m.line, text=m.text)
            for m in (*(m for m in seen.matches if "home" in m.groups), last)
        )[:4],
        variant=Called(home=home),
        confidence=Confidence.LOW,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, InStudio):
        ninja = commands.install("ninja", why="compiles without Visual Studio's project files", changes="adds ninja")
        generator = commands.variable(
            "CMAKE_GENERATOR",
            "Ninja",
            "CMake then calls nvcc from PATH, and needs no CUDA files in Visual Studio; repeat the build in that prompt",
        )
        steps = (ninja, system_tools.native_prompt(facts), generator)
        return (Fix(title="Build with ninja", steps=steps, verify=building.verify(facts)), *toolkits.cures(facts))
    if not isinstance(hit.variant, Called):
        return toolkits.cures(facts)
    variable = hit.variant.variable
    others = toolkits.cures(facts)
    if variable != "CUDA_HOME":
        others = tuple(
            msgspec.structs.replace(fix, steps=own_locate_cuda.named_too(fix.steps, variable)) for fix in others
        )
    return (_another_folder(facts, hit.variant.home, variable), *others)


_NVCCS = "/usr/local/cuda*/bin/nvcc"


def _another_folder(facts: Facts, home: str | None, variable: str) -> Fix:
    """Return the fix that looks for a folder with nvcc, and sets CUDA_HOME, or the variable that is read in place of it, to this folder."""
    none, title = "if it prints nothing, use the next fix", f"Point {variable} at a folder that has nvcc"
    if facts.system.os == "windows":
        look = commands.by_hand(
            ("where.exe", "nvcc"),
            f"prints each nvcc on PATH: set {variable} to the folder above bin; {none}",
            "nothing",
            "none",
        )
        edit = own_locate_cuda.for_windows(variable)
        return Fix(title=title, steps=(look, *edit), verify=building.verify(facts))
    look = commands.by_hand(
        ("sh", "-c", f"ls -d {_NVCCS}"),
        f"prints the path of each nvcc in /usr/local/cuda*/bin; {none}",
        "nothing",
        "none",
    )
    steps: tuple[Step, ...] = (look,)
    if commands.shell_of(facts) == "bash":
        not_that = f", in place of {home}" if home else ""
        line = f'export {variable}="$(dirname "$(dirname "$(ls -d {_NVCCS} | tail -n 1)")")"'
        why = f"the toolkit of the last nvcc that the line above prints{not_that}; then repeat the build"
        steps = (look, commands.by_hand(("sh", "-c", line), why, f"{variable}, only in this shell", "none"))
    return Fix(title=title, steps=steps, verify=building.verify(facts))
