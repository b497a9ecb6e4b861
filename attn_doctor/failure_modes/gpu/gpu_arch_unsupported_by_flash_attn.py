"""The GPU is older than flash-attn 2 supports.

What it is
    flash-attn 2 has kernels for compute capability 8.0 and newer (Ampere, Ada, Hopper, Blackwell). T4, RTX 20xx, GTX, V100 and
    older cannot run it.

How it shows
    "RuntimeError: FlashAttention only supports Ampere GPUs or newer." It builds and imports without an error; only the
    first call fails. Other code paths often ignore the flags that should switch it off. flash-attn 1 and the copy of it
    in torch 2.0 say "Expected is_sm90 || is_sm8x || is_sm75 to be true, but got false": if the list contains sm8x or
    sm75, the GPU is too old; a list of only sm80 and sm90 is about the width of the heads (head-dim-unsupported).
    xformers lists for each of its kernels why it does not run: "requires device with capability > (8, 0) but your GPU
    has capability (7, 5) (too old)".

Why it happens
    The kernels of flash-attn 2 use instructions that older GPUs do not have. The documentation of YOLO12 names Turing (T4) as
    supported: that is true only of flash-attn 1.

What to do
    Use PyTorch's memory-efficient kernel (sdpa-efficient), which runs from compute capability 5.0 on, and remove
    flash-attn. With xformers: use float16 instead of bfloat16, because xformers has a float16 kernel for older GPUs; or
    use PyTorch's own attention.

How to reproduce
    `attn-doctor reproduce gpu-arch-unsupported-by-flash-attn` asks a stand-in driver for a Tesla T4, and examines that machine. Stand-in: the
    GPU; its driver. It needs gcc. If that is not available, a simulated machine is judged.

References
    https://github.com/Dao-AILab/flash-attention#nvidia-cuda-support
    https://github.com/Dao-AILab/flash-attention/issues/762
    https://github.com/Dao-AILab/flash-attention/blob/v1.0.9/csrc/flash_attn/fmha_api.cpp
    https://github.com/facebookresearch/xformers/blob/main/xformers/ops/fmha/common.py
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, known, present
from attn_doctor.failure_modes.recipe import ASK_DRIVER, PlayedMachine, Recipe, StubDriver, StubGpu, Torch
from attn_doctor.failure_modes.shared import cuda_start, own_flash_calls
from attn_doctor.failure_modes.shared.fact_queries import version
from attn_doctor.knowledge import flash_attention, pci_gpu
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity, fact
from attn_doctor.model.versions import capability

MODE = FailureMode(
    code="AD412",
    slug="gpu-arch-unsupported-by-flash-attn",
    title="The GPU is older than flash-attn 2 supports",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2", "flash-attn-3", "flash-attn-4", "sdpa-flash", "sdpa-cudnn"),
    explains=("yolo12-flash-not-used", "head-dim-unsupported"),
    explains_what_stops="build",
    signs=(
        Sign(
            pattern=r"FlashAttention only supports (?:Ampere|Turing) GPUs or newer",
            literal="FlashAttention only supports",
            sample="RuntimeError: FlashAttention only supports Ampere GPUs or newer.",
        ),
        Sign(
            pattern=r"Flash ?Attention ?(?P<package>\d) requires compute capability >= ?(?P<needs>[\d.]+), but found \((?P<have>\d+, ?\d+)\)",
            literal="requires compute capability >=",
            sample="ImportError: FlashAttention3 has been toggled on, but it cannot be used due to the following error: FlashAttention3 "
            "requires compute capability >= 9, but found (8, 6) with compute capability 8.x",
        ),
        Sign(
            pattern=r"Expected (?:is_sm\w{2,4} \|\| ){0,5}is_sm(?:8x|75)(?: \|\| is_sm\w{2,4}){0,5} to be true, but got false",
            literal="to be true, but got false",
            sample="RuntimeError: Expected is_sm90 || is_sm8x || is_sm75 to be true, but got false.",
        ),
        Sign(
            pattern=r"requires device with capability >=? \((?P<major>\d+), (?P<minor>\d+)\) but your GPU has capability "
            r"\((?P<have>\d+, ?\d+)\) \(too old\)",
            literal="requires device with capability >",
            sample="    requires device with capability > (8, 0) but your GPU has capability (7, 5) (too old)",
        ),
        # vLLM has a copy of flash-attn of its own. Its releases before 0.11 had an engine in vllm/worker, which could use xformers.
        Sign(
            pattern=r"[\\/]vllm[\\/](?P<vllm>worker|v1|engine|attention|executor|entrypoints|model_executor|vllm_flash_attn)[\\/]",
            literal="vllm",
            sample='  File "/v/lib/python3.12/site-packages/vllm/v1/worker/gpu_worker.py", line 10, in x',
            strength="context",
        ),
        *own_flash_calls.SIGNS,
        Sign(
            pattern=r"(?P<half>bf16) is only supported on A100\+ GPUs",
            literal=" is only supported on A100+ GPUs",
            sample="    bf16 is only supported on A100+ GPUs",
        ),
    ),
    recipe=Recipe(
        does="asks a stand-in driver for a Tesla T4, and examines that machine",
        of=(
            Torch(build="cuda", if_there=True),
            PlayedMachine(pci=(("10de", "1eb8", "nvidia"),), module="580.95.05"),
            StubDriver(
                cuda="13.0",
                version="580.95.05",
                nvml=True,
                gpus=(StubGpu("Tesla T4", "7.5", 15360, ecc=True),),
                runtime=True,
            ),
        ),
        run=(ASK_DRIVER,),
        shows="cuInit: 0",
        examine=("--no-trial",),
        seconds=8,
        stands_in=("the GPU", "its driver"),
    ),
)


class Refused(Variant, frozen=True, kw_only=True):
    """Hold the name of the library whose kernels refused the GPU."""

    by: Literal["flash-attn", "xformers", "vllm"]
    with_xformers: bool = False  # this vLLM can use xformers instead
    caller: str | None = None  # who calls flash-attn by its name: a value of own_flash_calls.of


def detect(facts: Facts) -> Hit | None:
    if facts.graphics.gpus == () and (named := pci_gpu.too_old_for_flash_attn(facts)):
        return _by_pci(facts, named)
    gpus = [(i, g) for i, g in enumerate(known(facts.graphics.gpus)) if g.visible is not False]
    if not gpus:
        return None
    needed = flash_attention.latest().min_capability
    old = [(i, g) for i, g in gpus if capability(present(g.compute_capability)) < capability(needed)]
    if not old:
        return None
    index, card = old[0]
    name = cuda_start.name(card)
    every_one = len(old) == len(gpus)
    return Hit(
        message=f"{name[0].upper()}{name[1:]} has compute capability {card.compute_capability}, flash-attn 2 needs {needed} (Ampere) or newer.",
        evidence=(fact(facts, f"graphics.gpus.{index}.compute_capability", f"{name}: {card.compute_capability}"),),
        severity=None if every_one else Severity.INFO,
    )


def _by_pci(facts: Facts, named: str) -> Hit:
    """Return the hit for a card without a driver: its PCI id shows that it is too old."""
    needed = flash_attention.latest().min_capability
    bus = facts.graphics.pci if isinstance(facts.graphics.pci, tuple) else ()
    index = next(i for i, device in enumerate(bus) if pci_gpu.is_card(device))
    return Hit(
        message=f"{named[0].upper()}{named[1:]} is older than Ampere, flash-attn 2 needs compute capability {needed} (Ampere) or newer.",
        evidence=(fact(facts, f"graphics.pci.{index}.device", named),),
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    have, old, half = seen.group("have"), seen.group("major"), seen.group("half")
    message = "flash-attn was called on a GPU that is too old for it, and refused."
    if old:
        message = f"xformers' FlashAttention needs compute capability {old}.{seen.group('minor')} or newer, this GPU has {str(have).replace(', ', '.')}."
    elif half:
        message = "xformers was called with bfloat16 on a GPU that is older than Ampere, and has no kernel for that."
    elif have:
        message = f"FlashAttention {seen.group('package')} needs compute capability {seen.group('needs')}, this GPU has {have}."
    return Hit(
        message=message,
        evidence=tuple(e for e in evidence if any(m.strength == "proof" and m.line == e.line for m in seen.matches)),
        variant=Refused(
            by="xformers" if old or half else "vllm" if seen.group("vllm") else "flash-attn",
            with_xformers=seen.group("vllm") == "worker",
            caller=own_flash_calls.of(seen),
        ),
        severity=Severity.ERROR,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Refused) and hit.variant.by == "xformers":
        return _of_xformers(facts)
    if isinstance(hit.variant, Refused) and hit.variant.by == "vllm":
        return (_of_vllm(facts, with_xformers=hit.variant.with_xformers),)
    if isinstance(hit.variant, Refused) and hit.variant.caller is not None:
        return own_flash_calls.fixes(facts, hit.variant.caller)
    if version(facts, "flash-attn") is None:
        return (_own(facts),) if hit.variant is not None else ()
    step = commands.uninstall(
        "flash-attn", why="flash-attn cannot run on this GPU, and programs that find flash-attn try to use it"
    )
    return (Fix(title="Remove flash-attn", steps=(step,), verify=commands.check(facts)),)


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a machine of which too little is known to name versions.

    Remove flash-attn, or use PyTorch's own attention.
    """
    step = commands.uninstall(
        "flash-attn", why="flash-attn cannot run on such a GPU, and programs that find flash-attn try to use it"
    )
    return (Fix(title="Remove flash-attn", steps=(step,), verify=commands.check(facts)), _own(facts))


