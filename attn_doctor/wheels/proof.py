"""Judge one wheel file by its content, before it is installed or runs: whether it fits, and whether content and name agree. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from packaging.utils import canonicalize_name

from attn_doctor.knowledge import gpu as question
from attn_doctor.model.facts import Binary, Record, Unknown
from attn_doctor.model.requirements import read_wheel_name
from attn_doctor.model.versions import FlashBuild, flash_build, parse
from attn_doctor.model.wheel_file import WheelContents
from attn_doctor.probes.binaries.wheel_contents import MOST_UNPACKED
from attn_doctor.wheels.whole import parted

Verdict = Literal["fits", "refused", "cannot be told"]
MEANING = "This proof says that the file fits, never that it is harmless: what its code does was not examined."
_SHOWN = 5  # a sentence has at most so many names
_GIGABYTE = 1 << 30


class Proof(Record, frozen=True, kw_only=True):
    """Hold the verdict on one wheel. `against`: reasons to refuse it. `open_questions`: values that are not known.

    `notices`: sentences to read before an installation.
    """

    file: str
    sha256: str
    verdict: Verdict
    against: tuple[str, ...]
    open_questions: tuple[str, ...]
    notices: tuple[str, ...]
    main: tuple[str, ...]  # modules without which the package cannot be imported
    loads: int  # how many of the other extensions would load
    others: int  # how many other extensions there are
    meaning: str = MEANING


def prove(
    seen: WheelContents,
    records: Sequence[Binary],
    gpus: Sequence[str] | Unknown,
    *,
    also: Sequence[str] = (),
    beside: Sequence[str] = (),
) -> Proof:
    """Judge a wheel by its file name, its contents and the records of its extensions.

    `seen`: its contents. `records`: its extensions. `gpus`: the compute capabilities here, "8.9". `also`: sentences with further
    reasons to refuse it, which are not in the file. `beside`: further sentences to read before an installation.
    """
    file = Path(seen.path).name
    main, others = parted(records)
    against = [*also, *_dangers(seen), *_disagreements(file, seen, main)]
    doubts: list[str] = []
    for record in main:
        if record.verdict == "fails":
            against.extend(f"{record.module}: {why}" for why in record.because)
        elif isinstance(record.verdict, Unknown):
            doubts.append(f"{record.module}: {record.verdict.why}")
    against += _no_code(main, gpus)
    if all(record.verdict is None for record in main):
        doubts.append("it contains no compiled extension, so nothing in it could be compared with this machine")
    verdict: Verdict = "refused" if against else "cannot be told" if doubts else "fits"
    return Proof(
        file=file,
        sha256=seen.sha256,
        verdict=verdict,
        against=tuple(dict.fromkeys(against)),
        open_questions=tuple(doubts),
        notices=(*_notices(seen, parted(records), gpus), *beside),
        main=tuple(record.module for record in main),
        loads=sum(record.verdict == "loads" for record in others),
        others=len(others),
    )


def _dangers(seen: WheelContents) -> list[str]:
    found = []
    if seen.leaving:
        found.append(f"members leave the folder of the archive, or are links: {names(seen.leaving)}")
    if seen.at_startup:
        found.append(f"it brings code that runs whenever Python starts: {names(seen.at_startup)}")
    if seen.unpacked > MOST_UNPACKED:
        found.append(f"its members unpack to {seen.unpacked // _GIGABYTE} GB")
    if seen.twice:
        found.append(f"two of its members have one name, and installers may take either: {names(seen.twice)}")
    if seen.altered:
        found.append(f"its RECORD gives another digest or size for {names(seen.altered)}: changed after it was built")
    if len(seen.infos) > 1:
        found.append(f"it has more than one .dist-info folder: {names(seen.infos)}")
    return found


def _disagreements(file: str, seen: WheelContents, main: Sequence[Binary]) -> list[str]:
    """Return the differences between the file's name and its content."""
    wheel = read_wheel_name(file)
    if wheel is None:
        return ["its name is not the name of a wheel, so no installer accepts it"]
    found = []
    if seen.name is None or canonicalize_name(seen.name) != wheel.name:
        found.append(f"its name says {wheel.name}, its METADATA {seen.name or 'nothing'}")
    inside = parse(seen.version or "")
    # Builds by others are often renamed: "2.8.3" inside of "2.8.3+cu128torch2.8".
    if inside is None or (inside.public != wheel.version.public):
        found.append(f"its name says version {wheel.version.public}, its METADATA {seen.version or 'nothing'}")
    pythons = {f"{tag.interpreter}-{tag.abi}" for tag in wheel.tags}
    inside_tags = {text.rpartition("-")[0] for text in seen.tags}
    if inside_tags and not inside_tags & pythons:
        found.append(f"its name says {', '.join(sorted(pythons))}, its WHEEL {', '.join(sorted(inside_tags))}")
    found.extend(_of_another_system({tag.platform for tag in wheel.tags}, seen))
    build = flash_build(file)
    for record in main:
        found.extend(_of_another_cuda(record, build))
        if (
            build
            and build.cxx11_abi is not None
            and isinstance(record.cxx11_abi, bool)
            and record.cxx11_abi is not build.cxx11_abi
        ):
            said, has = ("TRUE" if abi else "FALSE" for abi in (build.cxx11_abi, record.cxx11_abi))
            found.append(f"its name says cxx11abi{said}, and {record.module} was compiled with {has}")
        made_for = (
            re.fullmatch(r"torch (\d+\.\d+)", record.built_for_torch)
            if isinstance(record.built_for_torch, str)
            else None
        )
        if build and made_for and made_for[1] != build.torch:
            found.append(f"its name says torch {build.torch}, and {record.module} was compiled for torch {made_for[1]}")
    return found


