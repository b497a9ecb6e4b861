"""attn-doctor run without a terminal: every byte to its place, in order, and nothing ended that the program started."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUN = [sys.executable, "-m", "attn_doctor", "run"]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and signals of POSIX")


def python(code: str, *options: str) -> list[str]:
    return [*RUN, *options, "--", sys.executable, "-S", "-c", code]


def run(argv: list[str], **how) -> subprocess.CompletedProcess[bytes]:
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 60, **how}
    return subprocess.run(argv, cwd=ROOT, **how)


MIXED = "import os\nfor n in range(300):\n os.write(1 + n % 2, b'%d ' % n)"


def test_one_pipe_for_both_keeps_their_order():
    done = run(python(MIXED), stderr=subprocess.STDOUT)
    assert done.stdout.split() == [str(n).encode() for n in range(300)]


def test_two_pipes_stay_two():
    done = run(python(MIXED))
    assert done.stdout.split() == [str(n).encode() for n in range(0, 300, 2)]
    assert done.stderr.split() == [str(n).encode() for n in range(1, 300, 2)]


def test_a_file_is_the_programs_own(tmp_path):
    code = "import os; s = os.fstat(1); print(s.st_ino); os.write(2, b'%d' % os.fstat(2).st_ino)"
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        run(python(code), stdout=out, stderr=err)
    assert (tmp_path / "out").read_text() == f"{(tmp_path / 'out').stat().st_ino}\n"
    assert (tmp_path / "err").read_text() == str((tmp_path / "err").stat().st_ino)


def test_what_a_program_writes_to_a_file_is_explained_too(tmp_path):
    (tmp_path / "log").write_text(
        "Traceback (most recent call last):\nModuleNotFoundError: No module named 'ultralytics'\n"
    )
    with (tmp_path / "log").open("ab") as log:
        done = run(python("raise ValueError('mine')"), stdout=log, stderr=log)
    text = (tmp_path / "log").read_text()
    assert done.returncode == 1
    assert (
        text.splitlines()[-1]
        == "attn-doctor: knows no cause for this failure of python; the last error, line 3: ValueError: mine"
    )


def test_forty_megabytes_arrive_whole():
    code = "import os\nblock = bytes(range(256)) * 4000\nfor n in range(40): os.write(1, block)"
    digest, size = hashlib.sha256(), 0
    with subprocess.Popen(python(code), cwd=ROOT, stdout=subprocess.PIPE) as process:
        while block := process.stdout.read(1 << 20):
            digest.update(block)
            size += len(block)
    block = bytes(range(256)) * 4000
    assert process.returncode == 0
    assert size == 40 * len(block)
    assert digest.hexdigest() == hashlib.sha256(block * 40).hexdigest()


def test_standard_input_is_the_programs_own():
    assert run(python("import sys; print(sys.stdin.read())"), input=b"given").stdout == b"given\n"


def test_open_files_are_inherited(tmp_path):
    with (tmp_path / "third").open("wb") as file:
        os.set_inheritable(file.fileno(), True)
        run(python(f"import os; os.write({file.fileno()}, b'here')"), pass_fds=[file.fileno()])
    assert (tmp_path / "third").read_bytes() == b"here"


def test_closed_streams_stay_closed():
    done = run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", *python("import sys; print(sys.stdin, sys.stdout, file=sys.stderr)")]
    )
    assert (done.stderr, done.returncode) == (b"None None\n", 0)


def test_a_program_that_closes_its_output_runs_on():
    done = run(python("import os, time\nos.write(1, b'a'); os.close(1); os.close(2); time.sleep(0.3); os._exit(0)"))
    assert (done.stdout, done.stderr, done.returncode) == (b"a", b"", 0)


def test_a_reader_that_ends_ends_the_program():
    done = run(["sh", "-c", '"$@" | head -1; exit 0', "sh", *RUN, "--", "yes"])
    assert (done.stdout, done.stderr) == (b"y\n", b"")


DAEMON = (
    "import subprocess, sys\nsubprocess.Popen([sys.executable, '-S', '-c', \"import os, sys, time; time.sleep(1.5); "
    "os.write(1, b'later'); os.write(2, b'too'); open(sys.argv[1], 'w').close()\", sys.argv[1]], start_new_session=True)\nprint('now', flush=True)"
)


def test_a_process_that_is_left_running_does_not_hold_us_and_is_not_ended(tmp_path):
    with subprocess.Popen(
        [*python(DAEMON), str(tmp_path / "done")], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.wait(20) == 0
        assert not (tmp_path / "done").exists()
        assert process.stdout.read() == b"now\nlater"
        assert process.stderr.read() == b"too"
    limit = time.monotonic() + 20
    while not (tmp_path / "done").exists():
        assert time.monotonic() < limit
        time.sleep(0.05)


SIGNALS = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCONT", "SIGRTMIN"]
CATCHES = (
    "import signal, sys\nfor name in sys.argv[1].split():\n"
    " signal.signal(getattr(signal, name), lambda number, _, name=name: print(name, flush=True))\n"
    "print('ready', flush=True)\nsys.stdin.read()"
)


def test_every_signal_reaches_the_program_once():
    names = [name for name in SIGNALS if hasattr(signal, name)]
    argv = [*python(CATCHES), " ".join(names)]
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        for name in names:
            process.send_signal(getattr(signal, name))
            assert process.stdout.readline().decode() == f"{name}\n"
        time.sleep(0.2)
        assert process.communicate() == (b"", b"")
        assert process.returncode == 0


def test_a_signal_that_was_ignored_stays_ignored():
    code = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL, signal.pthread_sigmask(0, []))"
    done = run(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *python(f"import ctypes\n{code.replace('is signal.SIG_DFL', '')}")]
    )
    assert done.stdout == b"True 1 set()\n", done.stderr  # 1: Python ignores SIGPIPE itself


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGUSR1"])
def test_we_die_of_the_signal_that_ended_the_program(name):
    done = run(python(f"import os, signal; os.kill(os.getpid(), signal.{name})"))
    assert (done.returncode, done.stdout, done.stderr) == (-getattr(signal, name), b"", b"")


def test_a_crash_without_a_word_is_explained():
    done = run(python("import os, signal; print('here', end='', flush=True); os.kill(os.getpid(), signal.SIGSEGV)"))
    assert (done.returncode, done.stdout) == (-signal.SIGSEGV, b"here")
    assert b"attn-doctor: why python failed" in done.stderr
    assert b"Segmentation fault" in done.stderr


def test_the_kernels_end_for_lack_of_memory_is_told_by_its_counter(capsys):
    """The counter of this machine cannot be made to rise in a test, so the one of the start is given."""
    from attn_doctor.cli.failed_program import explain
    from attn_doctor.system import processes
    from attn_doctor.system.relay import Ended

    now = processes.oom_kills()
    if now is None:
        pytest.skip("this kernel has no such counter")
    ended = Ended(None, int(signal.SIGKILL), printed=(b"epoch 1\n",))
    explain(ended, ["yolo"], os.environ, now)
    assert capsys.readouterr().err == ""
    explain(ended, ["yolo"], os.environ, now - 1)
    assert capsys.readouterr().err.startswith("attn-doctor: the kernel ended yolo with SIGKILL because memory ran out")


def test_stopped_with_its_program_and_continued(tmp_path):
    code = "import time\nfor n in range(200):\n print(n, flush=True)\n time.sleep(0.05)"
    # In a group of its own, whose parent is in another group of the session: the kernel stops no orphaned group.
    with subprocess.Popen(python(code), cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=os.setpgrp) as process:  # noqa: PLW1509
        process.stdout.readline()
        process.send_signal(signal.SIGTSTP)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        for _ in range(10):
            assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(20) == -signal.SIGINT


def test_no_capture_becomes_the_program():
    with subprocess.Popen(
        python("import os; print(os.getpid())", "--no-capture"), cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.read() == b"%d\n" % process.pid


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('fine')", ""),
        ("raise SystemExit(1)", ""),  # grep that finds nothing
        ("print('3 tests'); raise SystemExit(2)", ""),
        ("raise KeyboardInterrupt", ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", ""),
        ("raise SystemExit(143)", ""),
        (
            "raise ValueError('\\x1b[31mmine')",
            "attn-doctor: knows no cause for this failure of python; the last error, line 3: ValueError: mine",
        ),
    ],
)
def test_an_unknown_failure_is_one_line_and_no_failure_is_none(code, said):
    done = run(python(code))
    lines = [line for line in done.stderr.decode().splitlines() if line.startswith("attn-doctor")]
    assert len(lines) == bool(said), done.stderr
    if said:
        assert lines[0] == said


def test_a_known_failure_is_explained_after_the_programs_own_lines():
    done = run(
        python(
            "import sys; sys.stderr.write('before\\n'); raise ImportError('libcudart.so.11.0: cannot open shared object file: No such file or directory')"
        )
    )
    program, _, ours = done.stderr.decode().partition("\nattn-doctor: why python failed")
    assert program.endswith("No such file or directory\n")
    assert (done.returncode, done.stdout) == (1, b"")
    assert "libcudart.so.11.0" in ours
    assert "\x1b" not in ours


MISSING = "import sys; sys.stderr.write(\"ModuleNotFoundError: No module named 'ultralytics'\\n\"); sys.exit(1)"


@pytest.mark.parametrize(
    ("after", "explained"),
    [
        ("", [b"why python failed"]),
        # What `make` says of its own end is no second failure.
        ("echo 'make: *** [all] Error 1' >&2; exit 2", [b"why python failed"]),
        (
            "echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB' >&2; exit 2",
            [b"why python failed", b"why sh failed"],
        ),
    ],
)
def test_a_run_inside_of_another_explains_once(after, explained):
    inner = shlex.join(python(MISSING))
    done = run([*RUN, "--", "sh", "-c", f"{inner}; {after}"])
    assert done.returncode == (2 if after else 1)
    lines = [line for line in done.stderr.splitlines() if line.startswith(b"attn-doctor:")]
    assert [line[len(b"attn-doctor: ") :].partition(b" (the lines")[0] for line in lines] == explained
    if len(explained) == 2:  # and the second explanation is of what came after the first
        second = done.stderr.partition(b"why sh failed")[2]
        assert b"out-of-memory" in second
        assert b"ultralytics" not in second


def test_a_run_inside_of_another_that_knows_no_cause_says_so_once():
    inner = shlex.join(python("raise RuntimeError('nobody knows')"))
    done = run([*RUN, "--", "sh", "-c", f"{inner}; exit 7"])
    assert (done.returncode, done.stderr.count(b"knows no cause")) == (7, 1)


def test_an_installer_is_explained_and_gets_no_attention(tmp_path):
    pip = tmp_path / "pip"
    pip.write_text(
        "#!/bin/sh\nenv | grep -E '^(PYTHONPATH|ATTN_DOCTOR_ATTENTION)='\n"
        "echo \"ModuleNotFoundError: No module named 'torch'\" >&2\necho 'ERROR: Failed to build flash-attn' >&2\nexit 1\n"
    )
    pip.chmod(0o755)
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = run([*RUN, "--", str(pip), "install", "flash-attn"], env=environ)
    assert done.stdout == b""
    assert b"attn-doctor: why pip failed" in done.stderr
    assert b"--no-build-isolation" in done.stderr


@pytest.mark.parametrize(
    ("words", "tool"),
    [
        ("pip install x", "pip"),
        ("/usr/bin/pip3.11 install x", "pip"),
        ("C:\\Python\\Scripts\\pip.exe install x", "pip"),
        ("python -m pip install x", "pip"),
        ("python3.12 -X utf8 -m build", "build"),
        ("python -mbuild", "build"),
        ("python setup.py develop", "setup.py"),
        ("python -W error ./setup.py install", "setup.py"),
        ("uv pip install x", "uv"),
        ("uv sync", "uv"),
        ("conda install x", "conda"),
        ("nvcc -c x.cu", "nvcc"),
        ("make -j8", "make"),
        ("uv run yolo train", None),
        ("uv --quiet run yolo train", None),
        ("conda run -n env yolo train", None),
        ("python -m uv run train.py", None),
        ("poetry run python train.py", None),
        ("python train.py", None),
        ("python -c pip", None),
        ("python -m torch.distributed.run setup.py", None),
        ("python", None),
        ("yolo train", None),
        ("bash build.sh", None),
    ],
)
def test_what_installs_or_builds_is_told_by_its_words(words, tool):
    from attn_doctor.prescription.programs import builder

    assert builder(words.split()) == tool


def test_the_python_of_a_program_is_found(tmp_path):
    from attn_doctor.prescription.programs import interpreter

    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    (tmp_path / "short").write_text(f"#!{python}\nimport this\n")
    (tmp_path / "long").write_text(f"#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n")
    (tmp_path / "other").write_text("#!/bin/bash\n")
    for name in ("short", "long", "other"):
        (tmp_path / name).chmod(0o755)
    here = {"PATH": str(tmp_path)}
    assert [interpreter([name], here) for name in ("python3", "short", "long", "other", "absent")] == [
        *[str(python)] * 3,
        None,
        None,
    ]


def test_the_beginning_and_the_end_are_kept_and_lines_keep_their_numbers():
    from attn_doctor.system.relay.kept import Kept

    kept = Kept(head=10, tail=20)
    for n in range(1000):
        kept.add(b"line %d\n" % n)
    lines = kept.text().split(b"\n")
    assert (lines[0], lines[998], lines[999], len(lines)) == (b"line 0", b"line 998", b"line 999", 1001)
    assert len(kept.text()) < 10 + 20 + 10 + 1000


def test_lines_of_two_streams_are_not_mixed():
    from attn_doctor.system.relay.kept import Kept

    kept = Kept()
    kept.several()
    for stream, text in ((1, b"one "), (2, b"error\n"), (1, b"line\nrest"), (2, b"x")):
        kept.add(text, stream)
    assert kept.text() == b"error\none line\nrestx"


def test_follow_copies_at_once_and_diagnoses_at_the_end():
    argv = [sys.executable, "-m", "attn_doctor", "diagnose", "--follow", "-"]
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        for part in (b"\xff\x1b[31m 10%\r", b"no newline"):
            process.stdin.write(part)
            assert process.stderr.read(len(part)) == part
        process.stdin.write(b"\nModuleNotFoundError: No module named 'torch'\nERROR: Failed to build flash-attn\n")
        process.stdin.close()
        out = process.stdout.read()
        assert process.stderr.read().startswith(b"\nModule")
        assert process.wait(30) == 1
    assert b"--no-build-isolation" in out


def test_without_follow_nothing_is_copied():
    argv = [sys.executable, "-m", "attn_doctor", "diagnose", "-"]
    assert run(argv, input=b"all is well\n").stderr == b""
    done = run([*argv[:-1], "--follow", "pyproject.toml"])
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--follow copies standard input" in done.stderr
