"""Windows does not find a library that a compiled extension needs.

What it is
    "The specified module could not be found" means that a file is missing. In most cases the named file is there, and a file that it
    needs is missing: the CUDA runtime of another major version, the Visual C++ runtime, or a DLL of torch. ("The specified procedure
    could not be found" means something else: the files are there and one of them lacks a function, because it was built for another
    torch.)

How it shows
    "ImportError: DLL load failed while importing flash_attn_2_cuda: The specified module could not be found." in any language;
    "OSError: [WinError 126] ... Error loading .../torch/lib/c10.dll or one of its dependencies". If the line names fbgemm.dll and not
    c10.dll, the missing file is libomp140.x86_64.dll.

Why it happens
    The wheel is for another major version of CUDA than torch. OpenCV (cv2) needs Media Foundation, which Windows N and KN lack, and Windows
    Server has as a feature that is off. Or the Visual C++ redistributable is missing. Or the extension is imported
    before torch. fbgemm.dll of torch 2.4.0 needs libomp140.x86_64.dll, an OpenMP library that comes with Visual Studio's C++ tools and
    not with the redistributable.

What to do
    Install the wheel that was built for this torch and CUDA, and the Visual C++ redistributable. Import torch first. For fbgemm.dll:
    install torch 2.4.1 or newer, from PyTorch's index for your CUDA; or Visual Studio's C++ build tools, which bring
    libomp140.x86_64.dll. For cv2: the Media Feature Pack (Windows N and KN) or the feature Media Foundation (Windows Server).

How to reproduce
    `attn-doctor reproduce windows-dll-missing` judges a Windows machine on which a DLL is missing: a simulated machine, on
    which nothing is run.

References
    https://github.com/oobabooga/text-generation-webui/issues/4344
    https://github.com/pytorch/pytorch/issues/131662
    https://github.com/pytorch/pytorch/pull/130697
    https://github.com/opencv/opencv-python#frequently-asked-questions
    https://learn.microsoft.com/en-us/cpp/windows/latest-supported-vc-redist
    https://learn.microsoft.com/en-us/windows/win32/debug/system-error-codes--0-499-
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, known
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.failure_modes.shared import (
    dll_not_initialised,
    rocm_steps,
    subject,
    symbols,
    wheel_fixes,
    windows_dll_cures,
    windows_dll_lines,
    windows_media,
    zluda,
)
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence, message, text_of
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.errors import log_end
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried

MODE = FailureMode(
    code="AD307",
    slug="windows-dll-missing",
    title="Windows does not find a library that an extension needs",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=(
        "dataloader-worker-ended",
        "torch-install-broken",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
        "ultralytics-broken",
    ),
    signs=(
        Sign(
            pattern=r"DLL load failed(?: while importing (?P<module>\w+))?(?::(?P<said>.{0,160})|\s*$)",
            literal="DLL load failed",
            sample="ImportError: DLL load failed while importing flash_attn_2_cuda: The specified module could not be found.",
            strength="hint",
        ),
        # As people write it in a title.
        *(
            Sign(
                pattern=rf"{words}(?: while importing (?P<module>\w+))?(?::(?P<said>.{{0,160}})|\s*$)",
                literal=words,
                sample=f"{words} while importing flash_attn_2_cuda",
                strength="hint",
            )
            for words in ("DLL Load failed", "DLL Load Failed", "dll load failed", "Dll load failed", "DLL LOAD FAILED")
        ),
        Sign(
            pattern=r"\[WinError (?P<error>126|127|1114)\](?P<said>.{0,300}(?P<dll>torch|c10|fbgemm|cudnn|cublas|shm)\w*\.dll)",
            literal="[WinError 1",
            sample='OSError: [WinError 126] The specified module could not be found. Error loading "C:\\venv\\Lib\\site-packages\\torch'
            '\\lib\\fbgemm.dll" or one of its dependencies.',
        ),
        # torch's own start, if the line names no DLL, or is cut before its name: the frame above says that torch loads its libraries there.
        Sign(
            pattern=r"OSError: \[WinError (?P<error>126|127|182|1114)\](?P<nameless>(?!.{0,300}\.dll).{0,300}$)",
            literal="OSError: [WinError ",
            sample="OSError: [WinError 126] The specified module could not be found",
            strength="hint",
        ),
        Sign(
            pattern=r"[\\/]torch[\\/](?P<start>__init__)\.py\", line \d+",
            literal='__init__.py", line',
            sample='  File "C:\\venv\\Lib\\site-packages\\torch\\__init__.py", line 141, in <module>',
            strength="context",
        ),
        # A failed export of YOLO prints this line: TensorRT and torch need different CUDA releases, or two copies of a library are loaded.
        Sign(
            pattern=r"(?P<engine>TensorRT|ONNX Runtime|OpenVINO)\b.{0,12}export failure\b.{0,30}?\[WinError 12[67]\]",
            literal=" export failure",
            sample="TensorRT: export failure  0.3s: [WinError 127] The specified procedure could not be found",
            strength="hint",
        ),
        zluda.DLL,
        *zluda.NAMES,
        Sign(
            pattern=r"\[WinError (?P<blocked>225|4551)\]",
            literal="[WinError ",
            sample="OSError: [WinError 225] Operation did not complete successfully because the file contains a virus or potentially unwanted software",
        ),
        # cuDNN 8 on Windows loads zlibwapi.dll, which it does not contain; cuDNN 9 does not need it.
        Sign(
            pattern=r"Could not locate (?P<zlib>zlibwapi\.dll)",
            literal="zlibwapi.dll",
            sample="Could not locate zlibwapi.dll. Please make sure it is in your library path!",
        ),
        Sign(
            # The text in a window of Windows itself, and in the output of tools that list libraries.
            pattern=r"(?P<omp>libomp140\.x86_64\.dll).{0,60}(?:not found|missing|无法|nicht gefunden|introuvable)"
            r"|(?:not find|missing|找不到|because|manque) ?:? ?.{0,40}(?P<lost>libomp140\.x86_64\.dll)",
            literal="libomp140.x86_64.dll",
            sample="The code execution cannot proceed because libomp140.x86_64.dll was not found.",
        ),
        *windows_media.SIGNS,
    ),
    recipe=Recipe(
        does="judges a Windows machine on which a DLL is missing",
        seconds=1,
    ),
)


class Missing(Variant, frozen=True, kw_only=True):
    """Hold the package whose library did not load, or another reason.

    "flash-attn-1": flash-attn of the first generation, whose library is flash_attn_cuda. "libomp": torch, because
    libomp140.x86_64.dll is missing. "another": another package. "tensorrt": TensorRT, together with torch. "blocked":
    Windows blocked the file. "zlib": cuDNN 8 lacks zlibwapi.dll.
    """

    of: Literal["torch", "libomp", "flash-attn", "flash-attn-1", "another", "tensorrt", "blocked", "zlib"]
    package: str | None = (
        None  # for "another": the package that contains the module, if it is compiled for one torch: "mmcv"
    )
    start: str | None = None  # "torch" or "onnx": its DLL was found, and did not start


def detect(facts: Facts) -> Hit | None:
    if known(facts.system.os) != "windows":
        return None
    if facts.torch.fault is not None and windows_dll_lines.MISSING.search(text_of(facts.torch.fault)):
        libomp = "fbgemm.dll" in text_of(facts.torch.fault) and windows_dll_lines.needs_libomp(facts)
        because = (
            f": {windows_dll_lines.LIBOMP}" if libomp else f", because a DLL is missing: {message(facts.torch.fault)}"
        )
        return Hit(
            message=f"Importing torch fails{because}.",
            evidence=(fact(facts, "torch.importable", f"import torch: {message(facts.torch.fault)}"),),
            variant=Missing(of="libomp" if libomp else "torch"),
            certainty=Certainty.OBSERVED,
            severity=Severity.ERROR,
        )
    for attempt in tried(facts):
        said = text_of(attempt.fault)
        if windows_dll_lines.MISSING.search(said) and not windows_dll_lines.PROCEDURE.search(said):
            general = attempt.module in ("cv2", "numpy", "torchvision")
            return Hit(
                message=f"Importing {attempt.module} fails: a DLL that it needs is not found.",
                evidence=(attempt_evidence(facts, attempt.module), fact(facts, "torch.version")),
                variant=windows_media.OfOpenCV(edition="unknown")
                if attempt.module == "cv2"
                else Missing(of="flash-attn" if "flash_attn" in attempt.module else "another"),
                certainty=Certainty.OBSERVED,
                severity=Severity.ERROR if general else None,
            )
    return None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if (hip := zluda.hit_of_dll(facts, seen)) is not None:
        return hip
    matches = [
        m
        for m in seen.matches
        if m.strength != "context"
        and "cuda" not in m.groups
        and "engine" not in m.groups
        and not windows_media.is_sign(m)
        and windows_dll_lines.counts(m)
        and ("nameless" not in m.groups or windows_dll_lines.at_the_start_of_torch(seen, m))
    ]
    if not matches and (media := windows_media.names_media(seen)):
        return windows_media.hit(seen, list(media), windows_media.edition(seen))
    if not matches:
        return _of_an_export(seen)
    # Report a known module before an unknown one.
    matches = [
        m for m in matches if not (m.groups.get("module") and not windows_dll_lines.matters(m.groups["module"]))
    ] or matches
    blocked = [m for m in matches if windows_dll_lines.blocked(m)]
    if blocked or any("zlib" in m.groups for m in matches):
        return _refused(seen, blocked)
    first = matches[0]
    lines = {m.line for m in matches}
    old = first.groups.get("module") == "flash_attn_cuda"
    edition = windows_media.of(seen, first)
    if edition is not None and not dll_not_initialised.said(matches):
        return windows_media.hit(seen, matches, edition)
    if all(windows_dll_lines.untold(m) for m in matches):
        return Hit(
            message=f"The log is cut: {first.groups.get('module') or 'an extension'} could not be loaded, and the end of the error's line is missing. "
            "Probably a DLL that it needs is missing, or it was built for another torch. To be sure, run `attn-doctor diagnose` with the "
            "whole log: the line that begins with ImportError: DLL load failed must be complete.",
            evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in matches[:4]),
            variant=Missing(of="flash-attn-1" if old else "flash-attn" if "flash_attn" in first.text else "another"),
            confidence=Confidence.LOW,
        )
    libomp = any(windows_dll_lines.lacks_libomp(m) for m in matches) and windows_dll_lines.needs_libomp(facts)
    torch = "error" in first.groups or libomp
    flash_attn = any("flash_attn" in m.text for m in matches)
    package = None if torch or flash_attn else _built_beside_torch(facts)
    module = first.groups.get("module")
    ours = torch or package is not None or module is None or windows_dll_lines.matters(module)
    name = "torch" if torch else module or "An extension"
    whose = f" of {package}" if package and package.replace("-", "_") != name else ""
    because = windows_dll_lines.LIBOMP if libomp else "a DLL that it needs was not found"
    failed = not libomp and dll_not_initialised.said(matches)
    if failed:
        because = dll_not_initialised.SENTENCE
    if package:
        because += ", or it was built for another torch or CUDA"
    return Hit(
        message=f"{name}{whose} could not be loaded: {because}.",
        evidence=tuple(e for e in evidence if e.line in lines)
        or tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in matches[:4]),
        variant=Missing(
            of="libomp"
            if libomp
            else "flash-attn-1"
            if old
            else "flash-attn"
            if flash_attn
            else "torch"
            if torch
            else "another",
            package=package,
            start="torch" if failed and torch else "onnx" if failed and module == "onnx_cpp2py_export" else None,
        ),
        confidence=_confidence(first, sure=libomp or not torch, ours=ours),
        severity=Severity.ERROR if torch or (not flash_attn and _ends(seen, matches)) else None,
    )


def _refused(seen: Seen, blocked: list[Match]) -> Hit:
    """Return the hit for a file that Windows refuses to load, or for cuDNN 8 without its zlib."""
    lines = blocked or [m for m in seen.matches if "zlib" in m.groups]
    return Hit(
        message="Windows refused to load a file that is there: Smart App Control, a policy of the company, or a virus scanner blocked it."
        if blocked
        else "cuDNN 8 needs zlibwapi.dll, which Windows does not have, and cuDNN does not contain.",
        evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in lines[:2]),
        variant=Missing(of="blocked" if blocked else "zlib"),
        severity=Severity.ERROR,
    )


def _confidence(match: Match, *, sure: bool, ours: bool) -> Confidence:
    if not ours:
        return Confidence.LOW
    return Confidence.HIGH if sure and re.search(symbols.MODULE, match.text) else Confidence.MEDIUM


def _built_beside_torch(facts: Facts) -> str | None:
    """Return the package that a log names, if its compiled code is built for one torch; else None."""
    name = subject.stated(facts)
    row = built_packages.row_of(name) if name else None
    return name if row is not None and row.torch_bound else None


def _ends(seen: Seen, matches: list[Match]) -> bool:
    """Return whether a log ends with one of these lines. If not, the program continued, and the line was only a warning."""
    lines = {(m.file, m.line) for m in matches}
    return any((log.file, e.line) in lines for log in seen.logs for e in log_end(log).errors)


def _of_an_export(seen: Seen) -> Hit | None:
    """Return the hit for an export whose engine does not load together with torch; None if the log has no such export."""
    lines = tuple(m for m in seen.matches if "engine" in m.groups)
    if not lines:
        return None
    engine = lines[0].groups["engine"]
    return Hit(
        message=f"A DLL of {engine} could not be loaded, or it does not find a function. Probably Windows loaded a cuBLAS or cuDNN that does not belong to "
        f"{engine}: torch's copy, or the copy in a CUDA toolkit that is first on PATH.",
        evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in lines[:4]),
        variant=Missing(of="tensorrt"),
        confidence=Confidence.LOW,
        severity=Severity.ERROR,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, zluda.HipMissing):
        return rocm_steps.hip_sdk(facts)
    runtime, missing = windows_dll_cures.runtime(facts), hit.variant
    if isinstance(missing, windows_media.OfOpenCV):
        return windows_media.fixes(facts, missing.edition, runtime)
    if not isinstance(missing, Missing):
        return (runtime,)
    if missing.of == "libomp":
        return windows_dll_cures.of_libomp(facts)
    if missing.of in ("blocked", "zlib"):
        return windows_dll_cures.refused(facts) if missing.of == "blocked" else windows_dll_cures.of_zlib(facts)
    if missing.of == "tensorrt":
        return windows_dll_cures.one_copy(facts)
    if missing.of == "flash-attn-1":
        return windows_dll_cures.in_wsl(facts)
    if missing.of == "torch":
        other = dll_not_initialised.of_torch(facts) if missing.start == "torch" else ()
        return (runtime, *other, *windows_dll_cures.torch_again(facts))
    if missing.start == "onnx":
        return (runtime, dll_not_initialised.of_onnx(facts))
    if missing.of != "flash-attn" and missing.package is None:
        return (runtime,)
    made = wheel_fixes.fixes(facts, "it was built for other libraries than the installed ones")
    own = windows_dll_cures.cuda_build(facts) if missing.of == "flash-attn" else ()
    return (*own, *made, runtime)
