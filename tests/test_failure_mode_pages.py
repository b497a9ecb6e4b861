"""The first screen of a page: a command for each cause that the page names, and one statement in a line of a comment."""

from __future__ import annotations

import pytest

from attn_doctor.failure_modes import ALL, find
from attn_doctor.failure_modes.page import usual_fixes
from attn_doctor.report import pages
from attn_doctor.report.blocks import Command
from attn_doctor.report.markdown import fence


def _first_screen(slug: str) -> str:
    return pages.markdown(find(slug)).partition("## How it shows")[0]


@pytest.mark.parametrize(
    ("slug", "lines"),
    [
        (
            "package-of-another-project",
            [
                "python -m pip uninstall -y apex",
                'python -m pip install "clip @ git+https://github.com/openai/CLIP.git"',
                "python -m pip install scikit-learn",
                "Install PyTorch by its name, torch:",
            ],
        ),
        (
            "gpu-count-differs",
            ["unset CUDA_VISIBLE_DEVICES", "docker run --gpus all", "--gres=gpu:N", "sudo dmesg", "sudo reboot"],
        ),
        (
            "stale-kernel-cache",
            [
                'rm -rf "${TRITON_CACHE_DIR:-$HOME/.triton/cache}"',
                'rm -rf "${TORCHINDUCTOR_CACHE_DIR:-/tmp/torchinductor_$(id -un)}"',
                'rm -rf "${TORCH_EXTENSIONS_DIR:-$HOME/.cache/torch_extensions}"',
                "JSONDecodeError",
            ],
        ),
        (
            "command-not-on-path",
            [
                ". .venv/bin/activate",
                "conda activate NAME",
                "export PATH=$HOME/.local/bin",
                "python -m torch.distributed.run",
                "python -m accelerate.commands.accelerate_cli",
            ],
        ),
        (
            "model-not-built",
            [
                'write model="yolo12n.pt" instead of yolov12n.pt',
                'python -m pip install --upgrade "ultralytics>=8.3.78"',
                "python -m pip install --force-reinstall --no-deps ultralytics",
            ],
        ),
        ("compiled-part-of-another-release", ["causal-conv1d==1.1.1", "python -m pip uninstall -y flash-attn"]),
        ("extension-not-built", ["nvcc --version", "export FORCE_CUDA=1", "facebookresearch/detectron2.git"]),
        ("flash-attn-4-namespace", ["python -m pip uninstall -y flash-attn-4", "attn-doctor wheels"]),
        ("glibcxx-too-old", ["conda install -c conda-forge libstdcxx-ng"]),
        ("mps-operation-missing", ["export PYTORCH_ENABLE_MPS_FALLBACK=1", "device=cpu"]),
        (
            "name-of-another-release",
            ['python -m pip install "huggingface-hub<0.26"', "python -m pip install --upgrade diffusers"],
        ),
        (
            "processes-do-not-meet",
            ["torchrun --standalone --nproc-per-node=2 train.py", "ss -ltnp | grep 29500", "export USE_LIBUV=0"],
        ),
        ("requirements-missing", ["python -m pip install ultralytics"]),
        ("ultralytics-broken", ["python -m pip install ultralytics", "python -m pip install --force-reinstall"]),
        ("shadowed-by-folder", ['python -c "import torch; print(torch.__file__)"']),
        ("cuda-forward-compat-804", ["export LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu"]),
    ],
)
def test_a_page_has_a_command_for_each_cause_that_it_names(slug, lines):
    shown = _first_screen(slug)
    assert [line for line in lines if line not in shown] == []


def test_no_page_has_a_title_or_a_comment_with_a_gap():
    gaps = [
        (module.MODE.slug, text)
        for module in ALL
        for fix in usual_fixes(module)
        for text in (fix.title, *(step.why for step in fix.steps))
        if text != text.strip() or " : " in text or "None" in text
    ]
    assert gaps == []


def test_a_comment_has_one_statement_in_a_line():
    note = 'stops `a; b` (or c; d); then "e; f"; it\'s done; export X=1;2'
    block = fence([Command("true", note, by_hand=True)])
    assert block.splitlines() == [
        "```sh",
        "# you: stops `a; b` (or c; d)",
        '# then "e; f"',
        "# it's done",
        "# export X=1;2",
        "true",
        "```",
    ]


def test_a_command_without_a_note_keeps_its_empty_comment():
    assert fence([Command("true", "", by_hand=False)]).splitlines() == ["```sh", "# ", "true", "```"]
