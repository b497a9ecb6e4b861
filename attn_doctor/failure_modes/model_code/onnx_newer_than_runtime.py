"""An ONNX file is newer than the ONNX Runtime that loads it, or it is no ONNX file.

What it is
    An ONNX file names the version of its format (IR) and of its operators (opset). An ONNX Runtime loads only those that it knows.

How it shows
    "Unsupported model IR version: 11, max supported IR version: 10", "ONNX Runtime only *guarantees* support for models stamped with official
    released onnx opset versions. Opset 22 is under development", "Protobuf parsing failed".

Why it happens
    The export ran with a newer onnx package than the onnxruntime that loads the file. "Protobuf parsing failed": the file is cut, empty, or a
    pointer of git-lfs.

What to do
    Upgrade onnxruntime on the machine that loads the file. If it has to stay: export with an older opset (opset=17) and an older onnx
    package (onnx<1.17). Protobuf: copy or download the file again.

How to reproduce
    There is no recipe: it needs an old onnxruntime. `python -c "import onnx; print(onnx.load('m.onnx').ir_version)"` prints the version.

References
    https://onnxruntime.ai/docs/reference/compatibility.html
    https://github.com/microsoft/onnxruntime/issues/23602
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD615",
    slug="onnx-newer-than-runtime",
    title="The ONNX file does not fit this ONNX Runtime",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"Unsupported model IR version: (?P<ir>\d+), max supported IR version: (?P<most>\d+)",
            literal="Unsupported model IR version",
            sample="Load model from yolo12n.onnx failed: Unsupported model IR version: 11, max supported IR version: 10",
        ),
        Sign(
            pattern=r"Opset (?P<opset>\d+) is under development and support for this is limited",
            literal="is under development and support for this",
            sample="Opset 22 is under development and support for this is limited. Current official support for domain ai.onnx is till opset 21.",
        ),
        Sign(
            pattern=r"INVALID_PROTOBUF : Load model",
            literal="INVALID_PROTOBUF",
            sample="[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from best.onnx failed:Protobuf parsing failed.",
        ),
        Sign(
            pattern=r"(?<![\w./\\-])(?P<file>[\w./\\-]{1,200}\.onnx)\b",
            literal=".onnx",
            sample="Loading best.onnx for ONNX Runtime inference...",
            strength="context",
        ),
    ),
)
# There is no `detect`: no fact names the files that a program will load.


class Refused(Variant, frozen=True, kw_only=True):
    """Hold why ONNX Runtime refuses the file."""

    damaged: bool  # the file is cut or no ONNX file; False: its format is too new


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if m.strength == "proof"]
    if not told:
        return None
    said = seen.captured()
    damaged = "ir" not in said and "opset" not in said
    file = said.get("file") or "The ONNX file"
    message = (
        f"{file} is no complete ONNX file: it is cut, empty, or a pointer of git-lfs."
        if damaged
        else f"{file} is newer than this ONNX Runtime: its format is version {said['ir']}, and the runtime knows {said['most']} at most."
        if "ir" in said
        else f"{file} is newer than this ONNX Runtime: it uses operators of opset {said['opset']}."
    )
    return Hit(message=message, evidence=building.lines(told[:2]), variant=Refused(damaged=damaged))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = (*commands.starting(facts), "-c", "import onnxruntime; print(onnxruntime.__version__)")
    if isinstance(hit.variant, Refused) and hit.variant.damaged:
        again = commands.by_hand(
            (),
            "look at the size of the file: about 130 bytes are a pointer of git-lfs (`git lfs install`, then `git lfs pull` in the folder of the repository); else export, copy "
            "or download the file again",
            "the file",
            "none",
        )
        return (Fix(title="Get the whole file", steps=(again,), verify=verify),)
    cuda = isinstance(facts.torch.cuda, str)
    named = any(one.name == "onnxruntime-gpu" for one in facts.packages.named)
    name = "onnxruntime-gpu" if named else "onnxruntime"
    newer = commands.install(
        name,
        upgrade=True,
        why="a newer runtime loads newer files"
        + ("" if named or not cuda else "; if onnxruntime-gpu is installed, upgrade onnxruntime-gpu instead"),
        changes=name,
    )
    older = commands.install(
        "onnx<1.17", why="writes format version 10 and older, on the machine that exports", changes="onnx"
    )
    export = commands.by_hand(
        (commands.yolo(facts), "export", "model=yolo12n.pt", "format=onnx", "opset=17"),
        "with your model; for other programs: torch.onnx.export(..., opset_version=17)",
        "the ONNX file",
        "none",
    )
    return (
        Fix(title="Upgrade ONNX Runtime", steps=(newer,), verify=verify),
        Fix(title="Export an older format", steps=(older, export), verify=verify),
    )
