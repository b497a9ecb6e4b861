"""Read the lines in which Windows says that it did not load a library: which of them count, and what each says. Pure."""

from __future__ import annotations

import re
import sys

from attn_doctor.failure_modes.shared import symbols
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.versions import parse

PROCEDURE = re.compile(symbols.PROCEDURE)
MISSING = re.compile(rf"DLL load failed|{symbols.MODULE}")
# Smart App Control, AppLocker and virus scanners refuse a file that is there.
_BLOCKED = re.compile(
    r"Application Control policy has blocked|应用程序控制策略已阻止|WinError (?:225|1260|4551)|contains a virus or potentially unwanted"
)
# Modules that are compiled for one torch, or that attention needs. About other modules less is known.
_OURS = re.compile(
    r"flash|^_C$|_C_|^_ext$|xformers|torch|triton|sage|causal|cv2|numpy|_multiarray|onnx|bitsandbytes|fbgemm|_cuda",
    re.IGNORECASE,
)
_NEAR = 8  # lines from the frame in torch/__init__.py to its error: the frames of ctypes are between them
_FIXED = (2, 4, 1)  # the first torch whose fbgemm.dll does not need libomp140.x86_64.dll, pytorch/pytorch#130697
LIBOMP = "fbgemm.dll needs libomp140.x86_64.dll, as that of torch 2.4.0 does, and this Windows does not have that file"


def matters(module: str) -> bool:
    """Return whether this module is compiled for one torch, or is one that attention needs: "flash_attn_2_cuda", "cv2"."""
    return _OURS.search(module) is not None


def blocked(match: Match) -> bool:
    """Return whether Windows refused a file that is there: Smart App Control, a policy or a virus scanner blocked it."""
    return _BLOCKED.search(match.text) is not None


def at_the_start_of_torch(seen: Seen, match: Match) -> bool:
    """Return whether an error without a file name is about torch, because torch was loading its own libraries."""
    return any("start" in m.groups and m.file == match.file and 0 < match.line - m.line <= _NEAR for m in seen.matches)


def untold(match: Match) -> bool:
    """Return whether the line is cut before the name of the missing file."""
    return "dll load failed" in match.text.lower() and not (match.groups.get("said") or "").strip(" .…")


def counts(match: Match) -> bool:
    """Return whether the line counts: it is about torch or attention, about a blocked file, or says that an unknown module lacks a file."""
    if blocked(match):
        return True
    if PROCEDURE.search(match.text) and match.groups.get("error") != "126" and "nameless" not in match.groups:
        return False
    module = match.groups.get("module")
    if module is None or matters(module):
        return True
    if module in sys.stdlib_module_names:
        return (
            False  # a module of Python itself, such as _sqlite3: it has nothing to do with torch, and no fix here helps
        )
    # An unknown module counts only if the line says that a file is missing: there are other reasons, such as a too small page file.
    return re.search(symbols.MODULE, match.groups.get("said") or "") is not None


def lacks_libomp(match: Match) -> bool:
    """Return whether a line names libomp140.x86_64.dll, or fbgemm.dll of torch, which needs it."""
    needs = match.groups.get("dll") == "fbgemm" and match.groups.get("error") == "126"
    return needs or "omp" in match.groups or "lost" in match.groups


def needs_libomp(facts: Facts) -> bool:
    """Return whether the fbgemm.dll of this torch may need libomp140.x86_64.dll.

    False if torch is known to be 2.4.1 or newer.
    """
    version = parse(facts.torch.version) if isinstance(facts.torch.version, str) else None
    return version is None or version.release < _FIXED
