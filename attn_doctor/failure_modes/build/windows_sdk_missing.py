"""Microsoft's compiler does not find the headers and libraries of the Windows SDK, or its own.

What it is
    cl.exe has no folders of its own in its options: it reads them from the variables INCLUDE and LIB, which only Visual Studio's prompts set.
    The standard C headers (stdio.h, corecrt.h), kernel32.lib and rc.exe belong to the Windows SDK, a part of Visual Studio that can be left out.

How it shows
    "fatal error C1083: Cannot open include file: 'corecrt.h': No such file or directory", the same with 'crtdefs.h', 'io.h', 'assert.h', 'stddef.h',
    'cstddef' or 'windows.h'; "LINK : fatal error LNK1104: cannot open file 'kernel32.lib'" ('ucrt.lib', 'msvcprt.lib'); "LNK1158: cannot run
    'rc.exe'"; the same words in other languages.

Why it happens
    Visual Studio was installed without "Desktop development with C++", or without a Windows SDK. Or the build ran in a plain prompt with cl.exe
    on PATH: a PATH that was set by hand is not enough. nvcc, torch and ninja start cl.exe with the variables of the shell.

What to do
    Install the C++ workload, which contains the Windows SDK. Then build in the "x64 Native Tools Command Prompt", with DISTUTILS_USE_SDK=1.

How to reproduce
    There is no recipe: it takes Windows and Visual Studio. On such a PC: start cl.exe by its whole path in a plain Command Prompt, with a file that
    includes stdio.h.

References
    https://learn.microsoft.com/cpp/error-messages/compiler-errors-1/fatal-error-c1083
    https://learn.microsoft.com/cpp/error-messages/tool-errors/linker-tools-error-lnk1158
    https://learn.microsoft.com/visualstudio/install/use-command-line-parameters-to-install-visual-studio (modify)
    https://github.com/graphdeco-inria/gaussian-splatting/issues/53 (crtdefs.h)
    https://github.com/facebookresearch/pytorch3d/issues/1566 (corecrt.h: the Windows SDK was missing)
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import system_tools
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

# Windows SDK: the folders ucrt, um and shared. https://learn.microsoft.com/cpp/porting/upgrade-your-code-to-the-universal-crt
_OF_SDK = (
    r"corecrt\w{0,20}\.h|assert\.h|complex\.h|ctype\.h|errno\.h|fenv\.h|io\.h|inttypes\.h|locale\.h|malloc\.h|math\.h|process\.h|signal\.h|stddef\.h|"
    r"stdio\.h|stdlib\.h|string\.h|time\.h|wchar\.h|direct\.h|windows\.h|Windows\.h|basetsd\.h|BaseTsd\.h|winsock2?\.h|WinSock2?\.h|winapifamily\.h"
)
# The compiler's own folder: VC\Tools\MSVC\VERSION\include.
_OF_COMPILER = (
    r"crtdefs\.h|vcruntime\w{0,20}\.h|sal\.h|excpt\.h|yvals\w{0,10}\.h|limits\.h|stdint\.h|stdarg\.h|stdbool\.h|setjmp\.h|intrin\.h|float\.h|eh\.h|"
    r"algorithm|array|atomic|cassert|cmath|cstddef|cstdint|cstdio|cstdlib|cstring|exception|functional|iostream|limits|map|memory|mutex|new|sstream|"
    r"stdexcept|string|type_traits|utility|vector|xkeycheck\.h"
)
_LIBRARIES = r"kernel32|user32|advapi32|shell32|ole32|uuid|ucrtd?|msvcrtd?|msvcprtd?|vcruntimed?|libcmtd?|libcpmtd?|oldnames|LIBCMT|MSVCRT|MSVCPRT|OLDNAMES"
_QUOTED = r"['\"“„«‘「『‹]\s?"

MODE = FailureMode(
    code="AD132",
    slug="windows-sdk-missing",
    title="Microsoft's compiler finds no Windows SDK",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "host-compiler-missing", "python-headers-missing", "extension-not-built"),
    signs=(
        Sign(
            pattern=rf"error C1083\s?[:：].{{0,80}}?{_QUOTED}(?P<header>{_OF_SDK})(?=\s?['\"”“»’」』›])",
            literal="error C1083",
            sample="C:\\Python311\\include\\pyconfig.h(59): fatal error C1083: Cannot open include file: 'io.h': No such file or directory",
        ),
        Sign(
            pattern=rf"error C1083\s?[:：].{{0,80}}?{_QUOTED}(?P<own>{_OF_COMPILER})(?=\s?['\"”“»’」』›])",
            literal="error C1083",
            sample="C:\\CUDA\\v12.4\\include\\crt/host_config.h(231): fatal error C1083: Cannot open include file: 'crtdefs.h': No such file or directory",
        ),
        Sign(
            pattern=rf"error LNK1(?:181|104)\s?[:：].{{0,120}}?['\"“„«‘「『‹\s](?P<library>(?:{_LIBRARIES})\.(?:lib|LIB))\b",
            literal="error LNK1",
            sample="LINK : fatal error LNK1104: cannot open file 'kernel32.lib'",
        ),
        Sign(
            pattern=r"error LNK1158\s?[:：].{0,80}?['\"“„«‘「『‹\s](?P<tool>rc\.exe)",
            literal="LNK1158",
            sample="LINK : fatal error LNK1158: cannot run 'rc.exe'",
        ),
    ),
)
# There is no `detect`: no fact holds the parts of Visual Studio, and INCLUDE is that of another shell.


class Missing(Variant, frozen=True, kw_only=True):
    """Hold what was not found. `sdk`: it is a part of the Windows SDK; False: of the compiler itself, so that only its prompt is missing."""

    sdk: bool
    studio: tuple[str, str] | None = (
        None  # the year and the edition of the Visual Studio whose compiler ran, ("2022", "Community")
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    found = [m for m in seen.matches if m.strength == "proof"]
    if not found:
        return None
    name = seen.group("header") or seen.group("library") or seen.group("tool")
    own = seen.group("own")
    what = f"{name}, a part of the Windows SDK," if name else f"{own}, a header of the compiler itself,"
    return Hit(
        message=f"Microsoft's compiler did not find {what} because the shell does not name its folders{' or it is not installed' if name else ''}.",
        evidence=building.lines(found),
        variant=Missing(sdk=name is not None, studio=_studio(found)),
    )


_STUDIO = re.compile(
    r"Microsoft Visual Studio[\\/]+(?P<year>2017|2019|2022)[\\/]+(?P<edition>Community|Professional|Enterprise|BuildTools)[\\/]"
)


def _studio(found: list[Match]) -> tuple[str, str] | None:
    """Return the year and the edition of the Visual Studio in the paths of these lines; None if they name none."""
    named = next((seen for m in found if (seen := _STUDIO.search(m.text))), None)
    return (named["year"], named["edition"]) if named else None


# https://learn.microsoft.com/visualstudio/install/workload-and-component-ids, https://learn.microsoft.com/visualstudio/install/command-line-parameter-examples
_CHANNELS = {"2017": "15", "2019": "16", "2022": "17"}


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = building.verify(facts)
    prompt = system_tools.native_prompt(facts)
    # cl.exe ran, so a Visual Studio is there. winget's --override is for a first installation only, Microsoft's page says: the installer's `modify` adds to
    # it. https://learn.microsoft.com/visualstudio/install/use-command-line-parameters-to-install-visual-studio
    year, edition = (hit.variant.studio if isinstance(hit.variant, Missing) else None) or ("2022", "BuildTools")
    workload = "VCTools" if edition == "BuildTools" else "NativeDesktop"
    install = commands.by_hand(
        (
            *(r"C:\Program Files (x86)\Microsoft Visual Studio\Installer\setup.exe", "modify"),
            *("--productId", f"Microsoft.VisualStudio.Product.{edition}"),
            *("--channelId", f"VisualStudio.{_CHANNELS[year]}.Release"),
            *("--add", f"Microsoft.VisualStudio.Workload.{workload}", "--includeRecommended", "--passive"),
        ),
        f"the C++ workload with the Windows SDK, for {'Build Tools' if edition == 'BuildTools' else f'Visual Studio {edition}'} {year}; for another Visual Studio by hand: start the Visual Studio Installer from the Start menu, Modify, "
        "'Desktop development with C++', with a Windows 10 or 11 SDK",
        "adds MSVC and the Windows SDK",
        takes="2 to 3 GB",
    )
    in_prompt = Fix(title="Build in the prompt that names the folders of the SDK", steps=(prompt,), verify=verify)
    whole = Fix(title="Install the Windows SDK, and build in its prompt", steps=(install, prompt), verify=verify)
    own = (in_prompt, whole) if isinstance(hit.variant, Missing) and not hit.variant.sdk else (whole, in_prompt)
    return (*building.without_compiling(facts, began=True), *own)
