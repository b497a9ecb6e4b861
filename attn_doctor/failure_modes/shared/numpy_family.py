"""Find in a stated environment a package that was compiled for NumPy 1, beside NumPy 2: it does not import. Pure."""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.shared.fact_queries import package_evidence
from attn_doctor.failure_modes.shared.torch_facts import distribution
from attn_doctor.knowledge.rows import NumpyBuild
from attn_doctor.knowledge.tables import load
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Severity
from attn_doctor.model.versions import before_release, parse


def found(facts: Facts) -> Hit | None:
    """Return the hit for the first package that was compiled for NumPy 1, beside NumPy 2; None if there is none.

    None also for an examined environment, for packages of conda, and for a NumPy before 2.
    """
    numpy = distribution(facts, "numpy")
    have = parse(numpy.version) if numpy and isinstance(numpy.version, str) else None
    if facts.grade != "stated" or numpy is None or have is None or have.major < 2:
        return None
    for row in load(NumpyBuild):
        name, first = row.package, row.compiled
        one = distribution(facts, name)
        if one is None or not isinstance(one.version, str) or one.installer == "conda" or before_release(one.version):
            continue
        release, floor = parse(one.version), parse(first)
        if release is None or floor is None or release >= floor:
            continue
        return Hit(
            message=f"{name} {one.version} was compiled for NumPy 1, and NumPy {numpy.version} is listed beside it: importing it fails. {name} {first} is the first one for NumPy 2.",
            evidence=(package_evidence(facts, name), package_evidence(facts, "numpy")),
            severity=Severity.ERROR,
        )
    return None
