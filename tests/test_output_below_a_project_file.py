"""A project file with a command and its output pasted below it is both: a file that is judged, and a log."""

from __future__ import annotations

import pytest

from attn_doctor import project_files
from attn_doctor.errors import NotExamined
from attn_doctor.examination.inputs import read_texts

PYPROJECT = '[project]\nname = "app"\nversion = "1"\ndependencies = ["torch==2.6.0+cu126"]\n\n'
UV = (
    "  × No solution found when resolving dependencies:\n"
    "  ╰─▶ Because there is no version of torch==2.6.0+cu126 and your project depends on torch==2.6.0+cu126, we can conclude\n"
)


def read(tmp_path, text, name="pasted.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_texts([str(path)])


@pytest.mark.parametrize(
    "prompt",
    [
        "$ uv sync",
        "(app) mia@box:~/app$ uv sync",
        "root@0f1c2d:/app# uv sync",
        "PS C:\\app> uv sync",
        "C:\\app>uv sync",
        "❯ uv sync",
    ],
)
def test_a_pyproject_above_a_typed_command_is_a_file_and_a_log(tmp_path, prompt):
    logs, files = read(tmp_path, PYPROJECT + prompt + "\n" + UV)
    assert [(f.kind, [w.text for w in f.wishes]) for f in files] == [("pyproject", ["torch==2.6.0+cu126"])]
    found = {m.line for m in logs[0].matches if m.slug == "no-matching-distribution" and m.strength != "context"}
    assert found == {8}  # the line in the whole text, not in the part below the file


def test_requirements_above_pips_error_are_a_file_and_a_log(tmp_path):
    text = "torch==2.1.0\nxformers==0.0.26.post1\n\n(env) mia@box:~$ pip install -r requirements.txt\nERROR: ResolutionImpossible: for help visit\n"
    logs, files = read(tmp_path, text)
    assert files[0].kind == "requirements"
    assert {m.slug for m in logs[0].matches} >= {"environment-pollution"}


def test_a_file_below_a_command_is_a_log(tmp_path):
    logs, files = read(tmp_path, "$ cat requirements.txt\ntorch==2.1.0\n$ pip install -r requirements.txt\nERROR: x\n")
    assert files == ()
    assert len(logs) == 1


def test_a_dockerfile_above_its_build_stays_a_log(tmp_path):
    logs, files = read(
        tmp_path, "FROM ubuntu:22.04\nRUN pip install torch\n\n$ docker build .\nERROR: failed to build\n"
    )
    assert files == ()
    assert len(logs) == 1


def test_a_file_with_wrong_syntax_alone_is_still_refused(tmp_path):
    with pytest.raises(NotExamined, match="no valid TOML"):
        read(tmp_path, '[project]\nname = "app"\ndependencies = [\n')


def test_a_line_of_a_file_that_looks_like_a_comment_is_no_command():
    assert project_files.apart('[project]\nname = "a"\n# uv sync\n') is None
    assert project_files.apart("$ uv sync\nerror\n") is None
