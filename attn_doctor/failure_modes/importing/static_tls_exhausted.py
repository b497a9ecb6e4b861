"""The loader has no space left for the thread-local memory of a library.

What it is
    A library such as libgomp or jemalloc stores its variables for each thread in the static TLS block. glibc allocates this block when
    the program starts, with a small reserve for libraries that are loaded later. Here other libraries have already used the reserve.

How it shows
    "OSError: .../libgomp.so.1: cannot allocate memory in static TLS block", "ImportError: .../libgomp-d22c30c5.so.1.0.0: cannot allocate memory
    in static TLS block". In most cases on ARM (Jetson, Graviton, Grace); with jemalloc or tcmalloc also on x86.

Why it happens
    torch, scikit-learn, OpenCV and others each bring an OpenMP runtime. The runtime that is imported last may find no space. Before glibc
    2.32 the size of the reserve cannot be changed.

What to do
    Import torch first, before cv2 and sklearn. Or load the library that the error names when the program starts: set LD_PRELOAD to its
    path. With glibc 2.32 or newer: set GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096.

How to reproduce
    `attn-doctor reproduce static-tls-exhausted` imports a module of C that asks for 1 MB in the static TLS block, which is compiled here. On
    a Jetson with glibc 2.27, `python3 -c "import cv2, torch"` shows the real failure.

References
    https://github.com/NVIDIA-AI-IOT/trt_pose/issues/111
    https://github.com/NVIDIA/DALI/pull/5519
    https://www.gnu.org/software/libc/manual/html_node/Dynamic-Linking-Tunables.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Extension, Recipe
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.versions import pair

MODE = FailureMode(
    code="AD324",
    slug="static-tls-exhausted",
    title="No space in the static TLS block",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("torch-install-broken", "libgl-missing"),
    signs=(
        Sign(
            pattern=r"(?P<library>/[^\s:'\"]{1,250}\.so[\w.]*): cannot allocate memory in static TLS block",
            literal="cannot allocate memory in static TLS block",
            sample="OSError: /usr/lib/aarch64-linux-gnu/libgomp.so.1: cannot allocate memory in static TLS block",
        ),
        Sign(
            pattern=r"cannot allocate memory in static TLS block",
            literal="cannot allocate memory in static TLS block",
            sample="ImportError: libgomp-d22c30c5.so.1.0.0: cannot allocate memory in static TLS block",
        ),
    ),
    recipe=Recipe(
        does="imports a module of C that asks for 1 MB in the static TLS block",
        of=(
            Extension(
                name="flash_attn_2_cuda",
                body='static __thread char block[1 << 20] __attribute__((tls_model("initial-exec"))); block[0] = 1;',
            ),
        ),
        run=(("{python}", "-c", "import flash_attn_2_cuda"),),
        shows="cannot allocate memory in static TLS block",
        seconds=2,
    ),
)

_HAS_TUNABLE = (2, 32)  # https://sourceware.org/git/?p=glibc.git;a=blob;f=NEWS, "rtld.optional_static_tls"


class Late(Variant, frozen=True, kw_only=True):
    """Name the library that found no space by its path; None: the log does not show the path."""

    library: str | None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    library = seen.group("library")
    return Hit(
        message=f"The loader had no space left for the thread-local memory of {library or 'a library'}: other libraries were loaded before it and used "
        "the space.",
        evidence=evidence,
        variant=Late(library=library),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    library = hit.variant.library if isinstance(hit.variant, Late) else None
    order = commands.by_hand(
        (),
        "in the script that you start, write `import torch` above `import cv2`, sklearn and all other imports",
        "the order of imports",
        "none",
    )
    made = [Fix(title="Import torch first", steps=(order,), verify=verify)]
    if library:
        preload = commands.variable(
            "LD_PRELOAD", library, "loads the library when the program starts, while there is space"
        )
        made.append(Fix(title="Load the library at the start", steps=(preload,), verify=verify))
    glibc = facts.system.glibc
    if not isinstance(glibc, str) or (pair(glibc) or _HAS_TUNABLE) >= _HAS_TUNABLE:
        why = (
            "makes the reserve larger"
            if isinstance(glibc, str)
            else "makes the reserve larger, with glibc 2.32 or newer"
        )
        reserve = commands.variable("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=4096", why)
        made.append(Fix(title="Make the reserve larger", steps=(reserve,), verify=verify))
    return tuple(made)
