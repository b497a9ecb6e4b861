"""A program that loads data opened more files than the system lets one process open.

What it is
    A system limits how many files one process may have open: 1024 on most Linux systems, 256 on macOS. On Linux each tensor that a
    worker of a DataLoader hands over is an open file too. At the limit, no file, no pipe and no new tensor can be opened. No disk is
    full, and no package is broken.

How it shows
    "RuntimeError: Too many open files. Communication with the workers is no longer possible", "RuntimeError: received 0 items of
    ancdata", "unable to open shared memory object </torch_71_0>: Too many open files (24)", "OSError: [Errno 24] Too many open files".

Why it happens
    There are many workers, or many tensors in each batch (one for each image, box or point), or the program keeps the batches in a
    list: then the files stay open. A program that opens files and does not close them reaches the limit too.

What to do
    Linux: `ulimit -n 65536` in the shell that starts the training; a container: `--ulimit nofile=65536:65536`. Or let the workers use
    names in place of open files: `torch.multiprocessing.set_sharing_strategy("file_system")` in the program. Or use fewer workers.

How to reproduce
    There is no recipe: the limit belongs to the shell. `ulimit -n 40; python train.py` with workers shows it.

References
    https://docs.pytorch.org/docs/stable/multiprocessing.html#sharing-strategies
    https://docs.docker.com/reference/cli/docker/container/run/#ulimit
    https://github.com/pytorch/pytorch/issues/11201
    https://docs.python.org/3/library/resource.html#resource.setrlimit
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import container_starts, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.shared import building, data_workers
from attn_doctor.failure_modes.shared.fact_queries import in_container
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD550",
    slug="too-many-open-files",
    title="The limit of open files is reached",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("dataloader-worker-ended", "shared-memory-full", "nccl-error", "processes-do-not-meet", "segfault"),
    signs=(
        # torch/utils/data/dataloader.py, and torch/multiprocessing with the file_descriptor strategy, which only Linux has.
        Sign(
            pattern=r"Too many open files\. Communication with the workers is no longer possible",
            literal="Too many open files. Communication",
            sample="RuntimeError: Too many open files. Communication with the workers is no longer possible. Please increase the limit",
        ),
        Sign(
            pattern=r"received \d+ items of ancdata",
            literal="items of ancdata",
            sample="RuntimeError: received 0 items of ancdata",
        ),
        # aten/src/ATen/MapAllocator.cpp
        Sign(
            pattern=r"unable to (?:open|mmap|resize|write|allocate).{0,200}Too many open files",
            literal="Too many open files",
            sample="RuntimeError: unable to open shared memory object </torch_71_0> in read-write mode: Too many open files (24)",
        ),
        # Ultralytics ends the line of a worker's error with the file that could not be opened.
        Sign(
            pattern=r"(?:\[Errno 24\]|errno[:=]? ?24\b|(?:Error|Exception)\b.{0,200}?) ?Too many open files",
            literal="Too many open files",
            sample="OSError: [Errno 24] Too many open files: '/data/train/images/0001.jpg'",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<place>\b(?:torch|ultralytics|torchvision|mmengine|mmcv|detectron2|lightning|accelerate)[\\/][\w\\/]{1,100}\.py)",
            literal=".py",
            sample='  File "/v/lib/python3.11/site-packages/torch/multiprocessing/reductions.py", line 370, in reduce_storage',
            strength="context",
        ),
        Sign(
            pattern=r"(?P<place>in DataLoader worker process \d+)",
            literal="in DataLoader worker process",
            sample="OSError: Caught OSError in DataLoader worker process 3.",
            strength="context",
        ),
        Sign(
            pattern=r"(?P<place>(?:^|\s)yolo (?:\w+ )?(?:train|predict|val|track)\b)",
            literal="yolo ",
            sample="$ yolo detect train data=coco8.yaml model=yolo12n.pt",
            strength="context",
        ),
    ),
)
# There is no `detect`: the number of files that a training opens is not known before it runs.

_NEAR = 40  # lines between a frame of torch and the error: the frames of the dataset are between them


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    counted = proofs or [m for m in seen.matches if m.strength == "hint" and _of_torch(seen, m)]
    if not counted:
        return None
    return Hit(
        message="The process has as many open files as the system allows (`ulimit -n`)"
        + (": on Linux each tensor that a worker of a DataLoader hands over is an open file." if proofs else "."),
        evidence=building.lines(tuple(counted)[:4]),
        confidence=Confidence.HIGH if proofs else Confidence.MEDIUM,
    )


def _of_torch(seen: Seen, match: Match) -> bool:
    """Return whether the error comes from a program that loads data with torch: a frame of it is above."""
    return any("place" in m.groups and m.file == match.file and 0 <= match.line - m.line <= _NEAR for m in seen.matches)


_LIMIT = "65536"
_LIMIT_OF_MACOS = "10240"  # OPEN_MAX of macOS, which `ulimit -n` accepts on every release: sys/syslimits.h


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    without_workers = data_workers.none(facts)
    if facts.system.os == "windows":
        return (without_workers, _closed(facts))
    if facts.system.os == "darwin":
        # On macOS torch shares batches by names, so no batch is an open file, and `_by_names` would change nothing.
        return (_raised(facts, _LIMIT_OF_MACOS), without_workers)
    if commands.shell_of(facts) == "notebook":
        return (_by_names(facts), _in_a_notebook(facts), without_workers)
    inside = in_container(facts) and facts.system.container not in ("apptainer", "singularity", "lxc")
    if inside and isinstance(facts.system.container, str):
        return (_in_a_container(facts, facts.system.container), _by_names(facts), without_workers)
    return (_raised(facts, _LIMIT), _by_names(facts), without_workers)


def _raised(facts: Facts, limit: str) -> Fix:
    whose = " If it is refused, `ulimit -Hn` prints the highest number allowed here" + (
        ": give that number"
        if places.on_cluster(facts)
        else "; the administrator sets it (nofile in /etc/security/limits.conf, LimitNOFILE of a service)"
    )
    more = commands.by_hand(
        ("ulimit", "-n", limit),
        f"in the shell that starts the training, before it.{whose}",
        "this shell's limit of open files",
        "none",
    )
    return Fix(title="Allow more open files", steps=(more,), verify=commands.check(facts))


def _by_names(facts: Facts) -> Fix:
    """Return the fix that uses names in place of open files. torch then needs room in /dev/shm, as before."""
    words = (
        'in the program, before the first DataLoader: import torch.multiprocessing; torch.multiprocessing.set_sharing_strategy("file_system"). '
        "Then a batch is no open file"
    )
    step = commands.by_hand((), words, "two lines of your program", "none")
    return Fix(title="Share batches by names", steps=(step,), verify=commands.check(facts))


def _in_a_notebook(facts: Facts) -> Fix:
    """Return the fix that raises the limit of open files in a notebook.

    `!ulimit` changes only the shell of its own line there.
    https://docs.python.org/3/library/resource.html#resource.setrlimit
    """
    words = (
        "in the first cell: import resource; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard)). A line with !ulimit would change nothing: it ends with its own shell"
    )
    step = commands.by_hand((), words, "this notebook's limit of open files", "none")
    return Fix(title="Allow more open files", steps=(step,), verify=commands.check(facts))


def _in_a_container(facts: Facts, kind: str) -> Fix:
    if kind == "kubernetes":
        step = commands.by_hand(
            (),
            "in the container's command: `ulimit -n \"$(ulimit -Hn)\"`, then the training. A pod has no setting for this limit: its node's container runtime sets it",
            "the limit of this container",
            "none",
        )
    else:
        step = commands.by_hand(
            container_starts.start(
                facts, f"--ulimit=nofile={_LIMIT}:{_LIMIT}", program="podman" if kind == "podman" else "docker"
            ),
            "start the container again, on the host, with a higher limit; in a compose file: `ulimits: {nofile: 65536}`",
            "a new container",
            "none",
        )
    return Fix(title="Allow more open files in the container", steps=(step,), verify=commands.check(facts))


def _closed(facts: Facts) -> Fix:
    """Return the fix for Windows: close the files that the program opens.

    The C library of Windows opens 512 files at first, and has no `ulimit`.
    https://learn.microsoft.com/en-us/cpp/c-runtime-library/reference/setmaxstdio
    """
    words = (
        "close each file that the program opens: `with open(...) as f:`, `with Image.open(...) as image:`. Windows has no ulimit: a process opens 512 files of this "
        "kind, and a program raises that itself, with ctypes.cdll.ucrtbase._setmaxstdio(8192) at its start"
    )
    step = commands.by_hand((), words, "your program", "none")
    return Fix(title="Close the files that the program opens", steps=(step,), verify=commands.check(facts))
