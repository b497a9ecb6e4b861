"""What floods, hangs or never ends costs bounded time and memory. Every program, pipe and device here is real."""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from attn_doctor import child
from attn_doctor.examination.inputs import read_file
from attn_doctor.model import foreign_text, versions
from attn_doctor.model.facts import Facts
from attn_doctor.model.record import Fault
from attn_doctor.model.report import Unreadable
from attn_doctor.probes.root import Root
from attn_doctor.probes.yolo import yolo
from attn_doctor.system import files, threads

ROOT = Path(__file__).parents[2]


def tool(folder: Path, text: str, name: str = "tool") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def let_go(pipe: Path) -> None:
    """Let the thread that waits for this pipe read its end, and close it."""
    os.close(os.open(pipe, os.O_WRONLY))
    time.sleep(0.1)
    gc.collect()


def script(folder: Path, text: str) -> Path:
    path = folder / "script.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", ["exec yes", "exec cat /dev/zero", "exec yes >&2", "yes & yes & wait"])
def test_a_tool_that_prints_without_end_is_ended_at_the_limit(text, tmp_path):
    answer = child.command([tool(tmp_path, text)], deadline=60.0)
    assert answer.fault.kind == "flooded"
    assert len(answer.stdout) <= 1 << 20
    assert len(answer.stderr) <= 1 << 18


def test_a_tool_that_prints_a_megabyte_less_one_is_whole(tmp_path):
    answer = child.command([tool(tmp_path, f"head -c {(1 << 20) - 1} /dev/zero | tr '\\0' x")])
    assert answer.fault is None
    assert answer.stdout == "x" * ((1 << 20) - 1)


