"""Judge an OpenCV that Windows cannot load: Media Foundation, which its library needs, is not in every Windows. Signs, sentence and cures. Pure.

Windows N and KN come without it, and Windows Server has it as a feature that is off. The Visual C++ runtime is the other cause.
https://github.com/opencv/opencv-python#frequently-asked-questions
https://github.com/opencv/opencv/issues/23524
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, windows_dll_lines
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Fix, Severity
from attn_doctor.model.steps import Step

Edition = Literal["n", "server", "unknown"]

SIGNS = (
    Sign(
        pattern=r"(?P<edition_n>Windows(?:[ -]?\d{1,2})?(?:[/ ]\d{1,2})?(?: (?:Home|Pro|Professional|Enterprise|Education|for Workstations|LTSC|IoT))* K?N\b(?![.\w-]))",
        literal="Windows",
        sample="OS: Windows 11 Pro N 23H2",
        strength="context",
    ),
    *(
        Sign(
            pattern=rf"\b(?P<edition_n>{edition} K?N)\b(?![.\w-])",
            literal=f"{edition} ",
            sample=f"Edition: {edition} N",
            strength="context",
        )
        for edition in ("Home", "Pro", "Professional", "Enterprise", "Education")
    ),
    Sign(
        # platform.platform() writes "Windows-2022Server-10.0.20348-SP0"; the numbers are builds that only Windows Server has.
        pattern=r"(?P<edition_server>[Ww]indows[ -_][Ss]erver|Windows-20\d\dServer|windows/(?:servercore|nanoserver)|Version 10\.0\.(?:14393|20348|25398)\b)",
        literal="indows",
        sample="OS Name: Microsoft Windows Server 2022 Standard",
        strength="context",
    ),
    Sign(
        pattern=r"[\\/](?P<opencv>cv2)[\\/]__init__\.py",
        literal="cv2",
        sample='  File "C:\\venv\\lib\\site-packages\\cv2\\__init__.py", line 181, in <module>',
        strength="context",
    ),
    # The window of Windows, and the tools that list the libraries of a file.
    Sign(
        pattern=r"(?i:(?P<media>\bmf(?:plat|readwrite|core)?\.dll))\b.{0,60}(?:not found|missing|无法|找不到|nicht gefunden|introuvable)"
        r"|(?:not find|missing|找不到|because|manque) ?:? ?.{0,40}(?i:(?P<media_lost>\bmf(?:plat|readwrite|core)?\.dll))",
        literal=".dll",
        sample="The code execution cannot proceed because MFPlat.dll was not found.",
    ),
    Sign(
        pattern=r"(?:because|missing|not find) .{0,40}(?P<media_upper>MF(?:PLAT|Plat|READWRITE|ReadWrite|CORE|Core)?\.DLL)",
        literal=".DLL",
        sample="The program can't start because MFPlat.DLL is missing from your computer.",
    ),
)
_GROUPS = ("edition_n", "edition_server", "opencv", "media", "media_lost", "media_upper")
_NEAR = 12  # lines from a frame of cv2 to its error: frames of importlib are between them


class OfOpenCV(Variant, frozen=True, kw_only=True):
    """Hold the edition of Windows on which OpenCV does not load."""

    edition: Edition


def is_sign(match: Match) -> bool:
    return any(name in match.groups for name in _GROUPS)


def names_media(seen: Seen) -> tuple[Match, ...]:
    """Return the lines that name a library of Media Foundation as missing."""
    return tuple(m for m in seen.matches if any(name in m.groups for name in ("media", "media_lost", "media_upper")))


def of(seen: Seen, error: Match) -> Edition | None:
    """Return which Windows it is, if this error is OpenCV's; None if another module failed to load."""
    module = error.groups.get("module")
    near = any("opencv" in m.groups and m.file == error.file and 0 < error.line - m.line <= _NEAR for m in seen.matches)
    if module != "cv2" and not (module is None and near):
        return None
    return edition(seen)


