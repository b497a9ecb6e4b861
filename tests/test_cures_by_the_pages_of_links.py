"""The address of a page of wheels contains torch and CUDA: the line asks the installed torch, where it runs."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from told_cures import told

OPERATORS = "ImportError: {}/mmcv/_ext.{}.so: undefined symbol: _ZN2at5emptyEN3c108ArrayRefIlEERKNS0_13TensorOptionsENS0_8optionalINS0_12MemoryFormatEE\n"
LOG = "$ python tools/test.py\n" + OPERATORS.format(
    "/home/me/v/lib/python3.8/site-packages", "cpython-38-x86_64-linux-gnu"
)
OLD = "$ python tools/test.py\n" + OPERATORS.format(
    "/home/me/v/lib/python3.6/site-packages", "cpython-36m-x86_64-linux-gnu"
)


def _run(tmp_path: Path, line: str, torch: str, cuda: str | None, mmcv: str) -> list[str]:
    """Return what pip is given by the line, beside a torch and an mmcv that hold nothing but their releases."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text(f"class version:\n    cuda = {cuda!r}\n__version__ = {torch!r}\n")
    (tmp_path / "mmcv.py").write_text(f"__version__ = {mmcv!r}\n")
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip/__init__.py").write_text("")
    (tmp_path / "pip/__main__.py").write_text("import sys\nprint(*sys.argv[1:])\n")
    program = line.partition(" -c ")[2]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    return done.stdout.split() or [done.stderr]


@pytest.mark.parametrize(
    ("torch", "cuda", "mmcv", "package", "page"),
    [
        ("1.8.1+cu101", "10.1", "1.3.9", "mmcv-full", "cu101/torch1.8.0"),
        ("2.1.2", "12.1", "2.1.0", "mmcv", "cu121/torch2.1.0"),
        ("1.10.0", None, "1.7.2", "mmcv-full", "cpu/torch1.10.0"),
    ],
)
def test_the_page_and_the_name_of_what_is_there(
    tmp_path: Path, torch: str, cuda: str | None, mmcv: str, package: str, page: str
) -> None:
    (line,) = told(LOG).lines[0]
    words = _run(tmp_path, line, torch, cuda, mmcv)
    assert words[words.index("--only-binary") + 1 :][:2] == [package, package]
    assert words[-1] == f"https://download.openmmlab.com/mmcv/dist/{page}/index.html"


def test_on_python_3_6_it_is_mmcv_full(tmp_path: Path) -> None:
    answer = told(OLD)
    words = _run(tmp_path, answer.lines[0][0], "1.7.1", "10.1", "1.2.0")
    assert "mmcv-full<2" in words
    assert words[-1].endswith("/cu101/torch1.7.0/index.html")
    assert shlex.split(answer.lines[1][-1])[-1] == "mmcv-full<2"


def test_a_cell_keeps_no_export() -> None:
    log = "!pip install torch-scatter\n    The detected CUDA version (11.8) mismatches the version that was used to compile\n    PyTorch (10.2). Please make sure to use the same CUDA versions.\n  ERROR: Failed building wheel for torch-scatter\n"
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", "diagnose", "-"], input=log, capture_output=True, text=True
    )
    assert "!export" not in done.stdout
    assert 'os.environ["CUDA_HOME"] = os.path.expandvars("$HOME/cuda-10.2")' in done.stdout
    assert "torch-=M.0+=F.html'.replace('=F', f)" in " ".join(done.stdout.split())


MAKE = """/opt/conda/bin/nvcc -c /usr/src/kernels-v2/csrc/attn.cu -o /usr/src/kernels-v2/build/attn.o
FAILED: /usr/src/kernels-v2/build/attn.o
Killed
ninja: build stopped: subcommand failed.
make: *** [Makefile-kernels:7: build-kernels] Error 1
"""


def test_a_target_of_make_is_made_again() -> None:
    answer = told(MAKE.replace("kernels-v2", "attention-v2"))
    assert answer.slug == "out-of-memory-build"
    assert "make -f Makefile-kernels build-kernels" in answer.lines[0]
    assert "ENV MAX_JOBS=1" in answer.words
    assert "--no-build-isolation" not in answer.words
    assert "fallocate" not in answer.words
