"""A build failed, and the log does not say why.

What it is
    The log contains only the general last lines of a failed build. They say that an earlier step failed, but not why.

How it shows
    "ninja: build stopped: subcommand failed", "Command '['ninja', '-v']' returned non-zero exit status 1", "RuntimeError: Error
    compiling objects for extension", "ERROR: Failed building wheel for flash-attn", "error: metadata-generation-failed", uv's
    "The build backend returned an error" - and nothing before them that names a cause.

Why it happens
    Only the end of the log was copied. Several compilers run at the same time, so the first error is far above the
    last line. pip prints the whole output of a build that fails, but terminals and CI systems cut it.

    Beware: flash-attn's setup.py first tries to download a finished wheel, and compiles while it handles the error of
    that download. So each failed build ends with a traceback of "HTTP Error 404" or "urlopen error" and "During
    handling of the above exception". That traceback is not the cause.

What to do
    Build again with one job, and write all output to a file (`MAX_JOBS=1 python -m pip install -v
    --no-build-isolation flash-attn > build.log 2>&1`). In the file, look for the FIRST line with "error:", "fatal" or
    "Killed" above "ninja: build stopped". Give attn-doctor the whole file (`attn-doctor diagnose build.log`). If the
    only error is "Killed", or if there is no error at all, memory ran out.

How to reproduce
    `attn-doctor reproduce build-failed-unspecified` builds flash-attn with compilers that fail without a message.
    Stand-ins (parts that are not real): a torch that only looks like a CUDA build; compilers that fail without a
    message. It downloads 13 MB, and a CPU build of torch (200 MB) if the target's torch cannot be used.

References
    https://github.com/Dao-AILab/flash-attention/issues/1017
    https://pip.pypa.io/en/stable/cli/pip/#cmdoption-v
"""

from __future__ import annotations

import re

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
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
from attn_doctor.failure_modes.shared import (
    build_lines,
    build_log,
    building,
    cut_logs,
    cut_output,
    finished_release,
    package_wheels,
    subject,
)
from attn_doctor.failure_modes.shared.building import lines
from attn_doctor.logs.errors import log_end
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.steps import Install


def _tail(literal: str, sample: str, pattern: str | None = None) -> Sign:
    """Return a sign for a line of a failed build that does not show the cause."""
    return Sign(pattern=pattern or re.escape(literal), literal=literal, sample=sample, strength="hint")


# The path of a source file, before a compiler's error: a file of flash-attn, or of a library that is compiled with it.
_SOURCE = r"(?:csrc[\\/]flash_attn|cutlass|flash_(?:fwd|bwd|api))[\w\\/.]{0,100}"
_PACKAGE = r"[`'\"]?(?P<package>[A-Za-z][\w.-]+)"

