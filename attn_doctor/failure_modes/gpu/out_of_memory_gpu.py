"""The GPU's memory is full, often because attention runs unfused.

What it is
    Unfused attention keeps a matrix of batch x heads x tokens x tokens. A fused kernel never makes it. With large
    images that matrix alone fills a card: at 2048 pixels YOLO12 has 4096 tokens in each area.

How it shows
    "CUDA out of memory. Tried to allocate 4.00 GiB"; "CUDA error: out of memory"; CUBLAS_STATUS_ALLOC_FAILED.

Why it happens
    Image size, batch or model are too large; another program holds memory; or attention runs unfused: eager, as in
    mainline YOLO12, or in PyTorch's math kernel. If the size in the message equals batch x heads x tokens², attention
    is the cause.

What to do
    Use a fused kernel: `attn-doctor run --attention sdpa -- COMMAND`. Else use a smaller batch or image size; on one
    GPU, batch=-1 lets Ultralytics choose the batch.

How to reproduce
    `attn-doctor reproduce out-of-memory-gpu` asks a stand-in GPU for a million gigabytes. Stand-in: the GPU; its driver. It needs
    gcc and a CUDA build of torch in the target.

References
    https://pytorch.org/docs/stable/notes/cuda.html#memory-management
    https://github.com/sunsmarterjie/yolov12/issues/119
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Recipe, StubDriver, StubGpu, Torch
from attn_doctor.failure_modes.shared import memory_cures
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.trials import Trials

MODE = FailureMode(
    code="AD422",
    slug="out-of-memory-gpu",
    title="The GPU's memory is full",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("dataloader-worker-ended",),
    signs=(
        Sign(
            pattern=r"(?:CUDA|HIP) out of memory\.?(?: Tried to allocate (?P<size>[\d.]+) (?P<unit>[KMG]i?B))?",
            literal=" out of memory",
            sample="torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 16.00 GiB. GPU 0 has a total capacity of 8.00 GiB",
        ),
        Sign(
            pattern=r"CUDA error: out of memory",
            literal="CUDA error: out of memory",
            sample="RuntimeError: CUDA error: out of memory",
        ),
        Sign(
            pattern=r"CUDA_ERROR_OUT_OF_MEMORY",
            literal="CUDA_ERROR_OUT_OF_MEMORY",
            sample="failed to allocate 5.2G from device: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        ),
        Sign(
            pattern=r"CUBLAS_STATUS_ALLOC_FAILED",
            literal="CUBLAS_STATUS_ALLOC_FAILED",
            sample="RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        ),
        *(
            Sign(pattern=pattern, literal=literal, sample=sample)
            for pattern, literal, sample in (
                (
                    r"(?P<mps>MPS) backend out of memory",
                    "MPS backend out of memory",
                    "RuntimeError: MPS backend out of memory (MPS allocated: 17.98 GB, other allocations: 448.00 KB, max allowed: 18.13 GB).",
                ),
                (
                    r"XPU out of memory\.(?: Tried to allocate (?P<size>[\d.]+) (?P<unit>[KMG]i?B))?",
                    "XPU out of memory",
                    "torch.OutOfMemoryError: XPU out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 15.56 GiB.",
                ),
                (
                    r"There is not enough GPU video memory available",
                    "not enough GPU video memory",
                    "RuntimeError: Could not allocate tensor with 67108864 bytes. There is not enough GPU video memory available!",
                ),
                # torch asks NVML only to describe that memory is full. Where NVML does not answer (Jetson, MIG, some virtual GPUs), it stops there.
                (
                    r"NVML_SUCCESS == \w+ INTERNAL ASSERT FAILED",
                    "NVML_SUCCESS == ",
                    'RuntimeError: NVML_SUCCESS == r INTERNAL ASSERT FAILED at "../c10/cuda/CUDACachingAllocator.cpp":838',
                ),
                (
                    r"NvMapMemAlloc\w* ?: ?\d* ?error 12",
                    "NvMapMemAlloc",
                    "NvMapMemAllocInternalTagged: 1075072515 error 12",
                ),
                # vLLM, which takes a share of the memory at its start. https://docs.vllm.ai/en/latest/configuration/conserving_memory.html
                (
                    r"(?P<vllm>No available memory for the cache blocks)",
                    "No available memory for the cache blocks",
                    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.",
                ),
                (
                    r"(?P<vllm>Free memory on device).{0,80}less than desired GPU memory utilization",
                    "less than desired GPU memory utilization",
                    "ValueError: Free memory on device (11.2/23.64 GiB) on startup is less than desired GPU memory utilization (0.9, 21.28 GiB).",
                ),
                (
                    r"(?P<vllm>max seq len \(\d+\)).{0,120}larger than the (?:available KV cache memory|maximum number of tokens)",
                    "larger than the ",
                    "To serve at least one request with the models's max seq len (131072), (16.00 GiB KV cache is needed, which is larger than the available KV cache memory (4.81 GiB).",
                ),
            )
        ),
        Sign(
            pattern=r"\bbatch=(?P<batch>\d+)\b.{0,600}?\bimgsz=(?P<imgsz>\d+)",
            literal="imgsz=",
            sample="engine/trainer: task=detect, mode=train, model=yolo12s.yaml, data=coco8.yaml, epochs=3, time=None, patience=100, "
            "batch=1, imgsz=2048, save=True",
            strength="context",
        ),
        # Several GPUs, for which Ultralytics has no batch=-1: https://docs.ultralytics.com/modes/train/
        Sign(
            pattern=r"\bdevice[= ]['\"\[(]{0,2}(?P<gpus>\d(?:, ?\d)+)",
            literal="device",
            sample="yolo detect train data=coco8.yaml model=yolo12n.pt device=0,1",
            strength="context",
        ),
        Sign(
            pattern=r"\b(?:q|query\w*)\.\w+\([^)]{0,40}\) @ k",
            literal=") @ k",
            sample="    attn = (q.transpose(-2, -1) @ k) * (self.head_dim**-0.5)",
            strength="context",
        ),
        Sign(
            pattern=r"attn.{0,40}softmax|softmax\((?:attn|scores|attention)",
            literal="softmax",
            sample="    attn = attn.softmax(dim=-1)",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="asks a stand-in GPU for a million gigabytes",
        of=(
            Torch(build="cuda"),
            # Without NVML: before PyTorch 2.14 raises this error, it asks NVML about NVLink, and the stand-in does not answer that.
            StubDriver(cuda="13.9", gpus=(StubGpu("NVIDIA A10", "8.6", 22515),), runtime=True),
        ),
        run=(("{python}", "-c", "import torch; torch.empty(1 << 50, dtype=torch.uint8, device='cuda')"),),
        shows="out of memory",
        seconds=8,
        stands_in=("the GPU", "its driver"),
    ),
)
# There is no `detect`: no fact says how much memory a program will need.

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
# YOLO12: attention on feature maps of strides 16 and 32, divided into four areas or not divided, with heads that are 32 channels wide.
_STRIDES, _AREAS, _MOST_HEADS = (16, 32), (4, 1), 40


_ATTENTION = re.compile(r"attention|softmax")


class Full(Variant, frozen=True, kw_only=True):
    """Hold who filled the memory of the GPU. Each is False if the log does not show it."""

    by_attention: bool  # an attention matrix, which a fused kernel never makes
    several: bool = False  # the training ran on more than one GPU
    vllm: bool = False  # vLLM's own sentence
    mps: bool = False  # the GPU of a Mac


def observe(facts: Facts, trials: Trials) -> Hit | None:
    """Find a backend that needs more memory than the GPU has, while another backend does the same work."""
    full = [(i, r) for i, r in enumerate(trials.rows) if r.status == "out-of-memory"]
    if not full:
        return None
    able = sorted({r.backend for r in trials.rows if r.status == "ok"})
    index, row = full[0]
    names = ", ".join(sorted({r.backend for _, r in full}))
    others = f"; {', '.join(able)} did the same work" if able else ""
    return Hit(
        message=f"The memory of {row.device} was too small for {names} at {row.imgsz} pixels, batch {row.batch}{others}.",
        evidence=(Evidence(kind="trial", path=f"trials.{index}", text=row.reason or "out of memory"),),
        variant=Full(by_attention=_ATTENTION.search(row.reason or "") is not None),
        severity=Severity.WARNING if able else None,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    sizes = [(m, _bytes(m)) for m in proofs if "size" in m.groups]
    asked = f" when {sizes[0][0].groups['size']} {sizes[0][0].groups['unit']} were requested" if sizes else ""
    batch, imgsz = seen.group("batch"), seen.group("imgsz")
    heads = None
    if sizes and batch and imgsz:
        heads = attention_heads(sizes[0][1], int(batch), int(imgsz))
    near = any(
        m.strength == "context"
        and not {"imgsz", "gpus"} & set(m.groups)
        and m.file == p.file
        and 0 < p.line - m.line <= 6
        for p in proofs
        for m in seen.matches
    )
    if heads:
        why = (
            f" The request was an attention matrix of {batch} x {heads} heads at {imgsz} pixels: attention ran unfused."
        )
    elif near:
        why = " The memory was requested for an attention matrix: attention ran unfused, and a fused kernel never makes such a matrix."
    else:
        why = ""
    return Hit(
        message=f"The GPU's memory was full{asked}.{why}",
        evidence=evidence,
        variant=Full(
            by_attention=bool(heads) or near or any(_ATTENTION.search(m.text) for m in proofs),
            several=seen.group("gpus") is not None,
            vllm=seen.group("vllm") is not None,
            mps=seen.group("mps") is not None,
        ),
        confidence=Confidence.HIGH,
    )


def attention_heads(size: float, batch: int, imgsz: int) -> int | None:
    """Return the number of heads for which an attention matrix of YOLO12 has this size in bytes.

    None if no whole number fits. `batch`: images. `imgsz`: pixels. The message of torch rounds to two decimals, so the
    size may differ by 0.5 %.
    """
    for stride in _STRIDES:
        for areas in _AREAS:
            tokens = (imgsz // stride) ** 2 // areas
            for width in (4, 2):
                one = batch * areas * tokens * tokens * width
                if not one:
                    continue
                heads = round(size / one)
                if 1 <= heads <= _MOST_HEADS and abs(size / one - heads) <= heads / 200:
                    return heads
    return None


def _bytes(match: Match) -> float:
    return float(match.groups["size"]) * _UNITS[match.groups["unit"][0]]


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if isinstance(hit.variant, Full) and hit.variant.vllm:
        return memory_cures.of_vllm(facts)
    if isinstance(hit.variant, Full) and hit.variant.mps:
        return memory_cures.of_mps(facts)
    made = []
    by_attention = isinstance(hit.variant, Full) and hit.variant.by_attention
    if by_attention or facts.yolo.calls == ("eager",):
        step = commands.by_hand(
            ("attn-doctor", "run", "--attention", "sdpa", "--", *commands.program(facts)),
            "your training command with fused attention, which stores no attention matrix",
            "nothing that is installed",
            "none",
        )
        made.append(Fix(title="Use fused attention", steps=(step,), verify=verify))
    several = isinstance(hit.variant, Full) and hit.variant.several
    smaller = commands.by_hand(_with_half_the_batch(facts), _smaller(several=several), "your training command", "none")
    made.append(Fix(title="Use less GPU memory", steps=(smaller,), verify=verify))
    return tuple(made)


def _smaller(*, several: bool) -> str:
    """Return the advice to use less memory. Ultralytics can measure the batch that fits (AutoBatch) only for one GPU.

    https://github.com/ultralytics/ultralytics/issues/4610
    """
    if several:
        return "train with a smaller batch or imgsz; batch counts the images on all GPUs together, and batch=-1 works only on one GPU"
    return "train with a smaller batch (batch=-1 lets Ultralytics choose, on one GPU) or imgsz"


_PLAIN = re.compile(r"[\w ./=,:@+\\-]+")
_BATCH = re.compile(r"(?<= )(?P<option>batch=|--batch(?:-size)?[ =])(?P<size>-?[0-9.]{1,9})(?= |$)")
_DEFAULT = 16  # the default batch of Ultralytics, https://docs.ultralytics.com/usage/cfg/


def _with_half_the_batch(facts: Facts) -> tuple[str, ...]:
    """Return the training command of a log with half of its batch; () if the log has none that a shell accepts unchanged."""
    command = facts.subject.command
    if not isinstance(command, str) or not _PLAIN.fullmatch(command):
        return ()
    named = _BATCH.search(command)
    size = int(named["size"]) if named and named["size"].isdigit() and int(named["size"]) > 1 else _DEFAULT
    if named:
        return tuple(_BATCH.sub(rf"\g<option>{size // 2}", command).split())
    trains = re.match(r"yolo (?:\w+ )?train(?: |$)|yolo .*\bmode=train\b", command)
    return (*command.split(), f"batch={size // 2}") if trains else ()
