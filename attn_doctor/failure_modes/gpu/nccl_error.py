"""NCCL, by which the GPUs of a training exchange data, reports an error.

What it is
    A training on several GPUs exchanges gradients through NCCL. Its errors say which kind of call failed; the reason is
    in NCCL's own log, which is off by default.

How it shows
    "torch.distributed.DistBackendError: NCCL error in: ... unhandled system error", "ncclSystemError: System call (e.g. socket, malloc) or
    external library call failed", "ncclUnhandledCudaError: Call to CUDA function failed", "ncclInvalidUsage: ... Duplicate GPU detected : rank 1
    and rank 0 both on CUDA device 1a000", "ncclRemoteError".

Why it happens
    System error: /dev/shm or the locked memory of a container is too small, NCCL uses a network interface that does not
    reach the other rank, or a firewall blocks it. Unhandled CUDA error: another rank failed first, the driver is too
    old, or the GPUs cannot reach each other. Invalid usage: two processes were given the same GPU.

What to do
    Start again with NCCL_DEBUG=INFO: the line with WARN names the call. In a container: start it with --shm-size=8g and
    --ulimit memlock=-1. With several network interfaces: name one in NCCL_SOCKET_IFNAME. Duplicate GPU: start one
    process for each GPU.

How to reproduce
    `attn-doctor reproduce nccl-error` reduces a tensor by NCCL on a stand-in GPU, on which it cannot start. Stand-in: the GPU; its
    driver. It needs gcc and a CUDA build of torch in the target.

References
    https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html
    https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html
"""

from __future__ import annotations

from typing import Literal

from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import File, Recipe, StubDriver, StubGpu, Torch
from attn_doctor.failure_modes.shared import building, nccl_cures
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity

