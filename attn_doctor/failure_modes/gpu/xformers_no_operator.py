"""xformers has no kernel for this call.

What it is
    memory_efficient_attention of xformers asks each of its kernels whether it can compute the call, and prints for each why not.

How it shows
    "NotImplementedError: No operator found for `memory_efficient_attention_forward` with inputs:", and below it, for each kernel,
    reasons such as "xFormers wasn't build with CUDA support", "device=cpu (supported: {'cuda'})", "requires device with capability > (8, 0)
    but your GPU has capability (12, 0) (too new)", "max(query.shape[-1], value.shape[-1]) > 256", "dtype=torch.float32".

Why it happens
    The compiled part of xformers is for another torch, so that only its Python part works; or the model is on the CPU; or the GPU
    is newer or older than all kernels; or the numbers or the width of a head do not fit.

What to do
    Install the xformers that belongs to the torch (`pip install xformers --index-url` of the same CUDA). Or do without: PyTorch's own
    attention is as fast (`--no-xformers`, `--attention-pytorch`, --opt-sdp-attention, pipe.disable_xformers_memory_efficient_attention()).

How to reproduce
    There is no recipe: xformers has no wheel for a torch without CUDA. `python -m xformers.info` lists the kernels.

References
    https://github.com/facebookresearch/xformers#installing-xformers
    https://github.com/facebookresearch/xformers/issues/976
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD458",
    slug="xformers-no-operator",
    title="xformers has no kernel for this call",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("dtype-unsupported", "head-dim-unsupported"),
    signs=(
        Sign(
            pattern=r"No operator found for `memory_efficient_attention",
            literal="No operator found for `memory_efficient",
            sample="NotImplementedError: No operator found for `memory_efficient_attention_forward` with inputs:",
        ),
        *(
            Sign(pattern=rf"(?P<{group}>{pattern})", literal=literal, sample=sample, strength="context")
            for group, pattern, literal, sample in (
                (
                    "built",
                    r"xFormers wasn't build with CUDA support",
                    "wasn't build with CUDA",
                    "    xFormers wasn't build with CUDA support",
                ),
                (
                    "built",
                    r"[Oo]perator wasn't built",
                    "perator wasn't built",
                    "    operator wasn't built - see `python -m xformers.info` for more info",
                ),
                (
                    "cpu",
                    r"device=cpu \(supported",
                    "device=cpu (supported",
                    "`cutlassF` is not supported because: device=cpu (supported: {'cuda'})",
                ),
                (
                    "gpu",
                    r"device with capability (?:>=? \((?P<needs>\d+, ?\d+)\)|[=<]=? \(\d+, ?\d+\)) but your GPU has capability \((?P<have>\d+, ?\d+)\)",
                    "but your GPU has capability",
                    "    requires device with capability > (8, 0) but your GPU has capability (7, 5) (too old)",
                ),
                ("wide", r"shape\[-1\]\) > \d+", "shape[-1]) > ", "    max(query.shape[-1], value.shape[-1]) > 256"),
                (
                    "kernel",
                    r"^`\w{2,20}[FB](?:-\w{1,10})?(?:@\S{1,20})?` is not supported because",
                    "is not supported because",
                    "`fa3F@0.0.0` is not supported because:",
                ),
            )
        ),
    ),
)
# There is no `detect`: whether a kernel fits is seen at the call.


class Refused(Variant, frozen=True, kw_only=True):
    """Hold why the kernels refuse the call.

    "cpu": the model is on the CPU. "gpu": all of them refuse the GPU. "other": each has its own reason.
    """

    why: Literal["cpu", "gpu", "other"]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if m.strength == "proof"]
    if not told:
        return None
    said = seen.captured()
    if ("built" in said and "cpu" not in said) or any(_too_old(m) for m in seen.matches):
        return None  # extension-not-built and gpu-arch-unsupported-by-flash-attn name these causes
    why: Literal["cpu", "gpu", "other"] = "cpu" if "cpu" in said else "gpu" if _all_refuse_the_gpu(seen) else "other"
    message = {
        "cpu": "xformers has no kernel for the CPU, and the model is on the CPU: torch sees no GPU, or the model was not moved to it.",
        "gpu": "xformers has no kernel for this GPU.",
        "other": "xformers has no kernel for this call: the lines below say for each kernel why not.",
    }[why]
    return Hit(
        message=message,
        evidence=building.lines([*told[:2], *(m for m in seen.matches if m.strength == "context")][:4]),
        variant=Refused(why=why),
    )


def _all_refuse_the_gpu(seen: Seen) -> bool:
    """Return whether each kernel of the log gives the GPU as a reason. In a log that names no kernel, one such line is enough."""
    starts = [m.line for m in seen.matches if m.groups.get("kernel")]
    lines = [m.line for m in seen.matches if m.groups.get("gpu")]
    ends = [*starts[1:], float("inf")]
    each = [any(start < line < end for line in lines) for start, end in zip(starts, ends, strict=False)]
    return all(each) if each else bool(lines)


def _too_old(match: Match) -> bool:
    """Return whether a kernel needs a newer GPU. The numbers are compared: a wrapped line may lack the words "too old"."""
    needs, have = (re.findall(r"\d+", match.groups.get(group, "")) for group in ("needs", "have"))
    return bool(needs) and [int(part) for part in have] < [int(part) for part in needs]


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    why = hit.variant.why if isinstance(hit.variant, Refused) else "other"
    own = commands.by_hand(
        (),
        "PyTorch's own attention is as fast and needs no package. Stable Diffusion WebUI: --opt-sdp-attention in place of --xformers; ComfyUI: --disable-xformers; diffusers: "
        "leave out enable_xformers_memory_efficient_attention(); other programs: uninstall xformers",
        "the settings of the program",
        "none",
    )
    without = Fix(title="Do without xformers", steps=(own,), verify=verify)
    if why == "cpu":
        look = commands.by_hand(
            (*commands.starting(facts), "-c", "import torch; print(torch.__version__, torch.cuda.is_available())"),
            'True: move the model to the GPU (.to("cuda")); False: torch is a CPU build or sees no GPU, and xformers cannot be used',
            "nothing",
            "none",
        )
        return (Fix(title="See whether torch sees the GPU", steps=(look,), verify=verify), without)
    return (without,)
