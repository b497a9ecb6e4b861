"""A wheel before it is installed: what is inside, whether it keeps to its name, and the verdict. Real archives and extensions."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest
from extensions import SUFFIX, build, module

from attn_doctor.model.facts import Binary, Needed, Unknown
from attn_doctor.model.wheel_file import WheelContents
from attn_doctor.probes.binaries.mapped import DamagedFile
from attn_doctor.probes.binaries.wheel_contents import Folders, Meetings, contents, meetings
from attn_doctor.wheels.proof import MEANING, prove

TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
NAME = f"probe_attn-1.0-{TAG}-{TAG}-linux_x86_64.whl"


def packed(
    path: Path, files: dict[str, bytes], *, metadata: str = "Name: probe-attn\nVersion: 1.0\n", listed: bool = True
) -> Path:
    """A wheel with these members and its own dist-info."""
    name, version = path.name.split("-")[:2]
    info = f"{name}-{version}.dist-info"
    members = {**files, f"{info}/METADATA": b"Metadata-Version: 2.1\n" + metadata.encode(), f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {TAG}-{TAG}-linux_x86_64\n".encode()}  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        lines = [record_line(member, content) for member, content in members.items()] if listed else []
        archive.writestr(f"{info}/RECORD", "".join(f"{line}\n" for line in (*lines, f"{info}/RECORD,,")))
    return path


def record_line(member: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{member},sha256={digest},{len(content)}"


def seen(tmp_path: Path, files: dict[str, bytes], **how) -> WheelContents:
    return contents(packed(tmp_path / NAME, files, **how))


# --- what is inside


def test_the_archive_is_described(tmp_path):
    found = seen(
        tmp_path,
        {
            "probe_attn/__init__.py": b"",
            "probe_attn_cuda.so": b"x" * 10,
            "stranger/__init__.py": b"",
            "probe_attn-1.0.data/scripts/run-probe": b"#!python",
            "probe_attn-1.0.data/data/etc/x.conf": b"",
            "probe_attn-1.0.data/purelib/probe_more/__init__.py": b"",
            "probe_attn-1.0.dist-info/entry_points.txt": b"[console_scripts]\nprobe = probe_attn:main\n[other]\nno = x:y\n[gui_scripts]\nwindow=x:y\n",
        },
    )
    path = tmp_path / NAME
    assert (found.sha256, found.size) == (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    assert (found.name, found.version, found.tags) == ("probe-attn", "1.0", (f"{TAG}-{TAG}-linux_x86_64",))
    assert found.packages == ("probe_attn", "probe_attn_cuda.so", "probe_more", "stranger")
    assert found.scripts == ("probe_attn-1.0.data/scripts/run-probe", "probe", "window")
    assert found.elsewhere == ("probe_attn-1.0.data/data/etc/x.conf",)
    assert found.hooks == ("other: no = x:y",)
    assert found.infos == ("probe_attn-1.0.dist-info",)
    assert found.compiled == ("probe_attn_cuda.so",)
    nothing = (
        found.leaving,
        found.at_startup,
        found.twice,
        found.altered,
        found.unlisted,
        found.unhashed,
        found.absent,
    )
    assert nothing == ((),) * 7


@pytest.mark.parametrize(
    "member", ["../evil.py", "a/../../evil.py", "/etc/evil", "\\evil", "C:\\evil.py", "a\\..\\..\\evil.py"]
)
def test_members_that_leave_the_archive_are_named(tmp_path, member):
    path = packed(tmp_path / NAME, {"probe_attn/__init__.py": b""})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(member), b"")
    assert len(contents(path).leaving) == 1


def test_a_link_counts_as_leaving(tmp_path):
    path = packed(tmp_path / NAME, {})
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("probe_attn/link.so")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert contents(path).leaving == ("probe_attn/link.so",)


@pytest.mark.parametrize(
    ("member", "counts"),
    [
        ("evil.pth", True),
        ("evil.start", True),  # from Python 3.15 on
        ("sitecustomize.py", True),
        ("usercustomize.py", True),
        ("sitecustomize/__init__.py", True),
        ("usercustomize.cpython-311-x86_64-linux-gnu.so", True),
        ("sitecustomize.pyd", True),
        ("probe_attn-1.0.data/purelib/evil.pth", True),
        ("probe_attn-1.0.data/data/lib/python3.11/site-packages/evil.pth", True),
        ("probe_attn-1.0.data/data/lib/python3.11/sitecustomize.py", True),
        ("probe_attn/weights.pth", False),  # weights of a model: site reads the folder of packages alone
        ("probe_attn/sitecustomize.py", False),
        ("evil.pth.txt", False),
        ("mysitecustomize.py", False),
    ],
)
def test_what_runs_whenever_python_starts(tmp_path, member, counts):
    assert (seen(tmp_path, {member: b""}).at_startup == (member,)) is counts


def test_a_member_that_record_does_not_list(tmp_path):
    path = packed(tmp_path / NAME, {"probe_attn/__init__.py": b""})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("probe_attn/late.py", b"")
    assert contents(path).unlisted == ("probe_attn/late.py",)
    assert contents(path).altered == ()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ("probe_attn/__init__.py,sha256=AAAA,3", "altered"),
        ("probe_attn/__init__.py,sha256=LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564,4", "altered"),
        ("probe_attn/__init__.py,md5=rL0Y20zC-Fzt72VPzMSk2A,3", "altered"),  # the right one, of a kind that RECORD may not have
        ("probe_attn/__init__.py,,", "unhashed"),
        ('"probe_attn/__init__.py",sha256=LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564,3', None),
        ("probe_attn/__init__.py,sha512=9_u6bgY2-JDlb7vzKD5STG-jIErimDgtYkdB0NxmODJuKCxBvl5CVNiCB3LFUYosWowMf37aGVlKfrU5RT4e1w==,3", None),
    ],
    ids=["digest", "size", "weak digest", "no digest", "quoted", "sha512"],
)  # fmt: skip
def test_a_member_is_compared_with_its_row_of_record(tmp_path, changed, field):
    """The content is "foo"."""
    path = tmp_path / NAME
    info = "probe_attn-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("probe_attn/__init__.py", b"foo")
        archive.writestr(f"{info}/METADATA", "")
        archive.writestr(f"{info}/RECORD", f"{changed}\n{record_line(f'{info}/METADATA', b'')}\n{info}/RECORD,,\n")
    found = contents(path)
    expected = {"altered": (), "unhashed": (), "unlisted": (), "absent": ()}
    assert {name: getattr(found, name) for name in expected} == {
        **expected,
        **({field: ("probe_attn/__init__.py",)} if field else {}),
    }


def test_a_file_that_record_lists_and_the_archive_lacks(tmp_path):
    path = tmp_path / NAME
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("p-1.dist-info/RECORD", 'p/gone.py,sha256=x,1\np-1.dist-info/RECORD,,\n"torn\n')
    found = contents(path)
    assert (found.absent, found.unlisted, found.unhashed) == (("p/gone.py", "torn"), (), ())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("p/__init__.py", "")
    assert contents(path).unhashed == ("p/__init__.py",)


def test_two_members_of_one_name(tmp_path):
    path = packed(tmp_path / NAME, {"probe_attn/__init__.py": b""})
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("probe_attn/__init__.py", b"import os")
    found = contents(path)
    assert (found.twice, found.altered) == (("probe_attn/__init__.py",), ("probe_attn/__init__.py",))


def test_a_member_that_cannot_be_unpacked_is_no_readable_wheel(tmp_path):
    path = packed(tmp_path / NAME, {"probe_attn/__init__.py": b"foo bar"})
    torn = path.read_bytes().replace(b"foo bar", b"foo baz", 1)
    path.write_bytes(torn)
    with pytest.raises(DamagedFile, match="is no readable wheel"):
        contents(path)


def test_a_program_whose_name_is_a_path_leaves_the_folder_of_programs(tmp_path):
    entry = {"probe_attn-1.0.dist-info/entry_points.txt": b"[console_scripts]\n../../evil = x:y\n# no = z:z\n"}
    found = seen(tmp_path, entry)
    assert (found.leaving, found.scripts) == (("../../evil",), ("../../evil",))


@pytest.mark.parametrize(
    ("member", "content", "replaced"),
    [
        ("probe_attn-1.0.dist-info/entry_points.txt", b"[console_scripts]\npython = probe_attn:main\n", ("python",)),
        ("probe_attn-1.0.dist-info/entry_points.txt", b"[gui_scripts]\npip3=probe_attn:main\n", ("pip3.exe",)),
        ("probe_attn-1.0.dist-info/entry_points.txt", b"[other]\npython = probe_attn:main\n", ()),
        ("probe_attn-1.0.data/data/bin/python", b"", ("bin/python",)),
        ("probe_attn-1.0.data/data/pyvenv.cfg", b"", ("pyvenv.cfg",)),
        ("probe_attn-1.0.data/data/lib/python3.11/site-packages/numpy/__init__.py", b"", ("lib/python3.11/site-packages/numpy/__init__.py",)),
        ("probe_attn-1.0.data/data/share/probe.conf", b"", ()),
    ],
)  # fmt: skip
def test_programs_and_data_may_replace_files_too(tmp_path, member, content, replaced):
    """In an environment with Python, pip on Windows, a configuration and numpy."""
    site = tmp_path / "lib/python3.11/site-packages"
    for path in (tmp_path / "bin/python", tmp_path / "bin/pip3.exe", tmp_path / "pyvenv.cfg", site / "numpy/__init__.py"):  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    path = packed(tmp_path / NAME, {member: content})
    assert meetings(path, Folders(site, tmp_path / "bin", tmp_path), "probe-attn").replaced == replaced


def test_a_folder_that_packages_share_belongs_to_none_of_them(tmp_path):
    for name in ("nvidia/cublas/__init__.py", "torch/__init__.py"):
        (tmp_path / "site" / name).parent.mkdir(parents=True)
        (tmp_path / "site" / name).write_text("")
    path = packed(tmp_path / NAME, {"nvidia/more/__init__.py": b"", "torch/more.py": b"", "new.py": b""})
    found = meetings(path, Folders(tmp_path / "site", tmp_path / "bin", tmp_path), "probe-attn")
    assert found == Meetings((), ("torch/more.py",))


def test_the_packages_that_it_asks_for(tmp_path):
    asked = "Name: probe-attn\nVersion: 1.0\nRequires-Dist: torch\nRequires-Dist: einops>=0.6; extra == 'x'\nRequires-Dist: evil @ https://h/evil.tar.gz\n"
    found = seen(tmp_path, {}, metadata=asked)
    assert found.requires == ("torch", "einops", "evil @ https://h/evil.tar.gz")
    assert "it asks for packages from addresses: evil @ https://h/evil.tar.gz" in prove(found, [], ()).notices


def test_files_of_other_packages_that_it_would_replace(tmp_path):
    site, scripts = tmp_path / "site", tmp_path / "bin"
    for path in (
        site / "numpy" / "__init__.py",
        site / "probe_attn" / "__init__.py",
        scripts / "tool",
        scripts / "probe",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    info = site / "Probe.Attn-0.9.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("probe_attn/__init__.py,sha256=x,1\n../bin/probe,,\n")
    path = packed(
        tmp_path / NAME,
        {
            "numpy/__init__.py": b"",
            "numpy/new.py": b"",
            "probe_attn/__init__.py": b"",
            "probe_attn-1.0.data/scripts/tool": b"",
            "probe_attn-1.0.data/scripts/probe": b"",
            "probe_attn-1.0.data/data/numpy/__init__.py": b"",
        },
    )
    places = Folders(site, scripts, tmp_path)
    assert meetings(path, places, "probe-attn") == Meetings(("numpy/__init__.py", "tool"), ("numpy/new.py",))
    replaced = ("numpy/__init__.py", "probe_attn/__init__.py", "tool", "probe")
    assert meetings(path, places, None).replaced == replaced


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_what_is_no_archive(tmp_path, content):
    path = tmp_path / NAME
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match="is no readable wheel"):
        contents(path)


def test_an_archive_without_metadata_is_described_too(tmp_path):
    with zipfile.ZipFile(tmp_path / NAME, "w") as archive:
        archive.writestr("x.py", "")
    found = contents(tmp_path / NAME)
    assert (found.name, found.version, found.tags, found.packages) == (None, None, (), ("x.py",))


# --- the verdict

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


def command(tmp_path: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "attn_doctor", "wheels", "--target", sys.executable, "--prove", *argv]
    return subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)


def extension(tmp_path: Path, *asks: str) -> bytes:
    return build(tmp_path / "build" / f"probe_attn_cuda{SUFFIX}", module("probe_attn_cuda", asks)).read_bytes()


def test_the_command_on_a_file_that_fits(tmp_path):
    path = packed(tmp_path / NAME, {f"probe_attn_cuda{SUFFIX}": extension(tmp_path)})
    done = command(tmp_path, str(path))
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "✓ This file fits: its extension would load here, and its content agrees with its name." in said
    assert hashlib.sha256(path.read_bytes()).hexdigest() in said
    assert MEANING in said
    assert f"pip install {path}" in said


def test_the_command_on_a_file_with_a_missing_symbol(tmp_path):
    path = packed(tmp_path / NAME, {f"probe_attn_cuda{SUFFIX}": extension(tmp_path, "_ZN3c1010not_a_nameEv")})
    done = command(tmp_path, str(path), "--json", "-")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "refused"
    assert "c10::not_a_name()" in found["against"][0]


def test_the_command_on_a_file_whose_name_lies_about_its_abi(tmp_path):
    """The old std::string is in the symbol: RKSs. The name says that of the new one."""
    name = f"probe_attn-1.0+cu12torch2.2cxx11abiTRUE-{TAG}-{TAG}-linux_x86_64.whl"
    files = {f"probe_attn_cuda{SUFFIX}": extension(tmp_path, "_ZN3c106detail14torchCheckFailEPKcS2_jRKSs")}
    done = command(tmp_path, str(packed(tmp_path / name, files)), "--json", "-")
    assert done.returncode == 1, done.stderr
    assert (
        "its name says cxx11abiTRUE, and probe_attn_cuda was compiled with FALSE" in json.loads(done.stdout)["against"]
    )


def test_the_command_on_a_file_that_runs_code_at_startup(tmp_path):
    path = packed(tmp_path / NAME, {f"probe_attn_cuda{SUFFIX}": extension(tmp_path), "evil.pth": b"import os"})
    done = command(tmp_path, str(path))
    assert done.returncode == 1
    assert "it brings code that runs whenever Python starts: evil.pth" in " ".join(done.stdout.split())
    assert "pip install" not in done.stdout
    assert MEANING not in " ".join(done.stdout.split())


def test_the_command_on_what_is_no_wheel(tmp_path):
    (tmp_path / NAME).write_bytes(b"no archive")
    done = command(tmp_path, NAME)
    assert (done.returncode, "is no readable wheel" in done.stderr) == (2, True)
    gone = command(tmp_path, "gone.whl")
    assert (gone.returncode, "cannot be read: No such file" in gone.stderr) == (2, True)


def test_a_gpu_that_is_not_known_ends_the_command_before_anything_is_fetched(tmp_path):
    done = command(tmp_path, "https://127.0.0.1:9/a-1-py3-none-any.whl", "--gpu", "Voodoo")
    assert (done.returncode, "--gpu 'Voodoo' is neither" in done.stderr) == (2, True)
    assert "fetching" not in done.stderr
