"""Find the package that failed, and the action that failed, among the claims of one log. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from attn_doctor.logs.stated_facts.claim import Claim
from attn_doctor.logs.stated_facts.subject_signs import FAILED, FRAME
from attn_doctor.logs.stated_facts.values import is_known
from attn_doctor.model.stated_facts import Stated

_ONE_TRACEBACK = 8  # lines between two frames of one traceback, at most
_ONE_FRAME = 4  # lines between a frame and the error, at most: the source line, marks under it, a blank line
_DLL = "DLL load failed while importing"


def subject_of(claims: Sequence[Claim], error: int, good: int) -> dict[str, Stated[Any]]:
    """Return the package that failed ("package"), and its action that failed ("doing": "building"); empty if none is named.

    `claims`: those about packages, in the order of their lines. `error`: the line of the error. `good`: the line of the
    last success before it, 0: none; claims up to this line do not count.
    """
    open_ = [c for c in claims if c.place.line > good]
    failed = [c for c in open_ if c.weight == FAILED]
    others = _of_packages([c for c in open_ if c.place.line <= error])
    heaviest = max((c.weight for c in others), default=0)
    rest = [c for c in others if c.weight == heaviest]
    if failed:
        chosen = failed[-1]
    elif rest:
        chosen = _frame(rest) if heaviest == FRAME else _surest(rest)
    else:
        return {}
    return {
        "package": Stated(value=chosen.value, place=chosen.place, how=chosen.how),
        "doing": Stated(value=chosen.doing, place=chosen.place, how=chosen.how),
    }


def _of_packages(claims: Sequence[Claim]) -> list[Claim]:
    """Return the claims, in which the package whose file imports it replaces a module that Windows cannot load.

    "_C" and "core_cc" are modules of many packages, so the traceback frame above the error names the package. A module of only
    one known package, such as "exllamav2_ext", says more than that frame.
    """
    made, frame = list[Claim](), None
    for claim in claims:
        if claim.weight == FRAME:
            frame = claim
        elif _DLL in claim.place.text and not is_known(claim.value):
            near = frame is not None and claim.place.line - frame.place.line <= _ONE_FRAME
            if frame is not None and near:
                claim = claim._replace(value=frame.value, how="implied")  # noqa: PLW2901
            elif claim.value.startswith("-"):
                continue
        made.append(claim)
    return made


def _surest(claims: Sequence[Claim]) -> Claim:
    """Return the last claim. If its line has several, a "said" one counts more than an "implied" one."""
    last = [c for c in claims if c.place.line == claims[-1].place.line]
    return next((c for c in reversed(last) if c.how == "said"), last[-1])


def _frame(frames: Sequence[Claim]) -> Claim:
    """Return the innermost frame of the last traceback.

    A frame of torch counts only if torch's own import fails, or if there is no other frame.
    """
    last = frames[-1]
    if re.search(r"torch[\\/]{1,2}__init__\.py", last.place.text):
        return last._replace(doing="importing")
    if last.value != "torch":
        return last
    line = last.place.line
    for frame in reversed(frames):
        if line - frame.place.line > _ONE_TRACEBACK:
            break
        if frame.value != "torch":
            return frame
        line = frame.place.line
    return last
