"""A checkpoint needs the code, or the system, with which it was saved.

What it is
    A checkpoint of YOLOv5, YOLOv7 and their relatives is a pickle of the whole model: it names the classes of that project (models.yolo.Model), and
    sometimes a path of the system on which it was saved. Loading looks for the same classes.

How it shows
    "ModuleNotFoundError: No module named 'models.yolo'", "No module named 'models'", "Can't get attribute 'SPPF' on <module 'models.common'", "'Upsample' object
    has no attribute 'recompute_scale_factor'", "cannot instantiate 'PosixPath' on your system", "appears to be an Ultralytics YOLOv5 model
    originally trained with https://github.com/ultralytics/yolov5".

Why it happens
    The file is loaded by another project than the one that made it, or from another folder; the clone of the project is older than the file; the
    file was saved by an older torch; or it was saved on Linux and is loaded on Windows.

What to do
    Load the file in a clone of the project that made it, started in its folder; update the clone. `PosixPath`: put WindowsPath in its place before
    loading. Ultralytics' own models: use yolo12n.pt.

How to reproduce
    There is no recipe: it needs weights of such a project.

References
    https://github.com/ultralytics/yolov5/issues/5499
    https://github.com/ultralytics/yolov5/issues/6948
    https://github.com/ultralytics/yolov5/issues/10240
    https://github.com/ultralytics/ultralytics/blob/main/ultralytics/nn/tasks.py
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

Kind = Literal["elsewhere", "older", "upsample", "buffers", "path", "v5"]

MODE = FailureMode(
    code="AD609",
    slug="checkpoint-needs-its-code",
    title="A checkpoint needs the code that saved it",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="model",
    explains=("model-not-built", "eager-fails"),
    signs=(
        Sign(
            pattern=r"No module named '(?P<elsewhere>models\.(?:yolo|common|experimental))'",
            literal="No module named 'models.",
            sample="ModuleNotFoundError: No module named 'models.yolo'",
        ),
        Sign(
            pattern=r"Can't get attribute '(?P<older>\w{1,40})' on <module 'models\.(?:common|yolo|experimental)'",
            literal="on <module 'models.",
            sample="AttributeError: Can't get attribute 'SPPF' on <module 'models.common' from '/home/user/yolov5/models/common.py'>",
        ),
        Sign(
            pattern=r"'(?P<upsample>Upsample)' object has no attribute 'recompute_scale_factor'",
            literal="recompute_scale_factor",
            sample="AttributeError: 'Upsample' object has no attribute 'recompute_scale_factor'",
        ),
        # YOLOv5 and YOLOv7 have the line of the fix in models/experimental.py: https://github.com/WongKinYiu/yolov7/blob/main/models/experimental.py
        Sign(
            pattern=r"'(?P<buffers>\w{1,40})' object has no attribute '_non_persistent_buffers_set'",
            literal="'_non_persistent_buffers_set'",
            sample="AttributeError: 'Conv' object has no attribute '_non_persistent_buffers_set'",
        ),
        Sign(
            pattern=r"cannot instantiate '(?P<path>PosixPath|WindowsPath)' on your system",
            literal="cannot instantiate '",
            sample="NotImplementedError: cannot instantiate 'PosixPath' on your system",
        ),
        Sign(
            pattern=r"appears to be an Ultralytics (?P<v5>YOLOv5) model originally trained with",
            literal="model originally trained with",
            sample="TypeError: ERROR best.pt appears to be an Ultralytics YOLOv5 model originally trained with https://github.com/ultralytics/yolov5.",
        ),
    ),
)
# There is no `detect`: the facts about weights do not name the classes of other projects.


class Needs(Variant, frozen=True, kw_only=True):
    """Hold what the checkpoint needs.

    "elsewhere": the modules of another project. "older": a newer clone of the project. "upsample": the torch before
    1.11 that saved it, or one line in the program. "buffers": the same for torch before 1.6. "path": the kind of system
    on which it was saved; `name` is the class of the path. "v5": YOLOv5's own repository.
    """

    what: Kind
    name: str = ""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    said = seen.captured()
    kinds: tuple[Kind, ...] = ("v5", "path", "upsample", "buffers", "older", "elsewhere")
    what = next(kind for kind in kinds if kind in said)
    name = said[what]
    message = {
        "v5": "The weights are of YOLOv5's own repository, and the package ultralytics cannot load them.",
        "path": f"The checkpoint contains a path of {'Linux or macOS' if name == 'PosixPath' else 'Windows'}, where it was saved: this system cannot make it.",
        "upsample": "The checkpoint was saved by a torch before 1.11: its layer Upsample lacks what a newer torch reads.",
        "buffers": f"The checkpoint was saved by a torch before 1.6: its layer {name} lacks what a newer torch reads.",
        "older": f"The checkpoint needs the class {name}, which this clone of the project does not have: the clone is older than the file, or of another project.",
        "elsewhere": f"The checkpoint needs the module {name} of the project that saved it (YOLOv5, YOLOv7 or a relative), which Python does not find here.",
    }[what]
    return Hit(
        message=message,
        evidence=evidence,
        variant=Needs(what=what, name=name),
        confidence=Confidence.MEDIUM if what == "elsewhere" else Confidence.HIGH,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    needs = hit.variant if isinstance(hit.variant, Needs) else Needs(what="elsewhere")
    clone = commands.by_hand(
        ("git", "clone", "https://github.com/ultralytics/yolov5"),
        "YOLOv5; for YOLOv7 https://github.com/WongKinYiu/yolov7, for YOLOv9 https://github.com/WongKinYiu/yolov9. Start the program in that folder: its folder models must be found "
        "before any other",
        "adds a folder",
        "none",
    )
    in_clone = Fix(title="Load the checkpoint in the project that saved it", steps=(clone,), verify=verify)
    if needs.what == "path":
        other = "WindowsPath" if needs.name == "PosixPath" else "PosixPath"
        step = commands.by_hand(
            (),
            f'write these lines above the loading: import pathlib; pathlib.{needs.name} = pathlib.{other}; getattr(pathlib, "_local", pathlib).{needs.name} = pathlib.{other} (the second is for Python 3.13). Lasting: load the file once so, and save only model.state_dict()',
            "two lines of the program",
            "none",
        )
        return (Fix(title=f"Read {needs.name} as {other}", steps=(step,), verify=verify),)
    if needs.what == "upsample":
        step = commands.by_hand(
            (),
            "write behind the loading: for m in (x for x in model.modules() if type(x) is torch.nn.Upsample): m.recompute_scale_factor = False. New clones of YOLOv5 have this line (attempt_load)",
            "one line of the program",
            "none",
        )
        return (Fix(title="Give the layers what they lack", steps=(step,), verify=verify), in_clone)
    if needs.what == "buffers":
        step = commands.by_hand(
            (),
            "write behind the loading, above fuse(): for m in model.modules(): m.__dict__.setdefault('_non_persistent_buffers_set', set()). New clones of YOLOv5 have such a line (attempt_load)",
            "one line of the program",
            "none",
        )
        return (Fix(title="Give the layers what they lack", steps=(step,), verify=verify), in_clone)
    if needs.what == "older":
        pull = commands.by_hand(
            ("git", "pull"), "in the folder of the clone: newer releases of the project have the class", "the clone"
        )
        return (Fix(title="Update the clone of the project", steps=(pull,), verify=verify), in_clone)
    if needs.what == "v5":
        own = commands.by_hand(
            (),
            'take the model that ultralytics trained itself: YOLO("yolov5su.pt"), or YOLO("yolo12n.pt"), and train it again',
            "the model",
            "none",
        )
        return (in_clone, Fix(title="Take a model of ultralytics", steps=(own,), verify=verify))
    return (in_clone,)
