"""The engines of `attn-doctor fleet` with the real thing: sshd, a Slurm of four nodes, a Ray cluster of four raylets. All on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
import real_ray
import real_slurm
from real_sshd import SSHD, sshd
from targets import add_metadata, broken_torch, make_target, torch_of

from attn_doctor.fleet.compare import compare
from attn_doctor.fleet.engines import Asked, answers, deliver
from attn_doctor.fleet.engines.parcel import how_to_add, parcel, wheels_folder
from attn_doctor.model.fleet import Node, NodeAnswer, Row

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]
ROOT = Path(__file__).parent.parent
CHECK = ("--no-trial",)


def by_name(rows) -> dict[str, NodeAnswer]:
    return {row.node.name: row for row in rows}


def ends(rows: dict[str, NodeAnswer]) -> dict[str, str]:
    return {name: row.end for name, row in rows.items()}


def running(*words: str) -> list[int]:
    """The processes whose command line has all these words."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and all(word in (entry / "cmdline").read_text() for word in words):
                found.append(int(entry.name))
    return found


def checks(target: str) -> list[int]:
    """The processes of a check of this target, and of the target itself. A raylet has its labels in its command line too."""
    return [pid for pid in running(target) if "raylet" not in Path(f"/proc/{pid}/cmdline").read_text()]


def family(pid: int) -> list[int]:
    """A process and all below it."""
    with contextlib.suppress(OSError):
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *(one for child in below for one in family(int(child)))]
    return []


def until(true, seconds: float = 60.0) -> None:
    last = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < last
        time.sleep(0.1)


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith("attn-doctor-")]


HEALTHY = "__version__ = '2.6.0+cpu'\nclass _C: pass\nversion = None\n"


@pytest.fixture(scope="module")
def ill(tmp_path_factory) -> dict[str, str]:
    """Targets by their illness. `as the others` is what the other nodes have."""
    folder = tmp_path_factory.mktemp("ill")
    made = {}
    for name, version in (("as the others", "2.6.0"), ("other torch", "2.5.1"), ("missing package", "2.6.0")):
        torch_of(folder / name.replace(" ", "-"), HEALTHY, version, None)
        made[name] = str(folder / name.replace(" ", "-") / "bin" / "python")
        if name != "missing package":
            add_metadata(folder / name.replace(" ", "-"), "ultralytics", "8.4.190")
    made["hung torch"] = str(broken_torch(folder / "hung", "hangs"))
    return made


# -- ssh


@pytest.mark.skipif(not SSHD, reason="no sshd here")
def test_hosts_that_answer_refuse_hang_and_do_not_exist(tmp_path, ill, monkeypatch):
    hosts = tmp_path / "hosts"
    hosts.write_text(
        f"gpu[01-02] target={ill['as the others']}\ngpu03 target={ill['hung torch']}\nnobody\nshut\ndeaf\ngone\n"
    )
    with sshd(tmp_path) as there, socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        for name in ("gpu01", "gpu02", "gpu03"):
            there.host(name)
        there.host("nobody", User="nosuchuser")
        there.host("shut", Port="1")
        there.host("deaf", Port=str(deaf.getsockname()[1]))
        there.host("gone", HostName="no-such-host.invalid")
        monkeypatch.setenv("PATH", there.path())
        asked = Asked(check=CHECK, target_from="target", deadline=60)
        rows = by_name(answers(f"ssh:@{hosts}", asked, print))
    assert ends(rows) == dict.fromkeys(("gpu01", "gpu02", "gpu03"), "answered") | dict.fromkeys(
        ("nobody", "shut", "deaf", "gone"), "refused"
    )
    assert "Permission denied" in rows["nobody"].said
    assert "Connection refused" in rows["shut"].said
    assert "timed out" in rows["deaf"].said
    assert "Could not resolve" in rows["gone"].said
    assert "import-hang" in [f["slug"] for f in json.loads(rows["gpu03"].report)["findings"]]


@pytest.mark.skipif(not SSHD, reason="no sshd here")
@pytest.mark.parametrize("how", ["deadline", "nobody waits"])
def test_the_far_side_ends_too(how, tmp_path, ill, monkeypatch):
    with sshd(tmp_path) as there:
        there.host("gpu01")
        monkeypatch.setenv("PATH", there.path())
        hosts = tmp_path / "hosts"
        hosts.write_text(f"gpu01 target={ill['hung torch']}\n")
        check = (*CHECK, "--timeout", "100", "--total-timeout", "100")
        rows = answers(
            f"ssh:@{hosts}", Asked(check=check, target_from="target", deadline=12 if how == "deadline" else 100), print
        )
        if how == "deadline":
            [row] = rows
            assert (row.end, row.said) == ("silent", "the check was ended there after 12 s, and had written nothing")
        else:
            thread = threading.Thread(target=lambda: list(rows), daemon=True)
            thread.start()
            until(lambda: running(ill["hung torch"], "--total-timeout"))
            [ssh] = running("ssh.conf", "gpu01", "exec(sys.stdin")
            os.kill(ssh, signal.SIGKILL)
        until(lambda: not running(ill["hung torch"]), 20)


