"""An environment with a torch and an ultralytics of a few lines each: they import, and one of them is made to fail in some way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from targets import add_metadata, add_package, make_target

TORCH = """
__version__ = '2.6.0+cpu'
class Tensor:
    pass
class version:
    cuda = None
    hip = None
class cuda:
    @staticmethod
    def is_available():
        return False
    @staticmethod
    def init():
        raise AssertionError('Torch not compiled with CUDA enabled')
def get_num_threads():
    return 2
class _Array:
    def numpy(self):
        return self
def ones(n):
    return _Array()
"""
VERSION = "__version__ = '2.6.0+cpu'\ndebug = False\ncuda: object = None\nhip: object = None\n"
ULTRALYTICS = {
    "__init__.py": "import yaml\n__version__ = '8.4.190'\ndef __getattr__(name):\n    if name == 'YOLO':\n"
    "        from ultralytics.models.yolo import YOLO\n        return YOLO\n    raise AttributeError(name)\n",
    "nn/__init__.py": "",
    "nn/tasks.py": "from ultralytics.nn.modules import block\n",
    "nn/modules/__init__.py": "",
    "nn/modules/block.py": "class AAttn:\n    def __init__(self):\n        self.qkv = 1\n    def forward(self, x):\n        return x @ x\n",
    "models/__init__.py": "",
    "models/yolo.py": "class YOLO:\n    pass\n",
}
REQUIRES = ("torch>=1.8", "pyyaml>=5.3", "opencv-python>=4.6", "matplotlib>=3.3")


def yolo_target(folder: Path, *, without: tuple[str, ...] = ()) -> Path:
    """An environment in which torch and ultralytics import; without some of what ultralytics requires."""
    modules = {"opencv-python": "cv2", "pyyaml": "yaml", "matplotlib": "matplotlib"}
    packages = {
        "torch": {"__init__.py": TORCH, "version.py": VERSION},
        "ultralytics": ULTRALYTICS,
        **{
            module: {"__init__.py": "", "ft2font.py": "", "transforms.py": ""}
            for name, module in modules.items()
            if name not in without
        },
    }
    python = make_target(folder, packages)
    add_metadata(folder, "torch", "2.6.0")
    add_metadata(folder, "ultralytics", "8.4.190", REQUIRES)
    for name in modules:
        if name not in without:
            add_metadata(folder, name, {"opencv-python": "4.11.0", "pyyaml": "6.0.2", "matplotlib": "3.10.0"}[name])
    return python


def put(folder: Path, place: str, text: str) -> None:
    """Write a file of the environment: put(folder, "ultralytics/nn/tasks.py", "raise ...")."""
    package, _, file = place.partition("/")
    add_package(folder, package, {file: text})


def check(python: Path, *options: str, cwd: Path, environ: dict[str, str] | None = None) -> tuple[int, dict, str]:
    """Run `attn-doctor check` on it: (exit code, report, what the screen said)."""
    report = cwd / "report.json"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "attn_doctor", "check", "--target", str(python), "--json", str(report), *options]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environ)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(report.read_text()), done.stdout


def root(report: dict) -> dict:
    """The first root cause."""
    return next(f for f in report["findings"] if f["root_cause"])


def commands(report: dict) -> list[str]:
    """The commands of the first root's first fix, as words joined by spaces."""
    steps = root(report)["fixes"][0]["steps"]
    return [
        " ".join(step["argv"] or [step.get("name") or step["why"], *filter(None, [step.get("value")])])
        for step in steps
    ]
