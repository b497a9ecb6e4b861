# Measures the attention of MLX on shapes alone: its fused kernel, and the same written out in MLX (eager).
#
# Runs after channel.py, in a target that has mlx and numpy; torch is not needed. The first call at a shape is told apart from the others: it
# compiles, allocates and starts threads.
import numpy

with section("mlx"):
    import mlx.core as mx


def eager(query, key, value, scale):
    return mx.softmax((query * scale) @ key.transpose(0, 1, 3, 2), axis=-1) @ value


def fused(query, key, value, scale):
    return mx.fast.scaled_dot_product_attention(query, key, value, scale=scale)


KINDS = {"eager": eager, "fused": fused}
LEAST = 5  # rounds


def exact(query, key, value, scale):
    """Return attention in float64."""
    weights = (query.astype(numpy.float64) * scale) @ key.astype(numpy.float64).transpose(0, 1, 3, 2)
    weights = numpy.exp(weights - weights.max(axis=-1, keepdims=True))
    return (weights / weights.sum(axis=-1, keepdims=True)) @ value.astype(numpy.float64)


def error_of(result, expected):
    """Return the relative error of a result, by the norm of the difference."""
    seen = numpy.array(result).astype(numpy.float64)
    return float(numpy.linalg.norm(seen - expected) / numpy.linalg.norm(expected))


def timed(compute, inputs, scale):
    """Return (milliseconds, result) of one call."""
    started = time.perf_counter()
    result = compute(*inputs, scale)
    mx.eval(result)
    return 1e3 * (time.perf_counter() - started), result


def measure(shape):
    batch, heads, tokens, width = shape
    generator = numpy.random.default_rng(CONFIG["seed"])
    given = [generator.standard_normal((batch, heads, tokens, width)).astype(numpy.float32) for _ in range(3)]
    scale = width**-0.5
    expected = exact(*given, scale)
    inputs = [mx.array(one) for one in given]
    mx.eval(inputs)
    row = {
        "shape": list(shape),
        "device": str(mx.default_device().type).split(".")[-1],
        "first_ms": {},
        "errors": {},
        "ms": {},
    }
    for kind, compute in KINDS.items():
        taken, result = timed(compute, inputs, scale)
        row["first_ms"][kind] = taken
        row["errors"][kind] = error_of(result, expected)
        row["ms"][kind] = []
    started = time.monotonic()
    for number in range(CONFIG["rounds"]):
        if number >= LEAST and time.monotonic() - started > CONFIG["seconds"]:
            break
        for kind, compute in KINDS.items():
            row["ms"][kind].append(timed(compute, inputs, scale)[0])
    tell("mlx", row)


def measure_all():
    for shape in CONFIG["shapes"]:
        with section("x".join(map(str, shape))):
            measure(shape)


measure_all()
