"""MLX's attention: the program in the target with a stand-in for mlx made of NumPy, the rows, the table, and (heavy) the real mlx."""

from __future__ import annotations

import subprocess
import sys

import pytest
from whole_machines import RTX_4090, changed, packages

from attn_doctor.model.facts import Facts
from attn_doctor.model.trials import Interval, Shape
from attn_doctor.report.trial_outline import outline
from attn_doctor.trials import mlx_attention
from attn_doctor.trials.long_trial import Study, grid
from attn_doctor.trials.mlx_attention import MlxRow, MlxTimes, rows_of

# Its fused kernel is wrong for heads of width 3.
STAND_IN = """
import numpy
class Device:
    type = "DeviceType.cpu"
default_device = Device
array = numpy.asarray
def eval(*given): pass
def softmax(given, axis):
    given = numpy.exp(given - given.max(axis=axis, keepdims=True))
    return given / given.sum(axis=axis, keepdims=True)
class fast:
    @staticmethod
    def scaled_dot_product_attention(q, k, v, scale):
        out = softmax((q * scale) @ k.transpose(0, 1, 3, 2), axis=-1) @ v
        return out * (1.5 if q.shape[-1] == 3 else 1)
"""


@pytest.fixture
def target(tmp_path):
    pytest.importorskip("numpy")
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "__init__.py").touch()
    (tmp_path / "mlx" / "core.py").write_text(STAND_IN)
    return {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"}


def test_each_shape_is_measured_and_compared_with_float64(target):
    said = []
    found = mlx_attention.measure([sys.executable], grid((1, 2), (2,), (5,), (4, 3)), timeout=60, say=said.append, environ=target)  # fmt: skip
    assert (found.notes, said) == ((), ["measuring MLX's attention"])
    assert [(str(row.shape), row.kind, row.right) for row in found.rows] == [
        ("1x2x5x4", "eager", True),
        ("1x2x5x4", "fused", True),
        ("1x2x5x3", "eager", True),
        ("1x2x5x3", "fused", False),
        ("2x2x5x4", "eager", True),
        ("2x2x5x4", "fused", True),
        ("2x2x5x3", "eager", True),
        ("2x2x5x3", "fused", False),
    ]
    assert {(row.device, row.ms.n) for row in found.rows} == {("cpu", 50)}
    assert found.rows[3].error == pytest.approx(0.5, abs=1e-6)
    assert all(row.first_ms > 0 for row in found.rows)


def test_a_target_without_mlx_says_so_in_a_note(target, tmp_path):
    (tmp_path / "mlx" / "core.py").write_text("raise ImportError('libmlx.so: cannot open shared object file')")
    found = mlx_attention.measure([sys.executable], grid((1,), (1,), (4,), (4,)), timeout=60, say=print, environ=target)
    assert found.rows == ()
    assert "MLX, mlx: " in found.notes[0]
    assert "libmlx.so: cannot open shared object file" in found.notes[0]


def test_the_first_call_is_no_sample_and_tokens_are_counted_over_the_batch():
    told = {
        "shape": [2, 4, 100, 8],
        "device": "gpu",
        "first_ms": {"fused": 320.0},
        "errors": {"fused": 2e-4},
        "ms": {"fused": [9.0, 10.0, 10.0, 11.0, 10.0]},
    }
    (row,) = rows_of(told)
    assert (row.first_ms, row.ms.median, row.ms.n) == (320.0, 10.0, 5)
    assert row.tokens_per_second == 20_000  # 2 x 100 tokens in 10 ms
    assert not row.right


def test_the_table_shows_both_times():
    row = MlxRow(
        kind="fused",
        shape=Shape(batch=1, heads=4, tokens=64, width=32),
        device="cpu",
        first_ms=320.04,
        ms=Interval(median=10.0, low=9.5, high=10.5, n=50),
        tokens_per_second=6400,
        error=3e-7,
        right=True,
    )
    table, notes = outline(Study(mlx=MlxTimes(rows=(row,), notes=("MLX, 1x1: out of memory",))))
    assert table.caption == "MLX on cpu, float32"
    assert [cell.text for cell in table.rows[0]] == ["1x4x64x32", "mlx-fused", "10.0 (9.5–10.5)", "6,400", "320.0", "3e-07"]  # fmt: skip
    assert notes.items == ("MLX, 1x1: out of memory",)
    assert outline(Study()) == []


def test_it_is_measured_only_where_mlx_is_known_to_be_installed():
    assert not mlx_attention.installed(Facts())
    assert not mlx_attention.installed(RTX_4090)
    assert mlx_attention.installed(changed(RTX_4090, packages__distributions=packages(mlx="0.32.4")))


@pytest.mark.heavy
@pytest.mark.skipif(sys.platform == "win32", reason="mlx has no wheels for Windows")
def test_the_real_mlx_on_the_grid_of_the_study(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = str(tmp_path / "env" / "bin" / "python")
    wanted = ["mlx", "numpy"] + (["mlx-cpu"] if sys.platform == "linux" else [])
    subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    shapes = grid((1, 4), (4,), (64, 512), (32, 128))
    found = mlx_attention.measure([python], shapes, timeout=120, say=print)
    assert found.notes == ()
    assert [str(row.shape) for row in found.rows if row.kind == "fused"] == [str(shape) for shape in shapes]
    assert all(row.right for row in found.rows)
