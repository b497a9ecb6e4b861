"""Read in a log that other processes hold the memory of a GPU, and make the cures. Pure.

torch's message has the sizes: https://github.com/pytorch/pytorch/blob/main/c10/cuda/CUDACachingAllocator.cpp. nvidia-smi does not list processes of
another container, nor any process inside a container or under WSL: https://docs.nvidia.com/cuda/wsl-user-guide/index.html
"""

from __future__ import annotations

import re
from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Sign, Variant
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step

_SIZE = r"[\d.]+ [KMG]i?B"
SIGNS = (
    # Two signs, each with the end of what it needs: a terminal may have broken the line before it.
    *(
        Sign(
            pattern=rf"GPU (?P<gpu>\d+) has a total capaci?ty of (?P<total>{_SIZE}) of which (?P<free>{_SIZE}) is free\.(?P<rest>.{{0,1200}}?{end})",
            literal=" of which ",
            sample="CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 23.64 GiB of which 12.19 MiB is free. Process 4711 has 21.90 GiB memory in "
            "use. Including non-PyTorch memory, this process has 1.60 GiB memory in use. Of the allocated memory 1.01 GiB is allocated by PyTorch, and 12.00 MiB is reserved by PyTorch",
            strength="hint",
        )
        for end in (rf"this process has {_SIZE} memory in use", "is reserved by PyTorch")
    ),
    Sign(
        pattern=rf"\(GPU (?P<gpu>\d+); (?P<total>{_SIZE}) total capacity; (?P<used>{_SIZE}) already allocated; (?P<free>{_SIZE}) free; "
        rf"(?:(?P<own>{_SIZE}) (?:reserved|cached))?",
        literal=" total capacity; ",
        sample="CUDA out of memory. Tried to allocate 216.00 MiB (GPU 1; 10.76 GiB total capacity; 61.20 MiB already allocated; 18.56 MiB free; 84.00 MiB reserved in total by PyTorch)",
        strength="hint",
    ),
    # A process that nvidia-smi or gpustat lists, and that is not there: it runs in another container, or it is dead.
    *(
        Sign(pattern=pattern, literal=literal, sample=sample, strength="hint")
        for pattern, literal, sample in (
            (
                r"kill: \(?(?P<gone>\d{2,8})\)?(?: -|:) No such process",
                "No such process",
                "-bash: kill: (21774) - No such process",
            ),
            (
                r"kill (?P<gone>\d{2,8}) failed: no such process",
                "failed: no such process",
                "kill: kill 21774 failed: no such process",
            ),
        )
    ),
    Sign(
        pattern=r"^\[(?P<gpu>\d+)\] .{3,60}\|.{0,40}\| *(?P<stat_used>\d+) / +(?P<stat_total>\d+) MB \|(?P<stat_who>.{0,200})",
        literal=" MB |",
        sample="[0] NVIDIA RTX A6000 | 34'C,   0 % | 45310 / 49140 MB |",
        strength="hint",
    ),
    Sign(
        pattern=r"(?P<smi_used>\d{1,7})MiB {0,4}/ {0,4}(?P<smi_total>\d{1,7})MiB",
        literal="MiB /",
        sample="| N/A   34C    P0    62W / 300W |  21540MiB / 24576MiB |      0%      Default |",
        strength="context",
    ),
    Sign(
        pattern=r"(?P<nobody>No running processes found)",
        literal="No running processes found",
        sample="|  No running processes found                                                             |",
        strength="hint",
    ),
    Sign(
        pattern=r"\b\d{2,8}\s+[CG+]{1,3}\s+(?P<dead>\[?(?:Unknown Error|Not Found)\]?)\s+\d+MiB",
        literal="MiB",
        sample="|    0   N/A  N/A     31794      C   [Not Found]                                    5371MiB |",
        strength="hint",
    ),
    # A line of a list: "2718, 10138 MiB" of --query-compute-apps, "|  0  N/A  N/A   2718   C   python   10138MiB |" of nvidia-smi.
    Sign(
        pattern=r"(?:^|\s)(?P<pid>\d{2,8})(?:,| +[CG+]{1,3} ).{0,160}?\b\d+ ?MiB",
        literal="MiB",
        sample="21774, 10138 MiB",
        strength="context",
    ),
)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_MOST = 0.5  # of the memory: if others hold so much, a smaller batch is not the cure
# Parts of the message without its blanks: a terminal may have broken a word, and the reader joins its parts with a blank.
_BARE = r"[\d.]+[KMG]i?B"
_OTHER = re.compile(rf"Process(?P<pid>\d+)has(?P<size>{_BARE})memoryinuse")
_OWN = re.compile(rf"thisprocesshas(?P<size>{_BARE})memoryinuse")
_OF_TORCH = re.compile(
    rf"allocatedmemory(?P<used>{_BARE}|\d+bytes)isallocatedbyPyTorch(?:,.{{0,80}}?and(?P<spare>{_BARE}|\d+bytes)isreserved)?"
)


