"""Children that answer, lie, chatter, crash, hang and leave others behind. Every one is a real process."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from targets import make_target, site_packages

from attn_doctor import child
from attn_doctor.child import running
from attn_doctor.probes import ask

ROOT = Path(child.__file__).parent.parent
SCRIPTS = sorted(p.name for p in (ROOT / "target").glob("*.py") if p.name != "__init__.py")


def run(code: str, tmp_path: Path, **options) -> child.Outcome:
    """Run the channel and then `code`, as if it stood in a script of the package."""
    script = tmp_path / "script.py"
    script.write_text(code)
    return child.run([sys.executable], ["target/channel.py", script], **options)


def test_records_arrive_in_order_and_whole(tmp_path):
    big = "é" * 200_000
    outcome = run(
        f"with section('one'):\n    tell('one', {{'n': 1}})\n    tell('one', {big!r})\nwith section('two'):\n    tell('two', None)\n",
        tmp_path,
    )
    assert outcome.fault is None
    assert outcome.facts("one") == [{"n": 1}, big]
    assert outcome.facts("two") == [None]
    assert [m.at for m in outcome.messages][:2] == ["hello", "begin"]
    assert outcome.messages[-1].at == "done"


def test_chatter_cannot_corrupt_records_and_is_kept(tmp_path):
    code = (
        "import os, subprocess, sys\n"
        'print(\'{"at": "done"}\')\n'
        "os.write(1, b'\\x1e raw bytes \\xff\\n')\n"
        "sys.__stdout__.write('no newline')\n"
        "subprocess.run(['echo', 'from a grandchild'])\n"
        "with section('s'):\n    tell('s', 7)\n"
    )
    outcome = run(code, tmp_path)
    assert outcome.fault is None
    assert outcome.facts("s") == [7]
    assert "from a grandchild" in outcome.chatter
    assert "raw bytes" in outcome.chatter


def test_a_script_has_what_it_imports_of_the_package_from_the_scripts_before_it(tmp_path):
    code = (
        "from attn_doctor.target.channel import tell\n"
        "from attn_doctor.no_such_room import (\n    tell,\n    section,\n)\n"
        "import inspect\n"
        "with section('s'):\n    tell('s', inspect.currentframe().f_lineno)\n"
    )
    outcome = run(code, tmp_path)
    assert outcome.fault is None
    assert outcome.facts("s") == [8]  # lines keep their numbers


def test_what_is_printed_before_the_channel_stands_does_no_harm(tmp_path):
    python = make_target(tmp_path / "env")
    (site_packages(tmp_path / "env") / "sitecustomize.py").write_text(
        "import sys\nsys.stdout.write('welcome to the cluster\\n')\nsys.stdout.write('and no newline')\nsys.stdout.flush()\n"
    )
    outcome = child.run([str(python)], ask.SCRIPTS, config={"ask": ["interpreter"]})
    assert outcome.fault is None
    assert outcome.facts("interpreter")[0]["prefix"] == str(tmp_path / "env")
    assert "welcome to the cluster" in outcome.chatter


@pytest.mark.parametrize(
    ("code", "kind", "detail"),
    [
        ("import ctypes\nctypes.string_at(0)", "signal", "SIGSEGV"),
        ("import os\nos.abort()", "signal", "SIGABRT"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGBUS)", "signal", "SIGBUS"),
        ("import os\nos._exit(0)", "exited", 0),
        ("import os\nos._exit(5)", "exited", 5),
        ("import time\ntime.sleep(60)", "timeout", None),
        ("while True: pass", "timeout", None),
        ("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)", "timeout", None),
    ],
)
def test_what_it_died_of(code, kind, detail, tmp_path):
    code = "with section('before'):\n    tell('before', 1)\nwith section('culprit'):\n    " + code.replace(
        "\n", "\n    "
    )
    outcome = run(code, tmp_path, deadline=1.5)
    assert outcome.fault is not None
    assert outcome.fault.kind == kind
    assert detail in (None, outcome.fault.signal, outcome.fault.exit_code)
    assert outcome.open_section == "culprit"
    assert outcome.facts("before") == [1]


def test_an_exception_ends_its_section_only(tmp_path):
    code = (
        "with section('bad'):\n    raise ValueError('first line\\nsecond')\n"
        "with section('exit'):\n    raise SystemExit(4)\nwith section('good'):\n    tell('good', 1)\n"
    )
    outcome = run(code, tmp_path)
    assert outcome.fault is None
    assert outcome.raised("bad").type == "ValueError"
    assert outcome.raised("bad").message == "first line\nsecond"
    assert outcome.raised("exit").kind == "exited"
    assert outcome.raised("exit").exit_code == 4
    assert outcome.facts("good") == [1]


def test_a_hang_says_where_it_hangs(tmp_path):
    module = tmp_path / "slowpoke.py"
    module.write_text("import time\n\ndef wait():\n    time.sleep(60)\n\nwait()\n")
    code = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nwith section('import'):\n    import slowpoke\n"
    outcome = run(code, tmp_path, deadline=2.0)
    assert outcome.fault.kind == "timeout"
    assert outcome.fault.where == f"{module}:4 in wait"


def test_silence_is_bounded_apart_from_the_whole(tmp_path):
    code = "import time\nfor i in range(6):\n    with section('alive'):\n        time.sleep(0.3)\nwith section('silent'):\n    time.sleep(60)\n"
    started = time.monotonic()
    outcome = run(code, tmp_path, deadline=60, quiet=1.2)
    assert outcome.fault.kind == "timeout"
    assert outcome.open_section == "silent"
    assert len([m for m in outcome.messages if m.at == "end"]) == 6
    assert time.monotonic() - started < 30


def test_signs_of_life_are_heard_and_not_kept(tmp_path):
    """A training of days sends one each second: 60,000 of a kilobyte would be too much for the records of a child."""
    code = "for number in range(60000): send('alive', 'training', {'number': number, 'text': 'x' * 1000})\ntell('a', 1)"
    heard = []
    outcome = run(code, tmp_path, deadline=120, on_message=lambda message: heard.append((message.at, message.data)))
    assert outcome.fault is None
    assert outcome.facts("a") == [1]
    assert [message.at for message in outcome.messages] == ["hello", "fact", "done"]
    signs = [data["number"] for at, data in heard if at == "alive"]
    assert signs == list(range(60000))


def test_signs_of_life_are_no_silence(tmp_path):
    code = "for _ in range(20):\n    time.sleep(0.2)\n    send('alive', 'training')"
    assert run(code, tmp_path, deadline=60, quiet=1.5).fault is None


def test_grandchildren_are_ended_too(tmp_path):
    marker = tmp_path / "pid"
    code = (
        "import subprocess, time\n"
        f"p = subprocess.Popen(['sleep', '1000'])\nopen({str(marker)!r}, 'w').write(str(p.pid))\n"
        "with section('hang'):\n    time.sleep(1000)\n"
    )
    outcome = run(code, tmp_path, deadline=1.5)
    assert outcome.fault.kind == "timeout"
    pid = int(marker.read_text())
    for _ in range(50):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.1)
    else:
        os.kill(pid, signal.SIGKILL)
        pytest.fail("the grandchild survived")


def test_a_grandchild_that_holds_the_pipe_does_not_hold_us(tmp_path):
    code = "import subprocess\nsubprocess.Popen(['sleep', '20'], start_new_session=True)\nwith section('s'):\n    tell('s', 1)\n"
    started = time.monotonic()
    outcome = run(code, tmp_path, deadline=60)
    assert outcome.fault is None
    assert outcome.facts("s") == [1]
    assert time.monotonic() - started < 15


def test_slow_children_are_announced_once(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "SLOW_AFTER", 0.5)
    told = []
    run("import time\nwith section('torch'):\n    time.sleep(2)\n", tmp_path, on_slow=told.append)
    assert told == ["torch"]


def test_flooding_standard_error_costs_bounded_memory(tmp_path):
    code = "import sys\nfor i in range(20000):\n    sys.stderr.write('x' * 1000 + '\\n')\nwith section('s'):\n    tell('s', 1)\n"
    outcome = run(code, tmp_path)
    assert outcome.facts("s") == [1]
    assert len(outcome.chatter) <= 3 * 64 * 1024


def test_a_command_that_hangs_fails_or_is_missing(tmp_path):
    tool = tmp_path / "tool"
    tool.write_text('#!/bin/sh\nif [ "$1" = hang ]; then sleep 60; fi\necho out; echo err >&2; exit ${1:-0}\n')
    tool.chmod(0o755)
    good = child.command([str(tool)])
    assert (good.stdout, good.stderr, good.returncode, good.fault) == ("out\n", "err\n", 0, None)
    assert child.command([str(tool), "7"]).fault.exit_code == 7
    assert child.command([str(tool), "hang"], deadline=0.5).fault.kind == "timeout"
    assert child.command([str(tmp_path / "nothing")]).fault.type == "FileNotFoundError"


def test_an_old_python_can_say_what_it_is():
    """The program's first lines must parse under Python 2.7; a gate of the future stands in for an old interpreter."""
    text = child.program(ask.SCRIPTS, {"deadline": 9, "quiet": 9}, "abc")
    assert text.isascii()
    text = text.replace(f"if sys.version_info < {child.OLDEST_TARGET!r}", "if sys.version_info < (99, 0)")
    done = subprocess.run([sys.executable, "-"], input=text, capture_output=True, text=True, check=True)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert done.stdout == f'\x1eabc {{"at": "too-old", "section": "", "data": "{version}"}}\n'


@pytest.mark.parametrize("name", SCRIPTS)
def test_programs_of_the_target_are_of_python_3_8(name):
    """Grammar by the parser; imports by hand: stdlib and torch only, and never the doctor itself."""
    source = (ROOT / "target" / name).read_text()
    tree = ast.parse(source, feature_version=(3, 8))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    allowed = set(sys.stdlib_module_names) | {
        "torch",
        "numpy",
        "cv2",  # ultralytics requires it
        "ultralytics",
        "pynvml",
        "flash_attn",
        "flash_attn_interface",
        "mlx",
        "openvino",
        "xformers",
    }
    assert imported <= allowed
