"""Make the fixes for errors of NCCL. Pure.

https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html and .../troubleshooting.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import container_starts, places
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import parse


def ask(facts: Facts) -> Fix:
    """Return the fix that makes NCCL print the call that failed."""
    step = commands.variable(
        "NCCL_DEBUG", "INFO", "start the training again: the line with WARN names the call that failed and why"
    )
    return Fix(title="Make NCCL print the reason", steps=(step,), verify=commands.check(facts))


def one_each(facts: Facts) -> Fix:
    """Return the fix for processes that share a GPU: start one process for each GPU."""
    fewer = commands.by_hand(
        (),
        "start as many processes as there are GPUs (torchrun --nproc-per-node N, ultralytics device=0,1), and let CUDA_VISIBLE_DEVICES "
        "name each GPU once",
        "how the training is started",
        "none",
    )
    return Fix(title="Give each process its own GPU", steps=(fewer,), verify=commands.check(facts))


def memory(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix that starts the container with 8 GB of shared memory, and without a limit of locked memory."""
    larger = commands.by_hand(
        container_starts.start(facts, "--shm-size=8g", "--ulimit", "memlock=-1", "--gpus", "all"),
        "if this ran in a container: NCCL shares memory between its processes in /dev/shm, and a container has only 64 MB of it",
        "how the container is started",
    )
    return (Fix(title="Give the container shared and locked memory", steps=(larger,), verify=commands.check(facts)),)


def interface(facts: Facts, *, bridged: bool = False) -> Fix:
    """Return the fix that lets NCCL use the network which reaches the other processes: name the interface (NCCL_SOCKET_IFNAME).

    In a container, or if `bridged`, it first starts the container with the network of its host. `bridged`: the address that NCCL could
    not reach is one of Docker's own network (172.17.0.2).
    """
    steps: list[Step] = []
    if places.container(facts) or bridged:
        host = commands.by_hand(
            container_starts.start(facts, "--network", "host", "--ipc=host", "--gpus", "all"),
            "on each machine: the container then uses the network of its host. Behind Docker's own network (172.17.x.x) no other machine reaches it",
            "how the container is started",
            "none",
        )
        steps.append(host)
    look = commands.by_hand(
        ("ip", "-br", "-4", "addr"),
        "prints the interfaces with their addresses: take the one whose address the other machines reach, never lo, docker0 or a VPN. On one machine alone take lo",
        "nothing",
        "none",
    )
    named = commands.variable(
        "NCCL_SOCKET_IFNAME",
        "eth0",
        "the name from that list, on each machine its own; eth0 is an example. Then start the training again. Ports above 1024 must be open between the machines",
    )
    return Fix(
        title="Use the network that reaches the other processes",
        steps=(*steps, look, named),
        verify=commands.check(facts),
    )


def without_peers(facts: Facts) -> Fix:
    """Return the fix that lets NCCL exchange data through the memory of the host.

    NCCL then uses neither direct access between GPUs nor InfiniBand. For GPUs that cannot reach each other directly:
    GeForce cards, virtual machines, some mainboards.
    """
    peers = commands.variable(
        "NCCL_P2P_DISABLE",
        "1",
        "the GPUs then exchange data through the memory of the host, which always works and is slower",
    )
    fabric = commands.variable(
        "NCCL_IB_DISABLE", "1", "the same for InfiniBand; leave it out where InfiniBand is used and works"
    )
    return Fix(
        title="Let NCCL do without direct access between GPUs", steps=(peers, fabric), verify=commands.check(facts)
    )


_FIRST_FOR_WSL = (2, 10)  # https://github.com/NVIDIA/nccl/issues/511; torch 1.10 was the first with it


def before_wsl(release: str | None) -> bool:
    """Return whether an NCCL ("2.7") is older than the first one for WSL; False if it is not known."""
    version = parse(release) if release else None
    return version is not None and version.release[:2] < _FIRST_FOR_WSL


def for_wsl(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for an NCCL that does not run under WSL: one GPU without a launcher, another backend, or a newer torch."""
    verify = commands.check(facts)
    one = commands.by_hand(
        (),
        "start the program on one GPU without torchrun or torch.distributed.launch (python train.py), if it allows that; or write the backend gloo in place of nccl: "
        'torch.distributed.init_process_group("gloo", ...), which every torch has',
        "how the training is started",
        "none",
    )
    first = Fix(title="Train without NCCL: on one GPU, or with the backend gloo", steps=(one,), verify=verify)
    newer = torch_steps.newest(
        facts, "Install a newer torch", why="torch 1.10 and newer have an NCCL that runs under WSL"
    )
    return (first, *newer)


def longer(facts: Facts) -> Fix:
    """Return the fix for a process that waited too long for the others: find the one that did not come, or raise the time limit."""
    words = (
        "if the training ran for a while before: look for the first error in the output of all processes. If one process only does other work (evaluates, saves, "
        "caches images), give a longer limit: torch.distributed.init_process_group(..., timeout=datetime.timedelta(hours=3)); transformers and accelerate: "
        "ddp_timeout=10800"
    )
    step = commands.by_hand((), words, "the settings of the program", "none")
    return Fix(title="Find the process that did not come, or wait longer", steps=(step,), verify=commands.check(facts))


_CU13, _CU12 = (2, 11), (2, 1)  # the torch from which on PyPI's build for Linux is one of CUDA 13, and of CUDA 12


def _of_torch(facts: Facts) -> str | None:
    """Return the NCCL package that torch requires ("nvidia-nccl-cu12"): by torch's CUDA, else by its version; None if neither is known."""
    if isinstance(facts.torch.cuda, str):
        return f"nvidia-nccl-cu{facts.torch.cuda.partition('.')[0]}"
    version = parse(facts.torch.version) if isinstance(facts.torch.version, str) else None
    if version is None:
        return None
    return f"nvidia-nccl-cu{13 if version.release[:2] >= _CU13 else 12 if version.release[:2] >= _CU12 else 11}"


def one_package(facts: Facts, packages: tuple[tuple[str, str], ...]) -> tuple[Fix, ...]:
    """Return the fix that leaves only the NCCL of torch. Its files are written again, because the removal of the other NCCL deletes them.

    `packages`: (name, version) of the installed NCCL packages. If it is not known which one is torch's, the first step prints it.
    """
    verify = commands.check(facts)
    own = _of_torch(facts)
    others = tuple(name for name, _ in packages if name != own)
    if own is None or not others or len(others) == len(packages):
        listed = commands.by_hand(
            (
                *commands.starting(facts),
                "-c",
                "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.nccl.version())",
            ),
            "prints the CUDA of torch, and the NCCL that it loaded. Unset LD_LIBRARY_PATH and LD_PRELOAD if they name another libnccl",
            "nothing",
            "none",
        )
        again = commands.install(
            own or "nvidia-nccl-cu12",
            reinstall=True,
            no_deps=True,
            why="writes the files of torch's NCCL again" + ("" if own else "; -cu13 for a torch of CUDA 13"),
            changes="NCCL",
        )
        return (Fix(title="Let torch load its own NCCL", steps=(listed, again), verify=verify),)
    version = next((version for name, version in packages if name == own), "")
    gone = commands.uninstall(
        *others, why="it writes the same file as the NCCL of torch (nvidia/nccl/lib/libnccl.so.2)"
    )
    back = commands.install(
        f"{own}=={version}" if version else own,
        reinstall=True,
        no_deps=True,
        why="the removal deleted the file: this writes it again",
        changes=own,
    )
    return (Fix(title=f"Keep only torch's NCCL, {own}", steps=(gone, back), verify=verify),)
