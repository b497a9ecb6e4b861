"""The probe of what a source build would use, on machines of files and scripts, and against PyTorch's own rule."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from build_tools import probe
from kit import Machine, ubuntu

from attn_doctor.model.facts import Toolchain, Toolkit, Unknown
from attn_doctor.probes.cuda_home import cuda_home
from attn_doctor.probes.root import Root

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fake tools are shell scripts")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return ubuntu(Machine(tmp_path / "machine"))


def test_nothing_is_there(machine):
    assert probe(machine) == Toolchain(
        toolkits=(),
        nvcc_on_path=None,
        cuda_home=None,
        cuda_home_by=None,
        cuda_home_problem=None,
        compilers=(),
        ninja=None,
        cmake=None,
        git=None,
        library_path=(),
        long_paths=None,
    )


def test_one_toolkit_is_counted_once_whatever_leads_to_it(machine):
    machine.toolkit("/usr/local/cuda-12.4", "12.4", archs=[50, 80, 90], max_gcc=13)
    machine.link("/usr/local/cuda", "/etc/alternatives/cuda")
    machine.link("/etc/alternatives/cuda", "/usr/local/cuda-12.4")
    machine.link("/usr/local/cuda-12", "cuda-12.4")
    machine.link("/usr/bin/nvcc", "/usr/local/cuda/bin/nvcc")
    machine.environ |= {"CUDA_HOME": "/usr/local/cuda", "PATH": "/usr/local/cuda/bin:/usr/bin:/bin"}
    found = probe(machine)
    assert found.toolkits == (
        Toolkit(
            root="/usr/local/cuda-12.4",
            found_by=("CUDA_HOME", "PATH", "/usr/local/cuda", "/usr/local/cuda-12", "/usr/local/cuda-12.4"),
            nvcc="/usr/local/cuda-12.4/bin/nvcc",
            version="12.4",
            problem=None,
            missing_headers=(),
            archs=("5.0", "8.0", "9.0"),
            max_gcc=13,
        ),
    )
    assert found.nvcc_on_path == "/usr/local/cuda/bin/nvcc"
    assert (found.cuda_home, found.cuda_home_by, found.cuda_home_problem) == ("/usr/local/cuda", "CUDA_HOME", None)


def test_several_toolkits_in_the_order_of_what_names_them(machine):
    machine.toolkit("/usr/local/cuda-11.8", "11.8", max_gcc=11)
    machine.toolkit("/usr/local/cuda-12.4", "12.4")
    machine.toolkit("/opt/cuda", "13.0")
    machine.environ |= {"CUDA_HOME": "/usr/local/cuda-12.4", "PATH": "/usr/local/cuda-11.8/bin:/usr/bin"}
    found = probe(machine)
    assert [(t.version, t.found_by) for t in found.toolkits] == [
        ("12.4", ("CUDA_HOME", "/usr/local/cuda-12.4")),
        ("11.8", ("PATH", "/usr/local/cuda-11.8")),
        ("13.0", ("/opt/cuda",)),
    ]
    assert (found.cuda_home, found.nvcc_on_path) == ("/usr/local/cuda-12.4", "/usr/local/cuda-11.8/bin/nvcc")


@pytest.mark.parametrize("script", ['exec {}/bin/nvcc "$@"\n', 'home={}\nname=nvcc\nexec "$home/bin/$name" "$@"\n'])
def test_a_script_that_starts_another_nvcc_is_followed(machine, script):
    machine.toolkit("/usr/local/cuda-13.0", "13.0")
    machine.script("/usr/local/bin/nvcc", script.format(machine.path("/usr/local/cuda-13.0")))
    found = probe(machine)
    assert [(t.root, t.version) for t in found.toolkits] == [("/usr/local/cuda-13.0", "13.0")]
    assert found.toolkits[0].found_by == ("PATH, through the script /usr/local/bin/nvcc", "/usr/local/cuda-13.0")
    # What PyTorch makes of it: the folder above the script, which has no headers
    assert (found.cuda_home, found.cuda_home_by) == ("/usr/local", "nvcc on PATH")
    assert found.cuda_home_problem == "has no include/cuda_runtime.h"


def test_the_toolkit_of_debians_package(machine):
    """Its /usr/bin/nvcc is a script, its headers are the compiler's own, its nvcc.profile names no TOP."""
    machine.toolkit("/usr/lib/nvidia-cuda-toolkit", "11.8", max_gcc=11)
    machine.path("/usr/lib/nvidia-cuda-toolkit/include").rename(machine.path("/usr/include"))
    machine.script("/usr/bin/nvcc", f'exec {machine.path("/usr/lib/nvidia-cuda-toolkit/bin/nvcc")} "$@"\n')
    found = probe(machine)
    assert [(t.root, t.version, t.missing_headers, t.max_gcc) for t in found.toolkits] == [
        ("/usr/lib/nvidia-cuda-toolkit", "11.8", (), 11)
    ]
    assert (found.cuda_home, found.cuda_home_by, found.cuda_home_problem) == ("/usr", "nvcc on PATH", None)


