"""A real Ray cluster of several raylets on this machine, in a process of its own: `python real_ray.py` with a list of nodes as JSON on standard input.

Each node: {"name": ..., "labels": {...}, "resources": {...}, "env": {...}, "gpus": 2, "within": [...], "ip": "10.0.0.2"}. `within` is the beginning
of a command line that runs in another network namespace; the head then needs an "ip" that is reached from there: {"name": "head", "ip": ...}. It prints a line of JSON with the address and the raylets' numbers when
all are there, then obeys the lines of its standard input: "kill NAME". It ends with its standard input.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def main() -> None:
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    os.environ["RAY_raylet_start_wait_time_s"] = "200"  # noqa: SIM112 - Ray spells it so; the machine may be busy
    real = os.dup(1)
    os.dup2(2, 1)
    from ray.cluster_utils import Cluster

    nodes = json.loads(sys.stdin.readline())
    head = {"num_cpus": 0, "node_name": "head", "include_dashboard": False}
    ip = next((node["ip"] for node in nodes if node["name"] == "head"), None)
    cluster = Cluster(initialize_head=True, head_node_args={**head, **({"node_ip_address": ip} if ip else {})})
    made = {}
    apart = {}
    for node in nodes:
        if node["name"] == "head":
            continue
        if "within" in node:
            apart[node["name"]] = joined(cluster.address, node)
            continue
        before = dict(os.environ)
        os.environ.update(node.get("env", {}))
        made[node["name"]] = cluster.add_node(
            wait=False,
            num_cpus=1,
            num_gpus=node.get("gpus", 0),
            node_name=node["name"],
            labels=node.get("labels", {}),
            resources=node.get("resources", {}),
            object_store_memory=80 << 20,
            **({"node_ip_address": ip} if ip else {}),
        )
        os.environ.clear()
        os.environ.update(before)
    cluster.wait_for_nodes(240)
    raylets = {name: one.all_processes["raylet"][0].process.pid for name, one in made.items()}
    raylets |= {name: process.pid for name, process in apart.items()}
    wait_for(cluster, set(raylets), apart)
    os.write(real, (json.dumps({"address": cluster.address, "raylets": raylets}) + "\n").encode())
    for line in sys.stdin:
        word, _, name = line.strip().partition(" ")
        if word == "kill":
            cluster.remove_node(made[name], allow_graceful=False)
    cluster.shutdown()
    for process in apart.values():
        process.kill()


def joined(address: str, node: dict) -> subprocess.Popen[bytes]:
    """Start a raylet by `ray start` in another network namespace."""
    argv = [*node["within"], sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    argv += ["--address", address, "--node-ip-address", node["ip"], "--node-name", node["name"], "--num-cpus", "1"]
    argv += ["--object-store-memory", str(80 << 20), "--resources", json.dumps(node.get("resources", {}))]
    return subprocess.Popen(
        argv, stdout=2, stderr=2, stdin=subprocess.DEVNULL, env={**os.environ, **node.get("env", {})}
    )


def wait_for(cluster: Any, names: set[str], apart: dict[str, subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + 120
    while True:
        known = {node["NodeName"] for node in cluster.global_state.node_table() if node["Alive"]}
        if names <= known:
            return
        assert not any(process.poll() for process in apart.values()), "ray start failed"
        assert time.monotonic() < until, f"only {known} of {names} joined"
        time.sleep(0.5)


@contextlib.contextmanager
def cluster(folder: Path, nodes: Sequence[dict]) -> Iterator[tuple[str, dict[str, int], subprocess.Popen[str]]]:
    """The address of the cluster, the process number of each raylet, and the process that obeys."""
    with (folder / "ray.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "RAY_TMPDIR": str(folder)},
            start_new_session=True,
        )
    try:
        process.stdin.write(json.dumps(nodes) + "\n")
        process.stdin.flush()
        made = json.loads(process.stdout.readline() or "{}")
        assert made, (folder / "ray.log").read_text()[-2000:]
        yield made["address"], made["raylets"], process
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        process.stdout.close()


if __name__ == "__main__":
    main()