MODE = FailureMode(
    code="AD437",
    slug="nccl-error",
    title="NCCL reports an error",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"(?P<duplicate>Duplicate GPU detected)",
            literal="Duplicate GPU detected",
            sample="Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1a000",
        ),
        *(
            Sign(pattern=pattern, literal=literal, sample=sample)
            for pattern, literal, sample in (
                (
                    r"ncclSystemError",
                    "ncclSystemError",
                    "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.",
                ),
                (
                    r"unhandled (?P<system>system error)",
                    "unhandled system error",
                    "unhandled system error, NCCL version 2.20.5",
                ),
                (
                    r"(?P<cuda>ncclUnhandledCudaError)",
                    "ncclUnhandledCudaError",
                    "ncclUnhandledCudaError: Call to CUDA function failed.",
                ),
                (
                    r"(?P<cuda>unhandled cuda error)",
                    "unhandled cuda error",
                    "unhandled cuda error, NCCL version 2.18.1",
                ),
                (
                    r"ncclRemoteError",
                    "ncclRemoteError",
                    "ncclRemoteError: A call failed possibly due to a network error.",
                ),
                (r"ncclInternalError", "ncclInternalError", "ncclInternalError: Internal check failed."),
                (
                    r"ncclInvalidUsage",
                    "ncclInvalidUsage",
                    "ncclInvalidUsage: This usually reflects invalid usage of NCCL library.",
                ),
                (
                    r"NCCL error in: ",
                    "NCCL error in: ",
                    "NCCL error in: ../torch/csrc/distributed/c10d/NCCLUtils.hpp:219",
                ),
            )
        ),
        Sign(
            pattern=r"torch\.distributed\.DistBackendError: NCCL error",
            literal="DistBackendError: NCCL error",
            sample="torch.distributed.DistBackendError: NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1970",
        ),
        *(
            Sign(pattern=rf"(?P<network>{pattern})", literal=literal, sample=sample)
            for pattern, literal, sample in (
                (
                    r"Connect to (?P<address>[\d.]{7,15}|[\da-f:]{4,40})<\d+> (?:failed|returned)",
                    "Connect to ",
                    "NCCL WARN socketStartConnect: Connect to 172.17.0.2<41173> failed : Software caused connection abort",
                ),
                (
                    r"NCCL WARN Call to connect (?:to \S+ )?(?:failed|timeout|returned|refused)",
                    "NCCL WARN Call to connect",
                    "include/socket.h:403 NCCL WARN Call to connect failed : Connection timed out",
                ),
                (
                    r"(?:No usable listening interface found|no socket interface found|No interface found in the same subnet)",
                    "nterface found",
                    "bootstrap.cc:39 NCCL WARN NET/Socket : No usable listening interface found",
                ),
            )
        ),
        Sign(
            pattern=r"NCCL version (?P<release>2\.\d{1,2})\.\d",
            literal="NCCL version 2.",
            sample="unhandled system error, NCCL version 2.7.8",
            strength="context",
        ),
        Sign(
            pattern=r"(?P<older>Invalid config blocking attribute value)",
            literal="Invalid config blocking attribute",
            sample="Invalid config blocking attribute value -2147483648",
        ),
        Sign(
            pattern=r"(?P<peer>peer access is not supported between these two devices)",
            literal="peer access is not supported",
            sample="RuntimeError: CUDA error: peer access is not supported between these two devices",
        ),
        Sign(
            pattern=r"(?P<peer>doesn't support faster communication broadband via P2P)",
            literal="faster communication broadband",
            sample="NotImplementedError: Using RTX 4000 series doesn't support faster communication broadband via P2P or IB.",
        ),
        Sign(
            pattern=r"(?P<waits>Watchdog caught collective operation timeout): \w+\(.{0,80}?OpType=(?P<op>\w+)",
            literal="collective operation timeout",
            sample="[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=131, OpType=ALLREDUCE, Timeout(ms)=600000) ran for 600012 milliseconds",
        ),
        Sign(
            pattern=r"undefined symbol: (?P<missing>nccl\w+)",
            literal="undefined symbol: nccl",
            sample="ImportError: /v/torch/lib/libtorch_cuda.so: undefined symbol: ncclCommWindowRegister",
            strength="hint",
        ),
        # The packages of an environment, as pip, uv and conda list them, or as pip installs them.
        Sign(
            pattern=r"(?P<package>nvidia-nccl-cu\d\d)(?:==|[\s│|-]{1,40})(?P<version>\d+\.\d+[\d.]*)",
            literal="nvidia-nccl-cu",
            sample="nvidia-nccl-cu12         2.27.3",
            strength="context",
        ),
        Sign(
            pattern=r"(?P<logged>\bNCCL (?:INFO|WARN) )",
            literal="NCCL ",
            sample="host:4533:4667 [0] NCCL INFO NET/Socket : Using [0]eth0:172.17.0.3<0>",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="reduces a tensor by NCCL on a stand-in GPU, on which it cannot start",
        of=(
            Torch(build="cuda"),
            StubDriver(cuda="13.9", nvml=True, gpus=(StubGpu("NVIDIA A10", "8.6", 22515),), runtime=True),
            File(
                path="reduce.py",
                text="import torch\nimport torch.distributed as processes\n"
                "processes.init_process_group('nccl', init_method='file://{folder}/meeting', rank=0, world_size=1)\n"
                "processes.all_reduce(torch.empty(1, device='cuda'))\n",
            ),
        ),
        run=(("{python}", "reduce.py"),),
        shows="NCCL error",
        goal=Goal.TRAIN,
        seconds=10,
        stands_in=("the GPU", "its driver"),
    ),
)


Kind = Literal["duplicate", "network", "two", "peer", "waits", "system", "cuda", "wsl", "other"]


