"""The verdict on a wheel before it is installed: whether it keeps to its name, and whether it fits. By records."""

from __future__ import annotations

import msgspec
import pytest

from attn_doctor.model.facts import Binary, Needed, Unknown
from attn_doctor.model.wheel_file import WheelContents
from attn_doctor.wheels.proof import MEANING, prove

FLASH = "flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"
INSIDE = WheelContents(path=FLASH, size=1, sha256="ab", unpacked=2, name="flash-attn", version="2.8.3", packages=("flash_attn", "flash_attn_2_cuda.so", "hopper"))  # fmt: skip
GOOD = Binary(
    module="flash_attn_2_cuda",
    path="x",
    verdict="loads",
    built_for_torch="torch 2.8",
    cxx11_abi=True,
    sm=("8.0", "9.0"),
    ptx=(),
)


def changed(of, **parts):
    return msgspec.structs.replace(of, **parts)


def test_a_file_that_fits():
    found = prove(INSIDE, [GOOD], ("8.9",))
    assert (found.verdict, found.against, found.open_questions) == ("fits", (), ())
    assert (found.file, found.sha256, found.main, found.meaning) == (FLASH, "ab", ("flash_attn_2_cuda",), MEANING)
    assert found.notices == ("it installs more than its own package: hopper",)


@pytest.mark.parametrize(
    ("record", "inside", "gpus", "why"),
    [
        ({"verdict": "fails", "because": ("it asks for c10::x",)}, {}, ("8.9",), "flash_attn_2_cuda: it asks for c10::x"),
        ({"cxx11_abi": False}, {}, ("8.9",), "its name says cxx11abiTRUE, and flash_attn_2_cuda was compiled with FALSE"),
        ({"built_for_torch": "torch 2.7"}, {}, ("8.9",), "its name says torch 2.8, and flash_attn_2_cuda was compiled for torch 2.7"),
        ({}, {}, ("12.0",), "flash_attn_2_cuda has GPU code for sm_80, sm_90, and the GPU here is 12.0"),
        ({}, {"name": "other"}, ("8.9",), "its name says flash-attn, its METADATA other"),
        ({}, {"name": None}, ("8.9",), "its name says flash-attn, its METADATA nothing"),
        ({}, {"version": "2.8.2"}, ("8.9",), "its name says version 2.8.3, its METADATA 2.8.2"),
        ({}, {"version": None}, ("8.9",), "its name says version 2.8.3, its METADATA nothing"),
        ({}, {"tags": ("cp311-cp311-linux_x86_64",)}, ("8.9",), "its name says cp312-cp312, its WHEEL cp311-cp311"),
        ({"needs": (Needed(name="libcudart.so.13", found="/x"),)}, {}, ("8.9",), "its name says CUDA 12, and flash_attn_2_cuda needs libcudart.so.13"),
        ({}, {"path": "flash.whl"}, ("8.9",), "its name is not the name of a wheel, so no installer accepts it"),
        ({}, {"at_startup": ("evil.pth",)}, ("8.9",), "it brings code that runs whenever Python starts: evil.pth"),
        ({}, {"leaving": ("../a", "../b")}, ("8.9",), "members leave the folder of the archive, or are links: ../a, ../b"),
        ({}, {"unpacked": 17 << 30}, ("8.9",), "its members unpack to 17 GB"),
        ({}, {"twice": ("a",)}, ("8.9",), "two of its members have one name, and installers may take either: a"),
        ({}, {"altered": ("a", "b")}, ("8.9",), "its RECORD gives another digest or size for a, b: changed after it was built"),
        ({}, {"infos": ("a-1.dist-info", "b-1.dist-info")}, ("8.9",), "it has more than one .dist-info folder: a-1.dist-info, b-1.dist-info"),
        ({}, {"tags": ("cp312-cp312-win_amd64",)}, ("8.9",), "its name says linux_x86_64, its WHEEL win_amd64"),
        ({}, {"tags": ("cp312-cp312-manylinux_2_28_aarch64",)}, ("8.9",), "its name says linux_x86_64, its WHEEL manylinux_2_28_aarch64"),
        ({}, {"compiled": ("a.pyd", "b.DLL")}, ("8.9",), "its name says linux_x86_64, and its libraries are for another system: a.pyd, b.DLL"),
    ],
)  # fmt: skip
def test_a_file_that_is_refused_with_the_proof(record, inside, gpus, why):
    found = prove(changed(INSIDE, **inside), [changed(GOOD, **record)], gpus)
    assert (found.verdict, found.against) == ("refused", (why,))


