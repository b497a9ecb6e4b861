"""The workers that load data used up the shared memory.

What it is
    The workers of a DataLoader pass their batches through shared memory: files in /dev/shm, a file system in memory
    with its own size limit. It is full. No disk is full, and no package is broken. (Too many open files are another failure:
    too-many-open-files.)

How it shows
    "DataLoader worker (pid 71) is killed by signal: Bus error", "Unexpected bus error encountered in worker. This might
    be caused by insufficient shared memory (shm).", "unable to write to file </torch_71_0>: No space left on device
    (28)", "unable to allocate shared memory(shm) for file", "No space left on device: '/dev/shm/...'"; from NCCL "Error
    while creating shared memory segment /dev/shm/nccl-...".

Why it happens
    Docker and Kubernetes give a container a /dev/shm of 64 MB, which a few batches of images fill. Outside a container
    it has half of the machine's memory; files that killed programs left there can fill it.

What to do
    Docker: `--shm-size=8g` or `--ipc=host`; compose: `shm_size: 8gb`; Kubernetes: an emptyDir with `medium: Memory` at
    /dev/shm. Outside a container: mount /dev/shm with a larger size. Everywhere: use fewer workers; with `workers=0` no
    shared memory is used.

How to reproduce
    `attn-doctor reproduce shared-memory-full` lets torch share a tensor of 4 MB where /dev/shm has 1 MB. It downloads a
    CPU build of torch (200 MB) if the torch of the target does not fit.

References
    https://docs.docker.com/reference/cli/docker/container/run/#shm-size
    https://kubernetes.io/docs/concepts/storage/volumes/#emptydir
    https://docs.pytorch.org/docs/stable/multiprocessing.html#sharing-strategies
    https://github.com/pytorch/pytorch/issues/5040
"""

from __future__ import annotations

from typing import Literal

import msgspec

from attn_doctor import commands
from attn_doctor.commands import container_starts, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Recipe, SmallDisk, Torch
from attn_doctor.failure_modes.shared import building
from attn_doctor.failure_modes.shared.fact_queries import in_container
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

_SHM = "/dev/shm"  # noqa: S108 - nothing is written there

