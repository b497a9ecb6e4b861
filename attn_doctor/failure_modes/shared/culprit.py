"""Find the package that stopped an import: by the exception, or by the file in which the import failed."""

from __future__ import annotations

import re
from typing import NamedTuple

from packaging.utils import canonicalize_name

from attn_doctor.failure_modes.shared import requirements
from attn_doctor.knowledge.modules import distribution_of, module_of
from attn_doctor.model.facts import Facts, Fault
from attn_doctor.model.steps import Step

_NO_MODULE = re.compile(r"No module named '?(?P<module>[\w.]+)")
# A module does not have a name: a file of the module is missing, or another module with the same name hides it.
_LACKS = re.compile(
    r"(?:partially initialized )?module '(?P<module>\w+)[\w.]*' has no attribute|cannot import name '[^']+' from '(?P<of>\w+)"
)
# ".../site-packages/PIL/Image.py:12 in <module>": the folder after site-packages is the package.
_PLACE = re.compile(r"[\\/](?:site|dist)-packages[\\/](?P<module>[A-Za-z_]\w*)(?:\.py|[\\/.])")


class Culprit(NamedTuple):
    """Hold the package that stopped an import.

    `is_missing`: the package is not installed ("No module named 'yaml'"); False: it is installed and broken.
    """

    module: str
    distribution: str | None  # None: the distribution that contains this module is not known
    is_missing: bool


def missing_module(fault: Fault) -> str | None:
    """Return the module that an error reports as missing: "cv2"; None if the error says something else."""
    found = _NO_MODULE.search(fault.headline or "")
    return found["module"].partition(".")[0] if found else None


def culprit(facts: Facts, fault: Fault, importing: str) -> Culprit | None:
    """Return the package that stopped the import of `importing`; None if the fault does not show it.

    Example: the import of ultralytics failed at .../site-packages/PIL/Image.py:12: PIL is broken, and its distribution is pillow.
    """
    missing = _NO_MODULE.match(fault.message or "") if fault.type == "ModuleNotFoundError" else None
    if missing:
        top, _, inner = missing["module"].partition(".")
        return Culprit(top, _distribution(facts, top), is_missing=not inner and top != importing)
    lacks = _LACKS.search((fault.message or "").partition("\n")[0]) if fault.kind == "raised" else None
    if lacks and (lacks["module"] or lacks["of"]) != importing:
        module = lacks["module"] or lacks["of"]
        return Culprit(module, _distribution(facts, module), is_missing=False)
    place = _PLACE.search(fault.where or "")
    # A module's __getattr__ answers for a name that it does not have (https://peps.python.org/pep-0562/): who asked is not in the fault.
    if place and not (fault.where or "").endswith(" in __getattr__"):
        return Culprit(place["module"], _distribution(facts, place["module"]), is_missing=False)
    return None


def _distribution(facts: Facts, module: str) -> str | None:
    """Return the distribution that contains this module ("pillow" for "PIL"); None if it is not known.

    If several contain it (cv2 is in four), the installed one; else the usual one.
    """
    listed = facts.packages.distributions
    for found in listed if isinstance(listed, tuple) else ():
        if module_of(canonicalize_name(found.name)) == module:
            return found.name
    return distribution_of(module)


def install_missing(facts: Facts, to_blame: Culprit) -> tuple[tuple[Step, ...], int]:
    """Return (the steps that install the missing module and all other missing requirements, the number of packages they install)."""
    lacks = requirements.missing(facts)
    name = to_blame.distribution
    if name is None or any(lack.name == name for lack in lacks):
        return requirements.install(facts, lacks), len(lacks)
    more = "setuptools<81" if to_blame.module == "pkg_resources" else name
    return requirements.install(facts, lacks, (more,)), len(lacks) + 1
