"""Cures of builds that lack something that is no package: CMake, a key of git, a macOS target, a GPU, the path of a folder, sources.

Each text is of a person's screen; the lines of the first cure were written by hand.
"""

from __future__ import annotations

import first_cures
import pytest
from one_rule import told

from attn_doctor.commands import quoted
from attn_doctor.model.findings import Finding
from attn_doctor.model.steps import Install, SetVariable, Step, Uninstall


def first(text: str) -> Finding:
    return first_cures.first(text)[1]


def line(step: Step) -> str | None:
    """Return a step in one line: a variable, the requirements that are installed, or a command."""
    if isinstance(step, SetVariable):
        return f"{step.name}={step.value}"
    if isinstance(step, Install | Uninstall):
        return " ".join(("pip", *step.requirements))
    return quoted(step.argv) or None


def lines(finding: Finding, fix: int = 0) -> list[str]:
    return [text for step in finding.fixes[fix].steps if (text := line(step))]


OLD = "      CMake 3.20 or higher is required.  You are running version 3.16.3\n  ERROR: Failed building wheel for onnxsim\n"
NONE = "      RuntimeError: CMake must be installed to build the following extensions: _dlib\n  ERROR: Failed building wheel for dlib\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"Ubuntu 20.04\n$ pip install onnxsim\n{OLD}", ["pip cmake>=3.20,<4", "cmake --version"]),
        (f"PS C:\\w> pip install onnxsim\n{OLD}", ["pip cmake>=3.20,<4", "cmake --version"]),
        (f"macOS 14.2\n$ pip install dlib\n{NONE}", ["brew install cmake"]),
        (f"PS C:\\w> pip install dlib\n{NONE}", ["winget install --id Kitware.CMake -e"]),
        (f"Ubuntu 24.04\n$ pip install dlib\n{NONE}", ["sudo apt-get install -y cmake"]),
    ],
)
def test_cmake_is_installed_in_the_way_of_the_machine(text, wanted):
    finding = first(text)
    assert (finding.slug, lines(finding)) == ("cmake-too-old", wanted)


MISMATCH = 'error: $MACOSX_DEPLOYMENT_TARGET mismatch: now "10.9" but "11.0" during configure\n  ERROR: Failed building wheel for x\n'


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("$ pip install fast-x\n", ["MACOSX_DEPLOYMENT_TARGET=11.0"]),
        # An exported value does not reach a command that sets the variable itself.
        (
            "$ MACOSX_DEPLOYMENT_TARGET=10.9 pip install fast-x\n",
            ["env MACOSX_DEPLOYMENT_TARGET=11.0 pip install fast-x"],
        ),
    ],
)
def test_the_deployment_target_is_changed_where_it_is_set(typed, wanted):
    finding = first(f"macOS 14.2\n{typed}{MISMATCH}")
    assert (finding.slug, lines(finding)) == ("macos-deployment-target", wanted)


def test_the_newest_macos_that_the_sources_need_counts():
    text = "".join(
        f"x.cpp:1:1: error: 'f' is unavailable: introduced in macOS {v}\n" for v in ("10.9", "10.15", "10.13")
    )
    finding = told("macos-deployment-target", text)
    assert finding is not None
    assert lines(finding) == ["MACOSX_DEPLOYMENT_TARGET=10.15"]


DENIED = "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            f"$ git clone git@github.com:owner/tool.git\n{DENIED}",
            ["git clone --recursive https://github.com/owner/tool.git"],
        ),
        (
            f"$ pip install git+ssh://git@github.com/owner/tool.git\n{DENIED}",
            ["pip git+https://github.com/owner/tool.git"],
        ),
        (
            f"$ git clone --recursive https://github.com/owner/tool\n{DENIED}fatal: clone of 'git@github.com:owner/part.git' into submodule path '/w/part' failed\n",
            [
                "git config --global url.https://github.com/.insteadOf git@github.com:",
                "git submodule update --init --recursive",
            ],
        ),
        (
            "$ pip install git+https://github.com/o/n\nERROR: Cannot find command 'git' - do you have 'git' installed\nmacOS 14.2\n",
            ["brew install git"],
        ),
    ],
)
def test_a_repository_is_fetched_without_a_key(text, wanted):
    finding = first(text)
    assert (finding.slug, lines(finding)) == ("git-cannot-fetch", wanted)