# -- Slurm


@pytest.fixture
def four(tmp_path, ill, monkeypatch):
    """Four nodes of Slurm; d1 to d3 have the same target, that of d4 hangs."""
    if real_slurm.MISSING or os.geteuid() != 0:
        pytest.skip(f"not here, or not root: {', '.join(real_slurm.MISSING)}")
    links = {}
    for name in ("d1", "d2", "d3", "d4"):
        (tmp_path / "targets" / name).mkdir(parents=True)
        links[name] = ill["hung torch" if name == "d4" else "as the others"]
    short = Path(f"/tmp/sl{os.getpid()}")
    settings = f"PrologFlags=Alloc\nProlog={tmp_path}/prolog.sh\n"
    (tmp_path / "prolog.sh").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "prolog.sh").chmod(0o755)
    features = {name: f"target={path},rack1" for name, path in links.items()}
    try:
        with real_slurm.slurm(short, 4, settings=settings, features=features) as there:
            monkeypatch.setenv("SLURM_CONF", str(there.conf))
            yield there
    finally:
        shutil.rmtree(short, ignore_errors=True)


def test_four_nodes_of_slurm(four):
    asked = Asked(check=CHECK, target_from="target", deadline=60)
    four.run("scontrol", "update", "node=d3", "state=drain", "reason=fan | broken")
    began = time.monotonic()
    rows = by_name(answers("slurm:p", asked, print))
    print("figures: 4 nodes of Slurm", round(time.monotonic() - began, 1), "s")
    assert ends(rows) == {"d1": "answered", "d2": "answered", "d3": "refused", "d4": "answered"}
    assert rows["d3"].said == "its state in Slurm is drained: fan | broken"
    assert rows["d1"].node.labels["features"] == "rack1"
    assert "import-hang" in [f["slug"] for f in json.loads(rows["d4"].report)["findings"]]
    # A node whose slurmd, and all that it runs, is killed in mid-check; the others answer all the same.
    check = (*CHECK, "--timeout", "100", "--total-timeout", "100")
    rows = {}
    thread = threading.Thread(
        target=lambda: rows.update(by_name(answers("slurm", asked._replace(check=check, deadline=90), print))),
        daemon=True,
    )
    thread.start()
    hung = four.features_of("d4")
    until(lambda: running(hung, "--total-timeout"))
    four.kill("d4")
    thread.join(120)
    assert ends(rows) == {"d1": "answered", "d2": "answered", "d3": "refused", "d4": "died"}
    assert rows["d4"].said == "Slurm: Node failure on d4"
    # The next run has Slurm's own word for it.
    rows = by_name(answers("slurm", asked._replace(nodes=("d4", "d9")), print))
    assert ends(rows) == {"d4": "refused", "d9": "refused"}
    assert "Slurm cannot reach it" in rows["d4"].said
    assert "no node of this name" in rows["d9"].said
    assert four.run("squeue", "-h").stdout == ""


def test_a_prolog_drains_the_ill_node(four, tmp_path, ill):
    """The shipped prolog, with the two paths of its first lines changed; d2 lacks torch."""
    bare = make_target(tmp_path / "bare")
    for name in four.names:
        (tmp_path / "targets" / name / "env").symlink_to(bare.parents[1] if name == "d2" else sys.prefix)
    shipped = (ROOT / "docs" / "slurm" / "prolog.sh").read_text()
    text = re.sub(r"(?m)^DOCTOR=.*$", f"DOCTOR={Path(sys.executable).parent}/attn-doctor", shipped)
    text = re.sub(r"(?m)^TARGET=.*$", f"TARGET={tmp_path}/targets/$SLURMD_NODENAME/env/bin/python", text)
    assert text.count(str(tmp_path)) == 1
    (tmp_path / "prolog.sh").write_text(text)
    assert four.run("srun", "-N1", "-n1", "-w", "d1", "hostname").returncode == 0
    four.run("srun", "-N1", "-n1", "-w", "d2", "-t", "1", "hostname")
    until(lambda: "drain" in four.states()["d2"])
    assert four.run("sinfo", "-h", "-n", "d2", "-o", "%E").stdout.strip() == "Prolog error"
    assert "drain" not in four.states()["d1"]
    four.run("scancel", "--state=PENDING", "-u", "root")
    [row] = answers("slurm", Asked(check=CHECK, nodes=("d2",), deadline=30), print)
    assert row.end == "refused"
    assert row.said.endswith("Prolog error")


