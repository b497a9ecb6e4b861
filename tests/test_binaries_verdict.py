"""What is predicted from files alone agrees with what really happens: each extension is judged, then loaded in a child.

The torch is the one that is installed beside the tests, whatever its version and flavour.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys

import pytest
from extensions import SUFFIX, library, linked, really
from pairs import C10, INTERPRETER, PAIRS, SPEC, TORCH, Pair, judged, of_c10, plain, strings_are_new, written

from attn_doctor.model.facts import Binary, Interpreter, Unknown
from attn_doctor.probes.binaries import read

pytestmark = pytest.mark.skipif(SPEC is None, reason="no torch beside the tests")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, tuple[Binary, str]]:
    """Each pair by its name: what was predicted, and what loading it really ended in ("" for success).

    Two processes import torch: one as it is, one with what all those pairs want that change the environment.
    """
    made = {name: (pair, tmp_path_factory.mktemp("pair")) for name, pair in PAIRS.items()}
    paths = {name: pair.make(folder) for name, (pair, folder) in made.items()}
    changed: dict[str, str] = {}
    for pair, folder in made.values():
        for variable, value in (pair.environ(folder) if pair.environ else {}).items():
            changed[variable] = ":".join(filter(None, [changed.get(variable), value]))
    found = {}
    for environ in ({}, changed):
        names = [name for name, pair in PAIRS.items() if bool(pair.environ) == bool(environ)]
        started, answers = really([(PAIRS[n].how, PAIRS[n].name, paths[n]) for n in names], environ=environ)
        assert started == ""
        for name, said in zip(names, answers, strict=True):
            found[name] = judged(PAIRS[name], paths[name], environ), said
    return found


@pytest.mark.parametrize("name", PAIRS)
def test_the_prediction_agrees_with_the_real_import(name, outcomes):
    pair = PAIRS[name]
    binary, said = outcomes[name]
    assert (binary.verdict == "loads") == (said == ""), (binary, said)
    assert binary.cause == pair.cause, (binary, said)
    assert (pair.first in said) if pair.cause else (said == ""), said
    if pair.cause:
        assert binary.because, binary
    if isinstance(binary.undefined, tuple) and binary.undefined:
        assert binary.undefined[0] in said, "the symbol that the loader names is named first"


def test_nothing_was_left_out(outcomes):
    loads = [binary.verdict == "loads" for binary, _ in outcomes.values()]
    assert len(loads) >= 40
    assert 15 <= sum(loads) <= len(loads) - 15, "good and bad ones in good measure"


def test_where_each_library_comes_from_is_told(outcomes):
    binary, _ = outcomes["symbols of libc10"]
    places = {need.name: need.found for need in binary.needs}
    assert places["libc10.so"] == str(C10)
    assert places["libc.so.6"].endswith("/libc.so.6")
    missing = next(n for n in outcomes["a CUDA runtime that nobody has"][0].needs if n.name.startswith("libcudart"))
    assert missing.found is None


def test_what_the_file_says_of_itself_is_told(outcomes):
    binary, _ = outcomes["the other strings"]
    assert binary.cxx11_abi is not strings_are_new()
    newer, _ = outcomes["a newer C library"]
    assert newer.glibc == "2.99"
    assert (newer.sm, newer.ptx) == ((), ())
    assert isinstance(outcomes["cut where it does not matter"][0].sm, Unknown)


def test_undefined_symbols_are_not_listed_where_a_library_is_missing(outcomes):
    assert isinstance(outcomes["RUNPATH is not inherited"][0].undefined, Unknown)


def test_a_file_that_is_not_there_has_no_verdict(tmp_path):
    (binary,) = read(INTERPRETER, str(TORCH), [], {"probe": str(tmp_path / "gone.so")}, {})
    assert isinstance(binary.verdict, Unknown)
    assert "gone.so" in binary.verdict.why


def test_torch_itself_is_judged_and_imports(tmp_path):
    core = TORCH / f"_C{SUFFIX}"
    (binary,) = read(INTERPRETER, str(TORCH), [str(TORCH.parent)], {"torch._C": str(core)}, os.environ)
    assert binary.verdict == "loads"
    assert {n.name: n.found for n in binary.needs}["libtorch_python.so"] == str(TORCH / "lib" / "libtorch_python.so")


def test_a_torch_that_lost_a_library_fails_and_takes_its_extensions_with_it(tmp_path):
    site = tmp_path / "site"
    for path in sorted(TORCH.rglob("*")):
        here = site / "torch" / path.relative_to(TORCH)
        if path.parent == TORCH / "lib" or (path.parent == TORCH and path.suffix in (".py", ".so")):
            here.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file() and path.name != "libtorch_cpu.so":
                here.symlink_to(path)
    extension = plain(tmp_path, *linked(C10), asks=[of_c10("_ZN3c10", b"Warn")])
    core = site / "torch" / f"_C{SUFFIX}"
    environ = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    wanted = {"torch._C": str(core), "probe": str(extension)}
    torch, probe = read(INTERPRETER, str(site / "torch"), [str(site)], wanted, environ)
    started, (said,) = really([("load", "torch._C", core)], first=None)
    assert started == ""
    assert "libtorch_cpu.so" in said
    assert (torch.verdict, torch.cause) == ("fails", "torch-missing")
    assert "libtorch_cpu.so" in torch.because[0]
    assert (probe.verdict, probe.cause) == ("fails", "torch")

    # Its list of libraries is read last: the loader of glibc would stop before it, at torch.
    damaged = bytearray(extension.read_bytes())
    at, size, count = struct.unpack_from("<Q", damaged, 32)[0], *struct.unpack_from("<HH", damaged, 54)
    for number in range(count):
        if struct.unpack_from("<I", damaged, at + number * size)[0] == 2:  # PT_DYNAMIC
            struct.pack_into("<Q", damaged, at + number * size + 8, 1 << 40)
    extension.write_bytes(damaged)
    _, probe = read(INTERPRETER, str(site / "torch"), [str(site)], wanted, environ)
    assert (probe.verdict, probe.cause) == ("fails", "damaged")
    assert "bytes after its end" in probe.because[0]


def test_without_torch_its_libraries_are_missing(tmp_path):
    path = plain(tmp_path, *linked(C10))
    (binary,) = read(INTERPRETER, None, [], {"probe": str(path)}, {})
    assert (binary.verdict, binary.cause) == ("fails", "torch-missing")
    assert "no torch" in binary.because[0]


def test_without_the_interpreter_pythons_own_symbols_are_taken_on_trust(tmp_path):
    path = plain(tmp_path)
    nowhere = Interpreter(python=str(tmp_path / "gone" / "python"), extension_suffix=SUFFIX)
    (binary,) = read(nowhere, None, [], {"probe": str(path)}, {})
    assert binary.verdict == "loads"


def test_a_script_that_starts_python_is_not_taken_for_it(tmp_path):
    """What pyenv puts on PATH: the program behind it is found by its prefix."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexec true\n")
    told = Interpreter(
        python=str(script),
        version=".".join(map(str, sys.version_info[:3])),
        prefix=sys.prefix,
        base_prefix=sys.base_prefix,
        extension_suffix=SUFFIX,
    )
    path = plain(tmp_path, asks=["_PyEval_OfAnotherDay"])
    (binary,) = read(told, None, [], {"probe": str(path)}, {})
    assert binary.cause == "python-abi", "Python's own symbols were looked up"