@pytest.mark.parametrize(
    ("record", "inside", "gpus"),
    [
        ({"built_for_torch": "torch 2.7 to 2.9"}, {}, ("8.9",)),
        ({"built_for_torch": Unknown("x"), "cxx11_abi": None}, {}, ("8.9",)),
        ({}, {"version": "2.8.3+cu12torch2.8cxx11abiTRUE"}, ("8.9",)),
        ({}, {"name": "Flash.Attn"}, ("8.9",)),
        ({}, {"tags": ("cp312-cp312-manylinux_2_28_x86_64",)}, ("8.9",)),
        ({"needs": (Needed(name="libcudart.so.12", found="/x"), Needed(name="libc.so.6", found="/x"))}, {}, ("8.9",)),
        ({}, {"path": "flash_attn-2.8.3+cu128torch2.8-cp312-cp312-linux_x86_64.whl"}, ("8.9",)),
        ({"cxx11_abi": False}, {"path": "flash_attn-2.8.3+cu128torch2.8-cp312-cp312-linux_x86_64.whl"}, ("8.9",)),
        ({}, {}, ("12.0", "8.6")),
        ({}, {}, ()),
        ({}, {}, Unknown("x")),
        ({"sm": (), "ptx": ()}, {}, ("12.0",)),
        ({"sm": Unknown("x")}, {}, ("12.0",)),
        ({"ptx": ("8.0",)}, {}, ("12.0",)),
        ({}, {"unpacked": 16 << 30}, ("8.9",)),
        ({}, {"infos": ("flash_attn-2.8.3.dist-info",)}, ("8.9",)),
        ({}, {"tags": ("cp312-cp312-manylinux2014_x86_64", "cp312-cp312-manylinux_2_17_x86_64")}, ("8.9",)),
        ({}, {"tags": ("cp312-cp312-any",)}, ("8.9",)),
        ({}, {"compiled": ("a.so", "b.dll")}, ("8.9",)),
        ({}, {"compiled": ("a.so.1",)}, ("8.9",)),
        (
            {},
            {
                "compiled": ("a.pyd",),
                "path": "flash_attn-2.8.3+cu128torch2.8-cp312-cp312-win_amd64.whl",
                "tags": ("cp312-cp312-win_amd64",),
            },
            ("8.9",),
        ),
        (
            {},
            {
                "compiled": ("a.dylib",),
                "path": "flash_attn-2.8.3-cp312-cp312-macosx_11_0_arm64.whl",
                "tags": ("cp312-cp312-macosx_12_0_universal2",),
            },
            ("8.9",),
        ),
        ({}, {"compiled": ("a.dll",), "path": "flash_attn-2.8.3-py3-none-any.whl"}, ("8.9",)),
    ],
)
def test_what_refuses_nothing(record, inside, gpus):
    assert prove(changed(INSIDE, **inside), [changed(GOOD, **record)], gpus).verdict == "fits"


def test_what_cannot_be_told():
    found = prove(INSIDE, [changed(GOOD, verdict=Unknown("musl"))], ("8.9",))
    assert (found.verdict, found.open_questions) == ("cannot be told", ("flash_attn_2_cuda: musl",))
    nothing = "it contains no compiled extension, so nothing in it could be compared with this machine"
    for records in ([], [Binary(module=FLASH, path="x", verdict=None, because=("it holds no compiled extension",))]):
        found = prove(INSIDE, records, ("8.9",))
        assert (found.verdict, found.open_questions) == ("cannot be told", (nothing,))


def test_other_extensions_that_fail_are_a_notice():
    others = [changed(GOOD, module="a.b.image", verdict="fails", because=("x",)), changed(GOOD, module="a.b.c")]
    found = prove(INSIDE, [GOOD, *others], ("8.9",))
    assert (found.verdict, found.main, found.loads, found.others) == ("fits", ("flash_attn_2_cuda",), 1, 2)
    assert "1 of 2 other extensions would not load, and may not be needed: a.b.image" in found.notices
    assert prove(INSIDE, others, ("8.9",)).main == ("a.b.image", "a.b.c")
    stable = [changed(GOOD, module="torchvision._C_stable"), changed(GOOD, module="torchvision.image", verdict="fails")]
    assert prove(INSIDE, stable, ("8.9",)).main == ("torchvision._C_stable",)


def test_what_should_be_known_before_it_is_installed():
    many = tuple(f"p{number}" for number in range(7))
    more = {"hooks": ("torch.backends: a = b:c",), "absent": ("gone",), "unhashed": ("u", "v")}
    inside = changed(INSIDE, scripts=("x",), elsewhere=("y",), unlisted=("z",), packages=many, **more)
    found = prove(inside, [GOOD], (), beside=("one more",))
    assert found.notices == (
        "it installs programs: x",
        "it puts files outside of site-packages: y",
        "it registers code that other programs run by themselves: torch.backends: a = b:c",
        "its RECORD does not list z",
        "its RECORD lists files that it does not contain: gone",
        "its RECORD has no digest of 2 of its files, so these could not be compared",
        "it installs more than its own package: p0, p1, p2, p3, p4 and 2 more",
        "which GPU will run it is not known here, so its GPU code was not judged (--gpu CC names one)",
        "one more",
    )


# --- the command
