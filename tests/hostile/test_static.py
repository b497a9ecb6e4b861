"""--static reads files only: no code of the target and no tool runs, and nothing of them can end it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from targets import add_metadata, make_target, site_packages

from attn_doctor.errors import NoAnswer
from attn_doctor.examination import Options, examine, facts_of
from attn_doctor.model.facts import NOT_ASKED, ChosenPython, Unknown
from attn_doctor.probes.ask import STATIC_SCRIPTS
from attn_doctor.probes.gather import GatherRequest, gather
from attn_doctor.probes.graphics import graphics
from attn_doctor.probes.toolchain import toolchain
from attn_doctor.report.outline import outline

TOOLS = (
    "nvcc gcc g++ c++ cc clang clang++ cmake git ninja nvidia-smi systemctl rocminfo ldconfig ld sysctl lspci uname cc1plus "
    "python python3 pip uv conda"
).split()
# How code that runs at the start of a Python ends it.
ENDS = {
    "exits": "import os\nos._exit(0)\n",
    "exits with 3": "import sys\nsys.exit(3)\n",
    "hangs": "import time\ntime.sleep(1000)\n",
    "segfaults": "import ctypes\nctypes.string_at(0)\n",
    "closes the streams": "import os\nfor n in (0, 1, 2): os.close(n)\n",
    "aborts": "import os\nos.abort()\n",
    "floods": "print('x' * 100000)\nraise SystemExit\n",
}


def writes(marker: Path, name: str) -> str:
    return f"with open({str(marker)!r}, 'a') as f: f.write({name!r} + '\\n')\n"


@pytest.fixture
def target(tmp_path):
    """A target with code at every place where a Python runs some at its start."""
    marker = tmp_path / "was-run"
    marker.write_text("")
    python = make_target(tmp_path / "env", {"numpy": {"__init__.py": writes(marker, "numpy")}})
    site = site_packages(tmp_path / "env")
    for name in ("sitecustomize", "usercustomize", "started", "torch"):
        (site / f"{name}.py").write_text(writes(marker, name))
    (site / "a.pth").write_text("import started\n")
    (site / "b.pth").write_text("import\tstarted; started\n")
    (site / "c.pth").write_text("import os; exec(open(os.devnull).read())\n")
    return python, marker


def test_nothing_of_the_target_and_no_tool_is_run(target, tmp_path, monkeypatch):
    python, marker = target
    shadow = tmp_path / "on-python-path"
    shadow.mkdir()
    for name in ("json", "site", "sitecustomize", "encodings", "sysconfig", "ast"):
        (shadow / f"{name}.py").write_text(writes(marker, f"PYTHONPATH {name}"))
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).write_text(f"#!/bin/sh\necho {name} >> {marker}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(shadow))
    monkeypatch.setenv("CC", str(tools / "gcc"))
    report = examine(Options(target=str(python), static=True))
    assert marker.read_text() == ""
    assert report.facts.grade == "static"
    assert report.facts.interpreter.version == sys.version.split()[0]
    tools_seen = report.facts.toolchain
    assert {c.name for c in tools_seen.compilers} >= {"gcc", "g++", "clang"}
    unread = [*(c.version for c in tools_seen.compilers), tools_seen.ninja, tools_seen.cmake, tools_seen.git]
    assert all(isinstance(value, Unknown) and value.why == NOT_ASKED for value in unread)
    assert len(TOOLS) == 24


def test_the_report_says_in_one_line_what_was_not_asked(target):
    python, _ = target
    blocks = outline(examine(Options(target=str(python), static=True)))
    notes = next(block for block in blocks if getattr(block, "title", None) == "Not read")
    assert notes.items[-1].endswith("the import lines of a.pth, b.pth, c.pth")
    assert not any(
        getattr(b, "title", None) == "Not read"
        for b in outline(examine(Options(facts=None, target=str(python), trial=False)))
    )


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("where", ["sitecustomize.py", "z.pth"])
def test_code_that_ends_every_python_of_the_target_does_not_end_static(tmp_path, how, where):
    python = make_target(
        tmp_path / "env", {"torch": {"__init__.py": "", "version.py": "__version__ = '2.6.0+cu124'\n"}}
    )
    add_metadata(tmp_path / "env", "torch", "2.6.0+cu124")
    text = ENDS[how]
    (site_packages(tmp_path / "env") / where).write_text(
        text if where.endswith(".py") else f"import os; exec({text!r})\n"
    )
    facts = gather(GatherRequest(ChosenPython(str(python), "a test"), os.environ, static=True, tools=False, timeout=60))
    assert facts.torch.version == "2.6.0+cu124"
    assert facts.interpreter.prefix == str(tmp_path / "env")


def test_a_target_that_does_not_start_is_still_no_answer(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 7\n")
    python.chmod(0o755)
    with pytest.raises(NoAnswer, match="exit code 7"):
        facts_of(Options(target=str(python), static=True))
    argv = [sys.executable, "-m", "attn_doctor", "check", "--static", "--target", str(python)]
    assert subprocess.run(argv, capture_output=True).returncode == 3


def real_path(python: Path, environ: dict[str, str]) -> list[str]:
    code = "import sys, json; print(json.dumps([p for p in sys.path if p]))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, env=environ, cwd="/")
    return json.loads(done.stdout.splitlines()[-1])


def worked_out(python: Path, environ: dict[str, str], monkeypatch) -> list[str]:
    from attn_doctor import child

    for name in ("PYTHONPATH", "PYTHONUSERBASE", "PYTHONNOUSERSITE"):
        monkeypatch.delenv(name, raising=False)
        if name in environ:
            monkeypatch.setenv(name, environ[name])
    config = {"ask": ["path"], "watched": ["numpy"], "here": None, "python": str(python)}
    return child.run([str(python), "-E", "-s", "-S"], STATIC_SCRIPTS, config=config).facts("path")[0]


def environments(tmp_path: Path):
    """(name, Python, environment): each a place from which entries of sys.path come."""
    plain = make_target(tmp_path / "plain")
    site = site_packages(tmp_path / "plain")
    for name in ("one", "two", "elsewhere"):
        (tmp_path / name).mkdir()
    (site / "here").mkdir()
    lines = ["# a comment", "", "here", "here", "gone", str(tmp_path / "one"), "../../../../two  "]
    (site / "z.pth").write_text("\n".join(lines) + "\n")
    (site / ".hidden.pth").write_text(f"{tmp_path / 'elsewhere'}\n")
    base = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    user = tmp_path / "user"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (user / "lib" / version / "site-packages").mkdir(parents=True)
    (user / "lib" / version / "site-packages" / "u.pth").write_text(f"{tmp_path / 'two'}\n")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", tmp_path / "over"], check=True
    )
    over = tmp_path / "over" / "bin" / "python"
    itself = Path(sys.base_prefix) / "bin" / version
    several = os.pathsep.join([str(tmp_path / "one"), "", str(site), str(tmp_path / "one")])
    yield "a virtual environment with path lines", plain, base
    yield "PYTHONPATH", plain, {**base, "PYTHONPATH": several.replace(os.pathsep * 2, os.pathsep)}
    yield "user site in a closed environment", plain, {**base, "PYTHONUSERBASE": str(user)}
    yield "system-site-packages", over, base
    yield "system-site-packages and a user site", over, {**base, "PYTHONUSERBASE": str(user)}
    yield "a user site that is off", over, {**base, "PYTHONUSERBASE": str(user), "PYTHONNOUSERSITE": "1"}
    yield "the interpreter itself", itself, {**base, "PYTHONUSERBASE": str(user)}


def test_the_path_that_is_worked_out_is_the_real_one(tmp_path, monkeypatch):
    seen = 0
    for name, python, environ in environments(tmp_path):
        if python.exists():
            real = [p for p in real_path(python, environ) if "__editable__" not in p]
            assert worked_out(python, environ, monkeypatch) == real, name
            seen += 1
    assert seen >= 6


def test_an_editable_install_is_found_by_the_table_of_its_finder(tmp_path):
    python = make_target(tmp_path / "env")
    site = site_packages(tmp_path / "env")
    source = tmp_path / "yolov12" / "ultralytics"
    (source / "nn" / "modules").mkdir(parents=True)
    (source / "__init__.py").write_text("__version__ = '8.3.63'\n")
    add_metadata(tmp_path / "env", "ultralytics", "8.3.63")
    finder = "__editable___ultralytics_8_3_63_finder"
    (site / "__editable__.ultralytics-8.3.63.pth").write_text(f"import {finder}; {finder}.install()\n")
    (site / f"{finder}.py").write_text(
        f"from __future__ import annotations\nMAPPING: dict[str, str] = {{'ultralytics': {str(source)!r}}}\nNAMESPACES = {{}}\n"
    )
    request = GatherRequest(ChosenPython(str(python), "a test"), os.environ, static=True, tools=False)
    assert gather(request).yolo.location == str(source)
    (site / f"{finder}.py").write_text("MAPPING = dict(ultralytics=1)\n")
    assert isinstance(gather(request).yolo.version, Unknown)


def tree_with(tmp_path: Path, files: dict[str, str]) -> Path:
    root = tmp_path / "root"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        if name.endswith("/nvcc"):
            (root / name).chmod(0o755)
    return root


@pytest.mark.parametrize(
    ("file", "text", "version"),
    [
        ("version.json", '{"cuda": {"name": "CUDA SDK", "version": "12.8.1"}}', "12.8"),
        ("version.txt", "CUDA Version 10.2.89\n", "10.2"),
        ("include/cuda.h", "#define __cuda_cuda_h__\n#define CUDA_VERSION 12040\n", "12.4"),
        ("targets/x86_64-linux/include/cuda.h", "#define CUDA_VERSION 13010\n", "13.1"),
        ("include/cuda.h", "#define CUDA_VERSION 9020\n", "9.2"),
    ],
)
def test_the_version_of_cuda_comes_from_its_files(tmp_path, file, text, version):
    marker = tmp_path / "was-run"
    nvcc = f"#!/bin/sh\necho run >> {marker}\necho 'release 1.0, V1.0.1'\n"
    root = tree_with(tmp_path, {f"usr/local/cuda/{file}": text, "usr/local/cuda/bin/nvcc": nvcc})
    record, _ = toolchain(root, {"PATH": "/usr/local/cuda/bin"}, ask=False)
    assert [kit.version for kit in record.toolkits] == [version]
    assert not marker.exists()


def test_the_driver_and_its_gpus_come_from_proc(tmp_path):
    information = (
        "Model: \t\t NVIDIA RTX A6000\nIRQ:   \t\t 97\nGPU UUID: \t GPU-11111111-2222-3333-4444-555555555555\n"
    )
    banner = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\n"
    files = {
        "proc/driver/nvidia/version": banner,
        "proc/driver/nvidia/gpus/0000:01:00.0/information": information,
        "proc/driver/nvidia/gpus/0000:02:00.0/information": information.replace("A6000", "A5000"),
        "sys/module/nvidia/refcnt": "1",
    }
    record, sources = graphics(tree_with(tmp_path, files), {}, ask=False)
    assert (record.driver, record.kernel_module) == ("550.54.14", "550.54.14")
    assert [gpu.name for gpu in record.gpus] == ["NVIDIA RTX A6000", "NVIDIA RTX A5000"]
    assert isinstance(record.gpus[0].compute_capability, Unknown)
    assert isinstance(record.driver_cuda, Unknown)
    assert sources["driver"] == "the kernel module"
