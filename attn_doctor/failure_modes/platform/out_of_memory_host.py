"""The memory of the machine is full while a program runs.

What it is
    A program asked for memory of the machine, not of the GPU, and got none: all of it is in use, or the program is not allowed more.

How it shows
    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9830400 bytes", "not enough memory: you tried to allocate";
    NumPy says "Unable to allocate 4.39 GiB for an array"; the DataLoader says "is killed by signal: Killed".

Why it happens
    Each worker of a DataLoader holds a copy of the program, `cache=True` keeps all images in memory, and a training on
    the CPU keeps its batch there too. A shell (`ulimit -v`), a container or a job of a cluster may allow less than the
    machine has.

What to do
    Start with fewer workers, without the cache of images and with a smaller batch: `workers=0 cache=False batch=4`.
    Where `ulimit -v` shows a number, `ulimit -S -v hard` raises it as far as the hard limit allows. Give a container or
    a job more memory when you start it.

How to reproduce
    `attn-doctor reproduce out-of-memory-host` asks torch for a million gigabytes on the CPU. If the torch of the target
    does not fit, a CPU build is downloaded: 200 MB.

References
    https://docs.pytorch.org/docs/stable/data.html#multi-process-data-loading
    https://docs.ultralytics.com/modes/train/#train-settings
    https://man7.org/linux/man-pages/man2/getrlimit.2.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Recipe, Torch
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD508",
    slug="out-of-memory-host",
    title="The machine's memory is full",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("dataloader-worker-ended",),
    signs=(
        Sign(
            pattern=r"DefaultCPUAllocator: (?:can't allocate|not enough) memory(?:: you tried to allocate (?P<bytes>\d+) bytes)?",
            literal="DefaultCPUAllocator: ",
            sample="RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
            "allocate 9830400 bytes. Error code 12 (Cannot allocate memory)",
        ),
        Sign(
            pattern=r"(?:ArrayMemoryError|MemoryError): Unable to allocate (?P<size>[\d.]+ [KMGT]?i?B) for an array",
            literal=": Unable to allocate ",
            sample="numpy._core._exceptions._ArrayMemoryError: Unable to allocate 4.39 GiB for an array with shape (24, 7000, 7000)",
        ),
        Sign(
            # Also as people type it out: "Dataloader worker (pid 71) is killed by signal:killed".
            pattern=r"(?i:dataloader) worker \(pid(?:\(s\))? [\d, ]+\) (?:is|was) killed by signal: ?[Kk](?:illed|ILLED)\b",
            literal=" killed by signal",
            sample="RuntimeError: DataLoader worker (pid 4711) is killed by signal: Killed. ",
        ),
        Sign(
            pattern=r"\bbatch=(?P<batch>\d+)\b.{0,4000}?\bimgsz=\d+",
            literal="imgsz=",
            sample="engine/trainer: task=detect, mode=train, model=yolo12s.yaml, data=coco8.yaml, epochs=3, patience=100, batch=16, imgsz=640",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="asks torch for a million gigabytes on the CPU",
        of=(Torch(),),
        run=(("{python}", "-c", "import torch; torch.empty(1 << 50, dtype=torch.uint8)"),),
        shows="DefaultCPUAllocator",
        seconds=5,
    ),
)
# There is no `detect`: no fact says how much memory a program will need.


class Full(Variant, frozen=True, kw_only=True):
    """Hold the batch that the program was started with; None: the log does not say."""

    batch: int | None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs:
        return None
    size, count, batch = seen.group("size"), seen.group("bytes"), seen.group("batch")
    asked = size or (f"{int(count):,} bytes".replace(",", " ") if count else None)
    what = f" when it asked for {asked}" if asked else ""
    message = f"The program got no memory of the machine{what}: it is used up, or a limit allows no more. This is not the GPU's memory."
    lines = tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in proofs[:4])
    return Hit(message=message, evidence=lines, variant=Full(batch=int(batch) if batch else None))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    batch = hit.variant.batch if isinstance(hit.variant, Full) else None
    smaller = f"batch={max(1, batch // 4)}" if batch is not None else "batch=4"
    words = (
        f"repeat the command with workers=0 cache=False {smaller} (ultralytics), or num_workers=0 and a smaller batch: each worker holds a "
        "copy of the program, and the cache holds all images"
    )
    less = commands.by_hand((), words, "the settings of the training", "none")
    made = [Fix(title="Use less memory", steps=(less,), verify=commands.check(facts))]
    if facts.system.os != "windows":
        # `ulimit -v unlimited` would change the hard limit too, and only root may raise that limit.
        why = (
            "if ulimit -v shows a number: raises it as far as the hard limit allows (ulimit -H -v). Give a container or a cluster job more "
            "memory when you start it"
        )
        more = commands.by_hand(("ulimit", "-S", "-v", "hard"), why, "the limit of this shell", "none")
        made.append(Fix(title="Allow the shell more memory", steps=(more,), verify=commands.check(facts)))
    return tuple(made)
