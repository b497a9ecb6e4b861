"""What is inside of a wheel, read before it is installed. Real archives."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from pathlib import Path

import pytest
from wheel_files import NAME, TAG, packed, record_line

from attn_doctor.model.wheel_file import WheelContents
from attn_doctor.probes.binaries.mapped import DamagedFile
from attn_doctor.probes.binaries.wheel_contents import Folders, Meetings, contents, meetings
from attn_doctor.wheels.proof import prove


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
