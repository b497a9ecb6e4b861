"""A compiled extension was built for another version of torch than the installed one.

What it is
    flash-attn (or xformers, torchvision, ...) is machine code that calls internal functions of one torch minor release. In
    another minor release some of these functions are missing or have other parameters.

How it shows
    "ImportError: ...flash_attn_2_cuda...so: undefined symbol: _ZN3c104cuda9SetDeviceEi" (or another name with 3c10, 2at or
    5torch in it); "libtorch_cuda_cu.so: cannot open shared object file"; "xFormers was built for: PyTorch ... (you have ...)". On
    Windows: "DLL load failed while importing flash_attn_2_cuda: The specified procedure could not be found."

Why it happens
    torch was upgraded after flash-attn was installed. Or pip used a wheel from its cache, which it had built for another torch.
    Or somebody chose the wheel by hand. pip does not check that flash-attn fits torch. The name of the missing function often
    shows for which torch the extension was compiled: attn-doctor has a table of the functions that each torch exports.

What to do
    Remove flash-attn, and install the wheel that was built for this torch. If there is no such wheel, use PyTorch's own fused
    attention, which needs no installation. If you build flash-attn again, use pip's option --no-cache-dir: without it pip
    installs the old build from its cache.

How to reproduce
    `attn-doctor reproduce abi-mismatch-torch-version` imports an extension that calls a function that the torch here does not
    have. Where the target's torch will not do, a CPU build is downloaded: 200 MB.

References
    https://github.com/Dao-AILab/flash-attention/issues/931
    https://github.com/Dao-AILab/flash-attention/issues/1832
    https://itanium-cxx-abi.github.io/cxx-abi/abi.html#mangling
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known, present
from attn_doctor.failure_modes.recipe import Extension, Recipe, Torch
from attn_doctor.failure_modes.shared import (
    cut_logs,
    in_place_builds,
    jetson_builds,
    package_cures,
    stated_builds,
    stated_conflicts,
    stated_family,
    subject,
    symbols,
    torch_here,
    torch_steps,
    unbuilt_cures,
    wheel_fixes,
    without_symbol,
    xformers_words,
)
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence, package_evidence, text_of, torch_installed
from attn_doctor.failure_modes.shared.symbols import EXTENSIONS
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Binary, Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import extension_tried, tried
from attn_doctor.model.versions import local, pair

_OURS = r"(?:flash_attn|selective_scan|causal_conv1d|xformers|mamba|sageattn|natten|apex|fused_layer_norm|detectron2|mmcv|gptq|exllama|awq)"

MODE = FailureMode(
    code="AD301",
    slug="abi-mismatch-torch-version",
    title="An extension built for another torch",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=("yolo12-flash-not-used", "transformers-flash-attn-2-not-installed", "xformers-no-operator"),
    signs=(
        Sign(
            pattern=r"undefined symbol: (?P<symbol>_Z\w*(?:3c10|2at|5torch|6caffe2|THP)\w*)",
            literal="undefined symbol: _Z",
            sample="ImportError: /venv/lib/python3.11/site-packages/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so: undefined "
            "symbol: _ZN3c104cuda9SetDeviceEi",
        ),
        Sign(
            pattern=r"(?P<file>libtorch_cuda_(?:cu|cpp)\.so): cannot open shared object file",
            literal="libtorch_cuda_c",
            sample="ImportError: libtorch_cuda_cu.so: cannot open shared object file: No such file or directory",
        ),
        Sign(
            pattern=rf"DLL load failed while importing (?P<module>\w+): .{{0,80}}(?:{symbols.PROCEDURE})",
            literal="DLL load failed while importing ",
            sample="ImportError: DLL load failed while importing flash_attn_2_cuda: The specified procedure could not be found.",
        ),
        Sign(
            pattern=r"PyTorch +(?P<built>\d[\w.+]*) (?:with CUDA (?:(?P<cuda>\d{4})|\S+) )?\(you have (?P<have>\d[\w.+]*)\)",
            literal="(you have ",
            sample="    PyTorch 2.1.2+cu121 with CUDA 1201 (you have 2.2.0+cu121)",
        ),
        xformers_words.PYTHON,
        # The same line in a log that is cut before the version of the installed torch.
        Sign(
            pattern=r"^PyTorch +(?P<built>\d[\w.+]*) with CUDA \d[\d.]*\s*$",
            literal=" with CUDA ",
            sample="PyTorch 2.1.0+cu121 with CUDA 1201",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<asked_by>xFormers) was built for:",
            literal="xFormers was built for:",
            sample="WARNING[XFORMERS]: xFormers can't load C++/CUDA extensions. xFormers was built for:",
            strength="context",
        ),
        # torchvision's operators: see torchvision-mismatch.
        Sign(
            pattern=r"Could not run '(?P<operators>xformers|flash_attn\w*|mamba_ssm|causal_conv1d|mmcv|detectron2)::\w+' with arguments from the 'CUDA' backend",
            literal="with arguments from the 'CUDA' backend",
            sample="NotImplementedError: Could not run 'xformers::efficient_attention_forward_cutlass' with arguments from the 'CUDA' backend.",
        ),
        # The error line is cut before the symbol, or within the symbol.
        Sign(
            pattern=rf"(?P<file>\b[\w.-]{{0,60}}?{_OURS}[\w.-]{{0,80}}\.so): (?P<torn>undefined ?(?:s\w{{0,5}}:? ?(?:_Z?N?\w{{0,6}})?)?)(?:…|\.\.\.)?\s*$",
            literal=".so: undefined",
            sample="ImportError: /v/lib/python3.10/site-packages/flash_attn_2_cuda.cpython-310-x86_64-linux-gnu.so: undefined symbol:",
            strength="hint",
        ),
        # The error as people write it in a title: no colon, and no symbol.
        Sign(
            pattern=rf"\b(?P<worded>(?:\w{{0,20}}_)?{_OURS}\w*)(?:\.so)?[`'\"]{{0,2}}[:,]? (?:with |has |had |- )?(?:an )?undefined symbols?\b(?!: ?\w)",
            literal="undefined symbol",
            sample="ImportError: flash_attn_2_cuda undefined symbol on my server (torch 2.5.1, flash-attn 2.8.0)",
            strength="hint",
        ),
        # The last source line of a traceback, if the log is cut below it: the import of the extension.
        cut_logs.source(
            rf"import \w*{_OURS}\w*_(?:cuda|C)(?: as \w+)?(?: +#.{{0,60}})?",
            "import ",
            "    import flash_attn_2_cuda as flash_attn_gpu",
        ),
        *(unbuilt_cures.MMCV_FULL, *xformers_words.INFO),
    ),
    recipe=Recipe(
        does="imports an extension that calls a function that the torch here does not have",
        of=(Torch(), Extension(name="flash_attn_2_cuda", asks=("_ZNK3c105Error4whatEv",))),
        run=(("{python}", "-c", "import torch; import flash_attn_2_cuda"),),
        shows="undefined symbol",
        seconds=5,
    ),
)

_PROCEDURE = re.compile(symbols.PROCEDURE)


def detect(facts: Facts) -> Hit | None:
    if (listed := stated_family.found(facts) or stated_builds.found(facts)) is not None:
        return listed
    abi = wheel_fixes.torch_abi_or_none(facts)
    for attempt in tried(facts):
        text = text_of(attempt.fault)
        symbol = symbols.undefined(text)
        wrong = symbol is not None and symbol.startswith("_Z") and symbols.of_abi(symbol, abi) is False
        if attempt.module in EXTENSIONS and (wrong or _PROCEDURE.search(text)):
            return Hit(
                message=_sentence(attempt.module, symbol, facts),
                evidence=(attempt_evidence(facts, attempt.module), fact(facts, "torch.version")),
                certainty=Certainty.OBSERVED,
            )
    flash = facts.flash_attention
    if extension_tried(facts):
        return None  # the result of a real import counts more than the name of a file or its contents
    for index, binary in enumerate(facts.binaries if isinstance(facts.binaries, tuple) else ()):
        if binary.cause == "torch-version" and binary.module in EXTENSIONS:
            return _from_file(facts, index, binary)
    if not every(
        lambda: torch_installed(facts),
        lambda: known(flash.version) is not None,
        lambda: known(flash.wheel_torch) is not None,
        lambda: pair(present(flash.wheel_torch)) != pair(present(facts.torch.version)),
    ):
        return None
    return Hit(
        message=f"flash-attn {flash.version} was built for torch {flash.wheel_torch}, you have {facts.torch.version}.",
        evidence=(package_evidence(facts, "flash-attn"), fact(facts, "torch.version")),
    )


def _from_file(facts: Facts, index: int, binary: Binary) -> Hit:
    missing = binary.undefined[0] if isinstance(binary.undefined, tuple) and binary.undefined else None
    return Hit(
        message=_sentence(binary.module, missing, facts),
        evidence=(
            fact(facts, f"binaries.{index}.cause", "; ".join(binary.because) or None),
            fact(facts, "torch.version"),
        ),
    )


def _sentence(module: str, symbol: str | None, facts: Facts) -> str:
    """Return the message with both versions of torch: the version that the extension was built for, if it is known, and the installed version."""
    wheel = facts.flash_attention.wheel_torch
    built = symbols.built_for(symbol) if symbol else None
    if isinstance(wheel, str) and module.startswith("flash_attn"):
        built = f"torch {wheel}"
    have = f", you have {facts.torch.version}" if isinstance(facts.torch.version, str) else ""
    wants = f": it needs {symbols.sentence(symbol)}, which this torch does not have" if symbol else ""
    return f"{module} was built for {built or 'another torch'}{have}{wants}."


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if (info := xformers_words.of_info(seen)) is not None:
        return info
    if all("info_built" in m.groups for m in seen.matches if m.strength != "context"):
        return None  # the torch of xformers.info is the one that xformers was built for
    if cut_logs.alone(seen):
        return cut_logs.hit(
            seen,
            "That line loads a compiled extension. Probably the extension was built for another torch and does not find a function in the installed torch.",
            "ImportError",
        )
    doubtful = [m for m in seen.matches if m.strength != "context"]
    if all({"torn", "cut", "worded"} & m.groups.keys() for m in doubtful):
        return without_symbol.torn(seen) if any("torn" in m.groups for m in doubtful) else without_symbol.in_words(seen)
    seen = cut_logs.told(seen)
    of_xformers = any(m.groups.get("asked_by") for m in seen.matches)
    for match in seen.matches:
        if match.groups.get("built") and not match.groups.get("have") and not of_xformers:
            continue  # a program other than xFormers prints its own torch
        hit = _of_line(match, _extension(match) or subject.package(facts), subject.stated(facts))
        if hit is not None:
            counted = [m for m in seen.matches if _of_line(m)]
            lines = {m.line for m in counted}
            kept = tuple(e for e in evidence if e.line in lines)
            names = tuple(dict.fromkeys(name for m in counted if (name := _extension(m))))
            if len(names) > 1:
                ages = {symbols.built_for(m.groups["symbol"]) for m in counted if "symbol" in m.groups} - {None}
                alike = len(ages) <= 1
                why = (
                    "torch was replaced after they were installed"
                    if alike
                    else "each of them was built for a different torch"
                )
                return Hit(
                    message=f"{', '.join(names[:-1])} and {names[-1]} do not fit the installed torch: {why}. {hit[0]}",
                    evidence=kept or evidence,
                    variant=Moved(packages=names, built=seen.group("built"), alike=alike),
                    confidence=hit[1],
                )
            ages = {symbols.built_for(m.groups["symbol"]) for m in counted if "symbol" in m.groups} - {None}
            age = re.search(r"\d+\.\d+", next(iter(ages)) or "") if len(ages) == 1 else None
            full = seen.group("full") or seen.group("listed")
            return Hit(
                message=hit[0],
                evidence=kept or evidence,
                variant=_built(match.text, age[0] if age else None, full if names == ("mmcv",) else None),
                confidence=hit[1],
            )
    return xformers_words.told(seen)


class Built(Variant, frozen=True, kw_only=True):
    """Hold the oldest torch that the extension fits, by the name of the missing function, "2.8", and its folder if it lies among sources."""

    torch: str | None
    folder: str | None = None
    mmcv_full: str | None = None  # the release of mmcv-full that is installed, "1.2.3"


def _built(line: str, torch: str | None, mmcv_full: str | None) -> Built | None:
    folder = in_place_builds.folder(line)
    return Built(torch=torch, folder=folder, mmcv_full=mmcv_full) if torch or folder or mmcv_full else None


class Moved(Variant, frozen=True, kw_only=True):
    """Hold the names of the packages that do not fit the installed torch, because torch was replaced.

    `built`: the torch for which one of them was built, if the log shows it. `alike`: all may have been built for one torch.
    """

    packages: tuple[str, ...]
    built: str | None
    alike: bool


def _extension(match: Match) -> str | None:
    """Return the package that does not fit according to a line of the log; None if the line does not name it."""
    if "built" in match.groups:
        return "xformers"  # no other package prints this sentence
    return match.groups.get("operators") or symbols.package_of(match.text)


def _of_line(match: Match, named: str | None = None, stated: str | None = None) -> tuple[str, Confidence] | None:
    symbol, groups, who = match.groups.get("symbol"), match.groups, named or "An extension"
    if "info_built" in groups or "torn" in groups or "worded" in groups or match.strength == "context":
        return None
    if symbol is not None:
        if symbols.of_abi(symbol) is not False or "torchvision" in match.text:
            return None  # abi-mismatch-cxx11 reports the other ABI, and torchvision-mismatch reports torchvision
        built = symbols.built_for(symbol)
        text = f"{who} was built for {built or 'another torch'}: it needs {symbols.sentence(symbol)}"
        return f"{text}, which the installed torch does not have.", Confidence.HIGH
    if "built" in groups:
        if not groups.get("have"):
            return f"{who} was built for torch {groups['built']}, and another torch is installed.", Confidence.MEDIUM
        if pair(groups["built"]) == pair(groups["have"]) and local(groups["built"]) == local(groups["have"]):
            return None
        return (
            f"{who} was built for torch {groups['built']}, and torch {groups['have']} is installed.",
            Confidence.MEDIUM,
        )
    if "operators" in groups:
        text = f"The GPU code of {groups['operators']} is not loaded: it was built for another torch, or without CUDA."
        return text, Confidence.MEDIUM
    if "module" in groups:
        name = groups["module"]
        ours = re.match(
            r"flash|_C|_ext|xformers|sage|causal|selective|mamba|torch|detectron|mmcv|pytorch3d|groundingdino|exllama|gptq|autogptq|awq|natten|"
            r"gsplat|fused|apex|amp_C|MultiScale|deepspeed|vllm|tinycudann|nvdiffrast|spconv|diff_gaussian|simple_knn",
            name,
        )
        package = stated if stated and built_packages.row_of(stated) else None
        whose = f"{name} of {package}" if package and name not in package.replace("-", "_") else name
        text = f"{whose} was built for another torch: a function that it calls is not in the installed libraries."
        return text, Confidence.HIGH if ours or package else Confidence.LOW
    return f"{who} was built for a much older torch: it needs {groups['file']}.", Confidence.HIGH


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, stated_conflicts.Conflicting):
        told = stated_conflicts.fix(facts, hit.variant)
        return (told,) if told else ()
    if isinstance(hit.variant, stated_builds.OtherBuild):
        return stated_builds.fixes(facts, hit.variant)
    if isinstance(hit.variant, Moved):
        return _for_all(facts, hit.variant)
    if places.jetson(facts) and facts.subject.package == "torchaudio":
        return (jetson_builds.audio(facts),)
    made = wheel_fixes.fixes(facts, "it does not fit this torch")
    if isinstance(hit.variant, xformers_words.SameRelease):
        return (*xformers_words.fixes(facts), *made)
    built = hit.variant if isinstance(hit.variant, Built) else Built(torch=None)
    if built.mmcv_full is not None:
        return (unbuilt_cures.mmcv_full(facts, built.mmcv_full),)
    if built.folder is not None and not isinstance(facts.subject.folder, str) and facts.grade == "stated":
        return (in_place_builds.fix(facts, built.folder, "it does not fit this torch"),)
    of_index = torch_here.of_the_jetson_index(facts, built.torch) if built.torch else ()
    return (*of_index, *made)


def _for_all(facts: Facts, moved: Moved) -> tuple[Fix, ...]:
    """Return the fixes for several packages: install the torch that all of them were built for, or install all of them again."""
    names = " and ".join(moved.packages)
    release, flavour = (moved.built or "").partition("+")[::2]
    cuda = f"{flavour[2:-1]}.{flavour[-1]}" if flavour.startswith("cu") else None
    if release:
        back = torch_steps.release(facts, release, f"the torch that {names} were built for", cuda)
    else:
        words = (
            f"install the torch that was installed before, and the torchvision for it: {names} were built for that torch. pip printed its version after "
            f"'Uninstalling torch-' when it replaced it"
        )
        back = (commands.by_hand((), words, "torch and torchvision"),)
    verify = commands.check(facts)
    first: tuple[Fix, ...] = ()
    if moved.alike and back:  # `back` is empty if no known release of torch has that build
        first = (Fix(title="Install the torch that these packages were built for", steps=back, verify=verify),)
    rows = [built_packages.row_of(name) for name in moved.packages]
    if not all(row and (row.get or row.wheels != "none") for row in rows):
        return first or wheel_fixes.fixes(facts, "it does not fit this torch")
    anew = commands.install(
        *(row.get or row.name for row in rows if row),
        reinstall=True,
        no_deps=True,
        no_build_isolation=True,
        no_cache=True,
        why="for the installed torch: pip installs a finished wheel if one fits, and compiles if none fits, which may take hours",
        changes=names,
    )
    return (
        *first,
        Fix(
            title="Install these packages again, for this torch",
            steps=(package_cures.tools(facts), anew),
            verify=verify,
        ),
    )
