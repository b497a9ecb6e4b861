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
    "optimiser": "optimiser's state",
    "gradients": "gradients",
    "images": "images",
    "activations": "activations",
    "others": "other tensors",
}

_PHASES = {"forward": "the forward pass", "backward": "the backward pass", "optimiser": "the optimiser's step"}


def label(split: MemorySplit) -> str:
    """Return the name of a memory split: "sdpa, float32, AdamW". It is unique for one size and batch."""
    return f"{split.backend}, {split.dtype}, {split.optimiser}"


def memory_outline(splits: Sequence[MemorySplit], missing: Sequence[str]) -> list[Block]:
    """Return a table for each image size and batch. `missing`: sentences about what could not be measured."""
    blocks: list[Block] = []
    for imgsz, batch in dict.fromkeys((split.imgsz, split.batch) for split in splits):
        mine = [split for split in splits if (split.imgsz, split.batch) == (imgsz, batch)]
        caption = f"Memory of a training step at its peak, image size {imgsz}, batch {batch}"
        # Nine parts in columns are too many for a page: those that do not differ stand below the table.
        same = [name for name in NAMES if len(mine) > 1 and len({_size(split, name) for split in mine}) == 1]
        shown = [name for name in NAMES if name not in same]
        columns = ("backend", "trained in", *(NAMES[name] for name in shown), "all tensors", "measured", "reserved")
        held = [f"{NAMES[name]} {_size(mine[0], name)}" for name in same]
        notes = (*([f"the same in all rows: {', '.join(held)}"] if held else []), *_notes(mine))
        blocks.append(Table(caption, columns, tuple(_row(split, shown) for split in mine), notes))
    if missing:
        blocks.append(Notes("Memory that could not be split", tuple(missing)))
    return blocks


def _size(split: MemorySplit, name: str) -> str:
    return size(getattr(split.parts, name))


def _row(split: MemorySplit, shown: Sequence[str]) -> tuple[Cell, ...]:
    return (
        Cell(split.backend, "strong"),
        Cell(f"{split.dtype}, {split.optimiser}"),
        *(Cell(_size(split, name)) for name in shown),
        Cell(size(split.parts.total), "strong"),
        *(Cell("" if count is None else size(count)) for count in (split.measured, split.reserved)),
    )


def _notes(splits: Sequence[MemorySplit]) -> tuple[str, ...]:
    first = splits[0]
    each = f"{first.parameters:,} parameters of 4 bytes are {size(4 * first.parameters)} of weights"
    where = " or ".join(_PHASES[phase] for phase in _PHASES if any(split.peak_in == phase for split in splits))
    said = [f"{each}; the peak is in {where}"]
    if first.gradients_held:
        said.append("the gradients of earlier batches are held, because ultralytics adds them up to 64 images")
    else:
        said.append(
            "at this batch ultralytics holds no gradients of earlier batches: they grow during the backward pass"
        )
    ends = ", ".join(f"{size(count)} after {_PHASES[phase]}" for phase, count in first.ends.items())
    if ends:
        said.append(f"what lives at the ends of the phases, for {label(first)}: {ends}")
    shares = [split.rest / split.measured for split in splits if split.rest is not None and split.measured]
    if shares:
        seen_by = (
            "PyTorch's allocator" if any(split.reserved for split in splits) else "the resident memory of the process"
        )
        said.append(
            f"measured: the same step as {seen_by} sees it; {_between([f'{share:.0%}' for share in sorted(shares)])} of it is no tensor, "
            "but workspace inside of operators and the heap's own need"
        )
    whole = sorted(split.process for split in splits if split.process)
    if whole:
        said.append(
            f"the whole process took {_between(list(map(size, whole)))} at that moment, with Python, torch and ultralytics themselves"
        )
    said.append("EMA: the moving average of the weights, which ultralytics' trainer holds beside them")
    return tuple(said)


def _between(texts: Sequence[str]) -> str:
    """Return the range of texts that are in order, "9% to 12%"; one text if all are the same."""
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"
