"""Name the command that installs a package into attn-doctor's own environment, for a package that only one engine needs."""

from __future__ import annotations

import importlib.util
import sys

from attn_doctor.commands import shells
from attn_doctor.errors import Refused

# The same as the extras of pyproject.toml: extra -> module, requirement.
EXTRAS = {
    "ray": ("ray", "ray>=2.40"),
    "kubernetes": ("kubernetes_validate", "kubernetes-validate>=1.31"),
}


def need(extra: str) -> None:
    """Raise Refused if the package of an extra is missing; the text has the command that installs it here."""
    module, requirement = EXTRAS[extra]
    if importlib.util.find_spec(module) is None:
        raise Refused(
            f"--on {extra} needs the extra {extra!r}, which is not in attn-doctor's own environment: {how(requirement)}"
        )


def how(requirement: str) -> str:
    """Return the command that installs a requirement into the environment of this process."""
    pip = importlib.util.find_spec("pip") is not None
    begin = (sys.executable, "-m", "pip", "install") if pip else ("uv", "pip", "install", "--python", sys.executable)
    return shells.quoted((*begin, requirement))
