"""Find in a stated environment a package that was compiled for NumPy 1, beside NumPy 2: it does not import. Pure."""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.shared.fact_queries import package_evidence
from attn_doctor.failure_modes.shared.torch_facts import distribution
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Severity
from attn_doctor.model.versions import before_release, parse

# Package -> (the release that is compiled for NumPy 2, the oldest release that is judged). Older ones need an older Python.
# https://github.com/numpy/numpy/issues/26191 (the list of NumPy's maintainers). pandas 2.2.1, matplotlib 3.8.3 and scikit-learn 1.4.1.post1 require
# numpy<2 on PyPI, the next releases do not. getBuildInformation() names NumPy 2.0.0 in the wheel of OpenCV 4.10.0.84, 1.17.0 in 4.10.0.82.
_COMPILED_FOR_2 = {
    "opencv-python": "4.10.0.84",
    "opencv-python-headless": "4.10.0.84",
    "opencv-contrib-python": "4.10.0.84",
    "pandas": "2.2.2",
    "scipy": "1.13.0",
    "scikit-learn": "1.4.2",
    "matplotlib": "3.8.4",
}


def found(facts: Facts) -> Hit | None:
    """Return the hit for the first package that was compiled for NumPy 1, beside NumPy 2; None if there is none.

    None also for an examined environment, for packages of conda, and for a NumPy before 2.
    """
    numpy = distribution(facts, "numpy")
    have = parse(numpy.version) if numpy and isinstance(numpy.version, str) else None
    if facts.grade != "stated" or numpy is None or have is None or have.major < 2:
        return None
    for name, first in _COMPILED_FOR_2.items():
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
