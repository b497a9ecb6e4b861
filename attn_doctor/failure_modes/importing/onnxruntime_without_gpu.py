"""ONNX Runtime has no CUDA provider: the package for the CPU is the one that is loaded.

What it is
    onnxruntime (CPU) and onnxruntime-gpu are two packages that write the same folder. Where both are installed, the files of the one
    that was written last are there.

How it shows
    "UserWarning: Specified provider 'CUDAExecutionProvider' is not in available provider names. Available providers:
    'AzureExecutionProvider, CPUExecutionProvider'", and the program is slow: it runs on the CPU.

Why it happens
    Only onnxruntime is installed; or another package (ultralytics' export, insightface, rembg) brought onnxruntime beside
    onnxruntime-gpu.

What to do
    Uninstall both, then install onnxruntime-gpu alone. On Windows with a GPU of another maker: onnxruntime-directml. On a Mac:
    CoreMLExecutionProvider, which onnxruntime contains. On a Jetson: NVIDIA's own wheel.

How to reproduce
    There is no recipe: any machine shows it with `python -c "import onnxruntime; print(onnxruntime.get_available_providers())"`.

References
    https://onnxruntime.ai/docs/install/
    https://github.com/microsoft/onnxruntime/issues/7748
    https://pypi.jetson-ai-lab.io
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.failure_modes.shared.fact_queries import package_evidence
from attn_doctor.failure_modes.shared.torch_facts import distribution, text
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD339",
    slug="onnxruntime-without-gpu",
    title="ONNX Runtime has no provider for the GPU",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
    signs=(
        Sign(
            pattern=r"Specified provider '(?P<wanted>CUDA|Tensorrt|ROCM|MIGraphX|Dml|CoreML)ExecutionProvider' is not in available provider names",
            literal="is not in available provider names",
            sample="UserWarning: Specified provider 'CUDAExecutionProvider' is not in available provider names.Available providers: 'CPUExecutionProvider'",
        ),
        Sign(
            pattern=r"(?:ValueError|RuntimeError|AssertionError): .{0,120}(?P<wanted>CUDA|Tensorrt)ExecutionProvider.{0,60}(?:not (?:available|found|supported)|unavailable)",
            literal="ExecutionProvider",
            sample="RuntimeError: CUDAExecutionProvider is not available",
        ),
        Sign(
            pattern=r"\['(?P<wanted>CUDA|Tensorrt)ExecutionProvider'(?:, 'CPUExecutionProvider')?\] does not contain a subset of available providers \['(?!CUDA|Tensorrt)",
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
        # Both packages, in a list of the environment or at their installation.
        *(
            Sign(pattern=pattern, literal=literal, sample=sample, strength="context")
            for pattern, literal, sample in (
                (
                    r"(?<![\w-])(?P<cpu>onnxruntime)(?:==|-|\s{1,40})\d+\.\d+",
                    "onnxruntime",
                    "onnxruntime              1.20.1",
                ),
                (
                    r"(?<![\w-])onnxruntime-gpu(?:==|-|\s{1,40})(?P<gpu>\d{1,4}(?:\.\d{1,4}){1,4})",
                    "onnxruntime-gpu",
                    "onnxruntime-gpu          1.20.1",
                ),
            )
        ),
    ),
)


class Missing(Variant, frozen=True, kw_only=True):
    """Hold the provider that the program asked for, "CUDA", and the release of onnxruntime-gpu if both packages are installed."""

    provider: str
    beside: str | None


def detect(facts: Facts) -> Hit | None:
    """Return the hit for a stated environment that lists both onnxruntime and onnxruntime-gpu; else None.

    In an examined one the loaded package says what it has.
    """
    cpu, gpu = distribution(facts, "onnxruntime"), distribution(facts, "onnxruntime-gpu")
    if facts.grade != "stated" or cpu is None or gpu is None or facts.system.os == "darwin":
        return None
    return Hit(
        message="onnxruntime (for the CPU) and onnxruntime-gpu are both installed, and write the same folder: the files of the one that was written last count.",
        evidence=(package_evidence(facts, "onnxruntime"), package_evidence(facts, "onnxruntime-gpu")),
        variant=Missing(provider="CUDA", beside=text(gpu.version)),
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    said = seen.captured()
    beside = said.get("gpu") if "cpu" in said else None
    told = [m for m in seen.matches if m.strength == "proof"]
    if not told and (beside is None or facts.system.os == "darwin"):
        return None
    wanted = said.get("wanted", "CUDA")
    why = (
        "onnxruntime and onnxruntime-gpu are both installed, and the files of the CPU package were written last"
        if beside
        else "the package that is loaded was built without it"
    )
    return Hit(
        message=f"ONNX Runtime has no {wanted}ExecutionProvider: {why}. The program runs on the CPU.",
        evidence=building.lines((told or [m for m in seen.matches if m.strength == "hint"])[:2]),
        variant=Missing(provider=wanted, beside=beside),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = (*commands.starting(facts), "-c", "import onnxruntime; print(onnxruntime.get_available_providers())")
    if facts.system.os == "darwin":
        step = commands.by_hand(
            (),
            'write "CoreMLExecutionProvider" in place of it: a Mac has no CUDA, and onnxruntime for macOS contains this one',
            "your program",
            "none",
        )
        return (Fix(title="Use the Mac's provider", steps=(step,), verify=verify),)
    provider = hit.variant.provider if isinstance(hit.variant, Missing) else "CUDA"
    name = {"ROCM": "onnxruntime-rocm", "MIGraphX": "onnxruntime-rocm", "Dml": "onnxruntime-directml"}.get(
        provider, "onnxruntime-gpu"
    )
    gone = commands.uninstall(
        "onnxruntime", "onnxruntime-gpu", why="both write into one folder: to remove one deletes files of the other"
    )
    beside = hit.variant.beside if isinstance(hit.variant, Missing) and name == "onnxruntime-gpu" else None
    if places.jetson(facts):
        own: tuple[Step, ...] = (
            commands.install(
                "onnxruntime-gpu",
                index_url="https://pypi.jetson-ai-lab.io/jp6/cu126",
                why="the build for JetPack 6; PyPI has none for a Jetson",
                changes="adds onnxruntime-gpu",
            ),
        )
    else:
        own = (
            commands.install(
                f"{name}=={beside}" if beside else name,
                why="contains the providers for the GPU, and the one for the CPU too",
                changes=f"adds {name}",
            ),
        )
    after = commands.by_hand(
        (),
        "where a project's file lists onnxruntime (requirements.txt, pyproject.toml), take it out there too (uv remove onnxruntime), and list onnxruntime-gpu: another installation may "
        "bring onnxruntime again",
        "nothing",
        "none",
    )
    return (Fix(title=f"Keep only {name}", steps=(gone, *own, after), verify=verify),)
