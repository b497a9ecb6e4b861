"""nvcc and torch have different CUDA major versions.

What it is
    PyTorch refuses to compile an extension if nvcc has another CUDA major version than the CUDA that torch was built
    for. If only the minor version differs (nvcc 13.0, torch for 13.2), there is a warning, and it does no harm.

How it shows
    "RuntimeError: The detected CUDA version (12.4) mismatches the version that was used to compile PyTorch (13.0)".
    Since torch 2.8 the two values come after the sentence, and not in it: "('The detected CUDA version (%s)
    mismatches ...', '12.4', '13.0')". DeepSpeed: "Installed CUDA version 11.8 does not match the version torch was
    compiled with 12.1".

Why it happens
    There are three CUDA versions. nvidia-smi shows the newest version that the driver supports, torch.version.cuda
    the version that torch was built for, nvcc -V the version of the toolkit. Only the last two have to agree here.
    PyTorch uses CUDA_HOME before PATH, so it may call another nvcc than the shell does. An isolated build may also
    download another torch than yours.

What to do
    Set CUDA_HOME to a toolkit with torch's CUDA major version; if there is none, install one beside the other
    toolkit. Or install a torch for the CUDA version that you have. Or install a finished wheel, which needs no nvcc.

How to reproduce
    `attn-doctor reproduce nvcc-torch-cuda-mismatch` runs flash-attn's own setup.py under a torch for CUDA 13.0 with
    an nvcc of 12.4. Stand-ins (parts that are not real): a torch that only looks like a CUDA build; an nvcc that only
    prints its version. It downloads 13 MB, and a CPU build of torch (200 MB) if the target's torch cannot be used.

References
    https://github.com/pytorch/pytorch/blob/main/torch/utils/cpp_extension.py (_check_cuda_version)
    https://github.com/Dao-AILab/flash-attention/issues/421
    https://github.com/deepspeedai/DeepSpeed/issues/3223 (only a warning where the majors agree)
"""

from __future__ import annotations

import re

import msgspec

from attn_doctor.commands import cuda_toolkits, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, Variant, every, present
from attn_doctor.failure_modes.recipe import (
    BUILD_TOOLS,
    INSTALL_SOURCE,
    LOOKS_LIKE_CUDA,
    Recipe,
    Source,
    StubToolkit,
    Torch,
    Variable,
)
from attn_doctor.failure_modes.shared import (
    building,
    conda_nvcc,
    cut_logs,
    kit_of_project,
    subject,
    toolkits,
    torch_for_toolkit,
    torch_steps,
)
from attn_doctor.failure_modes.shared.fact_queries import holds
from attn_doctor.knowledge import cuda
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import SetVariable, Step
from attn_doctor.model.versions import pair

