"""The compiled GPU code does not run on this GPU.

What it is
    GPU code is compiled for architectures. A binary without code for the card, and without PTX that the driver could compile
    for it, fails at its first kernel. That binary may be torch itself or an extension.

How it shows
    "CUDA error: no kernel image is available for execution on the device"; before this line, if torch itself has no
    code, "X with CUDA capability sm_120 is not compatible with the current PyTorch installation". flash-attn prints:
    "CUDA error (.../flash_fwd_launch_template.h:191): no kernel image ...", "FATAL: kernel built for sm80-sm100, but
    running on sm121". "CUDA error: invalid device function" usually means the same.

Why it happens
    The card is newer than the binary (RTX 50xx with a torch for CUDA 12.4 or older; B200 with flash-attn 2.7.4), or
    older (torch from PyPI starts at Turing since 2.11). Code for one compute capability runs on cards with the same
    major and the same or a higher minor number: code for 8.0 runs on 8.6.

What to do
    If torch has no code for the card, install a build that has. If an extension has none, install a release or a build
    of it that has.

How to reproduce
    `attn-doctor reproduce no-kernel-image` starts a kernel of torch on a stand-in GPU for which torch has no code. Stand-in: the GPU;
    its driver. It needs gcc and a CUDA build of torch in the target. If that is not available, a simulated machine is judged.

References
    https://docs.nvidia.com/cuda/blackwell-compatibility-guide/
    https://github.com/pytorch/pytorch/issues/149845
    https://github.com/Dao-AILab/flash-attention/issues/1638
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import Recipe, StubDriver, StubGpu, Torch
from attn_doctor.failure_modes.shared import (
    arch_flags,
    building,
    code_for_gpu,
    code_in_binaries,
    compiled_calls,
    cuda_start,
    images_for_gpu,
    old_torch_steps,
    own_folders,
    package_cures,
    refused_cards,
    subject,
    torch_install,
    torch_steps,
    wheel_fixes,
    whose_code,
)
from attn_doctor.failure_modes.shared.fact_queries import cuda_build
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import built_packages, gpu, old_torch
from attn_doctor.knowledge.torch_choice import Choice, NoTorch
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD411",
    slug="no-kernel-image",
    title="No compiled code for this GPU",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    explains=(
        "eager-fails",
        "model-not-built",
        "nccl-error",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
    ),
    signs=(
        Sign(
            pattern=r"requires device with capability <= \((?P<newest>\d+, \d+)\) but your GPU has capability \((?P<card>\d+, \d+)\) \(too new\)",
            literal="(too new)",
            sample="requires device with capability <= (9, 0) but your GPU has capability (12, 0) (too new)",
        ),
        Sign(
            pattern=r"(?P<gpu>[\w ()-]{3,60}) with CUDA capability (?P<sm>sm_\d+) is not compatible with the current PyTorch installation",
            literal="is not compatible with the current PyTorch",
            sample="NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch installation.",
        ),
        Sign(
            pattern=r"no kernel image is available for execution on the device",
            literal="no kernel image is available",
            sample="torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device",
        ),
        Sign(
            pattern=r"cudaErrorNoKernelImageForDevice",
            literal="cudaErrorNoKernelImageForDevice",
            sample="Search for `cudaErrorNoKernelImageForDevice' in https://docs.nvidia.com/cuda/cuda-runtime-api/"
            "group__CUDART__TYPES.html for more information.",
        ),
        Sign(
            pattern=r"kernel built for (?P<built>sm\d+(?:-sm\d+)?), but running on (?P<on>sm\d+)",
            literal="FATAL: kernel",
            sample="FATAL: kernel built for sm80-sm100, but running on sm121",
        ),
        Sign(
            pattern=r"FATAL: (?:kernel \S{1,200}|this function) is for (?P<built>sm\d+(?:-sm\d+)?), but was built for (?P<on>sm\d+)",
            literal=", but was built for sm",
            sample="FATAL: kernel `fmha_cutlassF_f32_aligned_64x64_rf_sm80` is for sm80-sm90, but was built for sm37",
        ),
        Sign(
            pattern=r"(?P<too_old>PyTorch no longer supports this GPU because it is too old)",
            literal="no longer supports this GPU",
            sample="    PyTorch no longer supports this GPU because it is too old.",
        ),
        *refused_cards.SIGNS,
        # A frame of the C++ stack below the error.
        Sign(
            pattern=r"\b(?P<native>flash_attn_2_cuda)\.(?:cp|cpython-)\d{2,4}\S{1,60}\.(?:pyd|so)",
            literal="flash_attn_2_cuda.cp",
            sample="00007FF8B00F422300007FF8AFF4CF80 flash_attn_2_cuda.cp312-win_amd64.pyd!PyInit_flash_attn_2_cuda [<unknown file> @ <unknown line number>]",
            strength="context",
        ),
        *compiled_calls.SIGNS,
        *own_folders.SIGNS,
        # NVRTC compiles a kernel for a GPU that is newer than its CUDA: https://github.com/pytorch/pytorch/issues/87595
        Sign(
            pattern=r"nvrtc: error: invalid value for --gpu-architecture",
            literal="nvrtc: error: invalid value for",
            sample="RuntimeError: nvrtc: error: invalid value for --gpu-architecture (-arch)",
        ),
        Sign(
            pattern=r"CUDA error: (?P<function>invalid device function)",
            literal="CUDA error: invalid device function",
            sample="RuntimeError: CUDA error: invalid device function",
        ),
        Sign(
            pattern=r"CUDA error: device kernel image is invalid",
            literal="device kernel image is invalid",
            sample="RuntimeError: CUDA error: device kernel image is invalid",
        ),
        # The start script of NVIDIA's images. A mere warning says "which may not yet be supported", and the container goes on.
        Sign(
            pattern=r"ERROR: (?P<image>No supported GPU\(s\) detected to run this container)",
            literal="No supported GPU(s) detected",
            sample="ERROR: No supported GPU(s) detected to run this container",
        ),
        Sign(
            pattern=r"Detected (?P<card_name>.{3,60}?) GPU, which is (?P<when>not yet|no longer) supported in this version of the container",
            literal="supported in this version of the container",
            sample="WARNING: Detected NVIDIA A100-PCIE-40GB GPU, which is not yet supported in this version of the container",
            strength="context",
        ),
        # detectron2's collect_env, and the kernels that mmcv and detectron2 took from Deformable ConvNets.
        Sign(
            pattern=r"^(?P<owner>detectron2) arch flags\s{1,40}(?P<flags>(?:sm_)?\d[\w., +]{0,80}|/\S)",
            literal="detectron2 arch flags",
            sample="detectron2 arch flags   sm_70",
            strength="hint",
        ),
        # The kernels print the name of the function themselves, and the program goes on: "error in %s: %s\\n".
        # https://github.com/fundamentalvision/Deformable-DETR/blob/main/models/ops/src/cuda/ms_deform_im2col_cuda.cuh
        Sign(
            pattern=r"\berror in (?P<operator>[a-z]\w{2,60}): (?:no kernel image is available|invalid device function)",
            literal="error in ",
            sample="error in ms_deformable_im2col_cuda: no kernel image is available for execution on the device",
        ),
        Sign(
            pattern=r"unhandled cuda error|ncclUnhandledCudaError",
            literal="andled",
            sample="RuntimeError: NCCL error in: ../torch/lib/c10d/ProcessGroupNCCL.cpp:33, unhandled cuda error, NCCL version 2.7.8",
            strength="hint",
        ),
        Sign(
            pattern=r"supports CUDA capabilities (?P<archs>sm_[\w ]{1,300})",
            literal="supports CUDA capabilities",
            sample="The current PyTorch install supports CUDA capabilities sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90.",
            strength="context",
        ),
        Sign(
            pattern=r"flash_attn_interface\.py|flash_(?:fwd|bwd)_\w+\.h|flash_attn_gpu\.|sageattention|_flash_attn_\w+forward",
            literal="flash_",
            sample='  File "/venv/lib/python3.11/site-packages/flash_attn/flash_attn_interface.py", line 91, in _flash_attn_forward',
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="starts a kernel of torch on a stand-in GPU for which torch has no code",
        of=(
            Torch(build="cuda"),
            StubDriver(cuda="13.9", nvml=True, gpus=(StubGpu("Tesla K80", "3.7", 11441),), runtime=True),
        ),
        run=(("{python}", "-c", "import torch; torch.ones(1, device='cuda')"),),
        shows="no kernel image is available",
        seconds=8,
        stands_in=("the GPU", "its driver"),
    ),
)


def detect(facts: Facts) -> Hit | None:
    seen = cuda_start.visible(facts)
    if not seen or not cuda_build(facts):
        return None
    return (
        code_in_binaries.of_torch_cuda(facts, seen)
        or code_in_binaries.of_torch(facts, seen)
        or code_in_binaries.of_flash_attn(facts, seen)
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if seen.group("image"):
        return _of_an_image(seen, evidence)
    newer = next((m for m in seen.matches if "newest" in m.groups), None)
    if newer is not None:
        most, card = (newer.groups[name].replace(", ", ".") for name in ("newest", "card"))
        return Hit(
            message=f"The kernels of this xformers support compute capability {most} at most, and the GPU has {card}.",
            evidence=evidence,
            variant=code_in_binaries.Lacking(binary="xformers"),
            severity=Severity.ERROR,
        )
    warned = next((m for m in seen.matches if "sm" in m.groups), None)
    if warned is not None:
        archs = seen.group("archs")
        held = f"has code for {', '.join(archs.split())}, but not" if archs else "has no code"
        return Hit(
            message=f"torch {held} for {warned.groups['gpu'].strip()} ({warned.groups['sm']}).",
            evidence=evidence,
            variant=code_in_binaries.Lacking(binary="torch"),
            severity=Severity.INFO if _of_a_second_card(seen) else Severity.ERROR,
        )
    if (tiny := seen.group("tiny")) is not None:
        return Hit(
            message=f"tiny-cuda-nn was compiled for another GPU: it has no code for compute capability {tiny[:-1]}.{tiny[-1]}.",
            evidence=evidence,
            variant=code_in_binaries.Lacking(binary=refused_cards.TINY, operator=tiny),
            severity=Severity.ERROR,
        )
    if (refused := refused_cards.by_torch(seen)) is not None:
        return Hit(
            message=f"torch has no code for {refused}.",
            evidence=evidence,
            variant=code_in_binaries.Lacking(binary="torch"),
            severity=Severity.INFO if _of_a_second_card(seen) else Severity.ERROR,
        )
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs:
        hints = tuple(m for m in seen.matches if m.strength == "hint" and "flags" not in m.groups)
        return arch_flags.told(facts, seen) or _of_old_cuda(facts, hints)
    built, operator = seen.group("built"), seen.group("operator")
    binary = whose_code.package(facts, proofs, seen)
    if built:
        of = "" if binary == "torch" else f" of {binary}"
        message = f"A kernel{of} was built for {built} and started on {seen.group('on')}."
    elif binary != "torch":
        message = f"{binary} has no code for the GPU (torch itself prints no warning about the GPU)."
    elif operator is not None:
        message = f"The extension to which {operator} belongs has no code for the GPU: it was compiled for another GPU."
    elif _of_jetsons_torch(facts):
        message = "A library has no code for the Jetson's GPU. NVIDIA's torch has that code: it is a library that was compiled for other GPUs."
    else:
        message = (
            "A binary has no code for the GPU: torch, or the extension that is called in the lines above the error."
        )
    return Hit(
        message=message,
        evidence=evidence,
        variant=code_in_binaries.Lacking(
            binary=binary,
            sure=binary != "torch" or built is not None,
            operator=operator,
            folder=own_folders.of(binary, seen),
        ),
        confidence=Confidence.MEDIUM if all("function" in m.groups for m in proofs) else Confidence.HIGH,
        severity=Severity.ERROR,
    )


def _of_a_second_card(seen: Seen) -> bool:
    """Return whether torch only warns, and not of its first GPU: programs use the first one, and the log shows no error."""
    cards = {m.groups["index"] for m in seen.matches if "index" in m.groups}
    warnings = all(
        {"sm", "too_old", "refused", "limits"} & m.groups.keys() for m in seen.matches if m.strength == "proof"
    )
    return bool(cards) and "0" not in cards and warnings


def _of_an_image(seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    """Return the hit for a container image of NVIDIA whose software has no code for the GPU."""
    card, old_card = seen.group("card_name") or "this GPU", seen.group("when") == "no longer"
    image = "newer than its support for the GPU" if old_card else "older than the GPU"
    why = f"is {image}: it does not support {card}" if seen.group("when") else "does not support this GPU"
    return Hit(
        message=f"The container image {why}. The container does see the GPU.",
        evidence=evidence,
        variant=code_in_binaries.Lacking(
            binary="older image" if old_card else "newer image", operator=_capability(card)
        ),
        severity=Severity.ERROR,
    )


def _capability(card: str) -> str | None:
    model = gpu.model(card)
    return None if isinstance(model, Unknown) else model.capability


def _of_old_cuda(facts: Facts, hints: tuple[Match, ...]) -> Hit | None:
    """Return the hit for a CUDA error of NCCL, whose text is the same for all errors, if torch's CUDA is known to be older than the GPU."""
    gpus, cuda = facts.graphics.gpus, facts.torch.cuda
    for card in gpus if isinstance(gpus, tuple) and isinstance(cuda, str) and hints else ():
        first = (
            gpu.too_new_for(str(cuda), card.compute_capability) if isinstance(card.compute_capability, str) else None
        )
        if first is not None:
            return Hit(
                message=f"torch is built for CUDA {cuda}, which does not support {cuda_start.name(card)} ({gpu.name(str(card.compute_capability))}): that GPU needs CUDA {first} or newer.",
                evidence=building.lines(hints),
                variant=code_in_binaries.Lacking(binary="torch"),
                confidence=Confidence.MEDIUM,
                severity=Severity.ERROR,
            )
    return None


