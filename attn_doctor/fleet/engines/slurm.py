"""Check nodes by Slurm, with an srun for each node: if a node dies, the answers of the others are not lost."""

from __future__ import annotations

import functools
import math
import os
import shlex
from collections.abc import Callable, Iterator
from typing import NamedTuple

from attn_doctor import child
from attn_doctor.errors import NotExamined, Refused
from attn_doctor.fleet.engines.asked import Asked
from attn_doctor.fleet.engines.deliver import (
    COMMAND,
    SLACK,
    Failed,
    all_at_once,
    known,
    last_words,
    over_stdin,
    program,
)
from attn_doctor.model.fleet import Node, NodeAnswer
from attn_doctor.system import leftovers

_COMES_WITH = "run this on a login node of the cluster, with Slurm's client programs"
_QUEUE = 60.0  # seconds that a job may wait for a processor of its node
_FORMAT = "%N|%T|%P|%G|%f|%E"  # man sinfo: node, state, partition, generic resources, features, reason; the reason is free text, so it is last
# Signs after a state that do not forbid a job: "~" powered down and "#" powering up wake up for one, "-" is planned for another job.
_FLAGS = "~#-+^@"
_USABLE = {"idle", "mixed", "allocated", "completing", "planned"}


class Listed(NamedTuple):
    """Hold a node as Slurm lists it. `why_not`: why no job can start there; empty: a job can start."""

    node: Node
    why_not: str
    gpu: bool


def listed(said: str) -> list[Listed]:
    """Return the nodes in the output of `sinfo -N -h -o FORMAT`: it has a line for each node and partition. Pure."""
    found: dict[str, Listed] = {}
    for line in said.splitlines():
        if line.count("|") < _FORMAT.count("|"):
            continue
        name, state, partition, resources, features, reason = line.strip().split("|", _FORMAT.count("|"))
        labels = {"partition": partition.rstrip("*"), "state": state}
        if name in found:
            labels["partition"] = f"{found[name].node.labels['partition']},{labels['partition']}"
        if resources != "(null)":
            labels["gres"] = resources
        plain = []
        for feature in features.split(",") if features != "(null)" else []:
            key, sign, value = feature.partition("=")
            if sign:
                labels[key] = value
            else:
                plain.append(key)
        if plain:
            labels["features"] = ",".join(plain)
        found[name] = Listed(
            Node(name=name, labels=labels), _why_not(state, reason), resources.startswith("gpu") or ",gpu" in resources
        )
    return list(found.values())


def _why_not(state: str, reason: str) -> str:
    plain = state.rstrip(_FLAGS)
    said = f": {reason}" if reason not in ("none", "") else ""
    if plain.endswith("*"):
        return f"Slurm cannot reach it, its state is {plain.rstrip('*')}{said}"
    return "" if plain in _USABLE else f"its state in Slurm is {state}{said}"


def answers(where: str, asked: Asked, say: Callable[[str], None]) -> Iterator[NodeAnswer]:
    """Yield the answers of the nodes of a partition. `where`: its name; empty: all partitions.

    Raises NotExamined if Slurm's programs are missing or do not answer, Refused if the partition has no node.
    """
    sinfo, srun = program("sinfo", _COMES_WITH), program("srun", _COMES_WITH)
    told = child.command(
        [sinfo, "-N", "-h", "-o", _FORMAT, *(("-p", where) if where else ())], deadline=30.0, most=32 << 20
    )
    if told.fault:
        raise NotExamined(f"sinfo gave no list of nodes: {last_words(told.stderr) or told.fault.kind}")
    nodes = listed(told.stdout)
    if not nodes:
        raise Refused(f"Slurm has no node in the partition {where!r}" if where else "Slurm has no node")
    yield from known(asked, [one.node.name for one in nodes], "Slurm")
    chosen = [one for one in nodes if not asked.nodes or one.node.name in asked.nodes]
    usable = [one for one in chosen if not one.why_not]
    say(f"Nodes to check by Slurm: {len(usable)} of {len(chosen)}.")
    for one in chosen:
        if one.why_not:
            yield NodeAnswer(node=one.node, end="refused", said=one.why_not)
    yield from all_at_once(
        [
            functools.partial(
                over_stdin,
                node=one.node,
                argv=_argv(srun, one, where, asked),
                asked=asked,
                failed=_failed,
                wait=_QUEUE,
            )
            for one in usable
        ]
    )


def _argv(srun: str, one: Listed, partition: str, asked: Asked) -> list[str]:
    """Return the argv of one srun.

    It requests a GPU if Slurm lists one: some sites show a job only the devices that it requested. SLURM_JOB_ID is removed,
    because inside of an allocation srun would use a part of that allocation: so each check is a job of its own.
    """
    outer = {name: os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP", leftovers.MARK)}
    given = [f"{name}={value}" for name, value in outer.items() if value is not None]
    removed = [name for name, value in outer.items() if value is None] + ["SLURM_JOB_ID", "SLURM_JOBID"]
    return [
        *("/usr/bin/env", *(word for name in removed for word in ("-u", name)), *given),
        *(srun, "--nodes=1", "--ntasks=1", f"--nodelist={one.node.name}", "--job-name=attn-doctor", "--chdir=/tmp"),
        *(f"--immediate={_QUEUE:g}", f"--time={math.ceil((asked.deadline + SLACK) / 60) + 1}"),
        *((f"--partition={partition}",) if partition else ()),
        *(("--gres=gpu:1",) if one.gpu else ()),
        *shlex.split(COMMAND),
    ]


def _failed(code: int | None, chatter: str) -> Failed:
    """Return the meaning of srun's words. Slurm's own reason is a part of it."""
    lines = [
        line.removeprefix("srun: ").removeprefix("error: ")
        for line in chatter.splitlines()
        if line.startswith("srun: ")
    ]
    words = "; ".join(dict.fromkeys(lines))[-400:]
    if "nodes are busy" in chatter or "Unable to allocate" in chatter:
        return Failed("refused", f"Slurm started no job there within {_QUEUE:g} s: {words}")
    if "rolog" in chatter:
        return Failed("refused", f"its prolog refused the job: {words}")
    if code == 127:
        return Failed("refused", "it has no python3 on the PATH of a job")
    return Failed("died", f"Slurm: {words}" if words else f"srun ended with exit code {code}: {last_words(chatter)}")