MODE = FailureMode(
    code="AD108",
    slug="nvcc-torch-cuda-mismatch",
    title="nvcc and torch have different CUDA major versions",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "extension-not-built"),
    signs=(
        Sign(
            pattern=r"The detected CUDA version \((?P<nvcc>\d+(?:\.\d+){0,3})\) mismatches the version",
            literal="The detected CUDA version",
            sample="The detected CUDA version (13.0) mismatches the version that was used to compile",
        ),
        Sign(
            pattern=r"Please make sure to use the same CUDA versions\.', '(?P<nvcc>\d+(?:\.\d+){0,3})', '(?P<torch>\d+(?:\.\d+){0,3})'",
            literal="make sure to use the same CUDA versions",
            sample="RuntimeError: ('The detected CUDA version (%s) mismatches the version that was used to compilePyTorch (%s). "
            "Please make sure to use the same CUDA versions.', '12.4', '13.0')",
        ),
        Sign(
            pattern=r"PyTorch \((?P<torch>\d+(?:\.\d+){0,3})\)\. Please make sure to use the same CUDA versions",
            literal="make sure to use the same CUDA versions",
            sample="PyTorch (12.1). Please make sure to use the same CUDA versions.",
        ),
        Sign(
            pattern=r"Installed CUDA version (?P<nvcc>\d+(?:\.\d+){0,3}) does not match the version torch was compiled with "
            r"(?P<torch>\d+(?:\.\d+){0,3})(?![\d.]*\d)(?!,? but since)",
            literal="does not match the version torch was compiled with",
            sample="Installed CUDA version 11.8 does not match the version torch was compiled with 12.1, unable to compile cuda/cpp "
            "extensions without a matching cuda version.",
        ),
        Sign(
            pattern=r"compiled with a version of Cuda that does not match the version used to compile Pytorch",
            literal="that does not match the version used to compile",
            sample="RuntimeError: Cuda extensions are being compiled with a version of Cuda that does not match the version used to "
            "compile Pytorch binaries.",
        ),
        cut_logs.frame(
            "_check_cuda_version",
            "_check_cuda_version",
            '  File "/v/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 416, in _check_cuda_version',
        ),
        cut_logs.frame(
            "check_cuda_torch_binary_vs_bare_metal",
            "check_cuda_torch_binary_vs_bare_metal",
            '  File "/tmp/pip-req-build-34/setup.py", line 32, in check_cuda_torch_binary_vs_bare_metal',
            called=True,
        ),
        cut_logs.source(
            r"raise RuntimeError\(CUDA_MISMATCH_MESSAGE.{0,60}",
            "CUDA_MISMATCH_MESSAGE",
            "    raise RuntimeError(CUDA_MISMATCH_MESSAGE.format(cuda_str_version, torch.version.cuda))",
        ),
    ),
    recipe=Recipe(
        does="runs flash-attn's own setup.py under a torch for CUDA 13.0 with an nvcc of 12.4",
        of=(
            Torch(cuda="13.0"),
            BUILD_TOOLS,
            Source(),
            StubToolkit(version="12.4"),
            Variable(name="CUDA_HOME", value="{toolkit}"),
            Variable(name="FLASH_ATTENTION_FORCE_BUILD", value="TRUE"),
        ),
        run=(INSTALL_SOURCE,),
        shows="CUDA version .* mismatches",
        seconds=25,
        stands_in=(LOOKS_LIKE_CUDA, "an nvcc that only prints its version"),
    ),
)


def detect(facts: Facts) -> Hit | None:
    told = _of_deepspeed(facts) or kit_of_project.told(facts) or conda_nvcc.told(facts)
    if told is not None:
        return told
    if not every(lambda: building.would_be_built(facts), lambda: building.nvcc(facts) is not None):
        return None
    have, need = str(building.nvcc(facts)), present(facts.torch.cuda)
    if holds(cuda.nvcc_for_torch(have, need)):
        return None
    chosen = building.toolkit(facts)
    assert chosen is not None
    return Hit(
        message=f"The nvcc that PyTorch would call belongs to CUDA {have}, and your torch was built for CUDA {need}: PyTorch refuses to compile.",
        evidence=(
            fact(facts, f"{building.toolkit_path(facts, chosen)}.version", f"{chosen.root} is CUDA {have}"),
            fact(facts, "torch.cuda"),
        ),
    )


def _of_deepspeed(facts: Facts) -> Hit | None:
    """Return a hit if `ds_report` shows another major version of nvcc than of torch: DeepSpeed compiles an operator at its first use."""
    toolkits = facts.toolchain.toolkits
    if not isinstance(toolkits, tuple) or len(toolkits) != 1 or "ds_report" not in toolkits[0].found_by:
        return None
    have, need = toolkits[0].version, facts.torch.cuda
    if not (isinstance(have, str) and isinstance(need, str)) or holds(cuda.nvcc_for_torch(have, need)):
        return None
    return Hit(
        message=f"nvcc belongs to CUDA {have}, and torch was built for CUDA {need}. DeepSpeed compiles an operator when it is first used, and PyTorch refuses that then.",
        evidence=(fact(facts, "toolchain.toolkits.0.version", f"nvcc of CUDA {have}"), fact(facts, "torch.cuda")),
        variant=Majors(nvcc=have, torch=need),
        severity=Severity.WARNING,
    )


