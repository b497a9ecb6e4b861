"""Code signatures of files for macOS and Windows: their kind is read, nothing of them is checked, and the screen says so."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest
from macho_files import dylib, fat, signature, thin
from pe_files import dll
from rich.console import Console

from attn_doctor.model.facts import Binary, ChosenPython, Interpreter
from attn_doctor.model.wheel_file import WheelContents
from attn_doctor.probes.binaries import macos, windows
from attn_doctor.probes.binaries.inspection import Place, inspect
from attn_doctor.probes.binaries.macho import MachFile
from attn_doctor.probes.binaries.mapped import DamagedFile, Mapped
from attn_doctor.probes.binaries.pe import Pe
from attn_doctor.report.console import render
from attn_doctor.report.inspection_outline import outline
from attn_doctor.wheels.proof import prove

KINDS = ["none", "ad hoc", "of a certificate"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("machine", ["arm64", "x86_64"])
def test_the_kind_of_a_signature_is_read(kind, machine):
    assert MachFile(Mapped(thin(machine=machine, signed=kind))).slices[machine].signature == kind
    both = MachFile(Mapped(fat(("x86_64", thin(machine="x86_64", signed="none")), ("arm64", thin(signed=kind)))))
    assert {name: code.signature for name, code in both.slices.items()} == {"x86_64": "none", "arm64": kind}


@pytest.mark.parametrize(
    ("at", "number"),
    [(0, 0xFADE0CC1), (8, 65), (28, 0), (12, 7), (16, 0x7FFFFFFF)],
    ids=["mark", "count", "mark of the directory", "no directory", "beyond its end"],
)
def test_a_damaged_signature_ends_in_one_exception(at, number):
    blob = bytearray(signature(with_certificate=True))
    blob[at : at + 4] = struct.pack(">I", number)
    content = thin(signed="of a certificate")
    damaged = content.replace(signature(with_certificate=True), bytes(blob))
    assert damaged != content
    with pytest.raises(DamagedFile):
        _ = MachFile(Mapped(damaged)).slices["arm64"].signature


@pytest.mark.parametrize(
    ("machine", "kind", "verdict"),
    [
        ("arm64", "none", "fails"),
        ("arm64", "ad hoc", "loads"),
        ("arm64", "of a certificate", "loads"),
        ("x86_64", "none", "loads"),
    ],
)
def test_apple_silicon_loads_signed_code_alone(tmp_path, machine, kind, verdict):
    path = dylib(tmp_path / "m.so", exports=["_PyInit_m"], machine=machine, signed=kind)
    found = macos.library(str(path))
    assert (found.verdict, found.signature) == (verdict, kind)
    if verdict == "fails":
        assert found.cause == "signature"
        assert found.because[0].startswith("m.so has no code signature, and Apple silicon runs signed code alone")


def test_a_library_that_the_extension_needs_must_be_signed_too(tmp_path):
    dylib(tmp_path / "own.dylib", exports=["_f"], signed="none")
    path = dylib(tmp_path / "m.so", exports=["_PyInit_m"], loads=[("@loader_path/own.dylib", "needed")], undefined=[("_f", 1)])  # fmt: skip
    found = macos.library(str(path))
    assert (found.verdict, found.cause, found.signature) == ("fails", "signature", "ad hoc")
    assert found.because[0].startswith("own.dylib has no code signature")


@pytest.mark.parametrize("signed", [True, False])
def test_a_signature_of_windows_is_seen_and_never_needed(tmp_path, signed):
    path = dll(tmp_path / "m.pyd", exports={"PyInit_m": None}, signed=signed)
    kind = "of a certificate" if signed else "none"
    assert Pe.open(path).signature == kind
    found = windows.library(str(path), [str(tmp_path)])
    assert (found.verdict, found.signature) == ("loads", kind)


@pytest.mark.parametrize(
    ("kind", "shown", "notice"),
    [
        ("none", "code signature none", "no signature names who built m"),
        ("ad hoc", "code signature names no signer (ad hoc)", "no signature names who built m"),
        ("of a certificate", "code signature of a certificate; not checked", "the code signature of m was not checked"),
        (None, None, None),
    ],
)
def test_the_screen_says_what_was_seen_of_a_signature(kind, shown, notice):
    record = Binary(module="m", path="/w/m.pyd", verdict="loads", needs=(), sm=(), ptx=(), signature=kind)
    file = io.StringIO()
    render(outline(ChosenPython(python="/p", why="x"), [("/w/m.pyd", [record])]), Console(file=file, width=80))
    said = " ".join(file.getvalue().split())
    assert ("code signature" in said) is (shown is not None)
    assert shown is None or shown in said
    wheel = WheelContents(path="m-1-cp311-cp311-win_amd64.whl", size=1, sha256="", unpacked=1, name="m", version="1")
    found = [text for text in prove(wheel, [record], ()).notices if "signature" in text]
    assert found == ([notice] if notice else [])


def test_a_wheel_for_windows_has_it_in_its_record(tmp_path):
    content = dll(tmp_path / "x" / "m.pyd", exports={"PyInit_m": None}).read_bytes()
    path = tmp_path / "m-1-cp311-cp311-win_amd64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m.pyd", content)
    place = Place(Interpreter(python="/p/bin/python", platform="linux-x86_64"), None, ())
    (record,) = inspect([str(path)], place, {}, [str(tmp_path)])
    assert (record.module, record.signature) == ("m", "none")
