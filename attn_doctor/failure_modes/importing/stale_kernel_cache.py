"""A cache holds a compiled kernel that was made for another Python, torch or triton, or a file that is damaged.

What it is
    triton, torch.compile and torch's cpp_extension compile small libraries when they are used, and keep them in a folder of the user:
    ~/.triton/cache, a folder torchinductor_USER among the temporary files, ~/.cache/torch_extensions. All environments of this user share these
    folders. A library that was compiled in one environment is then loaded in another one, where it does not fit.

How it shows
    triton: "SystemError: PY_SSIZE_T_CLEAN macro must be defined for '#' formats", in triton/backends/nvidia/driver.py or at load_binary.
    torch.compile: "ImportError: /tmp/torchinductor_USER/.../__triton_launcher.so: undefined symbol: cuLaunchKernel". An extension:
    "ImportError: .../.cache/torch_extensions/py311_cu124/x/x.so: undefined symbol: ...". A damaged file: "JSONDecodeError: Expecting
    value", "EOFError: Ran out of input" or "UnpicklingError" below a frame of triton/compiler or triton/runtime.

Why it happens
    Python, torch or triton was changed, or another environment of the same user has other versions. The name of the folder does not contain
    all of them: torch_extensions has Python and CUDA in its name, and not torch. Python 3.13 defines PY_SSIZE_T_CLEAN by itself, older ones do
    not: a library that was compiled for 3.13 fails in 3.12. Or the disk was full, or two programs wrote the same file at once: half a file is
    then in triton's cache, and triton stops with JSONDecodeError when it reads it.

What to do
    Delete the cache whose folder the error names. PY_SSIZE_T_CLEAN and JSONDecodeError: triton's. Its libraries are compiled again at their next
    use, which takes seconds for triton and minutes for an extension. If you use several environments in turn, give each its own folder:
    TRITON_CACHE_DIR, TORCHINDUCTOR_CACHE_DIR, TORCH_EXTENSIONS_DIR.

How to reproduce
    There is no recipe: triton loads its libraries only on a machine with a GPU. Use triton in an environment of Python 3.13, and then the same
    release of triton in an environment of Python 3.12.

References
    https://github.com/triton-lang/triton/issues/5919
    https://github.com/deepbeepmeep/Wan2GP/issues/1136 (deleting ~/.triton/cache cured it)
    https://github.com/pytorch/pytorch/issues/68905 (torch_extensions is shared by environments with other versions of torch)
    https://github.com/pytorch/pytorch/issues/108868 (deleting torchinductor's folder cured it)
    https://docs.python.org/3/whatsnew/3.13.html#changed-c-apis
    https://github.com/woct0rdho/triton-windows#importerror-dll-load-failed-while-importing-cuda_utils
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, subject
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.steps import Step

Cache = Literal["triton", "torchinductor", "torch_extensions"]

# The folder of a cache, as it begins the path of a library in it.
_FOLDER = (
    r"(?P<folder>(?:[A-Za-z]:)?[^\s'\":]{0,200}?[\\/]"
    r"(?:\.triton[\\/]cache|triton_cache|torchinductor_[^\\/\s]{1,60}|torch_extensions(?:[\\/]torch_extensions)?))[\\/]"
)

MODE = FailureMode(
    code="AD330",
    slug="stale-kernel-cache",
    title="A cache holds a kernel that was compiled for other versions",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(
        "abi-mismatch-cxx11",
        "abi-mismatch-torch-version",
        "glibcxx-too-old",
        "ld-library-path-shadowing",
        "triton-libcuda-link",
        "triton-version-mismatch",
        "wheel-platform-mismatch",
    ),
    signs=(
        Sign(
            pattern=r"(?P<python>PY_SSIZE_T_CLEAN macro must be defined for '#' formats)",
            literal="PY_SSIZE_T_CLEAN macro must be defined",
            sample="SystemError: PY_SSIZE_T_CLEAN macro must be defined for '#' formats",
            strength="hint",
        ),
        *(
            Sign(pattern=rf"(?P<triton>{re.escape(words)})", literal=words, sample=sample, strength="context")
            for words, sample in (
                (
                    "/triton/",
                    '  File "/v/lib/python3.12/site-packages/triton/backends/nvidia/driver.py", line 71, in __init__',
                ),
                (
                    "\\triton\\",
                    '  File "C:\\v\\Lib\\site-packages\\triton\\backends\\nvidia\\driver.py", line 71, in __init__',
                ),
                ("utils.load_binary(", "self.module, self.function, self.n_regs = driver.active.utils.load_binary("),
                ("__triton_launcher", "__triton_launcher.c"),
                ("sage attention", "Error running sage attention: PY_SSIZE_T_CLEAN macro must be defined"),
            )
        ),
        Sign(
            pattern=rf"(?:(?:ImportError|OSError): |^\s{{0,20}}){_FOLDER}[^\s:]{{1,300}}\.so: (?:undefined symbol|version `)",
            literal=".so: ",
            sample="ImportError: /home/user/.cache/torch_extensions/py311_cu124/cpu_adam/cpu_adam.so: undefined symbol: curandCreateGenerator",
        ),
        # A file of the cache that was cut, by a full disk or by two programs that wrote at once.
        Sign(
            pattern=r"(?P<damaged>json\.decoder\.JSONDecodeError: |EOFError: Ran out of input|_pickle\.UnpicklingError: )",
            literal="Error: ",
            sample="json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<compiling>[\\/]triton[\\/](?:compiler|runtime)[\\/]\w+\.py\", line \d+, in (?:compile|__init__|run|get_metadata|<dictcomp>|_do_compile))",
            literal="triton",
            sample='  File "/v/lib/python3.10/site-packages/triton/compiler/compiler.py", line 320, in compile',
            strength="context",
        ),
        # The library was linked in this log, so it is not from a cache.
        Sign(
            pattern=r"(?P<linked>^\[(?P<last>\d+)/(?P=last)\] .{1,2000}-shared\b)",
            literal="-shared",
            sample="[3/3] c++ cpu_adam.o -shared -L/usr/local/cuda/lib64 -lcudart -o cpu_adam.so",
            strength="context",
        ),
    ),
)
# There is no `detect`: no fact lists what is in these folders, and a library that does not fit is seen only when it is loaded.


class Stale(Variant, frozen=True, kw_only=True):
    """Hold the cache that does not fit, and its folder; `folder` is None if the log does not show it."""

    cache: Cache
    folder: str | None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = tuple(e for e in evidence if "PY_SSIZE_T_CLEAN" in e.text or ".so: " in e.text)
    folder = seen.group("folder")
    if folder is not None:
        if seen.group("linked"):
            return None
        cache = _cache_of(folder)
        return Hit(
            message=f"A compiled library in the cache {folder} does not fit: it was compiled for another torch or Python than the present one.",
            evidence=told,
            variant=Stale(cache=cache, folder=folder),
        )
    damaged = [m for m in seen.matches if "damaged" in m.groups]
    if damaged and not seen.group("python"):
        frames = [
            m
            for m in seen.matches
            if "compiling" in m.groups and m.file == damaged[-1].file and 0 < damaged[-1].line - m.line <= _NEAR
        ]
        if not frames:
            return None
        return Hit(
            message="A file in triton's cache is damaged: it was cut when it was written.",
            evidence=building.lines([damaged[-1], frames[-1]]),
            variant=Stale(cache="triton", folder=None),
            confidence=Confidence.MEDIUM,
        )
    if not seen.group("python"):
        return None
    sure = seen.group("triton") is not None
    return Hit(
        message="triton's compiled helper was made for another Python: it lies in triton's cache, and Python refuses it."
        if sure
        else "A compiled library was made for another Python. In programs that use torch it is mostly a library in triton's cache.",
        evidence=told,
        variant=Stale(cache="triton", folder=None),
        confidence=Confidence.HIGH if sure else Confidence.LOW,
    )


_NEAR = 12  # lines from a frame of triton to the error of json below it


def _cache_of(folder: str) -> Cache:
    if "torch_extensions" in folder:
        return "torch_extensions"
    return "torchinductor" if "torchinductor" in folder else "triton"


# The variable that names the folder, and its default on Linux and, for Python, on every system.
# https://github.com/triton-lang/triton/blob/main/python/triton/knobs.py, torch/_inductor/runtime/cache_dir_utils.py, torch/utils/cpp_extension.py
_VARIABLES: dict[Cache, str] = {
    "triton": "TRITON_CACHE_DIR",
    "torchinductor": "TORCHINDUCTOR_CACHE_DIR",
    "torch_extensions": "TORCH_EXTENSIONS_DIR",
}
_DEFAULTS: dict[Cache, tuple[str, str]] = {
    "triton": ("$HOME/.triton/cache", r"~\.triton\cache"),
    "torchinductor": ("/tmp/torchinductor_$(id -un)", ""),  # noqa: S108 - a path for a command
    "torch_extensions": ("$HOME/.cache/torch_extensions", r"~\AppData\Local\torch_extensions"),
}
# The usual folders, as a log shows them: the commands name them by HOME or by the name of the user who runs the command.
_USUAL = re.compile(
    r"(?:/home/[^/]+|/root)/(?:\.triton/cache|\.cache/torch_extensions)|/tmp/torchinductor_[^/]+|"
    r"[A-Za-z]:\\Users\\[^\\]+\\(?:\.triton\\cache|AppData\\Local\\torch_extensions(?:\\torch_extensions)?)"
)
# Another folder of a log stands in a command only if it is an absolute path of plain characters.
_PLAIN = re.compile(r"(?:/|[A-Za-z]:[\\/])(?!.*\.\.)[\w./\\~ -]+")


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if not isinstance(hit.variant, Stale):
        return tuple(_deleted(facts, Stale(cache=cache, folder=None)) for cache in _VARIABLES)
    return (_deleted(facts, hit.variant),)


def _deleted(facts: Facts, stale: Stale) -> Fix:
    """Return the fix that deletes one cache, and names the variable by which each environment gets a cache of its own."""
    verify = building.verify(facts) if subject.stated(facts) else commands.check(facts)
    apart = commands.by_hand(
        (),
        f"if you use several environments in turn: set {_VARIABLES[stale.cache]} to another folder in each of them. Else the same error comes again after "
        "the next change between them",
        "where these libraries are kept",
        "none",
    )
    return Fix(title=_title(stale.cache), steps=(_gone(facts, stale), apart), verify=verify)


def _title(cache: Cache) -> str:
    of = {"triton": "triton's cache", "torchinductor": "the cache of torch.compile", "torch_extensions": "the compiled extensions of torch"}[cache]  # fmt: skip
    return f"Delete {of}"


def _gone(facts: Facts, stale: Stale) -> Step:
    """Return the step that deletes the folder of the cache: the folder of the log, else the one that the variable names, else the usual one."""
    what = "an extension compiles for minutes" if stale.cache == "torch_extensions" else "this takes seconds"
    why = f"what is in this folder is compiled again at its next use ({what}). End all programs that use it first"
    changes = "the folder of compiled kernels, which are compiled again"
    seen = stale.folder or ""
    folder = seen if _PLAIN.fullmatch(seen) and not _USUAL.fullmatch(seen) else None
    if facts.system.os == "windows":
        usual = _DEFAULTS[stale.cache][1]
        if folder is None and not usual:
            words = "delete the folder torchinductor_USER, with your own name as USER, in %TEMP%: " + why
            return commands.by_hand((), words, changes)
        name = _VARIABLES[stale.cache]
        path = f"r'{folder}'" if folder is not None else f"os.environ.get('{name}') or os.path.expanduser(r'{usual}')"
        shown = rf"%USERPROFILE%{usual[1:]}" if folder is None else folder
        argv = (*commands.starting(facts), "-c", f"import os, shutil; shutil.rmtree({path})")
        return commands.by_hand(argv, f"deletes {shown}: {why}", changes)
    if folder is not None:
        return commands.by_hand(("rm", "-rf", folder), why, changes)
    script = f'rm -rf "${{{_VARIABLES[stale.cache]}:-{_DEFAULTS[stale.cache][0]}}}"'
    return commands.by_hand(("sh", "-c", script), why, changes)