def edition(seen: Seen) -> Edition:
    """Return the edition of Windows that the log shows: "server", "n" (N or KN), or "unknown"."""
    if seen.group("edition_server"):
        return "server"
    return "n" if seen.group("edition_n") else "unknown"


_BECAUSE: dict[Edition, str] = {
    "n": "it needs Media Foundation, which the editions N and KN of Windows do not contain",
    "server": "it needs Media Foundation, a feature of Windows Server that is off until somebody installs it",
    "unknown": "a DLL that it needs was not found. Probably it is a DLL of Media Foundation, which Windows N, Windows KN and Windows Server lack, or of the Visual C++ "
    "runtime",
}


def hit(seen: Seen, matches: list[Match], found: Edition) -> Hit:
    """Return the hit for an OpenCV that Windows cannot load, because a DLL that it needs is missing.

    `matches`: the lines of the error. `found`: the edition of Windows, which decides the message. The confidence is LOW if each line is cut
    before the name of the missing file, and no other line names a DLL of Media Foundation.
    """
    cut = all(windows_dll_lines.untold(m) for m in matches) and not names_media(seen)
    return Hit(
        message=f"cv2, the module of OpenCV, could not be loaded: {_BECAUSE[found]}.",
        evidence=building.lines(tuple(matches[:3])),
        variant=OfOpenCV(edition=found),
        confidence=Confidence.LOW if cut else Confidence.HIGH if found != "unknown" else Confidence.MEDIUM,
        severity=Severity.ERROR,
    )


def fixes(facts: Facts, found: Edition, runtime: Fix) -> tuple[Fix, ...]:
    """Return the cures of OpenCV, the likely one first. `runtime`: the fix that installs the Visual C++ runtime."""
    pack, feature = _feature_pack(), _server_feature()
    again = commands.by_hand((), "restart Windows: only then the libraries are there", "restarts Windows")
    verify = (*commands.starting(facts), "-c", "import cv2")
    if found == "n":
        return (Fix(title="Install the Media Feature Pack", steps=(pack, again), verify=verify), runtime)
    if found == "server":
        # Before Windows Server 2025 there is no winget. https://learn.microsoft.com/cpp/windows/latest-supported-vc-redist
        words = "download https://aka.ms/vs/17/release/vc_redist.x64.exe and run it: every compiled extension needs the Visual C++ runtime"
        own = commands.by_hand((), words, "installs the Visual C++ redistributable")
        runtime = Fix(title=runtime.title, steps=(own,), verify=verify)
        return (Fix(title="Install Media Foundation", steps=(feature, again), verify=verify), runtime)
    look = commands.by_hand(
        ("where.exe", "mfplat.dll", "mf.dll"),
        "if it prints two files of System32, Media Foundation is there: then install the Visual C++ runtime, below. If it finds none, run the next line that is for your Windows "
        "(`winver` shows the edition)",
        "nothing",
        "none",
    )
    steps: tuple[Step, ...] = (look, pack, feature, again)
    return (Fix(title="Install Media Foundation, if it is missing", steps=steps, verify=verify), runtime)


def _feature_pack() -> Step:
    """Return the step for Windows N and KN. https://support.microsoft.com/windows/media-feature-pack-for-windows-n."""
    return commands.by_hand(
        ("DISM", "/Online", "/Add-Capability", "/CapabilityName:Media.MediaFeaturePack~~~~0.0.1.0"),
        "Windows N or KN: in a terminal that runs as administrator. It adds the Media Feature Pack, which Settings lists under Optional features too",
        "adds the Media Feature Pack to Windows",
    )


def _server_feature() -> Step:
    """Return the step for Windows Server. https://learn.microsoft.com/uwp/api/windows.networking.sockets."""
    return commands.by_hand(
        ("DISM", "/Online", "/Enable-Feature", "/FeatureName:ServerMediaFoundation"),
        "Windows Server: in a terminal that runs as administrator. The feature is called Media Foundation in Server Manager. A container needs an image of windows/server: "
        "servercore and nanoserver do not have it",
        "adds the feature Media Foundation to Windows",
    )
