"""torch refuses a setting of its memory allocator.

What it is
    PYTORCH_CUDA_ALLOC_CONF (PYTORCH_ALLOC_CONF since torch 2.9) tells torch's allocator how to keep the memory of the GPU. A word that this
    torch does not know, or a setting that comes too late, ends the program.

How it shows
    "RuntimeError: Unrecognized CachingAllocator option: expandable_segment", "Unrecognized key 'garbage_collection' in CUDA allocator config",
    "Allocator backend parsed at runtime != allocator backend parsed at load time", "Error parsing PYTORCH_CUDA_ALLOC_CONF".

Why it happens
    The name is misspelt, or belongs to a newer torch (expandable_segments needs torch 2.1); or backend:cudaMallocAsync is set after torch was
    imported, as some ComfyUI nodes do.

What to do
    Unset the variable, or write it right: expandable_segments:True (Linux). ComfyUI: start with --disable-cuda-malloc.

How to reproduce
    There is no recipe: torch reads the variable when CUDA starts.

References
    https://docs.pytorch.org/docs/stable/notes/cuda.html#optimizing-memory-usage-with-pytorch-cuda-alloc-conf
    https://github.com/pytorch/pytorch/issues/114455
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD460",
    slug="allocator-setting-refused",
    title="torch refuses a setting of its memory allocator",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        *(
            Sign(pattern=pattern, literal=literal, sample=sample)
            for pattern, literal, sample in (
                (
                    r"Unrecognized CachingAllocator option",
                    "Unrecognized CachingAllocator option",
                    "RuntimeError: Unrecognized CachingAllocator option: expandable_segment",
                ),
                (
                    r"Unrecognized key '\w*' in (?:CUDA |Accelerator )?[Aa]llocator config",
                    "llocator config",
                    "RuntimeError: Unrecognized key 'expandable' in Accelerator allocator config.",
                ),
                (
                    r"Error parsing PYTORCH_\w*ALLOC_CONF",
                    "Error parsing PYTORCH_",
                    "RuntimeError: Error parsing PYTORCH_CUDA_ALLOC_CONF, expected expandable_segments:True",
                ),
                (
                    r"(?P<late>Allocator backend parsed at runtime != allocator backend parsed at load time)",
                    "Allocator backend parsed at runtime",
                    "Allocator backend parsed at runtime != allocator backend parsed at load time",
                ),
            )
        ),
    ),
)
# There is no `detect`: which words a torch knows is not in the tables.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    late = seen.group("late") is not None
    return Hit(
        message="PYTORCH_CUDA_ALLOC_CONF was changed after torch had been imported: the allocator (backend) cannot change then."
        if late
        else "torch does not know a word in PYTORCH_CUDA_ALLOC_CONF: it is misspelt, or belongs to a newer torch.",
        evidence=evidence,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    gone = commands.variable(
        "PYTORCH_CUDA_ALLOC_CONF",
        None,
        "torch then uses its usual allocator; if your script sets it (os.environ, a .bat file, .env), delete the line there",
    )
    new = commands.variable("PYTORCH_ALLOC_CONF", None, "the name of the same variable since torch 2.9")
    return (Fix(title="Unset the variable", steps=(gone, new), verify=commands.check(facts)),)
