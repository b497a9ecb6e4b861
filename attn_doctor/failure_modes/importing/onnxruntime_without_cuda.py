"""ONNX Runtime offers no CUDA provider, so models run on the processor.

What it is
    ONNX Runtime has a package for processors (onnxruntime) and one for NVIDIA GPUs (onnxruntime-gpu). Both write into the same folder, and
    the one that was installed last is imported. The one for processors has no CUDA provider.

How it shows
    "Specified provider 'CUDAExecutionProvider' is not in available provider names. Available providers: 'AzureExecutionProvider,
    CPUExecutionProvider'". Or get_available_providers() answers ['AzureExecutionProvider', 'CPUExecutionProvider'].

Why it happens
    Only onnxruntime is installed; or another package requires onnxruntime, and pip installed it over onnxruntime-gpu. pip does not
    know that the two exclude each other.

What to do
    Remove both, and install onnxruntime-gpu alone. To remove only onnxruntime is not enough: its removal deletes the files of the other.

How to reproduce
    There is no recipe: it downloads two large packages. `python -c "import onnxruntime; print(onnxruntime.get_available_providers())"` shows
    the providers.

References
    https://github.com/microsoft/onnxruntime/issues/26996
    https://github.com/microsoft/onnxruntime/issues/23833
    https://onnxruntime.ai/docs/install/#python-installs
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, onnx_runtime
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD342",
    slug="onnxruntime-without-cuda",
    title="ONNX Runtime without its CUDA provider",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
    signs=(
        Sign(
            pattern=r"Specified provider 'CUDAExecutionProvider' is not in available provider names",
            literal="is not in available provider names",
            sample="UserWarning: Specified provider 'CUDAExecutionProvider' is not in available provider names.Available providers: 'CPUExecutionProvider'",
        ),
        Sign(
            pattern=r"\['CUDAExecutionProvider'(?:, 'CPUExecutionProvider')?\] does not contain a subset of available providers \['(?!CUDA|Tensorrt)",
            literal="does not contain a subset of available providers",
            sample="ValueError: ['CUDAExecutionProvider'] does not contain a subset of available providers ['CPUExecutionProvider']",
        ),
        # The answer of get_available_providers(). It is as it must be where no GPU package was installed.
        Sign(
            pattern=r"^(?:.{0,60}[:：] )?\[(?:'AzureExecutionProvider', )?'CPUExecutionProvider'\]$",
            literal="'CPUExecutionProvider']",
            sample="['AzureExecutionProvider', 'CPUExecutionProvider']",
            strength="hint",
        ),
        # Lines of `pip list`, `pip freeze` and uv.
        Sign(
            pattern=r"^\+?\s{0,3}(?P<cpu>onnxruntime)(?:\s+|==)\d",
            literal="onnxruntime",
            sample="onnxruntime              1.20.1",
            strength="context",
        ),
        Sign(
            pattern=r"^\+?\s{0,3}onnxruntime-gpu(?:\s+|==)(?P<gpu>\d[\w.]*)",
            literal="onnxruntime-gpu",
            sample="onnxruntime-gpu          1.20.1",
            strength="context",
        ),
    ),
)
# There is no `detect`: the facts do not show which of the two packages was installed last.


class Both(Variant, frozen=True, kw_only=True):
    """Mark the case that the log lists both packages. `release`: the release of onnxruntime-gpu."""

    release: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if facts.system.os == "darwin":
        return None  # no release for a Mac has CUDA
    release = seen.group("gpu")
    both = release is not None and seen.group("cpu") is not None
    evidence = tuple(building.lines([m for m in seen.matches if m.strength != "context"]))
    if not evidence or (not both and not any(m.strength == "proof" for m in seen.matches)):
        return None
    if both and release is not None:
        message = "onnxruntime and onnxruntime-gpu are both installed, in the same folder: what is imported has no CUDA provider."
        return Hit(message=message, evidence=evidence, variant=Both(release=release))
    message = (
        "The imported ONNX Runtime has no CUDA provider: onnxruntime, the package for processors, is installed, alone or over "
        "onnxruntime-gpu."
    )
    return Hit(message=message, evidence=evidence, confidence=Confidence.MEDIUM)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    return (onnx_runtime.gpu_alone(facts, hit.variant.release if isinstance(hit.variant, Both) else None),)
