"""One module names the torch to install and its index: no other module of the package does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from attn_doctor.knowledge import torch_choice

# -- one place


ROOM = Path(torch_choice.__file__).parents[1]
# These hold the texts that are looked for: the chooser; what a log or a user writes; the words that a plan may hold; recipes, which fail on purpose.
ALLOWED = {
    "knowledge/torch_choice.py",
    "knowledge/torch_machine.py",
    "failure_modes/shared/torch_here.py",
    "failure_modes/shared/torch_install.py",
    "failure_modes/shared/torch_steps.py",
    "failure_modes/shared/one_index.py",  # an index that a log names
    "failure_modes/shared/absent_index.py",  # the same, in a sample
    "failure_modes/shared/index_of_another_system.py",  # the same, in samples
    "failure_modes/shared/damaged_download.py",  # the address of a download, in a sample
    "failure_modes/shared/uv_lock.py",  # the last torch for Intel Macs, from a table
    "failure_modes/shared/vision_of_any_torch.py",  # names no release: the installed torch is asked
    "fixes/step_safety.py",
    "project_files/dockerfile.py",  # reads the tag of an image as a wish
    "reproduction/ingredients.py",  # a throw-away environment, in which something is to fail
}
_INSTALLING = {"install", "reinstall", "Install", "by_hand", "rendered"}
_FAMILY_NAMES = ("torch", "pytorch.org")
_FAMILY = re.compile(r"^(?:torch|torchvision|torchaudio)(?:[=<>~!]=|$)")


def _texts(node):
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def test_no_other_module_names_a_torch_to_install_or_an_index_of_it():
    said = [
        place
        for path in sorted(ROOM.rglob("*.py"))
        if (name := path.relative_to(ROOM).as_posix()) not in ALLOWED
        for place in _named(name, path.read_text("utf-8"))
    ]
    assert said == []


@pytest.mark.parametrize(
    "code",
    [
        'commands.install(f"torch=={version}", why="")',
        'commands.install("torch", "torchvision", upgrade=True)',
        'wanted = f"torchvision=={wanted}"',
        'index = f"https://download.pytorch.org/whl/{flavour}"',
        'commands.by_hand(("pip", "install", "torch"), "", "")',
        'Install(requirements=("torchaudio>=2",), why="", changes="")',
    ],
)
def test_such_a_requirement_would_be_found(code):
    assert list(_named("module.py", code))


def test_words_about_torch_are_not_taken_for_a_requirement():
    code = '"""torch==2.1"""\nversion(facts, "torch")\nrunner.run("torch", 1)\nSign(sample="torch==2.1.0")'
    assert not list(_named("module.py", code))


def _named(name, text):
    if not any(word in text for word in _FAMILY_NAMES):
        return
    tree = ast.parse(text)
    docs = {
        n.body[0].value
        for n in ast.walk(tree)
        if isinstance(n, ast.Module | ast.FunctionDef | ast.ClassDef) and n.body and isinstance(n.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):  # f"torch=={version}"
            first = str(getattr(node.values[0], "value", "")) if node.values else ""
            if re.match(r"(?:torch|torchvision|torchaudio)[=<>~!]=", first):
                yield f"{name}:{node.lineno}"
        words = node.value if isinstance(node, ast.Constant) and node not in docs else None
        if isinstance(words, str) and "download.pytorch.org/whl/" in words and "(?" not in words:
            yield f"{name}:{node.lineno}"
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _INSTALLING:
            values = [*node.args, *(k.value for k in node.keywords if k.arg == "requirements")]
            told = [text for value in values for text in _texts(value)]
            if any(map(_FAMILY.match, told)) and "remove" not in told:
                yield f"{name}:{node.lineno}"
