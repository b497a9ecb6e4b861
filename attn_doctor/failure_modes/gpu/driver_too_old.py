"""The NVIDIA driver is older than torch's CUDA needs.

What it is
    Each CUDA major needs a minimum driver version: CUDA 13 needs 580, CUDA 12 needs 525 (Linux), CUDA 11 needs 450.
    Before CUDA 11 each minor release has its own minimum: CUDA 10.2 needs 440. Within one major, an older driver runs
    programs for a newer CUDA, but it cannot compile their PTX.

How it shows
    "The NVIDIA driver on your system is too old (found version 12040)": the number is the CUDA that the driver supports, 12.4. Or
    "CUDA driver version is insufficient for CUDA runtime version"; or, with PTX, "the provided PTX was compiled with an unsupported
    toolchain" (cudaErrorUnsupportedPtxVersion).

Why it happens
    `pip install torch` gives the newest torch: from 2.11 on built for CUDA 13, which needs driver 580. nvidia-smi's
    "CUDA Version" is the most that the driver supports, not what is installed.

What to do
    Install a newer driver. If you cannot do that, install a torch that was built for an older CUDA, from the index for
    that CUDA.

How to reproduce
    `attn-doctor reproduce driver-too-old` starts torch's CUDA with a stand-in of the driver. Stand-in: the driver. It
    needs a CUDA build of torch in the target. If that is not available, a simulated machine is judged.

References
    https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
    https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/index.html
    https://github.com/vllm-project/vllm/issues/31700
"""

from __future__ import annotations

import re

import msgspec

from attn_doctor import commands
from attn_doctor.commands import container_starts, nvidia_drivers, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, Variant, every, known, present
from attn_doctor.failure_modes.recipe import Recipe, StubDriver, Torch
from attn_doctor.failure_modes.shared import (
    cuda_error_numbers,
    cuda_start,
    torch_for_driver,
)
from attn_doctor.failure_modes.shared.fact_queries import cuda_build
from attn_doctor.knowledge import cuda as cuda_rules
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, OsName, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import only_intel
from attn_doctor.model.versions import parse

MODE = FailureMode(
    code="AD401",
    slug="driver-too-old",
    title="The NVIDIA driver is too old for this torch",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=(
        "torch-sees-no-gpu",
        "eager-fails",
        "model-not-built",
        "cuda-init-error",
        "driver-missing",
        "no-gpu-present",
        "config-device-cpu",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
        "segfault",  # TensorRT's programs go on without a GPU, and crash
    ),
    signs=(
        Sign(
            pattern=r"\(found version (?P<found>\d{4,5})\)",
            literal="(found version ",
            sample="RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver",
        ),
        Sign(
            pattern=r"unsatisfied condition: cuda ?>= ?(?P<image>\d{1,2}\.\d)",
            literal="unsatisfied condition: cuda",
            sample="nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.6, please update your driver to a newer version",
        ),
        Sign(
            pattern=r"CUDA driver version is insufficient for CUDA runtime version",
            literal="driver version is insufficient",
            sample="torch.AcceleratorError: CUDA error: CUDA driver version is insufficient for CUDA runtime version",
        ),
        Sign(
            pattern=r"cudaErrorInsufficientDriver",
            literal="cudaErrorInsufficientDriver",
            sample="Search for `cudaErrorInsufficientDriver' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html",
        ),
        Sign(
            pattern=r"NVIDIA driver on your system is too old",
            literal="driver on your system is too old",
            sample="RuntimeError: The NVIDIA driver on your system is too old",
        ),
        *cuda_error_numbers.signs("35", ("CUDA_ERROR_INSUFFICIENT_DRIVER",), sample=35),
        # torch's words if the driver does not start CUDA at all. Beside them, the release of CUDA that conda's torch uses.
        # https://github.com/pytorch/pytorch/blob/main/c10/cuda/CUDAFunctions.cpp, https://github.com/CompVis/stable-diffusion/issues/94
        Sign(
            pattern=r"(?P<unnamed>CUDA driver initialization failed, you might not have a CUDA gpu|Found no NVIDIA driver on your system)",
            literal=" driver ",
            sample="RuntimeError: CUDA driver initialization failed, you might not have a CUDA gpu.",
            strength="hint",
        ),
        *(
            Sign(
                pattern=rf"^(?:\[conda\] |- |\+ )?{name}(?:=+|\s{{1,60}})(?P<toolkit>(?:9|1[0-3])\.\d)(?:\.\d{{1,3}})?(?=\s|=|$)",
                literal=name,
                sample=f"{name}        11.3.1        h9edb442_10",
                strength="context",
            )
            for name in ("cudatoolkit", "pytorch-cuda", "cuda-version")
        ),
        Sign(
            pattern=r"provided PTX was compiled with an unsupported toolchain",
            literal="with an unsupported toolchain",
            sample="RuntimeError: CUDA error: the provided PTX was compiled with an unsupported toolchain.",
        ),
        Sign(
            pattern=r"cudaErrorUnsupportedPtxVersion",
            literal="cudaErrorUnsupportedPtxVersion",
            sample="Search for `cudaErrorUnsupportedPtxVersion' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html",
        ),
    ),
    recipe=Recipe(
        does="starts torch's CUDA with a stand-in of the driver",
        of=(Torch(build="cuda"), StubDriver(cuda="11.4")),
        run=(("{python}", "-c", "import torch; torch.ones(1).cuda()"),),
        shows="found version 11040",
        seconds=5,
        stands_in=("the driver",),
    ),
)

