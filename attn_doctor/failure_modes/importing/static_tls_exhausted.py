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
    Import first what fails: cv2 above torch if cv2 finds no space, torch above all others if torch finds none. Or load the library that the error names when the program starts: set LD_PRELOAD to its
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
from attn_doctor.commands import container_starts
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Extension, Recipe
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step
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
        # The last of these above the error is the import that found no space.
        *(
            Sign(
                pattern=rf"^{word}(?P<imports>cv2|torch|sklearn|xgboost|lightgbm|open3d|tensorflow|paddle|scipy|dlib|rclpy)\b",
                literal=word,
                sample=f"{word}cv2",
                strength="context",
            )
            for word in ("import ", "from ")
        ),
        *(
            Sign(
                pattern=rf"\b(?P<container>{word})\b",
                literal=word,
                sample=f"It fails in the {word} too",
                strength="context",
            )
            for word in ("docker", "Docker", "container", "Dockerfile", "podman")
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
    """Hold the path of the library for which there was no space left; None if the log does not show it."""

    library: str | None
    importing: str | None = None  # the module whose import found no space, "cv2"
    container: bool = False


_OWNERS = (
    ("/torch/lib/", "torch"),
    ("scikit_learn.libs", "sklearn"),
    ("/sklearn/", "sklearn"),
    ("xgboost.libs", "xgboost"),
)


def _importing(seen: Seen) -> str | None:
    """Return the module whose import failed: the last import above the error, or the package that contains the library."""
    error = next(m for m in seen.matches if m.strength == "proof")
    above = [
        m.groups["imports"]
        for m in seen.matches
        if "imports" in m.groups and m.file == error.file and m.line < error.line
    ]
    return above[-1] if above else next((name for part, name in _OWNERS if part in error.text), None)


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if not any(m.strength == "proof" for m in seen.matches):
        return None
    library = seen.group("library")
    return Hit(
        message=f"The loader had no space left for the thread-local memory of {library or 'a library'}: other libraries were loaded before it and used "
        "the space.",
        evidence=building.lines(tuple(m for m in seen.matches if m.strength == "proof")),
        variant=Late(
            library=library,
            importing=_importing(seen),
            container=isinstance(facts.system.container, str) or seen.group("container") is not None,
        ),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    late = hit.variant if isinstance(hit.variant, Late) else Late(library=None)
    first = late.importing or "the module that fails"
    order = commands.by_hand(
        (),
        f"in the script that you start, write `import {late.importing}` above all other imports: it then finds the space"
        if late.importing
        else "in the script that you start, write the import that fails above all other imports: it then finds the space",
        "the order of imports",
        "none",
    )
    made = [Fix(title=f"Import {first} first", steps=(order,), verify=verify)]
    if late.library:
        steps = (_preloaded(facts, late.library, container=late.container),)
        title = "Load the library at the start" + (" of the container's program" if late.container else "")
        preload = Fix(title=title, steps=steps, verify=verify)
        made = [preload, *made] if late.container or not late.importing else [*made, preload]
    glibc = facts.system.glibc
    if not late.container and (not isinstance(glibc, str) or (pair(glibc) or _HAS_TUNABLE) >= _HAS_TUNABLE):
        why = (
            "makes the reserve larger"
            if isinstance(glibc, str)
            else "makes the reserve larger, with glibc 2.32 or newer"
        )
        reserve = commands.variable("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=4096", why)
        made.append(Fix(title="Make the reserve larger", steps=(reserve,), verify=verify))
    return tuple(made)


def _preloaded(facts: Facts, library: str, *, container: bool) -> Step:
    """Return the step that loads the library before all others. In a container the variable has to be set for the container."""
    why = "loads the library when the program starts, while there is space"
    if not container:
        return commands.variable("LD_PRELOAD", library, why)
    words = (
        f"{why}; an export in the shell of the host does not reach the container. For good: a line  ENV LD_PRELOAD={library}  in the Dockerfile; "
        "in a script such as run.sh, add the -e option to its docker run"
    )
    argv = container_starts.start(facts, "-e", f"LD_PRELOAD={library}")
    return commands.by_hand(argv, words, "a variable of the container", elsewhere=True)
