"""Read the tools of a source build: CUDA toolkits, PyTorch's choice among them, compilers, ninja, cmake, git.

Each program is asked for its version, all at the same time. The failure modes judge whether the versions fit together.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

from attn_doctor import child
from attn_doctor.model.facts import NOT_ASKED, Compiler, Flag, Shadow, Text, Toolchain, Unknown
from attn_doctor.probes import visual_studio
from attn_doctor.probes.cuda_home import cuda_home, with_toolkits
from attn_doctor.probes.prefixes import prefixes_of, site_packages
from attn_doctor.probes.root import Root
from attn_doctor.probes.system import CUDA_LIBRARY
from attn_doctor.probes.toolkits import toolkits
from attn_doctor.system import platforms, windows
from attn_doctor.system.threads import Pool

# In the order in which a build uses them: PyTorch passes CC to nvcc as its host compiler, and compiles with CXX.
_COMPILERS = ("gcc", "g++", "c++", "clang", "clang++", "cl")


def toolchain(
    root: Path,
    environ: Mapping[str, str],
    prefix: str | None = None,
    *,
    ask: bool = True,
) -> tuple[Toolchain, dict[str, str]]:
    """Return the facts of the build tools, and the source of each field (see `probes`).

    `prefix`: the target's folder, which can contain a toolkit of its own.

    If `ask` is False, no program is started: its path is recorded, and its version only if a file has it.
    """
    prefixes = prefixes_of(prefix)
    tree = Root(root, outside=prefixes)
    search = environ.get("PATH", "")
    nvcc = tree.program("nvcc", search)
    on_windows = tree.real and platforms.WINDOWS
    pool, outer = Pool(12), Pool(4)
    found = outer.submit(toolkits, tree, environ, prefixes, site_packages(tree, prefix), pool if ask else None)
    compilers = outer.submit(_compilers, tree, environ, pool if ask else None)
    tools = {name: pool.submit(_version, tree, environ, name, ask) for name in ("ninja", "cmake", "git")}
    home = with_toolkits(tree, cuda_home(tree, environ, nvcc, on_windows), found.result())
    record = Toolchain(
        toolkits=found.result(),
        nvcc_on_path=nvcc,
        cuda_home=home.path,
        cuda_home_by=home.by,
        cuda_home_problem=home.problem,
        compilers=compilers.result(),
        ninja=tools["ninja"].result(),
        cmake=tools["cmake"].result(),
        git=tools["git"].result(),
        library_path=tuple(_shadows(tree, environ)),
        long_paths=_long_paths() if on_windows else None,
    )
    return record, {
        "": "each program's own --version" if ask else "the files on PATH",
        "cuda_home": "the rule of torch.utils.cpp_extension",
        "toolkits": "CUDA_HOME, CUDA_PATH, PATH, /usr/local, /opt, conda and site-packages",
        "library_path": "the folders in LD_LIBRARY_PATH",
    }


def _version(tree: Root, environ: Mapping[str, str], name: str, ask: bool) -> Text:
    """Return the version of a program; None if it is not on PATH."""
    path = tree.program(name, environ.get("PATH", ""))
    if path is None:
        return None
    if not ask:
        return Unknown(NOT_ASKED)
    answer = child.command([str(tree.at(path)), "--version"], deadline=5.0, environ=environ)
    number = re.search(r"\d+(\.\d+)+", answer.stdout)
    if number and answer.fault is None:
        return number[0]
    said = (answer.stderr.strip() or answer.stdout.strip()).splitlines()[-1:] or ["nothing"]
    return Unknown(f"`{path} --version` names none; it prints: {said[0][:200]}")


def _compilers(tree: Root, environ: Mapping[str, str], pool: Pool | None) -> tuple[Compiler, ...]:
    """Return the compilers that CC and CXX name, then those on PATH.

    A compiler that has two names (cc, gcc) gives two records. If `pool` is None, no compiler is started, and the versions are unknown.
    Visual Studio's compilers are not on PATH, and come last.
    """
    listed = list(_candidates(tree, environ))
    if pool:
        told = [f.result() for f in [pool.submit(_compiler, tree, environ, name, path) for name, path in listed]]
    else:
        told = [_unasked(tree, name, path) for name, path in listed]
    found: dict[tuple[str, str], Compiler] = {}
    for compiler in (*told, *(visual_studio.compilers(tree, environ) if pool else ())):
        found.setdefault((compiler.name, tree.resolve(compiler.path)), compiler)
    return tuple(found.values())


def _candidates(tree: Root, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    search = environ.get("PATH", "")
    for variable in ("CC", "CXX"):
        try:
            words = shlex.split(environ.get(variable, ""))
        except ValueError:  # an unclosed quotation mark
            words = []
        # "ccache gcc -m64": the compiler is the last word that names a program
        programs = [word for word in words if not word.startswith("-")]
        if programs:
            path = tree.program(programs[-1], search) if "/" not in programs[-1] else programs[-1]
            yield PurePath(programs[-1]).name, path or programs[-1]
    for name in _COMPILERS:
        path = tree.program(name, search)
        if path:
            yield name, path


def _unasked(tree: Root, name: str, path: str) -> Compiler:
    return Compiler(name=name, path=path, version=Unknown(NOT_ASKED) if tree.is_file(path) else None)


def _compiler(tree: Root, environ: Mapping[str, str], name: str, path: str) -> Compiler:
    if not tree.is_file(path):
        return Compiler(name=name, path=path, version=None)
    argv = [str(tree.at(path))] if PurePath(name).stem == "cl" else [str(tree.at(path)), "--version"]
    answer = child.command(argv, deadline=5.0, environ=environ, changes={"LC_ALL": "C"})
    text = answer.stdout + answer.stderr
    plus = "++" if "++" in name else ""
    clang = re.search(r"clang version (\d+(?:\.\d+)+)", text)
    if clang:
        return Compiler(name=f"clang{plus}", path=path, version=clang[1])
    gcc = re.search(r"^\S*(?:g\+\+|gcc|cc|c\+\+)\S* \(.*?\) (\d+(?:\.\d+)+)", text, re.MULTILINE)
    if gcc:
        return Compiler(name="g++" if plus else "gcc", path=path, version=gcc[1])
    microsoft = re.search(r"Microsoft.*?(\d+\.\d+\.\d+)", text)
    if microsoft:
        return Compiler(name="cl", path=path, version=microsoft[1])
    said = text.strip().splitlines()[:1] or ["nothing"]
    return Compiler(name=name, path=path, version=Unknown(f"it says: {said[0][:200]}"))


def _shadows(tree: Root, environ: Mapping[str, str]) -> Iterator[Shadow]:
    """Yield the folders of LD_LIBRARY_PATH with CUDA libraries. The loader takes these libraries before PyTorch's own."""
    for folder in dict.fromkeys(environ.get("LD_LIBRARY_PATH", "").split(":")):
        libraries = tuple(name for name in tree.entries(folder) if CUDA_LIBRARY.match(name)) if folder else ()
        if libraries:
            yield Shadow(folder=tree.name(folder), libraries=libraries)


def _long_paths() -> Flag:
    """Return whether Windows allows programs to use paths of more than 260 characters."""
    path = r"SYSTEM\CurrentControlSet\Control\FileSystem"
    try:
        return bool(windows.registry(path, "LongPathsEnabled"))
    except OSError as error:
        return Unknown(f"the registry does not hold it: {error.strerror or error}")
