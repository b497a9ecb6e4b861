"""NumPy 1 beside packages that need NumPy 2.

By hand, from the metadata of the wheels: opencv-python 4.12.0.88 needs "numpy<2.3.0,>=2" on Python 3.9 and newer and "numpy<2.0" before, 4.11.0.86
works with both.
"""

from __future__ import annotations

import msgspec
import pytest
from one_rule import found, told
from whole_machines import RTX_4090, changed, packages

from attn_doctor.failure_modes.shared.numpy_1 import with_opencv
from attn_doctor.knowledge.torch_choice import numpy_for
from attn_doctor.model.facts import Conflict, Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Install


def old_torch(python: str = "3.11.9", installer: str = "pip", **versions: str) -> Facts:
    listed = packages(torch="2.2.2", torchvision="0.17.2", **{"numpy": "2.2.6", **versions})
    return changed(
        RTX_4090,
        torch__version="2.2.2+cu121",
        torch__cuda="12.1",
        torch__numpy_bridge=False,
        torch__numpy_error="RuntimeError: Numpy is not available",
        interpreter__version=python,
        interpreter__tag="cp311",
        packages__distributions=tuple(
            msgspec.structs.replace(d, installer=installer) if d.name.startswith("opencv") else d for d in listed
        ),
    )


def requirements(slug: str, facts: Facts) -> list[tuple[str, ...]]:
    finding = found(slug, facts)
    assert finding is not None
    return [step.requirements for step in finding.fixes[0].steps if isinstance(step, Install)]


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (old_torch(opencv_python="4.12.0.88"), [("numpy<2", "opencv-python<4.12")]),
        (
            old_torch(opencv_python_headless="5.0.0.93", opencv_contrib_python="4.13.0.92"),
            [("numpy<2", "opencv-python-headless<4.12", "opencv-contrib-python<4.12")],
        ),
        (old_torch(opencv_python="4.11.0.86"), [("numpy<2",)]),
        (old_torch(), [("numpy<2",)]),
        (old_torch(python="3.8.20", opencv_python="4.12.0.88"), [("numpy<2",)]),
        (old_torch(installer="conda", opencv_python="4.12.0.88"), [("numpy<2",)]),
    ],
)
def test_an_opencv_that_needs_numpy_2_becomes_older_with_numpy(facts, wanted):
    assert requirements("numpy-abi", facts) == wanted


def test_a_numpy_that_stays_changes_no_opencv():
    step = Install(argv=(), why="", changes="", requirements=("torch==2.2.2", "numpy==1.26.4"))
    fix = Fix(title="Install torch again", steps=(step,), verify=())
    assert with_opencv(old_torch(numpy="1.26.4", opencv_python="4.12.0.88"), fix) == fix
    other = with_opencv(old_torch(numpy="2.2.6", opencv_python="4.12.0.88"), fix).steps[0]
    assert isinstance(other, Install)
    assert other.requirements == ("torch==2.2.2", "numpy==1.26.4", "opencv-python<4.12")


def test_no_range_is_asked_for_that_no_numpy_satisfies():
    """After `pip install "numpy<2"` alone, OpenCV's own requirement is not met: the cure is an older OpenCV."""
    facts = old_torch(opencv_python="4.12.0.88", numpy="1.26.4")
    conflict = Conflict(package="opencv-python 4.12.0.88", requires="numpy<2.3.0,>=2", found="1.26.4")
    facts = changed(facts, torch__numpy_bridge=True, torch__numpy_error=None, packages__conflicts=(conflict,))
    assert requirements("environment-pollution", facts)[-1] == ("numpy<2", "opencv-python<4.12")


def test_a_package_that_needs_numpy_2_is_looked_for_again_by_its_name():
    facts = old_torch(numpy="1.26.4", tensors="3.0")
    conflict = Conflict(package="tensors 3.0", requires="numpy>=2", found="1.26.4")
    facts = changed(facts, torch__numpy_bridge=True, torch__numpy_error=None, packages__conflicts=(conflict,))
    assert requirements("environment-pollution", facts)[-1] == ("numpy<2", "tensors")


@pytest.mark.parametrize(
    ("torch", "specifier", "wanted"),
    [
        ("2.2.2", "<2.3.0,>=2", "numpy<2"),
        ("2.2.2", ">=2.0.0", "numpy<2"),
        ("2.2.2", "==2.1.0", "numpy<2"),
        ("2.2.2", "==1.26.4", "numpy==1.26.4,<2"),
        ("2.2.2", ">=1.23", "numpy>=1.23,<2"),
        ("2.8.0", "<2.3.0,>=2", "numpy<2.3.0,>=2"),
    ],
)
def test_the_range_of_numpy_for_a_torch_has_versions(torch, specifier, wanted):
    assert numpy_for(torch, specifier) == wanted


def test_a_log_of_pip_about_opencv_names_no_empty_range():
    text = (
        "ERROR: pip's dependency resolver does not currently take into account all the packages that are installed. This behaviour is the source of "
        'the following dependency conflicts.\nopencv-python 4.12.0.88 requires numpy<2.3.0,>=2; python_version >= "3.9", but you have numpy 1.26.4 '
        "which is incompatible.\nSuccessfully installed numpy-1.26.4 torch-2.2.2\n"
    )
    finding = told(
        "environment-pollution", text, changed(Facts(), torch__version="2.2.2", interpreter__version="3.11.9")
    )
    assert finding is not None
    texts = [
        text for fix in finding.fixes for step in fix.steps if isinstance(step, Install) for text in step.requirements
    ]
    assert not [text for text in texts if ">=2" in text and "<2" in text.replace("<2.3", "")], texts
