"""There is no C++ compiler, or it is not on PATH.

What it is
    To build an extension, the system's C++ compiler is needed besides nvcc. None is found.

How it shows
    "error: command 'gcc' failed: No such file or directory", "unable to execute 'gcc'", "g++ (0.0.0) is less than the minimum
    required version": torch reads a missing compiler as version 0. Windows: "Error checking compiler version for cl: [WinError
    2]", "CreateProcess failed", "Microsoft Visual C++ 14.0 or greater is required", "Cannot find compiler 'cl.exe' in PATH". At
    run time: "RuntimeError: Failed to find C compiler" (triton), "No working C++ compiler found" (torch.compile).

Why it happens
    Slim container images contain no compiler. On Windows, cl.exe is on PATH only in the prompt that Visual Studio
    sets up.

What to do
    Debian and Ubuntu: `apt-get install build-essential`. Windows: install Visual Studio Build Tools, and build in its
    "x64 Native Tools" prompt. Or install a finished wheel, which needs no compiler.

How to reproduce
    `attn-doctor reproduce host-compiler-missing` builds a small extension with a PATH that has no compiler. It
    downloads 3 MB.

References
    https://github.com/Dao-AILab/flash-attention/issues/1017
    https://visualstudio.microsoft.com/visual-cpp-build-tools/
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import host_compilers, system_tools
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import BUILD_TOOLS, INSTALL, File, Recipe, Variable, Without
from attn_doctor.failure_modes.shared import building, cut_logs, not_found_words
from attn_doctor.knowledge.translated_messages import translations
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

_NAME = r"(?:\S{0,200}/)?(?:[\w.]{1,40}-){0,5}(?:gcc|g\+\+|cc|c\+\+)(?:-\d+)?"

MODE = FailureMode(
    code="AD115",
    slug="host-compiler-missing",
    title="There is no C++ compiler",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "host-compiler-too-old", "triton-libcuda-link", "extension-not-built"),
    signs=(
        Sign(
            pattern=rf"command '(?P<compiler>{_NAME}|cl(?:\.exe)?)' failed: (?:No such file|None|\[Errno 2\]|\[WinError 2\])",
            literal="' failed: ",
            sample="error: command 'gcc' failed: No such file or directory",
        ),
        Sign(
            pattern=rf"unable to execute '(?P<compiler>{_NAME})'",
            literal="unable to execute '",
            sample="unable to execute 'x86_64-linux-gnu-gcc': No such file or directory",
        ),
        Sign(
            pattern=r"version of (?P<compiler>\S{1,40}) \(0\.0\.0\) is less than the minimum required version",
            literal="(0.0.0) is less than the minimum",
            sample="RuntimeError: The current installed version of g++ (0.0.0) is less than the minimum required version by CUDA 13.0 "
            "(6.0.0). Please make sure to use an adequate version of g++ (>=6.0.0, <16.0).",
        ),
        Sign(
            pattern=rf"No such file or directory: '(?P<compiler>{_NAME}|cl(?:\.exe)?)'",
            literal="No such file or directory: '",
            sample="FileNotFoundError: [Errno 2] No such file or directory: 'g++'",
        ),
        Sign(
            pattern=r"(?:^|[\s:/])(?P<compiler>gcc|g\+\+|cc|c\+\+): No such file or directory",
            literal=": No such file or directory",
            sample="gcc: No such file or directory",
        ),
        Sign(
            pattern=r"error: \[WinError 2\]",
            literal="error: [WinError 2]",
            sample="error: [WinError 2] The system cannot find the file specified",
            strength="hint",
        ),
        Sign(
            pattern=r"(?:^|[\s:])(?P<compiler>gcc|g\+\+|cc|c\+\+|x86_64-linux-gnu-gcc|cc1plus): (?:command )?not found",
            literal=": not found",
            sample="sh: 1: gcc: not found",
        ),
        *(
            Sign(
                pattern=rf"(?:^|[\s:：])(?P<compiler>gcc|g\+\+|cc|c\+\+|x86_64-linux-gnu-gcc){not_found_words.NO_COMMAND}",
                literal=literal,
                sample=sample,
            )
            for literal, sample in (
                (": command not found", "/bin/bash: line 1: g++: command not found"),
                *((word, f"bash: gcc: {word}") for word in translations("command not found")),
            )
        ),
        *not_found_words.unknown_to_windows("cl", "compiler"),
        Sign(
            pattern=r"nvcc fatal\s*: Cannot find compiler '(?P<compiler>[^']{1,40})' in PATH",
            literal="Cannot find compiler '",
            sample="nvcc fatal   : Cannot find compiler 'cl.exe' in PATH",
        ),
        Sign(
            pattern=r"Failed to preprocess host compiler properties",
            literal="Failed to preprocess host compiler",
            sample="nvcc fatal   : Failed to preprocess host compiler properties.",
        ),
        Sign(
            pattern=r"CreateProcess(?:: \S|(?:\(\))? failed)",
            literal="CreateProcess",
            sample="ninja: fatal: CreateProcess: The system cannot find the file specified.",
        ),
        Sign(
            pattern=r"Error checking compiler version for (?P<compiler>\S{1,40}): \[(?:WinError|Errno) 2\]",
            literal="Error checking compiler version for ",
            sample="UserWarning: Error checking compiler version for cl: [WinError 2] The system cannot find the file specified",
        ),
        # 740: it wants to run as administrator; 5, 1260: it is not allowed; 193: it is no program of this Windows.
        Sign(
            pattern=r"Error checking compiler version for (?P<compiler>\S{1,40}): \[WinError (?P<refused>740|5|193|1260)\]",
            literal="Error checking compiler version for ",
            sample="UserWarning: Error checking compiler version for cl: [WinError 740] The requested operation requires elevation",
            strength="hint",
        ),
        Sign(
            pattern=r"Microsoft Visual C\+\+ \d+\.\d+ (?:or greater )?is required",
            literal="Microsoft Visual C++ ",
            sample='error: Microsoft Visual C++ 14.0 or greater is required. Get it with "Microsoft C++ Build Tools"',
        ),
        # dlib's CMakeLists.txt: https://github.com/davisking/dlib/issues/2555
        Sign(
            pattern=r"You must use Visual Studio to build a python extension on [Ww]indows",
            literal="You must use Visual Studio to build a python",
            sample="  You must use Visual Studio to build a python extension on windows.  If you",
        ),
        Sign(
            pattern=r"Unable to find vcvarsall\.bat",
            literal="vcvarsall.bat",
            sample="error: Unable to find vcvarsall.bat",
        ),
        # nvdiffrast and StyleGAN look for Visual Studio themselves: https://github.com/NVlabs/nvdiffrast/issues/78
        Sign(
            pattern=r"Could not (?:locate|find) (?:a supported Microsoft Visual C\+\+|MSVC/GCC/CLANG) (?:installation|on this computer)",
            literal="Could not ",
            sample="RuntimeError: Could not locate a supported Microsoft Visual C++ installation",
        ),
        Sign(
            pattern=r"'where', '(?P<compiler>cl(?:\.exe)?)'\]' returned non-zero",
            literal="'where', 'cl",
            sample="subprocess.CalledProcessError: Command '['where', 'cl']' returned non-zero exit status 1.",
        ),
        Sign(
            pattern=r"Failed to find C compiler",
            literal="Failed to find C compiler",
            sample="RuntimeError: Failed to find C compiler. Please specify via CC environment variable.",
        ),
        Sign(
            pattern=r"No working C\+\+ compiler found",
            literal="No working C++ compiler found",
            sample="torch._inductor.exc.InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')",
        ),
        Sign(
            pattern=r"CMake Error: CMAKE_(?:CXX|C)_COMPILER not set, after EnableLanguage",
            literal="_COMPILER not set, after EnableLanguage",
            sample="CMake Error: CMAKE_CXX_COMPILER not set, after EnableLanguage",
        ),
        Sign(
            pattern=r"No CMAKE_(?:CXX|C)_COMPILER could be found",
            literal="_COMPILER could be found",
            sample="CMake Error at CMakeLists.txt:2 (project): No CMAKE_CXX_COMPILER could be found.",
        ),
        Sign(
            pattern=r"(?P<compiler>cl) is not found\b",
            literal="cl is not found",
            sample="RuntimeError: Compiler: cl is not found.",
        ),
        *(
            cut_logs.frame(name, name, sample)
            for name, sample in (
                (
                    "check_compiler_ok_for_platform",
                    '  File "/v/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 279, in check_compiler_ok_for_platform',
                ),
                (
                    "check_compiler_abi_compatibility",
                    '  File "/v/lib/python3.9/site-packages/torch/utils/cpp_extension.py", line 258, in check_compiler_abi_compatibility',
                ),
                (
                    "get_compiler_abi_compatibility_and_version",
                    '  File "/v/site-packages/torch/utils/cpp_extension.py", line 341, in get_compiler_abi_compatibility_and_version',
                ),
            )
        ),
    ),
    recipe=Recipe(
        does="builds a small extension with a PATH that has no compiler",
        of=(
            BUILD_TOOLS,
            File(
                path="small/setup.py",
                text=(
                    "from setuptools import Extension, setup\n"
                    "\n"
                    "setup(name='small', ext_modules=[Extension('small', ['small.c'])])\n"
                ),
            ),
            File(path="small/small.c", text="int small;\n"),
            Variable(name="CC", value="gcc"),
            Without(programs=("gcc", "cc", "c++", "g++")),
        ),
        run=((*INSTALL, "{folder}/small"),),
        shows="gcc",
        seconds=8,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: building.would_be_built(facts), lambda: building.host_compiler(facts) is None):
        return None
    wanted = "cl.exe" if known(facts.system.os) == "windows" else "gcc or g++"
    return Hit(
        message=f"There is no {wanted} on PATH, so nothing can be compiled here.",
        evidence=(fact(facts, "toolchain.compilers"),),
    )


class NotSure(Variant, frozen=True, kw_only=True):
    """Mark the case that only a check of PyTorch did not find cl.

    setuptools finds Visual Studio without PATH, so the build may have gone on.
    """


class Refused(Variant, frozen=True, kw_only=True):
    """Hold the error, "740", with which Windows refused to start the compiler that it found."""

    error: str


_REFUSED = {
    "740": "it demands administrator rights (WinError 740)",
    "5": "access is denied (WinError 5)",
    "1260": "a group policy blocks it (WinError 1260)",
    "193": "it is not a program for this Windows (WinError 193)",
}


class AtRunTime(Variant, frozen=True, kw_only=True):
    """Mark the case that torch.compile or triton looked for the compiler while a program ran. No package is built."""


# A warning of torch/utils/cpp_extension.py (get_compiler_abi_compatibility_and_version): it searches only PATH.
_ONLY_CHECKED = "Error checking compiler version for cl:"
_AT_RUN_TIME = re.compile(
    r"Failed to find C compiler|No working C\+\+ compiler|Compiler: cl is not found|InvalidCxxCompiler"
)


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if cut_logs.alone(seen):
        return cut_logs.hit(
            seen,
            "In that function PyTorch looks for the C++ compiler. Probably none is installed.",
            "subprocess.CalledProcessError or FileNotFoundError",
        )
    seen = cut_logs.told(seen)
    refused = [m for m in seen.matches if "refused" in m.groups]
    if refused and len(refused) == len(seen.matches):
        error = refused[0].groups["refused"]
        return Hit(
            message=f"Windows found {refused[0].groups['compiler']} and did not start it: {_REFUSED[error]}. The compile may have gone on with another "
            "one; if it failed, send the whole log.",
            evidence=evidence,
            variant=Refused(error=error),
            confidence=Confidence.LOW,
        )
    if not any(m.strength == "proof" or building.in_build(seen, m) for m in seen.matches):
        return None
    if _built_without(seen):
        return None
    if all(_ONLY_CHECKED in m.text for m in seen.matches):
        return Hit(
            message="PyTorch did not find cl on PATH. If the build ended at that line, this is the cause. If the build continued, it is not the cause: setuptools finds an "
            "installed Visual Studio without PATH.",
            evidence=evidence,
            variant=NotSure(),
            confidence=Confidence.LOW,
        )
    compiler = seen.group("compiler")
    sure = Confidence.HIGH if compiler or len(seen.matches) > 1 else Confidence.MEDIUM
    name = f"The compiler {compiler}" if compiler else "A C++ compiler"
    running = any(_AT_RUN_TIME.search(m.text) for m in seen.matches)
    return Hit(
        message=f"{name} was not found.",
        evidence=evidence,
        variant=AtRunTime() if running else None,
        confidence=sure,
    )


def _built_without(seen: Seen) -> bool:
    """Return whether only cl was missing on PATH, and a build or an installation succeeded after that in the same log."""
    last = seen.matches[-1]
    if any(m.groups.get("compiler", "") not in ("cl", "cl.exe") for m in seen.matches):
        return False
    log = next(log for log in seen.logs if log.file == last.file)
    return any(m.line > last.line for m in log.about("installation ended well"))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Refused):
        return _refused(facts, hit.variant.error)
    made = list(building.without_compiling(facts))
    steps = _for_its_nvcc(facts) if not isinstance(hit.variant, AtRunTime) else system_tools.compiler(facts)
    install = Fix(title="Install a C++ compiler", steps=steps, verify=building.verify(facts))
    if isinstance(hit.variant, NotSure):
        prompt = Fix(
            title="Build in a prompt that has cl.exe on PATH",
            steps=(system_tools.native_prompt(facts),),
            verify=building.verify(facts),
        )
        return (*made, prompt, install)
    if not isinstance(hit.variant, AtRunTime):
        return (*made, install)
    off = commands.variable(
        "TORCH_COMPILE_DISABLE",
        "1",
        "torch.compile then compiles nothing, so no compiler is needed; the model runs more slowly",
    )
    return install, Fix(title="Do without torch.compile", steps=(off,), verify=commands.check(facts))


def _refused(facts: Facts, error: str) -> tuple[Fix, ...]:
    """Return the fix for a cl.exe that Windows does not start: https://learn.microsoft.com/windows/win32/debug/system-error-codes."""
    ways = {
        "740": "in the properties of the first file, Compatibility: clear 'Run this program as an administrator', and the same for all users",
        "5": "the first file must be the cl.exe of Visual Studio, and your user and the virus scanner must let it run",
        "1260": "the operator of this PC has to allow the first file (a rule of AppLocker or of a policy)",
        "193": "the first file must be the one in HostX64\\x64: another one, or a damaged one, is in front of it on PATH",
    }
    look = commands.by_hand(
        ("where.exe", "cl.exe"), f"lists them in the order of PATH; {ways[error]}", "nothing", "none"
    )
    steps = (look, system_tools.native_prompt(facts))
    return (Fix(title="Let Windows start the compiler", steps=steps, verify=building.verify(facts)),)


_FIRST_WITH_NEWEST_MSVC = (12, 4)


def _for_its_nvcc(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that install a C++ compiler. On Windows, for CUDA before 12.4: an older one, which the installed nvcc accepts."""
    cuda = pair(host_compilers.release_here(facts) or "")
    if facts.system.os == "windows" and cuda is not None and cuda < _FIRST_WITH_NEWEST_MSVC:
        return host_compilers.studio(facts, cuda) or system_tools.compiler(facts)
    return system_tools.compiler(facts)
