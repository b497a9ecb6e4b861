"""What is said of combinations that compute with fewer bits."""

from __future__ import annotations

from attn_doctor.model.trials import Gain, Interval
from attn_doctor.report.tuning_outline import _more
from attn_doctor.trials.tuning.rows import Pass, Row

MS = Interval(median=100.0, low=99.0, high=101.0, n=9)


def row(ratio: float, *changes: str, applied: bool = False) -> Row:
    gain = Gain(ratio=ratio, low=ratio - 0.1, high=ratio + 0.1, n=9, p=0.01, verdict="faster")
    return Row(changes=changes, ms=MS, gain=gain, applied=applied)


def said(*rows: Row) -> list[str]:
    return list(_more(Pass(what="predicting", model="yolo12n.yaml", device="cpu", imgsz=640, batch=1, rows=rows)))


def test_a_faster_combination_of_fewer_bits_is_named_with_its_option():
    (line,) = said(row(1.5, "attention", applied=True), row(2.5, "attention", "bf16"))
    assert (
        line
        == "attention + bf16 was 2.50 times as fast, and is left out because it computes with fewer bits: --allow precision prescribes it"
    )
    assert len(said(row(2.5, "bf16"))) == 1, "nothing is prescribed"


def test_a_slower_one_is_left_out_for_its_speed():
    assert said(row(1.5, "attention", applied=True), row(1.2, "attention", "bf16")) == []
