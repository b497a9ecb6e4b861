"""Decide whether an extension would load in a target, and put the loader's errors into words, in the order of the loader.

Code that runs after loading is not judged: the module's own initialisation, GPU drivers, other Python modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from attn_doctor.knowledge.cxx_names import torch_symbols
from attn_doctor.knowledge.cxx_names.parser import demangle
from attn_doctor.knowledge.sonames import package_of
from attn_doctor.model.facts import Binary as Record
from attn_doctor.model.facts import BinaryCause, BinaryVerdict, Needed, Unknown
from attn_doctor.probes.binaries import fatbin, naming
from attn_doctor.probes.binaries.files import Binary
from attn_doctor.probes.binaries.loader import Broken, Lacking, Library, Missing, Opening, Trouble, Unresolved
from attn_doctor.probes.binaries.mapped import DamagedFile, ForeignFile
from attn_doctor.probes.binaries.own_libraries import Preloaded, preloaded
from attn_doctor.probes.binaries.package_consistency import Judged, built_for
from attn_doctor.probes.binaries.target import Target, newest

_MOST_REASONS = 6  # further missing symbols are only counted; `undefined` holds all of them
# The mark of operators that register themselves when the library is loaded. Such a file is not a Python module and needs no PyInit_.
_REGISTERS = (b"_ZN5torch7LibraryC", b"torch_library_init_", b"aoti_torch_library_init_")


class Reason(NamedTuple):
    """Hold one reason why a file would not load: its cause, and a sentence for the user."""

    cause: BinaryCause
    text: str


def judge(target: Target, module: str, path: str) -> Judged:
    """Judge one extension: the file at `path`. `module`: the name by which Python imports it, "flash_attn_2_cuda"."""
    blank = Record(module=module, path=path)
    try:
        return _judge(target, blank)
    except DamagedFile as error:  # a part that is read late: the table of the libraries that it needs, for example
        return Judged(replace(blank, verdict="fails", cause="damaged", because=(f"{path} {error}",)))


def _judge(target: Target, blank: Record) -> Judged:
    module, path = blank.module, str(blank.path)
    try:
        binary = target.files.open(path)
        unlike = _unlike(target, binary)
        if unlike is not None:
            return Judged(replace(blank, verdict="fails", cause=unlike.cause, because=(unlike.text,)))
        binary.elf  # noqa: B018 - reads so far that damage shows here
    except OSError as error:
        return Judged(replace(blank, verdict=Unknown(f"{path} cannot be read ({error.strerror or error})")))
    except DamagedFile as error:
        cause = "machine" if isinstance(error, ForeignFile) else "damaged"
        return Judged(replace(blank, verdict="fails", cause=cause, because=(f"{path} {error}",)))
    held = _held(blank, binary)
    stranger = _other_rules(target)
    if stranger is not None:
        return held._replace(record=replace(held.record, verdict=stranger))
    opening = target.process.branch().dlopen(path)
    own = preloaded(target.files, target.process, path, opening)
    opening = own.opening if own else opening
    reasons = list(_reasons(target, module, path, binary, opening))
    loads: BinaryVerdict | Unknown = "loads" if own is None or own.named else _loads_itself(path, own)
    record = replace(
        held.record,
        verdict="fails" if reasons else loads,
        cause=reasons[0].cause if reasons else None,
        because=sentences(reasons),
        needs=tuple(_needed(target, name, found) for name, found in _found(opening, binary)),
        undefined=_undefined(opening),
    )
    return held._replace(record=record)


def _loads_itself(path: str, own: Preloaded) -> Unknown:
    names = " and ".join(library.rpartition("/")[2] for library in own.libraries)
    return Unknown(
        f"{_short(path)} needs {names} of its own package, where the loader does not search: it loads if the package loads {names} first"
    )


def judge_torch(target: Target, path: str) -> Record:
    """Judge torch itself: `path` is the file of torch._C, which `import torch` loads last."""
    process = target.process
    reasons = list(_of_loader(target, path, target.torch_troubles))
    mapped = process.known(path)
    found = {name: library.path for name, library in mapped.needs.items()} if mapped else {}
    return Record(
        module="torch._C",
        path=path,
        verdict=_other_rules(target) or ("fails" if reasons else "loads"),
        cause=reasons[0].cause if reasons else None,
        because=sentences(reasons),
        needs=tuple(_needed(target, name, place) for name, place in found.items())
        or Unknown("torch fails before this is loaded"),
    )


def _unlike(target: Target, binary: Binary) -> Reason | None:
    identity, machine = binary.identity, target.process.machine
    if (identity.bits, identity.machine) != (64, machine):
        return Reason("machine", f"it is a {identity} file, and the target is 64-bit {machine}")
    return None


def _other_rules(target: Target) -> Unknown | None:
    """Return the reason, as an Unknown, if the target's loader follows rules that are not implemented here (macOS, musl); else None."""
    platform = target.interpreter.platform
    if isinstance(platform, str) and not platform.startswith("linux"):
        return Unknown(f"the loader of {platform} has other rules than that of Linux")
    program = target.process.program
    interpreter = program.binary.elf.interpreter if program else None
    if interpreter and "/ld-musl" in interpreter:
        return Unknown("the target's C library is musl, whose loader has other rules than glibc's")
    return None


