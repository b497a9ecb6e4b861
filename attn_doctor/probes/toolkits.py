"""Find all CUDA toolkits. A toolkit is counted once, even if several links and scripts lead to it.

nvcc is run for its version and architectures; the rest is read from the toolkit's files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from attn_doctor import child
from attn_doctor.model.facts import NOT_ASKED, Number, Text, Toolkit, Unknown
from attn_doctor.model.versions import dotted, sm
from attn_doctor.probes.root import Root
from attn_doctor.system import files, platforms
from attn_doctor.system.threads import Pool

# Headers that PyTorch's CUDA headers, flash-attn and nvcc itself include. With a partial toolkit a build fails late, in
# the compiler.
HEADERS = (
    "cuda.h",
    "cuda_runtime.h",
    "cuda_fp16.h",
    "cuda_bf16.h",
    "cuda_fp8.h",
    "crt/host_config.h",
    "cublas_v2.h",
    "cublasLt.h",
    "cusparse.h",
    "cusolverDn.h",
    "nv/target",
    "thrust/complex.h",
)
_NVCC = "nvcc.exe" if platforms.WINDOWS else "nvcc"
_WINDOWS_HOME = "C:/Program Files/NVIDIA GPU Computing Toolkit/CUDA"


class Where(NamedTuple):
    """Describe one place where a toolkit was found: a folder that should be a toolkit, or an nvcc."""

    by: str
    root: str
    nvcc: str | None


class _Nvcc(NamedTuple):
    """Describe the toolkit of an nvcc. `script`: the wrapper script, if `nvcc` is one. `problem`: why it leads to no toolkit."""

    root: str
    nvcc: str
    script: str | None = None
    problem: str | None = None


def toolkits(
    tree: Root, environ: Mapping[str, str], prefixes: Sequence[str], packages: str | None, pool: Pool | None
) -> tuple[Toolkit, ...]:
    """Return all toolkits, first those that environment variables name.

    `prefixes`: the target's folders. `packages`: its site-packages. If `pool` is None, no nvcc is started, and only files are
    read.
    """
    ways = list(_ways(tree, environ, prefixes, packages))
    if pool is None:
        return _from_files(tree, environ, ways)
    traced = {way.nvcc: pool.submit(_trace, tree, environ, way.nvcc) for way in ways if way.nvcc}
    merged: dict[str, tuple[list[str], _Nvcc | None]] = {}
    for way in ways:
        nvcc = traced[way.nvcc].result() if way.nvcc else None
        _merge(tree, merged, way, nvcc)
    asked = [pool.submit(_toolkit, tree, environ, root, tuple(by), nvcc) for root, (by, nvcc) in merged.items()]
    return tuple(future.result() for future in asked)


def _from_files(tree: Root, environ: Mapping[str, str], ways: Sequence[Where]) -> tuple[Toolkit, ...]:
    merged: dict[str, tuple[list[str], _Nvcc | None]] = {}
    for way in ways:
        _merge(tree, merged, way, _trace(tree, environ, way.nvcc, ask=False) if way.nvcc else None)
    return tuple(_toolkit(tree, environ, root, tuple(by), nvcc, ask=False) for root, (by, nvcc) in merged.items())


def _merge(tree: Root, merged: dict[str, tuple[list[str], _Nvcc | None]], way: Where, nvcc: _Nvcc | None) -> None:
    """Add one more place where a toolkit was found to the toolkits found so far."""
    root = nvcc.root if nvcc else tree.resolve(way.root)
    by, first = merged.setdefault(root, ([], nvcc))
    text = f"{way.by}, through the script {nvcc.script}" if nvcc and nvcc.script else way.by
    if text not in by:
        by.append(text)
    if first is None and nvcc is not None:
        merged[root] = (by, nvcc)


def _ways(tree: Root, environ: Mapping[str, str], prefixes: Sequence[str], packages: str | None) -> Iterator[Where]:
    # NVIDIA's installer for Windows sets CUDA_PATH_V12_4 for each release, and CUDA_PATH for the last one that was installed.
    releases = sorted(
        (name for name in environ if re.fullmatch(r"CUDA_PATH_V\d+_\d+", name)), key=_release, reverse=True
    )
    for name in ("CUDA_HOME", "CUDA_PATH", *releases):
        value = environ.get(name, "")
        if _is_toolkit(tree, value):
            yield _in(tree, name, tree.name(value))
    for path in tree.programs("nvcc", environ.get("PATH", "")):
        yield Where("PATH", str(PurePath(path).parent.parent), path)
    homes = [*tree.matching("/usr/local", "cuda"), *tree.matching("/opt", "cuda"), "/usr/lib/nvidia-cuda-toolkit"]
    for home in [*tree.matching(_WINDOWS_HOME, "v"), *homes]:
        if tree.is_dir(home):
            yield _in(tree, home, home)
    for prefix in dict.fromkeys([*prefixes, environ.get("CONDA_PREFIX", "")]):
        if prefix and tree.is_dir(f"{prefix}/conda-meta"):
            for home in (prefix, f"{prefix}/Library"):
                if tree.is_file(f"{home}/bin/{_NVCC}"):
                    yield _in(tree, "conda", home)
    for home in tree.matching(f"{packages}/nvidia", "cu") if packages else ():
        if tree.is_file(f"{home}/bin/{_NVCC}"):
            yield _in(tree, "pip", home)


def _release(name: str) -> tuple[int, ...]:
    """Return the release in the name of a variable of Windows: (12, 4) for "CUDA_PATH_V12_4"."""
    return tuple(int(number) for number in re.findall(r"\d+", name))


def _is_toolkit(tree: Root, folder: str) -> bool:
    """Return whether a named folder is a toolkit, perhaps a partial one; a folder such as /usr/local is none."""
    marks = (f"bin/{_NVCC}", "version.json", "version.txt", "include/cuda.h", "targets", "nvvm")
    return PurePath(folder).is_absolute() and any(tree.exists(f"{folder}/{mark}") for mark in marks)


def _in(tree: Root, by: str, home: str) -> Where:
    nvcc = str(PurePath(home, "bin", _NVCC))
    return Where(by, home, nvcc if tree.is_file(nvcc) else None)


def _trace(tree: Root, environ: Mapping[str, str], path: str, *, ask: bool = True) -> _Nvcc:
    """Return the toolkit of an nvcc. A compiled nvcc belongs to the folder above its own; a script is followed."""
    real = PurePath(tree.resolve(path))
    home = str(real.parent.parent)
    head = _head(tree, str(real))
    compiled = real.name == _NVCC and not head.startswith(b"#!")
    if compiled or not os.access(tree.at(str(real)), os.X_OK):
        return _Nvcc(home, str(real))
    # nvcc prints its folder before it compiles. The source file need not exist, but the host compiler must.
    here = _told_folder(tree, environ, path) if ask else ""
    if PurePath(here).is_absolute() and tree.is_file(f"{here}/{_NVCC}"):
        own = PurePath(tree.resolve(f"{here}/{_NVCC}"))
        return _Nvcc(str(own.parent.parent), str(own), None if own == real else path)
    started = re.search(rb"(/[^\s\"'$;|&]+/nvcc)\b", head)
    target = tree.name(started[1].decode("utf-8", "replace")) if started else str(real)
    if tree.resolve(target) == str(real):
        return _Nvcc(home, str(real))
    if tree.is_file(target):
        own = PurePath(tree.resolve(target))
        return _Nvcc(str(own.parent.parent), str(own), path)
    return _Nvcc(home, path, path, f"is a script that starts {target}, which does not exist")


def _told_folder(tree: Root, environ: Mapping[str, str], path: str) -> str:
    answer = child.command([str(tree.at(path)), "--dryrun", "x.cu"], deadline=10.0, environ=environ)
    told = re.search(r"^#\$ _HERE_=(.+)$", answer.stderr + answer.stdout, re.MULTILINE)
    return tree.name(told[1].strip()) if told else ""


def _head(tree: Root, path: str) -> bytes:
    try:
        return files.head(tree.at(path), 8192)
    except OSError:
        return b""


def _toolkit(
    tree: Root, environ: Mapping[str, str], root: str, by: tuple[str, ...], nvcc: _Nvcc | None, *, ask: bool = True
) -> Toolkit:
    includes = include_folders(tree, root)
    missing = tuple(h for h in HEADERS if not any(tree.is_file(f"{folder}/{h}") for folder in includes))
    version: Text = _written_version(tree, root, includes)
    archs: tuple[str, ...] | Unknown = Unknown("there is no nvcc to ask")
    if nvcc is None:
        problem: Text = f"has no bin/{_NVCC}"
    elif nvcc.problem:
        problem = nvcc.problem
    elif not os.access(tree.at(nvcc.nvcc), os.X_OK):
        problem, archs = f"{nvcc.nvcc} is not executable", Unknown("nvcc cannot be started")
    elif not ask:
        problem, archs = Unknown(NOT_ASKED), Unknown(NOT_ASKED)
    else:
        told, problem = _asked_version(tree, environ, nvcc.nvcc)
        version = told or version
        archs = _archs(tree, environ, nvcc.nvcc) if told else Unknown("nvcc does not answer")
    return Toolkit(
        root=root,
        found_by=by,
        nvcc=nvcc.nvcc if nvcc else None,
        version=version,
        problem=problem,
        missing_headers=missing,
        archs=archs,
        max_gcc=_newest_gcc(tree, includes),
    )


def include_folders(tree: Root, root: str) -> list[str]:
    """Return the folders for headers of a toolkit: its own, conda's and NVIDIA's target folders, CCCL's since 13.0.

    For the package of Debian /usr/include is one of them.
    """
    targets = [f"{root}/targets/{name}/include" for name in tree.entries(f"{root}/targets")]
    own = [f"{root}/include", *targets]
    if root.startswith("/usr/lib/"):
        own.append("/usr/include")  # the headers of Debian's package are in the compiler's default folder
    return [*own, *(f"{folder}/cccl" for folder in own)]


def _asked_version(tree: Root, environ: Mapping[str, str], nvcc: str) -> tuple[str | None, str | None]:
    """Return the release of an nvcc, "12.4", and the reason if there is none: one of the two is None."""
    answer = child.command([str(tree.at(nvcc)), "--version"], deadline=10.0, environ=environ)
    release = re.search(r"release (\d+\.\d+)", answer.stdout)
    if release:
        return release[1], None
    said = (answer.stderr.strip() or answer.stdout.strip()).splitlines()[-1:] or ["nothing"]
    if answer.fault is None:
        return None, f"`nvcc --version` names no release; it prints: {said[0][:200]}"
    ended = {
        "timeout": "does not end",
        "vanished": "does not end",
        "flooded": "prints without end",
        "signal": f"crashes ({answer.fault.signal})",
    }
    how = ended.get(answer.fault.kind, f"fails with exit code {answer.returncode}")
    return None, f"`nvcc --version` {how}; it prints: {said[0][:200]}"


def _archs(tree: Root, environ: Mapping[str, str], nvcc: str) -> tuple[str, ...] | Unknown:
    answer = child.command([str(tree.at(nvcc)), "--list-gpu-arch"], deadline=10.0, environ=environ)
    known = sorted(pair for name in answer.stdout.split() if (pair := sm(name)))
    return tuple(dict.fromkeys(dotted(pair) for pair in known)) or Unknown("this nvcc cannot list them")


def _written_version(tree: Root, root: str, includes: Sequence[str]) -> Text:
    """Return the version of a toolkit from a file of NVIDIA's installer, or from cuda.h.

    Used if nvcc is missing, does not answer, or was not run.
    """
    try:
        return ".".join(json.loads(tree.text(f"{root}/version.json") or "")["cuda"]["version"].split(".")[:2])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    written = re.search(r"CUDA Version (\d+\.\d+)", tree.text(f"{root}/version.txt") or "")
    if written:
        return written[1]
    header = next((t for folder in includes if (t := tree.text(f"{folder}/cuda.h"))), None)
    number = re.search(r"^#define CUDA_VERSION (\d{4,5})\b", header or "", re.MULTILINE)  # 12040 is 12.4
    if number:
        return f"{int(number[1]) // 1000}.{int(number[1]) % 1000 // 10}"
    return Unknown("no nvcc answers, and no file holds it")


def _newest_gcc(tree: Root, includes: Sequence[str]) -> Number:
    """Return the largest major version of gcc that the toolkit's own header allows."""
    text = next((t for folder in includes if (t := tree.text(f"{folder}/crt/host_config.h"))), None)
    limit = re.search(r"^#\s*if\s+__GNUC__\s*>\s*(\d{1,4})\b", text or "", re.MULTILINE)
    if limit:
        return int(limit[1])
    return Unknown("crt/host_config.h is missing" if text is None else "crt/host_config.h names no limit")
