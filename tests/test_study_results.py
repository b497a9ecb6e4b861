"""What a study shows: the words of each outcome, the table, the CSV in ultralytics' columns, and that no private data leave."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from little_studies import epoch, pairs, study, training

from attn_doctor.model.study import Study
from attn_doctor.report import html, markdown
from attn_doctor.report.blocks import Cure, Details, Notes, Table, Verdict
from attn_doctor.report.gate import Gate
from attn_doctor.report.redact import Own
from attn_doctor.report.study_csv import folder_of_csv
from attn_doctor.report.study_outline import outline, pictures
from attn_doctor.study.comparisons import compared
from attn_doctor.study.paired import enough, power_of_difference, power_of_equivalence

LOST = ([0.50, 0.52, 0.48, 0.51, 0.49], [0.470, 0.489, 0.451, 0.482, 0.459])


def blocks(made: Study):
    return outline(made, compared(made))


def verdict(made: Study) -> str:
    found = blocks(made)[0]
    assert isinstance(found, Verdict)
    return found.text


def table(made: Study, caption: str) -> list[dict[str, str]]:
    found = next(block for block in blocks(made) if isinstance(block, Table) and block.caption.startswith(caption))
    return [dict(zip(found.columns, (cell.text for cell in row), strict=True)) for row in found.rows]


def notes(made: Study, title: str) -> tuple[str, ...]:
    return next(
        (block.items for block in blocks(made) if isinstance(block, Notes) and block.title.startswith(title)), ()
    )


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ([0.50, 0.52, 0.48], [0.501, 0.520, 0.481], "equivalent within 0.01"),
        ([0.50, 0.52, 0.48], [0.51, 0.51, 0.48], "cannot tell with 3 seeds: about 11 are needed"),
        ([0.1, 0.9, 0.5], [0.9, 0.1, 0.5], "cannot tell with 3 seeds: more than 10,000 would be needed"),
        (*LOST, "lower by 0.0298, more than the margin of 0.01"),
        (LOST[0], [0.4895, 0.5055, 0.4665, 0.5010, 0.4780], "lower by 0.0119"),
        ([0.5, 0.6], [0.5, 0.6], "identical: the same numbers to the last digit with each of 2 seeds"),
        ([0.5, 0.6, 0.7], [0.6, 0.7, 0.8], "+0.1000 with each of 3 seeds: no spread, so no test"),
        ([0.5], [0.51], "cannot tell with 1 seed: one pair shows no spread"),
        ([0.0, 0.0], [0.0, 0.0], "says nothing: it is 0 in all 4 trainings"),
    ],
)
def test_the_verdict_says_the_outcome_and_never_a_bare_equal(first, second, said):
    assert verdict(pairs(first, second)) == f"mAP50-95: sdpa-flash against eager: {said}."


def test_a_certain_difference_below_the_margin_says_both():
    second = [b - 0.003 + 0.0001 * i for i, b in enumerate(LOST[0])]
    assert verdict(pairs(LOST[0], second)).endswith("equivalent within 0.01; a smaller difference is certain.")


def test_the_verdict_counts_what_has_not_ended():
    cells = [training("eager", 0), training("sdpa-flash", 0, state="stopped")]
    said = "cannot tell: no seed ended with both. 1 of 2 trainings have not ended."
    assert verdict(study(cells)).endswith(said)
    assert verdict(study([training("eager", 0)], ("eager",))).startswith("Nothing is compared")


def test_the_table_of_the_arms_has_the_kernel_and_the_costs():
    cells = []
    for seed in range(3):
        cells.append(
            training(
                "eager", seed, 0.5 + seed / 100, seconds=10.0, peak_memory=2**30, joules=6000.0, images_per_second=20.0
            )
        )
        changed = {"seconds": 9.0 + seed / 10, "peak_memory": 2**29, "joules": 5500.0, "images_per_second": 22.0}
        cells.append(training("sdpa-flash", seed, 0.501 + seed / 100 + seed / 1000, **changed))
    cells[0] = msgspec.structs.replace(cells[0], kernels=("aten::bmm", "aten::_softmax"))
    made = study(cells)
    rows = table(made, "yolo12n.yaml on shapes.yaml, 2 epochs, image size 160, batch 16, cpu")
    assert rows[0] == {
        "attention": "eager",
        "proven kernel": "aten::bmm and 2 more",
        "seeds": "3 of 3",
        "mAP50-95, mean ± sd": "0.5100 ± 0.0100",
        "difference (95% interval)": "compared with",
        "verdict": "",
        "time an epoch": "10.00 s",
        "images/s": "20.0",
        "peak memory": "1.0 GiB",
        "energy": "12.0 kJ",
    }
    assert rows[1]["difference (95% interval)"] == "+0.0020 (−0.0005 to +0.0045)"
    assert rows[1]["verdict"] == "equivalent within 0.01"
    assert (rows[1]["time an epoch"], rows[1]["peak memory"]) == ("9.10 s", "512 MiB")
    ratios = {row["metric"]: row for row in table(made, "Time, memory and energy against eager")}
    assert ratios["peak memory"]["verdict"] == "0.5× with each of 3 seeds: no spread, so no test"
    assert ratios["time an epoch"]["ratio (95% interval)"] == "0.91× (0.885 to 0.935)"
    assert ratios["time an epoch"]["verdict"] == "lower"
    accuracy = {row["metric"]: row for row in table(made, "Accuracy against eager")}
    assert accuracy["mAP50"]["verdict"] == "no difference shown with 3 seeds; no margin was stated"


def test_how_to_read_a_table_is_said_as_far_as_it_was_tested():
    def said(made: Study, caption: str) -> tuple[str, ...]:
        return next(
            block.notes for block in blocks(made) if isinstance(block, Table) and block.caption.startswith(caption)
        )

    assert said(pairs([0.0, 0.0], [0.0, 0.0]), "Accuracy") == ()
    assert [text.partition(" ")[0] for text in said(pairs(*LOST), "Accuracy")] == ["An", "Effect:", "Differences"]
    more = pairs([0.5 + i / 100 for i in range(6)], [0.5 + i / 90 for i in range(6)])
    assert [text.partition(" ")[0] for text in said(more, "Accuracy")] == ["An", "Effect:"]


def test_the_same_weights_are_named():
    cells = [
        training(arm, seed, 0.5 + seed / 10, weights="ab" * 32) for seed in range(2) for arm in ("eager", "sdpa-flash")
    ]
    summary = next(block for block in blocks(study(cells)) if isinstance(block, Table))
    assert summary.notes[-1] == "sdpa-flash: the last weights are those of eager, bit for bit, with 2 seeds."
    cells[3] = msgspec.structs.replace(cells[3], weights="cd" * 32)
    summary = next(block for block in blocks(study(cells)) if isinstance(block, Table))
    assert "bit for bit" not in summary.notes[-1]


def test_what_was_not_proven_or_not_paired_is_said():
    cells = [training("eager", s, 0.5 + s / 50) for s in range(3)]
    cells += [
        training("sdpa-flash", 0, proven=None),
        training("sdpa-flash", 1, proven=False),
        training("sdpa-flash", 2, state="failed", said="out of memory"),
    ]
    made = study(cells)
    assert notes(made, "Left out") == (
        "sdpa-flash, seed 1: sdpa-flash: another kernel ran",
        "sdpa-flash, seed 2: sdpa-flash: failed",
        "sdpa-flash: which kernel ran was not seen in every training",
    )
    rows = table(made, "The trainings")
    assert [row["said"] for row in rows][-1] == "out of memory"
    assert [row["kernel"] for row in rows][-3:] == ["", "another kernel ran", "proven"]
    assert table(made, "yolo12n.yaml")[1]["proven kernel"] == "another kernel ran"


def test_the_range_of_the_number_of_seeds_is_told():
    (said,) = [
        text for text in notes(pairs([0.50, 0.52, 0.48], [0.51, 0.51, 0.48]), "Seeds that") if "mAP50-95" in text
    ]
    assert said.startswith("sdpa-flash, mAP50-95: about 11, from ")
    assert said.endswith("because 3 seeds tell the spread only roughly")


def test_everything_to_repeat_it_is_there():
    made = pairs(*LOST, command=("attn-doctor", "study", "--data", "my data.yaml"), settings={"nbs": 8, "cos_lr": True})
    cure = next(block for block in blocks(made) if isinstance(block, Cure))
    assert cure.commands[0].line == 'attn-doctor study --data "my data.yaml"'
    folded = next(block for block in blocks(made) if isinstance(block, Details))
    fields = {field.label: field.text for field in folded.blocks[0].items}
    assert fields["torch"] == "2.15.0+cpu"
    assert fields["SHA-256 of data"] == "0f" * 32
    assert fields["settings"] == "nbs=8 cos_lr=True"
    assert fields["seeds"] == "0, 1, 2, 3, 4"
    assert fields["margin, level"] == "0.01 of mAP50-95, 0.05"


PAGE = Path(__file__).parents[1] / "docs" / "study.md"


def test_the_numbers_of_the_page_are_those_that_are_computed():
    text = PAGE.read_text("utf-8")
    rows = re.findall(r"^\| ([\d.]+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    assert len(rows) == 7
    for spread, equivalence, difference in rows:
        assert enough(lambda n, s=float(spread): power_of_equivalence(n, s, 1.0, 0.05)) == int(equivalence)
        assert enough(lambda n, s=float(spread): power_of_difference(n, s, 1.0, 0.05)) == int(difference)
    base = [0.50, 0.52, 0.48, 0.51, 0.49]
    five = pairs(base, [b + d for b, d in zip(base, (0.004, -0.002, 0.003, -0.001, 0.002), strict=True)])
    three = pairs(base[:3], [b + d for b, d in zip(base, (0.004, -0.012, 0.013), strict=False)])
    assert "equivalent within 0.01" in verdict(five)
    assert f"| {verdict(three).partition('eager: ')[2][:-1]} |" in text
    (rough,) = notes(three, "Seeds that")[:1]
    assert f'"{rough.partition("mAP50-95: ")[2].partition(", because")[0]}"' in " ".join(text.split())


def test_sizes_are_described_and_not_tested():
    cells = [
        training(arm, seed, sizes={"small": 0.2 + seed / 10}) for seed in range(2) for arm in ("eager", "sdpa-flash")
    ]
    rows = table(study(cells), "mAP50-95 by the size")
    assert rows[0] == {"attention": "eager", "small": "0.2500 ± 0.0707"}


HEADER = (
    "epoch,time,train/box_loss,train/cls_loss,train/dfl_loss,metrics/precision(B),metrics/recall(B),metrics/mAP50(B),metrics/mAP50-95(B),"
    "val/box_loss,val/cls_loss,val/dfl_loss,lr/pg0,lr/pg1,lr/pg2"
)


def whole() -> Study:
    """Return a study whose trainings have every column that ultralytics writes, in another order than it does."""
    losses = {f"{part}/{kind}_loss": 1.25 for part in ("val", "train") for kind in ("box", "cls", "dfl")}
    rates = {f"lr/pg{i}": 0.01 for i in range(3)}
    cells = []
    for arm in ("eager", "sdpa flash/2"):
        epochs = tuple(
            epoch(n, 0.1 * n, seconds=10.0, validation_seconds=2.5, losses=losses, learning_rates=rates)
            for n in (1, 2, 3)
        )
        cells.append(training(arm, 7, epochs=1))
        cells[-1] = msgspec.structs.replace(cells[-1], epochs=epochs)
    waiting = training("eager", 8, state="waiting")
    return study([*cells, msgspec.structs.replace(waiting, epochs=())], ("eager", "sdpa flash/2"))


def test_a_csv_has_ultralytics_columns_in_its_order():
    files = folder_of_csv(whole())
    assert list(files) == ["results-eager-seed7.csv", "results-sdpa-flash-2-seed7.csv", "all.csv"]
    lines = files["results-eager-seed7.csv"].splitlines()
    assert lines[0] == HEADER
    assert lines[2] == "2,25.0,1.25,1.25,1.25,0.30000000000000004,0.25,0.4,0.2,1.25,1.25,1.25,0.01,0.01,0.01"
    rows = list(csv.DictReader(io.StringIO(files["all.csv"])))
    assert [(row["arm"], row["epoch"], row["time"]) for row in rows[2:5]] == [
        ("eager", "3", "37.5"),
        ("sdpa flash/2", "1", "12.5"),
        ("sdpa flash/2", "2", "25.0"),
    ]
    assert list(rows[0])[:3] == ["arm", "seed", "epoch"]
    assert list(rows[0])[-3:] == ["images/s", "peak memory, bytes", "energy, J"]


def test_an_unknown_value_is_an_empty_field():
    made = study([msgspec.structs.replace(training("eager", 0), epochs=(epoch(1, None),))], ("eager",))
    row = next(csv.DictReader(io.StringIO(folder_of_csv(made)["results-eager-seed0.csv"])))
    assert row["metrics/mAP50-95(B)"] == ""
    assert folder_of_csv(study([], ("eager",)))["all.csv"].startswith("arm,seed,epoch,time")


@pytest.mark.heavy
def test_ultralytics_plots_the_files(tmp_path):
    for name, text in folder_of_csv(whole()).items():
        (tmp_path / name).write_text(text)
    code = f"from ultralytics.utils.plotting import plot_results; plot_results(dir={str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240, cwd=tmp_path)
    assert (tmp_path / "results.png").stat().st_size > 10_000


def test_no_private_data_leave_by_any_file():
    gate = Gate(Own(home="/home/zquser", user="zquser", host="zqhost"))
    private = pairs(
        *LOST,
        data="/home/zquser/data/weeds.yaml",
        command=("attn-doctor", "study", "--data", "/home/zquser/data/weeds.yaml"),
    )
    cells = (
        *private.cells,
        training("eager", 9, state="failed", said="zqhost: no such file /home/zquser/x", where="zqhost"),
    )
    private = msgspec.structs.replace(private, cells=cells)
    (clean,) = gate.typed((private, Study))
    found = compared(clean)
    shown = outline(clean, found)
    files = {
        "page.html": html.render(shown, "study", pictures(clean, found)),
        "table.md": markdown.render(shown),
        "study.json": msgspec.json.encode(clean).decode(),
        **folder_of_csv(clean),
    }
    for name, text in files.items():
        written = gate.finished(text, name).decode()
        assert "zq" not in written, name
    # What is needed to repeat it is not taken for a secret.
    assert clean.design.hashes == private.design.hashes
    assert clean.cells[1].kernels == private.cells[1].kernels
    assert [row.outcome for row in found] == [row.outcome for row in compared(private)]
