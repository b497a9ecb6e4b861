"""The sources of an extension use headers or names that torch removed: TH, THC, AT_CHECK.

What it is
    An extension that was written for torch 1.x, and never since. TH and THC were the libraries of Lua Torch inside PyTorch; torch 1.11 has
    none of their headers. No setting of the machine helps: the sources have to change.

How it shows
    "fatal error: THC/THC.h: No such file or directory", "TH/TH.h"; "identifier "THCudaCheck" is undefined"; "'THCState' does not name a type";
    "'AT_CHECK' was not declared in this scope" (torch 1.5 removed it); "no suitable conversion function from "const
    at::DeprecatedTypeProperties" to "c10::ScalarType" exists"; "torch.utils.ffi is deprecated".

Why it happens
    DCNv2, pointnet2, maskrcnn-benchmark, PSROIPooling, correlation layers and old checkouts of detectors and of mmcv and OpenPCDet contain such
    files. torch 1.10 is the last with the headers: its wheels are for Python 3.9 and older and for CUDA 11.3 and older, which has no
    code for an RTX 40 or 50. So an old torch is no way out on a newer GPU.

What to do
    Use the operator of torchvision or mmcv that does the same, or newer sources of the package. Else change the names: each has one in ATen.

How to reproduce
    There is no recipe: a compiler and torch's headers are needed. `git clone https://github.com/CharlesShang/DCNv2` and `python setup.py build`
    show it with every torch after 1.10.

References
    https://github.com/pytorch/pytorch/issues/73520
    https://github.com/CharlesShang/DCNv2/issues/132
    https://github.com/CoinCheung/pytorch-loss/pull/37
    https://github.com/open-mmlab/OpenPCDet/issues/900
    https://docs.pytorch.org/vision/stable/generated/torchvision.ops.deform_conv2d.html
    https://github.com/pytorch/pytorch/releases/tag/v1.5.0
"""

from __future__ import annotations

import re
from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, not_found_words, package_wheels, subject
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

_NAMES = r"(?P<name>AT_CHECK|THC(?:State|CeilDiv|ThrustAllocator|NumericLimits)\w*|THCuda\w+|THCState_\w+|THArgCheck|THAssert)"
_QUOTE = r"['‘`\"]?"

MODE = FailureMode(
    code="AD152",
    slug="torch-headers-removed",
    title="The sources use headers that torch removed",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED,),
    signs=(
        *(
            Sign(
                pattern=not_found_words.missing_header(r"(?:TH|THC|THCUNN|THNN|THCS)/[\w/]+\.(?:h|cuh|hpp)"),
                literal=literal,
                sample=sample,
            )
            for literal, sample in (
                (": TH", "/src/DCNv2/src/cpu/dcn_v2_cpu.cpp:6:10: fatal error: TH/TH.h: No such file or directory"),
                ("：TH", "/src/ops/x.cuh:10:10: 致命错误：THC/THCAtomics.cuh：没有那个文件或目录"),
                ("'TH", "x.cu(5): fatal error C1083: Cannot open include file: 'THC/THC.h': No such file or directory"),
                ("“TH", "x.cu(5): fatal error C1083: 无法打开包括文件: “THC/THC.h”: No such file or directory"),
                ('"TH', 'x.cu(5): catastrophic error: cannot open source file "THC/THC.h"'),
            )
        ),
        *(
            Sign(
                pattern=rf"error\s?[:：]? .{{0,40}}?{_QUOTE}{_NAMES}['’`\"]? ?(?:was not declared|does not name a type|is undefined|has not been declared)",
                literal=literal,
                sample=sample,
            )
            for literal, sample in (
                ("AT_CHECK", "nms_cpu.cpp:9:3: error: ‘AT_CHECK’ was not declared in this scope"),
                ("THC", "ball_query.cpp:9:8: error: ‘THCState’ does not name a type"),
                ("THA", 'psroi_cuda.cu(31): error: identifier "THArgCheck" is undefined'),
            )
        ),
        Sign(
            pattern=rf"error C(?:3861|2065)\s?[:：] {_QUOTE}{_NAMES}",
            literal="error C",
            sample="nms_cpu.cpp(9): error C3861: 'AT_CHECK': identifier not found",
        ),
        Sign(
            pattern=r"(?P<type>DeprecatedTypeProperties)\b.{0,60}\bScalarType",
            literal="DeprecatedTypeProperties",
            sample='x.cu(73): error: no suitable conversion function from "const at::DeprecatedTypeProperties" to "c10::ScalarType" exists',
        ),
        Sign(
            pattern=r"(?P<ffi>torch\.utils\.ffi) is deprecated|No module named 'torch\.utils\.(?P<ffi_gone>ffi)'",
            literal="torch.utils.ffi",
            sample="ImportError: torch.utils.ffi is deprecated. Please use cpp extensions instead.",
        ),
        # What the paths in the log name.
        *(
            Sign(pattern=rf"(?P<{group}>(?i:{words}))", literal=literal, sample=sample, strength="context")
            for group, words, literal, sample in (
                ("dcn", r"\bDCN(?:v\d)?\b|dcn_v\d|deform_conv", "dcn_v2", "/src/DCNv2/src/cpu/dcn_v2_cpu.cpp:6:10: fatal error: TH/TH.h"),
                ("dcn_too", r"\bDCNv\d|deform_conv", "DCNv2", "-I/src/DCNv2/src -c /src/DCNv2/src/vision.cpp"),
                ("dcn_three", r"deform_conv", "deform_conv", "ops/dcn/src/deform_conv_cuda.cpp:5:10: fatal error: THC/THC.h"),
                ("boxes", r"maskrcnn[_-]benchmark", "maskrcnn", "/src/maskrcnn_benchmark/csrc/cpu/nms_cpu.cpp:9:3"),
                ("boxes_too", r"roi_?(?:align|pool)", "ROI", "ROIAlign_cuda.cu(275): error"),
                ("boxes_three", r"roi_?(?:align|pool)", "roi_", "src/roi_align_cuda.cpp:1:21: fatal error"),
                ("boxes_four", r"\bnms\w*\.(?:cu|cpp)", "nms", "src/nms_cuda.cpp:1:21: fatal error"),
            )
        ),
    ),
)  # fmt: skip
# There is no `detect`: no fact shows which headers the sources of a package include.


