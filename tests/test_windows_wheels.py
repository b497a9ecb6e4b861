"""Wheels for Windows: judged as if they were installed, with their own libraries and those of named folders."""

from __future__ import annotations

import json
import ntpath
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pe_files import dll

from attn_doctor.model.facts import Interpreter, Unknown
from attn_doctor.probes.binaries import wheel, windows
from attn_doctor.probes.binaries.inspection import Place, inspect

# --- wheels

PLACE = Place(
    Interpreter(python="/usr/bin/python3", tag="cp311", platform="linux-x86_64", extension_suffix=".so"), None, ()
)


def packed(tmp_path: Path, name: str, files: dict[str, Path]) -> Path:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for member, content in files.items():
            archive.write(content, member)
    return tmp_path / name


@pytest.fixture
def made(tmp_path):
    one = tmp_path / "made"
    return {
        "module": dll(one / "_C.pyd", {"own-0a1b.dll": ["f"], "c10.dll": ["g"]}, {"PyInit__C": None}),
        "own": dll(one / "own-0a1b.dll", exports={"f": None}),
        "c10": dll(tmp_path / "torch" / "c10.dll", exports={"g": None}),
        "tool": dll(one / "tool.dll", {"gone.dll": ["f"]}),
    }


def test_a_wheel_finds_its_own_libraries_and_those_beside(tmp_path, made):
    path = packed(tmp_path, "p-1-cp311-cp311-win_amd64.whl", {"p/_C.cp311-win_amd64.pyd": made["module"], "p.libs/own-0a1b.dll": made["own"], "p/tool.dll": made["tool"]})  # fmt: skip
    (found,) = inspect([str(path)], PLACE, {}, [str(tmp_path / "torch")])
    assert (found.module, found.verdict) == ("p._C", "loads")
    (found,) = inspect([str(path)], PLACE, {}, [str(tmp_path / "nothing")])
    assert (found.verdict, found.cause) == ("fails", "torch-missing")


def test_a_wheel_without_modules_is_judged_by_the_libraries_that_nothing_else_loads(tmp_path, made):
    path = packed(tmp_path, "b-1-py3-none-win_amd64.whl", {"b/tool.dll": made["tool"], "b/own-0a1b.dll": made["own"]})
    found = {one.module: one.verdict for one in inspect([str(path)], PLACE, {}, [str(tmp_path)])}
    assert found == {"b.tool": "fails", "b.own-0a1b": "loads"}


def test_a_target_on_linux_refuses_it_unless_folders_of_windows_are_named(tmp_path, made):
    path = packed(tmp_path, "p-1-cp311-cp311-win_amd64.whl", {"p/_C.pyd": made["module"]})
    (found,) = inspect([str(path)], PLACE, {})
    assert (found.verdict, found.cause) == ("fails", "wheel-tag")


def test_a_library_without_the_folders_of_its_libraries_is_not_judged(tmp_path, made):
    (found,) = inspect([str(made["module"])], PLACE, {})
    assert found.verdict == Unknown(
        "it is a file of Windows, and the folders of its libraries were not named (--beside FOLDER)"
    )
    (found,) = inspect([str(made["module"])], PLACE, {}, [str(tmp_path / "torch")])
    assert found.verdict == "loads"


def test_what_is_no_archive(tmp_path):
    path = tmp_path / "p-1-cp311-cp311-win_amd64.whl"
    path.write_bytes(b"no archive")
    (found,) = inspect([str(path)], PLACE, {}, [str(tmp_path)])
    assert (found.verdict, found.cause) == ("fails", "damaged")
    (gone,) = inspect([str(tmp_path / "gone-1-cp311-cp311-win_amd64.whl")], PLACE, {}, [str(tmp_path)])
    assert isinstance(gone.verdict, Unknown)


@pytest.mark.parametrize(
    ("name", "tag", "platform", "refused"),
    [
        ("p-1-cp311-cp311-win_amd64.whl", "cp311", "win-amd64", False),
        ("p-1-py3-none-any.whl", "cp311", "win-amd64", False),
        ("p-1-cp39-abi3-win_amd64.whl", "cp312", "win-amd64", False),
        ("p-1-cp310-cp310-win_amd64.whl", "cp311", "win-amd64", True),
        ("p-1-cp311-cp311-win_arm64.whl", "cp311", "win-amd64", True),
        ("p-1-cp311-cp311-win_amd64.whl", "cp311", "win32", True),
        ("p-1-cp313-cp313-win_amd64.whl", "cp313t", "win-amd64", True),
        ("p.whl", "cp311", "win-amd64", True),
    ],
)
def test_which_wheels_an_installer_on_windows_takes(name, tag, platform, refused):
    assert (wheel.refused_on_windows(name, Interpreter(tag=tag, platform=platform)) is not None) is refused


def test_the_folders_of_a_python_on_windows():
    found = windows.folders_of(r"C:\p\.venv\Scripts\python.exe", r"C:\Py311", r"C:\p\.venv\Lib\site-packages\torch", {"SYSTEMROOT": r"D:\W", "CUDA_PATH": r"C:\cuda"})  # fmt: skip
    assert found == (
        r"C:\p\.venv\Lib\site-packages\torch\lib",
        r"C:\Py311\Library\bin",
        r"C:\p\.venv\Scripts",
        r"C:\Py311",
        r"C:\Py311\DLLs",
        r"D:\W\System32",
    )


@pytest.mark.parametrize(
    ("cuda", "environ", "toolkit"),
    [
        (
            "'12.6'",
            {"CUDA_PATH_V12_6": r"D:\c126", "CUDA_PATH": r"D:\other", "CUDA_PATH_V12_8": r"D:\c128"},
            r"D:\c126\bin",
        ),
        ("'12.6'", {"CUDA_PATH": r"D:\other"}, r"C:\Program Files\NVIDIA GPU Computing Toolkit\CUDA\v12.6\bin"),
        ("'13.0'", {"PROGRAMFILES": r"E:\P"}, r"E:\P\NVIDIA GPU Computing Toolkit\CUDA\v13.0\bin"),
        ("None", {"CUDA_PATH": r"D:\other"}, None),
    ],
)
def test_a_torch_without_its_own_cudart_searches_the_toolkit_of_its_cuda(tmp_path, cuda, environ, toolkit):
    """As torch/__init__.py does it (2.15)."""
    torch = str(tmp_path / "torch")
    Path(ntpath.join(torch, "lib")).mkdir(parents=True)
    Path(ntpath.join(torch, "version.py")).write_text(f"__version__ = '2.9.0'\ncuda: object = {cuda}\n")
    found = windows.folders_of(r"C:\Py311\python.exe", None, torch, environ)
    assert [folder for folder in found if "other" in folder or "c12" in folder or "Toolkit" in folder] == (
        [toolkit] if toolkit else []
    )
    Path(ntpath.join(torch, "lib"), "cudart64_12.dll").touch()
    assert toolkit not in windows.folders_of(r"C:\Py311\python.exe", None, torch, environ)


def test_the_command(tmp_path, made):
    path = packed(
        tmp_path, "p-1-cp311-cp311-win_amd64.whl", {"p/_C.pyd": made["module"], "p/own-0a1b.dll": made["own"]}
    )
    argv = [
        sys.executable,
        "-m",
        "attn_doctor",
        "inspect",
        "--beside",
        str(tmp_path / "torch"),
        str(path),
        "--json",
        "-",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["files"][0]["verdict"]) == (0, "loads"), done.stderr
    argv[5] = str(tmp_path / "nothing")
    assert subprocess.run(argv, capture_output=True, text=True, check=False).returncode == 1
