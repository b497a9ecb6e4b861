"""The engines of `attn-doctor fleet` with the real thing: sshd, a Slurm of four nodes. All on this machine."""

from __future__ import annotations

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

import network_namespace
import pytest
import real_slurm
from real_nodes import CHECK, by_name, ends, ill_targets, left_behind, running, until
from real_sshd import SSHD, sshd
from targets import make_target

from attn_doctor.fleet.engines import Asked, answers, deliver
from attn_doctor.fleet.engines.parcel import how_to_add, parcel, wheels_folder
from attn_doctor.model.fleet import Node

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def ill(tmp_path_factory) -> dict[str, str]:
    return ill_targets(tmp_path_factory.mktemp("ill"))


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


@pytest.mark.skipif(not SSHD, reason="no sshd here")
@pytest.mark.parametrize("deadline", [15, 200])
def test_a_host_whose_network_is_cut_is_silent(deadline, tmp_path, ill, monkeypatch):
    """With 15 s the deadline comes first; with 200 s ssh notices it, after three questions without an answer."""
    if why := network_namespace.missing():
        pytest.skip(why)
    own = tmp_path / "far"
    own.mkdir()
    hosts = tmp_path / "hosts"
    hosts.write_text(f"near target={ill['as the others']}\nfar target={ill['hung torch']}\n")
    check = (*CHECK, "--timeout", "100", "--total-timeout", "100")
    (tmp_path / "near").mkdir()
    (tmp_path / "cut").mkdir()
    monkeypatch.setenv("TMPDIR", str(own))  # of both sshd, and so of their checks
    with (
        network_namespace.namespace(f"adssh{os.getpid() % 100000}") as apart,
        sshd(tmp_path / "near") as near,
        sshd(tmp_path / "cut", apart.there, apart.within) as far,
    ):
        near.host("near")
        near.host("far", HostName=apart.there, Port=str(far.port), IdentityFile=str(tmp_path / "cut" / "user"))
        monkeypatch.setenv("PATH", near.path())
        asked = Asked(check=check, target_from="target", deadline=deadline)

        def pull() -> None:
            until(lambda: running(ill["hung torch"], "--total-timeout"), 60)
            pulled.append(time.monotonic())
            apart.cut()

        pulled: list[float] = []
        thread = threading.Thread(target=pull, daemon=True)
        thread.start()
        rows = by_name(answers(f"ssh:@{hosts}", asked, print))
        took = time.monotonic() - pulled[0]
        print("figures: cut off, deadline", deadline, round(took, 1), "s after the cable was pulled", rows["far"].said)
        assert ends(rows) == {"near": "answered", "far": "silent"}
        assert took < (15 + 15 + 20 + 10 if deadline == 15 else 45 + 20)
        assert ("cut off" in rows["far"].said) == (deadline == 200)
        if deadline == 15:  # and the far side ends by its own deadline
            until(lambda: not running(ill["hung torch"], "--total-timeout"), 60)
            until(lambda: not left_behind(own), 20)


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
