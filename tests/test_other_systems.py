"""What attn-doctor does on Windows, as far as Linux can show it: the branch of Windows of `system/` with a program that plays taskkill, the
names of variables and files there, Visual Studio by a script that answers as vswhere does, and the refusal of `fix`."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from whole_command import gone

from attn_doctor.fixes.target_paths import Cannot
from attn_doctor.fixes.workflow import check_system
from attn_doctor.model.facts import Compiler, Toolchain
from attn_doctor.probes import gather
from attn_doctor.probes.binaries.installed import installed
from attn_doctor.probes.choose import choose
from attn_doctor.probes.prefixes import prefix_of, programs_of
from attn_doctor.probes.root import Root
from attn_doctor.probes.toolchain import toolchain
from attn_doctor.probes.toolkits import toolkits
from attn_doctor.system import platforms, processes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts play the programs of Windows")
PACKAGE = Path(__file__).parents[1] / "attn_doctor"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


# --- processes


def test_on_windows_taskkill_ends_a_child_with_all_that_it_started(tmp_path, monkeypatch):
    told = tmp_path / "told"
    script(tmp_path / "System32" / "taskkill.exe", f'echo "$@" >{told}; kill -9 "-$4"')
    child = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, start_new_session=True)
    grandchild = int(child.stdout.readline())
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    monkeypatch.setattr(processes.sys, "platform", "win32")
    processes.end_group(child)
    monkeypatch.undo()
    assert child.wait(10) == -9
    assert told.read_text() == f"/T /F /PID {child.pid}\n"
    assert gone(grandchild)
    child.stdout.close()


def test_on_windows_the_child_ends_where_taskkill_is_missing(tmp_path, monkeypatch):
    child = subprocess.Popen(["sleep", "600"])
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    monkeypatch.setattr(processes.sys, "platform", "win32")
    processes.end_group(child)
    monkeypatch.undo()
    assert child.wait(10) == -9


# --- fix


def test_on_windows_no_environment_is_copied_or_changed(monkeypatch):
    check_system()
    monkeypatch.setattr(platforms, "WINDOWS", True)
    with pytest.raises(Cannot, match="never run on Windows"):
        check_system()


@pytest.mark.parametrize("options", [["--suggest", "--verify"], ["--apply", "--yes"], ["--undo", "--yes"]])
def test_on_windows_fix_refuses_before_it_examines_anything(options, tmp_path, monkeypatch, capsys):
    from attn_doctor import cli

    target = script(tmp_path / "python", f"touch {tmp_path}/started")
    monkeypatch.setattr(platforms, "WINDOWS", True)
    assert cli.run(["fix", *options, "--target", str(target)]) == 2
    assert not (tmp_path / "started").exists()
    assert "`attn-doctor fix --suggest` shows the commands" in capsys.readouterr().err


# --- the layout of a Python of Windows


@pytest.mark.parametrize(
    ("python", "prefix", "programs"),
    [
        ("/env/bin/python", "/env", ["/env/bin"]),
        ("/env/Scripts/python.exe", "/env", ["/env/Scripts"]),
        ("/Python311/python.exe", "/Python311", ["/Python311", "/Python311/Scripts"]),
    ],
)
def test_the_folders_of_a_python(python, prefix, programs):
    assert (prefix_of(python), programs_of(python)) == (prefix, programs)


def test_the_extensions_of_windows_are_found_by_their_names(tmp_path):
    site = tmp_path / "site-packages"
    (site / "torchvision").mkdir(parents=True)
    for name in ("flash_attn_2_cuda.cp310-win_amd64.pyd", "flash_attn_2_cuda.cp311-win_amd64.pyd", "torchvision/_C.pyd"):  # fmt: skip
        (site / name).touch()
    assert installed([str(site)], ".cp311-win_amd64.pyd") == {
        "flash_attn_2_cuda": f"{site}/flash_attn_2_cuda.cp311-win_amd64.pyd",
        "torchvision._C": f"{site}/torchvision/_C.pyd",
    }


def test_the_program_that_opens_the_store_is_taken_last(tmp_path):
    store = script(tmp_path / "Microsoft" / "WindowsApps" / "python", "exit 1").parent
    real = script(tmp_path / "real" / "python", "exit 0")
    path = os.pathsep.join([str(store), str(real.parent)])
    assert choose(None, {"PATH": path}, own_prefix=str(tmp_path)).python == str(real)
    assert choose(None, {"PATH": str(store)}, own_prefix=str(tmp_path)).python == str(store / "python")


# --- compilers and toolkits


def studio(tree: Path, name: str, toolset: str | None) -> str:
    place = f"/pf/Microsoft Visual Studio/2022/{name}"
    (tree / place[1:] / "VC/Auxiliary/Build").mkdir(parents=True)
    if toolset:
        (tree / place[1:] / "VC/Auxiliary/Build/Microsoft.VCToolsVersion.default.txt").write_text(f"{toolset}\r\n")
    return place


def test_visual_studio_is_found_by_vswhere_where_cl_is_on_no_path(tmp_path):
    first, broken = studio(tmp_path, "Community", "14.39.33519"), studio(tmp_path, "Preview", None)
    program = tmp_path / "pf/Microsoft Visual Studio/Installer/vswhere.exe"
    script(program, f'echo "$@" >{tmp_path}/asked; printf "%s\\r\\n" "{first}" "{broken}"')
    environ = {"PROGRAMFILES(X86)": "/pf", "PATH": ""}
    found: Toolchain = toolchain(tmp_path, environ)[0]
    cl = f"{first}/VC/Tools/MSVC/14.39.33519/bin/Hostx64/x64/cl.exe"
    assert found.compilers == (Compiler(name="cl", path=cl, version="19.39.33519"),)
    assert (tmp_path / "asked").read_text().startswith("-products * -prerelease -requires Microsoft.VisualStudio.Component.VC.Tools.x86.x64 ")  # fmt: skip
    assert toolchain(tmp_path, environ, ask=False)[0].compilers == ()
    assert toolchain(tmp_path, {"PATH": ""})[0].compilers == ()


def test_the_variables_of_each_cuda_release_name_toolkits_the_newest_first(tmp_path):
    for release in ("v12.4", "v9.2", "v12.10"):
        (tmp_path / "cuda" / release / "include").mkdir(parents=True)
        (tmp_path / "cuda" / release / "include" / "cuda.h").touch()
    environ = {
        "CUDA_PATH_V9_2": "/cuda/v9.2",
        "CUDA_PATH_V12_4": "/cuda/v12.4",
        "CUDA_PATH_V12_10": "/cuda/v12.10",
        "CUDA_PATH": "/cuda/v12.4",
        "CUDA_PATH_V13_0": "/cuda/gone",
    }
    found = toolkits(Root(tmp_path), environ, (), None, None)
    assert [(kit.root, kit.found_by) for kit in found] == [
        ("/cuda/v12.4", ("CUDA_PATH", "CUDA_PATH_V12_4")),
        ("/cuda/v12.10", ("CUDA_PATH_V12_10",)),
        ("/cuda/v9.2", ("CUDA_PATH_V9_2",)),
    ]
    recorded = gather._recorded({**environ, "PATH": "", "CUDAPATH": ""})
    assert recorded == ["CUDA_PATH", "CUDA_PATH_V12_10", "CUDA_PATH_V12_4", "CUDA_PATH_V13_0", "CUDA_PATH_V9_2"]


# --- no call of one system outside of its room

ALONE = ("system", "target", "reproduction/programs")
# Of typeshed's stubs: what `os`, `signal`, `socket`, `select` and `time` have on Linux or macOS and lack on Windows, without constants of flags.
POSIX = {
    "os": "chown chroot fchdir fchmod fchown fork forkpty fpathconf fstatvfs getegid geteuid getgid getgrouplist getgroups getloadavg getpgid getpgrp "
    "getpriority getresgid getresuid getsid getuid getxattr initgroups killpg lchflags lchown listxattr lockf major makedev memfd_create minor mkfifo "
    "mknod nice openpty pathconf pidfd_open pipe2 posix_fadvise posix_fallocate posix_spawn posix_spawnp pread preadv pwrite pwritev readv removexattr "
    "sched_getaffinity sched_setaffinity sched_yield sendfile setegid seteuid setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid "
    "setsid setuid setxattr spawnlp spawnlpe spawnvp spawnvpe statvfs sync sysconf tcgetpgrp tcsetpgrp ttyname uname wait wait3 wait4 waitid WEXITSTATUS "
    "WIFEXITED WIFSIGNALED WNOHANG writev ctermid confstr eventfd splice copy_file_range getrandom O_NOCTTY O_NOFOLLOW O_DIRECTORY O_CLOEXEC O_NONBLOCK",
    "signal": "SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPROF SIGQUIT SIGSTOP SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 "
    "SIGWINCH SIGXCPU SIGXFSZ alarm getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigtimedwait sigwait sigwaitinfo",
    "socket": "AF_UNIX socketpair_unix CMSG_LEN recv_fds send_fds sethostname",
    "select": "poll epoll kqueue",
    "time": "clock_gettime clock_settime tzset pthread_getcpuclockid",
}  # fmt: skip
MODULES = "crypt fcntl grp nis posix pty pwd resource spwd syslog termios tty".split()
ARGUMENTS = ("preexec_fn", "process_group", "user", "group", "extra_groups", "umask")


# A quick look: only a file with such a text is parsed.
NAMED = re.compile(
    rf"\b(?:{'|'.join(POSIX)})\.(?:{'|'.join(' '.join(POSIX.values()).split())})\b"
    rf"|^\s*(?:from|import) .*\b(?:{'|'.join((*MODULES, *POSIX))})\b.*import|^\s*import .*\b(?:{'|'.join(MODULES)})\b|\b(?:{'|'.join(ARGUMENTS)})=",
    re.MULTILINE,
)


def posix_only(text: str) -> list[str]:
    found = []
    if not NAMED.search(text):
        return found
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in POSIX.get(node.value.id, "").split():
                found.append(f"{node.lineno}: {node.value.id}.{node.attr}")
        elif isinstance(node, ast.Import):
            found += [f"{node.lineno}: import {one.name}" for one in node.names if one.name in MODULES]
        elif isinstance(node, ast.ImportFrom):
            names = POSIX.get(node.module or "", "").split()
            found += [f"{node.lineno}: {one.name}" for one in node.names if one.name in names or node.module in MODULES]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("subprocess."):
            found += [f"{node.lineno}: {word.arg}" for word in node.keywords if word.arg in ARGUMENTS]
    return found


def test_the_search_finds_what_is_planted():
    planted = "import os, pwd\nos.geteuid()\nos.pread\nfrom os import fork\nimport subprocess\nsubprocess.run([], preexec_fn=1)\nos.path.join()"
    assert sorted(posix_only(planted)) == ["1: import pwd", "2: os.geteuid", "3: os.pread", "4: fork", "6: preexec_fn"]


def test_no_call_that_windows_lacks_is_outside_of_system():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if not place.startswith(tuple(f"{folder}/" for folder in ALONE)) and place != "fixes/restore.py":
            found += [f"{place}:{one}" for one in posix_only(path.read_text("utf-8"))]
    assert found == []
