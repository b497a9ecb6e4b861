"""flash-attn or torch was not built for this AMD GPU.

What it is
    flash-attn has two backends for AMD: Composable Kernel, compiled only for MI200 and MI300 cards, and Triton for the
    other cards, which an environment variable switches on. torch's own fused attention is part of its ROCm build and
    needs neither of them.

How it shows
    "FlashAttention only supports AMD MI200 GPUs or newer"; "currently only supports MI100 and RX7000 and above"; "CUDA_HOME environment
    variable is not set" under a torch whose version ends in +rocm; hipcc and gfx names in a failed build; "Unsupported GPU architecture:
    gfx1100".

Why it happens
    flash-attn's setup.py builds for CUDA if it does not find ROCm (ROCM_HOME unset, no hipcc); or the Composable Kernel
    backend refuses the card; or the GPU is from AMD, but torch is a build for CUDA or for the CPU.

What to do
    Use the fused attention of a torch for ROCm (scaled_dot_product_attention), which needs no other package. For
    flash-attn on cards other than MI200 and MI300, set FLASH_ATTENTION_TRITON_AMD_ENABLE=TRUE when you build it and
    when you run it. If torch is a build for CUDA or for the CPU, install one from the ROCm index. If a HIP error does
    not say that code is missing, run again with AMD_SERIALIZE_KERNEL=3: the traceback then ends at the call that
    failed.

How to reproduce
    `attn-doctor reproduce rocm-specific` starts torch on a played machine with an AMD GPU and ROCm, and examines that machine. Stand-in: the AMD
    GPU; its driver; ROCm. All are a folder of files. It needs a CUDA build of torch in the target. If that is not available, a
    simulated machine is judged.

References
    https://github.com/Dao-AILab/flash-attention#amd-rocm-support
    https://github.com/ROCm/flash-attention/issues/93
    https://github.com/Dao-AILab/flash-attention/issues/1635
    https://docs.pytorch.org/docs/stable/notes/hip.html
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import START_CUDA, PlayedMachine, Recipe, Torch, no_system_library
from attn_doctor.failure_modes.shared import building, cut_logs, rocm_steps, rocm_ways, torch_steps
from attn_doctor.failure_modes.shared.fact_queries import torch_installed
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Goal, Severity, fact
from attn_doctor.model.machine import NVIDIA

_NODES = "/sys/class/kfd/kfd/topology/nodes"

MODE = FailureMode(
    code="AD421",
    slug="rocm-specific",
    title="An AMD GPU",
    train=Severity.WARNING,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=(
        "torch-sees-no-gpu",
        "flash-attn-stub-namespace",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
        "torch-cpu-build",
        "segfault",
    ),
    explains_what_stops="build",
    signs=(
        Sign(
            pattern=r"FlashAttention only supports AMD MI\d+",
            literal="FlashAttention only supports AMD",
            sample="RuntimeError: FlashAttention only supports AMD MI200 GPUs or newer.",
        ),
        Sign(
            pattern=r"currently only supports MI\d+ and RX\d+",
            literal="currently only supports MI",
            sample="RuntimeError: FlashAttention currently only supports MI100 and RX7000 and above",
        ),
        Sign(
            pattern=r"\b(?P<gfx>gfx\d{3,4}[a-z]?) (?:is )?(?:invalid or )?(?:not supported|unsupported)",
            literal="supported",
            sample="RuntimeError: gfx1100 is invalid or not supported by Flash-Attention",
        ),
        # flash-attn's setup.py prints the list of PYTORCH_ROCM_ARCH or GPU_ARCHS, or of the GPUs that are there.
        Sign(
            pattern=r"One of GPU archs of \['(?P<gfx>gfx\w{3,5})'.{0,80} is invalid or not supported",
            literal="One of GPU archs of ",
            sample="AssertionError: One of GPU archs of ['gfx1201'] is invalid or not supported by Flash-Attention",
        ),
        # https://github.com/ROCm/librocdxg: the runtime of WSL has a list of the cards that it opens.
        Sign(
            pattern=r"(?P<in_wsl>ROCR: unsupported GPU)",
            literal="ROCR: unsupported GPU",
            sample="ROCR: unsupported GPU",
        ),
        Sign(
            pattern=r"(?P<hip>HSA_STATUS_ERROR\w*)",
            literal="HSA_STATUS_ERROR",
            sample="Queue 0x7f aborting with error : HSA_STATUS_ERROR_EXCEPTION: An HSAIL operation resulted in a hardware exception. code: 0x1016",
        ),
        *(
            Sign(pattern=rf"(?P<miopen>{pattern})", literal=literal, sample=sample)
            for pattern, literal, sample in (
                (r"miopenStatus(?!Success)\w+", "miopenStatus", "RuntimeError: miopenStatusUnknownError"),
                (
                    "MIOpen Error: ",
                    "MIOpen Error: ",
                    "MIOpen Error: MIOpen/src/sqlite_db.cpp:220: Internal error while accessing SQLite database: locking protocol",
                ),
            )
        ),
        Sign(
            pattern=r"[Uu]nsupported GPU arch\w*:? (?P<gfx>gfx\d+)",
            literal="nsupported GPU arch",
            sample="RuntimeError: Unsupported GPU architecture: gfx1100",
        ),
        Sign(
            pattern=r"torch\.__version__ {0,3}= {0,3}(?P<version>\d[\w.]*\+rocm[\d.]+)",
            literal="+rocm",
            sample="torch.__version__  = 2.7.0+rocm6.3",
            strength="hint",
        ),
        Sign(
            pattern=r"schema_\.has_value\(\) INTERNAL ASSERT FAILED",
            literal="schema_.has_value()",
            sample="RuntimeError: schema_.has_value() INTERNAL ASSERT FAILED",
            strength="hint",
        ),
        Sign(
            pattern=r"composable_kernel/[^\s:]{3,160}:\d+:(?:\d+:)? (?:fatal )?error:",
            literal="composable_kernel/",
            sample="csrc/composable_kernel/include/ck_tile/core/config.hpp:36:2: error: static assertion failed",
            strength="hint",
        ),
        Sign(
            pattern=r"No such file or directory: '[^']{0,200}/(?P<hipcc>hipcc)'",
            literal="/hipcc'",
            sample="FileNotFoundError: [Errno 2] No such file or directory: '/opt/rocm/bin/hipcc'",
        ),
        Sign(
            pattern=r"RuntimeError: Device\w+_(?:Xdl|Wmma|Dl)\w*<.{0,400}> does not support this problem",
            literal=" does not support this problem",
            sample="RuntimeError: DeviceGroupedMultiheadAttentionForward_Xdl_CShuffle_V2<256, 128, 128, 32> does not support this problem",
        ),
        Sign(
            # HIP errors about missing code for the GPU are rocm-gfx-not-in-build.
            pattern=r"HIP error: (?P<hip>(?!(?i:invalid device function|no kernel image|device kernel image|shared object init|out of memory|invalid device ordinal))\w[^\n.]{2,60})",
            literal="HIP error: ",
            sample="RuntimeError: HIP error: unspecified launch failure",
        ),
        Sign(
            # The same errors by their names in HIP, again without those of rocm-gfx-not-in-build.
            pattern=r"(?:[Ee]rror|ERROR|failed|returned|status)\W{1,4}(?:code:? ?\d+ ?\(?)?(?P<hip>hipError(?!NoBinaryForGpu|InvalidDeviceFunction|"
            r"InvalidKernelFile|InvalidImage|SharedObjectInitFailed|OutOfMemory|MemoryAllocation|NoDevice)[A-Z]\w{3,40})(?![\w(])",
            literal="hipError",
            sample="RuntimeError: HIP error: hipErrorLaunchFailure",
        ),
        Sign(
            pattern=r"(?P<hip>Memory access fault by GPU node-\d+)",
            literal="Memory access fault by GPU node",
            sample="Memory access fault by GPU node-1 (Agent handle: 0x55d3) on address 0x7f0c. Reason: Page not present or supervisor privilege.",
        ),
        *(
            cut_logs.frame(name, name, sample)
            for name, sample in (
                (
                    "_join_rocm_home",
                    '  File "/v/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 197, in _join_rocm_home',
                ),
                (
                    "_find_rocm_home",
                    '  File "/v/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 145, in _find_rocm_home',
                ),
            )
        ),
        # Every log of a build has commands of the compiler. One counts only if the log ends with it.
        cut_logs.source(
            r"(?:\[\d+/\d+\] ?)?/(?:opt/rocm[\w.-]*|usr)/bin/hipcc\b.*",
            "/bin/hipcc",
            "/opt/rocm/bin/hipcc -I/src/csrc/ck -c /src/csrc/flash_attn_ck/fmha_fwd.hip -o /src/build/fmha_fwd.o -O3 --offload-arch=gfx942",
        ),
    ),
    recipe=Recipe(
        does="starts torch on a played machine with an AMD GPU and ROCm, and examines that machine",
        of=(
            Torch(build="cuda"),
            PlayedMachine(
                pci=(("1002", "744c", "amdgpu"),),
                files=(
                    (f"{_NODES}/0/properties", "cpu_cores_count 16\ngfx_target_version 0\n"),
                    (f"{_NODES}/1/properties", "simd_count 192\ngfx_target_version 110000\n"),
                    (f"{_NODES}/1/name", "ip discovery\n"),
                    ("/opt/rocm/.info/version", "6.2.4-139\n"),
                ),
            ),
            *no_system_library("libcuda.so*"),
        ),
        run=(START_CUDA,),
        shows="Found no NVIDIA driver",
        examine=("--no-trial",),
        goal=Goal.TRAIN,
        seconds=15,
        stands_in=("the AMD GPU", "its driver", "ROCm"),
    ),
)


class Met(Variant, frozen=True, kw_only=True):
    """Hold the case that was found.

    "torch": torch is not a build for AMD GPUs. "flash-attn", "package": flash-attn or another package has no code for this card.
    "build": setup.py built for CUDA. "hip": another HIP error. "hipcc": the compiler is missing. "miopen": MIOpen failed.
    "no device": HIP found no AMD GPU. "not in WSL": ROCm inside WSL does not support the card.
    """

    what: Literal["torch", "flash-attn", "build", "hip", "hipcc", "package", "miopen", "no device", "not in WSL"]


def detect(facts: Facts) -> Hit | None:
    graphics = facts.graphics
    if not known(graphics.amd):
        return None
    index, card = next((i, c) for i, c in enumerate(known(graphics.amd)))
    name = card.name if isinstance(card.name, str) else card.gfx if isinstance(card.gfx, str) else "an AMD GPU"
    seen = fact(facts, f"graphics.amd.{index}.name", f"this machine has {name}")
    if every(lambda: torch_installed(facts), lambda: known(facts.torch.hip) is not None):
        return None  # this torch supports the GPU
    # A laptop's own graphics show as AMD as well: without ROCm, or beside an NVIDIA card, they are not used to compute.
    if not every(
        lambda: torch_installed(facts),
        lambda: known(graphics.rocm) is not None,
        lambda: not any(d.vendor == NVIDIA for d in known(graphics.pci)),
        lambda: not known(graphics.gpus),
    ):
        return None
    return Hit(
        message=f"{name} and ROCm {graphics.rocm} are here, but torch {facts.torch.version} was not built for AMD GPUs.",
        evidence=(seen, fact(facts, "torch.hip", f"torch {facts.torch.version} is not a ROCm build")),
        variant=Met(what="torch"),
        certainty=Certainty.OBSERVED,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if cut_logs.alone(seen):
        return _cut(seen)
    seen = cut_logs.told(seen)
    version = seen.group("version")
    if all(m.strength == "hint" for m in seen.matches):
        failed = any(log.of(slug) for log in seen.logs for slug in ("cuda-home-unset", "build-failed-unspecified"))
        kernel = any("composable_kernel" in m.text for m in seen.matches)
        asserted = any("schema_" in m.text for m in seen.matches)
        if not (version and failed) and not kernel and not asserted:
            return None  # a torch for ROCm by itself is not a fault
        if asserted and not version and not kernel:
            return Hit(
                message="An internal check of torch failed, as it does when flash-attn is registered twice on an AMD GPU.",
                evidence=evidence,
                variant=Met(what="flash-attn"),
                confidence=Confidence.LOW,
            )
    text = f"The installed torch, {version}, is built for AMD GPUs" if version else "This is an AMD GPU"
    hip = seen.group("hip")
    if seen.group("hipcc"):
        return Hit(
            message="ROCm's compiler, hipcc, is missing: a torch for ROCm does not contain it, and an extension cannot be built without it.",
            evidence=evidence,
            variant=Met(what="hipcc"),
        )
    if seen.group("in_wsl"):
        card = _card(facts)
        return Hit(
            message=f"ROCm inside WSL does not support {card}: its runtime opens only the cards of AMD's list for WSL.",
            evidence=building.lines([m for m in seen.matches if "in_wsl" in m.groups][:1]),
            variant=Met(what="not in WSL"),
            severity=Severity.ERROR,
        )
    if seen.group("miopen") and hip is None:
        return Hit(
            message="MIOpen, ROCm's library for convolutions, failed: its cache of kernels is damaged or cannot be written, or it has no kernel for this GPU.",
            evidence=building.lines([m for m in seen.matches if "miopen" in m.groups][:3]),
            variant=Met(what="miopen"),
            confidence=Confidence.MEDIUM,
            severity=Severity.ERROR,
        )
    package = facts.subject.package
    if isinstance(package, str) and not package.startswith(("flash", "torch")) and hip is None:
        gfx = seen.group("gfx")
        return Hit(
            message=f"{package} does not support this AMD GPU{f', {gfx}' if gfx else ''}."
            if gfx or not version
            else f"The setup.py of this {package} is not for a torch for AMD GPUs ({version}), or fails with it.",
            evidence=evidence,
            variant=Met(what="package"),
        )
    if hip is not None and re.match(r"hipErrorNoDevice|no ROCm-capable device", hip):
        return Hit(
            message="torch is a build for ROCm, and HIP found no AMD GPU: the machine has none (then this is the wrong build of torch), or the amdgpu driver is "
            "not there.",
            evidence=building.lines([m for m in seen.matches if "hip" in m.groups][:3]),
            variant=Met(what="no device"),
            severity=Severity.ERROR,
        )
    only_hip = hip is not None and all("hip" in m.groups or "version" in m.groups for m in seen.matches)
    return Hit(
        message=f"HIP, which runs torch on AMD GPUs, stopped with: {hip}."
        if only_hip
        else f"{text}: flash-attn has separate backends for AMD GPUs, and they do not support every card.",
        evidence=evidence,
        variant=Met(what="hip" if only_hip else "build" if version and _took_cuda(seen) else "flash-attn"),
        confidence=Confidence.HIGH
        if version or any(re.search(r"AMD|gfx|HIP", m.text) for m in seen.matches)
        else Confidence.MEDIUM,
        severity=Severity.ERROR if only_hip else None,
    )


def _card(facts: Facts) -> str:
    """Return the name of the AMD GPU, or "this card" if it is not known."""
    cards = facts.graphics.amd if isinstance(facts.graphics.amd, tuple) else ()
    return next((card.name for card in cards if isinstance(card.name, str)), "this card")


def _cut(seen: Seen) -> Hit | None:
    """Return the hit for a log that ends in torch's search for ROCm's folder, or with a command of ROCm's compiler."""
    cut = cut_logs.ends(seen)
    if not cut:
        return None
    if "hipcc" not in cut[-1].groups["cut"]:
        why = "That function looks for ROCm's folder: probably there is none, or files of torch are missing."
        return cut_logs.hit(seen, why, "OSError or AttributeError", Met(what="hipcc"))
    if not any(building.in_build(seen, m) and log.of(building.FAILED) for log in seen.logs for m in cut):
        return None
    return Hit(
        message="The log is cut: the last line is a command of hipcc, ROCm's compiler, and its error is missing. Probably "
        "hipcc cannot compile the file for this AMD GPU. To be sure, run `attn-doctor diagnose` with the whole log: the error is the first line with 'error:' "
        "below that command.",
        evidence=building.lines(cut[-1:]),
        variant=Met(what="flash-attn"),
        confidence=Confidence.LOW,
        explains=(*MODE.explains, building.FAILED),
    )