def _of_jetsons_torch(facts: Facts) -> bool:
    """Return whether this is a Jetson with NVIDIA's own torch. That torch has code for the board, so another library lacks the code."""
    return places.jetson(facts) and isinstance(facts.torch.version, str) and ".nv" in facts.torch.version


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if _of_jetsons_torch(facts):
        return (code_for_gpu.on_jetson(facts),)
    binary = hit.variant.binary if isinstance(hit.variant, code_in_binaries.Lacking) else "torch"
    if binary in ("newer image", "older image"):
        card = hit.variant.operator if isinstance(hit.variant, code_in_binaries.Lacking) else None
        return (images_for_gpu.of_nvidia(facts, card, older=binary == "older image"),)
    if binary == whose_code.ONNX:
        return code_for_gpu.of_onnxruntime(facts)
    if binary == subject.FLASH_ATTN:
        return wheel_fixes.flash_attn_fixes(facts, "it has no code for this GPU")
    if isinstance(hit.variant, code_in_binaries.Lacking) and binary == refused_cards.TINY:
        return refused_cards.tiny(facts, hit.variant.operator or "86")
    if isinstance(hit.variant, code_in_binaries.Lacking) and hit.variant.operator is not None:
        return (code_for_gpu.of_an_operator(facts, binary, _folder(hit)),)
    if binary != "torch" and built_packages.row_of(binary) is None:
        return (code_for_gpu.of_an_operator(facts, binary, _folder(hit)),)
    if binary != "torch":
        return package_cures.for_gpu(facts, binary)
    return _of_torch(facts, hit)


