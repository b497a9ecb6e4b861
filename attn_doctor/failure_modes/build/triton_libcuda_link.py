"""triton cannot link its launcher: the linker does not find libcuda.so.

What it is
    When the first triton kernel is used, triton compiles a small C file (its launcher) and links it with the driver's
    library. That step fails.

How it shows
    "CalledProcessError: Command '['/usr/bin/gcc', '/tmp/.../cuda_utils.c', ..., '-lcuda', ...]' returned non-zero
    exit status 1"; the compiler's own message is far above, or missing. Also "/usr/bin/ld: cannot find -lcuda" and
    "AssertionError: libcuda.so cannot found!".

Why it happens
    The machine has only libcuda.so.1, and the linker looks for libcuda.so; or the driver's folder is not in the
    loader's cache (WSL, NixOS, containers); or there is no driver at all. A missing Python.h ends with the same line:
    gcc's own message shows which of these it is.

What to do
    Create a link libcuda.so to the driver's libcuda.so.1 in a folder of your own, and name this folder in
    TRITON_LIBCUDA_PATH (triton looks there) and LIBRARY_PATH (gcc looks there). `ldconfig -p | grep libcuda` prints where
    libcuda.so.1 is. If it prints nothing, the driver's folder is not in the loader's cache: on WSL it is /usr/lib/wsl/lib.

How to reproduce
    `attn-doctor reproduce triton-libcuda-link` links an empty program with -lcuda on a machine that has no driver for the
    linker. It downloads nothing.

References
    https://github.com/triton-lang/triton/blob/main/third_party/nvidia/backend/driver.py (libcuda_dirs)
    https://gcc.gnu.org/onlinedocs/gcc/Environment-Variables.html (LIBRARY_PATH)
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import File, Recipe
from attn_doctor.failure_modes.shared import building
from attn_doctor.failure_modes.shared.fact_queries import cuda_build, usable_gpu
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD117",
    slug="triton-libcuda-link",
    title="triton finds no libcuda to link with",
    train=Severity.WARNING,
    flash_attn=Severity.ERROR,
    blocks=("compile", "flex"),
    signs=(
        Sign(
            pattern=r"CalledProcessError: Command '\['[^']{0,200}(?:gcc|cc|clang|g\+\+|tcc|cl)(?:-\d+)?(?:\.exe)?', '[^']{0,300}\.c',",
            literal=".c', ",
            sample="subprocess.CalledProcessError: Command '['/usr/bin/gcc', '/tmp/tmpa1/cuda_utils.c', '-O3', '-shared', '-fPIC', "
            "'-o', '/tmp/tmpa1/cuda_utils.so', '-lcuda']' returned non-zero exit status 1.",
            strength="hint",
        ),
        Sign(
            pattern=r"cannot find -l:?(?:lib)?cuda(?:\.so(?:\.1)?)?(?![\w-])",
            literal="cannot find -l",
            sample="/usr/bin/ld: cannot find -lcuda: No such file or directory",
        ),
        Sign(
            pattern=r"libcuda\.so cannot found",
            literal="libcuda.so cannot found",
            sample="AssertionError: libcuda.so cannot found!",
        ),
        # Where triton itself saw libcuda.so.1: in its message, or as the folder of its -L.
        Sign(
            pattern=r"Possible files are located at \['(?P<there>/[\w./+-]{1,200})/libcuda\.so\.1'",
            literal="Possible files are located at [",
            sample="Possible files are located at ['/usr/lib/wsl/lib/libcuda.so.1'].Please create a symlink of libcuda.so to any of the file.",
            strength="context",
        ),
        Sign(
            pattern=r"'-lcuda', (?:'-[LI][^']{1,200}', ){0,4}?'-L(?P<there>/(?:usr/)?lib[\w./+-]{0,200})'",
            literal="'-lcuda', ",
            sample="'/tmp/tmpa1/cuda_utils.so', '-lcuda', '-L/usr/lib/x86_64-linux-gnu']' returned non-zero exit status 1.",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="links an empty program with -lcuda on a machine that has no driver for the linker",
        of=(File(path="small.c", text="int main(void) { return 0; }\n"),),
        run=(("gcc", "small.c", "-lcuda", "-o", "small"),),
        shows="cannot find -lcuda",
        seconds=1,
    ),
)


def detect(facts: Facts) -> Hit | None:
    """Find a GPU that works although the loader's cache names no driver: triton may not know the path of the driver."""
    cache = facts.system.loader_cache
    if not every(
        lambda: known(facts.system.os) == "linux",
        lambda: cuda_build(facts),
        # Only the loader of the machine that has the GPU counts.
        lambda: usable_gpu(facts) and facts.graphics.stated is not True,
        lambda: not any(entry.startswith("libcuda.so") for entry in known(cache)),
    ):
        return None
    return Hit(
        message="The driver's libcuda is not in the loader's cache, where triton looks for it when triton compiles a kernel.",
        evidence=(fact(facts, "system.loader_cache", "no libcuda.so in the loader's cache"),),
        confidence=Confidence.LOW,
        severity=Severity.INFO,
    )


# The names of triton's C files.
_LAUNCHER = re.compile(r"[\\/](?:main|cuda_utils|driver|launcher|__triton_launcher)\.c'")


