"""Random bytes where attn-doctor reads: no reader raises what its caller does not expect, and none depends on how the bytes arrive."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from attn_doctor.child import starting
from attn_doctor.child.reading import Reader
from attn_doctor.errors import AttnDoctorError
from attn_doctor.examination.inputs import log_reader
from attn_doctor.logs.not_a_log import NoLog, begun, checked
from attn_doctor.logs.reader import Reader as LogReader
from attn_doctor.model.facts import Facts
from attn_doctor.model.report import Report, Unreadable, decode_facts, decode_report
from attn_doctor.probes import nvidia_smi
from attn_doctor.probes.indexes import indexes
from attn_doctor.probes.installer_settings import installer_settings
from attn_doctor.probes.library_search import read_cache
from attn_doctor.probes.prefixes import prefixes_of
from attn_doctor.probes.system import system
from attn_doctor.probes.torch import version_py
from attn_doctor.probes.yolo import yolo
from attn_doctor.project_files import read as read_project_file

quick = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NONCE = b"0123456789abcdef"
MARK = b"\x1e" + NONCE + b" "
SMI = ("index", "name", "driver_version", "memory.total")


def record(at: str, section: str, data: object) -> bytes:
    return MARK + json.dumps({"at": at, "section": section, "data": data}).encode() + b"\n"


lines = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"\n",
            MARK,
            MARK + b"{}\n",
            MARK + b"[]\n",
            MARK + b'{"at": 3, "section": ""}\n',
            MARK + b'{"at": "raised", "section": "s", "data": {"evil": 1}}\n',
            record("begin", "s", None),
            record("fact", "s", {"a": [1, None, "x"]}),
            record("end", "s", {"seconds": 1}),
        ]
    ),
)


@pytest.fixture(scope="module")
def ended():
    """A child that has ended, and whose pipes are closed."""
    begun = starting.start([sys.executable, "-c", ""], None, None, stdin=subprocess.DEVNULL)
    begun.process.wait()
    yield begun
    begun.process.stdout.close()
    begun.process.stderr.close()
    begun.forget()


def read_all(begun: starting.Started, blocks: list[bytes]) -> tuple[list[tuple[str, str, object]], bytes, bool]:
    reader = Reader.__new__(Reader)
    reader.set_up(begun, NONCE, None)
    for block in blocks:
        reader._take_out(block)
    return [tuple(message) for message in reader.messages], bytes(reader._err), reader.flooded


@quick
@given(st.lists(lines, max_size=12), st.integers(1, 40))
def test_the_channel_is_read_alike_however_it_is_cut(ended, parts, size):
    whole = b"".join(parts) + b"\n"
    blocks = [whole[i : i + size] for i in range(0, len(whole), size)]
    assert read_all(ended, [whole]) == read_all(ended, blocks)
    assert not read_all(ended, [whole])[2]


@functools.cache
def reader() -> LogReader:
    return log_reader()


@quick
@given(st.binary(max_size=3000))
@example(b"\xff\xfe" + "ImportError: x".encode("utf-16-le"))
@example(b"\x1b[31m" * 200)
@example("error: \u202e\u0000\ud7ff".encode())
def test_any_bytes_are_a_log_or_said_to_be_none(data):
    stream = io.BytesIO(data)
    head = stream.read(1000)
    with contextlib.suppress(NoLog):
        reader().read(checked(begun(head, stream), "log"), "log")


@quick
@given(st.binary(max_size=400))
@example(b'0, "' + b"x" * 140_000 + b'"\n')
@example(b"0, a\x00b, 550, 8\n")
@example(b'0, "\r\n')
def test_any_output_of_nvidia_smi_is_a_table_or_none(data):
    rows = nvidia_smi.table(SMI, data.decode("utf-8", "replace"))
    assert rows is None or all(set(row) == set(SMI) for row in rows)


@quick
@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_any_bytes_are_a_loader_cache_or_none(data, count):
    header = b"glibc-ld.so.cache1.1" + count.to_bytes(4, "little") + b"\0" * 24
    for raw in (data, header + data):
        entries = list(read_cache(raw))
        assert len(entries) <= len(raw)


FILES = [
    "etc/os-release",
    "etc/ld.so.cache",
    "etc/nv_tegra_release",
    "etc/pip.conf",
    "etc/uv/uv.toml",
    "proc/meminfo",
    "proc/cpuinfo",
    "proc/version",
    "proc/self/cgroup",
    "proc/self/mountinfo",
    "proc/sys/kernel/osrelease",
    "sys/fs/cgroup/memory.max",
    "sys/fs/cgroup/cpu.max",
    "proc/device-tree/model",
    "lib/x86_64-linux-gnu/libc.so.6",
]
WORDS = [
    b"=",
    b"\n",
    b'"',
    b"'",
    b"[",
    b"]",
    b":",
    b" ",
    b"kB",
    b"max",
    b"-1",
    b"9" * 400,
    b"\0",
    b"\xff",
    b"/",
    b"..",
    b"global",
    b"ID",
    b"{",
    b"}",
]


@quick
@given(st.dictionaries(st.sampled_from(FILES), st.lists(st.sampled_from(WORDS), max_size=15).map(b"".join), max_size=8))
@example({"proc/meminfo": b"MemTotal: " + b"9" * 5000 + b" kB\n", "sys/fs/cgroup/memory.max": b"9" * 5000})
@example({"sys/fs/cgroup/cpu.max": b"100000 0\n", "proc/self/cgroup": b"0::/\n"})
@example({"proc/self/cgroup": b"0::/../../x\n", "proc/self/mountinfo": b"- - - - - cgroup2\n"})
def test_any_machine_has_a_system(tmp_path_factory, files):
    root = tmp_path_factory.mktemp("machine")
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    record, _ = system(root, {"PATH": "/usr/bin"}, ask=False)
    assert msgspec.json.encode(record)
    assert isinstance(indexes(root, {}, "/usr", None), tuple)
    assert installer_settings(root, {}, "/usr", None) is not None


PYTHON = [
    b"__version__",
    b" = ",
    b"'",
    b'"',
    b"2.9",
    b"\n",
    b"(",
    b")",
    b":",
    b"cuda",
    b"None",
    b"\xff",
    b"\0",
    b"class AAttn",
    b"[" * 300,
    b"    ",
    b"9" * 5000,
    b"import flash_attn",
]


@quick
@given(st.lists(st.sampled_from(PYTHON), max_size=14).map(b"".join))
@example(b"__version__ = " + b"(" * 2000)
@example(b"x = " + b"-" * 90_000 + b"1")
@example(b"\0")
def test_any_source_file_gives_a_version_or_none(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("package")
    (folder / "nn/modules").mkdir(parents=True)
    for name in ("version.py", "__init__.py", "nn/modules/block.py", "pyvenv.cfg"):
        (folder / name).write_bytes(content)
    assert isinstance(version_py(folder / "version.py"), dict)
    assert msgspec.json.encode(yolo(folder)[0])
    assert prefixes_of(str(folder))[0] == str(folder)


NAMES = [
    "requirements.txt",
    "pyproject.toml",
    "environment.yml",
    "Dockerfile",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile",
    "setup.cfg",
]
TEXTS = [
    "torch",
    "==2.9",
    "\n",
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    ":",
    " ",
    "-",
    "&a",
    "*a",
    "<<",
    "FROM x",
    "RUN pip install ",
    "\\\n",
    "=",
    "---\n",
    "dependencies",
    "#",
    "\0",
    "@",
    "!",
    "%",
    "\u202e",
]


@quick
@given(st.sampled_from(NAMES), st.lists(st.sampled_from(TEXTS), max_size=16).map("".join))
@example("environment.yml", "a: &a [" + "*a, " * 50 + "]")
@example("environment.yml", "[" * 3000)
@example("pyproject.toml", "a = " + "[" * 3000)
@example("requirements.txt", "torch @ " + "x" * 5000)
def test_any_text_is_a_project_file_or_said_to_be_none(name, text):
    with contextlib.suppress(AttnDoctorError):
        read_project_file(text, name)


@pytest.fixture(scope="module")
def report() -> bytes:
    path = Path(__file__).parents[2] / "fixtures/reports/version-1.json"
    return path.read_bytes()


@quick
@given(st.data())
def test_a_mutated_report_is_read_or_refused(report, data):
    changed = bytearray(report)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place : place + data.draw(st.integers(0, 30))] = data.draw(
            st.sampled_from(
                [b"", b"null", b"{}", b"[]", b'"', b"1e999", b"\xff", b"\\ud800", b"[" * 2000, b'"unknown"']
            )
        )
    for decode, kind in ((decode_report, Report), (decode_facts, Facts)):
        with contextlib.suppress(Unreadable):
            assert isinstance(decode(bytes(changed), "report.json"), kind)


def test_the_whole_command_survives_a_machine_of_random_bytes(tmp_path):
    """One run of the real command, on a machine whose files are random."""
    import random

    chance = random.Random(3107)
    for name in FILES:
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_bytes(chance.randbytes(2000))
    environ = {**os.environ, "ATTN_DOCTOR_ROOT": str(tmp_path / "root")}
    argv = [
        sys.executable,
        "-m",
        "attn_doctor",
        "check",
        "--no-trial",
        "--target",
        sys.executable,
        "--json",
        str(tmp_path / "r.json"),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, env=environ, cwd=Path(__file__).parents[2], timeout=120)
    assert done.returncode in (0, 1, 3), done.stderr
    assert "please report" not in (tmp_path / "r.json").read_text()


CORPUS = Path(__file__).with_name("corpus")
READERS = {
    "log": lambda data, name: reader().read(checked(io.BytesIO(data), name), name),
    "nvidia_smi": lambda data, _: nvidia_smi.table(SMI, data.decode("utf-8", "replace")),
    "loader_cache": lambda data, _: list(read_cache(data)),
    "project_file": lambda data, name: read_project_file(data.decode(), name),
    "report": lambda data, name: (decode_report(data, name), decode_facts(data, name)),
}


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_is_kept_is_read_or_refused(path):
    """Files that once ended a reader, or nearly: a new one is added for each fault that the tests above, or a user, find."""
    with contextlib.suppress(NoLog, AttnDoctorError, Unreadable):
        READERS[path.parent.name](path.read_bytes(), path.name.removesuffix(".kept"))  # ruff reads each pyproject.toml


def test_each_reader_has_kept_files():
    assert {path.parent.name for path in CORPUS.glob("*/*")} == set(READERS)