def test_a_script_is_read_where_nvcc_cannot_tell_for_want_of_a_host_compiler(machine):
    machine.toolkit("/usr/local/cuda-13.0", "13.0")
    real = machine.path("/usr/local/cuda-13.0/bin/nvcc")
    text = real.read_text().replace(
        "--dryrun)", "--dryrun) echo 'gcc: No such file or directory' >&2; exit 1;;\n--never)"
    )
    real.write_text(text)
    machine.script("/usr/local/bin/nvcc", f'exec {real} "$@"\n')
    found = probe(machine)
    assert [(t.root, t.version, t.problem) for t in found.toolkits] == [("/usr/local/cuda-13.0", "13.0", None)]


def test_a_script_whose_nvcc_is_gone(machine):
    machine.script("/usr/local/bin/nvcc", f'exec {machine.root}/usr/local/cuda-13.0/bin/nvcc "$@"\n')
    found = probe(machine)
    (toolkit,) = found.toolkits
    assert toolkit.problem == "is a script that starts /usr/local/cuda-13.0/bin/nvcc, which does not exist"
    assert found.cuda_home == "/usr/local"
    assert found.cuda_home_problem == f"has bin/nvcc, but nvcc does not run: {toolkit.problem}"
    assert (toolkit.root, toolkit.nvcc) == ("/usr/local", "/usr/local/bin/nvcc")
    assert isinstance(toolkit.version, Unknown)


def test_a_link_to_a_compiler_cache_is_followed_too(machine):
    machine.toolkit("/usr/local/cuda-12.4", "12.4")
    real = machine.path("/usr/local/cuda-12.4/bin/nvcc")
    machine.script("/usr/bin/ccache", f'exec {real} "$@"\n')
    machine.link("/usr/lib/ccache/nvcc", "/usr/bin/ccache")
    machine.environ["PATH"] = "/usr/lib/ccache:/usr/bin"
    found = probe(machine)
    assert [t.root for t in found.toolkits] == ["/usr/local/cuda-12.4"]
    assert found.cuda_home == "/usr/lib"


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (
            "echo 'bash: nvcc: something else'",
            "`nvcc --version` names no release; it prints: bash: nvcc: something else",
        ),
        (
            "echo 'libstdc++ is missing' >&2; exit 127",
            "`nvcc --version` fails with exit code 127; it prints: libstdc++ is missing",
        ),
        ("kill -SEGV $$", "`nvcc --version` crashes (SIGSEGV); it prints: nothing"),
    ],
)
def test_an_nvcc_that_gives_no_version(machine, script, problem):
    machine.script("/usr/local/cuda-12.4/bin/nvcc", script + "\n")
    machine.file(
        "/usr/local/cuda-12.4/version.json", json.dumps({"cuda": {"name": "CUDA SDK", "version": "12.4.20240425"}})
    )
    (toolkit,) = probe(machine).toolkits
    assert toolkit.problem == problem
    assert toolkit.version == "12.4"  # its file says so
    assert isinstance(toolkit.archs, Unknown)


def test_an_nvcc_that_is_not_executable(machine):
    machine.toolkit("/usr/local/cuda-12.4", "12.4")
    machine.path("/usr/local/cuda-12.4/bin/nvcc").chmod(0o644)
    machine.environ["CUDA_HOME"] = "/usr/local/cuda-12.4"
    found = probe(machine)
    assert found.toolkits[0].problem == "/usr/local/cuda-12.4/bin/nvcc is not executable"
    assert found.cuda_home_problem == "has bin/nvcc, but nvcc is not executable"
    assert found.nvcc_on_path is None