def test_a_tool_can_be_given_a_higher_limit(tmp_path):
    answer = child.command([tool(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x")], most=4_000_000)
    assert (answer.fault, len(answer.stdout)) == (None, 3_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "with section('s'):\n    tell('s', 'x' * 5_000_000)\n",  # one record that is too long
        "with section('s'):\n    while True:\n        tell('s', 'x' * 1_000_000)\n",  # records without end
        "with section('s'):\n    tell('s', [[]] * 1_000_000)\n",  # a short text, and a million lists
        "import os\nos.write(_real_stdout, b'\\x1e' + _NONCE.encode() + b' ' + b'[' * 9_000_000)\ntime.sleep(60)\n",  # a line without end
    ],
)
def test_records_without_end_are_a_flood(text, tmp_path):
    outcome = child.run([sys.executable], ["target/channel.py", script(tmp_path, text)], deadline=60.0)
    assert outcome.fault is not None
    assert outcome.fault.kind == "flooded"


def test_a_file_that_a_tool_writes_has_a_limit(tmp_path):
    answer = child.command(
        [tool(tmp_path, 'sleep 0.5; dd if=/dev/zero of="$TMPDIR/x" bs=100k count=100; ls -l "$TMPDIR/x"')],
        largest_file=1_000_000,
    )
    assert " 1000000 " in answer.stdout


def test_the_limit_of_a_file_that_is_set_already_is_not_raised(tmp_path):
    lower = tool(tmp_path, 'ulimit -f 1; exec "$@"', "lower")  # a block of sh has 512 bytes
    code = (
        "from attn_doctor import child; import sys; "
        "print(child.command(['sh', '-c', 'head -c 3000 /dev/zero >$TMPDIR/x; wc -c <$TMPDIR/x'], largest_file=2000).stdout.strip())"
    )
    done = subprocess.run(
        [lower, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == "512", done.stderr


def test_memory_stays_small_while_tools_flood(tmp_path):
    for name in ("nvcc", "gcc", "g++", "nvidia-smi", "ninja", "cmake", "git"):
        tool(tmp_path, "exec cat /dev/zero", name)
    code = (
        "import sys; sys.argv[1:] = ['check', '--no-trial', '--target', sys.executable, '--json', 'report.json']\n"
        "from attn_doctor.__main__ import main; code = main()\n"
        "import re; print(re.search(r'RssAnon:\\s*(\\d+)', open('/proc/self/status').read())[1], code, file=sys.stderr)\n"
    )
    environ = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, cwd=tmp_path, timeout=120
    )
    used, code = map(int, done.stderr.split()[-2:])
    assert code in (0, 1, 3), done.stderr
    assert used < 150_000  # kB
    assert "prints without end" in (tmp_path / "report.json").read_text()


@pytest.fixture
def odd_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("name", ["pipe", "link", "folder", "missing"])
def test_only_regular_files_are_read(name, odd_files):
    with pytest.raises(OSError, match=r"regular file|Is a directory|No such file"):
        files.head(odd_files / name)
    assert (
        Root(odd_files).bytes(f"/{name}") is None or name == "link"
    )  # below a simulated machine the link leads nowhere
    assert Root().bytes(str(odd_files / name)) is None


def test_a_file_is_read_up_to_the_limit(tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 3_000_000)
    assert len(files.head(tmp_path / "large")) == 1 << 20
    assert files.head(tmp_path / "large", 5) == b"xxxxx"
    assert len(Root().bytes(str(tmp_path / "large"), 2_000_000)) == 2_000_000


@pytest.mark.parametrize("command", ["show", "compare", "diagnose", "check --no-trial --facts"])
def test_a_device_is_no_report_and_no_log(command, tmp_path):
    (tmp_path / "zero").symlink_to("/dev/zero")
    argv = [*command.split(), str(tmp_path / "zero"), *([str(tmp_path / "zero")] if command == "compare" else [])]
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", *argv], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode in (2, 3)
    assert f"{tmp_path}/zero is a device: name a file, or - for standard input" in done.stderr


@pytest.mark.parametrize("name", ["pipe", "link", "folder"])
@pytest.mark.parametrize("ending", [".so", ".whl", "-1.0-cp311-cp311-macosx_11_0_arm64.whl", ".pyd", ".dylib"])
def test_what_is_no_regular_file_is_not_inspected(name, ending, odd_files):
    """/dev/zero was read into memory without end, and a pipe was waited for."""
    path = odd_files / f"{name}{ending}"
    (odd_files / name).rename(path)
    argv = ["inspect", str(path), "--target", sys.executable, "--beside", str(odd_files)]
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", *argv], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 3, done.stderr
    assert "it is not a regular file" in " ".join(done.stdout.split())


def test_source_code_of_a_model_has_a_limit(tmp_path):
    (tmp_path / "nn/modules").mkdir(parents=True)
    (tmp_path / "__init__.py").write_text('__version__ = "8.4.190"\n')
    (tmp_path / "nn/modules/block.py").write_text("[package]\nname = 1\n" * 50_000)
    facts, _ = yolo(tmp_path)
    assert facts.attention.why == "block.py of ultralytics cannot be read: it has more than 300 kB"


@pytest.mark.parametrize(
    "text", ["1" * 5_000, "torch==" + "9" * 5_000, "2." + "6" * 5_000 + "+cu126", "1" + ".1" * 5_000]
)
def test_a_version_of_any_length_is_compared(text):
    assert versions.pair(text) is None
    assert not versions.at_least(text, "2.0")


@pytest.mark.parametrize("columns", ["9" * 60, "9" * 6_000, "-1", "٣٣", "0", ""])
def test_any_width_of_the_terminal_is_taken(columns):
    environ = {**os.environ, "COLUMNS": columns}
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", "explain", "no-gpu-present"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environ,
    )
    assert done.returncode == 0, done.stderr


def test_a_report_has_a_limit_and_a_pipe_is_read(tmp_path):
    large = tmp_path / "large.json"
    large.write_bytes(b" " * ((8 << 20) + 1))
    with pytest.raises(Unreadable, match=r"larger than 8 MB"):
        read_file(str(large))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: (time.sleep(0.2), pipe.write_bytes(b"{}")))
    writer.start()
    assert read_file(str(pipe)) == b"{}"
    writer.join()


def test_a_pipe_that_nobody_writes_to_is_given_up(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    code = (
        "import sys\nfrom attn_doctor.examination import inputs\ninputs._OPENING = 0.3\n"
        "from attn_doctor.__main__ import main\nsys.exit(main())\n"
    )
    argv = [sys.executable, "-c", code, "show", str(tmp_path / "pipe")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert f"{tmp_path}/pipe cannot be read: nothing was written to it in 0 s" in done.stderr


def test_work_that_never_returns_is_left(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TimeoutError):
        threads.within(0.2, (tmp_path / "pipe").read_bytes)
    let_go(tmp_path / "pipe")
    assert threads.within(5.0, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        threads.within(5.0, lambda: 1 // 0)


def test_a_probe_that_waits_for_ever_costs_its_own_section_only(tmp_path):
    """A library of the system that is a pipe stands for a file on a network drive that is gone."""
    from attn_doctor.model.facts import System, all_unknown
    from attn_doctor.probes.gather import _Runner

    os.mkfifo(tmp_path / "pipe")
    runner = _Runner(0.3)
    section, _ = runner.run("system", System, (tmp_path / "pipe").read_text)
    let_go(tmp_path / "pipe")
    why = "no answer in 0 s: a tool or a file did not answer, such as one on a network drive that is gone"
    assert section == all_unknown(System, section.os.why)
    assert section.os.why == why
    assert [(run.name, run.note) for run in runner.runs] == [("system", why)]


def test_a_long_text_is_cut_in_facts_and_reports():
    fault = Fault(kind="raised", type="ImportError", message="é" * 30_000)
    assert foreign_text.record(fault).message == "é" * 20_000 + " [10000 more characters]"
    kept = Fault(kind="raised", message='"' * 20_000)
    assert foreign_text.record(kept) is kept
    assert foreign_text.record(Facts(grade="static")) is not None


def test_the_total_timeout_ends_a_command_that_hangs(tmp_path):
    report = tmp_path / "report.json"
    nvcc = tool(tmp_path, "sleep 600", "nvcc")
    environ = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    argv = ["check", "--no-trial", "--total-timeout", "1.5", "--target", sys.executable, "--json", str(report)]
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", *argv], capture_output=True, text=True, cwd=ROOT, env=environ, timeout=60
    )
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "attn-doctor: could not examine: it took longer than 1.5 s (--total-timeout)"
    assert not running(nvcc)


def test_the_total_timeout_keeps_what_was_found(tmp_path):
    """The trial is replaced by a wait; the facts and the findings are in the report."""
    report = tmp_path / "report.json"
    code = (
        "import sys, time\n"
        "from attn_doctor import examination\n"
        "examination.prove = lambda *rest: time.sleep(60)\n"
        "from attn_doctor.__main__ import main\nsys.exit(main())\n"
    )
    argv = ["check", "--static", "--total-timeout", "8", "--target", sys.executable, "--json", str(report)]
    done = subprocess.run(
        [sys.executable, "-c", code, *argv],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 3, done.stderr
    written = json.loads(report.read_text())
    assert written["exit_code"] == 3
    assert written["trials_skipped"] == "it was stopped"
    assert written["facts"]["interpreter"]["version"].startswith("3.")


def running(program: str) -> bool:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if program.encode() in entry.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize("most", [250_000_000, 350_000_000])
def test_little_memory_is_said_in_one_sentence(most):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", "check", "--no-trial", "--target", sys.executable],
        capture_output=True,
        text=True,
        cwd=ROOT,
        preexec_fn=limit,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1, 3)


@pytest.mark.parametrize("most", [10, 15, 18])
def test_a_limit_of_open_files_is_no_damage_of_torch(most):
    """The file that could not be opened was called unreadable, and torch broken."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", "check", "--no-trial", "--target", sys.executable],
        capture_output=True,
        text=True,
        cwd=ROOT,
        preexec_fn=limit,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 3), done.stdout
    assert "torch-install-broken" not in done.stdout
    if done.returncode == 3:
        said = done.stdout + done.stderr
        assert "too many files are open in one process" in said or "Could not tell" in said


def test_a_list_of_packages_is_read_beyond_its_first_megabyte(tmp_path):
    """JetPack's package may be anywhere in the list of dpkg, which has several megabytes."""
    from attn_doctor.probes import board

    noise = "".join(f"Package: p{n}\nStatus: install ok installed\nVersion: 1\n\n" for n in range(30_000))
    files_of = {
        "var/lib/dpkg/status": noise + "Package: nvidia-jetpack\nStatus: install ok installed\nVersion: 6.1+b123\n\n",
        "proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0000\0nvidia,tegra234\0",
    }
    for name, content in files_of.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert len(noise) > 1 << 20
    assert board.place(Root(tmp_path), {}).jetpack == "6.1"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["../../evil.so"], "would be installed outside of the environment"),
        (["/etc/evil.so"], "would be installed outside of the environment"),
        (["x/..\\..\\evil.dll"], "would be installed outside of the environment"),
        (["C:/evil.dll"], "would be installed outside of the environment"),
        ([f"x/m{n}.so" for n in range(2001)], "it has 2001 libraries"),
    ],
)
def test_a_wheel_that_leaves_its_folder_or_is_endless_is_refused(names, said, tmp_path):
    from attn_doctor.probes.binaries.mapped import DamagedFile
    from attn_doctor.probes.binaries.wheel import WheelFile

    path = tmp_path / "x-1.0-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    with pytest.raises(DamagedFile, match=said):
        WheelFile(path)