class Held(Variant, frozen=True, kw_only=True):
    """Hold the GPU whose memory others hold, and the processes that the log names."""

    gpu: str | None = None
    pids: tuple[str, ...] = ()
    hidden: bool = False  # the tools list no process, or one that is not there


class Told(NamedTuple):
    """Hold what a log says: the lines, a sentence, the case, and whether it is sure."""

    matches: tuple[Match, ...]
    sentence: str
    held: Held
    sure: bool


def told(facts: Facts, seen: Seen) -> Told | None:
    """Return what the log says of memory that others hold; None if it does not say so."""
    for match in seen.matches:
        found = _by_sizes(match)
        if found is not None:
            return found
    return _by_lists(facts, seen)


def _by_sizes(match: Match) -> Told | None:
    groups = match.groups
    if "total" not in groups:
        return None
    total, free = _bytes(groups["total"]), _bytes(groups["free"])
    rest = groups.get("rest", "").replace(" ", "")
    own = _own(groups, rest, total)
    if own is None or not total > 0:
        return None
    others = total - free - own
    if others < _MOST * total:
        return None
    pids = tuple(m["pid"] for m in _OTHER.finditer(rest))
    who = f" (process{'es' if len(pids) > 1 else ''} {', '.join(pids[:3])})" if pids else ""
    return Told(
        (match,),
        f"Other processes{who} hold {others / 2**30:.1f} of the {total / 2**30:.1f} GiB of GPU {groups['gpu']}: this program has {own / 2**30:.1f} GiB, so a smaller batch "
        "helps little.",
        Held(gpu=groups["gpu"], pids=pids),
        sure=True,
    )


def _own(groups: dict[str, str], rest: str, total: float) -> float | None:
    """Return the bytes that the failed program has itself; None if the message does not say.

    In a container NVML may not know the process: torch prints its "not available", 2**64 - 1 bytes, as 17179869184.00 GiB.
    """
    if "used" in groups:
        return _bytes(groups.get("own") or groups["used"])
    of_process, of_torch = _OWN.search(rest), _OF_TORCH.search(rest)
    if of_process is not None and _bytes(of_process["size"]) <= total:
        return _bytes(of_process["size"])
    return _bytes(of_torch["used"]) + _bytes(of_torch["spare"] or "0") if of_torch is not None else None


def _by_lists(facts: Facts, seen: Seen) -> Told | None:
    """Return what the lists of nvidia-smi and gpustat say: memory in use, and no process that is there."""
    listed = {m.groups["pid"] for m in seen.matches if "pid" in m.groups}
    full = [m for m in seen.matches if _full(m)]
    gone = [m for m in seen.matches if m.groups.get("gone") in listed]
    dead = [m for m in seen.matches if "dead" in m.groups]
    nobody = [m for m in seen.matches if "nobody" in m.groups]
    stat = [m for m in full if "stat_used" in m.groups and m.groups["stat_who"].strip(" ()") in ("", "null")]
    if gone or dead:
        lines = (*gone, *dead, *full)
        pid = tuple(m.groups["gone"] for m in gone)
        return Told(
            lines,
            f"GPU memory is held by a process that is not found here{f' ({pid[0]})' if pid else ''}: it runs in another container, or it is dead and the driver has not freed its memory.",
            Held(gpu=seen.group("gpu"), pids=pid, hidden=True),
            sure=True,
        )
    inside = places.container(facts) is not None or places.wsl(facts) is not None  # no process is ever listed there
    if not inside and (stat or (nobody and full)):
        return Told(
            (*stat, *full, *nobody),
            "GPU memory is in use, and nvidia-smi lists no process that holds it: the process runs in another container or belongs to another user, or it is dead.",
            Held(gpu=seen.group("gpu"), hidden=True),
            sure=False,
        )
    return None


def _full(match: Match) -> bool:
    groups = match.groups
    for used, total in (("smi_used", "smi_total"), ("stat_used", "stat_total")):
        if used in groups and int(groups[total]) > 0:
            return int(groups[used]) >= _MOST * int(groups[total])
    return False


def _bytes(text: str) -> float:
    """Return the bytes of a size as torch writes it: "23.64 GiB", "0bytes"."""
    found = re.match(r"([\d.]+) ?([KMG]?)", text)
    assert found is not None
    return float(found[1]) * _UNITS.get(found[2], 1)


