"""The GPU is older than flash-attn 2 supports.

What it is
    flash-attn 2 has kernels for compute capability 8.0 and newer (Ampere, Ada, Hopper, Blackwell). T4, RTX 20xx, GTX, V100 and
    older cannot run it.

How it shows
    "RuntimeError: FlashAttention only supports Ampere GPUs or newer." It builds and imports without an error; only the first
    call fails. Other code paths often ignore the flags that should switch it off.

Why it happens
    Its kernels use instructions that older GPUs do not have. The documentation of YOLO12 names Turing (T4) as supported: that is
    true of flash-attn 1 alone.

What to do
    Use PyTorch's memory-efficient kernel (sdpa-efficient), which runs from compute capability 5.0 on, and remove flash-attn.

How to reproduce
    `attn-doctor reproduce gpu-arch-unsupported-by-flash-attn` judges a machine with a Tesla T4: a simulated machine, on
    which nothing is run.

References
    https://github.com/Dao-AILab/flash-attention#nvidia-cuda-support
    https://github.com/Dao-AILab/flash-attention/issues/762
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, known, present
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.failure_modes.shared import cuda_start, subject
from attn_doctor.failure_modes.shared.fact_queries import version
from attn_doctor.knowledge import flash_attention
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
    explains=("yolo12-flash-not-used",),
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
        # xformers lists for each of its kernels the reason why it does not run.
        Sign(
            pattern=r"requires device with capability (?P<rule>[<>=]{1,2}) \((?P<needs>\d+, ?\d+)\) but your GPU has capability \((?P<have>\d+, ?\d+)\) \(too old",
            literal="requires device with capability",
            sample="    requires device with capability > (8, 0) but your GPU has capability (7, 5) (too old)",
        ),
        # A list of architectures in which Turing stands is the test of the GPU's age, which head-dim-unsupported leaves to this one.
        Sign(
            pattern=r"Expected (?:is_sm\w{2,3} \|\| )*is_sm(?:75|7x)(?: \|\| is_sm\w{2,3})* to be true",
            literal=" to be true",
            sample="RuntimeError: Expected is_sm90 || is_sm8x || is_sm75 to be true, but got false.",
        ),
    ),
    recipe=Recipe(
        does="judges a machine with a Tesla T4",
        seconds=1,
    ),
)


def detect(facts: Facts) -> Hit | None:
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


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    have, needs = seen.group("have"), seen.group("needs")
    name = subject.package(facts)
    message = "flash-attn 2 was called on a GPU that is older than Ampere, and refused."
    if have and seen.group("rule"):
        floor = f"{'more than' if seen.group('rule') == '>' else 'at least'} ({needs})"
        message = f"A kernel of {subject.words(facts)} needs a GPU of capability {floor}, the GPU there has ({have})."
    elif have:
        message = f"FlashAttention {seen.group('package')} needs compute capability {needs}, the GPU there has {have}."
    elif any("is_sm" in m.text for m in seen.matches):
        message = "flash-attn was called on a GPU that is older than all that its check lists, and refused."
    return Hit(
        message=message,
        evidence=evidence,
        variant=Refused(package=name if seen.group("rule") else subject.FLASH_ATTN),
        severity=Severity.ERROR,
    )


class Refused(Variant, frozen=True, kw_only=True):
    """Name the package that refused the GPU in a log; None where the log does not name it."""

    package: str | None


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Refused) and hit.variant.package != subject.FLASH_ATTN:
        return (_without(facts, hit.variant.package or "that package"),)
    if version(facts, "flash-attn") is None:
        return ()
    step = commands.uninstall("flash-attn", why="it cannot run on this GPU, and code that finds it tries to use it")
    return (Fix(title="Remove flash-attn", steps=(step,), verify=commands.check(facts)),)


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a machine of which too little is known to name versions."""
    step = commands.uninstall("flash-attn", why="it cannot run on such a GPU, and code that finds it tries to use it")
    return (
        Fix(title="Remove flash-attn", steps=(step,), verify=commands.check(facts)),
        _without(facts, "flash-attn"),
    )


def _without(facts: Facts, name: str) -> Fix:
    words = (
        f"let the program use PyTorch's own attention (SDPA, scaled_dot_product_attention) instead of {name}: "
        'attn_implementation="sdpa" in transformers, a flag like --attention-pytorch or no --xformers elsewhere'
    )
    step = commands.by_hand((), words, "the program's options", "none")
    return Fix(title="Use PyTorch's own attention", steps=(step,), verify=commands.check(facts))
