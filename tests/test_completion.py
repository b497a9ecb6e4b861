"""Completion, typed into real shells on a pseudo-terminal: the shell starts attn-doctor, and the line that it makes is read back."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# How each shell starts without the settings of its user, and how it loads the script.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(attn-doctor completion bash)"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        "attn-doctor completion zsh > $HOME/_attn-doctor; fpath=($HOME $fpath); autoload -Uz compinit; compinit -u -D",
    ),
    "fish": (
        ["fish", "--private", "-i"],
        "mkdir -p $HOME/.config/fish/completions; attn-doctor completion fish > $HOME/.config/fish/completions/attn-doctor.fish",
    ),
}
# What is typed before TAB, and the words of the line after it.
TYPED = [
    ("chec", ["check"]),
    ("check --no-t", ["check", "--no-trial"]),
    ("check --backend sdpa-ef", ["check", "--backend", "sdpa-efficient"]),
    ("check --goal fl", ["check", "--goal", "flash-attn"]),
    ("explain numpy-a", ["explain", "numpy-abi"]),
    ("explain AD31", ["explain", "AD31"]),  # several codes begin so: nothing is chosen
    ("check --gpu RTX-3090-T", ["check", "--gpu", "RTX-3090-Ti"]),
    ("trial --model yolo12s", ["trial", "--model", "yolo12s.yaml"]),
    ("diagnose my-bu", ["diagnose", "my-build.log"]),
    ("completion fi", ["completion", "fish"]),
    ("fleet --on slu", ["fleet", "--on", "slurm"]),
    ("study --attention as-sh", ["study", "--attention", "as-shipped"]),
]
_READY = 60.0  # seconds; a shell that is started for the first time on a busy machine


class Terminal:
    """A shell on a pseudo-terminal."""

    def __init__(self, argv: list[str], cwd: Path, environ: dict[str, str]) -> None:
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            os.chdir(cwd)
            os.execvpe(argv[0], argv, environ)
        self.screen = ""

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def until(self, pattern: str) -> re.Match[str]:
        """Read what the shell writes until the pattern is in it; what is before its end is forgotten."""
        deadline = time.monotonic() + _READY
        while time.monotonic() < deadline:
            found = re.search(pattern, self.screen)
            if found:
                self.screen = self.screen[found.end() :]
                return found
            if select.select([self.descriptor], [], [], 0.1)[0]:
                data = os.read(self.descriptor, 65536).decode("utf-8", "replace")
                if "\x1b[c" in data or "\x1b[0c" in data:  # fish asks which terminal this is
                    self.type("\x1b[?62c")
                self.screen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data)
        raise AssertionError(f"{pattern!r} never came: {self.screen!r}")

    def close(self) -> None:
        os.close(self.descriptor)
        os.waitpid(self.process, 0)


@pytest.fixture(params=["bash", *(pytest.param(one, marks=pytest.mark.heavy) for one in ("zsh", "fish"))])
def terminal(request, tmp_path):
    argv, load = SHELLS[request.param]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"there is no {argv[0]} here")
    programs = tmp_path / "bin"
    programs.mkdir()
    starter = programs / "attn-doctor"
    starter.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m attn_doctor "$@"\n')
    starter.chmod(0o755)
    (tmp_path / "my-build.log").write_text("x\n")
    environ = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
    }
    made = Terminal(argv, tmp_path, environ)
    made.type(f"{load}; echo lo''aded\n")
    made.until("loaded")
    yield made
    made.close()


def test_completion_in_a_real_shell(terminal):
    """bash is on every system of CI; zsh and fish must be installed for it, so they are tested with the heavy tests."""
    for typed, words in TYPED:
        terminal.type(f"attn-doctor {typed}\t")
        time.sleep(0.3)  # a shell that still reads the keys would take the next one for a part of the word
        # To the beginning of the line, so that the shell shows the words that it has.
        terminal.type("\x01printf '<%s>' \x05; echo ' e''nd'\r")
        shown = terminal.until(r"<attn-doctor>((?:<[^>]*>)*) end")
        assert re.findall(r"<([^>]*)>", shown[1]) == words, typed


def test_the_script_says_where_to_put_it():
    for shell in ("bash", "zsh", "fish", "powershell"):
        done = subprocess.run(
            [sys.executable, "-m", "attn_doctor", "completion", shell],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"#   attn-doctor completion {shell}" in done.stdout or f"completion {shell} >" in done.stdout
        assert "attn-doctor" in done.stdout
    assert done.stdout.startswith("# Add this line to your profile")


def test_a_tab_imports_no_renderer(tmp_path):
    """A TAB must be quick: neither rich nor the probes are loaded for it."""
    environ = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer"),
        "COMP_LINE": "attn-doctor check --ba",
        "COMP_POINT": "22",
    }
    (tmp_path / "answer").touch()
    argv = [sys.executable, "-X", "importtime", "-m", "attn_doctor"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, env=environ)
    assert (
        set((tmp_path / "answer").read_text().split("\x0b")) == {"--backend ", "--batch "}
        or "--backend" in (tmp_path / "answer").read_text()
    )
    for heavy in ("rich", "jinja2", "torch", "attn_doctor.probes", "attn_doctor.report.outline"):
        assert not re.search(rf"\| +{re.escape(heavy)}$", done.stderr, re.MULTILINE), heavy