class Failed(Variant, frozen=True, kw_only=True):
    """Hold why NCCL failed.

    "duplicate": two processes have the same GPU. "network": NCCL does not reach another process. "two": two NCCL packages are installed, or
    torch loaded another NCCL than its own. "peer": the GPUs cannot read each other's memory. "waits": a process waited too long. "system",
    "cuda": a call of the system or of CUDA failed. "wsl": this NCCL is older than its support for WSL. "other": the log does not show it.
    """

    by: Kind
    packages: tuple[tuple[str, str], ...] = ()  # with "two": (name, version) of each NCCL package
    logged: bool = False  # the log contains NCCL's own log (NCCL_DEBUG=INFO)
    bridged: bool = False  # the address that NCCL could not reach is one of Docker's own network
    op: str | None = None  # with "waits": the operation for which a process waited, "ALLREDUCE"


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if m.strength == "proof"]
    packages = tuple(
        dict.fromkeys((m.groups["package"], m.groups["version"]) for m in seen.matches if "package" in m.groups)
    )
    two = len({name for name, _ in packages}) > 1
    if not told and not (two and any(m.strength == "hint" for m in seen.matches)):
        return None
    said = seen.captured()
    text = " ".join(m.text for m in told)
    kind: Kind
    if "duplicate" in said:
        kind, message = (
            "duplicate",
            "Two processes of the training were given the same GPU: NCCL needs a separate GPU for each process.",
        )
    elif two:
        names = " and ".join(f"{name} {version}" for name, version in packages[:2])
        kind, message = (
            "two",
            f"Two packages of NCCL are in this environment, {names}. Both write the same file, and torch loads the one that was written last.",
        )
    elif "older" in said:
        kind, message = (
            "two",
            "torch loaded another NCCL than the one it was built for: this NCCL does not know a setting that torch makes.",
        )
    elif "network" in said:
        to = f" to {said['address']}" if "address" in said else ""
        kind, message = (
            "network",
            f"NCCL cannot connect{to}: it uses a network interface that does not reach the other process, or a firewall is in between.",
        )
    elif "peer" in said:
        kind, message = "peer", "These GPUs cannot read each other's memory (P2P), and NCCL tried to."
    elif places.wsl(facts) and nccl_cures.before_wsl(said.get("release")):
        kind, message = (
            "wsl",
            f"NCCL {said['release']} does not support WSL: NCCL 2.10 was the first release that runs there.",
        )
    elif "waits" in said:
        kind, message = (
            "waits",
            f"A process waited too long for the others, in {said['op']}: one of them died, does other work, or the GPUs cannot reach each other.",
        )
    elif "ncclSystemError" in text or "system" in said:
        kind, message = (
            "system",
            "A system call of NCCL failed: shared or locked memory, or the network between the processes.",
        )
    elif "cuda" in said:
        kind, message = "cuda", "A CUDA call of NCCL failed; the first error of the other ranks is often the cause."
    else:
        kind, message = "other", "NCCL reports an error; the reason is in NCCL's own log, which is off by default."
    return Hit(
        message=message,
        evidence=building.lines(
            [m for m in seen.matches if m.strength != "context" or (kind == "two" and "package" in m.groups)][:4]
        ),
        variant=Failed(
            by=kind,
            packages=packages if two else (),
            logged="logged" in said,
            op=said.get("op"),
            bridged=said.get("address", "").startswith("172.1"),
        ),
        confidence=Confidence.HIGH if kind in ("duplicate", "network", "two", "peer", "wsl") else Confidence.MEDIUM,
        explains=("ld-library-path-shadowing",) if kind == "two" else None,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    failed = hit.variant if isinstance(hit.variant, Failed) else Failed(by="other")
    asked = () if failed.logged else (nccl_cures.ask(facts),)
    if failed.by == "duplicate":
        return (nccl_cures.one_each(facts), *asked)
    if failed.by == "two":
        return nccl_cures.one_package(facts, failed.packages)
    if failed.by == "network":
        return (nccl_cures.interface(facts, bridged=failed.bridged), *asked)
    if failed.by == "wsl":
        return nccl_cures.for_wsl(facts)
    if failed.by == "peer":
        return (nccl_cures.without_peers(facts),)
    if failed.by == "waits":
        return (nccl_cures.without_peers(facts), nccl_cures.longer(facts), *asked)
    if failed.by == "system":
        larger = nccl_cures.memory(facts) if facts.system.container is not None else ()
        return (*asked, *larger, *((nccl_cures.interface(facts),) if failed.logged else ()))
    if failed.by == "cuda":
        return (*asked, nccl_cures.without_peers(facts))
    return asked or (nccl_cures.interface(facts),)