class Majors(Variant, frozen=True, kw_only=True):
    """Hold the CUDA versions of nvcc and of torch, as the error names them. None: the error does not name it."""

    nvcc: str | None  # "12.4"
    torch: str | None  # "13.0"


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if cut_logs.alone(seen):
        return cut_logs.hit(
            seen,
            "That function compares the CUDA version of nvcc with torch's: probably their major versions differ. `nvcc --version` and "
            "torch.version.cuda show them.",
            "RuntimeError or FileNotFoundError",
            Majors(nvcc=None, torch=None),
        )
    have, need = seen.group("nvcc"), seen.group("torch")
    if have and need:
        message = f"nvcc belongs to CUDA {have}, torch was built for CUDA {need}: PyTorch refuses to compile."
    elif need:
        message = f"nvcc has another CUDA major version than torch, which was built for CUDA {need}."
    else:
        message = (
            f"nvcc belongs to CUDA {have}, torch was built for another major version." if have else MODE.title + "."
        )
    return Hit(message=message, evidence=evidence, variant=Majors(nvcc=have, torch=need), confidence=Confidence.HIGH)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, kit_of_project.KitOfProject):
        return kit_of_project.fixes(facts, hit.variant)
    if isinstance(hit.variant, conda_nvcc.CondaNvcc):
        return conda_nvcc.fixes(facts, hit.variant)
    said = hit.variant if isinstance(hit.variant, Majors) else Majors(nvcc=None, torch=None)
    if places.jetson(facts) and said.torch is not None:
        # A Jetson has only JetPack's toolkit. So the torch is the wrong part: it is a build for servers.
        return torch_steps.newest(facts, "Install NVIDIA's torch for this JetPack", reinstall=True)
    facts = toolkits.with_torch_cuda(facts, said.torch)
    try:
        have = building.nvcc(facts)
    except Unsure:
        have = None
    made, torch = (
        _with_this_torch(facts, toolkits.cures(facts, replace=True)),
        _same_torch(facts, have or said.nvcc, said.torch),
    )
    if torch is None:
        return made
    # The toolkit of a hosted notebook or a Jetson is part of its system: there the first fix changes torch.
    # The toolkit belongs to the image or machine on which the program runs.
    at_run_time = facts.subject.doing == "running"
    return (torch, *made) if cuda_toolkits.elsewhere(facts) or at_run_time else (*made, torch)


_ISOLATES = re.compile(r"\b(?:pip3?|uv pip) install\b(?!.*--no-build-isolation)")


def _with_this_torch(facts: Facts, made: tuple[Fix, ...]) -> tuple[Fix, ...]:
    """Return the fixes with the build as the last step of those that bring a toolkit, if the log's own command isolates it.

    An isolated build brings a torch of its own, the newest, which is built for another CUDA than the torch here.
    https://pip.pypa.io/en/stable/reference/build-system/#build-isolation
    """
    typed = facts.subject.command
    if (
        facts.grade != "stated"
        or not isinstance(typed, str)
        or not _ISOLATES.search(typed)
        or subject.requirement(facts) is None
    ):
        return made
    why = "without isolation the build takes the torch of this environment, and none of its own"
    again = building.build(facts, why)
    return tuple(
        msgspec.structs.replace(fix, steps=(*fix.steps, again))
        if any("CUDA_HOME" in _words(step) for step in fix.steps)
        else fix
        for fix in made
    )


def _words(step: Step) -> str:
    return step.name if isinstance(step, SetVariable) else " ".join(step.argv)


_OLDEST_OF_TODAY = (11, 3)  # conda and NVIDIA's repositories for today's systems have no older toolkit


def _same_torch(facts: Facts, nvcc: str | None, of_torch: str | None) -> Fix | None:
    """Return the fix that installs the same torch, built for the toolkit's CUDA; None if no such torch exists."""
    torch, major = facts.torch.version, (pair(nvcc) or (0,))[0] if nvcc else None
    if major is None or places.jetson(facts):
        return None
    if not isinstance(torch, str):
        # The toolkit of an old torch is work to get, so a newer torch is offered too.
        old = (pair(of_torch) or _OLDEST_OF_TODAY) < _OLDEST_OF_TODAY if of_torch else False
        steps: tuple[Step, ...] = ()
        if cuda_toolkits.elsewhere(
            facts
        ):  # the GPU that such a service gives is not known: the build with the most GPUs
            steps = torch_for_toolkit.for_cuda_major(facts, major)
        elif old:
            steps = torch_for_toolkit.for_old_toolkit(facts, str(nvcc)) or torch_for_toolkit.for_cuda_major(
                facts, major, nvcc
            )
    else:
        steps = torch_for_toolkit.for_toolkit(facts, str(nvcc))
    steps = steps or torch_for_toolkit.for_old_toolkit(facts, str(nvcc))
    title = "Install the torch for the CUDA that is here"
    return Fix(title=title, steps=steps, verify=building.verify(facts)) if steps else None