def test_the_shipped_epilog_says_the_same(tmp_path):
    """An exit code that is not 0 drains a node after an epilog too: it is 1 for a finding, and 0 for all else."""
    shipped = (ROOT / "docs" / "slurm" / "epilog.sh").read_text()
    bare = make_target(tmp_path / "bare")
    for target, code in ((bare, 1), (sys.executable, 0), ("/no/such/python", 0)):
        text = re.sub(r"(?m)^DOCTOR=.*$", f"DOCTOR={Path(sys.executable).parent}/attn-doctor", shipped)
        file = tmp_path / "epilog.sh"
        file.write_text(re.sub(r"(?m)^TARGET=.*$", f"TARGET={target}", text))
        assert subprocess.run(["sh", file], timeout=120, check=False).returncode == code, target


# -- Ray

OLD_DRIVER = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  525.60.13  Wed Nov 30 06:39:21 UTC 2022\nGCC version: gcc 12\n"
)
DRIVER = OLD_DRIVER.replace("525.60.13", "580.65.06")


def machine_root(folder: Path, driver: str) -> str:
    """A whole machine as a folder: /proc/driver/nvidia/version, /etc/os-release."""
    (folder / "proc/driver/nvidia").mkdir(parents=True)
    (folder / "proc/driver/nvidia/version").write_text(driver)
    (folder / "etc").mkdir()
    shutil.copy("/etc/os-release", folder / "etc/os-release")
    return str(folder)


@pytest.fixture
def short(tmp_path):
    """A folder with a short name: Ray's sockets have at most 108 letters."""
    folder = Path(f"/tmp/ry{os.getpid()}")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_one_of_four_nodes_is_ill_in_each_of_six_ways(tmp_path, ill, short):
    """Two clusters, because two of the illnesses are a raylet's own variables."""
    pytest.importorskip("ray")
    well = ill["as the others"]
    root = {"ATTN_DOCTOR_ROOT": machine_root(tmp_path / "new", DRIVER)}
    nodes = [
        {"name": "n1", "labels": {"target": well}, "env": root},
        {"name": "n2", "labels": {"target": well}, "env": {"ATTN_DOCTOR_ROOT": machine_root(tmp_path / "old", OLD_DRIVER)}},
        {"name": "n3", "labels": {"target": ill["other torch"]}, "env": {**root, "LD_LIBRARY_PATH": "/opt/old-cuda/lib64"}},
        {"name": "n4", "labels": {"target": ill["missing package"]}, "env": root},
    ]  # fmt: skip
    asked = Asked(check=CHECK, target_from="target", deadline=60, nodes=("n1", "n2", "n3", "n4"))
    with real_ray.cluster(short, nodes) as (address, raylets, _):
        said: list[str] = []
        began = time.monotonic()
        rows = by_name(answers(f"ray:{address}", asked, said.append))
        print("figures: 4 raylets", round(time.monotonic() - began, 1), "s")
        assert ends(rows) == dict.fromkeys(raylets, "answered"), {name: row.said for name, row in rows.items()}
        assert said == ["Nodes to check by Ray: 4."]
        seen = {name: facts_of(row) for name, row in rows.items()}
        assert {name: one["driver"] for name, one in seen.items()} == dict.fromkeys(raylets, "580.65.06") | {
            "n2": "525.60.13"
        }
        assert {name: one["torch"] for name, one in seen.items()} == dict.fromkeys(raylets, "2.6.0+cpu") | {
            "n3": "2.5.1+cpu"
        }
        assert {name for name, one in seen.items() if "ultralytics" not in one["packages"]} == {"n4"}
        assert {name: one["variables"].get("LD_LIBRARY_PATH") for name, one in seen.items()} == dict.fromkeys(
            raylets
        ) | {"n3": "/opt/old-cuda/lib64"}
        # What Ray sets in its workers is not the node's.
        assert not any({"CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"} & one["variables"].keys() for one in seen.values())
        named = {name: first_of(rows["n1"], rows[name]) for name in ("n2", "n3", "n4")}
        assert {name: row.nodes for name, row in named.items()} == {name: (name,) for name in named}
        assert "graphics.driver" in paths(named["n2"])
        assert {"torch.version", "LD_LIBRARY_PATH"} <= paths(named["n3"])
        assert any("ultralytics" in path for path in paths(named["n4"]))
    assert running("raylet", str(short)) == []


def first_of(well: NodeAnswer, ill: NodeAnswer) -> Row:
    """Return the first row about a fleet of three nodes that answered as a healthy one did, and the ill one between them."""
    others = [msgspec.structs.replace(well, node=Node(name=f"well-{number}")) for number in (1, 2, 3)]
    return compare([*others[:2], ill, *others[2:]]).fleet.rows[0]


def paths(row: Row) -> set[str]:
    return {outlier.path for outlier in row.outliers}


