"""Tables are whole at every width: no cell is cut, no word is broken, and what says nothing is left out."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from whole_command import doctor

from attn_doctor.report.blocks import Cell, Table
from attn_doctor.report.console import render

COLUMNS = ("backend", "dtype", "forward", "training step", "n", "step vs eager", "attention calls", "memory", "result")
TRIED = Table(
    "Attention backends: yolo12n.yaml, image size 640, batch 2, cuda:0",
    COLUMNS,
    tuple(
        (Cell(name, "strong"), Cell("bfloat16"), *map(Cell, rest))
        for name, *rest in (
            ("eager", "13.7 ms (13.5–14.9)", "55.1 ms (54.0–56.2)", "30", "", "8 eager", "1.2 GiB", "ok"),
            (
                "sdpa",
                "9.9 ms (9.7–10.2)",
                "45.0 ms (44.1–46.0)",
                "30",
                "1.22× as fast",
                "4 fused, 4 math",
                "812 MiB",
                "other-kernel",
            ),
            (
                "flash-attn-2",
                "9.8 ms (9.6–10.1)",
                "44.9 ms (44.2–45.8)",
                "30",
                "1.23× as fast, undecided",
                "8 fused",
                "811 MiB",
                "ok",
            ),
        )
    ),
    ("n: measured rounds",),
)
LISTED = Table(
    "2 failure modes",
    ("code", "slug", "what it is"),
    (
        (
            Cell("AD101"),
            Cell("cuda-home-unset", "strong"),
            Cell("No CUDA toolkit is found, because CUDA_HOME is not set"),
        ),
        (Cell("AD313"), Cell("torchvision-mismatch", "strong"), Cell("torchvision built for another torch")),
    ),
)


def shown(table: Table, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    render([table], console)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_every_word_of_every_cell_is_whole(width):
    lines = shown(TRIED, width)
    assert max(map(len, lines)) <= width
    words = [word for line in lines for word in line.replace(",", " ").split()]
    for row in TRIED.rows:
        for cell in row:
            for word in cell.text.replace(",", " ").split():
                assert word in words, (width, word)
    assert not any("…" in line for line in lines)


def test_a_wide_terminal_has_one_line_a_row():
    lines = shown(TRIED, 200)
    assert [line.split()[0] for line in lines if line.startswith("  ")][:4] == [
        "backend",
        "eager",
        "sdpa",
        "flash-attn-2",
    ]


def test_what_all_rows_have_in_common_is_said_once_where_the_width_is_short():
    assert sum("bfloat16" in line for line in shown(TRIED, 200)) == 3
    lines = shown(TRIED, 80)
    assert [line.strip() for line in lines if "bfloat16" in line] == ["the same in all rows: dtype: bfloat16, n: 30"]


def test_an_empty_column_is_left_out_and_an_empty_cell_is_not_named():
    lines = shown(TRIED, 60)
    eager = lines.index("  eager")
    other = lines.index("  sdpa")
    assert not any("step vs eager" in line for line in lines[eager:other])
    nothing = TRIED._replace(rows=tuple((*row[:5], Cell(""), *row[6:]) for row in TRIED.rows))
    assert not any("step vs eager" in line for line in shown(nothing, 200))


def test_a_name_in_two_cells_stays_together():
    lines = shown(LISTED, 40)
    assert "  AD101  cuda-home-unset" in lines


def test_a_word_longer_than_the_terminal_is_broken_and_not_lost():
    path = "/" + "x" * 150
    table = Table(
        "Facts", ("fact", "before"), ((Cell("torch.location", "strong"), Cell(path)), (Cell("b", "strong"), Cell("c")))
    )
    text = "".join(line.strip() for line in shown(table, 60))
    assert path in text


@pytest.mark.parametrize(
    "argv",
    [
        ["list"],
        [
            "wheels",
            "--torch",
            "2.8",
            "--cuda",
            "12.8",
            "--python",
            "3.12",
            "--abi",
            "TRUE",
            "--platform",
            "linux_x86_64",
            "--gpu",
            "8.9",
        ],
    ],
    ids=lambda v: v[0],
)
def test_commands_at_80_columns(argv):
    done = doctor(*argv, COLUMNS="80")
    lines = done.stdout.splitlines()
    assert max(len(line) for line in lines if "://" not in line) <= 80
    assert "…" not in done.stdout
    if argv == ["list"]:
        wide = doctor(*argv, COLUMNS="200").stdout.replace("to train", "to train:").split()
        assert set(wide) - set(done.stdout.split()) == {"slug"}  # the name of a column whose cells stand alone
