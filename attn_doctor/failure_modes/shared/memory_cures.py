"""Make the fixes for a full memory: of the GPU where a program shares it in its own way (vLLM, Macs), and of the machine while it compiles. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step

_SWAP = "/swap-for-builds"


def swap(facts: Facts, begin: str) -> Step:
    """Return the step that adds 8 GB of swap until the next start of the machine.

    In a container, a hosted notebook, WSL, on a cluster or on another system than Linux: a step in words. `begin`: the
    first words of the reason, "if this is not enough, ".
    https://man7.org/linux/man-pages/man8/swapon.8.html
    """
    own = not places.container(facts) and not places.hosted(facts) and not places.on_cluster(facts)
    if places.container(facts) == "kubernetes":
        return commands.by_hand((), f"{begin}raise resources.limits.memory of the pod", "the memory of the pod")
    if places.container(facts):
        words = "give Docker more memory: Docker Desktop, Settings, Resources, Memory limit (on Linux without Docker Desktop add swap on the host), or build on a machine with more memory"
        return commands.by_hand((), f"{begin}{words}", "the memory of containers")
    if facts.system.os != "linux" or not own or places.wsl(facts):
        return commands.by_hand((), f"{begin}add swap, or build on a machine with more memory", "swap space")
    lines = (
        ("fallocate", "-l", "8G", _SWAP),
        ("chmod", "600", _SWAP),
        ("mkswap", _SWAP),
        ("swapon", _SWAP),
    )
    line = " && ".join(" ".join(places.as_root(facts, *argv)) for argv in lines)
    words = f"{begin}adds 8 GB of swap until the next start of the machine; or build on a machine with more memory"
    return commands.by_hand(("sh", "-c", line), words, "swap space", takes="8 GB of disk")


def of_vllm(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for vLLM: let it use less memory, or divide the model among several GPUs.

    vLLM reserves a share of the GPU's memory.
    https://docs.vllm.ai/en/latest/configuration/conserving_memory.html
    """
    verify = commands.check(facts)
    held = commands.by_hand(
        ("nvidia-smi",),
        "shows which programs hold memory of the GPU: end those that you do not need",
        "nothing",
        "none",
    )
    words = (
        "add to the command of vLLM: --max-model-len 8192 --max-num-seqs 16 --gpu-memory-utilization 0.85. A shorter context needs less memory for the cache. "
        '"No available memory for the cache blocks": the weights fill the share, so raise the last number (0.95) or take a smaller or quantised model. "Free memory '
        'on device ... is less than desired": another program holds memory, so lower it'
    )
    less = commands.by_hand((), words, "the command of vLLM", "none")
    several = commands.by_hand(
        (), "with several GPUs: --tensor-parallel-size 2 divides the model among two", "the command of vLLM", "none"
    )
    return (
        Fix(title="Let vLLM use less memory", steps=(held, less), verify=verify),
        Fix(title="Divide the model among several GPUs", steps=(several,), verify=verify),
    )


def of_mps(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a Mac, whose GPU uses the memory of the machine: use less memory, or take MPS's limit away.

    https://docs.pytorch.org/docs/stable/mps_environment_variables.html
    """
    verify = commands.check(facts)
    smaller = commands.by_hand(
        (),
        "use a smaller batch or image (yolo: batch=4 imgsz=480), and end programs that need much memory: the GPU of a Mac uses the memory of the machine",
        "the settings of the program",
        "none",
    )
    ratio = commands.variable(
        "PYTORCH_MPS_HIGH_WATERMARK_RATIO",
        "0.0",
        "takes the limit away: macOS then moves memory to the disk, and may become very slow or stop",
    )
    return (
        Fix(title="Use less memory", steps=(smaller,), verify=verify),
        Fix(title="Take the limit away", steps=(ratio,), verify=verify),
    )
