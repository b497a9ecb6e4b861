"""An export to ONNX asks for an opset that this torch, or one operator of the model, does not fit.

What it is
    An opset is a numbered list of ONNX operators. Each release of torch writes opsets up to a number, and each operator of torch can be
    written from some opset on.

How it shows
    "Unsupported ONNX opset version: 17"; "Exporting the operator 'aten::scaled_dot_product_attention' to ONNX opset version 13 is not supported.
    Support for this operator was added in version 14, try exporting with this version"; "Exporting the operator silu to ONNX opset version 11
    is not supported".

Why it happens
    The export script asks for a newer opset than an old torch knows. Or it asks for an old opset, for a runtime that needs it, and the model has
    an operator that this opset lacks. Or this torch cannot write the operator at all.

What to do
    Set the opset: `opset=14` for yolo, `--opset 14` for YOLOv5's export.py, `opset_version=14` for torch.onnx.export. If no opset has the
    operator: a newer torch.

How to reproduce
    There is no recipe: `yolo export model=yolo11n.pt format=onnx opset=99` shows the first message.

References
    https://github.com/ultralytics/ultralytics/issues/625
    https://github.com/ultralytics/ultralytics/issues/644
    https://github.com/ultralytics/yolov5/issues/4717
    https://docs.pytorch.org/docs/stable/onnx.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

# Operators of packages that no opset will ever have: export-of-flash-attn and directml report them.
_OF_TORCH = r"(?!(?:flash_attn|xformers|vllm)\w*::)"

MODE = FailureMode(
    code="AD620",
    slug="onnx-opset",
    title="The opset of an export to ONNX does not fit",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"Unsupported ONNX opset version: (?P<unknown>\d{1,2})",
            literal="Unsupported ONNX opset version",
            sample="ONNX: export failure 0.1s: Unsupported ONNX opset version: 17",
        ),
        Sign(
            pattern=rf"Exporting the operator '?{_OF_TORCH}(?P<operator>[\w:]{{1,80}})'? to ONNX opset version (?P<asked>\d{{1,2}}) is not supported(?:\. Support for this operator was added in version (?P<since>\d{{1,2}}))?",
            literal="Exporting the operator ",
            sample="Exporting the operator 'aten::scaled_dot_product_attention' to ONNX opset version 13 is not supported. Support for this operator was added in version 14",
        ),
    ),
)
# There is no `detect`: the opset is an option of the export.


class Opset(Variant, frozen=True, kw_only=True):
    """Hold the opset that was asked for, and the first opset that has the operator, as the log names it.

    `operator` is None if torch lacks the requested opset itself.
    """

    asked: int
    operator: str | None = None
    since: int | None = None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if (unknown := seen.group("unknown")) is not None:
        message = f"This torch cannot write ONNX opset {unknown}: it is older than that opset."
        return Hit(message=message, evidence=evidence, variant=Opset(asked=int(unknown)))
    asked, since, operator = int(seen.group("asked") or 0), seen.group("since"), seen.group("operator")
    from_on = f": it is there from opset {since} on" if since else " by this torch"
    return Hit(
        message=f"The operator {operator} cannot be written in ONNX opset {asked}{from_on}.",
        evidence=evidence,
        variant=Opset(asked=asked, operator=operator, since=int(since) if since else None),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    opset = hit.variant if isinstance(hit.variant, Opset) else Opset(asked=17)
    newer = torch_steps.newest(
        facts, "Install a newer torch", why="newer releases of torch write newer opsets and more operators"
    )
    if opset.operator is None:
        return (
            _with(
                facts,
                12 if opset.asked <= 17 else 17,
                "an opset that this torch knows; torch 1.7 knows those up to 12, torch 1.13 those up to 17",
            ),
            *newer,
        )
    if opset.since is not None:
        return (
            _with(
                facts,
                opset.since,
                f"the first opset that has {opset.operator}; the program that loads the file must know it",
            ),
        )
    higher = _with(facts, 17, f"a newer opset may have {opset.operator}; the program that loads the file must know it")
    made = (*((higher,) if opset.asked < 17 else ()), *newer)
    return made or (_by_the_other_exporter(facts),)


def _by_the_other_exporter(facts: Facts) -> Fix:
    """Return the fix for the newest torch: its second exporter has other operators. https://docs.pytorch.org/docs/stable/onnx_export.html."""
    words = "in the program: torch.onnx.export(..., dynamo=True), which torch 2.5 and newer have: it writes more operators than the old exporter"
    step = commands.by_hand((), words, "the program", "none")
    return Fix(title="Export with dynamo=True", steps=(step,), verify=commands.check(facts))


def _with(facts: Facts, opset: int, why: str) -> Fix:
    words = (
        f"export again with another opset: opset={opset} for yolo (yolo export model=best.pt format=onnx opset={opset}), --opset {opset} for YOLOv5's export.py, "
        f"opset_version={opset} for torch.onnx.export: {why}"
    )
    step = commands.by_hand((), words, "the exported file", "none")
    return Fix(title=f"Export with opset {opset}", steps=(step,), verify=commands.check(facts))