MODE = FailureMode(
    code="AD122",
    slug="build-failed-unspecified",
    title="A build failed, and the log does not say why",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    catch_all=True,
    signs=(
        _tail(
            "ninja: build stopped: ",
            "ninja: build stopped: subcommand failed.",
            r"ninja: build stopped: (?!interrupted)",
        ),
        _tail(
            "ninja'",
            "subprocess.CalledProcessError: Command '['ninja', '-v', '-j', '1']' returned non-zero exit status 1.",
            r"Command '\['[^']{0,80}ninja'(?:, '[^']{0,20}'){0,6}\]' returned non-zero exit status",
        ),
        _tail(
            "Error compiling objects",
            "RuntimeError: Error compiling objects for extension",
            r"Error compiling objects(?: for extension| f?o?r?(?: e\w*)?(?:…|\.\.\.)?\s*$|\s*$)",
        ),
        # If a log ends in one of these functions of torch, ninja failed before.
        *(
            cut_logs.frame(
                r"_run_ninja_build|_write_ninja_file_and_compile_objects|_write_ninja_file_and_build_library",
                literal,
                sample,
            )
            for literal, sample in (
                (
                    "_run_ninja_build",
                    '  File "/v/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 2104, in _run_ninja_build',
                ),
                (
                    "_write_ninja_file_and_",
                    '  File "C:\\v\\Lib\\site-packages\\torch\\utils\\cpp_extension.py", line 1833, in _write_ninja_file_and_compile_objects',
                ),
            )
        ),
        _tail("Error building extension '", "RuntimeError: Error building extension 'fused_adam'"),
        _tail(
            "Failed building wheel for ",
            "  ERROR: Failed building wheel for flash-attn",
            "Failed building wheel for " + _PACKAGE,
        ),
        _tail(
            "Could not build wheels for ",
            "ERROR: Could not build wheels for flash-attn, which is required to install pyproject.toml-based projects",
            "Could not build wheels for " + _PACKAGE,
        ),
        _tail(
            "ailed to build ",
            "  × Failed to build `flash-attn==2.8.3`",
            r"[Ff]ailed to build (?!installable)" + _PACKAGE,
        ),
        _tail(
            "download and build ",
            "  × Failed to download and build `flash-attn==2.8.1`",
            r"ailed to download and build " + _PACKAGE,
        ),
        _tail(
            " died ",
            "nvcc error   : 'cicc' died due to signal 11 (Invalid memory reference)",
            r"nvcc error\s*: '[\w+]{1,20}' died (?:due to signal|with status) (?!9\b|0x9\b)",
        ),
        _tail(
            "error: ",
            "csrc/flash_attn/src/flash_fwd_kernel.h(91): error: no instance of overloaded function matches",
            _SOURCE + r"(?:\(\d+\)|:\d+(?::\d+)?): (?:fatal |catastrophic )?error: ",
        ),
        _tail(
            "error C",
            "csrc\\flash_attn\\flash_api.cpp : fatal error C1083: Cannot open compiler generated file: '': Invalid argument",
            _SOURCE + r"(?:\(\d+\)| )?: (?:fatal )?error C\d{4}: ",
        ),
        _tail("metadata-generation-failed", "error: metadata-generation-failed"),
        _tail("legacy-install-failure", "error: legacy-install-failure"),
        _tail("subprocess-exited-with-error", "error: subprocess-exited-with-error"),
        _tail(
            " did not run successfully",
            "  × python setup.py bdist_wheel did not run successfully.",
            r"(?:bdist_wheel|egg_info|setup\.py \w+|build \w+|metadata \S+|editable|for \S+(?: \(\S+\))?) did not run "
            r"successfully",
        ),
        _tail("The build backend returned an error", "  ├─▶ The build backend returned an error"),
        _tail(
            "Build backend failed to ",
            "  Caused by: Build backend failed to determine extra requires with `build_wheel()`",
        ),
        _tail(
            "Call to `setuptools.build_meta",
            "  cause: Call to `setuptools.build_meta:__legacy__.build_wheel` failed (exit status: 1)",
        ),
        _tail(
            "Backend subprocess exited when trying to invoke",
            "Backend subprocess exited when trying to invoke build_wheel",
        ),
        _tail("ChefBuildError", "  ChefBuildError"),
        _tail(
            "PEP517 build of a dependency failed",
            "Note: This error originates from the build backend: PEP517 build of a dependency failed",
        ),
        _tail("Command errored out with exit status ", "ERROR: Command errored out with exit status 1:"),
        _tail(
            "' failed with exit ",
            "error: command '/usr/local/cuda/bin/nvcc' failed with exit code 1",
            r"(?:nvcc|gcc|g\+\+|cc|c\+\+|cl|link|ninja)(?:-\d+)?(?:\.exe)?' failed with exit (?:status|code) [1-9]\d{0,9}",
        ),
        _tail(
            "' failed",
            "error: command '/usr/local/cuda/bin/nvcc' failed",
            r"error: command '[^']{0,200}(?:nvcc|hipcc|gcc|g\+\+|cc|c\+\+|cl|link|ninja)(?:-\d+)?(?:\.exe)?' failed(?:…|\.\.\.)?\s*$",
        ),
        # ninja prints the name of the file; then come the command and the error, unless the log is cut. CMake prints such a line when it
        # tests a compiler: its test file is called cmTC.
        Sign(
            pattern=r"FAILED: (?:\[code=\d+\] )?(?!CMakeFiles/cmTC)\S+\.o(?:bj)?\b",
            literal="FAILED: ",
            sample="FAILED: /build/temp.linux-x86_64-cpython-311/csrc/flash_attn/flash_api.o",
            strength="hint",
            topic="a frame",  # the command in the next line belongs to it, as a source line belongs to the frame above it
        ),
        _tail(
            "did not complete successfully: exit code: ",
            'ERROR: failed to solve: process "/bin/sh -c pip install flash-attn --no-build-isolation" did not complete '
            "successfully: exit code: 1",
            r"(?:pip3? install|pip install|uv sync|uv pip|setup\.py|poetry|conda).{0,600} did not complete successfully: exit code: \d",
        ),
        # The line of a program that runs pip, and quotes pip's output as one text with \r\n in it.
        _tail(
            "ip install failed with code ",
            "pip install failed with code 1: 'Collecting xformers\\r\\n",
            r"ip install failed with code [1-9]\d*:? ?['\"]?(?:Collecting (?P<package>[a-z][\w.-]{1,60}?)(?=\\|\s|==|$))?",
        ),
        _tail("CondaEnvException: Pip failed", "CondaEnvException: Pip failed"),
        _tail("Pip subprocess error:", "Pip subprocess error:"),
        *build_lines.SIGNS,
        # Any error of a compiler: for most of them there is no rule.
        Sign(
            pattern=r"(?P<error>(?:\(\d+\)|:\d+(?::\d+)?): (?:fatal |catastrophic )?error:? .{1,200})",
            literal="error: ",
            sample="/src/flash_api.cpp:9:2: error: expected primary-expression before ';' token",
            strength="context",
        ),
        Sign(
            pattern=r"(?P<error>error C\d{4}: .{1,200})",
            literal="error C",
            sample="flash_api.cpp(9): error C2039: 'x': is not a member of 'std'",
            strength="context",
        ),
        *cut_output.SIGNS,
    ),
    recipe=Recipe(
        does="builds flash-attn with compilers that fail without a message",
        of=(
            Torch(cuda="12.8"),
            BUILD_TOOLS,
            Source(),
            StubToolkit(version="12.8", silent=True),
            Variable(name="CUDA_HOME", value="{toolkit}"),
            Variable(name="FLASH_ATTENTION_FORCE_BUILD", value="TRUE"),
            Variable(name="MAX_JOBS", value="1"),
        ),
        run=(INSTALL_SOURCE,),
        shows="ninja: build stopped|non-zero exit",
        seconds=30,
        stands_in=(LOOKS_LIKE_CUDA, "compilers that fail without a message"),
    ),
)

