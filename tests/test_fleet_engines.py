"""The engines of `attn-doctor fleet`: lists of hosts, what Slurm prints, the parcel on another Python, and ssh as a script on PATH."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from scripts_on_path import program

from attn_doctor.errors import NotExamined, Refused
from attn_doctor.fleet.engines import SPELLINGS, Asked, answers, deliver, hosts, slurm
from attn_doctor.fleet.engines.begin import frame
from attn_doctor.fleet.engines.parcel import parcel
from attn_doctor.model.fleet import Node, NodeAnswer

NODE = Node(name="gpu-1")
STATIC = ("--static",)


# -- lists of hosts


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("gpu[01-04]", ["gpu01", "gpu02", "gpu03", "gpu04"]),
        ("gpu[8-11]", ["gpu8", "gpu9", "gpu10", "gpu11"]),
        ("gpu[098-101]", ["gpu098", "gpu099", "gpu100", "gpu101"]),
        ("n[1,3,7-8].cluster.example,login", ["n1.cluster.example", "n3.cluster.example", "n7.cluster.example", "n8.cluster.example", "login"]),
        ("r[1-2]n[01-02]", ["r1n01", "r1n02", "r2n01", "r2n02"]),
        ("a,a,b,a", ["a", "b"]),
        ("a, b ,", ["a", "b"]),
    ],
)  # fmt: skip
def test_a_list_of_hosts(written, names):
    assert hosts.expanded(written) == names


@pytest.mark.parametrize("written", ["gpu[04-01]", "gpu[1-]", "n[0-999999999]", "n[1-9999]x[1-9999]", "n[1,,2]"])
def test_a_range_that_is_a_slip(written):
    with pytest.raises(Refused):
        hosts.expanded(written)


@pytest.mark.parametrize(
    "host", ["-oProxyCommand=touch x", "-v", "a b", "a;b", "$(id)", "`id`", "a@b@c", "-l@a", "a'b", "a\nb", "", ",", "gpu[a]", "a|b", "../x"]
)  # fmt: skip
def test_a_host_that_could_be_an_option_or_a_command_is_refused(host):
    with pytest.raises(Refused):
        hosts.nodes(host)


@pytest.mark.parametrize("host", ["me@gpu-1.cluster.example", "10.0.0.7", "::1", "fe80::1%eth0", "gpu_1"])
def test_a_host_by_all_its_names(host):
    assert [node.name for node in hosts.nodes(host)] == [host]


def test_a_file_of_hosts_has_labels(tmp_path):
    file = tmp_path / "hosts"
    file.write_text("# rack 1\ngpu[01-02] target=/opt/a/bin/python rack=1\n\nlogin  # no GPU\n")
    assert [(node.name, node.labels) for node in hosts.nodes(f"@{file}")] == [
        ("gpu01", {"target": "/opt/a/bin/python", "rack": "1"}),
        ("gpu02", {"target": "/opt/a/bin/python", "rack": "1"}),
        ("login", {}),
    ]
    with pytest.raises(Refused, match="cannot be read"):
        hosts.nodes(f"@{tmp_path}/none")
    file.write_text("gpu01 target=/x\n-oProxyCommand=id\n")
    with pytest.raises(Refused, match="no name of a host"):
        hosts.nodes(f"@{file}")


# -- what Slurm prints; recorded from Slurm 22.05, the states with signs from `man sinfo`

SINFO = """\
d1|idle|p*|(null)|target=/usr/bin/python3,a100|none
d1|idle|long|(null)|target=/usr/bin/python3,a100|none
d2|down*|p*|(null)|(null)|Not responding
d3|drained|p*|gpu:h100:8(S:0-1)|(null)|fan | broken
d4|mixed-|p*|gpu:4|(null)|none
d5|idle~|p*|(null)|(null)|none
d6|idle*|p*|(null)|(null)|none
d7|draining|p*|(null)|(null)|Prolog error
"""


def test_the_nodes_of_slurm():
    found = {one.node.name: one for one in slurm.listed(SINFO)}
    assert found["d1"].node.labels == {
        "partition": "p,long",
        "state": "idle",
        "target": "/usr/bin/python3",
        "features": "a100",
    }
    assert {name for name, one in found.items() if not one.why_not} == {"d1", "d4", "d5"}
    assert found["d2"].why_not == "Slurm cannot reach it, its state is down: Not responding"
    assert found["d3"].why_not == "its state in Slurm is drained: fan | broken"
    assert found["d6"].why_not == "Slurm cannot reach it, its state is idle"
    assert found["d7"].why_not == "its state in Slurm is draining: Prolog error"
    assert {name for name, one in found.items() if one.gpu} == {"d3", "d4"}


# What srun of Slurm 22.05 wrote on standard error.
@pytest.mark.parametrize(
    ("words", "end", "said"),
    [
        ("srun: error: Node failure on d2\nsrun: Force Terminated job 3\n", "died", "Node failure on d2"),
        (
            "srun: job 2 queued and waiting for resources\nsrun: error: Unable to allocate resources: Requested nodes are busy\n",
            "refused",
            "Requested nodes are busy",
        ),
        ("srun: error: d1: task 0: Killed\n", "died", "d1: task 0: Killed"),
    ],
)
def test_what_srun_says_of_a_node(words, end, said):
    failed = slurm._failed(1, words)
    assert failed.end == end
    assert said in failed.said


def test_no_slurm_here(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotExamined, match="sinfo is not on PATH"):
        list(answers("slurm", Asked(), print))


# -- the answer of a node


def test_an_answer_in_noise_is_found():
    output = (
        "Welcome to gpu-1!\nlast login"
        + frame("w0", "answered", seconds=2.5, report=b'{"a": "\xc3\xa9"}').decode()
        + "logout\n"
    )
    answer = deliver.read(NODE, "w0", output)
    assert answer == NodeAnswer(node=NODE, end="answered", report='{"a": "é"}'.encode(), seconds=2.5)
    assert deliver.read(NODE, "w1", output) is None
    assert deliver.read(NODE, "w0", output[: output.index("end\n")]) is None


@pytest.mark.parametrize(
    "packed",
    [
        "%%%",
        base64.b64encode(b"not packed").decode(),
        base64.b64encode(zlib.compress(b"[1]")).decode(),
        base64.b64encode(zlib.compress(b'{"end":"fine","said":"","seconds":1,"report":""}')).decode(),
        base64.b64encode(zlib.compress(b"x" * 1000)[:-8]).decode(),
    ],
)
def test_a_damaged_answer_is_said_to_be_damaged(packed):
    answer = deliver.read(NODE, "w", f"attn-doctor-answer w begin\n{packed}\nattn-doctor-answer w end\n")
    assert answer.end == "unreadable"
    assert answer.report is None


def test_an_answer_that_unpacks_to_gigabytes_is_not_unpacked():
    bomb = base64.b64encode(zlib.compress(bytes(deliver.MOST_ANSWER + 1))).decode()
    began = time.monotonic()
    assert (
        deliver.read(NODE, "w", f"attn-doctor-answer w begin\n{bomb}\nattn-doctor-answer w end\n").end == "unreadable"
    )
    assert time.monotonic() - began < 20


# -- the parcel


def other_python() -> str | None:
    """A Python of another minor version than this one, from 3.10 on."""
    for minor in (12, 13, 10, 11, 14):
        if (3, minor) != sys.version_info[:2]:
            folders = sorted(Path("~/.pyenv/versions").expanduser().glob(f"3.{minor}.*/bin"))
            path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
            found = shutil.which(f"python3.{minor}", path=path)
            if found and subprocess.run([found, "-c", ""], check=False).returncode == 0:
                return found
    return None


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("parcel") / "doctor.pyz"
    file.write_bytes(parcel())
    return file


def run_parcel(python: str, file: Path, tmp_path: Path, path: str, *check: str) -> NodeAnswer:
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [python, "-I", "-B", file, "w", "60", "free", "", *check],
        env={"PATH": path, "TMPDIR": str(tmp_path / "tmp"), "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    answer = deliver.read(NODE, "w", done.stdout)
    assert answer, done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []
    return answer


def test_the_parcel_checks_from_another_python(stored, tmp_path):
    """The other Python has no msgspec of its own; the parcel brings that of this one, and finds this one on PATH."""
    python = other_python()
    if not python:
        pytest.skip("no other Python here")
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / f"python3.{sys.version_info[1]}").symlink_to(sys.executable)
    answer = run_parcel(python, stored, tmp_path, f"{bare}:/usr/bin:/bin", *STATIC)
    assert (answer.end, answer.said) == ("answered", "")
    report = json.loads(answer.report)
    assert report["tool"]["name"] == "attn-doctor"
    assert report["command"][1:4] == ["check", "--json", "-"]


def test_a_node_without_a_fitting_python_names_the_command(stored, tmp_path):
    """The parcel without its compiled files is what it is on a node with another Python only."""
    python = other_python()
    if not python:
        pytest.skip("no other Python here")
    bare = io.BytesIO()
    with zipfile.ZipFile(stored) as whole, zipfile.ZipFile(bare, "w") as less:
        for name in whole.namelist():
            if "_core." not in name or not name.endswith(".so"):
                less.writestr(name, whole.read(name))
    (tmp_path / "less.pyz").write_bytes(bare.getvalue())
    answer = run_parcel(python, tmp_path / "less.pyz", tmp_path, "/nowhere", *STATIC)
    assert answer.end == "refused"
    assert "no Python there can run attn-doctor" in answer.said
    assert re.search(r"pip download --no-deps .* --python-version 3\.\d+ .* msgspec==", answer.said)


def test_an_old_python_looks_for_a_newer_one(stored, tmp_path):
    old = next(iter(sorted(Path("~/.pyenv/versions").expanduser().glob("3.[678].*/bin/python"))), None)
    if not old:
        pytest.skip("no Python before 3.9 here")
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / f"python3.{sys.version_info[1]}").symlink_to(sys.executable)
    assert run_parcel(str(old), stored, tmp_path, f"{bare}:/usr/bin:/bin", *STATIC).end == "answered"


def test_the_same_packages_make_the_same_parcel(stored):
    parcel.cache_clear()
    assert parcel() == stored.read_bytes()
    assert 1_000_000 < len(parcel()) < 8_000_000


# -- ssh: a script that runs on this machine what it was to run on another


SSH = """#!/bin/sh
for word; do last=$word; done
echo "$@" >> "$0.said"
exec sh -c "$last"
"""


def test_ssh_is_told_to_ask_nothing_and_to_forward_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", program(tmp_path / "bin", "ssh", SSH))
    said: list[str] = []
    asked = Asked(check=STATIC, deadline=60, nodes=("gpu01", "gpu09"))
    rows = {row.node.name: row for row in answers("ssh:gpu[01-03]", asked, said.append)}
    assert set(rows) == {"gpu01", "gpu09"}
    assert rows["gpu01"].end == "answered", rows["gpu01"].said
    assert json.loads(rows["gpu01"].report)["command"][-1] != ""
    assert (rows["gpu09"].end, rows["gpu09"].said) == ("refused", "the list of hosts has no node of this name")
    assert said == ["Hosts to check by ssh: 1."]
    argv = (tmp_path / "bin" / "ssh.said").read_text()
    for option in ("BatchMode=yes", "ConnectTimeout=15", "ForwardAgent=no", "ClearAllForwardings=yes", "RequestTTY=no"):
        assert f"-o {option}" in argv
    assert " -T -- gpu01 python3 -c " in argv


def test_a_host_that_takes_the_parcel_and_says_nothing_is_silent(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", program(tmp_path / "bin", "ssh", "#!/bin/sh\nexec sleep 300\n"))
    monkeypatch.setattr(deliver, "SLACK", 1.0)
    monkeypatch.setattr("attn_doctor.fleet.engines.ssh._TO_CONNECT", 1)
    [row] = answers("ssh:gpu01", Asked(check=STATIC, deadline=1.0), print)
    assert row.end == "silent"
    assert re.match(r"nothing came from it within \d", row.said)


def test_when_nobody_asks_for_more_all_end(tmp_path, monkeypatch):
    monkeypatch.setenv(
        "PATH",
        program(
            tmp_path / "bin",
            "ssh",
            '#!/bin/sh\necho $$ >> "$0.pids"\nfor w; do l=$w; done\n[ "$5" ] && case "$*" in *gpu01*) exit 255;; esac\nexec sleep 300\n',
        ),
    )
    rows = answers("ssh:gpu[01-03]", Asked(check=STATIC, deadline=100), print)
    assert next(rows).end == "refused"
    began = time.monotonic()
    rows.close()
    assert time.monotonic() - began < 20
    for pid in (tmp_path / "bin" / "ssh.pids").read_text().split():
        assert not Path(f"/proc/{pid}").exists() or "sleep" not in Path(f"/proc/{pid}/cmdline").read_text()
    assert threading.active_count() < 20


# -- spellings and extras


@pytest.mark.parametrize("on", ["", "rya", "ray2:x", "SLURM", "ssh", "ssh:", "ssh:,"])
def test_a_wrong_spelling_is_refused(on):
    with pytest.raises(Refused):
        list(answers(on, Asked(), print))
    assert "ssh:HOSTS" in SPELLINGS


def test_a_missing_extra_names_its_command(tmp_path):
    """In a process whose path has no Ray."""
    text = "import sys; sys.modules['ray'] = None\nfrom attn_doctor.fleet.engines import Asked, answers\nlist(answers('ray', Asked(), print))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert "needs the extra 'ray'" in done.stderr
    assert re.search(r"pip install .*ray>=2\.40", done.stderr)
