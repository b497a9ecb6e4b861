"""The room for calls that only some systems have: its functions on Linux, with real processes and files, and the rule that guards it."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from whole_command import gone

from attn_doctor.system import files, locks, machine, platforms, processes, windows

HERE = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the branch of Linux")
# Sixteen calls that not every operating system has, in the ways in which one writes them.
PLATFORM_ONLY = """\
os.killpg(1, 9)
os.fork()
os.getuid()
os.chown("a", 1, 1)
os.link("a", "b")
os.statvfs("a")
os.confstr("a")
os.sysconf("a")
os.getloadavg()
os.sched_getaffinity(0)
os.kill(1, 9)
print(os.name)
print(sys.platform)
print(signal.SIGKILL)
ctypes.WinDLL("kernel32")
platform.system()
"""
IMPORTS = "import fcntl\nimport winreg\nimport msvcrt\nimport resource\nimport pwd\nfrom os import killpg\nfrom sys import platform\n"


@pytest.mark.parametrize(
    ("place", "found"),
    [("probes/planted.py", 1), ("planted.py", 1), ("system/planted.py", 0), ("target/planted.py", 0)],
)
def test_ruff_finds_a_call_of_one_platform_outside_of_its_room(place, found):
    head = "import ctypes\nimport os\nimport platform\nimport signal\nimport sys\n"
    for lines, before in ((PLATFORM_ONLY, head), (IMPORTS, "")):
        argv = ["ruff", "check", "--no-cache", "--select", "TID251", "--output-format", "concise", "-"]
        argv += ["--stdin-filename", f"attn_doctor/{place}"]
        ruff = Path(sys.executable).parent / "ruff"
        argv[0] = str(ruff) if ruff.exists() else shutil.which("ruff")
        done = subprocess.run(argv, input=before + lines, cwd=HERE, capture_output=True, text=True)
        wanted = len(lines.splitlines()) * found
        named = {line.split(":")[1] for line in done.stdout.splitlines() if "TID251" in line}
        assert len(named) == wanted, done.stdout + done.stderr
        assert done.returncode == found


def started(argv, **options):
    return subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        start_new_session=processes.NEW_SESSION,
        creationflags=processes.CREATION_FLAGS,
        **options,
    )


def test_a_group_ends_with_all_that_the_child_started():
    child = started(["sh", "-c", "sleep 600 & echo $!; wait"])
    grandchild = int(child.stdout.readline())
    assert os.getpgid(grandchild) == child.pid != os.getpgrp()
    processes.end_group(child)
    assert child.wait(10) == -signal.SIGKILL
    assert gone(grandchild)
    processes.end_group(child)  # a second time: there is nobody any more, and nothing is raised
    child.stdout.close()


def test_marked_processes_end_wherever_they_are_and_no_others(tmp_path):
    mark = str(tmp_path / "é")
    leave = [sys.executable, "-c", "import os, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(600)"]
    marked = started(["sh", "-c", '"$@" & wait', "sh", *leave], env={**os.environ, "SYSTEM_TEST": mark})
    other = started([*leave[:2], leave[2].replace("os.setsid(); ", "")], env={**os.environ, "SYSTEM_TEST": mark + "2"})
    escaped = int(marked.stdout.readline())
    other.stdout.readline()
    assert os.getpgid(escaped) == escaped
    assert processes.end_marked("SYSTEM_TEST", mark) == 2  # the shell, and the process that left its group
    assert marked.wait(10) == -signal.SIGKILL
    assert gone(escaped)
    assert processes.end_marked("SYSTEM_TEST", str(tmp_path / "nobody")) == 0
    assert other.poll() is None
    processes.end_group(other)
    assert other.wait(10) == -signal.SIGKILL
    marked.stdout.close()
    other.stdout.close()


@pytest.mark.parametrize("trouble", ["ENOSYS", "EPERM", "missing"])
def test_marked_processes_end_where_there_are_no_descriptors_of_processes(trouble, tmp_path, monkeypatch):
    """As on RHEL 8, whose kernel is 4.18, and in containers that forbid the call."""
    if trouble == "missing":
        monkeypatch.delattr(os, "pidfd_open")
    else:

        def refuse(number: int) -> int:
            raise OSError(getattr(errno, trouble), "refused")

        monkeypatch.setattr(os, "pidfd_open", refuse)
    mark = str(tmp_path)
    child = started(["sleep", "600"], env={**os.environ, "SYSTEM_TEST": mark})
    assert processes.end_marked("SYSTEM_TEST", mark) == 1
    assert child.wait(10) == -signal.SIGKILL
    child.stdout.close()


def test_this_process_becomes_a_program_that_ends_when_its_reader_goes():
    code = "import os; from attn_doctor.system import processes; processes.become(['yes'], dict(os.environ, A='1'))"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout.read(4) == b"y\ny\n"
    assert Path(f"/proc/{child.pid}/exe").readlink().name != Path(sys.executable).resolve().name
    assert b"A=1" in Path(f"/proc/{child.pid}/environ").read_bytes().split(b"\0")
    child.stdout.close()
    assert child.wait(10) == -signal.SIGPIPE
    assert child.stderr.read() == b""
    child.stderr.close()


def test_a_program_that_is_not_there_cannot_be_become():
    code = "import os; from attn_doctor.system import processes; processes.become(['no-such-program'], os.environ)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "FileNotFoundError" in done.stderr


def test_a_lock_is_held_by_one_process_until_it_is_closed(tmp_path):
    code = "import sys, pathlib; from attn_doctor.system import locks; print(locks.hold(pathlib.Path(sys.argv[1])) is None)"
    argv = [sys.executable, "-c", code, str(tmp_path / "lock")]
    held = locks.hold(tmp_path / "lock")
    assert held is not None
    assert locks.hold(tmp_path / "lock") is None
    assert subprocess.check_output(argv, text=True) == "True\n"
    held.close()
    assert subprocess.check_output(argv, text=True) == "False\n"


def test_a_link_is_a_second_name_and_fails_where_there_is_one(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("text")
    files.link(str(first), str(second))
    assert first.stat().st_ino == second.stat().st_ino
    with pytest.raises(FileExistsError):
        files.link(str(first), str(second))


def test_owners(tmp_path):
    file, like = tmp_path / "file", tmp_path / "like"
    file.touch()
    like.touch()
    assert files.is_own(file.stat())
    if os.geteuid() != 0:
        assert not files.is_own(Path("/").stat())
        files.give_owner(str(file), Path("/").stat())  # not allowed, so not tried
        files.give_owner_if_allowed(str(file), Path("/").stat())
        assert file.stat().st_uid == os.getuid()
        return
    os.chown(like, 1234, 5678)
    assert not files.is_own(like.stat())
    for give in (files.give_owner, files.give_owner_if_allowed):
        os.chown(file, 0, 0)
        give(str(file), like.stat())
        assert (file.stat().st_uid, file.stat().st_gid) == (1234, 5678)
    files.give_owner_if_allowed(str(tmp_path / "absent"), like.stat())  # raises nothing
    with pytest.raises(FileNotFoundError):
        files.give_owner(str(tmp_path / "absent"), like.stat())


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_default_mode(mask, mode, tmp_path):
    before = os.umask(mask)
    try:
        assert files.default_mode() == mode
        (tmp_path / "new").touch()
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == mode
    finally:
        os.umask(before)


def test_programs_are_forbidden_where_a_mount_says_noexec(tmp_path):
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    last = {fields[4]: fields[5].split(",") for fields in mounts if "\\" not in fields[4]}
    forbidden = [place for place, options in last.items() if "noexec" in options and os.path.isdir(place)]
    assert all(files.forbids_programs(place) is True for place in forbidden[:5])
    assert files.forbids_programs(Path(sys.executable).parent) is False
    with pytest.raises(FileNotFoundError):
        files.forbids_programs(tmp_path / "absent")


def test_a_path_of_an_open_descriptor_is_known(tmp_path):
    (tmp_path / "out").symlink_to("/dev/stdout")
    (tmp_path / "loop").symlink_to("loop")
    assert files.own_descriptor("/dev/fd/7") == 7
    assert files.own_descriptor("/proc/self/fd/12") == 12
    assert files.own_descriptor(f"/proc/{os.getpid()}/fd/3") == 3
    assert files.own_descriptor("/dev/stdout") == 1
    assert files.own_descriptor(str(tmp_path / "out")) == 1
    for other in (f"/proc/{os.getppid()}/fd/1", "/dev/null", str(tmp_path / "absent"), str(tmp_path / "loop"), "a\0b"):
        assert files.own_descriptor(other) is None


def test_what_is_overwritten_is_emptied_and_never_made(tmp_path):
    (tmp_path / "file").write_text("long text")
    descriptor = files.open_to_overwrite(str(tmp_path / "file"))
    os.write(descriptor, b"new")
    os.close(descriptor)
    assert (tmp_path / "file").read_text() == "new"
    with pytest.raises(FileNotFoundError):
        files.open_to_overwrite(str(tmp_path / "absent"))


def test_the_machine_is_asked():
    kilobytes = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert machine.memory_bytes() == int(kilobytes[1]) * 1024
    assert machine.load_average() >= 0
    busy, everything = machine.processor_time()
    later = machine.processor_time()
    assert 0 < busy <= everything <= later[1]
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        assert machine.c_library() is None
        return
    libc.gnu_get_libc_version.restype = ctypes.c_char_p
    assert machine.c_library() == "glibc " + libc.gnu_get_libc_version().decode()


def test_the_name_of_the_system():
    assert platforms.name() == "linux"
    assert (platforms.LINUX, platforms.MACOS, platforms.WINDOWS) == (True, False, False)


def test_windows_is_asked_on_windows_alone():
    for ask in (
        windows.memory,
        lambda: windows.registry("SYSTEM", "a"),
        lambda: windows.has_processor_feature(40),
        lambda: list(windows.display_devices()),
    ):
        with pytest.raises(windows.NotWindows, match="this is linux"):
            ask()


def test_the_room_itself_imports_nothing():
    code = "import sys; before = set(sys.modules); import attn_doctor.system; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["attn_doctor", "attn_doctor.system"]
