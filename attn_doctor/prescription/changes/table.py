"""List in one table every change that can make a program faster: its effect, and how it is made.

Pure: the standard library only, Python 3.8, because a user's program loads it without msgspec. `trials/tuning/fitting.py` decides
whether a change fits a machine. `apply` makes a change in a running process; `variables` below makes it before a process starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # Python 3.8, which a target may have, cannot subscript a tuple
    from typing import Any, Literal

    # "environment": before the process starts · "call": inside a running process · "argument": one of ultralytics' own
    How = Literal["environment", "call", "argument"]
    # "same": no arithmetic changes · "rounding": float32 sums in another order · "precision": numbers of fewer bits
    Numbers = Literal["same", "rounding", "precision"]

TRAINING, PREDICTING = "training", "predicting"
NUMBERS = ("same", "rounding", "precision")  # each allows those before it
GIB = 2**30


class Change(NamedTuple):
    """Describe a change. Changes with the same word in `instead` exclude each other."""

    words: str  # what a reader sees behind the name: "the model compiled by torch.compile"
    how: How  # where the change is made
    numbers: Numbers  # how far the results differ
    passes: tuple[str, ...] = (TRAINING, PREDICTING)  # what it is for
    instead: str = ""  # "allocator"; "": it excludes no other change
    slow: bool = False  # the change needs minutes before it helps: it is measured only if the user names it (--try)


CHANGES: dict[str, Change] = {
    "attention": Change("another attention kernel in the model", "call", "rounding"),
    "threads": Change("as many threads as there are physical cores, where ultralytics sets fewer", "call", "rounding"),
    "bf16": Change("convolutions and matrix products in bfloat16 (autocast)", "call", "precision", instead="16 bits"),
    "channels-last": Change(
        "images, and so all activations, with the channels of a pixel side by side", "call", "rounding"
    ),
    "heap": Change(
        "glibc keeps freed memory, so that large arrays cause no page faults again",
        "environment",
        "same",
        instead="allocator",
    ),
    "tcmalloc": Change(
        "tcmalloc in the place of the C library's allocator", "environment", "same", instead="allocator"
    ),
    "jemalloc": Change(
        "jemalloc in the place of the C library's allocator", "environment", "same", instead="allocator"
    ),
    "huge-pages": Change("PyTorch asks for pages of 2 MiB (THP_MEM_ALLOC_ENABLE)", "environment", "same"),
    "pinning": Change("the process keeps to one physical core a thread, of one memory node", "environment", "same"),
    "half": Change("the model in float16 (quantize=16)", "argument", "precision", (PREDICTING,), instead="16 bits"),
    "tf32": Change("float32 matrix products in TF32", "call", "precision"),
    "cudnn-benchmark": Change("cuDNN tries its algorithms and keeps the fastest", "call", "rounding"),
    "nondeterministic": Change(
        "cuDNN may use algorithms whose sums change from run to run", "argument", "rounding", (TRAINING,)
    ),
    "compile": Change("the model compiled by torch.compile", "argument", "rounding", (TRAINING,), slow=True),
}

# What a change is called as an argument of `yolo train` or `yolo predict` (ultralytics 8.4.190, cfg/default.yaml).
ARGUMENTS = {"half": "quantize=16", "nondeterministic": "deterministic=False", "compile": "compile=True"}

# The variables of a change. glibc: https://man7.org/linux/man-pages/man3/mallopt.3.html (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD).
# huge-pages: c10/core/impl/alloc_cpu.cpp of PyTorch.
VARIABLES: dict[str, dict[str, str]] = {
    "heap": {
        "MALLOC_MMAP_THRESHOLD_": str(GIB),
        "MALLOC_TRIM_THRESHOLD_": str(4 * GIB),
        "MALLOC_TOP_PAD_": str(64 * 2**20),
    },
    "huge-pages": {"THP_MEM_ALLOC_ENABLE": "1"},
}
PRELOADED = ("tcmalloc", "jemalloc")  # by LD_PRELOAD, https://man7.org/linux/man-pages/man8/ld.so.8.html


def is_allowed(name: str, level: str) -> bool:
    """Return whether a change ("bf16") is allowed. `level`: how far the user allows the results to differ (a word of NUMBERS)."""
    return NUMBERS.index(CHANGES[name].numbers) <= NUMBERS.index(level)


def variables(name: str, value: Any) -> dict[str, str]:
    """Return the environment variables that make a change before a process starts; empty if it needs none.

    `value`: for an allocator, the path of its library.
    """
    if name in PRELOADED:
        return {"LD_PRELOAD": str(value)}
    return dict(VARIABLES.get(name, {}))