def _took_cuda(seen: Seen) -> bool:
    """Return whether setup.py looked for CUDA: it does so if torch's cpp_extension finds no ROCm."""
    return any(log.of("cuda-home-unset") for log in seen.logs)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    met = hit.variant.what if isinstance(hit.variant, Met) else "torch"
    if met == "no device":
        return rocm_ways.without_amd_gpu(facts)
    if met == "not in WSL":
        return rocm_ways.outside_wsl(facts)
    if met == "hip":
        return rocm_steps.of_hip(facts)
    if met == "package":
        return (rocm_ways.another_package(facts),)
    if met == "miopen":
        return rocm_steps.of_miopen(facts)
    if met == "hipcc":
        return (rocm_steps.compiler(facts), *rocm_steps.of_flash_attn(facts))
    if met == "build":
        return (rocm_steps.for_the_build(facts), rocm_steps.own_attention(facts))
    if met == "flash-attn" and not _of_another_build(facts):
        return rocm_steps.of_flash_attn(facts)
    return torch_steps.newest(facts, "Install a ROCm build of torch", maker="amd")


def _of_another_build(facts: Facts) -> bool:
    """Return whether torch is known to be a build for CUDA or for the CPU."""
    return isinstance(facts.torch.version, str) and facts.torch.hip is None