_INSUFFICIENT = 35  # cudaErrorInsufficientDriver


def detect(facts: Facts) -> Hit | None:
    if cuda_start.works(facts) or cuda_start.refused(facts) not in (None, _INSUFFICIENT):
        return None  # CUDA starts, or it failed for another reason
    if not every(
        lambda: cuda_build(facts),
        lambda: known(facts.graphics.driver) is not None or known(facts.graphics.driver_cuda) is not None,
        lambda: _why_not(facts) is not None,
    ):
        return None
    cuda, driver = str(facts.torch.cuda), facts.graphics.driver
    needs = cuda_rules.driver_needed(cuda, _os(facts))
    supports = facts.graphics.driver_cuda
    most = f" (CUDA {supports} at most)" if isinstance(supports, str) else ""
    here = (
        f"The NVIDIA driver {driver}{most}"
        if isinstance(driver, str)
        else f"The NVIDIA driver (CUDA {supports} at most)"
    )
    path = "graphics.driver" if isinstance(driver, str) else "graphics.driver_cuda"
    observed = isinstance(facts.torch.cuda_error, str) and "too old" in facts.torch.cuda_error
    return Hit(
        message=f"{here} is too old for torch {facts.torch.version}, which is built for CUDA {cuda} and needs driver {needs} or newer.",
        evidence=(
            fact(facts, path),
            fact(facts, "torch.cuda", f"torch {facts.torch.version} is built for CUDA {cuda}"),
            *([fact(facts, "torch.cuda_error")] if observed else []),
        ),
        certainty=Certainty.OBSERVED if observed else Certainty.PREDICTED,
    )


def _why_not(facts: Facts) -> str | None:
    """Return why the driver cannot run torch's CUDA; None if it can.

    The answer of torch itself counts more than the tables.
    """
    said = facts.torch.cuda_error
    if isinstance(said, str) and "too old" in said:
        return said
    cuda, os = present(facts.torch.cuda), _os(facts)
    driver = _driver(facts)
    judged = (
        cuda_rules.driver_covers(driver, cuda, os)
        if driver is not None
        else cuda_rules.driver_cuda_covers(present(facts.graphics.driver_cuda), cuda)
    )
    answer = known(judged)
    return None if answer.yes else answer.why


def _os(facts: Facts) -> OsName:
    """Return the system that the driver is for.

    If this may be WSL, it is not known. Then the result is Linux if the tables of both systems give the same answer about the
    driver. Raises Unsure if they do not.
    """
    try:
        return cuda_start.driver_os(facts)
    except Unsure:
        driver, cuda = _driver(facts), facts.torch.cuda
        if driver is None or not isinstance(cuda, str):
            raise
        systems: tuple[OsName, OsName] = ("linux", "windows")
        judged = [cuda_rules.driver_covers(driver, cuda, os) for os in systems]
        if len({answer.yes if isinstance(answer, Answer) else None for answer in judged}) != 1:
            raise
        return "linux"


def _driver(facts: Facts) -> str | None:
    """Return the driver version that programs get: the version of a cuda-compat package's libcuda, if it is newer and the loader finds it first."""
    driver, libcuda = facts.graphics.driver, facts.graphics.libcuda_version
    if not isinstance(driver, str):
        return None
    if isinstance(libcuda, Unknown) and "compat" in str(facts.graphics.libcuda):
        known(libcuda)  # raises Unsure: a libcuda of cuda-compat is found first, and its version is not known
    if isinstance(libcuda, str):
        theirs, ours = parse(libcuda), parse(driver)
        if theirs is not None and ours is not None and theirs > ours:
            return libcuda
    return driver


class OfImage(Variant, frozen=True, kw_only=True):
    """Hold the CUDA release that the driver of the host must support for an image: "12.6"."""

    cuda: str


