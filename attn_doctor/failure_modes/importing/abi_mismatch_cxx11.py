"""A compiled extension and torch were built with different C++ ABIs of std::string.

What it is
    GCC has two layouts of std::string: the old layout and the C++11 layout. torch's wheels up to 2.5 use the old layout,
    those of 2.7 and newer the C++11 layout. torch 2.6 uses one or the other: it depends on the CUDA version. An extension
    must use the same layout as torch.

How it shows
    "undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_string..." (the extension is new, torch is old) or
    "...SourceLocationESs" (the extension is old, torch is new). Or a symbol of another C++ library: "_ZN2cv5error..." of OpenCV, protobuf, Boost.

Why it happens
    A wheel with cxx11abiTRUE in its name was installed under a torch with the old ABI, or a wheel with cxx11abiFALSE under a
    torch with the new ABI. Also, the flash-attn wheels 2.8.0.post2 to 2.8.3.post1 named torch2.6 cxx11abiFALSE have a wrong
    name: they were built with the new ABI.
    An extension that is compiled with torch's ABI may also be linked with a library of the other ABI: most systems and conda-forge have the new one.

What to do
    Install the wheel that has the other value (TRUE or FALSE) in its name. With torch 2.6.0 from PyPI: flash-attn 2.7.4.post1.

How to reproduce
    `attn-doctor reproduce abi-mismatch-cxx11` imports an extension that was compiled for the other C++ ABI. Where the
    target's torch will not do, a CPU build is downloaded: 200 MB.

References
    https://gcc.gnu.org/onlinedocs/libstdc++/manual/using_dual_abi.html
    https://github.com/Dao-AILab/flash-attention/issues/1783
    https://github.com/pytorch/pytorch/issues/152790
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import Extension, Recipe, Torch
from attn_doctor.failure_modes.shared import other_libraries, subject, symbols, wheel_fixes
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence, package_evidence, text_of, torch_installed
from attn_doctor.failure_modes.shared.symbols import EXTENSIONS
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import extension_tried, tried

MODE = FailureMode(
    code="AD302",
    slug="abi-mismatch-cxx11",
    title="An extension with another C++ ABI than torch",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=("yolo12-flash-not-used", "transformers-flash-attn-2-not-installed"),
    signs=(
        Sign(
            pattern=r"undefined symbol: (?P<symbol>_Z\w*(?:__cxx1112basic_string\w*|RKSs\w*|ESs\w*|14SourceLocationENSt7\w*))",
            literal="undefined symbol: _Z",
            sample="undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE",
        ),
        other_libraries.SIGN,
    ),
    recipe=Recipe(
        does="imports an extension that was compiled for the other C++ ABI",
        of=(
            Torch(versions=">=2.7"),
            Extension(name="flash_attn_2_cuda", asks=("_ZN3c106detail14torchCheckFailEPKcS2_jRKSs",)),
        ),
        run=(("{python}", "-c", "import torch; import flash_attn_2_cuda"),),
        shows="undefined symbol",
        seconds=5,
    ),
)


def detect(facts: Facts) -> Hit | None:
    abi = wheel_fixes.torch_abi_or_none(facts)
    for attempt in tried(facts):
        symbol = symbols.undefined(text_of(attempt.fault))
        if attempt.module in EXTENSIONS and symbol and symbols.of_abi(symbol, abi) is not False:
            return Hit(
                message=_sentence(attempt.module, symbol, "your torch"),
                evidence=(attempt_evidence(facts, attempt.module), fact(facts, "torch.cxx11_abi")),
                certainty=Certainty.OBSERVED,
                confidence=Confidence.HIGH if symbols.of_abi(symbol, abi) else Confidence.MEDIUM,
            )
    wheel = facts.flash_attention.wheel_abi
    if extension_tried(facts):
        return None  # the result of a real import counts more than the name of a file or its contents
    for index, binary in enumerate(facts.binaries if isinstance(facts.binaries, tuple) else ()):
        if binary.cause == "cxx11-abi" and binary.module in EXTENSIONS:
            new = f"the {_abi(binary.cxx11_abi)}" if isinstance(binary.cxx11_abi, bool) else "another C++ ABI"
            return Hit(
                message=f"{binary.module} was built with {new}, and your torch with the other C++ ABI.",
                evidence=(fact(facts, f"binaries.{index}.cause", "; ".join(binary.because) or None),),
            )
    if not every(
        lambda: torch_installed(facts),
        lambda: known(facts.flash_attention.version) is not None,
        lambda: known(wheel) is not None,
        lambda: known(wheel) is not wheel_fixes.torch_abi(facts),
    ):
        return None
    return Hit(
        message=f"flash-attn {facts.flash_attention.version} was built with the {_abi(bool(wheel))}, and your torch with the other C++ ABI.",
        evidence=(package_evidence(facts, "flash-attn"), fact(facts, "torch.cxx11_abi")),
    )


def _sentence(module: str, symbol: str, torch: str) -> str:
    told = symbols.explain(symbol)
    strings = "the new std::string" if told.new_strings else "the old std::string"
    return (
        f"{module} was built with the {_abi(bool(told.new_strings))}, and {torch} with the other C++ ABI: "
        f"{module} needs {symbols.sentence(symbol)} with {strings}."
    )


def _abi(new: bool) -> str:
    return "C++11 ABI (cxx11abiTRUE)" if new else "old C++ ABI (cxx11abiFALSE)"


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    mangled = [
        m
        for m in seen.matches
        if "symbol" in m.groups and symbols.of_abi(m.groups["symbol"]) is not False and "torchvision" not in m.text
    ]
    if not mangled:
        other = other_libraries.told(seen, strings=True)
        return other_libraries.hit(*other) if other else None
    symbol = mangled[0].groups["symbol"]
    strings = symbols.explain(symbol).new_strings
    lines = {m.line for m in mangled}
    return Hit(
        message=_sentence(
            symbols.package_of(mangled[0].text) or subject.package(facts) or "An extension",
            symbol,
            "the installed torch",
        ),
        evidence=tuple(e for e in evidence if e.line in lines) or evidence,
        variant=OfTorch(new_abi=not strings) if strings is not None and symbols.of_abi(symbol) else None,
        confidence=Confidence.HIGH if symbols.of_abi(symbol) else Confidence.MEDIUM,
    )


class OfTorch(Variant, frozen=True, kw_only=True):
    """Hold which C++ ABI torch has. The function that the log reports as undefined was compiled for the other ABI."""

    new_abi: bool  # torch has the new ABI (since GCC 5)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, other_libraries.OfLibrary):
        return other_libraries.fixes(facts, hit.variant)
    abi = hit.variant.new_abi if isinstance(hit.variant, OfTorch) else None
    return wheel_fixes.fixes(facts, "it has another C++ ABI than this torch", abi=abi)
