"""Define the largest error with which an attention still counts as right.

Pure: needs neither torch nor attn_doctor, because both the doctor and its programs in the target use it.
"""

from __future__ import annotations

import math

FLOAT32_EPS = 2.0**-23
FAST_EXPONENTIAL = 32  # float32 units in the last place: the exponentials of fused kernels have errors of about twenty


def limit(eager_error: float, eps: float, tokens: int) -> float:
    """Return the largest relative error that counts as right.

    `eager_error`: the error of eager attention in the same dtype. Both errors are relative to float64 (0.01 is 1 %).

    The limit is twice eager's error (flash-attn's own criterion) plus the error that rounding alone can cause, because eager's
    error can be small by chance. The error by rounding has three parts: the fast exponential of a fused kernel; a float32 sum
    over all tokens, whose error grows like a random walk; in float16 and bfloat16, half a unit in the last place. `eps`: the
    dtype's machine epsilon.
    """
    float32 = FLOAT32_EPS * (FAST_EXPONENTIAL + math.sqrt(tokens))
    return 2 * eager_error + float32 + (eps / 2 if eps > FLOAT32_EPS else 0.0)
