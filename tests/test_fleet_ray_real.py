"""`attn-doctor fleet --on ray` with a real Ray cluster of four raylets on this machine: nodes that are ill, killed, cut off, or hang."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import network_namespace
import pytest
import real_ray
from real_nodes import CHECK, by_name, checks, ends, family, ill_targets, left_behind, running, until

from attn_doctor.fleet.compare import compare
from attn_doctor.fleet.engines import Asked, answers
from attn_doctor.model.fleet import Node, NodeAnswer, Row

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def ill(tmp_path_factory) -> dict[str, str]:
    return ill_targets(tmp_path_factory.mktemp("ill"))


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
        assert {"torch.version", "environment.LD_LIBRARY_PATH"} <= paths(named["n3"])
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


def test_a_node_whose_network_is_cut_is_named_first(tmp_path, ill, short):
    """The node is in a network namespace of its own, and its cable is pulled in mid-check."""
    pytest.importorskip("ray")
    if why := network_namespace.missing():
        pytest.skip(why)
    own_temporary = tmp_path / "far"
    own_temporary.mkdir()
    with network_namespace.namespace(f"adray{os.getpid() % 100000}") as apart:
        nodes = [
            {"name": "head", "ip": apart.here},
            *({"name": name, "labels": {"target": ill["as the others"]}} for name in ("n1", "n2", "n3")),
            {"name": "far", "resources": {f"target={ill['hung torch']}": 1}, "env": {"TMPDIR": str(own_temporary)},
             "within": apart.within, "ip": apart.there},
        ]  # fmt: skip
        with real_ray.cluster(short, nodes) as (address, _, _):
            argv = [sys.executable, "-m", "attn_doctor", "fleet", "--on", f"ray:{address}", "--target-from", "target"]
            argv += ["--node", "n1", "--node", "n2", "--node", "n3", "--node", "far", "--deadline", "90"]
            argv += [
                "--check-options=--no-trial --timeout 80 --total-timeout 85",
                "--json",
                str(tmp_path / "fleet.json"),
            ]
            began = time.monotonic()
            command = subprocess.Popen(
                argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env={**os.environ, "RAY_TMPDIR": str(short)},
            )  # fmt: skip
            try:
                until(lambda: running("engines.node", ill["hung torch"]), 120)
                cut = time.monotonic()
                apart.cut()
                screen, said = command.communicate(timeout=240)
            finally:
                command.kill()
            took = time.monotonic() - cut
            print("figures: cut", round(cut - began, 1), "s after the start; the answer", round(took, 1), "s later")
            print(screen, said)
            assert command.returncode == 1, said
            fleet = json.loads((tmp_path / "fleet.json").read_text())
            assert [row["standing"] for row in fleet["rows"]] == [
                "silent",
                "sick",
            ]  # the target of the others is no real torch
            assert fleet["rows"][0]["said"] == (
                "Ray lost the connection to it while the check ran: the node is cut off, or hangs"
            )
            lines = screen.splitlines()
            at = next(place for place, line in enumerate(lines) if line.startswith("Nodes, the ill ones first"))
            assert "far" in lines[at + 1]
            assert took < 90 + 20 + 10  # the deadline of the node, the slack, and the end of the command
            # The node itself still runs: its check ends by its own deadline, and takes all that it brought with it.
            until(lambda: not checks(ill["hung torch"]), 120)
            until(lambda: not left_behind(own_temporary), 20)
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
