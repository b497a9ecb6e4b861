"""Recognise that the last frame above an error calls a compiled module of a package: "rasterizer_kernel.rasterize(". Pure."""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Sign
from attn_doctor.logs.reader import Match, Seen

SIGNS = tuple(
    Sign(
        pattern=rf"(?:^|[=( ])(?P<compiled>(?:\w{{1,60}})?{end})\.\w+\(",
        literal=f"{end}.",
        sample=f"    out = raster{end}.run(points, faces)",
        strength="context",
    )
    for end in ("_kernel", "_cuda", "_cuda_core", "_C", "_ext", "_gpu", "_backend")
)
_FRAME = 3  # lines between the source line of the last frame and the error: it may be followed by a line of ^^^^


def above(errors: list[Match], seen: Seen) -> str | None:
    """Return the module that the last frame above one of these errors calls, "rasterizer_kernel"; None if there is no such call."""
    calls = [m for m in seen.matches if "compiled" in m.groups]
    found = (call for m in errors for call in calls if call.file == m.file and 0 < m.line - call.line <= _FRAME)
    return next((call.groups["compiled"] for call in found), None)
