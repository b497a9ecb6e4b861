"""flash-attn was given a dtype that it does not support.

What it is
    FlashAttention kernels for GPUs support float16 and bfloat16, with query, key and value of one dtype. float32 raises an
    error.

How it shows
    "FlashAttention only support fp16 and bf16 data type"; "query and key must have the same dtype"; "Expected q_dtype ==
    torch::kFloat16 || ... to be true". transformers prints a warning beforehand and goes on. bfloat16 on a card older than
    Ampere: "Your setup doesn't support bf16/gpu", "Bfloat16 is only supported on GPUs with compute capability of at least 8.0".

Why it happens
    The model was loaded in float32, or a layer (a norm, a LoRA adapter, a rotary embedding) turns its output into float32 again, and
    no autocast is on.

What to do
    Train under autocast (Ultralytics: amp=True, the default; elsewhere bf16=True), or load the model in bfloat16.

How to reproduce
    `attn-doctor reproduce dtype-unsupported` calls attention with a query in float32 and a key in float16. If the torch
    of the target does not fit, a CPU build is downloaded: 200 MB.

References
    https://pytorch.org/docs/stable/amp.html
    https://github.com/unslothai/unsloth/issues/827
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Recipe, Torch
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD414",
    slug="dtype-unsupported",
    title="A dtype that flash-attn does not support",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    signs=(
        Sign(
            pattern=r"FlashAttention only supports? fp16(?: and |, )bf16",
            literal="FlashAttention only support",
            sample="RuntimeError: FlashAttention only support fp16 and bf16 data type",
        ),
        Sign(
            pattern=r"must be in dtype of torch\.float16 or torch\.bfloat16",
            literal="must be in dtype of",
            sample="AssertionError: Input tensors must be in dtype of torch.float16 or torch.bfloat16",
        ),
        Sign(
            pattern=r"query and (?:key|value) must have the same dtype",
            literal="must have the same dtype",
            sample="RuntimeError: query and key must have the same dtype",
        ),
        Sign(
            pattern=r"Expected q_dtype == torch::kFloat16",
            literal="Expected q_dtype ==",
            sample="RuntimeError: Expected q_dtype == torch::kFloat16 || ((is_sm8x || is_sm90) && q_dtype == torch::kBFloat16) to be true",
        ),
        Sign(
            pattern=r"Expected query, key, and value to have the same dtype, but got (?P<dtypes>.{5,120})",
            literal="to have the same dtype, but got",
            sample="RuntimeError: Expected query, key, and value to have the same dtype, but got query.dtype: float key.dtype: float and "
            "value.dtype: c10::BFloat16 instead.",
        ),
        Sign(
            pattern=r"assert .{0,80}dtype in [\[(]torch\.float16, torch\.bfloat16[\])]",
            literal="dtype in ",
            sample="    assert qkv.dtype in [torch.float16, torch.bfloat16]",
            strength="proof",
        ),
        Sign(
            pattern=r"(?P<card>Your setup doesn't support bf16|Bfloat16 is only supported on GPUs with compute capability)",
            literal="support",
            sample="ValueError: Your setup doesn't support bf16/gpu. You need torch>=1.10, using Ampere GPU with cuda>=11.0",
        ),
        # In the attention of the fork, after flash-attn or before it: the rest of the model is in another dtype.
        Sign(
            pattern=r"(?P<mixed>expected scalar type (?:Half|Float|BFloat16) but found (?:Half|Float|BFloat16))",
            literal="expected scalar type ",
            sample="RuntimeError: expected scalar type Half but found Float",
        ),
        Sign(
            pattern=r"(?P<mixed>mat1 and mat2 must have the same dtype, but got)",
            literal="mat1 and mat2 must have the same dtype",
            sample="RuntimeError: mat1 and mat2 must have the same dtype, but got Half and Float",
        ),
        Sign(
            pattern=r"(?P<mixed>Input type \([\w.]{4,40}\) and (?:bias|weight) type \([\w.]{4,40}\) should be the same)",
            literal="should be the same",
            sample="RuntimeError: Input type (torch.cuda.FloatTensor) and weight type (torch.cuda.HalfTensor) should be the same",
        ),
        Sign(
            pattern=r"only supports torch\.float16 and torch\.bfloat16 dtypes",
            literal="only supports torch.float16",
            sample="Flash Attention 2 only supports torch.float16 and torch.bfloat16 dtypes, but the current dype in Model is torch.float32.",
            strength="hint",
        ),
        Sign(
            pattern=r"You are attempting to use Flash Attention \d(?:\.0)? without specifying a (?:torch )?dtype",
            literal="without specifying a ",
            sample="You are attempting to use Flash Attention 2.0 without specifying a torch dtype. This might lead to unexpected behaviour",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="calls attention with a query in float32 and a key in float16",
        of=(Torch(),),
        run=(
            (
                "{python}",
                "-c",
                (
                    "import torch\n"
                    "q = torch.ones(1, 1, 8, 8)\n"
                    "torch.nn.functional.scaled_dot_product_attention(q, q.half(), q)"
                ),
            ),
        ),
        shows="to have the same dtype",
        seconds=5,
    ),
)
# There is no `detect`: no fact says the dtype of a program's tensors.


class Mixed(Variant, frozen=True):
    """Mark the case that a layer got numbers of another dtype than its weights."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if not any(m.strength == "proof" for m in seen.matches):
        return Hit(
            message="transformers warns that the model is not in half precision; the program continues.",
            evidence=evidence,
            severity=Severity.INFO,
        )
    if seen.group("mixed") and all("mixed" in m.groups for m in seen.matches if m.strength == "proof"):
        return Hit(
            message="A layer got numbers of another dtype than its weights: one part of the model runs in half precision, and another in float32.",
            evidence=evidence,
            variant=Mixed(),
        )
    if seen.group("card"):
        return Hit(
            message="bfloat16 was requested on a GPU that is older than Ampere and does not support bfloat16.",
            evidence=evidence,
        )
    return Hit(
        message="Attention was called with a dtype that its kernel does not support: such kernels support only float16 and bfloat16, the same for query, key and value.",
        evidence=evidence,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Mixed):
        words = (
            "use one dtype throughout: for training amp=True (the default of Ultralytics) or amp=False, not half() on a model that is trained; for predicting half=True or half=False on "
            "model and images alike (model.half() and image.half()); in other programs, run the call under torch.autocast"
        )
        same = commands.by_hand((), words, "your command or program", "none")
        return (Fix(title="Use one dtype for the whole model", steps=(same,), verify=commands.check(facts)),)
    step = commands.by_hand(
        (),
        "train with amp=True (Ultralytics), bf16=True (transformers) or under torch.autocast",
        "your training command",
        "none",
    )
    return (Fix(title="Use half precision", steps=(step,), verify=commands.check(facts)),)
