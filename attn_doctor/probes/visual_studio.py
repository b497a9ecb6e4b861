r"""Find the C++ compilers of Visual Studio in the way in which setuptools finds them.

They are on PATH only in Visual Studio's own prompts.

Microsoft's installer puts `vswhere.exe` into one fixed folder: https://github.com/microsoft/vswhere/wiki/Installing. The default
toolset of an installation is in VC\Auxiliary\Build\Microsoft.VCToolsVersion.default.txt:
https://github.com/microsoft/vswhere/wiki/Find-VC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attn_doctor import child
from attn_doctor.model.facts import Compiler
from attn_doctor.probes.root import Root

_TOOLS = "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"
_ASKED = ("-products", "*", "-prerelease", "-requires", _TOOLS, "-sort", "-utf8", "-property", "installationPath")


def compilers(tree: Root, environ: Mapping[str, str]) -> tuple[Compiler, ...]:
    """Return the default compiler of each Visual Studio with C++ tools, the newest first; empty on other systems than Windows.

    MSVC 14.39.33519 has the cl.exe 19.39.33519: https://learn.microsoft.com/cpp/overview/compiler-versions.
    """
    folder = environ.get("PROGRAMFILES(X86)") or environ.get("ProgramFiles(x86)")
    program = f"{folder}/Microsoft Visual Studio/Installer/vswhere.exe"
    if not folder or not tree.is_file(program):
        return ()
    answer = child.command([str(tree.at(program)), *_ASKED], deadline=10.0, environ=environ)
    found = []
    for line in answer.stdout.splitlines():
        studio = line.strip()
        toolset = tree.text(f"{studio}/VC/Auxiliary/Build/Microsoft.VCToolsVersion.default.txt") if studio else None
        number = re.fullmatch(r"14(\.\d+\.\d+)", toolset or "")
        if number:
            path = f"{studio}/VC/Tools/MSVC/{toolset}/bin/Hostx64/x64/cl.exe"
            found.append(Compiler(name="cl", path=path, version=f"19{number[1]}"))
    return tuple(found)
