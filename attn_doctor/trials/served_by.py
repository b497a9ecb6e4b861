"""Say which kernel served the calls of attention in a trial: the requested one, several operators, or another kernel. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attn_doctor.model.trials import AttentionCalls
from attn_doctor.trials.backends import Backend


def count(backend: Backend, calls: Sequence[Mapping[str, Sequence[str]]]) -> tuple[AttentionCalls, tuple[str, ...]]:
    """Return how many calls which kind of kernel served, and the names of the operators that were seen.

    `calls`: of each call the operators that were seen, {"forward": [...], "backward": [...]}.
    """
    kinds = [kind_of(call) for call in calls]
    composed = kinds.count("composed")
    as_installed = not backend.exchanged
    names = dict.fromkeys(name for call in calls for way in ("forward", "backward") for name in call[way])
    return (
        AttentionCalls(
            fused=kinds.count("fused"), math=0 if as_installed else composed, eager=composed if as_installed else 0
        ),
        tuple(names),
    )


def kind_of(call: Mapping[str, Sequence[str]]) -> str:
    """Return the kind of kernel that served a call: "fused", "composed" or "unseen".

    "fused": one operator computed the attention, in both passes. "composed": several operators did, a softmax among them.
    "unseen": the operators of a pass were not seen.
    """
    forward, backward = call["forward"], call["backward"]
    if any("softmax" in name or re.fullmatch(r"aten::exp_?", name) for name in (*forward, *backward)):
        return "composed"
    return "fused" if forward and backward else "unseen"


def other_kernel(
    backend: Backend, calls: Sequence[Mapping[str, Sequence[str]]] | None, profile: Sequence[str]
) -> str | None:
    """Return None if the requested kernel served every call, forward and backward; else a text with the kernels that served them.

    `calls`: of each call the operators that were seen, {"forward": [...], "backward": [...]}; None: compiled code, which hides
    them. `profile`: the names of the kernels in the GPU profile.
    """
    if calls is None:  # compiled code hides its operators: the profile must name its kernels
        if backend.composed or any(re.search(backend.kernels, name) for name in profile):
            return None
        return "the profile contains no kernel of this backend"
    if not calls:
        return "no attention call was seen"
    kinds = [kind_of(call) for call in calls]
    if backend.composed:
        fused = sorted(
            {name for call, kind in zip(calls, kinds, strict=True) if kind == "fused" for name in call["forward"]}
        )
        if fused:
            return f"{kinds.count('fused')} of {len(calls)} calls were served by {', '.join(fused)}"
        unseen = kinds.count("unseen")
        return f"the operators of {unseen} of {len(calls)} calls were not seen" if unseen else None
    own = re.compile(backend.operators)
    good = [
        kind == "fused" and all(any(own.search(name) for name in call[way]) for way in ("forward", "backward"))
        for call, kind in zip(calls, kinds, strict=True)
    ]
    if all(good) and backend.shared and not any(re.search(backend.kernels, name) for name in profile):
        return "PyTorch's flash operator served every call, but no kernel of this package was seen in the profile"
    if all(good):
        return None
    if "unseen" in kinds and "composed" not in kinds and any(re.search(backend.kernels, name) for name in profile):
        return None  # a package that bypasses PyTorch's dispatcher: the GPU profile names its kernels
    parts = []
    if "composed" in kinds:
        parts.append(f"{kinds.count('composed')} of {len(calls)} calls fell back to math")
    others = {
        name
        for call, kind, mine in zip(calls, kinds, good, strict=True)
        if kind == "fused" and not mine
        for name in call["forward"]
    }
    if others:
        parts.append(f"calls were served by {', '.join(sorted(others))}")
    if "unseen" in kinds:
        parts.append(f"{kinds.count('unseen')} of {len(calls)} calls were not seen both forward and backward")
    return ", ".join(parts)
