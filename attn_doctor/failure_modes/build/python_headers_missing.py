"""Python's own headers are missing, so no extension can be compiled for this Python.

What it is
    Python.h is not in the folder that this Python names for its headers. Builds need it. triton needs it too: at run
    time it compiles a small C file for the first kernel.

How it shows
    "fatal error: Python.h: No such file or directory" (in any language), tcc's "include file 'Python.h' not found", MSVC's "C1083:
    ... 'Python.h'" and "LNK1104: cannot open file 'python311.lib'".

Why it happens
    Distributions have the headers in a separate package (python3-dev, python3.12-dev, python3-devel). The embedded
    Python of Windows has no headers.

What to do
    Install the -dev package of exactly this Python version. Or use an environment whose Python includes the headers
    (conda, uv, pyenv).

How to reproduce
    `attn-doctor reproduce python-headers-missing` compiles a file that includes Python.h without the folder of Python's
    headers. It downloads nothing.

References
    https://github.com/sgl-project/sglang/issues/1117
    https://docs.python.org/3/extending/building.html
"""

from __future__ import annotations

from attn_doctor.commands import system_tools
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known
from attn_doctor.failure_modes.recipe import File, Recipe
from attn_doctor.failure_modes.shared import building, not_found_words
from attn_doctor.failure_modes.shared.fact_queries import cuda_build
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact

_HEADERS = r"(?:python3\.\d+/)?(?:Python|pyconfig|patchlevel)\.h"

MODE = FailureMode(
    code="AD116",
    slug="python-headers-missing",
    title="Python's headers are missing",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3", "compile"),
    explains=(building.FAILED, "triton-libcuda-link"),
    signs=(
        *(
            Sign(pattern=not_found_words.missing_header(_HEADERS), literal=literal, sample=sample)
            for literal, sample in (
                (": Python.h", "/build/main.c:7:10: fatal error: Python.h: No such file or directory"),
                ("：Python.h", "/build/main.c:7:10: 致命错误：Python.h：没有那个文件或目录"),
                (
                    ": pyconfig.h",
                    "/usr/include/python3.11/Python.h:8:10: fatal error: pyconfig.h: No such file or directory",
                ),
                (
                    "'Python.h'",
                    "main.c(7): fatal error C1083: Cannot open include file: 'Python.h': No such file or directory",
                ),
                # MSVC writes in the language of Visual Studio, with the quotation marks of that language.
                ("C1083: ", "main.c(7): fatal error C1083: 无法打开包括文件: “Python.h”: No such file or directory"),
                ('"Python.h"', 'python_headers.h(13): catastrophic error: cannot open source file "Python.h"'),
            )
        ),
        Sign(
            pattern=r"error: include file 'Python\.h' not found",
            literal="'Python.h' not found",
            sample="main.c:7: error: include file 'Python.h' not found",
        ),
        Sign(
            pattern=r"UserWarning: Failed to find Python libs",
            literal="Failed to find Python libs",
            sample="triton/windows_utils.py:323: UserWarning: Failed to find Python libs.",
        ),
        # tcc is the small compiler in triton for Windows. The embedded Python has no headers for it.
        Sign(
            pattern=r"tcc(?:\.exe)?', .{0,4000}[Pp]ython_embed",
            literal="tcc.exe', '",
            sample="subprocess.CalledProcessError: Command '['C:\\\\python_embeded\\\\Lib\\\\tcc\\\\tcc.exe', 'C:\\\\cuda_utils.c', '-lcuda', "
            "'-IC:\\\\python_embeded\\\\Include']' returned non-zero exit status 1.",
            strength="hint",
        ),
        Sign(
            pattern=r"LNK1104: [^']{0,60}'(?P<header>python3\d*t?\.lib)'",
            literal="LNK1104: ",
            sample="LINK : fatal error LNK1104: cannot open file 'python311.lib'",
        ),
        Sign(
            pattern=r"cannot find -l(?P<header>python3\.\d+)",
            literal="cannot find -lpython",
            sample="/usr/bin/ld: cannot find -lpython3.11: No such file or directory",
        ),
    ),
    recipe=Recipe(
        does="compiles a file that includes Python.h without the folder of Python's headers",
        of=(File(path="small.c", text="#include <Python.h>\n"),),
        run=(("gcc", "-c", "small.c", "-o", "small.o"),),
        shows="Python.h: No such file",
        seconds=1,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: known(facts.interpreter.headers) is False, lambda: cuda_build(facts)):
        return None
    evidence = (
        fact(facts, "interpreter.headers", "there is no Python.h in the folder that this Python names for its headers"),
    )
    if building.would_be_built(facts):
        return Hit(
            message="Python.h is missing: neither flash-attn nor triton can be compiled here.", evidence=evidence
        )
    return Hit(
        message="Python.h is missing: triton, and so torch.compile, cannot compile its launchers here.",
        evidence=evidence,
        severity=Severity.INFO,
        blocks=("compile",),
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    what = seen.group("header") or "Python.h"
    if not any(m.strength == "proof" for m in seen.matches):
        message = "triton could not compile its launcher under an embedded Python, which has no headers."
        return Hit(message=message, evidence=evidence, confidence=Confidence.MEDIUM)
    return Hit(message=f"{what} was not found: the headers of that Python are not installed.", evidence=evidence)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    steps = system_tools.python_headers(facts)
    return (Fix(title="Install Python's headers", steps=steps, verify=building.verify(facts)),)