# Words that show that a package, or a line of a log, has to do with torch or CUDA. Failed builds of other packages are not examined.
_CONCERNS = re.compile(
    r"flash|torch|cuda|nvcc|nvidia|triton|xformers|apex|deepspeed|sage|mamba|causal|vllm|transformer|bitsandbytes|natten|"
    r"spconv|detectron|mmcv|gptq|exllama|awq|ultralytics|numpy|csrc|sm_\d\d|gsplat|flashinfer|grounding|deformable|dali|tinycudann|"
    r"nvdiffrast|gaussian|sgl[-_]kernel|pointnet|minkowski|k2\b",
    re.IGNORECASE,
)

SEND = (
    "the first line with 'error:', 'fatal' or 'Killed' above 'ninja: build stopped', and diagnose the whole log, or that line with twenty "
    "lines before and after it"
)


class Quoted(Variant, frozen=True, kw_only=True):
    """Mark the case that the log contains the reason, but attn-doctor has no rule for it.

    A longer log would not help.
    """


class Released(Variant, frozen=True, kw_only=True):
    """Mark the case of a general package from PyPI: another release of it may have a finished wheel for this Python."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if cut_logs.alone(seen) and not cut_logs.ends(seen):
        return None  # the program went on after that frame
    package = seen.group("package")
    if package and finished_release.fixes(facts):
        return Hit(
            message=f"The build of {package} failed, with an error that attn-doctor does not know. pip compiled it because it found no finished wheel.",
            evidence=lines(tuple(m for m in seen.matches if m.groups.get("error"))) or evidence,
            confidence=Confidence.LOW,
            variant=Released(),
        )
    if package and not any(_CONCERNS.search(m.groups.get("package") or m.text) for m in seen.matches):
        return Hit(
            message=f"The build of {package} failed, a package that has nothing to do with attention.",
            evidence=evidence,
            confidence=Confidence.LOW,
            severity=Severity.INFO,
        )
    what = f"The build of {package} failed" if package else "A build failed"
    errors = tuple(m for m in seen.matches if m.groups.get("error"))
    if errors:
        known_not = f"{what} with compiler errors that attn-doctor does not know. Read the first compiler error."
        return Hit(message=known_not, evidence=lines(errors), confidence=Confidence.LOW, variant=Quoted())
    cut = cut_output.of(seen)
    said = tuple(one for one in _reasons(seen) if cut is None or one.line is None or cut.first < one.line <= cut.last)
    if said:
        known_not = f"{what} with an error that attn-doctor does not know."
        return Hit(message=known_not, evidence=said, confidence=Confidence.LOW, variant=Quoted())
    if cut is not None:
        return Hit(
            message=f"{what}, and the log does not contain the reason: pip printed {cut.promised} lines, and {cut.present} of them are here.",
            evidence=evidence,
            confidence=Confidence.LOW,
        )
    return Hit(
        message=f"{what}, and the log does not contain the reason. Find {SEND}.",
        evidence=evidence,
        confidence=Confidence.LOW,
    )


# Errors that are not the reason: every failed build ends with them, or setup.py goes on after them (without a wheel, it compiles).
_NO_REASON = re.compile(
    r"HTTPError|URLError|urlopen error|HTTP Error \d|Error (?:compiling objects|building extension)"
)


def _reasons(seen: Seen) -> tuple[Evidence, ...]:
    """Return the errors of the logs that name a reason, at most 4. Errors that only say that something failed are left out."""
    generic = {(m.file, m.line) for m in seen.matches if m.strength == "hint"}
    return tuple(
        Evidence(kind="log", file=log.file, line=error.line, text=error.text)
        for log in seen.logs
        for error in log_end(log).errors
        if not error.vague and (log.file, error.line) not in generic and not _NO_REASON.search(error.text)
    )[:4]


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = subject.verify(facts)
    if isinstance(hit.variant, Released):
        return finished_release.fixes(facts)
    if not isinstance(hit.variant, Quoted):
        title = "Write the whole log, and let attn-doctor read it"
        whole = Fix(title=title, steps=build_log.written(facts), verify=verify)
        if (linux := package_wheels.of_linux(facts)) is not None:
            return (whole, linux)
        if not subject.is_flash_attn(facts) or facts.grade != "stated":
            return (whole,)
        # flash-attn has no wheel for Windows, and seldom compiles there: the wheel of others comes before a build of hours.
        ready = building.without_compiling(facts)
        return (*ready, whole) if facts.system.os == "windows" else (whole, *ready)
    steps = build_log.newest_sources(facts)
    title = "Build the newest sources" if steps[-1].argv or isinstance(steps[-1], Install) else "Look for the error"
    return (*building.without_compiling(facts), Fix(title=title, steps=steps, verify=verify))
