"""The program gave the GPU a value that is out of range.

What it is
    A kernel of torch checks its input, and ended with "device-side assert": a class number, an index or a probability is outside of what the
    operation takes. The data or the program are wrong, and not the environment. After this error every further call in the same process
    fails too.

How it shows
    "RuntimeError: CUDA error: device-side assert triggered". The lines above name the check: "Assertion `t >= 0 && t < n_classes` failed",
    "`srcIndex < srcSelectDimSize`", '"index out of bounds"', "`input_val >= zero && input_val <= one`".

Why it happens
    A label has a class number that the model does not have: the model has too few classes (nc in data.yaml), or the classes count from 1. An
    embedding gets a number beyond its table: the tokenizer and the model do not fit. A binary cross-entropy gets values outside 0 to 1, or nan.
    Old versions of the program's caches have the old labels.

What to do
    Run the program once on the CPU: the same error then names the line and the value. If it must run on the GPU: CUDA_LAUNCH_BLOCKING=1. Correct
    the labels or the number of classes. A notebook must be restarted before the next try.

How to reproduce
    There is no recipe, because it needs a GPU: `python -c "import torch; torch.zeros(2).cuda()[torch.tensor([5]).cuda()].cpu()"`.

References
    https://github.com/ultralytics/ultralytics/issues/4518
    https://github.com/ultralytics/yolov3/issues/1601
    https://docs.pytorch.org/docs/stable/notes/cuda.html#asynchronous-execution
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

_CHECK = "  [0,0,0], thread: [3,0,0] Assertion "

MODE = FailureMode(
    code="AD480",
    slug="device-side-assert",
    title="A label, an index or a value is out of range on the GPU",
    train=Severity.INFO,  # the program or its data are the cause, and not the environment
    flash_attn=Severity.INFO,
    signs=(
        Sign(
            pattern=r"device-side assert triggered",
            literal="device-side assert triggered",
            sample="RuntimeError: CUDA error: device-side assert triggered",
        ),
        # torch/aten/src/ATen/native/cuda: Loss.cu, NLLLoss2d.cu, Indexing.cu, IndexKernel.cu, ScatterGatherKernel.cu, MultinomialKernel.cu.
        # torch 1.x: THCUNN/ClassNLLCriterion.cu, BCECriterion.cu.
        Sign(
            pattern=r"thread: ?\[\d+, ?\d+, ?\d+\] Assertion `(?P<label>(?:cur_target|t) >= 0 && (?:cur_target|t) < n_classes|label >= 0 && label < nbins|target_val >= zero)",
            literal="Assertion `",
            sample=f"Loss.cu:250: nll_loss: block:{_CHECK}`t >= 0 && t < n_classes` failed.",
        ),
        Sign(
            pattern=r"thread: ?\[\d+, ?\d+, ?\d+\] Assertion `(?P<table>srcIndex < srcSelectDimSize)",
            literal="Assertion `",
            sample=f"Indexing.cu:1146: indexSelectLargeIndex: block:{_CHECK}`srcIndex < srcSelectDimSize` failed.",
        ),
        Sign(
            pattern=r"thread: ?\[\d+, ?\d+, ?\d+\] Assertion `.{0,80}(?P<index>index out of bounds|idx_dim >= 0 && idx_dim < index_size)",
            literal="Assertion `",
            sample=f'IndexKernel.cu:92: operator(): block:{_CHECK}`-sizes[i] <= index && index < sizes[i] && "index out of bounds"` failed.',
        ),
        Sign(
            pattern=r"thread: ?\[\d+, ?\d+, ?\d+\] Assertion `(?P<unit>input_val >= zero && input_val <= one|\*?input >= 0\. && \*?input <= 1\.)",
            literal="Assertion `",
            sample=f"Loss.cu:98: operator(): block:{_CHECK}`input_val >= zero && input_val <= one` failed.",
        ),
        Sign(
            pattern=r"Assertion `(?P<chance>probability tensor contains either|cumdist\[size - 1\] > static_cast|val >= zero)",
            literal="Assertion `",
            sample=f"MultinomialKernel.cu:112: binarySearchForMultinomial: block:{_CHECK}`cumdist[size - 1] > static_cast<scalar_t>(0)` failed.",
        ),
        Sign(
            pattern=r"\b(?P<yolo>yolo)(?:v?\d{1,2}\w?)?\b",
            literal="yolo",
            sample="$ yolo detect train data=birds.yaml model=yolo12n.pt",
            strength="context",
        ),
        Sign(
            pattern=r"site-packages[\\/](?P<yolo>ultralytics)[\\/]",
            literal="ultralytics",
            sample='  File "/v/lib/python3.11/site-packages/ultralytics/utils/tal.py", line 168, in get_box_metrics',
            strength="context",
        ),
    ),
)
# There is no `detect`: no fact says which values a program will give to the GPU.

_WORDS = {
    "label": "a label has a class number that the model does not have (below 0, or not below the number of classes)",
    "table": "an index is larger than the table from which it takes a row, for example a token that the model's embedding does not have",
    "index": "an index is outside of its tensor",
    "unit": "a binary cross-entropy got a value outside of 0 to 1, or nan",
    "chance": "probabilities to draw from are negative, infinite or nan",
}


class Value(Variant, frozen=True, kw_only=True):
    """Hold which check failed (a key of _WORDS), if the log has it, and whether a YOLO was trained."""

    check: str | None = None
    yolo: bool = False


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if m.strength == "proof"]
    check = next((name for name in _WORDS if seen.group(name)), None)
    what = _WORDS[check] if check else "a class number, an index or a probability; the log does not say which"
    return Hit(
        message=f"The data or the program gave the GPU a value that is out of range: {what}. Nothing in the log points to the environment.",
        evidence=building.lines(told[:2]),
        variant=Value(check=check, yolo=seen.group("yolo") is not None),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    value = hit.variant if isinstance(hit.variant, Value) else Value()
    verify = commands.check(facts)
    cpu = commands.by_hand(
        (),
        "run the program once on the CPU (device=cpu for yolo, else model.to('cpu') and the same for the data): the error then names the line "
        "and the value. In a notebook restart the kernel first, because the GPU answers nothing more in that process",
        "none",
        "none",
    )
    blocking = commands.variable(
        "CUDA_LAUNCH_BLOCKING",
        "1",
        "if it can run on the GPU alone: with this variable the traceback names the call that failed. Unset it afterwards, it makes training slow",
    )
    find = Fix(title="Find the value", steps=(cpu, blocking), verify=verify)
    return (*((_labels(facts, value.yolo),) if value.check == "label" else ()), find)


def _labels(facts: Facts, yolo: bool) -> Fix:
    if yolo:
        words = (
            "compare the labels with nc and names in data.yaml: the first number of each line of the files labels/*.txt must be 0 to nc - 1. Then delete the files "
            "labels.cache (ultralytics keeps the old labels in them), and train again. For classify: the number of folders in train is the number of classes"
        )
    else:
        words = (
            "compare the labels with the number of classes of the model: they must be 0 to the number of classes - 1. Often they count from 1, the background was "
            "forgotten, or 255 marks pixels without a class (then: ignore_index=255 in the loss)"
        )
    return Fix(
        title="Correct the labels, or the number of classes",
        steps=(commands.by_hand((), words, "the labels, or the model's number of classes"),),
        verify=commands.check(facts),
    )
