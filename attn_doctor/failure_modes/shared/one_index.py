"""Read from a log that only PyTorch's index was asked for a package that PyPI has. Pure."""

from __future__ import annotations

import re

from attn_doctor.failure_modes.mode import Sign
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import name_of

SIGNS = (
    Sign(
        pattern=r"^Looking in indexes: (?P<only>https://download\.pytorch\.org/whl/[\w./]+)$",
        literal="Looking in indexes: ",
        sample="Looking in indexes: https://download.pytorch.org/whl/cu121",
        strength="context",
    ),
)
TORCHS = ("torch", "torchvision", "torchaudio", "triton", "xformers")
_OPTION = re.compile(r"\s(?:--index-url|--default-index|-i)[ =](?P<index>https://download\.pytorch\.org/whl/\S+)")


def wanted(seen: Seen) -> str:
    """Return the first requirement that pip did not find, as the log has it ("ultralytics==8.3.0"); "" if there is none."""
    return next((m.groups["requirement"].rstrip(".,") for m in seen.matches if m.groups.get("requirement")), "")


def asked_alone(facts: Facts, seen: Seen) -> str | None:
    """Return the address of PyTorch's index, if pip asked no other index for a package that does not belong to torch; else None."""
    name = name_of(re.split(r"[<>=!~\[(]", wanted(seen))[0]) if wanted(seen) else None
    option = _OPTION.search(facts.subject.command) if isinstance(facts.subject.command, str) else None
    index = seen.group("only") or (option["index"] if option else None)
    return index if name and name not in TORCHS and not name.startswith("nvidia-") else None


def without(command: str) -> str:
    """Return a typed command without its option for PyTorch's index ("--index-url https://download.pytorch.org/whl/cu124")."""
    return _OPTION.sub("", command)