def _reasons(target: Target, module: str, path: str, binary: Binary, opening: Opening) -> Iterable[Reason]:
    name = path.rpartition("/")[2]
    entries = _entries(binary)
    refused = None if isinstance(entries, Operators) else naming.refused(name, target.interpreter)
    if refused is not None:
        yield Reason("python-abi", refused)
    if target.torch_troubles and any(target.brings(needed) for needed in binary.elf.needed):
        first = next(iter(_of_loader(target, "torch", target.torch_troubles)))
        yield Reason("torch", f"torch itself does not load here: {first.text}")
    yield from _of_loader(target, path, opening.troubles, binary)
    wanted = f"PyInit_{module.rpartition('.')[2]}"
    if isinstance(entries, DamagedFile):
        yield Reason("damaged", f"{path} {entries}")
    elif not isinstance(entries, Operators) and wanted not in entries and _is_module(name, entries):
        instead = f" (it has {', '.join(entries[:3])})" if entries else ""
        yield Reason("no-entry", f"it exports no {wanted}{instead}, so Python cannot import it as {module}")


def _is_module(name: str, entries: Sequence[str]) -> bool:
    """Return whether a file is named like a Python module.

    The name of a libfoo.so does not matter, because it is loaded by its path.
    """
    plain = naming.parse(name).tag is None
    return not plain or (bool(entries) and not name.startswith("lib"))


class Operators(NamedTuple):
    """Mark a library that is no Python module: a program loads it by its path, and it then registers its operators in torch."""


def _entries(binary: Binary) -> list[str] | Operators | DamagedFile:
    """Return the functions by which Python could initialise a file; empty for a file that is only loaded by its path; the error for a damaged file."""
    try:
        found = [_text(name) for name in binary.symbols.exported_like(b"PyInit_")]
        if not found and any(symbol.name.startswith(_REGISTERS) for symbol in binary.symbols.undefined):
            return Operators()
    except DamagedFile as error:
        return error
    return found


def _of_loader(
    target: Target, path: str, troubles: Sequence[Trouble], binary: Binary | None = None
) -> Iterable[Reason]:
    dating = _dating(target, binary) if any(isinstance(t, Unresolved) for t in troubles) else None
    for trouble in troubles:
        if isinstance(trouble, Missing):
            yield _missing(target, path, trouble)
        elif isinstance(trouble, Broken):
            yield Reason("damaged" if trouble.path == path else "library", f"{trouble.path} {trouble.why}")
        elif isinstance(trouble, Lacking):
            yield _lacking(trouble)
        elif not (target.process.program is None and _text(trouble.symbol.name).lstrip("_").startswith("Py")):
            yield _unresolved(target, path, trouble, dating)
            dating = None


def _missing(target: Target, path: str, trouble: Missing) -> Reason:
    name = trouble.name
    package = package_of(name, target.cuda)
    for_whom = "" if trouble.wanted_by == path else f", which {_short(trouble.wanted_by)} needs,"
    text = f"{name}{for_whom} is in none of the folders that the loader searches"
    if trouble.other_kind:
        text += f" (passed over: {trouble.other_kind})"
    if name.startswith(("libc10_cuda.", "libtorch_cuda.", "libc10_hip.", "libtorch_hip.", "libtorch_cuda_linalg.")):
        if target.torch is None:
            return Reason("torch-missing", f"{text}; the target has no torch")
        return Reason("cuda-flavour", f"{text}: it comes with {package}, and the torch here is another build")
    if name.startswith(("libtorch_cuda_cu.", "libtorch_cuda_cpp.")):
        return Reason("torch-version", f"{text}: it came with {package}")
    if name.startswith(("libtorch.", "libc10.", "libtorch_cpu.", "libtorch_python.")):
        return Reason(
            "torch-missing", f"{text}; " + ("the target has no torch" if target.torch is None else "torch has it")
        )
    if name.startswith("libpython"):
        return Reason("python-abi", text)
    return Reason("library", f"{text}; {package} has it" if package else text)


_FAMILIES: dict[str, BinaryCause] = {"GLIBC": "glibc", "GLIBCXX": "glibcxx", "CXXABI": "glibcxx"}


def _lacking(trouble: Lacking) -> Reason:
    version = trouble.need.version
    family = version.rpartition("_")[0]
    cause = _FAMILIES.get(family, "library-version")
    who = _short(trouble.wanted_by)
    built = "linked with a newer one" if cause == "library-version" else "built on a newer system"
    return Reason(cause, f"{who} needs {version}, which {trouble.path} does not have: it was {built}")