def fixes(facts: Facts, held: Held) -> tuple[Fix, ...]:
    """Return the cures: end the process that holds the memory, use another GPU, and free memory that no process holds.

    `held.hidden` puts the last one second. In a notebook of Colab or Kaggle, under Windows and in WSL, the cures are
    those of that place.
    """
    verify = commands.check(facts)
    if places.hosted(facts) in ("colab", "kaggle"):
        words = "end the other sessions and begin anew: Colab: Runtime, Manage sessions, Terminate; then Runtime, Disconnect and delete runtime. Kaggle: stop the session"
        step = commands.by_hand((), words, "the notebook's machine", "medium")
        return (Fix(title="Begin with a fresh machine of the notebook", steps=(step,), verify=verify),)
    if facts.system.os == "windows":
        return (_in_windows(facts, held), _elsewhere(facts))
    if places.wsl(facts):
        again = commands.by_hand(
            ("wsl.exe", "--shutdown"),
            "ends every program in WSL; in Windows, Task Manager (Details, column GPU memory) shows the others",
            "restarts WSL",
            "medium",
        )
        return (Fix(title="End the programs in WSL and in Windows", steps=(again,), verify=verify), _elsewhere(facts))
    ended = Fix(title="End the process that holds the memory", steps=(*_look(facts, held), _end(held)), verify=verify)
    free = _free(facts, held)
    return (ended, free, _elsewhere(facts)) if held.hidden else (ended, _elsewhere(facts), free)


def _look(facts: Facts, held: Held) -> tuple[Step, ...]:
    where = (
        ". In a container, run it on the host: processes of other containers are seen only there" if held.hidden else ""
    )
    listed = commands.by_hand(
        ("sh", "-c", f"{'' if places.is_root(facts) else 'sudo '}fuser -v /dev/nvidia*"),
        f"lists every process that has a GPU open, those that nvidia-smi does not list too (fuser is in the package psmisc; `lsof /dev/nvidia*` does the same){where}",
        "nothing",
        "none",
    )
    if not held.pids or held.hidden:
        return (listed,)
    named = commands.by_hand(
        ("ps", "-o", "user,pid,ppid,stat,etime,args", "-p", ",".join(held.pids[:8])),
        "shows whose it is and since when; T in the column STAT is a program that Ctrl-Z stopped",
        "nothing",
        "none",
    )
    return (named, listed)


def _end(held: Held) -> Step:
    words = (
        "end those that are yours: `kill NUMBER`, and `kill -9 NUMBER` if it stays; shut down the kernels of notebooks; `kill %1` ends a program that Ctrl-Z stopped. Ranks and workers of "
        "an ended training stay sometimes"
    )
    return commands.by_hand((), words, "the other program", "medium")


def _free(facts: Facts, held: Held) -> Fix:
    """Return the fix that frees the memory which a dead process left.

    https://docs.nvidia.com/deploy/nvidia-smi/ (--gpu-reset)
    """
    reset = commands.by_hand(
        places.as_root(facts, "nvidia-smi", "--gpu-reset", "-i", held.gpu or "0"),
        "only if no process has the GPU open any more. It is refused for a GPU with a screen and for many GeForce cards: then restart the machine. In a container: restart the container, "
        "or do it on the host",
        "resets the GPU",
        "high",
        risk_text="ends whatever runs on this GPU",
    )
    return Fix(title="Free the memory that a dead process left", steps=(reset,), verify=commands.check(facts))


def _in_windows(facts: Facts, held: Held) -> Fix:
    look = commands.by_hand(
        ("nvidia-smi",),
        "lists the programs on the GPU; Task Manager shows their memory too: Details, right click on a column, Select columns, Dedicated GPU memory",
        "nothing",
        "none",
    )
    end = commands.by_hand(
        ("taskkill", "/F", "/PID", held.pids[0]) if held.pids else (),
        "ends it, if it is yours: a Python of an earlier run, a notebook's kernel"
        if held.pids
        else "end those that are yours in Task Manager: a Python of an earlier run, a notebook's kernel",
        "the other program",
        "medium",
    )
    return Fix(title="End the process that holds the memory", steps=(look, end), verify=commands.check(facts))


def _elsewhere(facts: Facts) -> Fix:
    words = "if the machine has several GPUs: set CUDA_VISIBLE_DEVICES to the number of one with room, which nvidia-smi shows; yolo: device=1"
    step = commands.by_hand((), words, "the GPU of the program", "none")
    return Fix(title="Use another GPU", steps=(step,), verify=commands.check(facts))
