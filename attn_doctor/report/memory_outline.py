"""Build the table of a training step's memory, split into its parts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from attn_doctor.model.trials import MemorySplit
from attn_doctor.report.blocks import Block, Cell, Notes, Table
from attn_doctor.report.machine_summary import size

# The names for readers, in the order of the columns and of the pieces of a bar.
NAMES = {
    "weights": "weights",
    "averaged": "EMA",
    "buffers": "buffers",
    "optimiser": "optimiser",
    "gradients": "gradients",
    "images": "images",
    "activations": "activations",
    "others": "other tensors",
}


def label(split: MemorySplit) -> str:
    """Return the name of a split among those of its size and batch: "sdpa, float32, AdamW"."""
    return f"{split.backend}, {split.dtype}, {split.optimiser}"


def memory_outline(splits: Sequence[MemorySplit], notes: Sequence[str]) -> list[Block]:
    """Return a table for each image size and batch, and what could not be measured."""
    blocks: list[Block] = []
    for imgsz, batch in dict.fromkeys((split.imgsz, split.batch) for split in splits):
        mine = [split for split in splits if (split.imgsz, split.batch) == (imgsz, batch)]
        columns = ("backend", "dtype", "optimiser", *NAMES.values(), "tensors", "measured", "reserved", "process")
        caption = f"Memory of a training step at its peak, image size {imgsz}, batch {batch}"
        blocks.append(Table(caption, columns, tuple(map(_row, mine)), _notes(mine)))
    if notes:
        blocks.append(Notes("Memory that could not be split", tuple(notes)))
    return blocks


def _row(split: MemorySplit) -> tuple[Cell, ...]:
    parts = (Cell(size(getattr(split.parts, name))) for name in NAMES)
    measured = (split.measured, split.reserved, split.process)
    return (
        Cell(split.backend, "strong"),
        Cell(split.dtype),
        Cell(split.optimiser),
        *parts,
        Cell(size(split.parts.total), "strong"),
        *(Cell("" if count is None else size(count)) for count in measured),
    )


def _notes(splits: Sequence[MemorySplit]) -> tuple[str, ...]:
    first = splits[0]
    each = f"{first.parameters:,} parameters of 4 bytes are {size(4 * first.parameters)} of weights"
    where = ", ".join(sorted({split.peak_in for split in splits}))
    said = [f"{each}; the peak is in: {where}"]
    if first.gradients_held:
        said.append("the gradients of earlier batches are held, because ultralytics adds them up to 64 images")
    else:
        said.append(
            "at this batch ultralytics holds no gradients of earlier batches: they grow during the backward pass"
        )
    shares = [split.rest / split.measured for split in splits if split.rest is not None and split.measured]
    if shares:
        low, high = min(shares), max(shares)
        between = f"{low:.0%}" if f"{low:.0%}" == f"{high:.0%}" else f"{low:.0%} to {high:.0%}"
        seen_by = (
            "PyTorch's allocator" if any(split.reserved for split in splits) else "the resident memory of the process"
        )
        said.append(
            f"measured: the same step as {seen_by} sees it; {between} of it is no tensor, but workspace inside of operators and the "
            "heap's own need"
        )
    if any(split.process for split in splits):
        said.append("process: all resident memory, with Python, torch and ultralytics themselves")
    said.append("EMA: the moving average of the weights, which ultralytics' trainer holds beside them")
    return tuple(said)
