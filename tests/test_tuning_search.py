"""The search of `trial --tune`, on machines that are tables of numbers: what is combined, dropped, refused, and said."""

from __future__ import annotations

from attn_doctor.trials.tuning.judged import judged
from attn_doctor.trials.tuning.rows import Checked
from attn_doctor.trials.tuning.search import added, search


class Machine:
    """A machine on which each change divides the time of a pass by its factor, and time passes only while it measures."""

    def __init__(self, base_ms: float = 100.0, *, wrong: tuple[str, ...] = (), shipped: str = "ok", **factors: float):
        self.base, self.factors, self.wrong, self.shipped = base_ms, factors, wrong, shipped
        self.clock = 0.0
        self.measured: list[tuple[str, ...]] = []

    def ms(self, changes):
        taken = self.base
        for name in changes:
            taken /= self.factors[name.replace("-", "_")]
        return taken

    def check(self, changes):
        self.clock += self.ms(changes) / 1e3
        if not changes:
            return Checked(status=self.shipped)
        bad = [name for name in changes if name in self.wrong]
        return Checked(status="wrong" if bad else "ok", reason=f"{bad[0]} is wrong" if bad else None)

    def time(self, changes):
        self.measured.append(changes)
        # A millionth more each time: no two times are equal, as on a real machine.
        taken = self.ms(changes) * (1 + len(self.measured) * 1e-6)
        self.clock += taken / 1e3
        return taken

    def seconds(self):
        return self.clock


def applied(found):
    return next(row for row in found.rows if row.applied).changes


def test_what_helps_is_combined_and_what_does_not_is_left_out():
    machine = Machine(attention=1.1, threads=1.6, channels_last=1.2, heap=0.9, huge_pages=1.005)
    found = search(
        machine, ("attention", "threads", "channels-last", "heap", "huge-pages"), level="rounding", budget=60
    )
    assert applied(found) == ("attention", "threads", "channels-last")
    row = next(row for row in found.rows if row.applied)
    assert row.gain is not None
    assert row.gain.verdict == "faster"
    assert abs(row.gain.ratio - 1.1 * 1.6 * 1.2) < 0.01
    assert [(s.change, s.taken) for s in found.steps if s.on == ("attention",)] == [
        ("threads", True),
        ("channels-last", False),
        ("heap", False),
        ("huge-pages", False),
    ]
    # What loses is measured once on top of attention, and never again.
    assert {c for c in machine.measured if "heap" in c} == {("attention", "heap")}


def test_of_changes_that_exclude_each_other_the_better_one_is_taken():
    machine = Machine(heap=1.3, tcmalloc=1.5)
    found = search(machine, ("heap", "tcmalloc"), level="same", budget=60)
    assert applied(found) == ("tcmalloc",)
    assert added(("attention", "heap"), "tcmalloc") == ("attention", "tcmalloc")


def test_fewer_bits_are_measured_and_not_taken_unless_allowed():
    factors = {"attention": 1.2, "bf16": 2.0}
    found = search(Machine(**factors), ("attention", "bf16"), level="rounding", budget=60)
    assert applied(found) == ("attention",)
    assert [row.changes for row in found.rows if row.gain and row.gain.verdict == "faster"] == [
        ("attention",),
        ("attention", "bf16"),
    ]
    assert applied(search(Machine(**factors), ("attention", "bf16"), level="precision", budget=60)) == (
        "attention",
        "bf16",
    )


def test_wrong_numbers_are_a_row_with_the_reason_and_never_taken():
    machine = Machine(threads=1.1, channels_last=3.0, wrong=("channels-last",))
    found = search(machine, ("threads", "channels-last"), level="rounding", budget=60)
    assert applied(found) == ("threads",)
    assert [(r.changes, r.checked.reason, r.ms) for r in found.rows if r.checked.status == "wrong"] == [
        (("channels-last",), "channels-last is wrong", None)
    ]


def test_without_a_gain_the_program_stays_as_shipped():
    found = search(Machine(attention=0.95, threads=1.001), ("attention", "threads"), level="rounding", budget=60)
    assert applied(found) == ()


def test_attention_is_taken_out_again_where_it_costs():
    found = search(Machine(attention=0.8, threads=2.0), ("attention", "threads"), level="rounding", budget=60)
    assert applied(found) == ("threads",)


def test_where_the_program_as_shipped_is_wrong_the_fastest_right_one_is_taken_however_slow():
    found = search(Machine(attention=0.7, shipped="wrong"), ("attention",), level="rounding", budget=60)
    assert applied(found) == ("attention",)


def test_when_the_time_is_over_it_says_what_it_did_not_try():
    machine = Machine(5000, attention=1.1, threads=1.5, channels_last=1.2, heap=1.1)
    found = search(machine, ("attention", "threads", "channels-last", "heap"), level="rounding", budget=30)
    said = {n.change: n.why for n in found.not_tried}
    assert said
    assert all(why.startswith("no time was left") for why in said.values())
    assert not set(said) & set(applied(found))
    assert (
        machine.clock < 2 * 30 + 20
    )  # the comparison with the program as shipped may take as long again, and ends its round


def test_the_limits_of_errors():
    right = {"finite": True, "output_error": 5e-5, "gradient_error": 5e-3}
    assert judged(("threads",), right, None).status == "ok"
    assert judged(("threads",), {**right, "output_error": 2e-4}, None).reason == (
        "its numbers are wrong: outputs differ from float64 by 0.0002, and the limit is 0.0001"
    )
    # Twice the error of the program as shipped, which is the model's own; but not where that is wrong itself.
    own = Checked(gradient_error=0.02)
    assert judged(("threads",), {**right, "gradient_error": 0.03}, own).status == "ok"
    wrong = Checked(status="wrong", gradient_error=1.1)
    assert judged(("threads",), {**right, "gradient_error": 0.03}, wrong).status == "wrong"
    assert judged(("bf16",), {**right, "output_error": 0.01, "gradient_error": 0.3}, None).status == "ok"
    assert judged((), {**right, "finite": False}, None).reason == "it gives NaN or infinite values"
    assert judged((), {"failed": "RuntimeError: no\nmore"}, None).reason == "RuntimeError: no"
    boxes = Checked(box_overlap=0.999, score_error=1e-4)
    assert judged(("bf16",), {"finite": True, "box_overlap": 0.7}, boxes).status == "wrong"
    assert judged(("threads",), {"finite": True, "box_overlap": 0.985}, boxes).status == "wrong"
    assert judged(("threads",), {"finite": True, "score_error": 0.01}, boxes).status == "wrong"
    # How far float32 moves the boxes of a model is no fault of the program as shipped, and sets the limit of the others.
    assert judged((), {"finite": True, "box_overlap": 0.98, "score_error": 0.01}, None).status == "ok"
    moved = Checked(box_overlap=0.98, score_error=0.01)
    assert judged(("threads",), {"finite": True, "box_overlap": 0.965, "score_error": 0.015}, moved).status == "ok"
