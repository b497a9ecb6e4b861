"""Studies written by hand: an attention, a seed and a few numbers make a training."""

from __future__ import annotations

import msgspec

from attn_doctor.model.study import Cell, Design, Epoch, Study

LOSSES = {"train/box_loss": 1.5, "train/cls_loss": 2.5, "train/dfl_loss": 1.1, "val/box_loss": 1.6}
FLASH = ("aten::_scaled_dot_product_flash_attention_for_cpu",)


def epoch(number: int = 1, value: float | None = 0.5, **changes) -> Epoch:
    """Return an epoch in which mAP50, precision and recall stand 0.2, 0.1 and 0.05 above mAP50-95."""
    known = {} if value is None else {"map50": value + 0.2, "precision": value + 0.1, "recall": value + 0.05}
    return Epoch(**{"number": number, "seconds": 10.0, "map50_95": value, "losses": LOSSES, **known, **changes})


def training(arm: str, seed: int, value: float = 0.5, epochs: int = 2, **changes) -> Cell:
    """Return a training that ended, with `value` as the mAP50-95 of its last epoch; each epoch before had 0.1 less."""
    of_epochs = {
        key: changes.pop(key) for key in ("seconds", "peak_memory", "joules", "images_per_second") if key in changes
    }
    made = tuple(epoch(n, max(0.0, value - 0.1 * (epochs - n)), **of_epochs) for n in range(1, epochs + 1))
    return Cell(
        **{"arm": arm, "seed": seed, "state": "done", "proven": True, "kernels": FLASH, "epochs": made, **changes}
    )


def study(cells, arms=("eager", "sdpa-flash"), **changes) -> Study:
    """Return a study of these trainings; its seeds are those of the trainings."""
    design = Design(
        model="yolo12n.yaml",
        data="shapes.yaml",
        arms=arms,
        seeds=tuple(dict.fromkeys(cell.seed for cell in cells)),
        epochs=2,
        imgsz=160,
        batch=16,
        command=("attn-doctor", "study", "--demo"),
        versions={"torch": "2.15.0+cpu", "ultralytics": "8.4.190"},
        hashes={"data": "0f" * 32, "model": "9c" * 32},
    )
    return Study(design=msgspec.structs.replace(design, **changes), cells=tuple(cells), created="2026-11-30T03:00:00Z")


def pairs(first, second, arms=("eager", "sdpa-flash"), **changes) -> Study:
    """Return a study with a pair of mAP50-95 for each seed."""
    cells = []
    for seed, (a, b) in enumerate(zip(first, second, strict=True)):
        cells += [training(arms[0], seed, a), training(arms[1], seed, b)]
    return study(cells, arms, **changes)
