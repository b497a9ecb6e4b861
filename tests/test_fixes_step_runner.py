"""One step of a plan: it waits for the journal, ends at its deadline, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from attn_doctor.fixes import restore, step_runner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the patients are Linux, with stub drivers")

# -- one step


def test_a_step_waits_until_it_is_written_down(tmp_path):
    order, mark = [], tmp_path / "mark"

    def started(pid: int) -> None:
        order.append((pid > 0, mark.exists(), restore.started(pid) is not None))

    code = f"import os, sys; open({str(mark)!r}, 'w'); print('out'); sys.stderr.write('err'); print(sys.stdin.read() == '', os.getpgid(0) == os.getpid())"
    done = step_runner.run(
        (sys.executable, "-c", code), os.environ, tmp_path / "log", deadline=30, on_start=started, cwd=str(tmp_path)
    )
    assert order == [(True, False, True)]
    assert (done.code, done.ok) == (0, True)
    assert sorted(done.output.split()) == ["True", "True", "err", "out"] or "err" in done.output
    assert (tmp_path / "log").read_text() == done.output


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        ((sys.executable, "-c", "raise SystemExit(7)"), 7, ""),
        (("/nowhere/tool",), 127, "/nowhere/tool cannot be started: No such file or directory\n"),
        ((sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"), -signal.SIGTERM, ""),
    ],
)
def test_how_a_step_ends(tmp_path, argv, code, words):
    done = step_runner.run(argv, os.environ, tmp_path / "log", deadline=30)
    assert (done.code, done.ok, done.output) == (code, False, words)


def test_a_step_ends_at_its_deadline_with_all_that_it_started(tmp_path):
    code = (
        "import subprocess, sys; made = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "print(made.pid, flush=True); made.wait()"
    )
    done = step_runner.run((sys.executable, "-c", code), os.environ, tmp_path / "log", deadline=1.5)
    assert (done.code, done.ok) == (None, False)
    assert done.seconds >= 1.5
    while restore.started(int(done.output)) is not None:  # it was sent SIGKILL: without that, for ever
        time.sleep(0.01)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its standard input is left open
def test_a_step_that_is_interrupted_is_ended(tmp_path):
    pids = []

    def started(pid: int) -> None:
        pids.append(pid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step_runner.run(
            (sys.executable, "-c", "import time; time.sleep(60)"),
            os.environ,
            tmp_path / "log",
            deadline=60,
            on_start=started,
        )
    assert restore.started(pids[0]) is None


def test_the_lock_is_held_as_long_as_the_step_runs(tmp_path):
    lock = restore.take_lock(str(tmp_path))
    code = f"import os; os.fstat({lock})"
    held = step_runner.run((sys.executable, "-c", code), os.environ, tmp_path / "log", deadline=30, lock=lock)
    not_held = step_runner.run((sys.executable, "-c", code), os.environ, tmp_path / "log", deadline=30)
    os.close(lock)
    assert (held.code, not_held.code) == (0, 1)


def test_the_last_line_is_told_from_time_to_time(tmp_path):
    said = []
    code = "import time; print('first'); print('x' * 300, flush=True); time.sleep(2.6); print('last', flush=True)"
    step_runner.run((sys.executable, "-c", code), os.environ, tmp_path / "log", deadline=30, on_line=said.append)
    assert said == ["x" * 150]


def test_the_end_of_a_long_output_is_read(tmp_path):
    code = "print('a' * 70000 + 'end', end='')"
    done = step_runner.run((sys.executable, "-c", code), os.environ, tmp_path / "log", deadline=30)
    assert done.output == "a" * (65536 - 3) + "end"
