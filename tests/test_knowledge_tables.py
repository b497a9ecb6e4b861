"""The tables as files: strict, sourced, dated, loaded on demand."""

import datetime as dt
import json
import re
import subprocess
import sys

import msgspec
import pytest
from packaging.version import Version

from attn_doctor.knowledge import attention_rows, rows, tables

_HERE = (rows.__name__, attention_rows.__name__)  # other rooms add their own
KINDS = [kind for kind in rows.Row.__subclasses__() if kind.__module__ in _HERE]
TABLES = [(kind, row) for kind in KINDS for row in tables.load(kind)]


FILES = sorted(path for path in tables.DATA.glob("*.json") if path.stem != "date")


def test_every_record_has_a_file_of_its_own():
    names = [kind.TABLE for kind in KINDS]
    assert len(names) == len(set(names))
    assert set(names) <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_table_of_the_folder_is_sourced_and_dated(path):
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        assert row["source"].strip(), row
        assert dt.date.fromisoformat(row["checked"]), row


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.TABLE)
def test_a_table_has_rows_and_says_what_it_is_about(kind):
    content = json.loads((tables.DATA / f"{kind.TABLE}.json").read_text(encoding="utf-8"))
    assert content["about"].endswith(".")
    assert tables.load(kind)


def test_every_row_names_a_source_and_the_day_it_was_checked():
    day = dt.date.fromisoformat(tables.knowledge_date())
    for kind, row in TABLES:
        assert len(row.source) > 10, (kind.TABLE, row)
        assert dt.date.fromisoformat(row.checked) <= day, (kind.TABLE, row)


def test_what_is_marked_as_inferred_is_a_field():
    for kind, row in TABLES:
        for field in row.inferred:
            assert field.partition(".")[0] in kind.__struct_fields__, (kind.TABLE, field)


def test_no_row_names_a_path_of_the_machine_that_wrote_it():
    for path in tables.DATA.glob("*.json"):
        assert not re.search(r"/(work|tmp|root|home)/", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.TABLE)
def test_no_row_stands_twice(kind):
    plain = [json.dumps({**msgspec.to_builtins(row), "source": "", "note": ""}) for row in tables.load(kind)]
    assert len(plain) == len(set(plain))


def test_capabilities_and_archs_are_spelt_as_the_questions_expect():
    for row in tables.load(rows.GpuModel):
        assert re.fullmatch(r"\d+\.\d", row.capability)
    for row in (*tables.load(rows.TorchBuild), *tables.load(rows.Nvcc)):
        for arch in row.archs:
            assert re.fullmatch(r"(sm|compute)_\d{2,3}[af]?", arch)


def test_versions_are_versions():
    for row in tables.load(rows.Driver):
        assert Version(row.linux)
        assert row.windows is None or Version(row.windows)
    for row in tables.load(rows.TorchRelease):
        assert row.latest.startswith(f"{row.minor}.")
        assert row.cxx_minimum <= row.cxx_default


def test_a_torch_minor_has_one_pypi_build_a_platform():
    found = [(row.torch, row.platform) for row in tables.load(rows.TorchBuild) if row.pypi]
    assert len(found) == len(set(found))
    for row in tables.load(rows.TorchRelease):
        cuda = {
            b.cuda
            for b in tables.load(rows.TorchBuild)
            if (b.torch, b.platform, b.pypi) == (row.minor, "linux_x86_64", True)
        }
        assert cuda == {row.pypi_cuda["linux_x86_64"]}


@pytest.mark.parametrize(
    "damage",
    [
        lambda row: row.pop("source"),
        lambda row: row.pop("checked"),
        lambda row: row.update(sorce="a slip of the pen"),
        lambda row: row.update(major="13"),
    ],
    ids=["without source", "without date", "unknown field", "wrong type"],
)
def test_a_damaged_table_is_refused(tmp_path, monkeypatch, damage):
    content = json.loads((tables.DATA / "cuda_floors.json").read_text(encoding="utf-8"))
    damage(content["rows"][0])
    (tmp_path / "cuda_floors.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr(tables, "DATA", tmp_path)
    tables._read.cache_clear()
    with pytest.raises(msgspec.ValidationError):
        tables.load(rows.Floor)
    tables._read.cache_clear()


def test_importing_the_room_reads_no_table_and_nothing_heavy():
    names = [
        f"attn_doctor.knowledge.{path.stem}" for path in tables.DATA.parent.glob("*.py") if path.stem != "__init__"
    ]
    program = (
        f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\n"
        "from attn_doctor.knowledge import tables\n"
        "print(tables._read.cache_info().currsize, sorted({'torch', 'numpy', 'rich', 'urllib.request'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "[]"]


def test_the_date_of_the_knowledge_is_the_day_of_the_newest_check():
    assert tables.knowledge_date() == max(row.checked for _, row in TABLES)
