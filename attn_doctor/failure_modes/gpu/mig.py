"""The GPU is divided into MIG instances, and a process sees only one of them.

What it is
    Data-centre GPUs can be divided into instances (Multi-Instance GPU). CUDA gives a process only one instance, even if
    CUDA_VISIBLE_DEVICES lists several. A GPU in MIG mode without instances gives a process nothing.

How it shows
    torch.cuda.device_count() is 0 or 1 although nvidia-smi -L lists several "MIG ... (UUID: MIG-...)"; "device >= 0 &&
    device < num_gpus INTERNAL ASSERT FAILED".

Why it happens
    MIG mode was switched on, but no instance was created; or CUDA_VISIBLE_DEVICES lists several, or none; or torch counted the
    instances wrongly (1.13 to 2.0, and nightlies of 2.5).

What to do
    Name one instance: CUDA_VISIBLE_DEVICES=MIG-... from nvidia-smi -L. For training over several GPUs, switch MIG off.

How to reproduce
    `attn-doctor reproduce mig` asks a stand-in driver for a GPU in MIG mode without an instance, and examines that machine. Stand-in: the GPU;
    its driver. It needs gcc. If that is not available, a simulated machine is judged.

References
    https://docs.nvidia.com/datacenter/tesla/mig-user-guide/
    https://github.com/pytorch/pytorch/issues/130181
    https://github.com/pytorch/pytorch/issues/95784
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure
from attn_doctor.failure_modes.recipe import ASK_DRIVER, PlayedMachine, Recipe, StubDriver, StubGpu, Torch
from attn_doctor.failure_modes.shared import cuda_start
from attn_doctor.failure_modes.shared.fact_queries import variable
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Goal, Severity, fact

MODE = FailureMode(
    code="AD410",
    slug="mig",
    title="A GPU that is cut into MIG instances",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=("cuda-init-error", "no-gpu-present", "config-device-cpu", "driver-missing"),
    signs=(
        Sign(
            pattern=r"device >= 0 && device < num_gpus.{0,20} INTERNAL ASSERT FAILED",
            literal="num_gpus",
            sample='RuntimeError: device >= 0 && device < num_gpus INTERNAL ASSERT FAILED at "/pytorch/aten/src/ATen/cuda/'
            'CUDAContext.cpp":49, please report a bug to PyTorch.',
            strength="hint",
        ),
        Sign(
            pattern=r"UUID: MIG-",
            literal="UUID: MIG-",
            sample="  MIG 3g.40gb     Device  0: (UUID: MIG-00000000-0000-0000-0000-000000000001)",
            strength="context",
        ),
        Sign(
            pattern=r"CUDA_VISIBLE_DEVICES'?\]?\s*=\s*['\"]?MIG-",
            literal="CUDA_VISIBLE_DEVICES",
            sample="CUDA_VISIBLE_DEVICES=MIG-00000000-0000-0000-0000-000000000001 python train.py",
            strength="context",
        ),
        Sign(
            pattern=r"NVIDIA .{0,60}\bMIG \d{1,2}g\.\d{1,3}gb",
            literal="NVIDIA ",
            sample="GPU 0: NVIDIA A100-SXM4-80GB MIG 3g.40gb",
            strength="context",
        ),
        Sign(
            pattern=r"In \[\d+\]: (?P<asked>torch\.cuda\.device_count\(\))",
            literal="]: torch.cuda.device_count()",
            sample="In [7]: torch.cuda.device_count()",
            strength="hint",
        ),
        Sign(
            pattern=r"MIG devices:",
            literal="MIG devices:",
            sample="| MIG devices:                                                                |",
            strength="context",
        ),
        Sign(
            pattern=r"device_count\(\)\)?\s*(?::|->|=|#)?\s*0\b",
            literal="device_count()",
            sample="torch.cuda.device_count(): 0",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="asks a stand-in driver for a GPU in MIG mode without an instance, and examines that machine",
        of=(
            Torch(build="cuda", if_there=True),
            PlayedMachine(pci=(("10de", "20b2", "nvidia"),), module="580.95.05"),
            StubDriver(
                cuda="13.0",
                version="580.95.05",
                refusal=100,
                nvml=True,
                gpus=(StubGpu("NVIDIA A100-SXM4-80GB", "8.0", 81920, mig=True, mig_slices=0, ecc=True),),
            ),
        ),
        run=(ASK_DRIVER,),
        shows="cuInit: 100",  # CUDA_ERROR_NO_DEVICE
        examine=("--no-trial",),
        goal=Goal.TRAIN,
        seconds=8,
        stands_in=("the GPU", "its driver"),
    ),
)

_VARIABLE = "CUDA_VISIBLE_DEVICES"


def detect(facts: Facts) -> Hit | None:
    gpus = facts.graphics.gpus  # an unknown MIG mode is not a sign of MIG: it is not reported as undetermined
    cut = [(index, gpu) for index, gpu in enumerate(gpus if isinstance(gpus, tuple) else ()) if gpu.mig is True]
    if not cut:
        return None
    index, gpu = cut[0]
    mode = fact(facts, f"graphics.gpus.{index}.mig", f"{cuda_start.name(gpu)} is in MIG mode")
    slices = fact(facts, f"graphics.gpus.{index}.mig_slices")
    whole = len(cut) < len(cuda_start.visible(facts))
    if gpu.mig_slices == 0:
        return Hit(
            message=f"{cuda_start.name(gpu)} is in MIG mode and has no instance: no program can use it.",
            evidence=(mode, slices),
            certainty=Certainty.OBSERVED,
            severity=Severity.WARNING if whole else None,
        )
    if cuda_start.works(facts):
        return _note(facts, (mode, slices))
    try:
        named = variable(facts, _VARIABLE) or ""
    except Unsure:
        named = ""
    if facts.torch.available is False and isinstance(facts.torch.cuda, str) and "MIG-" in named:
        return Hit(
            message=f"torch {facts.torch.version} sees no GPU, although {_VARIABLE} names a MIG instance.",
            evidence=(mode, fact(facts, "torch.available")),
            certainty=Certainty.OBSERVED,
            confidence=Confidence.MEDIUM,
        )
    return _note(facts, (mode, slices))


def _note(facts: Facts, evidence: tuple[Evidence, ...]) -> Hit:
    return Hit(
        message="The GPU is cut into MIG instances: each process sees only one of them.",
        evidence=evidence,
        certainty=Certainty.OBSERVED,
        severity=Severity.INFO,
        blocks=(),
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    cut = any(m.strength == "context" for m in seen.matches)
    if not cut and not any("num_gpus" in m.text for m in seen.matches):
        return None  # a count of 0 is not a sign of MIG
    told = all("asked" in m.groups for m in seen.matches if m.strength != "context")  # the answer is in another line
    return Hit(
        message="CUDA counted a different number of GPUs than torch"
        + (
            ": a process sees only one MIG instance."
            if cut
            else ", as happens with MIG instances, or if CUDA_VISIBLE_DEVICES changed."
        ),
        evidence=evidence,
        confidence=Confidence.LOW if not cut else Confidence.MEDIUM if told else Confidence.HIGH,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    gpus = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    if any(gpu.mig is True and gpu.mig_slices == 0 for gpu in gpus):
        theirs = places.container(facts) is not None or places.on_cluster(facts)
        off = commands.by_hand(
            () if theirs else places.as_root(facts, "nvidia-smi", "-mig", "0"),
            "ask the administrators of the host for an instance, or to switch MIG off (nvidia-smi -mig 0)"
            if theirs
            else "gives one program the whole GPU",
            "every program on this GPU",
        )
        return (Fix(title="Switch MIG off", steps=(off,), verify=verify),)
    look = commands.by_hand(("nvidia-smi", "-L"), "shows the UUIDs of the instances", "nothing", "none")
    name = commands.variable(_VARIABLE, "MIG-UUID", "replace MIG-UUID by one instance that nvidia-smi -L lists")
    return (Fix(title="Name one MIG instance", steps=(look, name), verify=verify),)
