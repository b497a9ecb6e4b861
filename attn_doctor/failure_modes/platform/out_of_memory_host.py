"""The memory of the machine is full while a program runs.

What it is
    A program asked for memory of the machine, not of the GPU, and got none: all of it is in use, or the program is not allowed more.

How it shows
    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9830400 bytes", "not enough memory: you tried to allocate";
    NumPy says "Unable to allocate 4.39 GiB for an array"; the DataLoader says "is killed by signal: Killed". The
    kernel's log says "Out of memory: Killed process 4711 (python3)", Slurm "Detected 1 oom_kill event in StepId=42.0",
    Kubernetes "OOMKilled".

Why it happens
    Each worker of a DataLoader holds a copy of the program, `cache=True` keeps all images in memory, and a training on
    the CPU keeps its batch there too. A shell (`ulimit -v`), a container or a job of a cluster may allow less than the
    machine has.

What to do
    Start with fewer workers, without the cache of images and with a smaller batch: `workers=0 cache=False batch=4`.
    Where `ulimit -v` shows a number, `ulimit -S -v hard` raises it as far as the hard limit allows. Give a container or
    a job more memory when you start it.

How to reproduce
    `attn-doctor reproduce out-of-memory-host` asks torch for a million gigabytes on the CPU. If the torch of the target
    does not fit, a CPU build is downloaded: 200 MB.

References
    https://docs.pytorch.org/docs/stable/data.html#multi-process-data-loading
    https://docs.ultralytics.com/modes/train/#train-settings
    https://man7.org/linux/man-pages/man2/getrlimit.2.html
    https://docs.kernel.org/admin-guide/mm/concepts.html#oom-killer
    https://slurm.schedmd.com/sbatch.html#OPT_mem
    https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Recipe, Torch
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD508",
    slug="out-of-memory-host",
    title="The machine's memory is full",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("dataloader-worker-ended",),
    signs=(
        Sign(
            pattern=r"DefaultCPUAllocator: (?:can't allocate|not enough) memory(?:: you tried to allocate (?P<bytes>\d+) bytes)?",
            literal="DefaultCPUAllocator: ",
            sample="RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
            "allocate 9830400 bytes. Error code 12 (Cannot allocate memory)",
        ),
        Sign(
            pattern=r"(?:ArrayMemoryError|MemoryError): Unable to allocate (?P<size>[\d.]+ [KMGT]?i?B) for an array",
            literal=": Unable to allocate ",
            sample="numpy._core._exceptions._ArrayMemoryError: Unable to allocate 4.39 GiB for an array with shape (24, 7000, 7000)",
        ),
        Sign(
            # Also as people type it out: "Dataloader worker (pid 71) is killed by signal:killed".
            pattern=r"(?i:dataloader) worker \(pid(?:\(s\))? [\d, ]+\) (?:is|was) killed by signal: ?[Kk](?:illed|ILLED)\b",
            literal=" killed by signal",
            sample="RuntimeError: DataLoader worker (pid 4711) is killed by signal: Killed. ",
        ),
        Sign(
            # The kernel's log names the process by at most 15 characters. A compiler is another failure mode: out-of-memory-build.
            pattern=r"ut of memory: (?P<kernel>Kill)(?:ed)? process \d+ \((?:python[\d.]{0,6}|yolo|torchrun|accelerate|pt_\w{1,12}|ray::[^)]{1,12}|jupyter\S{0,8}|ipython)\)",
            literal="ut of memory: Kill",
            sample="Out of memory: Killed process 4711 (python3) total-vm:41943040kB, anon-rss:31457280kB, file-rss:0kB",
        ),
        Sign(
            pattern=r"Detected \d+ oom_kill events? in (?P<slurm>StepId)=",
            literal=" oom_kill event",
            sample="slurmstepd: error: Detected 1 oom_kill event in StepId=4711.0. Some of the step tasks have been OOM Killed.",
        ),
        Sign(
            # Slurm before 22.05
            pattern=r"Detected \d+ oom-kill event\(s\) in (?P<slurm>[Ss]tep)",
            literal=" oom-kill event",
            sample="slurmstepd: error: Detected 1 oom-kill event(s) in step 4711.batch cgroup. Some of your processes may have been killed by the "
            "cgroup out-of-memory handler.",
        ),
        # torchrun's report of a process that SIGKILL ended: on Linux that is nearly always the kernel, out of memory.
        Sign(
            pattern=r"Signal 9 \(SIGKILL\) received by PID \d+",
            literal="Signal 9 (SIGKILL) received by PID",
            sample="  traceback : Signal 9 (SIGKILL) received by PID 4120",
        ),
        # The same in the words of torch's elastic agent, before its report.
        Sign(
            pattern=r"failed \(exitcode: -9\) local_rank: \d{1,4}",
            literal="failed (exitcode: -9)",
            sample="torch.distributed.elastic.multiprocessing.api: [ERROR] failed (exitcode: -9) local_rank: 0 (pid: 438) of binary: /opt/conda/bin/python",
        ),
        Sign(
            pattern=r"^\s{0,8}exitcode {1,3}: -9 \(pid: \d{1,9}\)",
            literal=": -9 (pid: ",
            sample="exitcode  : -9 (pid: 4120)",
        ),
        Sign(
            pattern=r"\b(?P<pod>OOMKilled)\b",
            literal="OOMKilled",
            sample="      Reason:       OOMKilled",
        ),
        Sign(
            pattern=r"\bbatch=(?P<batch>\d+)\b.{0,4000}?\bimgsz=\d+",
            literal="imgsz=",
            sample="engine/trainer: task=detect, mode=train, model=yolo12s.yaml, data=coco8.yaml, epochs=3, patience=100, batch=16, imgsz=640",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="asks torch for a million gigabytes on the CPU",
        of=(Torch(),),
        run=(("{python}", "-c", "import torch; torch.empty(1 << 50, dtype=torch.uint8)"),),
        shows="DefaultCPUAllocator",
        seconds=5,
    ),
)
# There is no `detect`: no fact says how much memory a program will need.


class Full(Variant, frozen=True, kw_only=True):
    """Hold the batch with which the program was started (None if the log does not show it), and the system that ended it."""

    batch: int | None
    ended_by: Literal["slurm", "kubernetes", "kernel"] | None = None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs:
        return None
    size, count, batch = seen.group("size"), seen.group("bytes"), seen.group("batch")
    asked = size or (f"{int(count):,} bytes".replace(",", " ") if count else None)
    what = f" when it asked for {asked}" if asked else ""
    message = f"The program got no memory of the machine{what}: it is used up, or a limit allows no more. This is not the GPU's memory."
    ended_by: Literal["slurm", "kubernetes", "kernel"] | None = (
        "slurm"
        if seen.group("slurm")
        else "kubernetes"
        if seen.group("pod")
        else "kernel"
        if seen.group("kernel")
        else None
    )
    if ended_by == "kernel":
        message = (
            "The memory of the machine was used up, and the kernel ended the program. This is not the GPU's memory."
        )
    elif ended_by:
        who = "job of Slurm" if ended_by == "slurm" else "container"
        message = f"The {who} needed more memory than it was given, and was ended. This is not the GPU's memory."
    lines = tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in proofs[:4])
    return Hit(message=message, evidence=lines, variant=Full(batch=int(batch) if batch else None, ended_by=ended_by))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    batch = hit.variant.batch if isinstance(hit.variant, Full) else None
    smaller = f"batch={max(1, batch // 4)}" if batch is not None else "batch=4"
    words = (
        f"repeat the command with workers=0 cache=False {smaller} (ultralytics), or num_workers=0 and a smaller batch; with DeepSpeed less offload to the processor (ZeRO-3 offload keeps the optimizer there): each worker holds a "
        "copy of the program, and the cache holds all images"
    )
    less = commands.by_hand((), words, "the settings of the training", "none")
    made = [Fix(title="Use less memory", steps=(less,), verify=commands.check(facts))]
    ended_by = hit.variant.ended_by if isinstance(hit.variant, Full) else None
    if ended_by == "slurm":
        why = "64G is an example, for each node: `seff JOBID`, where the cluster has it, shows how much the job used. Put your own script in"
        given = commands.by_hand(("sbatch", "--mem=64G", "JOB.sh"), why, "the request of the job", "none")
        return (*made, Fix(title="Ask for more memory", steps=(given,), verify=commands.check(facts)))
    if ended_by == "kubernetes":
        words = "raise resources.limits.memory of the container in the pod's manifest, and start the pod again"
        given = commands.by_hand((), words, "the manifest of the pod", "none")
        return (*made, Fix(title="Give the container more memory", steps=(given,), verify=commands.check(facts)))
    if facts.system.os != "windows" and ended_by is None:
        # `ulimit -v unlimited` would change the hard limit too, and only root may raise that limit.
        why = (
            "if ulimit -v shows a number: raises it as far as the hard limit allows (ulimit -H -v). Give a container or a cluster job more "
            "memory when you start it"
        )
        more = commands.by_hand(("ulimit", "-S", "-v", "hard"), why, "the limit of this shell", "none")
        made.append(Fix(title="Allow the shell more memory", steps=(more,), verify=commands.check(facts)))
    return tuple(made)
