"""When an attention's numbers count as right. Pure: neither torch nor anything else of attn_doctor, so that both sides use it."""

from __future__ import annotations

import math

FLOAT32_EPS = 2.0**-23
FAST_EXPONENTIAL = 32  # float32 units in the last place: fused kernels use exponentials that are good to some twenty


def limit(eager_error: float, eps: float, tokens: int) -> float:
    """The largest error that is right, where eager in the same dtype has `eager_error`, both against float64.

    Twice eager's, as flash-attn holds itself to, and what rounding alone may do, lest eager was lucky: the fast exponential
    of a fused kernel, a float32 sum over all tokens, whose rounding errors add up as a random walk does, and below float32
    half a unit in the last place.
    """
    float32 = FLOAT32_EPS * (FAST_EXPONENTIAL + math.sqrt(tokens))
    return 2 * eager_error + float32 + (eps / 2 if eps > FLOAT32_EPS else 0.0)
