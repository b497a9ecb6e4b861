"""Start one task on each node of a Ray cluster, and report the results. A program: `ray` starts it in a Python of its own.

Ray prints to the screen, and ends its whole process if it loses its cluster. So it is never imported into attn-doctor's own
process. The variables of the program are those of `CONFIG`: address, folder, parcel, check, target_from, seconds, nodes, tries,
queue, slack.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attn_doctor.target.channel import CONFIG, tell

_LOOK = 5.0  # seconds between two looks at which nodes Ray counts as dead


def _check(parcel: bytes, arguments: Sequence[str], seconds: float) -> Iterator[bytes]:
    """Run the parcel on this node. Yield once when it begins, then yield its output.

    Ray sends this function to the node without its module.
    """
    import os
    import subprocess
    import sys
    import tempfile
    import threading

    yield b""
    # Ray hides the GPUs of a task that asks for none, and limits the threads of OpenMP: that is Ray's, not the node's.
    environ = dict(os.environ)
    try:
        with open(f"/proc/{os.getppid()}/environ", "rb") as file:  # noqa: PTH123
            raylet = dict(line.partition(b"=")[::2] for line in file.read().split(b"\0") if b"=" in line)
        environ = {os.fsdecode(name): os.fsdecode(value) for name, value in raylet.items()}
    except OSError:
        for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"):
            environ.pop(name, None)
    if os.environ.get("CUDA_VISIBLE_DEVICES"):  # the GPU that Ray gave to this task: the others may be in use
        environ["CUDA_VISIBLE_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"]
    number, path = tempfile.mkstemp(prefix="attn-doctor-", suffix=".pyz")
    with os.fdopen(number, "wb") as file:
        file.write(parcel)
    child = subprocess.Popen(
        [sys.executable, "-I", "-B", path, *arguments],
        stdin=subprocess.PIPE,  # it closes if Ray ends this worker, and the check ends with it
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**environ, "ATTN_DOCTOR_PARCEL": path},
        start_new_session=True,
    )
    clock = threading.Timer(seconds, child.kill)
    clock.start()
    try:
        output = child.stdout.read() if child.stdout else b""
    finally:
        clock.cancel()
        if child.stdin:
            child.stdin.close()
        child.wait()
        if os.path.exists(path):
            os.unlink(path)  # noqa: PTH108
    yield output


def _named(nodes: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the nodes by name, each name once."""
    named: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        name = node.get("NodeName") or ""
        if not name or name == node.get("NodeManagerAddress"):
            name = node.get("NodeManagerHostname") or node["NodeID"]
        named.setdefault(name, []).append(node)
    return {
        name if len(same) == 1 else f"{name}-{node['NodeID'][:8]}": node
        for name, same in named.items()
        for node in same
    }


def _labels(node: dict[str, Any]) -> dict[str, str]:
    """Return the labels of a node.

    In Ray versions without labels, they are custom resources: {"target=/opt/yolo/bin/python": 1}.
    """
    written = dict(name.partition("=")[::2] for name in node.get("Resources", {}) if "=" in name)
    given = {name: str(value) for name, value in (node.get("Labels") or {}).items() if name != "ray.io/node-id"}
    return {**written, **given}


class _Pending:
    def __init__(self, name: str, node: str, stream: Any) -> None:
        self.name = name
        self.node = node  # its number in Ray
        self.stream = stream
        self.asked = time.monotonic()
        self.begun: float | None = None
        self.lost: float | None = None  # since when Ray counts the node as dead

    def late(self) -> str:
        """Return why nobody waits for this task any more; an empty text while somebody waits."""
        now = time.monotonic()
        if self.begun is None:
            late = now - self.asked > CONFIG["queue"]
            return (
                f"Ray did not start the check there within {CONFIG['queue']:g} s: what it asks for is in use, or the node is cut off"
                if late
                else ""
            )
        late = now - self.begun > CONFIG["seconds"] + CONFIG["slack"]
        return f"nothing came from it within {now - self.begun:.0f} s" if late else ""


def _deaths(ray: Any) -> dict[str, str]:
    """Return why Ray counts nodes as dead, by their numbers."""
    return {node["NodeID"]: node.get("DeathReasonMessage") or "" for node in ray.nodes() if not node.get("Alive")}


def _is_lost(words: str) -> bool:
    """Return whether Ray ended the node because it did not answer: it is cut off, hangs, or has no power."""
    return "heartbeat" in words or "health check" in words


def _dead(death: str, begun: bool) -> tuple[str, str]:
    """Return the end and the sentence for a node that Ray counts as dead. `death`: Ray's reason. `begun`: the check had begun there."""
    when = "while the check ran" if begun else "before the check began there"
    if _is_lost(death):
        return "silent", f"Ray lost the connection to it {when}: the node is cut off, or hangs"
    return "died", f"it left the Ray cluster {when}"


