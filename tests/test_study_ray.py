"""A study on a Ray cluster of several raylets on this machine: cells that only wait, a raylet that is killed, and real trainings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from study_kit import environment, fake_python, looked_at, small_design

from attn_doctor.model.study import Event, Study
from attn_doctor.study.conduct import Wanted, conduct
from attn_doctor.study.on_ray import OnRay
from attn_doctor.target import __file__ as target

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore")]
ray = pytest.importorskip("ray")

WRITE = """
import json, os, sys
exec(compile(open(sys.argv[1]).read(), "study_data.py", "exec"))
write_shapes(sys.argv[2], train=10, val=4, size=64, seed=3)
"""


class Heard:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.changed = threading.Event()

    def happened(self, event: Event, study: Study) -> None:
        self.events.append(event)
        self.changed.set()

    def alive(self, sign: object) -> None:
        pass


@pytest.fixture
def cluster(monkeypatch):
    """Start a head without cores, and two raylets of one core each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")  # a busy machine needs a minute for each
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("FAKE", json.dumps({"eager": "slow:1", "sdpa-flash": "slow:1"}))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.workers = [made.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


def on_the_cluster(folder: Path, heard: Heard, design=None) -> Study:
    wanted = Wanted(python=fake_python(folder), environ=environment(), folder=folder / "study")
    return conduct(design or small_design(), looked_at(), wanted, heard, OnRay(None, None))


def test_cells_are_spread_and_a_killed_raylet_costs_its_running_cell_only(cluster, tmp_path):
    heard = Heard()
    lost = []

    def kill_when_both_train() -> None:
        while True:
            heard.changed.wait()
            heard.changed.clear()
            begun = [e for e in heard.events if e.at == "begin"]
            if any(
                e.at == "epoch" and (e.arm, e.seed) == (begun[1].arm, begun[1].seed)
                for e in heard.events[1:]
                if begun[1:]
            ):
                node = next(n for n in cluster.workers if begun[1].where.endswith(n.node_id[:8]))
                lost.append((begun[1].arm, begun[1].seed))
                cluster.remove_node(node, allow_graceful=False)
                return

    threading.Thread(target=kill_when_both_train, daemon=True).start()
    study = on_the_cluster(tmp_path, heard)
    assert [c.state for c in study.cells] == ["done"] * 4
    begun = [(e.arm, e.seed) for e in heard.events if e.at == "begin"]
    assert sorted(begun) == sorted([*((c.arm, c.seed) for c in study.cells), *lost])
    assert len({e.where for e in heard.events if e.at == "begin"}) == 2
    # The cell went on from its last epoch: the folder is shared.
    again = [e for e in heard.events if e.at == "begin" and (e.arm, e.seed) == lost[0]][1]
    assert again.kept >= 1
    (tmp_path / "here").mkdir()
    here = conduct(
        small_design(),
        looked_at(),
        Wanted(python=fake_python(tmp_path), environ=environment(FAKE="{}"), folder=tmp_path / "here" / "study"),
        Heard(),
    )
    assert [c.epochs for c in study.cells] == [c.epochs for c in here.cells]


def test_real_trainings_on_two_raylets_are_those_of_one_machine(cluster, tmp_path):
    script = Path(target).parent / "study_data.py"
    subprocess.run([sys.executable, "-c", WRITE, str(script), str(tmp_path / "data")], check=True)
    argv = [sys.executable, "-m", "attn_doctor", "study", "--data", str(tmp_path / "data" / "shapes.yaml")]
    argv += ["--imgsz", "64", "--batch", "4", "--epochs", "2", "--seeds", "0", "--threads", "1", "--device", "cpu"]
    argv += ["--attention", "eager", "sdpa-flash", "--json", "-"]
    found = []
    for place in (["--on", f"ray:{cluster.address}", "--folder", "there"], ["--folder", "here"]):
        done = subprocess.run(
            [*argv, *place],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "FAKE": "{}"},
        )
        cells = json.loads(done.stdout)["study"]["cells"]
        found.append([(c["state"], c["weights"], [e["losses"] for e in c["epochs"]]) for c in cells])
        assert {bool(c["where"]) for c in cells} == {place[0] == "--on"}
    assert found[0] == found[1]
    assert [state for state, *_ in found[0]] == ["done", "done"]