def _folder(hit: Hit) -> str | None:
    return hit.variant.folder if isinstance(hit.variant, code_in_binaries.Lacking) else None


def _of_torch(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    """Return the fixes for a torch that has no code for the GPU, or perhaps has none."""
    there = facts.torch.version
    if isinstance(hit.variant, code_in_binaries.Lacking) and not hit.variant.sure and isinstance(there, Unknown):
        return code_for_gpu.torch_or_another(facts)
    found = torch_install.choice(facts)
    if (
        isinstance(found, Choice)
        and there in (found.build, found.torch)
        and not isinstance(facts.torch.version, Unknown)
    ):
        return ()  # as far as known, the installed torch has the code: another binary does not
    if not code_for_gpu.card_is_known(facts):
        return ()
    old = old_torch.for_python(machine_of(facts)) if isinstance(found, NoTorch) else None
    if old is not None:
        title = f"Install torch {old.row.torch} for CUDA {old.cuda}"
        return (Fix(title=title, steps=old_torch_steps.steps(facts, old), verify=commands.check(facts)),)
    if (too_old := code_for_gpu.on_the_cpu(facts)) is not None:
        return (too_old,)
    unknown = isinstance(there, Unknown)  # pip takes another build of the same release as installed already
    made = torch_steps.kept_or_newest(
        facts, "Install {name} for CUDA {cuda}", "it has code for the GPU here", reinstall=unknown
    )
    return (*images_for_gpu.newer(facts), *made)


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a machine of which too little is known to name the GPU.

    Install the newest torch that it can run.
    """
    return torch_steps.newest(facts, "Install a torch that supports the card", why=code_for_gpu.WHY, reinstall=True)