def test_on_a_mac_a_file_of_linux_is_for_another_machine(tmp_path):
    told = Interpreter(python=sys.executable, extension_suffix=SUFFIX, platform="macosx-14.0-arm64")
    (binary,) = read(told, None, [], {"probe": str(plain(tmp_path))}, {})
    assert (binary.verdict, binary.cause, binary.because) == ("fails", "machine", ("it is a file of Linux, not of macOS",))  # fmt: skip


def test_other_systems_are_not_judged(tmp_path):
    told = Interpreter(python=sys.executable, extension_suffix=SUFFIX, platform="freebsd-14.1-release-amd64")
    (binary,) = read(told, None, [], {"probe": str(plain(tmp_path))}, {})
    assert isinstance(binary.verdict, Unknown)
    assert (binary.cause, binary.because, binary.sm) == (Unknown("not recorded"), (), ())


def test_a_target_with_musl_is_not_judged(tmp_path):
    program = tmp_path / "python"
    source = "int main(void) { return 0; }"
    command = ["gcc", "-x", "c", "-", "-o", str(program), "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"]
    subprocess.run(command, input=source, text=True, check=True)
    told = Interpreter(python=str(program), extension_suffix=SUFFIX)
    (binary,) = read(told, None, [], {"probe": str(plain(tmp_path))}, {})
    assert "musl" in binary.verdict.why