def test_a_server_that_refuses_a_login_is_no_repository():
    assert told("git-cannot-fetch", "user@gpu-server: Permission denied (publickey,password).\n") is None


TCNN = (
    "      OSError: Unknown compute capability. Specify the target compute capabilities in the TCNN_CUDA_ARCHITECTURES environment variable or install PyTorch\n"
    "  ERROR: Failed building wheel for tinycudann\n"
)


def test_tiny_cuda_nn_gets_its_own_variable_without_a_dot():
    finding = first(f"NVIDIA GeForce RTX 4090\n$ pip install ./tiny-cuda-nn/bindings/torch\n{TCNN}")
    assert (finding.slug, lines(finding)) == ("cross-compile-archs", ["TCNN_CUDA_ARCHITECTURES=89"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Failed to detect compute capability\n", False),
        ("Failed to detect compute capability\nerror: subprocess-exited-with-error\n", True),
    ],
)
def test_a_compute_capability_that_is_not_found_counts_in_a_build_only(text, found):
    assert (told("cross-compile-archs", text) is not None) is found


MISSING = "ERROR: Could not find a version that satisfies the requirement simple-knn (from versions: none)\nERROR: No matching distribution found for simple-knn\n"


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("user@host:~/splat/submodules$ pip install simple-knn fused-ssim\n", ["./simple-knn", "./fused-ssim"]),
        ("PS C:\\splat\\submodules> pip install simple-knn\n", [".\\simple-knn"]),
    ],
)
def test_a_folder_that_was_typed_as_a_name_is_installed_by_its_path(before, wanted):
    steps = lines(first(f"{before}{MISSING}"))
    assert [step.split()[-1].strip("'\"") for step in steps[1:]] == wanted


def test_a_name_that_no_folder_explains_is_looked_up():
    finding = first("$ pip install fused-thing\n" + MISSING.replace("simple-knn", "fused-thing"))
    assert [fix.title for fix in finding.fixes] == [
        "Install a version of fused-thing that exists",
        "If fused-thing is a folder: install it by its path",
    ]


def test_an_archive_without_sources_is_built_from_the_repository():
    text = (
        "$ pip install causal-conv1d\n  Using cached causal_conv1d-1.0.1.tar.gz (6.4 kB)\n"
        "ninja: error: '/tmp/p/csrc/conv.cpp', needed by '/tmp/p/build/conv.o', missing and no known rule to make it\n  ERROR: Failed building wheel for causal-conv1d\n"
    )
    finding = first(text)
    assert (finding.slug, lines(finding)) == (
        "sdist-packaging-bug",
        ["pip git+https://github.com/Dao-AILab/causal-conv1d.git"],
    )
    assert lines(finding, 1) == ["pip causal-conv1d!=1.0.1"]


def test_an_empty_submodule_is_no_fault_of_the_archive():
    text = "ninja: error: '/w/third_party/glm/glm.cpp', needed by '/w/b/glm.o', missing and no known rule to make it\n  ERROR: Failed building wheel for x\n"
    assert told("sdist-packaging-bug", text) is None


@pytest.mark.parametrize(
    ("text", "on"),
    [
        (
            "├─ readline =8.2 h5eee18b_0 does not exist (perhaps a typo or a missing channel);\n└─ tk =8.6 h1ccaba5_0 does not exist (perhaps a typo or a missing channel).\n",
            False,
        ),
        (
            "├─ readline =8.2 h5eee18b_0 does not exist (perhaps a typo or a missing channel);\n└─ zlib =1.2 h5eee18b_0 does not exist (perhaps a typo or a missing channel).\n",
            True,
        ),
        ("└─ ipython =8.26.0 pyh707e725_0 requires\n   └─ __unix =* *, which is missing on the system.\n", True),
    ],
)
def test_builds_of_linux_on_windows_are_known_by_their_hashes(text, on):
    log = f"Windows 11\nC:\\w>mamba env create -f e.yml\nCould not solve for environment specs\nThe following packages are incompatible\n{text}"
    finding = first(log) if on else None
    assert (finding is not None and finding.slug == "environment-file-of-another-platform") is on
    if finding:
        assert lines(finding)[-1] == "mamba env create -f environment.yml"
