"""Compute from torch's files which libraries `import torch` loads.

A library that is loaded already is used before any folder is searched.

Follows torch/__init__.py from 2.0 on: first libtorch_global_deps.so with RTLD_GLOBAL; then NVIDIA's libraries from site-packages
(up to 2.5 only if the first step failed); then torch._C with all libraries that it needs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from attn_doctor.probes.binaries.files import Files
from attn_doctor.probes.binaries.loader import Broken, Lacking, Missing, Process, Trouble

# ("cublas", "libcublas.so.*[0-9]") and 'cublas': 'libcublas.so.*[0-9]'. Optional libraries are those assigned later,
# cuda_libs["cufile"] = "libcufile.so.*[0-9]", and those with required=False.
_PAIR = re.compile(r"""["'](\w+)["'](\])?\s*[,:=]\s*["'](lib[\w-]+\.so\.[^"']+)["'](,\s*required=False)?""")


class _Preload(NamedTuple):
    folder: str
    pattern: str
    optional: bool


class _Preloads(NamedTuple):
    """List the NVIDIA libraries that torch/__init__.py names, in its order."""

    when_it_fails: list[_Preload]
    when_it_works: list[_Preload]
    if_mapped: str  # part of a path; preload only where such a file is mapped
    continues: bool  # continue after a library that is missing


def import_torch(
    process: Process, location: str, site_packages: Sequence[str], suffix: str | None, cuda: str | None
) -> list[Trouble]:
    """Map the libraries that `import torch` would map. Returns the errors that would end the import.

    `location`: the folder of torch. `suffix`: the target's own suffix of extension modules. `cuda`: torch's CUDA major, "12".
    """
    files = process.files
    preloads = _preloads(files.text(f"{location}/__init__.py") or "")
    first = f"{location}/lib/libtorch_global_deps.so"
    if files.exists(first):
        troubles = process.dlopen(first, everybody=True).troubles
        if troubles:
            stems = [pattern.partition(".")[0] for _, pattern, _ in preloads.when_it_fails]
            named = _named(troubles[0])
            if not any(stem in named for stem in stems):
                return troubles
            troubles = _preload(process, preloads.when_it_fails, site_packages, cuda, continues=False)
            troubles = troubles or process.dlopen(first, everybody=True).troubles
            if troubles:
                return troubles
        elif preloads.if_mapped and any(preloads.if_mapped in library.path for library in process.libraries):
            _preload(process, preloads.when_it_works, site_packages, cuda, continues=preloads.continues)
    module = core_module(files, location, suffix)
    if module is None:
        return [Broken(f"{location}/_C", "is not there for this Python")]
    # torch's own libraries come from one wheel: the 20,000 symbols that they use of each other are not checked.
    return process.dlopen(module, trusted=location).troubles


def core_module(files: Files, location: str, suffix: str | None) -> str | None:
    """Return the file of torch._C that a Python would import; None if there is none.

    `suffix`: the suffix of its extension modules, ".cpython-311-x86_64-linux-gnu.so"; None: not known, then the first `_C.*.so` counts.
    """
    if suffix is None:
        return next(iter(files.matching(location, "_C.*.so")), None)
    names = (f"{location}/_C{ending}" for ending in (suffix, ".abi3.so", ".so"))
    return next((name for name in names if files.exists(name)), None)


def _preloads(source: str) -> _Preloads:
    begin = source.find("def _preload_cuda_deps")
    body = source[begin : source.find("\nif (USE_RTLD", begin)] if begin >= 0 else ""
    loading = body[body.find("def _load_global_deps") :]
    works, _, fails = loading.partition("except OSError as err")
    listed = _pairs(body)
    mapped = re.search(r'if "([^"]+)" not in _maps', works)
    if mapped is None:
        return _Preloads(listed, [], "", continues=False)
    continues = "_preload_cuda_deps(required=False)" in works
    return _Preloads(_pairs(fails) or listed, _pairs(works) or listed, mapped[1], continues=continues)


def _pairs(source: str) -> list[_Preload]:
    return [_Preload(m[1], m[3], optional=bool(m[2] or m[4])) for m in _PAIR.finditer(source)]


def _preload(
    process: Process, wanted: list[_Preload], site_packages: Sequence[str], cuda: str | None, *, continues: bool
) -> list[Trouble]:
    for folder, pattern, optional in wanted:
        found = _first_match(process.files, folder, pattern, site_packages, cuda)
        if found is None and not optional and not continues:
            return [Missing(pattern, "torch/__init__.py")]
        if found is not None:
            troubles = process.dlopen(found).troubles
            if troubles and not continues:
                return troubles
    return []


def _first_match(files: Files, folder: str, pattern: str, site_packages: Sequence[str], cuda: str | None) -> str | None:
    for path in site_packages:
        places = [
            f"{path}/nvidia/{folder}/lib",
            *([f"{path}/nvidia/cu{cuda}/lib"] if cuda else []),
            f"{path}/{folder}/lib",
        ]
        for place in places:
            found = files.matching(place, pattern)
            if found:
                return found[0]
    return None


def _named(trouble: Trouble) -> str:
    """Return the part of the loader's message in which torch/__init__.py searches for the name of a library."""
    if isinstance(trouble, Missing):
        return trouble.name
    if isinstance(trouble, Broken):
        return trouble.path
    if isinstance(trouble, Lacking):
        return f"{trouble.path} {trouble.wanted_by}"
    return f"{trouble.wanted_by} {trouble.symbol.name.decode('ascii', 'replace')}"