def test_files_of_other_systems_are_for_another_machine(tmp_path):
    path = written(b"MZ\x90\x00" + bytes(100))(tmp_path)
    (binary,) = read(INTERPRETER, None, [], {"probe": str(path)}, {})
    assert (binary.verdict, binary.cause) == ("fails", "machine")
    assert "a Windows file" in binary.because[0]


def test_what_is_no_plain_file_is_not_waited_for(tmp_path):
    pipe = tmp_path / "probe.so"
    os.mkfifo(pipe)
    (binary,) = read(INTERPRETER, None, [], {"probe": str(pipe)}, {})
    assert (binary.verdict, binary.cause) == ("fails", "damaged")


def test_folders_that_may_not_be_entered_or_cannot_be_are_passed_over(tmp_path):
    path = plain(tmp_path, *linked(library(tmp_path / "b" / "libprobe_n.so", "f")))
    environ = {"LD_LIBRARY_PATH": f"/proc/1/root:{'x' * 5000}:{tmp_path}/b"}
    (binary,) = read(INTERPRETER, None, [], {"probe": str(path)}, environ)
    assert binary.verdict == "loads"


def test_a_failed_attempt_leaves_nothing_behind(tmp_path):
    """One extension maps a library under a name of its own and then fails; the next must not find that name."""
    lib = library(tmp_path / "own" / "libprobe_s.so", "f")
    first = plain(tmp_path / "1", *linked(lib), f"-Wl,-rpath,{tmp_path}/own", asks=["f", "of_nobody"])
    second = plain(tmp_path / "2", *linked(lib), asks=["f"])
    records = read(INTERPRETER, None, [], {"a.probe": str(first), "b.probe": str(second)}, {})
    assert [r.cause for r in records] == ["symbol", "library"]


def test_a_copied_tree_is_judged_by_its_own_files(tmp_path):
    """Everything under a folder that stands for a machine: nothing of this one is looked at."""
    from attn_doctor.probes.root import Root

    root = tmp_path / "machine"
    needed = library(root / "opt" / "lib" / "libprobe_r.so", "from_r")
    path = plain(root / "site", *linked(needed), "-Wl,-rpath,/opt/lib", asks=["from_r"])
    library_of_c = next(n.found for n in judged(Pair(plain), path, {}).needs if n.name == "libc.so.6")
    (root / "lib64").mkdir()
    shutil.copy(library_of_c, root / "lib64" / "libc.so.6")
    away = Interpreter(python="/usr/bin/python-of-elsewhere", extension_suffix=SUFFIX)
    (binary,) = read(away, None, [], {"probe": f"/site/{path.name}"}, {}, root=Root(root))
    places = {need.name: need.found for need in binary.needs}
    assert places["libprobe_r.so"] == "/opt/lib/libprobe_r.so"
    assert binary.verdict == "loads", binary
