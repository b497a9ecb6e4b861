"""The throw-away folder and the conditions of a run: what is in them, and that nothing of them stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import pytest

from attn_doctor.reproduction import host_abilities
from attn_doctor.reproduction.throwaway import MARK, Throwaway, sweep

linux = pytest.mark.skipif(sys.platform != "linux", reason="namespaces and /proc")
namespaces = pytest.mark.skipif(
    host_abilities.namespaces_refused(network=True) is not None,
    reason=str(host_abilities.namespaces_refused(network=True)),
)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder of our own, so that what is left behind is seen."""
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def staged(conditions: dict, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    text = (resources.files("attn_doctor.reproduction") / "programs" / "namespace_launcher.py").read_text()
    conditions = {"refusal": str(folder / "refusal"), "spare": str(folder), **conditions}
    argv = [sys.executable, "-I", "-c", text, json.dumps(conditions), *command]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def test_both_streams_come_back_as_they_were_written_and_the_folder_is_gone(temporary):
    with Throwaway() as throwaway:
        script = (
            "import sys; print('out', flush=True); print('err', file=sys.stderr, flush=True); print('end'); sys.exit(3)"
        )
        ended = throwaway.run([sys.executable, "-c", script], os.environ, 60)
        assert ended.output.split() == [b"out", b"err", b"end"]
        assert ended.returncode == 3
        assert throwaway.folder.parent == temporary.resolve()
    assert list(temporary.iterdir()) == []


def test_a_command_that_hangs_is_stopped_with_all_that_it_started(temporary):
    with Throwaway() as throwaway:
        script = "import subprocess, sys, time; subprocess.Popen(['sleep', '1000']); print('up', flush=True); time.sleep(1000)"
        ended = throwaway.run([sys.executable, "-c", script], os.environ, 2)
        assert ended.returncode is None
        assert ended.output == b"up\n"
        assert started_in(throwaway.folder) == []


@linux
def test_a_grandchild_that_left_the_session_is_ended_too(temporary):
    with Throwaway() as throwaway:
        script = "import subprocess; print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)"
        ended = throwaway.run([sys.executable, "-c", script], os.environ, 60)
        assert ended.returncode == 0
        assert not alive(int(ended.output))


def test_a_folder_that_may_not_be_written_is_removed_and_what_links_lead_to_is_not(temporary, tmp_path_factory):
    other = tmp_path_factory.mktemp("target")
    (other / "precious").write_text("kept")
    with Throwaway() as throwaway:
        inner = throwaway.folder / "environment" / "lib"
        inner.mkdir(parents=True)
        (inner / "link").symlink_to(other)
        (inner / "file").write_text("")
        inner.chmod(0o500)
    assert list(temporary.iterdir()) == []
    assert (other / "precious").read_text() == "kept"


def test_a_folder_that_is_to_be_kept_stays_and_is_never_swept(temporary):
    with Throwaway(kept=True) as throwaway:
        (throwaway.folder / "log").write_text("")
    assert sweep(temporary) == []
    assert (throwaway.folder / "log").exists()


@linux
def test_what_a_killed_run_left_is_removed_by_the_next_one_and_a_living_run_is_not(temporary):
    script = (
        "import os, subprocess, sys, time\n"
        "from attn_doctor.reproduction.throwaway import Throwaway\n"
        "with Throwaway() as t:\n"
        "    print(t.folder, flush=True)\n"
        "    t.run(['sleep', '1000'], os.environ, 1000)\n"
    )
    root = str(Path(__file__).parents[1])
    run = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": root},
    )
    folder = Path(run.stdout.readline().strip())
    until = time.monotonic() + 30
    while not started_in(folder) and time.monotonic() < until:
        time.sleep(0.05)
    children = started_in(folder)
    assert len(children) == 1
    assert sweep(temporary) == []
    assert folder.exists()
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    with Throwaway():
        assert not folder.exists()
    assert not alive(children[0])


@namespaces
def test_a_pattern_is_hidden_and_the_rest_of_the_folder_is_as_before(tmp_path):
    place = tmp_path / "usr"
    (place / "cuda-13.0" / "bin").mkdir(parents=True)
    (place / "cuda").symlink_to("cuda-13.0")
    (place / "bin").mkdir()
    (place / "bin" / "tool").write_text("tool")
    (place / "link").symlink_to("bin/tool")
    (place / "file").write_text("file")
    look = f"import os; print(sorted(os.listdir('{place}'))); print(open('{place}/link').read(), open('{place}/file').read())"
    done = staged({"hidden": [[str(place), "cuda*"]]}, [sys.executable, "-c", look], tmp_path)
    assert done.stdout.splitlines() == ["['bin', 'file', 'link']", "tool file"]
    assert sorted(p.name for p in place.iterdir()) == ["bin", "cuda", "cuda-13.0", "file", "link"]


@namespaces
def test_a_small_disk_is_full_and_another_device_and_gone_afterwards(tmp_path):
    code = (
        "import os, sys\n"
        "print(os.stat('disk').st_dev != os.stat('.').st_dev)\n"
        "try:\n    open('disk/large', 'wb').write(bytes(3 << 20))\nexcept OSError as error:\n    print(error.errno)\n"
    )
    (tmp_path / "disk").mkdir()
    command = [sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r})\n{code}"]
    assert staged({"disks": [[str(tmp_path / "disk"), 1, False]]}, command, tmp_path).stdout.split() == ["True", "28"]
    assert list((tmp_path / "disk").iterdir()) == []


@namespaces
def test_a_read_only_folder_refuses_even_root(tmp_path):
    (tmp_path / "site").mkdir()
    command = [sys.executable, "-c", f"open({str(tmp_path / 'site' / 'x')!r}, 'w')"]
    done = staged({"read_only": [str(tmp_path / "site")]}, command, tmp_path)
    assert "[Errno 30]" in done.stderr
    (tmp_path / "site" / "x").write_text("outside of the run it is as it was")


@namespaces
def test_without_a_network_only_the_machine_itself_answers(tmp_path):
    code = (
        "import socket\nprint(sorted(name for _, name in socket.if_nameindex()))\n"
        "with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "    socket.create_connection(server.getsockname(), 5).close()\n"
    )
    done = staged({"network": True}, [sys.executable, "-c", code], tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("['lo']\n", "", 0)


@linux
def test_memory_is_limited_for_the_command_alone(tmp_path):
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_AS)[0])"
    assert staged({"memory": 512 << 20}, [sys.executable, "-c", code], tmp_path).stdout == f"{512 << 20}\n"


@linux
def test_a_condition_that_cannot_be_made_is_told_and_nothing_is_run(tmp_path):
    done = staged({"hidden": [["/nowhere", "*"]]}, [sys.executable, "-c", "print('ran')"], tmp_path)
    assert (done.stdout, done.returncode) == ("", 125)
    assert "No such file" in (tmp_path / "refusal").read_text() or host_abilities.namespaces_refused()


@linux
def test_a_command_that_is_not_there_is_told_as_a_shell_does(tmp_path):
    done = staged({}, ["no-such-program"], tmp_path)
    assert (done.stderr, done.returncode) == ("no-such-program: command not found\n", 127)


def started_in(folder: Path) -> list[int]:
    if sys.platform != "linux":
        return []
    wanted = f"{MARK}={folder}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def alive(number: int) -> bool:
    """Whether a process runs: one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
