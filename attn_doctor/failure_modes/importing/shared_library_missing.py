"""A program needs a shared library that is not installed, or in a folder that the loader does not search.

What it is
    A compiled module was linked with a library of the system, such as libsndfile or Open MPI, or with a library that somebody compiled. The
    loader looks for it by its whole name in the system's folders, in LD_LIBRARY_PATH, and in folders that the module itself names.

How it shows
    "ImportError: libmpi.so.40: cannot open shared object file: No such file or directory"; "OSError: libsndfile.so.1: cannot open ...";
    "libctranslate2.so.4: cannot open ..."; "libpython3.10.so.1.0: cannot open ...".

Why it happens
    pip installs no libraries of the system. Or the library was compiled here and installed into /usr/local/lib, and ldconfig did not run. Or the
    library of the distribution has another number (libtbb.so.12 in place of libtbb.so.2).

What to do
    Install the package of the distribution, or conda's. If the library is there: add its folder to LD_LIBRARY_PATH, or run `sudo ldconfig`.

How to reproduce
    There is no recipe: `python -c "import ctypes; ctypes.CDLL('libnothere.so.1')"` shows the failure.

References
    https://man7.org/linux/man-pages/man8/ld.so.8.html
    https://github.com/OpenNMT/CTranslate2/issues/545
    https://github.com/precice/python-bindings/issues/136 (ldconfig after make install)
    https://github.com/senp98/wdm/issues/1 (libmpi.so.12 and libmpi.so.40)
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, system_libraries
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

# Libraries of a GPU, of torch, and of TensorFlow's own messages: other failure modes report them, or nothing has to be said.
_OF_OTHERS = (
    r"(?:cuda|cud|cu[bfrs]|nv|nccl|nppi|npp|c10|torch|amdhip|hip|hsa|roc|MIOpen|mkl|iomp|sycl|ze_|GL\.|EGL\.|caffe2|tensorflow|gdk|trt|tpu|cupti|"
    r"stdc\+\+|gthread|glib|SM\.|ICE\.|Xext|Xrender|X11|xcb|tinfo|crypt\.|gcc_s|c\.|m\.|pthread|dl\.|level_zero)"
)

MODE = FailureMode(
    code="AD350",
    slug="shared-library-missing",
    title="A shared library is not found",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("ultralytics-broken", building.FAILED),
    signs=(
        Sign(
            pattern=rf"(?:ImportError|OSError|error while loading shared libraries): (?:dlopen: )?(?P<library>lib(?!{_OF_OTHERS})[\w+-]{{2,60}}\.so(?:\.\d{{1,6}}){{0,4}}): cannot open shared object file: No such",
            literal=": cannot open shared object file",
            sample="ImportError: libmpi.so.40: cannot open shared object file: No such file or directory",
            strength="hint",
        ),
        Sign(
            pattern=r"(?:ImportError|OSError|error while loading shared libraries): (?P<library>libpython3\.\d{1,2}m?\.so\.1\.0): cannot open shared object file: No such",
            literal=": cannot open shared object file",
            sample="error while loading shared libraries: libpython3.10.so.1.0: cannot open shared object file: No such file or directory",
            strength="hint",
        ),
    ),
)
# There is no `detect`: the facts do not have the libraries of every module.

_PYTHON = re.compile(r"libpython(?P<version>3\.\d{1,2})")


class Missing(Variant, frozen=True, kw_only=True):
    """Hold the library: "libmpi.so.40"."""

    library: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if not _of_another(seen, m)]
    if not told:
        return None
    library = told[-1].groups["library"]
    if facts.system.board == "jetson" and library.startswith("libmpi_cxx."):
        return None  # NVIDIA's torch for JetPack 4 needs it: torch-install-broken reports it
    known = system_libraries.brought_by(library) is not None or _PYTHON.match(library)
    return Hit(
        message=f"{library} is not found: it is not installed, or the loader does not search its folder.",
        evidence=building.lines(told[-1:]),
        variant=Missing(library=library),
        confidence=Confidence.HIGH if known else Confidence.MEDIUM,
    )


def _of_another(seen: Seen, match: Match) -> bool:
    """Return whether another failure mode has this line: by a proof, or by a hint where torch itself was imported or the packages are not known."""
    log = next(log for log in seen.logs if log.file == match.file)
    others = [m for m in log.matches if m.line == match.line and m.slug != match.slug and m.strength != "context"]
    if any(m.strength == "proof" for m in others):
        return True
    torch = any("torch" in m.text and m.line < match.line for m in log.of("torch-install-broken"))
    return bool(others) and (torch or system_libraries.brought_by(match.groups["library"]) is None)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    library = hit.variant.library if isinstance(hit.variant, Missing) else "libsndfile.so.1"
    verify = commands.check(facts)
    search = Fix(
        title="Find the library, and let the loader search its folder",
        steps=system_libraries.search(library),
        verify=verify,
    )
    if (python := _PYTHON.match(library)) is not None:
        return (_of_python(facts, python["version"]), search)
    steps = system_libraries.install(facts, library)
    if steps:
        return (Fix(title=f"Install {library.partition('.')[0]}", steps=steps, verify=verify), search)
    words = (
        f"apt-file search {library} (Debian, Ubuntu; first: apt-get install apt-file, apt-file update) or dnf provides '*/{library}' (RHEL, Fedora) names the package that "
        "brings it: install that. If none does, it belongs to a Python package or to a program of its own: install that package's wheel again with pip, which often "
        "contains the library"
    )
    found = commands.by_hand((), words, "adds the library")
    return (search, Fix(title="Install the package that brings it", steps=(found,), verify=verify))


def _of_python(facts: Facts, version: str) -> Fix:
    """Return the fix for the library of Python itself: in an environment of conda it is in the folder lib of the environment."""
    if places.environment_tool(facts):
        step = commands.by_hand(
            ("sh", "-c", 'export LD_LIBRARY_PATH="$CONDA_PREFIX/lib:$LD_LIBRARY_PATH"'),
            "in the activated environment: the library is in its folder lib; then start the program again",
            "LD_LIBRARY_PATH, only in this shell",
            "none",
        )
        return Fix(title="Let the loader search conda's folder", steps=(step,), verify=commands.check(facts))
    words = (
        f"install the library of Python {version}: apt-get install -y libpython{version} (Debian, Ubuntu); dnf install -y python{version} (RHEL, Fedora: python3-libs). In an "
        'environment of conda it is there: export LD_LIBRARY_PATH="$CONDA_PREFIX/lib:$LD_LIBRARY_PATH"'
    )
    step = commands.by_hand((), words, f"adds libpython{version}")
    return Fix(title=f"Install libpython{version}", steps=(step,), verify=commands.check(facts))