def test_a_runtime_image_has_a_toolkit_without_nvcc(machine):
    machine.folder("/usr/local/cuda-12.4/targets/x86_64-linux/lib")
    machine.link("/usr/local/cuda", "cuda-12.4")
    found = probe(machine)
    (toolkit,) = found.toolkits
    assert (toolkit.root, toolkit.nvcc, toolkit.problem) == ("/usr/local/cuda-12.4", None, "has no bin/nvcc")
    assert (found.cuda_home, found.cuda_home_by) == ("/usr/local/cuda", "/usr/local/cuda")
    assert found.cuda_home_problem == "has no bin/nvcc"


def test_missing_headers(machine):
    machine.toolkit("/usr/local/cuda-12.4", "12.4", missing=["cusparse.h", "cublas_v2.h", "crt/host_config.h"])
    (toolkit,) = probe(machine).toolkits
    assert toolkit.missing_headers == ("crt/host_config.h", "cublas_v2.h", "cusparse.h")
    assert toolkit.max_gcc == Unknown("crt/host_config.h is missing")


def test_headers_in_the_target_folder_of_conda_and_under_cccl_count(machine):
    prefix = "/opt/conda/envs/x"
    machine.toolkit(prefix, "13.0", missing=["thrust/complex.h"])
    machine.folder(f"{prefix}/conda-meta")
    machine.path(f"{prefix}/include").rename(machine.folder(f"{prefix}/targets/x86_64-linux") / "include")
    machine.file(f"{prefix}/targets/x86_64-linux/include/cccl/thrust/complex.h")
    machine.environ["CONDA_PREFIX"] = prefix
    found = probe(machine, prefix)
    (toolkit,) = found.toolkits
    assert (toolkit.root, toolkit.found_by, toolkit.missing_headers, toolkit.max_gcc) == (prefix, ("conda",), (), 13)
    machine.environ["CUDA_HOME"] = prefix
    assert probe(machine, prefix).cuda_home_problem is None


def test_a_toolkit_that_pip_installed_into_the_target(machine, tmp_path):
    packages = "/home/user/.venv/lib/python3.12/site-packages"
    machine.toolkit(f"{packages}/nvidia/cu13", "13.1")
    machine.folder(f"{packages}/nvidia/cudnn/lib")
    machine.file(f"{packages}/nvidia/cuda_nvcc/bin/ptxas")  # the cu12 wheels have no nvcc
    found = probe(machine, "/home/user/.venv")
    assert [(t.root, t.found_by) for t in found.toolkits] == [(f"{packages}/nvidia/cu13", ("pip",))]
    assert found.cuda_home is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("/usr/local/cuda-12.4", None),
        ("/usr/local/cuda-12.4/", None),
        ("/usr/local/cuda-12.4:", "ends with ':', which became a part of it"),
        (":/usr/local/cuda-12.4", "begins with ':', which became a part of it"),
        ("/usr/local/cuda-12.4:/usr/local/cuda-11.8", "is a list of 2 folders; it has to be one"),
        ("/usr/local/cuda-12.4;/usr/local/cuda-11.8", "is a list of 2 folders; it has to be one"),
        ("/usr/local/cuda-12.4/bin", "ends in /bin; the toolkit is the folder above, /usr/local/cuda-12.4"),
        ("/usr/local/cuda-12.4/bin/nvcc", "is a file; it has to be the folder of the toolkit"),
        ("/usr/local/cuda-12.9", "does not exist"),
        ("~/cuda", "begins with '~', which is not expanded"),
        ("$HOME/cuda", "holds a variable that was not expanded"),
        ("$CUDA_HOME:/usr/local/cuda-12.4", "holds a variable that was not expanded"),
        ("/usr/local/cuda-12.4\n", "ends in a line break"),
        ("/usr/local/cuda-12.4 ", "begins or ends with white space"),
        ('"/usr/local/cuda-12.4"', "is in quotation marks, which became a part of it"),
        ("C:\\Program Files\\NVIDIA GPU Computing Toolkit\\CUDA\\v12.4", "is a path of Windows"),
        ("/usr/share", "has no bin/nvcc"),
        ("/headless", "has no include/cuda_runtime.h"),
    ],
)
def test_cuda_home_in_words(machine, value, problem):
    machine.toolkit("/usr/local/cuda-12.4", "12.4")
    machine.toolkit("/headless", "12.4", missing=["cuda_runtime.h"])
    machine.folder("/usr/share")
    machine.environ["CUDA_HOME"] = value
    found = probe(machine)
    assert (found.cuda_home, found.cuda_home_by, found.cuda_home_problem) == (value, "CUDA_HOME", problem)