def facts_of(row: NodeAnswer) -> dict:
    facts = json.loads(row.report)["facts"]
    return {
        "driver": facts["graphics"]["driver"],
        "torch": facts["torch"]["version"],
        "packages": {one["name"] for one in facts["packages"]["distributions"]},
        "variables": {one["name"]: one["value"] for one in facts["environment"]},
    }


def test_a_killed_node_a_node_that_is_cut_off_and_one_whose_torch_hangs(ill, short):
    """A killed machine is a raylet with all below it killed; one that is cut off is the same, stopped: nothing of it moves any more."""
    pytest.importorskip("ray")
    names = ("n1", "n2", "n3", "n4")
    targets = {name: ill["as the others" if name == "n1" else "hung torch"] for name in names}
    check = (*CHECK, "--timeout", "15")
    asked = Asked(check=check, target_from="target", deadline=90)
    stopped: list[int] = []
    with real_ray.cluster(short, [{"name": name, "labels": {"target": targets[name]}} for name in names]) as (
        address,
        raylets,
        _,
    ):

        def strike() -> None:
            until(
                lambda: all(
                    any(pid in running("engines.node") for pid in family(raylets[name])) for name in ("n2", "n3")
                )
            )
            stopped.extend(family(raylets["n3"]))
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            for pid in family(raylets["n2"]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        thread = threading.Thread(target=strike, daemon=True)
        thread.start()
        began = time.monotonic()
        try:
            rows = by_name(answers(f"ray:{address}", asked, print))
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        print(
            "figures: killed, cut off, hung",
            round(time.monotonic() - began, 1),
            "s",
            {n: (r.end, r.said) for n, r in rows.items()},
        )
        assert ends(rows) == {"head": "answered", "n1": "answered", "n2": "died", "n3": "silent", "n4": "answered"}
        assert "import-hang" in [f["slug"] for f in json.loads(rows["n4"].report)["findings"]]
        named = {name: first_of(rows["n1"], rows[name]) for name in ("n2", "n3", "n4")}
        assert {name: row.nodes for name, row in named.items()} == {name: (name,) for name in named}
        assert [cause.slug for cause in named["n4"].causes][:1] == ["import-hang"]
        assert [named[name].standing for name in ("n2", "n3")] == ["died", "silent"]
        until(lambda: not checks(ill["hung torch"]), 30)
    assert running("raylet", str(short)) == []


def test_a_trial_gets_a_gpu_of_ray_and_all_ends_when_nobody_waits(ill, short):
    """Ray believes what it is told of GPUs. The target has no model, so that the check with a trial ends before one."""
    pytest.importorskip("ray")
    nodes = [
        {"name": "n1", "labels": {"target": ill["missing package"]}, "gpus": 2},
        {"name": "n2", "labels": {"target": ill["hung torch"]}},
    ]
    with real_ray.cluster(short, nodes) as (address, _, _):
        asked = Asked(
            check=("--timeout", "90", "--total-timeout", "90"), target_from="target", deadline=100, nodes=("n1", "n2")
        )
        rows = answers(f"ray:{address}", asked, print)
        first = next(rows)
        assert (first.node.name, first.end) == ("n1", "answered"), first.said
        assert facts_of(first)["variables"]["CUDA_VISIBLE_DEVICES"] in {"0", "1"}
        until(lambda: checks(ill["hung torch"]))
        rows.close()
        until(lambda: not checks(ill["hung torch"]), 40)


def test_no_cluster_at_the_address(short):
    pytest.importorskip("ray")
    from attn_doctor.errors import NotExamined

    with pytest.raises(NotExamined, match="Ray"):
        list(answers("ray:127.0.0.1:1", Asked(check=CHECK, deadline=5), print))


# -- the parcel


def test_a_wheel_of_msgspec_for_another_python_is_brought(tmp_path, monkeypatch):
    """The command of the sentence is run; then a Python without attn-doctor, msgspec or another Python on PATH checks by itself."""
    python = next(iter(sorted(Path("~/.pyenv/versions").expanduser().glob("3.12.*/bin/python"))), None)
    if not python:
        pytest.skip("no Python 3.12 here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = subprocess.run(
        [sys.executable, *how_to_add("3.12").split()[1:]], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert len(list(wheels_folder().iterdir())) == 1
    parcel.cache_clear()
    (tmp_path / "doctor.pyz").write_bytes(parcel())
    parcel.cache_clear()
    done = subprocess.run(
        [python, "-I", "-B", tmp_path / "doctor.pyz", "w", "100", "free", "", "--static"],
        env={"PATH": "/nowhere", "HOME": str(tmp_path)}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    answer = deliver.read(Node(name="x"), "w", done.stdout)
    assert answer.end == "answered", answer.said
    assert json.loads(answer.report)["target"]["version"].startswith("3.12.")