def _own(facts: Facts) -> Fix:
    step = commands.by_hand(
        (),
        'use PyTorch\'s scaled_dot_product_attention (attn_implementation="sdpa"), which chooses a kernel that runs on the GPU. If torch 2.0 '
        "itself prints this error: call torch.backends.cuda.enable_flash_sdp(False) before the model runs",
        "the settings of the program",
        "none",
    )
    return Fix(title="Use PyTorch's own attention", steps=(step,), verify=commands.check(facts))


def _of_vllm(facts: Facts, *, with_xformers: bool) -> Fix:
    """Return the fix that lets vLLM use its backend XFORMERS (with `with_xformers`) or TRITON_ATTN, and float16.

    The error comes from the copy of flash-attn in vLLM, and not from the installed flash-attn: https://github.com/vllm-project/vllm/pull/4686,
    https://docs.vllm.ai/en/latest/design/attention_backends/
    """
    other = "XFORMERS" if with_xformers else "TRITON_ATTN"
    step = commands.variable(
        "VLLM_ATTENTION_BACKEND",
        other,
        f"vLLM contains a flash-attn of its own, so removing the package flash-attn changes nothing: this chooses another attention backend of vLLM. A newer "
        f"vLLM ignores the variable and says so: there the option is --attention-backend {other if not with_xformers else 'TRITON_ATTN'}",
    )
    half = commands.by_hand(
        (),
        "start vLLM in this shell, with --dtype half: GPUs older than Ampere have no bfloat16",
        "the options of vLLM",
        "none",
    )
    return Fix(title="Let vLLM use another attention backend", steps=(step, half), verify=commands.check(facts))


def _of_xformers(facts: Facts) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    half = commands.by_hand(
        (),
        "give the model torch.float16 instead of torch.bfloat16 (fp16=True, --dtype half): xformers has a float16 kernel for older GPUs, "
        "but its FlashAttention needs a newer GPU",
        "the settings of the program",
        "none",
    )
    return (Fix(title="Use float16", steps=(half,), verify=verify), _own(facts))