class Use(NamedTuple):
    """Hold an operator of torchvision that does what an extension did, and sources for a newer torch if they are known."""

    operator: str
    sources: str | None = None


# https://github.com/lbin/DCNv2/tree/pytorch_2.0.1 uses ATen alone.
_INSTEAD = {
    "dcn": Use(
        "torchvision.ops.deform_conv2d(input, offset, weight, bias, stride, padding, dilation, mask) is deformable convolution, with a mask that of DCNv2",
        "https://github.com/lbin/DCNv2",
    ),
    "boxes": Use("torchvision.ops has nms, roi_align and roi_pool; detectron2 is the successor of maskrcnn-benchmark"),
}


class Removed(Variant, frozen=True, kw_only=True):
    """Hold the file that the compiler names, and the kind of extension: "dcn", "boxes"; None: another."""

    file: str | None
    extension: str | None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    header, name = seen.group("header"), seen.group("name")
    if header is not None:
        what = f"The sources include {header}, a header that torch has no more since 1.11"
    elif name is not None:
        since = "1.5" if name == "AT_CHECK" else "1.11"
        what = f"The sources use {name}, which torch has no more since {since}"
    elif seen.group("type") is not None:
        what = "The sources pass x.type() where torch takes only x.scalar_type()"
    else:
        what = "The build uses torch.utils.ffi, which torch has no more since 1.0"
    groups = {key for m in seen.matches if m.strength == "context" for key in m.groups}
    extension = next((kind for kind in _INSTEAD if any(group.startswith(kind) for group in groups)), None)
    proofs = [m for m in seen.matches if m.strength == "proof"]
    file = re.match(r"\s*(?P<file>[\w./\\:+-]+\.(?:cpp|cc|cu|cuh|h|hpp))[:(]", proofs[0].text)
    return Hit(
        message=f"{what}: they were written for an older torch.",
        evidence=building.lines(proofs),
        variant=Removed(file=file["file"] if file else None, extension=extension),
    )


# https://github.com/CoinCheung/pytorch-loss/pull/37, https://github.com/open-mmlab/OpenPCDet/issues/900,
# https://pytorch.org/cppdocs/notes/tensor_cuda_stream.html
_RENAMED = (
    "#include <THC/THC.h> and <TH/TH.h> become <ATen/ATen.h> and <ATen/cuda/CUDAContext.h>; `extern THCState *state;` goes; THCudaCheck becomes "
    "AT_CUDA_CHECK (<ATen/cuda/Exceptions.h>), THCCeilDiv at::ceil_div (<ATen/ceil_div.h>), THCState_getCurrentStream(state) "
    "at::cuda::getCurrentCUDAStream(), THCudaMalloc(state, n) c10::cuda::CUDACachingAllocator::raw_alloc(n), THCudaFree(state, p) "
    "c10::cuda::CUDACachingAllocator::raw_delete(p), AT_CHECK TORCH_CHECK, x.type() x.scalar_type(), x.data<T>() x.data_ptr<T>()"
)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    removed = hit.variant if isinstance(hit.variant, Removed) else Removed(file=None, extension=None)
    verify, name = subject.verify(facts), subject.stated(facts)
    use = _INSTEAD.get(removed.extension or "")
    made = list(package_wheels.ready(facts, name))
    if use is not None:
        words = (
            f"in the program: {use.operator}. It comes with torchvision, for every torch and GPU, and needs no build"
        )
        step = commands.by_hand((), words, "the program", "none")
        made.append(Fix(title="Use the operator of torchvision", steps=(step,), verify=verify))
    if use is not None and use.sources is not None:
        clone = commands.by_hand(
            ("git", "clone", "-b", "pytorch_2.0.1", use.sources, "DCNv2_for_torch_2"),
            "a port of DCNv2 to the names of newer releases of torch (not by its first author); build it in that folder as before",
            "a folder, here",
        )
        made.append(Fix(title="Take the port for a newer torch", steps=(clone,), verify=verify))
    where = f"in {removed.file} and the files beside it" if removed.file else "in the sources"
    pull = commands.by_hand(("git", "pull"), "run this in the folder of the sources: a later commit, or a fork of the repository, may be for this torch", "the checkout")  # fmt: skip
    change = commands.by_hand((), f"if there is none, {where}: {_RENAMED}", "the sources")
    made.append(Fix(title="Port the sources to this torch", steps=(pull, change), verify=verify))
    return tuple(made)
