r"""torchcodec cannot load its library: FFmpeg is missing, or torchcodec is for another torch.

What it is
    torchcodec decodes video and sound for torchaudio 2.9, datasets 4, transformers and others. It is installed, and its compiled part
    does not load.

How it shows
    "RuntimeError: Could not load libtorchcodec. Likely causes: 1. FFmpeg is not properly installed", "OSError: Could not load this library:
    .../torchcodec/libtorchcodec_core7.so", on Windows "FileNotFoundError: Could not find module '...\\libtorchcodec_core8.dll'".

Why it happens
    torchcodec brings no FFmpeg: it loads the libraries of FFmpeg 4 to 9 (libavutil.so.56 to .61; FFmpeg 9 from torchcodec 0.16 on) from the system or
    from conda. A program `ffmpeg` without libraries is not enough. Or torchcodec is another release than the installed torch needs: it names no torch
    in its requirements, so pip installs the newest one beside any torch. Under Linux, PyPI's torchcodec 0.14 and newer need the libraries of CUDA 13.

What to do
    Install FFmpeg's libraries, and the torchcodec for the installed torch (0.7 for torch 2.8, 0.9 for 2.9, 0.10 for 2.10; for torch 2.11 and newer
    without CUDA 13: 0.13).

How to reproduce
    There is no recipe: where a system has FFmpeg, its libraries are found. `pip install torchcodec` beside torch 2.6, and
    `python -c "import torchcodec"`, show the error.

References
    https://github.com/meta-pytorch/torchcodec#installing-torchcodec
    https://github.com/huggingface/datasets/issues/7707
    https://github.com/meta-pytorch/torchcodec/issues/912
    https://github.com/meta-pytorch/torchcodec/issues/1257 (libnppicc was missing: a torchcodec for CUDA)
"""

from __future__ import annotations

from typing import Literal

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import torchcodec_releases
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD343",
    slug="torchcodec-not-loaded",
    title="torchcodec cannot load its library",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(
        "requirements-missing",
        "torch-install-broken",
        "libcudart-missing",
        "abi-mismatch-torch-version",
        "abi-mismatch-cxx11",
    ),
    signs=(
        Sign(
            pattern=r"Could not load libtorchcodec",
            literal="Could not load libtorchcodec",
            sample="RuntimeError: Could not load libtorchcodec. Likely causes:",
        ),
        Sign(
            pattern=r"(?:Could not load this library: |Could not find module '|\[Errno 2\].{0,40}')\S{0,300}libtorchcodec_\w+\.(?:so|dll|dylib)",
            literal="libtorchcodec_",
            sample="OSError: Could not load this library: /v/lib/python3.12/site-packages/torchcodec/libtorchcodec_core7.so",
        ),
        Sign(
            pattern=r"(?P<ffmpeg>lib(?:avutil|avcodec|avformat|avdevice|avfilter|swscale|swresample)\.(?:so\.\d+|\d+\.dylib))\b.{0,60}(?:cannot open shared object file|no such file|not loaded|image not found)",
            literal="lib",
            sample="OSError: libavutil.so.59: cannot open shared object file: No such file or directory",
            strength="context",
        ),
        Sign(
            pattern=r"Library not loaded: @rpath/(?P<ffmpeg>lib(?:avutil|avcodec|avformat|avdevice|avfilter)\.\d+\.dylib)",
            literal="Library not loaded: @rpath/lib",
            sample="Library not loaded: @rpath/libavutil.59.dylib",
            strength="context",
        ),
        Sign(
            pattern=r"libtorchcodec_\w+\.\w{2,5}: (?P<symbol>undefined symbol|Symbol not found)",
            literal="libtorchcodec_",
            sample="OSError: /v/torchcodec/libtorchcodec_core6.so: undefined symbol: _ZNK3c1010TensorImpl15incref_pyobjectEv",
            strength="context",
        ),
        Sign(
            pattern=r"(?P<cuda>lib(?:npp\w+|cudart|nvrtc|c10_cuda|torch_cuda)\.so[.\d]*): cannot open",
            literal=": cannot open",
            sample="OSError: libnppicc.so.13: cannot open shared object file: No such file or directory",
            strength="context",
        ),
    ),
)
# There is no `detect`: whether FFmpeg's libraries are found is seen when torchcodec is imported.


class Lacks(Variant, frozen=True, kw_only=True):
    """Hold what torchcodec lacks.

    "ffmpeg": FFmpeg's libraries. "torch": the torch for which it was built. "cuda": a torch with CUDA 13. "one of
    both": one of the first two; the log does not show which.
    """

    what: Literal["ffmpeg", "torch", "cuda", "one of both"]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs:
        return None
    ffmpeg, symbol, cuda = seen.group("ffmpeg"), seen.group("symbol"), seen.group("cuda")
    shown = tuple(e for e in evidence if e.line in {m.line for m in proofs}) or evidence
    if symbol:
        what, message = "torch", "This torchcodec was built for another release of torch than the installed one."
    elif cuda:
        what, message = (
            "cuda",
            f"This torchcodec was built for CUDA, and does not find its library {cuda}, which the installed torch does not bring.",
        )
    elif ffmpeg:
        what, message = "ffmpeg", f"torchcodec does not find the libraries of FFmpeg ({ffmpeg}), which it needs."
    else:
        what = "one of both"
        message = "torchcodec does not load: FFmpeg's libraries are missing, or it is the torchcodec for another torch."
    return Hit(
        message=message,
        evidence=shown[:3],
        variant=Lacks(what=what),  # type: ignore[arg-type]
        confidence=Confidence.MEDIUM if what == "one of both" else Confidence.HIGH,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    what = hit.variant.what if isinstance(hit.variant, Lacks) else "one of both"
    right, ffmpeg, without = torchcodec_releases.install(facts, afresh=True, without_cuda=what == "cuda")
    return (right, ffmpeg, without) if what in ("torch", "cuda") else (ffmpeg, right, without)
