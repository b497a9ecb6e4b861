"""flash_attn lacks its compiled part: only Python files are there, or the extension file is damaged.

What it is
    The package flash_attn consists of Python files and one compiled module, flash_attn_2_cuda. If this module is missing or
    damaged, `pip list` shows the package, and every import of it fails.

How it shows
    "ModuleNotFoundError: No module named 'flash_attn_2_cuda'"; "...flash_attn_2_cuda...so: file too short", "invalid ELF
    header"; "dynamic module does not define module export function". "No module named 'dropout_layer_norm'" (or rotary_emb,
    fused_dense_lib, xentropy_cuda_lib) is the same failure for an extra extension: the sources of these extensions are in
    flash-attn's folder csrc, and each is built separately.

Why it happens
    One of these. Python was started inside a checkout of flash-attn's source, and the folder flash_attn there hides the installed
    package (a file of yours called flash_attn.py does the same). FLASH_ATTENTION_SKIP_CUDA_BUILD=TRUE was set (uv's documentation
    suggests it) and no finished wheel fitted: this makes a wheel without compiled code. The compiled file is for another Python
    version. A download or a copy was not complete. On AMD GPUs: FLASH_ATTENTION_TRITON_AMD_ENABLE=TRUE is not set when the program
    runs.

What to do
    If Python was started inside the checkout: leave that folder. Else remove flash-attn, unset FLASH_ATTENTION_SKIP_CUDA_BUILD, and
    install the finished wheel that fits, with pip's option --no-cache-dir: without it pip installs the empty wheel from its cache.

How to reproduce
    `attn-doctor reproduce flash-attn-stub-namespace` imports flash_attn from its source folder. It downloads 10 MB, and a
    CPU build of torch (200 MB) where the target's will not do.

References
    https://github.com/Dao-AILab/flash-attention/issues/933
    https://github.com/astral-sh/uv/issues/17794
    https://github.com/Dao-AILab/flash-attention/issues/1499
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, every, known
from attn_doctor.failure_modes.recipe import Recipe, Source, Torch
from attn_doctor.failure_modes.shared import wheel_fixes
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence, package_evidence, text_of, variable
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried

_DAMAGED = (
    r"file too short|invalid ELF header|wrong ELF class: \w+|ELF load command \S+ \S+|is not a valid Win32 application"
)

MODE = FailureMode(
    code="AD308",
    slug="flash-attn-stub-namespace",
    title="flash_attn without its compiled part",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=("yolo12-flash-not-used", "transformers-flash-attn-2-not-installed"),
    signs=(
        Sign(
            pattern=r"No module named '?(?P<module>flash_attn_2_cuda)\b",
            literal="No module named",
            sample="ModuleNotFoundError: No module named 'flash_attn_2_cuda'",
        ),
        Sign(
            pattern=r"No module named '?(?P<extra>dropout_layer_norm|rotary_emb|fused_dense_lib|xentropy_cuda_lib|fused_softmax_lib|"
            r"ft_attention)\b",
            literal="No module named",
            sample="ModuleNotFoundError: No module named 'dropout_layer_norm'",
        ),
        Sign(
            pattern=r"(?P<damaged>[\w.+-]{1,200}\.so[.\d]{0,20}): file too short",
            literal=": file too short",
            sample="ImportError: /venv/lib/python3.11/site-packages/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so: file too short",
        ),
        Sign(
            pattern=r"(?P<damaged>[\w.+-]{1,200}\.so[.\d]{0,20}): (?:invalid ELF header|wrong ELF class)",
            literal=" ELF ",
            sample="ImportError: /venv/lib/python3.11/site-packages/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so: invalid ELF "
            "header",
        ),
        Sign(
            pattern=r"cannot import name '(?P<shadowed>\w+)' from partially initialized module 'flash_attn'",
            literal="partially initialized module 'flash_attn'",
            sample="ImportError: cannot import name 'flash_attn_func' from partially initialized module 'flash_attn' (most likely due "
            "to a circular import) (/home/user/flash_attn.py)",
        ),
        Sign(
            pattern=r"dynamic module does not define module export function \(PyInit_(?P<broken>\w+)\)",
            literal="does not define module export",
            sample="ImportError: dynamic module does not define module export function (PyInit_flash_attn_2_cuda)",
        ),
        Sign(
            pattern=r"initialization of (?P<broken>\w+) failed without raising an exception",
            literal=" failed without raising",
            sample="SystemError: initialization of flash_attn_2_cuda failed without raising an exception",
        ),
        Sign(
            pattern=r"File \"(?P<source>[^\"]*/flash_attn/flash_attn_interface\.py)\"",
            literal="/flash_attn/flash_attn_interface.py",
            sample='  File "/home/user/src/flash-attention/flash_attn/flash_attn_interface.py", line 15, in <module>',
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="imports flash_attn from its source folder",
        of=(Torch(), Source()),
        run=(("{python}", "-c", "import sys; sys.path.insert(0, '{source}'); import flash_attn"),),
        shows="No module named 'flash_attn_2_cuda'",
        seconds=15,
    ),
)

_NAME = "flash_attn_2_cuda"
_USELESS = ("damaged", "no-entry", "machine", "python-abi")  # values of `Binary.cause`: the file cannot be loaded


def detect(facts: Facts) -> Hit | None:
    flash = facts.flash_attention
    for attempt in tried(facts):
        said = text_of(attempt.fault)
        if attempt.module == _NAME and attempt.ok is True:
            return None
        if attempt.module.startswith("flash_attn") and re.search(rf"No module named '?{_NAME}|{_DAMAGED}", said):
            return Hit(
                message=_sentence(facts, said),
                evidence=(attempt_evidence(facts, attempt.module), fact(facts, "flash_attention.modules")),
                certainty=Certainty.OBSERVED,
            )
    for index, binary in enumerate(facts.binaries if isinstance(facts.binaries, tuple) else ()):
        if binary.module == _NAME and binary.cause in _USELESS:
            return Hit(
                message=f"The compiled part of flash-attn does not work with this Python: {'; '.join(binary.because)}.",
                evidence=(fact(facts, f"binaries.{index}.because", f"{binary.path}: {'; '.join(binary.because)}"),),
            )
    if not every(
        lambda: known(flash.version) is not None,
        lambda: _NAME not in known(flash.modules),
        lambda: known(facts.torch.hip) is None,
    ):
        return None
    return Hit(
        message=f"flash-attn {flash.version} is installed without its compiled part, {_NAME}: it cannot be imported.",
        evidence=(package_evidence(facts, "flash-attn"), fact(facts, "flash_attention.modules")),
    )


def _sentence(facts: Facts, said: str) -> str:
    damaged = re.search(_DAMAGED, said)
    if damaged:
        return f"The compiled part of flash-attn, {_NAME}, is damaged: {damaged[0]}."
    if facts.project.source_checkout == "flash-attention":
        return f"The current folder is a checkout of flash-attn's source: its Python files hide the installed package, which has {_NAME}."
    modules = facts.flash_attention.modules
    if isinstance(modules, tuple) and _NAME in modules:
        return f"{_NAME} is installed, but for another Python than {facts.interpreter.version}."
    if isinstance(facts.torch.hip, str):
        return "flash-attn was built for AMD's Triton backend, and FLASH_ATTENTION_TRITON_AMD_ENABLE=TRUE is not set."
    return f"flash_attn is installed without its compiled part, {_NAME}."


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    named = [m for m in proofs if "module" in m.groups]
    extra = seen.group("extra")
    damaged = [m for m in proofs if "module" not in m.groups and "extra" not in m.groups]
    if not proofs:
        return None
    shadowed = [m for m in proofs if "shadowed" in m.groups]
    chosen = named or shadowed or damaged or proofs
    lines = {m.line for m in chosen}
    kept = tuple(e for e in evidence if e.line in lines)
    if named:
        sources = [m.groups["source"] for m in seen.matches if "source" in m.groups]
        checkout = bool(sources) and not any("-packages/" in s or ".egg" in s for s in sources)
        why = ", because it was started inside a checkout of its source" if checkout else ""
        message, confidence = f"flash_attn was imported without its compiled part, {_NAME}{why}.", Confidence.HIGH
    elif shadowed:
        message, confidence = "A file of yours called flash_attn.py hides the package flash_attn.", Confidence.HIGH
    elif extra and not damaged:
        message = f"{extra} is a separate extension in flash-attn's folder csrc, and it was not built: pip installs only flash_attn_2_cuda."
        confidence = Confidence.MEDIUM
    else:
        file = (damaged[0].groups.get("damaged") or damaged[0].groups.get("broken") or "").rsplit("/", 1)[-1]
        message = f"{file} is not a library, or it is damaged: its download or copy was not complete, or it is another kind of file."
        confidence = Confidence.HIGH if "flash" in file else Confidence.LOW
    return Hit(message=message, evidence=kept or evidence, confidence=confidence)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts, "--goal", "flash-attn", "--no-trial")
    if facts.project.source_checkout == "flash-attention":
        step = commands.by_hand(("cd", ".."), "Python searches the current folder first", "the current folder", "none")
        return (Fix(title="Leave the folder of the source", steps=(step,), verify=verify),)
    if isinstance(facts.torch.hip, str):
        step = commands.variable(
            "FLASH_ATTENTION_TRITON_AMD_ENABLE", "TRUE", "the Triton backend is chosen at run time"
        )
        return (Fix(title="Choose the Triton backend", steps=(step,), verify=verify),)
    made = list(wheel_fixes.flash_attn_fixes(facts, "it has no compiled part"))
    try:
        skips = variable(facts, "FLASH_ATTENTION_SKIP_CUDA_BUILD") == "TRUE"
    except Unsure:
        skips = False
    if skips:
        unset = commands.variable(
            "FLASH_ATTENTION_SKIP_CUDA_BUILD", None, "with it, flash-attn is built without its compiled part"
        )
        made.insert(0, Fix(title="Unset FLASH_ATTENTION_SKIP_CUDA_BUILD", steps=(unset,), verify=verify))
    return tuple(made)