def _of_another_system(platforms: set[str], seen: WheelContents) -> Iterator[str]:
    """Yield a sentence if WHEEL, or each library of the wheel, is for another system than the file's name.

    A name is often changed within a system, from "linux_x86_64" to "manylinux_2_28_x86_64".
    """
    said, inside = ", ".join(sorted(platforms)), {text.rpartition("-")[2] for text in seen.tags if text.count("-") > 1}
    systems, others = ({_system(one) for one in some} for some in (platforms, inside))
    if inside and "any" not in others and not systems & others:
        yield f"its name says {said}, its WHEEL {', '.join(sorted(inside))}"
    families = {system.partition(" ")[0] for system in systems}
    ends = {".pyd": "win", ".dll": "win", ".dylib": "macosx"}
    made_for = {ends.get(Path(name).suffix.lower(), "") for name in seen.compiled}
    if made_for and "" not in made_for and not made_for & families and families != {"any"}:
        yield f"its name says {said}, and its libraries are for another system: {names(seen.compiled)}"


def _system(platform: str) -> str:
    """Return the system and the processor of a platform tag: "linux x86_64" for "manylinux_2_28_x86_64". Of macOS only the system."""
    plain = re.sub(r"^(?:many|musl)?linux(?:\d+|_\d+_\d+)?_", "linux ", platform)
    return "macosx" if plain.startswith("macosx") else plain.replace("win_", "win ").replace("win32", "win 32")


def _of_another_cuda(record: Binary, build: FlashBuild | None) -> Iterator[str]:
    """Yield a sentence if an extension needs another CUDA major than the file's name has."""
    if build is None or isinstance(record.needs, Unknown):
        return
    for need in record.needs:
        runtime = re.fullmatch(r"libcudart\.so\.(\d+)(?:\.\d+)?|cudart64_(\d\d)0?\.dll", need.name)
        major = runtime and (runtime[1] or runtime[2])
        if major and major != build.cuda.partition(".")[0]:
            yield f"its name says CUDA {build.cuda}, and {record.module} needs {need.name}"


def _no_code(main: Sequence[Binary], gpus: Sequence[str] | Unknown) -> list[str]:
    """Return a sentence for each extension whose GPU code runs on none of the GPUs."""
    if isinstance(gpus, Unknown) or not gpus:
        return []
    found = []
    for record in main:
        if isinstance(record.sm, Unknown) or isinstance(record.ptx, Unknown) or not (record.sm or record.ptx):
            continue
        codes = [question.name(c) for c in record.sm] + [question.name(c, ptx=True) for c in record.ptx]
        answers = [question.runs(codes, gpu) for gpu in gpus]
        if all(not isinstance(answer, Unknown) and not answer.yes for answer in answers):
            found.append(f"{record.module} has GPU code for {', '.join(codes)}, and the GPU here is {', '.join(gpus)}")
    return found


def _notices(
    seen: WheelContents, parts: tuple[Sequence[Binary], Sequence[Binary]], gpus: Sequence[str] | Unknown
) -> list[str]:
    found = []
    main, others = parts
    failing = [record for record in others if record.verdict == "fails"]
    if failing:
        found.append(
            f"{len(failing)} of {len(others)} other extensions would not load, and may not be needed: {names([r.module for r in failing])}"
        )
    found += _signatures(main)
    if seen.scripts:
        found.append(f"it installs programs: {names(seen.scripts)}")
    if seen.elsewhere:
        found.append(f"it puts files outside of site-packages: {names(seen.elsewhere)}")
    if seen.hooks:
        found.append(f"it registers code that other programs run by themselves: {names(seen.hooks)}")
    if seen.unlisted:
        found.append(f"its RECORD does not list {names(seen.unlisted)}")
    if seen.absent:
        found.append(f"its RECORD lists files that it does not contain: {names(seen.absent)}")
    if seen.unhashed:
        found.append(f"its RECORD has no digest of {len(seen.unhashed)} of its files, so these could not be compared")
    asked = [name for name in seen.requires if "@" in name]
    if asked:
        found.append(f"it asks for packages from addresses: {names(asked)}")
    strangers = [one for one in seen.packages if not _own(one, seen.name)]
    if strangers:
        found.append(f"it installs more than its own package: {names(strangers)}")
    if isinstance(gpus, Unknown) or not gpus:
        found.append("which GPU will run it is not known here, so its GPU code was not judged (--gpu CC names one)")
    return found


def _signatures(main: Sequence[Binary]) -> Iterator[str]:
    """Yield a sentence about the code signatures of the main extensions, which files of Windows and macOS may have."""
    kinds = {kind: [r.module for r in main if r.signature == kind] for kind in ("none", "ad hoc", "of a certificate")}
    unsigned = kinds["none"] + kinds["ad hoc"]
    if unsigned:
        yield f"no signature names who built {names(unsigned)}"
    if kinds["of a certificate"]:
        yield f"the code signature of {names(kinds['of a certificate'])} was not checked"


def _own(top: str, name: str | None) -> bool:
    """Return whether a top-level name begins with the first word of a package's name: flash_attn_2_cuda.so belongs to flash-attn."""
    plain = canonicalize_name(name or "").replace("-", "_")
    return bool(plain) and top.lower().startswith(plain.partition("_")[0])


def names(some: Sequence[str]) -> str:
    """Return the first five names in one text, and how many more there are: "a, b, c, d, e and 3 more"."""
    rest = len(some) - _SHOWN
    return ", ".join(some[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
