"""Define the largest error of an attention that counts as right.

Pure: needs neither torch nor attn_doctor, so both sides use it.
"""

from __future__ import annotations

import math

FLOAT32_EPS = 2.0**-23
FAST_EXPONENTIAL = 32  # float32 units in the last place: the exponentials of fused kernels have errors of about twenty


def limit(eager_error: float, eps: float, tokens: int) -> float:
    """Return the largest error that is right, given the error of eager in the same dtype; both against float64.

    The limit is twice eager's error (flash-attn's own criterion) plus the error that rounding alone may cause, because
    eager's error may be small by chance. The error by rounding: that of the fast exponential of a fused kernel; that of a
    float32 sum over all tokens, which grows like a random walk; in float16 and bfloat16, half a unit in the last place.
    """
    float32 = FLOAT32_EPS * (FAST_EXPONENTIAL + math.sqrt(tokens))
    return 2 * eager_error + float32 + (eps / 2 if eps > FLOAT32_EPS else 0.0)