def test_a_header_that_cpath_leads_to_is_not_missing(machine):
    machine.toolkit("/headless", "12.4", missing=["cuda_runtime.h"])
    machine.file("/elsewhere/cuda_runtime.h")
    machine.environ |= {"CUDA_HOME": "/headless", "CPATH": "/other:/elsewhere"}
    assert probe(machine).cuda_home_problem is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (r"C:\CUDA\v12.4;C:\CUDA\v11.8", "is a list of 2 folders; it has to be one"),
        (r"C:\CUDA\v12.4;", "ends with ';', which became a part of it"),
        (r"C:\CUDA\v12.4", "does not exist"),
    ],
)
def test_the_colon_of_a_windows_drive_separates_nothing(machine, value, problem):
    assert cuda_home(Root(machine.root), {"CUDA_PATH": value}, None, windows=True).problem == problem


def test_empty_variables(machine):
    machine.environ["CUDA_HOME"] = ""
    found = probe(machine)
    assert (found.cuda_home, found.cuda_home_by) == (None, None)
    assert found.cuda_home_problem == "is set but empty, which counts as unset"
    machine.toolkit("/usr/local/cuda", "12.4")
    found = probe(machine)
    assert (found.cuda_home, found.cuda_home_by, found.cuda_home_problem) == (
        "/usr/local/cuda",
        "/usr/local/cuda",
        None,
    )
    del machine.environ["CUDA_HOME"]
    machine.environ["CUDA_PATH"] = ""
    found = probe(machine)
    assert (found.cuda_home, found.cuda_home_by, found.cuda_home_problem) == ("", "CUDA_PATH", "is empty")


_ASK_TORCH = """
import json, os, sys
sys.stderr = open(os.devnull, "w")
from torch.utils.cpp_extension import _find_cuda_home
answers = []
for change in json.loads(sys.argv[1]):
    for name in ("CUDA_HOME", "CUDA_PATH"):
        os.environ.pop(name, None)
    os.environ.update(change)
    answers.append(_find_cuda_home())
print(json.dumps(answers))
"""


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch (extra: yolo)")
def test_the_choice_is_that_of_the_installed_pytorch(tmp_path):
    """On the real root, where PyTorch looks as well; whatever is installed there."""
    home, other = tmp_path / "toolkit", tmp_path / "other"
    for folder in (home, other):
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "nvcc").write_text("#!/bin/sh\n")
        (folder / "bin" / "nvcc").chmod(0o755)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "nvcc").symlink_to(home / "bin" / "nvcc")
    plain = "/usr/bin:/bin"
    cases = [
        {"PATH": plain},
        {"PATH": os.environ["PATH"]},
        {"PATH": f"{home}/bin:{plain}"},
        {"PATH": f"{other}/bin:{home}/bin:{plain}"},
        {"PATH": f"{tmp_path}/links:{plain}"},
        {"PATH": f":{plain}"},
        {"PATH": plain, "CUDA_HOME": str(home)},
        {"PATH": plain, "CUDA_PATH": str(home)},
        {"PATH": f"{other}/bin:{plain}", "CUDA_HOME": str(home), "CUDA_PATH": str(other)},
        {"PATH": f"{home}/bin:{plain}", "CUDA_HOME": ""},
        {"PATH": f"{home}/bin:{plain}", "CUDA_PATH": ""},
        {"PATH": f"{home}/bin:{plain}", "CUDA_HOME": "", "CUDA_PATH": ""},
        {"PATH": plain, "CUDA_HOME": "", "CUDA_PATH": str(other)},
        {"PATH": plain, "CUDA_HOME": f"{home}:{other}"},
        {"PATH": plain, "CUDA_HOME": "~/cuda"},
        {"PATH": plain, "CUDA_HOME": f"{home}/bin"},
    ]
    argv = [sys.executable, "-c", _ASK_TORCH, json.dumps(cases)]
    answers = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    tree = Root()
    ours = [cuda_home(tree, case, tree.program("nvcc", case["PATH"]), windows=False).path for case in cases]
    assert ours == answers