class ForCuda(Variant, frozen=True, kw_only=True):
    """Hold the CUDA release for which torch was built, "11.3", where only a list of conda's packages in the log shows it."""

    cuda: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if all("unnamed" in m.groups or m.strength == "context" for m in seen.matches):
        return _beside(facts, seen)
    seen_proofs = tuple(m for m in seen.matches if m.strength == "proof")
    evidence = tuple(e for e in evidence if e.line in {m.line for m in seen_proofs}) or evidence
    found, image = seen.group("found"), seen.group("image")
    if only_intel(facts) and not image and not found:
        return None  # no-gpu-present reports it
    if image:
        return Hit(
            message=f"The container image needs a driver that supports CUDA {image}, and the driver of this host is older.",
            evidence=evidence,
            variant=OfImage(cuda=image),
        )
    if found:
        number = int(found)
        message = f"This driver supports CUDA {number // 1000}.{number % 1000 // 10} at most, and torch was built for a newer CUDA."
        return Hit(message=message, evidence=evidence)
    if any("PTX" in m.text or "Ptx" in m.text for m in seen.matches):
        message = "The driver is older than the CUDA version with which a kernel was compiled, and cannot compile the kernel's PTX."
        return Hit(message=message, evidence=evidence)
    if any(re.search(r"sm_\d+ is not compatible", m.text) for log in seen.logs for m in log.of("no-kernel-image")):
        return Hit(
            message="The driver may be too old; more likely, torch has no code for the GPU.",
            evidence=evidence,
            confidence=Confidence.LOW,
        )
    if any(m.groups.get("code") for m in seen.matches):
        message = "The driver is older than the CUDA version for which this program was built (error 35 of CUDA's start: TensorRT, ONNX Runtime and others)."
        return Hit(message=message, evidence=evidence)
    # CUDA gives the same error where no driver is loaded: https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__DEVICE.html
    nothing = "" if isinstance(facts.graphics.driver, str) else ", or no NVIDIA driver is loaded"
    return Hit(
        message=f"The driver is older than the CUDA version for which torch was built{nothing}.",
        evidence=evidence,
    )


def _beside(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for a torch that says only that CUDA does not start, if the log shows a driver that is older than its CUDA; else None."""
    matches = [m for m in seen.matches if "unnamed" in m.groups]
    cuda = facts.torch.cuda if isinstance(facts.torch.cuda, str) else seen.group("toolkit")
    driver, os = facts.graphics.driver, cuda_start.driver_os_or_none(facts) or "linux"
    runs, needs = facts.graphics.driver_cuda, cuda_rules.driver_needed(cuda, os) if cuda else None
    if not matches or cuda is None or not isinstance(needs, str):
        return None
    if isinstance(driver, str):
        judged: Answer | Unknown = cuda_rules.driver_covers(driver, cuda, os)
    elif isinstance(runs, str):
        judged = cuda_rules.driver_cuda_covers(runs, cuda)
    else:
        return None
    if isinstance(judged, Unknown) or judged.yes:
        return None
    here = f"The NVIDIA driver {driver}" if isinstance(driver, str) else f"The NVIDIA driver, for CUDA {runs} at most,"
    shown = [m for m in seen.matches if "toolkit" in m.groups] if not isinstance(facts.torch.cuda, str) else []
    return Hit(
        message=f"{here} is too old: torch is built for CUDA {cuda}, which needs driver {needs} or newer.",
        evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in (*shown[:1], *matches[:2])),
        variant=ForCuda(cuda=cuda) if shown else None,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, ForCuda):
        facts = msgspec.structs.replace(facts, torch=msgspec.structs.replace(facts.torch, cuda=hit.variant.cuda))
    if isinstance(hit.variant, OfImage):
        return _of_image(facts, hit.variant.cuda)
    os = cuda_start.driver_os_or_none(facts) or "linux"
    cuda = facts.torch.cuda if isinstance(facts.torch.cuda, str) else None
    needs = cuda_rules.driver_needed(cuda, os) if cuda else Unknown("torch's CUDA is not known")
    newer = nvidia_drivers.install(facts, needs if isinstance(needs, str) else None)
    older = torch_for_driver.fixes(facts)
    if older and torch_for_driver.needed_all_the_same(facts):
        return older
    # The user cannot install the driver of a cluster, of a container's host or of a hosted notebook.
    theirs = places.on_cluster(facts) or places.hosted(facts) is not None or places.container(facts) is not None
    # If no command installs a newer driver, the older torch comes first: a command installs it.
    by_words = not any(step.argv for fix in newer[:1] for step in fix.steps)
    if isinstance(hit.variant, ForCuda) and os == "windows" and not theirs:
        by_words = False  # the driver's installer is one click there, and the release of torch can stay
    first = bool(older) and (theirs or by_words or places.jetson(facts))
    return (*older, *newer) if first else (*newer, *older)


def _of_image(facts: Facts, cuda: str) -> tuple[Fix, ...]:
    """Return the fixes for an image that the engine of a host refuses. The engine printed the error on the host, before any container started.

    A driver runs every CUDA release of its own major, and NVIDIA_DISABLE_REQUIRE=1 switches off the comparison of versions.
    https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html
    """
    host = msgspec.structs.replace(facts, system=msgspec.structs.replace(facts.system, container=None))
    anyway = commands.by_hand(
        container_starts.start(facts, "--gpus", "all", "-e", "NVIDIA_DISABLE_REQUIRE=1"),
        f"works if nvidia-smi shows CUDA Version {cuda.partition('.')[0]}.0 or newer: a driver runs every CUDA release of its major",
        "the container's environment",
        "none",
    )
    return (
        # The newest driver: the image compares the exact CUDA release, not only its major.
        *nvidia_drivers.install(host),
        Fix(
            title="Start the container image without its check of the driver version",
            steps=(anyway,),
            verify=commands.check(facts),
        ),
    )
