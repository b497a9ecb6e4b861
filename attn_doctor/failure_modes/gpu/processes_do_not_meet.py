"""The processes of a training on several GPUs do not find each other.

What it is
    Before a distributed training begins, its processes meet: one opens a port, the others connect to it. Variables tell
    them the address, the port, and the number of each process.

How it shows
    "The server socket has failed to listen on any local network address ... EADDRINUSE ... address already in use";
    "Error initializing torch.distributed using env:// rendezvous: environment variable RANK expected, but not set";
    "Timed out after 601 seconds waiting for clients. 1/2 clients joined"; "The client socket has timed out after 60s";
    "use_libuv was requested but PyTorch was build without libuv support"; "unrecognized arguments: --local-rank=0".

Why it happens
    Another training, or the rest of one that was ended, holds the port (29500 is everybody's default). Or the script was
    started by python and not by torchrun. Or a firewall, a container's network or a wrong address keeps the other machine
    away. Or torch for Windows was built without libuv.

What to do
    Port: let torchrun choose one (`torchrun --standalone` on one machine), or give another with --master-port. Variables:
    start with torchrun. Two machines: the same --master-addr on all, reachable, and containers with --network host.
    Windows: set USE_LIBUV=0.

How to reproduce
    `attn-doctor reproduce processes-do-not-meet` starts a process group from variables that are not set. It downloads a
    CPU build of torch (200 MB) where the target has none.

References
    https://docs.pytorch.org/docs/stable/elastic/run.html
    https://docs.pytorch.org/tutorials/intermediate/TCPStore_libuv_backend.html
    https://github.com/pytorch/pytorch/issues/73320
    https://github.com/pytorch/pytorch/issues/139990
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import File, Recipe, Torch
from attn_doctor.failure_modes.shared import building, gloo_devices
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity

MODE = FailureMode(
    code="AD453",
    slug="processes-do-not-meet",
    title="The processes of a training do not find each other",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"RuntimeError: (?P<used>Address already in use)",
            literal="RuntimeError: Address already in use",
            sample="RuntimeError: Address already in use",
        ),
        Sign(
            pattern=r"server socket has failed to (?P<port>listen|bind)",
            literal="server socket has failed to ",
            sample="DistNetworkError: The server socket has failed to listen on any local network address. port: 29500, code: -98, name: EADDRINUSE",
        ),
        Sign(
            pattern=r"environment variable (?P<unset>RANK|WORLD_SIZE|MASTER_ADDR|MASTER_PORT|LOCAL_RANK) expected, but not set",
            literal=" expected, but not set",
            sample="ValueError: Error initializing torch.distributed using env:// rendezvous: environment variable RANK expected, but not set",
        ),
        Sign(
            pattern=r"KeyError: ['\"](?P<unset>LOCAL_RANK|WORLD_SIZE|MASTER_ADDR|RANK)['\"]",
            literal="KeyError: ",
            sample="KeyError: 'LOCAL_RANK'",
        ),
        Sign(
            pattern=r"unrecognized arguments: (?P<argument>--local[-_]rank)",
            literal="unrecognized arguments: --local",
            sample="train.py: error: unrecognized arguments: --local-rank=0",
        ),
        *(
            Sign(pattern=rf"(?P<late>{pattern})", literal=literal, sample=sample)
            for pattern, literal, sample in (
                (
                    r"Timed out after \d+ seconds waiting for clients",
                    "seconds waiting for clients",
                    "torch.distributed.DistStoreError: Timed out after 601 seconds waiting for clients. 1/2 clients joined.",
                ),
                (
                    r"client socket has timed out after \d+",
                    "client socket has timed out after",
                    "DistNetworkError: The client socket has timed out after 60000ms while trying to connect to (10.0.0.4, 29500).",
                ),
                (
                    r"Failed to recv, got 0 bytes\. Connection was likely closed",
                    "Failed to recv, got ",
                    "torch.distributed.DistNetworkError: Failed to recv, got 0 bytes. Connection was likely closed. Did the remote server shutdown or crash?",
                ),
                (
                    "RendezvousTimeoutError",
                    "RendezvousTimeoutError",
                    "torch.distributed.elastic.rendezvous.api.RendezvousTimeoutError",
                ),
                (
                    "RendezvousConnectionError",
                    "RendezvousConnectionError",
                    "RendezvousConnectionError: The connection to the C10d store has failed. See inner exception for details.",
                ),
            )
        ),
        Sign(
            pattern=r"use_(?P<libuv>libuv) was requested but PyTorch was buil[dt] without libuv",
            literal="use_libuv was requested",
            sample="RuntimeError: use_libuv was requested but PyTorch was build without libuv support",
        ),
        *gloo_devices.SIGNS,
        Sign(
            pattern=r"--nnodes[= ](?P<nodes>[2-9]|\d\d)",
            literal="--nnodes",
            sample="$ torchrun --nnodes 2 --nproc-per-node 8 train.py",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="starts a process group from variables that are not set",
        of=(
            Torch(),
            File(path="group.py", text="import torch.distributed as processes\nprocesses.init_process_group('gloo')\n"),
        ),
        run=(("{python}", "group.py"),),
        shows="expected, but not set",
        goal=Goal.TRAIN,
        seconds=10,
    ),
)
# There is no `detect`: which ports are used is seen when the training starts.

Case = Literal["port", "device", "unset", "argument", "late", "libuv"]


class Alone(Variant, frozen=True, kw_only=True):
    """Hold why the processes did not meet.

    "port": the port is in use. "unset": a variable is missing that torchrun sets. "argument": the script does not know --local-rank. "late":
    a process did not connect in time. "libuv": this torch was built without libuv. "device": gloo finds no
    address of this machine.
    """

    by: Case
    nodes: bool = False  # the training runs on several machines


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if m.strength == "proof"]
    if not told:
        return None
    said = seen.captured()
    case: Case = (
        "device"
        if "device" in said
        else "libuv"
        if "libuv" in said
        else "port"
        if "port" in said or "used" in said
        else "unset"
        if "unset" in said
        else "argument"
        if "argument" in said
        else "late"
    )
    message = {
        "port": "The port at which the processes of the training meet is in use: by another training, or by a process that was left behind.",
        "unset": f"The variable {said.get('unset')} is not set: torchrun sets it, and the script was started without torchrun.",
        "argument": "The launcher passes --local-rank to the script, and the script does not know this option.",
        "late": "The processes of the training did not all connect in time: another process died or did not start, or the network keeps it away.",
        "device": gloo_devices.MESSAGE,
        "libuv": "torch asks for libuv to connect the processes, and this torch was built without libuv.",
    }[case]
    return Hit(
        message=message,
        evidence=building.lines(told[:4]),
        variant=Alone(by=case, nodes="nodes" in said),
        confidence=Confidence.MEDIUM if case == "late" else Confidence.HIGH,
    )


_SCRIPT = re.compile(r"(?:^|[\s/])(?P<script>[\w./-]+\.py)(?P<rest>(?: [\w./=-]+){0,12})$")


def _script(facts: Facts) -> tuple[str, ...]:
    """Return the script of the typed command with its arguments; else an example."""
    command = facts.subject.command
    found = _SCRIPT.search(command) if isinstance(command, str) else None
    return (found["script"], *found["rest"].split()) if found else ("train.py",)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if not isinstance(hit.variant, Alone):
        cases: tuple[Case, ...] = ("unset", "port", "late", "libuv")
        return tuple(fix for case in cases for fix in _of(facts, Alone(by=case)))
    return _of(facts, hit.variant)


def _of(facts: Facts, alone: Alone) -> tuple[Fix, ...]:
    """Return the fixes for one case, the best first."""
    verify = commands.check(facts)
    script = _script(facts)
    windows = facts.system.os == "windows"
    if alone.by == "device":
        return gloo_devices.fixes(facts, several=alone.nodes)
    if alone.by == "libuv":
        without = commands.variable("USE_LIBUV", "0", "torch then connects the processes without libuv")
        return (Fix(title="Do without libuv", steps=(without,), verify=verify),)
    launch = commands.by_hand(
        ("torchrun", "--standalone", "--nproc-per-node=2", *script),
        "starts one process for each GPU, and sets the variables: 2 is the number of GPUs (1 for one GPU). --standalone: on one machine, at a free port",
        "nothing",
        "none",
    )
    if alone.by == "unset":
        return (Fix(title="Start the script with torchrun", steps=(launch,), verify=verify),)
    if alone.by == "argument":
        words = 'the script then reads LOCAL_RANK from the environment, as os.environ["LOCAL_RANK"]; an old script: add the option --local-rank to its argument parser'
        step = commands.by_hand(launch.argv, f"torchrun passes no such option: {words}", "nothing", "none")
        return (Fix(title="Start the script with torchrun", steps=(step,), verify=verify),)
    if alone.by == "port":
        port = commands.by_hand(
            launch.argv
            if not alone.nodes
            else (
                "torchrun",
                "--nnodes=2",
                "--nproc-per-node=2",
                "--master-addr=ADDRESS",
                "--master-port=29517",
                *script,
            ),
            "takes another port: --standalone chooses a free one. ultralytics chooses by itself: start it again. A program with its own launcher: set "
            "MASTER_PORT, or its option --master_port, to another number, such as 29517",
            "nothing",
            "none",
        )
        look = commands.by_hand(
            ("powershell", "-Command", "Get-NetTCPConnection -LocalPort 29500 | Select-Object OwningProcess")
            if windows
            else ("sh", "-c", "ss -ltnp | grep 29500"),
            "prints the process that holds the port. If it is left of an earlier training, end it by its number",
            "nothing",
            "none",
        )
        left = Fix(title="End the process that was left behind", steps=(look,), verify=verify)
        return (Fix(title="Use another port", steps=(port,), verify=verify), left)
    return _late(facts, alone)


def _late(facts: Facts, alone: Alone) -> tuple[Fix, ...]:
    """Return the fixes for processes that did not connect in time.

    Find the process that did not come, or let the machines reach each other.
    """
    verify = commands.check(facts)
    above = commands.by_hand(
        (),
        "look in the output of every process and every machine for an error before this line: a process that died or was never started cannot connect. "
        "Start the training on all machines, within a minute of each other",
        "nothing",
        "none",
    )
    reach = commands.by_hand(
        ("nc", "-vz", "ADDRESS", "29500"),
        "from the other machine, while the first waits: ADDRESS and the port are those of --master-addr and --master-port, the same on all machines. If it does "
        "not connect, open the port in the firewall"
        + (", and start the containers with --network host" if places.container(facts) else ""),
        "nothing",
        "none",
    )
    first = Fix(title="Find the process that did not come", steps=(above,), verify=verify)
    net = Fix(title="Let the machines reach each other", steps=(reach,), verify=verify)
    return (net, first) if alone.nodes else (first, net)