# A path that begins with \\\\?\\, as Python prints it in a list of words.
_EXTENDED = re.compile(r"'\\{4}\?\\{2}\w:")


class NoLink(Variant, frozen=True, kw_only=True):
    """Hold the folder in which triton found libcuda.so.1; None if the log does not contain it."""

    folder: str | None


class NoMessage(Variant, frozen=True, kw_only=True):
    r"""Mark the case that the compiler's message is missing.

    `extended`: the compiler got a path with the prefix `\\?\`, which Windows calls extended.
    """

    extended: bool


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if any(m.strength == "proof" for m in seen.matches):
        return Hit(
            message="The linker found no libcuda.so: it does not search the folder of the driver's library.",
            evidence=tuple(e for e in evidence if "Possible files are" not in e.text),
            variant=NoLink(folder=seen.group("there")),
        )
    linked = [
        m
        for m in seen.matches
        if _LAUNCHER.search(m.text)
        or "-lcuda'" in m.text
        or "libcuda.so" in m.text
        or "'-l:" in m.text
        or "…" in m.text
    ]
    if not linked:
        return None
    return Hit(
        message="triton's launcher could not be compiled or linked. The compiler's own message shows the reason"
        + (
            "."
            if facts.system.os == "windows"
            else "; if it is missing, the most likely reason is a missing libcuda.so."
        ),
        evidence=building.lines(linked),
        variant=NoMessage(extended=any(_EXTENDED.search(m.text) for m in linked)),
        confidence=Confidence.LOW,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if facts.system.os == "windows":
        return _on_windows(facts, extended=isinstance(hit.variant, NoMessage) and hit.variant.extended)
    library = facts.graphics.libcuda if isinstance(facts.graphics.libcuda, str) else None
    if library is None:
        return (_linked(facts, hit.variant.folder if isinstance(hit.variant, NoLink) else None),)
    folder = library.rpartition("/")[0] or "/"
    named = commands.variable("TRITON_LIBCUDA_PATH", folder, "the folder in which triton then looks for libcuda")
    return (Fix(title="Tell triton where libcuda is", steps=(named,), verify=commands.check(facts)),)


_FOLDER = "$HOME/.local/lib/libcuda"


def _linked(facts: Facts, folder: str | None) -> Fix:
    """Return the fix that links libcuda.so to the driver's library. The link is in a folder of the user, so root is not needed.

    `folder`: the folder of libcuda.so.1.
    """
    usual = "/usr/lib/wsl/lib" if places.wsl(facts) == 2 else None
    find = (
        f"f={folder or usual}/libcuda.so.1"
        if folder or usual
        else "f=$(/sbin/ldconfig -p | awk '/libcuda.so.1/ {print $NF; exit}')"
    )
    script = f'{find}; [ -e "$f" ] && mkdir -p {_FOLDER} && ln -sf "$f" {_FOLDER}/libcuda.so && ln -sf "$f" {_FOLDER}/libcuda.so.1'
    link = commands.by_hand(
        ("sh", "-c", script),
        "the driver has libcuda.so.1, and the linker looks for libcuda.so: this makes a link in a folder of your own. If it fails, this machine or "
        "container has no libcuda.so.1: the driver is missing, or the container was started without the GPU (nvidia-smi)",
        f"adds {_FOLDER}",
    )
    names = commands.by_hand(
        ("sh", "-c", f'export TRITON_LIBCUDA_PATH={_FOLDER} LIBRARY_PATH="{_FOLDER}:$LIBRARY_PATH"'),
        "triton and gcc then look in that folder; start the program in this shell",
        "TRITON_LIBCUDA_PATH and LIBRARY_PATH, in this shell alone",
        "none",
    )
    return Fix(
        title="Make the link libcuda.so, and tell triton where it is",
        steps=(link, names),
        verify=building.verify(facts),
    )


_ALONE = "import triton; print(triton.__version__, triton.runtime.driver.active.get_current_target())"


def _on_windows(facts: Facts, *, extended: bool) -> tuple[Fix, ...]:
    """Return the fixes for Windows: read the compiler's message, or use a plain folder for temporary files.

    There triton-windows contains its own compiler (tcc).
    https://github.com/woct0rdho/triton-windows#8-special-notes-for-comfyui-with-embeded-python
    """
    look = commands.by_hand(
        (*commands.starting(facts), "-c", _ALONE),
        "compiles the same small file, and nothing else: the lines above its traceback are the compiler's. 'Python.h' or 'python3' there: the headers and "
        "libs of this Python are missing. If it prints a version and a GPU, it works: remove the folder .triton\\cache of your user, and start again",
        "nothing",
        "none",
    )
    made = [Fix(title="Read the compiler's message", steps=(look,), verify=building.verify(facts))]
    if extended:
        folder = commands.by_hand(
            ("cmd", "/c", "mkdir", "C:\\tmp"), "a folder for temporary files with a short path", "adds a folder"
        )
        short = commands.variable(
            "TMPDIR",
            "C:\\tmp",
            "the compiler was given a path that begins with \\\\?\\, which not all programs open; Python takes TMPDIR before TEMP; start the program in this prompt",
        )
        made.append(
            Fix(title="Take a plain folder for temporary files", steps=(folder, short), verify=building.verify(facts))
        )
    return tuple(made)
