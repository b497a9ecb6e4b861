"""Wheels before they are installed, and `attn-doctor inspect` as a whole: judged as files, then really installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from extensions import SUFFIX, build, exports, library, linked, module, really
from wheelhouse import PLATFORM, TAG, pack

from attn_doctor.errors import NoAnswer
from attn_doctor.model.facts import Interpreter, Unknown
from attn_doctor.probes.binaries import read, wheel
from attn_doctor.probes.binaries.inspection import Place, inspect, place_of
from attn_doctor.probes.binaries.mapped import DamagedFile

SPEC = importlib.util.find_spec("torch")
TORCH = str(Path(SPEC.origin).parent) if SPEC and SPEC.origin else None
INTERPRETER = Interpreter(
    python=sys.executable,
    tag=TAG,
    extension_suffix=SUFFIX,
    free_threaded=False,
    site_packages=sysconfig.get_path("purelib"),
)
PLACE = Place(INTERPRETER, TORCH, tuple(p for p in sys.path if p))


def vendored(folder: Path) -> dict[str, Path | bytes]:
    """A package with an extension and a library of its own beside it, as auditwheel arranges them."""
    lib = library(folder / "build" / "probe.libs" / "libprobe-0a1b2c3d.so.1", "of_its_own")
    good = build(
        folder / "build" / "probe" / f"_C{SUFFIX}",
        module("_C", ["of_its_own"]),
        *linked(lib),
        "-Wl,-rpath,$ORIGIN/../probe.libs",
    )
    bad = build(folder / "build" / "probe" / f"bad{SUFFIX}", module("bad", ["of_nobody"]))
    return {
        f"probe/_C{SUFFIX}": good,
        f"probe/bad{SUFFIX}": bad,
        "probe/__init__.py": b"",
        "probe.libs/libprobe-0a1b2c3d.so.1": lib,
    }


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED], ids=["deflated", "stored"])
@pytest.mark.parametrize("large", [False, True])
def test_a_wheel_is_judged_as_it_would_be_once_installed(method, large, tmp_path, monkeypatch):
    if large:
        monkeypatch.setattr(wheel, "_IN_MEMORY", 0)
    path = pack(tmp_path / f"probe-1.0-{TAG}-{TAG}-{PLATFORM}.whl", vendored(tmp_path), method)
    records = {record.module: record for record in inspect([str(path)], PLACE, os.environ)}
    assert {name: (r.verdict, r.cause) for name, r in records.items()} == {
        "probe._C": ("loads", None),
        "probe.bad": ("fails", "symbol"),
    }
    assert records["probe._C"].path == f"{path}/probe/_C{SUFFIX}"
    assert records["probe.bad"].undefined == ("of_nobody",)
    site = tmp_path / "site"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(site)
    jobs = [("import", name, site / "probe" / f"{name}{SUFFIX}") for name in ("_C", "bad")]
    _, (good, bad) = really(jobs, first=None)
    assert good == ""
    assert "of_nobody" in bad


def test_a_library_that_the_wheel_does_not_bring_is_missing(tmp_path):
    files = {name: content for name, content in vendored(tmp_path).items() if ".libs/" not in name}
    path = pack(tmp_path / f"probe-1.0-{TAG}-{TAG}-{PLATFORM}.whl", files)
    record = next(r for r in inspect([str(path)], PLACE, os.environ) if r.module == "probe._C")
    assert (record.verdict, record.cause) == ("fails", "library")
    assert "libprobe-0a1b2c3d.so.1" in record.because[0]


OWN = {
    "names it": (
        b"import ctypes, os\nctypes.CDLL(os.path.join(os.path.dirname(__file__), 'lib', 'libprobe.so'))\n",
        "loads",
    ),
    "names it without its ending": (
        b"import ctypes, os\ndef load(stem):\n    ctypes.CDLL(os.path.join(os.path.dirname(__file__), 'lib', stem + '.so'))\nload('libprobe')\n",
        "loads",
    ),
    "names it by a number": (
        (
            b"import ctypes, os\nfor name in sorted(os.listdir(os.path.join(os.path.dirname(__file__), 'lib')), reverse=True):\n"
            b"    ctypes.CDLL(os.path.join(os.path.dirname(__file__), 'lib', name))\n    break\n"
        ),
        "not known",
    ),
    "does not load it": (b"LIBRARY = 'libprobe.so'\n", "fails"),
}


@pytest.mark.parametrize("case", OWN)
@pytest.mark.parametrize("lacks", [False, True])
def test_a_library_that_its_own_package_loads_first_is_found(case, lacks, tmp_path):
    source, expected = OWN[case]
    lib = library(tmp_path / "build" / "libprobe.so", *(() if lacks else ("of_its_own",)))
    extension = build(tmp_path / "build" / f"_C{SUFFIX}", module("_C", ["of_its_own"]), *linked(lib))
    files: dict[str, Path | bytes] = {
        "probe/__init__.py": source,
        f"probe/lib/_C{SUFFIX}": extension,
        "probe/lib/libprobe.so": lib,
    }
    path = pack(tmp_path / f"probe-1.0-{TAG}-{TAG}-{PLATFORM}.whl", files)
    site = tmp_path / "site"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(site)
    packed = {r.module: r for r in inspect([str(path)], PLACE, os.environ)}["probe.lib._C"]
    (installed,) = read(
        INTERPRETER, str(TORCH), [str(site)], {"probe.lib._C": str(site / "probe" / "lib" / f"_C{SUFFIX}")}, os.environ
    )
    done = subprocess.run(
        [sys.executable, "-c", "import probe, probe.lib._C"],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (expected != "fails" and not lacks), done.stderr
    for record in (packed, installed):
        if lacks or expected == "fails":
            assert record.verdict == "fails", record
            assert ("of_its_own" if expected != "fails" else "libprobe.so") in record.because[0]
        elif expected == "loads":
            assert record.verdict == "loads", record
        else:
            assert isinstance(record.verdict, Unknown), record
            assert "libprobe.so" in record.verdict.why


def test_nothing_of_a_wheel_is_left_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(wheel, "_IN_MEMORY", 0)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    path = pack(tmp_path / f"probe-1.0-{TAG}-{TAG}-{PLATFORM}.whl", vendored(tmp_path))
    assert len(list(inspect([str(path)], PLACE, os.environ))) == 2
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_member_of_a_data_folder_lies_where_the_others_do():
    place = wheel.WheelFile.place
    assert place("probe/_C.so", "/site") == "/site/probe/_C.so"
    assert place("probe-1.0.data/platlib/probe/_C.so", "/site") == "/site/probe/_C.so"
    assert place("probe-1.0.data/scripts/tool", "/site") == "/site/probe-1.0.data/scripts/tool"


def test_a_wheel_without_compiled_code_says_so(tmp_path):
    path = pack(tmp_path / "flash_attn-2.8.3-py3-none-any.whl", {"flash_attn/__init__.py": b""})
    (record,) = inspect([str(path)], PLACE, os.environ)
    assert (record.verdict, record.because) == (None, ("it holds no compiled extension",))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "no readable wheel"), (b"<html>404</html>", "no readable wheel")],
    ids=["empty", "page"],
)
def test_what_is_no_archive_is_damaged(content, words, tmp_path):
    path = tmp_path / f"probe-1.0-{TAG}-{TAG}-{PLATFORM}.whl"
    path.write_bytes(content)
    (record,) = inspect([str(path)], PLACE, os.environ)
    assert (record.verdict, record.cause) == ("fails", "damaged")
    assert words in record.because[0]


def test_a_member_that_was_damaged_on_the_way_is_told(tmp_path):
    path = pack(tmp_path / f"probe-1.0-{TAG}-{TAG}-{PLATFORM}.whl", vendored(tmp_path))
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo(f"probe/_C{SUFFIX}").header_offset + 300
    data = bytearray(path.read_bytes())
    data[at : at + 40] = bytes(40)
    path.write_bytes(data)
    record = next(r for r in inspect([str(path)], PLACE, os.environ) if r.module == "probe._C")
    assert (record.verdict, record.cause) == ("fails", "damaged")
    assert "cannot be unpacked" in record.because[0]


def test_a_wheel_that_is_not_there_has_no_verdict(tmp_path):
    (record,) = inspect([str(tmp_path / "gone-1.0-py3-none-any.whl")], PLACE, os.environ)
    assert isinstance(record.verdict, Unknown)


def test_a_member_that_claims_to_be_enormous_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(wheel, "_LARGEST", 1000)
    path = pack(tmp_path / f"probe-1.0-{TAG}-{TAG}-{PLATFORM}.whl", vendored(tmp_path))
    with wheel.WheelFile(path) as archive, pytest.raises(DamagedFile, match="would unpack to"):
        archive.laid_over("/site")[f"/site/probe/_C{SUFFIX}"]()


CP311 = Interpreter(tag="cp311")


@pytest.mark.parametrize(
    ("name", "interpreter", "glibc", "words"),
    [
        ("a-1-cp311-cp311-manylinux_2_28_x86_64.whl", CP311, "2.28", None),
        ("a-1-cp311-cp311-manylinux_2_28_x86_64.whl", CP311, "2.27", "the target has glibc 2.27"),
        ("a-1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", CP311, "2.17", None),
        ("a-1-cp311-cp311-manylinux1_x86_64.whl", CP311, "2.5", None),
        ("a-1-cp311-cp311-linux_x86_64.whl", CP311, "2.5", None),
        ("a-1-cp310-cp310-linux_x86_64.whl", CP311, "2.36", "its name says cp310-cp310, and the target is cp311"),
        ("a-1-cp312-cp312-linux_x86_64.whl", CP311, "2.36", "cp312-cp312"),
        ("a-1-cp39-abi3-linux_x86_64.whl", CP311, "2.36", None),
        ("a-1-cp312-abi3-linux_x86_64.whl", CP311, "2.36", "cp312-abi3"),
        ("a-1-cp39-abi3-linux_x86_64.whl", Interpreter(tag="cp313t"), "2.36", "the target is cp313t"),
        ("a-1-cp313-cp313t-linux_x86_64.whl", Interpreter(tag="cp313t"), "2.36", None),
        ("a-1-cp313-cp313-linux_x86_64.whl", Interpreter(tag="cp313t"), "2.36", "cp313-cp313"),
        ("a-1-py3-none-any.whl", CP311, "2.36", None),
        ("a-1-py39-none-manylinux_2_28_x86_64.whl", CP311, "2.36", None),
        ("a-1-cp311-cp311-win_amd64.whl", CP311, "2.36", "its name says win_amd64"),
        ("a-1-cp311-cp311-macosx_11_0_arm64.whl", CP311, "2.36", "its name says macosx_11_0_arm64"),
        ("a-1-cp311-cp311-manylinux_2_28_aarch64.whl", CP311, "2.36", "the target is Linux on x86_64"),
        ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", CP311, "2.36", "the target's C library is glibc 2.36"),
        ("a-1-cp311-cp311-manylinux_2_28_x86_64.whl", CP311, None, "the target's C library is not glibc"),
        ("a.whl", CP311, "2.36", "its name is not the name of a wheel"),
        ("a-1-cp310-cp310-linux_x86_64.whl", Interpreter(tag="pp310"), "2.36", None),
        ("a-1-cp310-cp310-linux_x86_64.whl", Interpreter(), "2.36", None),
    ],
)
def test_tags_are_held_against_the_target(name, interpreter, glibc, words):
    said = wheel.refused(name, interpreter, "x86-64", glibc)
    assert (said is None) if words is None else (words in said)


def test_a_wheel_for_another_python_fails_whatever_is_in_it(tmp_path):
    path = pack(tmp_path / f"probe-1.0-cp27-cp27mu-{PLATFORM}.whl", vendored(tmp_path))
    records = list(inspect([str(path)], PLACE, os.environ))
    assert {(r.verdict, r.cause) for r in records} == {("fails", "wheel-tag")}
    assert "cp27-cp27mu" in records[0].because[0]


def test_the_target_is_asked_what_it_is():
    place = place_of(sys.executable, os.environ)
    assert place.interpreter.extension_suffix == SUFFIX
    assert place.torch == TORCH
    assert sysconfig.get_path("purelib") in place.path


def test_a_target_that_is_no_python_is_refused(tmp_path):
    with pytest.raises(NoAnswer):
        place_of(str(tmp_path / "gone"), os.environ)
    with pytest.raises(NoAnswer):
        place_of("/bin/true", os.environ)


RUN = (
    "import argparse, sys\n"
    "from attn_doctor.cli import inspect\n"
    "parser = argparse.ArgumentParser()\n"
    "inspect.register(parser.add_subparsers(), argparse.HelpFormatter)\n"
    "arguments = parser.parse_args(['inspect', *sys.argv[1:]])\n"
    "sys.exit(arguments.execute(arguments))\n"
)


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, *argv, "--target", sys.executable]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    cudart = library(folder / "build" / "libcudart.so.11.0", "cudaMalloc")
    return {
        "good": build(folder / f"good{SUFFIX}", module("good")),
        "bad": build(folder / f"bad{SUFFIX}", module("bad", ["_ZN3c104cuda9SetDeviceEi", "cudaMalloc"])),
        "missing": build(folder / f"missing{SUFFIX}", module("missing", ["cudaMalloc"]), *linked(cudart)),
        "library": build(folder / "plain.so", exports("f")),
    }


def test_the_command_answers_in_json(files):
    done = run(str(files["good"]), str(files["bad"]), str(files["missing"]), "--json", "-")
    assert (done.returncode, done.stderr) == (1, "")
    answer = json.loads(done.stdout)
    good, bad, missing = answer["files"]
    assert set(good) >= {"path", "verdict", "missing", "undefined", "needs", "gpu_code", "because"}
    assert (good["verdict"], good["because"], good["missing"], good["undefined"]) == ("loads", [], [], [])
    assert bad["verdict"] == "fails"
    assert {"symbol": "_ZN3c104cuda9SetDeviceEi", "name": "c10::cuda::SetDevice(int)"} in bad["undefined"]
    assert bad["built_for_torch"] == "torch 2.1 to 2.2"
    assert missing["missing"] == [{"library": "libcudart.so.11.0", "package": "nvidia-cuda-runtime-cu11"}]
    assert missing["undefined"] == []
    assert answer["target"]["torch"] == TORCH


def test_the_command_answers_a_person(files):
    done = run(str(files["missing"]), "--gpu", "8.9")
    assert done.returncode == 1
    assert "would not load" in done.stdout
    assert (
        "libcudart.so.11.0 is in none of the folders that the loader searches; nvidia-cuda-runtime-cu11 has it"
        in done.stdout
    )
    assert "  contains no GPU code\n" in done.stdout
    assert "8.9" not in done.stdout
    assert "\x1b" not in done.stdout


def test_exit_codes(files, tmp_path):
    assert run(str(files["good"])).returncode == 0
    assert run(str(files["library"])).returncode == 0
    assert run(str(files["good"]), str(files["bad"])).returncode == 1
    argv = [sys.executable, "-m", "attn_doctor", "inspect", str(tmp_path / "gone.so"), "--target", sys.executable]
    assert subprocess.run(argv, capture_output=True, check=False, timeout=60).returncode == 2
    assert run(str(files["good"]), "--gpu", "eight").returncode == 2


def test_json_goes_to_a_file_beside_the_text(files, tmp_path):
    target = tmp_path / "answer.json"
    done = run(str(files["good"]), "--json", str(target))
    assert "would load" in done.stdout
    assert json.loads(target.read_text())["files"][0]["module"] == "good"