MODE = FailureMode(
    code="AD432",
    slug="shared-memory-full",
    title="Shared memory ran out",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("dataloader-worker-ended", "disk-full", "nccl-error", "permission", "segfault"),
    signs=(
        # The texts are from torch/csrc/DataLoader.cpp and aten/src/ATen/MapAllocator.cpp.
        Sign(
            pattern=r"Unexpected bus error encountered in worker",
            literal="Unexpected bus error encountered in worker",
            sample="ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm).",
        ),
        Sign(
            pattern=r"(?i:dataloader) worker \(pid(?:\(s\))? [\d, ]+\) (?:is|was) killed by signal: ?(?i:bus error)",
            literal=" killed by signal",
            sample="RuntimeError: DataLoader worker (pid 71) is killed by signal: Bus error. It is possible that dataloader's workers are "
            "out of shared memory.",
        ),
        Sign(
            pattern=r"unable to (?:open shared memory object|write to file|resize file|allocate shared memory\(shm\) for file) <[^>]{1,120}>"
            r"(?!.{0,40}Too many open files)(?:.{0,40}?(?P<denied>Permission denied))?",
            literal="unable to ",
            sample="RuntimeError: unable to write to file </torch_71_0>: No space left on device (28)",
        ),
        Sign(
            pattern=rf"{_SHM}\b.{{0,120}}[Nn]o space left on device|[Nn]o space left on device.{{0,60}}{_SHM}\b",
            literal="o space left on device",
            sample="OSError: [Errno 28] No space left on device: '/dev/shm/psm_5c0f1d8e'",
        ),
        Sign(
            pattern=r"(?P<nccl>Error while (?:creating|attaching to) shared memory segment (?:/dev/shm/)?nccl)",
            literal=" shared memory segment ",
            sample="NCCL WARN Error while creating shared memory segment /dev/shm/nccl-Ab12cd (size 9637888)",
        ),
        Sign(
            pattern=r"(?P<denied>Call to shm_open failed ?: ?Permission denied)",
            literal="Call to shm_open failed",
            sample="node1:27106:27302 [0] include/shm.h:27 NCCL WARN Call to shm_open failed : Permission denied",
        ),
        Sign(
            pattern=rf"(?P<denied>PermissionError: \[Errno 13\] Permission denied: '{_SHM}[^']{{0,120}}')",
            literal=_SHM,
            sample="PermissionError: [Errno 13] Permission denied: '/dev/shm/sem.mp-x1'",
        ),
        Sign(
            pattern=r"torch/(?:multiprocessing|utils/data)/",
            literal="torch/",
            sample='  File "/v/lib/python3.11/site-packages/torch/multiprocessing/reductions.py", line 370, in reduce_storage',
            strength="context",
        ),
        Sign(
            pattern=r"OSError: \[Errno 28\]",
            literal="[Errno 28]",
            sample="OSError: [Errno 28] No space left on device",
            strength="hint",
        ),
        *(
            Sign(pattern=rf"(?P<kubernetes>{words})", literal=literal, sample=sample, strength="context")
            for words, literal, sample in (
                (r"\(pod [\w.-]+", "(pod ", "command terminated with exit code 1 (pod train-7c, container trainer)"),
                (r"\bkubectl ", "kubectl ", "$ kubectl logs train-7c"),
                (r"\bpods?/[a-z0-9][\w.-]*", "pod", "pod/train-7c"),
                (r"kubepods", "kubepods", "/sys/fs/cgroup/kubepods.slice"),
            )
        ),
        # The folders of images that JupyterHub starts in pods: https://repo2docker.readthedocs.io, https://jupyter-docker-stacks.readthedocs.io
        *(
            Sign(
                pattern=rf"(?P<hub>{folder})",
                literal=folder,
                sample=f'  File "{folder}train.py", line 171, in get',
                strength="context",
            )
            for folder in ("/srv/conda/envs/notebook/", "/home/jovyan/")
        ),
        Sign(
            pattern=r"^(?:[^$#>]{0,80}[$#>] ?)?(?P<run>(?:sudo )?(?:docker|podman) run [^<>|;&]{5,600}?)\s*$",
            literal=" run ",
            sample="$ docker run --gpus all -v $PWD:/data trainer:latest python train.py",
            strength="context",
        ),
        Sign(
            pattern=r"multiprocessing/(?:synchronize|shared_memory|heap)\.py",
            literal="multiprocessing/",
            sample='  File "/usr/lib/python3.11/multiprocessing/synchronize.py", line 57, in __init__',
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="lets torch share a tensor of 4 MB where /dev/shm has 1 MB",
        of=(Torch(), SmallDisk(path=_SHM, megabytes=1)),
        run=(("{python}", "-c", "import torch; torch.zeros(1 << 20).share_memory_()"),),
        shows="unable to (?:allocate shared memory|write to file|resize file)|[Bb]us error",
        seconds=6,
    ),
)

_NEAR = 8  # lines between a frame of multiprocessing and its error
_SHARES_THE_HOSTS = ("apptainer", "singularity", "lxc")  # containers that see the /dev/shm of their host


class Ran(Variant, frozen=True, kw_only=True):
    """Hold the reason why the workers stopped: the size of /dev/shm, or no right to write to /dev/shm."""

    out_of: Literal["space", "permission"]
    kubernetes: bool = False  # the log is of a pod
    hub: bool = False  # the log is of a notebook that JupyterHub started
    nccl: bool = False  # NCCL needed the space, and not the workers that load data
    run: str | None = None  # the command that started the container, as it was typed


# There is no `detect`: no fact says how large /dev/shm is, and how much of it a training uses.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    counted = [m for m in seen.matches if m.strength == "proof" or (m.strength == "hint" and _shared(seen, m))]
    if not counted:
        return None
    if any("denied" in m.groups for m in counted):
        denied = tuple(m for m in counted if "denied" in m.groups)
        return Hit(
            message=f"This user may not write to the shared memory ({_SHM}): everyone must be able to write to this folder.",
            evidence=building.lines(denied),
            variant=Ran(out_of="permission"),
        )
    nccl = all("nccl" in m.groups for m in counted)
    used = (
        "NCCL, by which the processes of a training exchange data, found no space in the shared memory (/dev/shm)"
        if nccl
        else "The workers that load data used up the shared memory (/dev/shm)"
    )
    return Hit(
        message=f"{used}; by default a container has only 64 MB of it.",
        evidence=building.lines(tuple(counted)),
        variant=Ran(
            out_of="space",
            kubernetes=seen.group("kubernetes") is not None or places.container(facts) == "kubernetes",
            hub=seen.group("hub") is not None,
            nccl=nccl,
            run=seen.group("run") or container_starts.typed(facts),
        ),
        confidence=Confidence.HIGH if any(m.strength == "proof" for m in counted) else Confidence.MEDIUM,
    )


def _shared(seen: Seen, match: Match) -> bool:
    """Return whether the error comes from multiprocessing, whose semaphores and buffers are in /dev/shm."""
    return any(
        m.strength == "context"
        and not {"run", "kubernetes", "hub"} & m.groups.keys()
        and m.file == match.file
        and 0 < match.line - m.line <= _NEAR
        for m in seen.matches
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    ran = hit.variant if isinstance(hit.variant, Ran) else Ran(out_of="space")
    if ran.out_of == "permission":
        return (_open_to_everyone(facts),)
    kind = facts.system.container
    inside = in_container(facts) and kind not in _SHARES_THE_HOSTS
    less = _less(facts, nccl=ran.nccl)
    if ran.kubernetes:
        return (_pod(facts), less)
    if facts.system.hosted in ("colab", "kaggle"):
        return (less,)
    if ran.hub:
        return (less, _hub(facts))
    if inside:
        return (_container(facts, kind if isinstance(kind, str) else "docker", ran.run), less)
    larger = commands.by_hand(
        ("sudo", "mount", "-o", "remount,size=16G", _SHM),
        "16G is an example: at most the machine's memory. `df -h /dev/shm` shows the size now. You can delete the files /dev/shm/torch_* of "
        "programs that have ended",
        "the size of /dev/shm until the next start",
        risk_text="files in /dev/shm use memory",
    )
    machine = Fix(title="Make /dev/shm larger", steps=(larger,), verify=commands.check(facts))
    if in_container(facts) is None:
        pod = _pod(facts)
        pod = msgspec.structs.replace(pod, title=f"In a pod of Kubernetes: {pod.title[0].lower()}{pod.title[1:]}")
        return (_container(facts, "docker", ran.run), less, pod, machine)
    return (less, machine)


def _less(facts: Facts, *, nccl: bool) -> Fix:
    """Return the fix that makes the program use less shared memory. `nccl`: by NCCL_SHM_DISABLE; else by a DataLoader without workers.

    https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html (NCCL_SHM_DISABLE)
    """
    if nccl:
        step = commands.variable(
            "NCCL_SHM_DISABLE", "1", "NCCL then uses the network in place of /dev/shm between the GPUs: slower"
        )
        return Fix(title="Let NCCL do without shared memory", steps=(step,), verify=commands.check(facts))
    step = commands.by_hand(
        (),
        "start the training with workers=0 (ultralytics) or num_workers=0 (DataLoader): then no shared memory is used; if that works, "
        "try 2",
        "the settings of the training",
        "none",
    )
    return Fix(title="Use fewer workers", steps=(step,), verify=commands.check(facts))


def _open_to_everyone(facts: Facts) -> Fix:
    """Return the fix that gives /dev/shm the mode 1777, so that everyone may write to it.

    https://man7.org/linux/man-pages/man7/shm_overview.7.html
    """
    look = commands.by_hand(
        ("ls", "-ld", _SHM),
        "must begin with drwxrwxrwt: everyone may write; any other mode is the fault",
        "nothing",
        "none",
    )
    whose = "; on this cluster, ask the administrators to do it" if places.on_cluster(facts) else ""
    mode = commands.by_hand(
        places.as_root(facts, "chmod", "1777", _SHM),
        f"the mode that /dev/shm has on every system{whose}",
        f"the mode of {_SHM}",
    )
    return Fix(title=f"Let everyone write to {_SHM}", steps=(look, mode), verify=commands.check(facts))


def _container(facts: Facts, kind: str, typed: str | None) -> Fix:
    program = "podman" if kind == "podman" else "docker"
    surely = "" if isinstance(facts.system.container, str) else "if this ran in a container: "
    again = container_starts.again_with(typed, "--shm-size=8g") if typed else None
    ways = (
        ""
        if again
        else "; in a compose file: `shm_size: 8gb`; in Kubernetes: an emptyDir with `medium: Memory` at /dev/shm"
    )
    step = commands.by_hand(
        again or container_starts.start(facts, "--shm-size=8g", program=program),
        f"{surely}start the container again, on the host, with a larger /dev/shm (or with --ipc=host, which gives it the host's){ways}",
        "a new container",
        "none",
    )
    look = () if again else container_starts.look(facts, program)
    if surely:
        size = commands.by_hand(
            ("df", "-h", _SHM), "where the program ran: 64M is the size in a container", "nothing", "none"
        )
        look = (size, *look)
    return Fix(title="Give the container more shared memory", steps=(*look, step), verify=commands.check(facts))


def _pod(facts: Facts) -> Fix:
    """Return the fix for a pod of Kubernetes: add a volume in memory at /dev/shm to its file, and create the pod anew.

    https://kubernetes.io/docs/concepts/storage/volumes/#emptydir-configuration-example
    """
    volume = commands.by_hand(
        (),
        "in the file of the pod (of a Deployment or a Job: below template), beside `containers:`, add this line:  "
        "volumes: [{name: shm, emptyDir: {medium: Memory, sizeLimit: 8Gi}}]  (if `volumes:` is there: add the part in brackets to it)",
        "the pod's specification",
        "none",
    )
    mount = commands.by_hand(
        (),
        "and beside the `image:` of the container:  volumeMounts: [{name: shm, mountPath: /dev/shm}]. What is written there counts as memory of the pod: its memory limit has to have room for it",
        "the pod's specification",
        "none",
    )
    start = commands.by_hand(
        ("kubectl", "replace", "--force", "-f", "pod.yaml"),
        "pod.yaml: the file that you changed. A running pod cannot get a volume: this deletes it and makes it anew",
        "the pod",
        "medium",
    )
    look = commands.by_hand(("df", "-h", _SHM), "in the new pod: has to show 8.0G", "nothing", "none")
    return Fix(
        title="Give the pod more shared memory", steps=(volume, mount, start, look), verify=commands.check(facts)
    )


def _hub(facts: Facts) -> Fix:
    """Return the fix for a JupyterHub: ask its administrator for pods with a larger /dev/shm, and start the server again.

    https://z2jh.jupyter.org/en/stable/jupyterhub/customizing/user-storage.html
    """
    step = commands.by_hand(
        (),
        "ask the administrator of the JupyterHub to add this to its config.yaml (Zero to JupyterHub), and start your server again:  singleuser: {storage: {extraVolumes: [{name: shm, "
        "emptyDir: {medium: Memory}}], extraVolumeMounts: [{name: shm, mountPath: /dev/shm}]}}",
        "the settings of the hub",
        "none",
    )
    return Fix(title="Give the notebook's pod more shared memory", steps=(step,), verify=commands.check(facts))
