"""Answer which kernel of PyTorch's scaled_dot_product_attention accepts which call. The answers come from the source of one torch version.

They are for plans and explanations. Whether a kernel really ran is decided by the trial, and PyTorch's own can_use_* count more
than these tables.
"""

from __future__ import annotations

from collections.abc import Iterator

from attn_doctor.knowledge.attention_rows import SdpaKernel
from attn_doctor.knowledge.flash_attention import limit_hit
from attn_doctor.knowledge.tables import load, unlisted
from attn_doctor.knowledge.yes_no_unknown import Judgement, all_of, names, no, yes
from attn_doctor.model.facts import OsName, Record, Unknown
from attn_doctor.model.versions import capability


class Call(Record, frozen=True, kw_only=True):
    """Describe one attention call. `head_dim` is the head dim of query and key; `dtype` is a name such as "bfloat16"."""

    capability: str  # of the GPU, "8.9"
    dtype: str
    head_dim: int
    value_head_dim: int | None = None  # None: as head_dim
    mask: bool = False
    causal: bool = False
    queries: int = 1  # tokens of the query
    keys: int = 1  # tokens of key and value
    last_stride: int = 1  # in elements
    training: bool = False
    dropout: bool = False
    os: OsName = "linux"


def kernel(name: str) -> SdpaKernel | Unknown:
    """Return the row of a kernel ("sdpa-flash"); Unknown if the table lacks it."""
    return next((row for row in load(SdpaKernel) if row.kernel == name), None) or unlisted(name)


def takes(name: str, call: Call) -> Judgement:
    """Return whether this kernel ("sdpa-flash") accepts this call. A "no" has all reasons."""
    row = kernel(name)
    return row if isinstance(row, Unknown) else all_of([*_parts(row, call), yes(f"{name} accepts this call")])


def _parts(row: SdpaKernel, call: Call) -> Iterator[Judgement]:
    """Yield a judgement for each condition of the kernel that the call breaks ("no") or perhaps breaks (Unknown)."""
    value_dim = call.head_dim if call.value_head_dim is None else call.value_head_dim
    target = capability(call.capability)
    if row.lowest is not None and target < capability(row.lowest):
        yield no(f"{row.kernel} needs compute capability {row.lowest}, the GPU is {call.capability}")
    if row.highest is not None and target > capability(row.highest):
        yield unlisted(f"{row.kernel} on {call.capability} (torch {row.torch} ends at {row.highest})")
    if call.dtype not in row.dtypes:
        yield no(f"{row.kernel} accepts {names(row.dtypes)}, not {call.dtype}")
    elif call.dtype == "bfloat16" and row.bf16_from is not None and target < capability(row.bf16_from):
        yield no(f"{row.kernel} accepts bfloat16 from {row.bf16_from} on, the GPU is {call.capability}")
    if call.mask and not row.mask:
        yield no(f"{row.kernel} accepts no mask")
    if row.equal_head_dims == "all" and value_dim != call.head_dim:
        yield no(f"{row.kernel} needs one head dim, here {call.head_dim} for query and key and {value_dim} for value")
    yield from _head_dim(row, call, max(call.head_dim, value_dim))
    if row.last_stride_one and call.last_stride != 1:
        yield no(f"{row.kernel} needs a last stride of 1, here {call.last_stride}")
    if call.causal and row.causal_needs_equal_lengths and call.queries != call.keys:
        yield no(f"{row.kernel} needs as many keys as queries for a causal call, here {call.queries} and {call.keys}")
    if call.os not in row.os:
        yield unlisted(f"{row.kernel} on {call.os}")


def _head_dim(row: SdpaKernel, call: Call, largest: int) -> Iterator[Judgement]:
    if row.max_head_dim is not None and largest > row.max_head_dim:
        yield no(f"{row.kernel} accepts head dims up to {row.max_head_dim}, here {largest}")
    sixteen_bit = call.dtype in {"float16", "bfloat16"}
    if row.head_dim_multiple is not None and sixteen_bit and largest % row.head_dim_multiple:
        yield no(f"{row.kernel} needs head dims that are multiples of {row.head_dim_multiple}, here {largest}")
    if call.training and limit_hit(row.training_limits, call.capability, largest, dropout=call.dropout):
        yield no(f"{row.kernel} does not train head dim {largest} on {call.capability}")
