"""Read evidence from compiled extensions without running them: the libraries and symbols that they need, and their GPU code.

Nothing is executed or imported. `read` judges extensions against a target, `torch_static` reads a torch, `libstdcxx` reads the
versions of a libstdc++. docs/binaries.md lists the rules that are followed, and the limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attn_doctor.model.facts import Binary, Interpreter, Unknown
from attn_doctor.probes.root import Root


def read(
    interpreter: Interpreter,
    torch_location: str | None,
    site_packages: Sequence[str],
    extensions: Mapping[str, str],
    environ: Mapping[str, str],
    *,
    root: Root | None = None,
) -> tuple[Binary, ...]:
    """Judge extension modules (name -> path) against an interpreter and the torch in a folder. Return a record for each, in their order.

    Each extension is judged as if it were loaded after `import torch`, by a process with this environment. The module
    "torch._C" means the import of torch itself. `site_packages`: the folders of sys.path in which torch looks for NVIDIA's
    libraries. `root`: where the file system of the examined machine is found; None: this machine. Paths are as that machine names them.
    """
    if isinstance(interpreter.platform, str) and interpreter.platform.startswith("win"):
        from attn_doctor.probes.binaries import windows

        base = interpreter.base_prefix if isinstance(interpreter.base_prefix, str) else None
        beside = windows.folders_of(str(interpreter.python), base, torch_location, environ)
        return tuple(
            windows.library(path, beside, has_system=True, module=module) for module, path in extensions.items()
        )
    if isinstance(interpreter.platform, str) and interpreter.platform.startswith("macosx"):
        from attn_doctor.probes.binaries import macos

        folders = [str(Path(torch_location) / "lib")] if torch_location else []
        on_mac = macos.target_of(interpreter, environ)
        return tuple(macos.library(path, folders, on_mac, module) for module, path in extensions.items())
    from attn_doctor.probes.binaries.files import Files
    from attn_doctor.probes.binaries.package_consistency import Judged, settle
    from attn_doctor.probes.binaries.target import Target
    from attn_doctor.probes.binaries.verdict import judge, judge_torch

    target = Target(Files(root), interpreter, torch_location, site_packages, environ)
    packages: dict[str, dict[str, Judged]] = {}
    for module, path in extensions.items():
        judged = Judged(judge_torch(target, path)) if module == "torch._C" else judge(target, module, path)
        packages.setdefault(module.partition(".")[0], {})[module] = judged
    records = {
        record.module: record
        for package in packages.values()
        for record in settle(list(package.values()), target.torch_minor)
    }
    return tuple(records[module] for module in extensions)


def torch_static(location: str, root: Root | None = None) -> dict[str, Any]:
    """Return the fields `archs` and `cxx11_abi` of facts.Torch for the torch in this folder."""
    from attn_doctor.probes.binaries import target
    from attn_doctor.probes.binaries.files import Files

    return target.torch_static(location, Files(root))


def libstdcxx(path: Path) -> dict[str, str | Unknown | None]:
    """Return the newest `glibcxx` ("3.4.30") and `cxxabi` ("1.3.13") version that a libstdc++.so.6 defines; None if it defines none.

    Unknown if the file cannot be read.
    """
    from attn_doctor.probes.binaries.files import Binary as File
    from attn_doctor.probes.binaries.mapped import DamagedFile, Mapped
    from attn_doctor.probes.binaries.target import newest_version

    try:
        file = File(Mapped.open(path))
        return {"glibcxx": newest_version(file, "GLIBCXX"), "cxxabi": newest_version(file, "CXXABI")}
    except (OSError, DamagedFile) as error:
        why = Unknown(f"{path} cannot be read: {error}")
        return {"glibcxx": why, "cxxabi": why}
