"""Logs of packages that have nothing to do with torch and were compiled, and other whole outputs of that day: the root cause and its first lines."""

from __future__ import annotations

import pytest
from first_cures import cures
from first_cures import first as first_of

from attn_doctor.model.findings import Confidence, Finding


def first(log: str) -> tuple[Finding, list[str | None]]:
    """The finding that is printed first, and the lines of its first fix."""
    return first_of(log)[1], cures(log)[0]


# A build of pip in a temporary environment; {} is the package and its release.
PIP = (
    "$ python3.12 -m pip install {typed}\nCollecting {typed}\n  Downloading {sdist} (1.2 MB)\n"
    "  Getting requirements to build wheel did not run successfully.\n  exit code: 1\n"
    '    Traceback (most recent call last):\n      File "setup.py", line 9, in <module>\n{error}\n'
    "error: subprocess-exited-with-error\n"
)
COMPILED = (
    "$ pip install {typed}\nCollecting {typed}\n  Downloading {sdist} (180 kB)\nBuilding wheels for collected packages: {name}\n"
    "  error: subprocess-exited-with-error\n  Building wheel for {name} (setup.py) did not run successfully.\n"
    "{error}\n  error: command '/usr/bin/gcc' failed with exit code 1\n  ERROR: Failed building wheel for {name}\n"
    "ERROR: Failed to build one or more wheels\n"
)


@pytest.mark.parametrize(
    ("log", "slug", "line"),
    [
        (
            PIP.format(
                typed="scikit-image==0.19.3",
                sdist="scikit-image-0.19.3.tar.gz",
                error="    ModuleNotFoundError: No module named 'pkg_resources'",
            ),
            "wheel-missing-at-build",
            'python3.12 -m pip install --only-binary scikit-image "scikit-image>=0.19.3"',
        ),
        (
            PIP.format(
                typed="statsmodels",
                sdist="statsmodels-0.13.2.tar.gz",
                error="    ModuleNotFoundError: No module named 'distutils.version'",
            ),
            "wheel-missing-at-build",
            "python3.12 -m pip install --only-binary statsmodels statsmodels",
        ),
        (
            COMPILED.format(
                typed="hdbscan==0.8.29",
                name="hdbscan",
                sdist="hdbscan-0.8.29.tar.gz",
                error="  hdbscan/_tree.c:812:40: error: ‘PyArray_Descr’ has no member named ‘subarray’",
            ),
            "build-failed-unspecified",
            'pip install --only-binary hdbscan "hdbscan>=0.8.29"',
        ),
    ],
    ids=["pkg_resources", "distutils", "a C file"],
)
def test_a_release_with_a_wheel_is_the_first_cure(log, slug, line):
    said, lines = first(log)
    assert said.slug == slug
    assert [text for text in lines if text] == [line if line.startswith("python3") else f"python -m {line}"]


@pytest.mark.parametrize(
    "typed",
    ["--no-binary hdbscan hdbscan==0.8.29", "torch-points3d==1.3.0", "git+https://github.com/example/thing", "."],
)
def test_a_package_of_torch_and_a_build_that_was_asked_for_get_no_such_line(typed):
    log = COMPILED.format(
        typed=typed, name="hdbscan", sdist="x-1.0.tar.gz", error="  x.c:1:1: error: unknown type name ‘y’"
    )
    said, lines = first(log)
    assert not any("--only-binary" in (text or "") for text in lines), said


def test_the_bound_of_a_missing_module_takes_the_place_of_the_plain_name():
    """setuptools 82 has no pkg_resources: to install "setuptools" again changes nothing."""
    log = PIP.format(
        typed="-e .", sdist="x-1.0.tar.gz", error="    ModuleNotFoundError: No module named 'pkg_resources'"
    )
    _, lines = first(log)
    assert any('"setuptools<81"' in (text or "") for text in lines), lines
    assert not any(" setuptools " in (text or "") for text in lines), lines


def test_a_checkpoint_that_could_not_be_written_asks_for_the_free_space():
    log = (
        '  File "/v/lib/python3.10/site-packages/torch/serialization.py", line 620, in save\n    with _open_zipfile_writer(f) as opened:\n'
        "RuntimeError: [enforce fail at inline_container.cc:595] . unexpected pos 90112 vs 90004\n"
    )
    said, lines = first(log)
    assert (said.slug, said.confidence) == ("disk-full", Confidence.MEDIUM)
    assert lines[0] == "df -h ."


def test_a_library_of_cuda_that_cmake_does_not_find_is_missing_in_the_toolkit():
    log = (
        '$ pip install ggml-python\n  CMake Error at CMakeLists.txt:90 (target_link_libraries):\n    Target "ggml" links to:\n\n      CUDA::cusparse\n\n'
        "    but the target was not found.  Possible reasons include:\n  error: subprocess-exited-with-error\n"
    )
    said, _ = first(log)
    assert said.slug == "cuda-headers-incomplete"
    assert "cusparse" in said.message
