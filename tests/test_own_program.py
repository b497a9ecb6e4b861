"""Commands of attn-doctor on the screen: each runs in the shell in which attn-doctor was started."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("a terminal of POSIX", allow_module_level=True)

from terminal import Terminal

from attn_doctor.report.own_calls import in_a_sentence

SYSTEM = "/usr/bin:/bin"
CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
LOG = "Traceback (most recent call last):\n  File \"setup.py\", line 9\nModuleNotFoundError: No module named 'torch'\n"


@pytest.fixture
def shell(tmp_path) -> Path:
    """A folder with a log and an environment, "my env", whose program no PATH names."""
    program = tmp_path / "my env" / "bin" / "attn-doctor"
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom attn_doctor.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    )
    program.chmod(0o755)
    (tmp_path / "build.log").write_text(LOG)
    (tmp_path / "other").mkdir()
    return tmp_path


def seen(*argv: str, cwd: Path, path: str = SYSTEM) -> str:
    _, text = Terminal(*argv, cwd=cwd, columns=200, PATH=path).end(90)
    return CODES.sub("", text.decode()).replace("\r\n", "\n")


def runs(line: str, cwd: Path, path: str = SYSTEM) -> int:
    root = str(Path(__file__).parent.parent)
    return subprocess.run(
        ["bash", "-c", line],
        cwd=cwd,
        env={**os.environ, "PATH": path, "PYTHONPATH": root},
        capture_output=True,
        timeout=90,
    ).returncode


@pytest.mark.parametrize(
    ("started", "written"),
    [
        (["my env/bin/attn-doctor"], '"my env/bin/attn-doctor"'),
        (["./my env/bin/attn-doctor"], '"./my env/bin/attn-doctor"'),
        ([sys.executable, "-m", "attn_doctor"], shlex.join([sys.executable, "-m", "attn_doctor"])),
    ],
)
def test_the_lines_of_a_screen_run_in_its_shell(shell, started, written):
    first = seen(*started, cwd=shell)
    lines = [line.strip() for line in first.splitlines() if line.startswith("  ")]
    assert lines == [f"{written} check", f"{written} diagnose build.log", f"{written} trial --tune"]
    assert f"All commands: `{written} help`. The options of one: `{written} help check`." in first
    assert runs(lines[1], shell) == 1, "the log has an error"

    mistyped = seen(*started, "diagnos", "build.log", cwd=shell)
    assert mistyped.splitlines()[1] == f"  {written} diagnose build.log"

    answer = seen(*started, "explain", "AD101", cwd=shell)
    assert not re.search(r"^\s*attn-doctor ", answer, re.MULTILINE)

    found = seen(*started, "diagnose", "build.log", cwd=shell)
    explained = next(line.strip(" ╰─>") for line in found.splitlines() if line.endswith("explain AD101"))
    assert explained == f"{written} explain AD101"
    assert runs(explained, shell) == 0


def test_on_path_it_has_its_plain_name(shell):
    path = f"{shell / 'my env' / 'bin'}:{SYSTEM}"
    for started in (["attn-doctor"], [str(shell / "my env" / "bin" / "attn-doctor")]):
        assert "\n  attn-doctor check\n" in seen(*started, cwd=shell, path=path)


def test_another_attn_doctor_on_path_is_not_this_one(shell):
    other = shell / "other" / "attn-doctor"
    other.write_text("#!/bin/sh\nexit 7\n")
    other.chmod(0o755)
    path = f"{other.parent}:{SYSTEM}"
    assert '\n  "my env/bin/attn-doctor" check\n' in seen("my env/bin/attn-doctor", cwd=shell, path=path)


def test_a_log_of_another_system_has_the_plain_name(shell):
    (shell / "build.log").write_text("PS C:\\work> python setup.py build\n" + LOG)
    found = seen("my env/bin/attn-doctor", "diagnose", "build.log", cwd=shell)
    assert "attn-doctor explain AD101" in found
    assert "my env" not in found


def test_a_file_has_the_plain_name(shell):
    assert seen("my env/bin/attn-doctor", "diagnose", "build.log", "--markdown", "reply.md", cwd=shell)
    text = (shell / "reply.md").read_text()
    assert "attn-doctor" in text
    assert "my env" not in text


def test_a_refusal_and_a_note_name_it_as_it_was_typed(shell):
    said = seen("my env/bin/attn-doctor", "explain", "nosuchthing", cwd=shell)
    assert '`"my env/bin/attn-doctor" list` shows all' in said.replace("\n", " ")


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("decided by: attn-doctor trial --repeats 9", "decided by: v/a trial --repeats 9"),
        ("`attn-doctor run --forget` removes it", "`v/a run --forget` removes it"),
        ("attn-doctor: attn-doctor itself failed", "attn-doctor: attn-doctor itself failed"),
        ("the tables of attn-doctor say so", "the tables of attn-doctor say so"),
    ],
)
def test_only_a_quoted_command_is_changed_in_a_sentence(text, made):
    assert in_a_sentence(text, "v/a") == made