def _end(error: Exception, death: str) -> tuple[str, str]:
    """Return the end and the sentence for an exception of Ray. `death`: why Ray counts the node as dead."""
    words = re.split(r" lease_id=|\. Node IP: |\. This can happen", " ".join(str(error).split()))[0]
    if _is_lost(words):
        return _dead(words, begun=True)
    if "exist any more" in words:
        return _dead(death, begun=False)
    if type(error).__name__ in ("TaskUnschedulableError", "RuntimeEnvSetupError"):
        return "refused", f"Ray could not start the check there: {words[:300]}"
    return "died", f"{type(error).__name__} of Ray: {words[:300]}"


def main() -> None:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    tell("ray", {"version": ray.__version__})
    ray.init(address=CONFIG["address"] or "auto", log_to_driver=False, logging_level="ERROR", namespace="attn-doctor")
    nodes = _named(ray.nodes())
    tell("nodes", list(nodes))
    # No processor is asked for: a head node often has none to give, and a node that works must answer too.
    check = ray.remote(num_cpus=0, max_retries=0, num_returns="streaming")(_check)
    parcel = ray.put(Path(CONFIG["parcel"]).read_bytes())
    pending = []
    for name, node in nodes.items():
        if CONFIG["nodes"] and name not in CONFIG["nodes"]:
            continue
        labels = _labels(node)
        tell("node", {"name": name, "labels": labels})
        if not node.get("Alive"):
            why = node.get("DeathReasonMessage") or "without a reason"
            tell("end", {"name": name, "end": "refused", "said": f"Ray says that it is dead: {why}"})
            continue
        options = {
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            "name": "attn-doctor",
        }
        if CONFIG["tries"] and node.get("Resources", {}).get("GPU"):
            options["num_gpus"] = 1
        target = labels.get(CONFIG["target_from"] or "", "")
        arguments = [CONFIG["word"], f"{CONFIG['seconds']:g}", "hold", target, *CONFIG["check"]]
        stream = check.options(**options).remote(parcel, arguments, CONFIG["seconds"] + CONFIG["slack"] / 2)
        pending.append(_Pending(name, node["NodeID"], stream))
    looked = time.monotonic()
    deaths: dict[str, str] = {}
    while pending:
        if time.monotonic() - looked > _LOOK:
            looked, deaths = time.monotonic(), _deaths(ray)
        ready, _ = ray.wait([one.stream for one in pending], num_returns=1, timeout=0.2, fetch_local=False)
        for one in list(pending):
            if any(one.stream is stream for stream in ready) and _took(ray, one):
                pending.remove(one)
            elif end := _given_up(one, deaths):
                tell("end", {"name": one.name, "end": end[0], "said": end[1]})
                ray.cancel(one.stream, force=True, recursive=True)
                pending.remove(one)
    ray.shutdown()


def _given_up(one: _Pending, deaths: dict[str, str]) -> tuple[str, str] | None:
    """Return the end and the sentence of a node that is waited for no longer; None: it is still waited for.

    A task on a node whose network is gone does not end by itself: Ray counts the node as dead after a minute, and says nothing of the task.
    """
    if one.node in deaths:
        one.lost = one.lost or time.monotonic()
        if time.monotonic() - one.lost > _LOOK:  # what the task itself says of its end comes first
            return _dead(deaths[one.node], begun=one.begun is not None)
    late = one.late()
    return ("silent", late) if late else None


def _took(ray: Any, one: _Pending) -> bool:
    """Read the results of a task so far. Return whether the task has ended."""
    try:
        output = ray.get(next(one.stream), timeout=30)
    except StopIteration:
        tell("end", {"name": one.name, "end": "died", "said": "its task ended without an answer"})
        return True
    except Exception as error:  # noqa: BLE001 - whatever Ray says of one node is that node's row
        end, said = _end(error, _deaths(ray).get(one.node, ""))
        tell("end", {"name": one.name, "end": end, "said": said})
        return True
    if one.begun is None:
        one.begun = time.monotonic()
        return False
    file = Path(CONFIG["folder"], os.urandom(8).hex())
    file.write_bytes(output)
    tell("answer", {"name": one.name, "file": str(file)})
    return True


try:
    main()
except Exception as error:  # noqa: BLE001 - told to the process that reads
    tell(
        "failed",
        {
            "type": type(error).__name__,
            "words": " ".join(str(error).split())[:400],
            "config": json.dumps(CONFIG["address"]),
        },
    )
