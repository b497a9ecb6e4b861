"""Kinds of which nothing was said: what their rules tell apart, and their cures on machines that no log of fixtures/ names."""

from __future__ import annotations

import pytest
from environment_logs import facts_of
from one_rule import told
from whole_machines import RTX_4090, changed

from attn_doctor.commands import shown
from attn_doctor.failure_modes import find
from attn_doctor.failure_modes.importing.shared_library_missing import Missing
from attn_doctor.failure_modes.importing.torchvision_mismatch import WithoutImages
from attn_doctor.failure_modes.install.pipenv_cannot_lock import Asked
from attn_doctor.failure_modes.install.setup_older_than_setuptools import Uses
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.model_code.onnx_opset import Opset
from attn_doctor.failure_modes.platform.text_encoding import Wrong
from attn_doctor.failure_modes.shared import system_libraries
from attn_doctor.model.facts import UNRECORDED, Facts, Unknown
from attn_doctor.model.findings import Fix

LINUX = RTX_4090
WINDOWS = changed(LINUX, system__os="windows")
MAC = changed(LINUX, system__os="darwin")


def cured(slug: str, facts: Facts, variant: Variant | None = None) -> tuple[Fix, ...]:
    return find(slug).fixes(facts, Hit(message="", evidence=(), variant=variant))


def titles(made: tuple[Fix, ...]) -> list[str]:
    return [fix.title for fix in made]


def words(fix: Fix) -> str:
    return "\n".join(f"{step.why} {shown(step) or ''}" for step in fix.steps)


# Text and its encoding


@pytest.mark.parametrize(
    ("os", "python", "kind", "expected"),
    [
        ("windows", "3.11.4", "read", "PYTHONUTF8"),
        ("windows", "3.7.0", "read", "PYTHONUTF8"),
        ("windows", "3.6.9", "read", "Beta: Use Unicode UTF-8"),
        ("windows", "3.6.9", "printed", "PYTHONIOENCODING"),
        ("linux", "3.6.9", "read", "LC_ALL"),
        ("linux", UNRECORDED, "printed", "PYTHONUTF8"),
    ],
)
def test_python_is_told_to_use_utf_8_in_the_way_that_this_python_knows(os, python, kind, expected):
    facts = changed(LINUX, system__os=os, interpreter__version=python)
    assert expected in words(cured("text-encoding", facts, Wrong(kind=kind, codec="gbk"))[0])


def test_the_code_is_changed_only_where_the_code_is_the_readers():
    assert len(cured("text-encoding", WINDOWS, Wrong(kind="read", codec="gbk"))) == 2
    assert len(cured("text-encoding", WINDOWS, Wrong(kind="read", codec="gbk", install=True))) == 1


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("UnicodeEncodeError: 'gbk' codec can't encode character '\\u2713' in position 3: illegal multibyte", "error"),
        (
            "--- Logging error ---\nUnicodeEncodeError: 'gbk' codec can't encode character '\\u2713' in position 3",
            "warning",
        ),
        ("UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe9 in position 3: invalid continuation byte", None),
    ],
)
def test_a_codec_of_the_system_is_a_cause_and_utf_8_alone_is_none(text, severity):
    finding = told("text-encoding", text)
    assert (finding.severity.value if finding else None) == severity


# Setups that are older than setuptools


@pytest.mark.parametrize(
    ("python", "what", "first"),
    [
        ("3.11.9", "v58", "Build with a setuptools before 58"),
        ("3.12.0", "v58", "Use Python 3.11"),
        ("3.12.0", "v72", "Build with a setuptools before 72"),
        (UNRECORDED, "v58", "Build with a setuptools before 58"),
    ],
)
def test_an_old_setuptools_needs_a_python_on_which_it_runs(python, what, first):
    facts = changed(LINUX, interpreter__version=python)
    assert titles(cured("setup-older-than-setuptools", facts, Uses(what=what, name="oldconf")))[0] == first


# Libraries


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("libmpi.so.40", "libopenmpi-dev"),
        ("libmpi.so.12", "libmpich-dev"),
        ("libtbb.so.12", "libtbb-dev"),
        ("libmine.so.2", None),
    ],
)
def test_a_library_is_brought_by_its_own_package(library, package):
    row = system_libraries.brought_by(library)
    assert (row.apt if row else None) == package


def test_a_library_that_no_package_brings_is_looked_for_first():
    made = cured("shared-library-missing", LINUX, Missing(library="libmine.so.2"))
    assert titles(made) == [
        "Find the library, and let the loader search its folder",
        "Install the package that brings it",
    ]
    assert "libmine.so*" in words(made[0])


@pytest.mark.parametrize(
    "line",
    [
        "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory",
        "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
        "ImportError: libtorch_cpu.so: cannot open shared object file: No such file or directory",
        "W dso_loader.cc:64] Could not load dynamic library 'libmine.so.2'; dlerror: libmine.so.2: cannot open shared object file: No such file",
    ],
)
def test_libraries_of_a_gpu_of_torch_and_of_warnings_are_left_to_others(line):
    assert told("shared-library-missing", line) is None


