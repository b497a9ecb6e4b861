"""The page file of Windows is too small.

What it is
    Windows reserves memory for programs only up to the size of memory and page file together. On Windows each worker of
    a DataLoader is a separate Python process, which loads torch and its libraries again and reserves several gigabytes.
    torch itself is not damaged.

How it shows
    "OSError: [WinError 1455] The paging file is too small for this operation to complete. Error loading
    .../torch/lib/cudnn_cnn_infer64_8.dll or one of its dependencies.", in the language of that Windows; "(os error 1455)" from
    safetensors and other programs in Rust; "DLL load failed while importing ...: The paging file is too small".

Why it happens
    A page file of a fixed small size, or none; many workers; a large model that is loaded while little memory is left.

What to do
    Make the page file larger: run SystemPropertiesPerformance.exe, then Advanced, Virtual memory, Change, and restart Windows. Or
    start with fewer workers: `workers=0` to `workers=2`.

How to reproduce
    There is no recipe: it needs a Windows whose page file is full. The error shows when a training with `workers=8`
    starts on a machine with 8 GB of memory and a page file of 2 GB.

References
    https://learn.microsoft.com/en-us/windows/win32/debug/system-error-codes--1300-1699-
    https://learn.microsoft.com/en-us/troubleshoot/windows-client/performance/introduction-to-the-page-file
    https://github.com/ultralytics/yolov3/issues/1643
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import EVERY_BACKEND, FailureMode, Hit, Sign
from attn_doctor.failure_modes.shared import data_workers
from attn_doctor.failure_modes.shared.fact_queries import message, text_of
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Fix, Severity, fact

# The number 1455 is the same in every language, but some programs print only the words.
_WORDS = (
    "paging file is too small",
    "页面文件太小",
    "Auslagerungsdatei ist zu klein",
    "fichier de pagination est insuffisant",
    "archivo de paginación es demasiado pequeño",
    "ページング ファイルが小さすぎる",
)

MODE = FailureMode(
    code="AD507",
    slug="windows-page-file-too-small",
    title="The page file of Windows is too small",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    blocks=EVERY_BACKEND,
    explains=(
        "dataloader-worker-ended",
        "torch-install-broken",
        "windows-dll-missing",
        "ultralytics-broken",
        "torchvision-mismatch",
    ),
    says="Windows could not reserve more memory: its page file is too small for what was started. torch itself is not damaged.",
    signs=(
        Sign(
            pattern=r"\[WinError 1455\]",
            literal="[WinError 1455]",
            sample='OSError: [WinError 1455] The paging file is too small for this operation to complete. Error loading "D:\\\\env\\\\lib\\\\'
            'site-packages\\\\torch\\\\lib\\\\cufft64_10.dll" or one of its dependencies.',
        ),
        Sign(
            pattern=r"\(os error 1455\)",
            literal="(os error 1455)",
            sample="OSError: The paging file is too small for this operation to complete. (os error 1455)",
        ),
        *(
            Sign(pattern=words, literal=words, sample=f"ImportError: DLL load failed while importing _C: {words}.")
            for words in _WORDS
        ),
    ),
)

_FULL = re.compile("|".join((r"WinError 1455", *_WORDS)))


def detect(facts: Facts) -> Hit | None:
    fault = facts.torch.fault
    if fault is None or not _FULL.search(text_of(fault)):
        return None
    return Hit(
        message="Importing torch fails, because the page file of Windows is too small. torch itself is not damaged.",
        evidence=(fact(facts, "torch.importable", f"import torch: {message(fault)}"),),
        certainty=Certainty.OBSERVED,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    fewer = commands.by_hand(
        (),
        "start the training with workers=0 (ultralytics) or num_workers=0 (DataLoader), and try up to 2 if that works: each worker loads torch again",
        "the settings of the training",
        "none",
    )
    return (
        data_workers.larger_page_file(facts),
        Fix(title="Use fewer workers", steps=(fewer,), verify=verify),
    )