def _unresolved(target: Target, path: str, trouble: Unresolved, dating: str | None) -> Reason:
    name = _text(trouble.symbol.name)
    asks = "it asks for" if trouble.wanted_by == path else f"{_short(trouble.wanted_by)} asks for"
    text = f"{asks} {demangle(name)}, which nothing here exports"
    if trouble.symbol.version:
        return Reason("library-version", f"{asks} {name} of {trouble.symbol.version}, which nothing here exports")
    if name.startswith(("Py", "_Py")):
        return Reason("python-abi", f"{text}: it was compiled for another Python")
    owner = next((lib for lib in target.process.libraries if _exports(lib, trouble)), None)
    if owner is not None:
        who = "it" if trouble.wanted_by == path else _short(trouble.wanted_by)
        return Reason(
            "not-linked",
            f"{asks} {demangle(name)}: {_short(owner.path)} has it, but {who} does not name that library as needed",
        )
    if target.torch is None or not torch_symbols.is_torch(name):
        return Reason("symbol", text)
    new = torch_symbols.flavour(name)
    if new is not None and target.new_strings is not None and new is not target.new_strings:
        names = {True: "the new C++ ABI (std::__cxx11::string)", False: "the old C++ ABI (std::string)"}
        return Reason("cxx11-abi", f"{text}: it was compiled with {names[new]}, and this torch with {names[not new]}")
    if "4cuda" in name and not target.has_cuda:
        return Reason("cuda-flavour", f"{text}: it is for a CUDA build of torch")
    return Reason("torch-version", f"{text}{dating or ''}")


def _exports(library: Library, trouble: Unresolved) -> bool:
    try:
        return library.binary.symbols.exports(trouble.symbol.name, trouble.symbol.version)
    except DamagedFile:
        return False


def _dating(target: Target, binary: Binary | None) -> str | None:
    """Return the end of a sentence with the torch for which an extension was compiled; None if its symbols do not show it."""
    names = (_text(symbol.name) for symbol in binary.symbols.undefined if not symbol.weak) if binary else ()
    fits = torch_symbols.fitting(names)
    if not fits:
        return None
    return f": it was compiled for {built_for(fits)}, and this is torch {target.torch_minor or 'of an unknown version'}"


def _held(blank: Record, binary: Binary) -> Judged:
    """Return the record, filled with the values that the file alone shows: GPU code, C library, C++ ABI, torch."""
    record = replace(blank, **_gpu_code(binary))
    try:
        names = [_text(symbol.name) for symbol in binary.symbols.undefined if not symbol.weak]
        versions = [need.version for need in binary.elf.needs]
    except DamagedFile as error:
        why = Unknown(f"it {error}")
        return Judged(replace(record, built_for_torch=why, cxx11_abi=why, glibc=why, glibcxx=why))
    fits = torch_symbols.fitting(names)
    of_torch = [name for name in names if torch_symbols.TORCH_NAME.match(name)]
    record = replace(
        record,
        built_for_torch=built_for(fits) if fits else Unknown("none of its symbols shows it"),
        cxx11_abi=torch_symbols.flavours(of_torch),
        glibc=newest(versions, "GLIBC"),
        glibcxx=newest(versions, "GLIBCXX"),
    )
    return Judged(record, fits, bool(of_torch))


def _gpu_code(binary: Binary) -> dict[str, tuple[str, ...] | Unknown]:
    try:
        codes = fatbin.gpu_code(binary.elf)
    except DamagedFile as error:
        return dict.fromkeys(("sm", "ptx"), Unknown(f"it {error}"))
    return {kind: fatbin.ordered(codes, kind) for kind in ("sm", "ptx")}


def _needed(target: Target, name: str, found: str | None) -> Needed:
    if found is None:
        return Needed(name=name, found=None, package=package_of(name, target.cuda))
    # The path without "..".
    return Needed(name=name, found=target.files.real(found) if ".." in found else found, package=None)


def _found(opening: Opening, binary: Binary) -> list[tuple[str, str | None]]:
    if opening.found:
        return list(opening.found.items())
    try:
        return [(name, None) for name in binary.elf.needed]
    except DamagedFile:
        return []


def _undefined(opening: Opening) -> tuple[str, ...] | Unknown:
    if any(isinstance(trouble, (Missing, Broken)) for trouble in opening.troubles):
        return Unknown("not searched: the loader stops before, because a library is missing")
    names = [_text(trouble.symbol.name) for trouble in opening.troubles if isinstance(trouble, Unresolved)]
    return tuple(dict.fromkeys(names))


def sentences(reasons: Sequence[Reason]) -> tuple[str, ...]:
    """Return the first reasons as sentences; a last text counts the reasons that are left out."""
    shown = [reason.text for reason in reasons[:_MOST_REASONS]]
    rest = len(reasons) - len(shown)
    return (*shown, f"and {rest} more like these") if rest else tuple(shown)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _short(path: str) -> str:
    return path.rpartition("/")[2]