@pytest.mark.parametrize(
    ("os", "first"),
    [("linux", "Install torch and torchvision together"), (Unknown("not said"), "Read images with Pillow")],
)
def test_images_are_read_by_pillow_first_where_the_index_is_not_known(os, first):
    facts = changed(Facts(grade="stated"), system__os=os)
    assert titles(cured("torchvision-mismatch", facts, WithoutImages()))[0].startswith(first)


# Weights, opsets


@pytest.mark.parametrize(
    ("name", "saved", "here", "says"),
    [
        ("class_embed.weight", "91, 256", "5, 256", "another number of classes"),
        ("model.0.conv.weight", "48, 3, 3, 3", "16, 3, 3, 3", "another size or version"),
        ("class_embed.weight", "91, 256", "5, 128", "another size or version"),
    ],
)
def test_only_last_layers_whose_first_number_differs_are_those_of_the_classes(name, saved, here, says):
    text = (
        "RuntimeError: Error(s) in loading state_dict for Model:\n"
        f"\tsize mismatch for {name}: copying a param with shape torch.Size([{saved}]) from checkpoint, the shape in current model is torch.Size([{here}]).\n"
    )
    finding = told("weights-do-not-fit-model", text)
    assert finding is not None
    assert says in finding.message


@pytest.mark.parametrize(
    ("opset", "expected"),
    [
        (Opset(asked=17), ["Export with opset 12"]),
        (Opset(asked=21), ["Export with opset 17"]),
        (Opset(asked=13, operator="aten::x", since=14), ["Export with opset 14"]),
        (Opset(asked=17, operator="aten::x"), ["Export with dynamo=True"]),
        (Opset(asked=16, operator="aten::x"), ["Export with opset 17"]),
    ],
)
def test_an_export_takes_the_opset_that_has_the_operator(opset, expected):
    assert titles(cured("onnx-opset", LINUX, opset)) == expected


# Builds


@pytest.mark.parametrize(
    ("part", "first"), [("ptxas", "Build with less memory"), ("cudafe++", "Take another release of the CUDA toolkit")]
)
def test_a_crash_of_the_front_end_is_one_of_the_toolkit_first(part, first):
    finding = told("nvcc-part-crashed", f"nvcc error   : '{part}' died with status 0xC0000005 (ACCESS_VIOLATION)\n")
    assert finding is not None
    own = [title for title in titles(finding.fixes) if title.startswith(("Build with less", "Take another"))]
    assert own[0] == first


def test_a_build_that_was_killed_is_no_crash():
    text = "nvcc error   : 'cicc' died due to signal 9 (Kill signal)\nnvcc error   : 'ptxas' died due to signal 11 (Invalid memory reference)\n"
    assert told("nvcc-part-crashed", text) is None


@pytest.mark.parametrize(("machine", "arch"), [("arm64", "-arch arm64"), ("x86_64", "-arch x86_64")])
def test_an_extension_is_compiled_for_the_processor_of_the_mac(machine, arch):
    text = "clang: error: the clang compiler does not support '-march=native'\n"
    finding = told("clang-flags-on-mac", text, changed(MAC, system__machine=machine))
    assert finding is not None
    assert arch in [getattr(step, "value", None) for step in finding.fixes[0].steps]


# Installers


@pytest.mark.parametrize(
    ("os", "text", "expected"),
    [
        (
            "darwin",
            "Because there is no version of torch==2.5.1+cpu and you require torch==2.5.1+cpu",
            "Leave the ending out on a Mac",
        ),
        ("darwin", "ERROR: No matching distribution found for torch==2.5.1+cpu", "Leave the ending out on a Mac"),
        ("linux", "Because there is no version of torch==2.5.1+cpu and you require torch==2.5.1+cpu", None),
    ],
)
def test_a_build_with_an_ending_is_left_out_on_a_mac_alone(os, text, expected):
    finding = told("no-matching-distribution", text, changed(Facts(grade="stated"), system__os=os))
    assert finding is not None
    assert (finding.fixes[0].title == "Leave the ending out on a Mac") is (expected is not None)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ("torch===1.6.0+cpu", "pipenv install --index https://download.pytorch.org/whl/cpu torch==1.6.0+cpu"),
        ("torch==2.3.1+cu121", "pipenv install --index https://download.pytorch.org/whl/cu121 torch==2.3.1+cu121"),
    ],
)
def test_pipenv_is_given_the_index_of_the_build(build, expected):
    assert expected in words(cured("pipenv-cannot-lock", LINUX, Asked(build=build))[0])


# What a person says about the machine


@pytest.mark.parametrize(
    ("text", "os", "machine"),
    [
        ("macOS, Apple Silicon (arm64)\n$ pip install torch\n", "darwin", "arm64"),
        ("OS: macOS 14.5, Apple silicon\n", "darwin", "arm64"),
        (
            "It works on my Mac with Apple Silicon, and fails on the server that I rent in the cloud\n",
            None,
            None,
        ),
        ("('32bit', 'WindowsPE')\n", "windows", "x86"),
        ("hint: You require CPython 3.11 on Windows (`win32`)\n", "windows", "x86"),
    ],
)
def test_a_line_that_states_a_machine_is_read(text, os, machine):
    system = facts_of(text).system
    assert (_known(system.os), _known(system.machine)) == (os, machine)


def _known(value: object) -> object:
    return None if isinstance(value, Unknown) else value
