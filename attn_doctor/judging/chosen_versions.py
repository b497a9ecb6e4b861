"""Predict which version an installer chooses for a requirement, where the requirement alone decides that. Pure."""

from __future__ import annotations

from packaging.utils import canonicalize_name

from attn_doctor.model.facts import Distribution, Unknown
from attn_doctor.model.requirements import allows, read_requirement, read_wheel_name
from attn_doctor.model.steps import Install

LATER = "known once the steps are carried out"
# The newest NumPy for Python 3.9. With a newer Python, a range without an upper bound gives this version or a newer one.
_NUMPY_2 = "2.0.2"


def have(listed: tuple[Distribution, ...], name: str) -> str | None:
    """Return the installed version of a package; None if it is not installed, or its version is not known."""
    found = next((d.version for d in listed if d.name == name), None)
    return found if isinstance(found, str) else None


def version_of(text: str, step: Install, had: str | None) -> str | Unknown:
    """Return the version that an installer chooses for a requirement; Unknown if that depends on its index.

    `had`: the installed version; None: it is not installed, or not known.
    """
    if text.endswith(".whl"):
        wheel = read_wheel_name(text)
        return str(wheel.version) if wheel else Unknown(LATER)
    requirement = read_requirement(text)
    if requirement is None:
        return Unknown(LATER)
    exact = [s.version for s in requirement.specifier if s.operator in ("==", "===") and "*" not in s.version]
    if exact:
        flavour = step.index_url.rstrip("/").rpartition("/")[2] if step.index_url else ""
        return f"{exact[0]}+{flavour}" if flavour and "+" not in exact[0] else exact[0]
    stays = not step.upgrade and not step.reinstall  # a reinstalled package becomes the newest of its index
    if had is not None and stays and requirement.url is None and allows(requirement.specifier, had):
        return had
    bounds = [s for s in requirement.specifier if s.operator in ("<", "<=", "~=", "==", "===")]
    at_most = [s.version for s in bounds if s.operator == "<="]
    if len(bounds) == 1 and at_most:
        return at_most[0]
    if canonicalize_name(requirement.name) == "numpy" and not bounds:
        return _NUMPY_2
    return Unknown(LATER)
