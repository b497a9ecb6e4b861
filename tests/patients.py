"""Ill environments, each really built: a virtual environment whose packages are a few lines of ours, and a folder of wheels that
stands for the index. What ails them is what ails real ones; only the weight is missing.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kit import Gpu, Machine, ubuntu
from little_yolo import ULTRALYTICS
from targets import site_packages
from wheelhouse import add_source, add_wheel, numpy_files, setuptools_files, torch_files

from attn_doctor.knowledge import flash_attention
from attn_doctor.knowledge.torch_choice import Choice, choose
from attn_doctor.knowledge.torch_machine import Machine as Facing

RTX_4090 = Gpu("NVIDIA GeForce RTX 4090", "8.9", 24564)


@dataclass
class Patient:
    """An environment, the folder of wheels that its installer takes everything from, and the folder that it is examined in."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    goal: str | None = None
    slug: str = ""  # the root cause that it has
    pip: bool = True  # whether a pip is in it, which takes seconds to make

    def __post_init__(self) -> None:
        self.house, self.project, self.prefix = (self.folder / name for name in ("house", "project", "env"))
        self.house.mkdir(parents=True)
        self.project.mkdir()
        shutil.copytree(template(self.pip), self.prefix, symlinks=True, copy_function=os.link)
        self.python = self.prefix / "bin" / "python"
        self.site = site_packages(self.prefix)
        for name in ("home", "tmp"):
            (self.folder / name).mkdir()

    def install(self, *wheels: str) -> None:
        """Lay wheels of the house out as pip would, "torch-2.8.0" or just "torch": over whatever is there."""
        for name in wheels:
            wheel = next(self.house.glob(f"{name}-*.whl"))
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(self.site)
                record = next(n for n in archive.namelist() if n.endswith(".dist-info/RECORD"))
            info = (self.site / record).parent
            (info / "INSTALLER").write_text("pip\n")
            with (info / "RECORD").open("a") as file:
                file.write(f"{info.name}/INSTALLER,,\n")

    def lose(self, *names: str) -> None:
        """Take packages out, record and all."""
        for name in names:
            for path in (self.site / name, *self.site.glob(f"{name}-*.dist-info")):
                shutil.rmtree(path, ignore_errors=True)

    def write(self, path: str, text: str = "") -> Path:
        """A file in site-packages that no installer knows of."""
        file = self.site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def whole_environ(self) -> dict[str, str]:
        """Without anything that the environment of the tests would have an installer do."""
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "VIRTUAL_ENV", "CONDA_", "PYTHON"))
        }
        own = {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.house.as_uri(),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_COMPILE": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "SHELL": "/bin/bash",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return {**kept, **own, **self.environ}

    def doctor(self, *argv: str, stdin: bytes = b"", **environ: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.argv(*argv),
            cwd=self.project,
            input=stdin,
            capture_output=True,
            env={**self.whole_environ(), **environ},
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def argv(self, *argv: str) -> list[str]:
        goal = ["--goal", self.goal] if self.goal and "--undo" not in argv else []
        return [sys.executable, "-m", "attn_doctor", *argv, "--target", str(self.python), *goal]

    def offline(self) -> None:
        """What an installer wants from anywhere but the house, it does not get."""
        self.environ |= {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "PIP_RETRIES": "0"}

    def gpu(self) -> Machine:
        """An Ubuntu with an NVIDIA driver and one card, as far as programs without kernels can tell."""
        machine = ubuntu(Machine(self.folder / "machine"))
        machine.pci("10de", "2684", driver="nvidia")
        machine.driver("580.65.06")
        self.environ |= {**machine.stub_drivers([RTX_4090], driver="580.65.06"), "ATTN_DOCTOR_ROOT": str(machine.root)}
        return machine


# --- the patients: each says which root cause it has


def numpy_too_new(p: Patient) -> str:
    add_wheel(p.house, "torch", "2.2.2", torch_files("2.2.2", numpy_below=2), ["numpy"])
    for version in ("1.26.4", "2.2.6"):
        add_wheel(p.house, "numpy", version, numpy_files(version))
    p.install("torch", "numpy-2.2.6")
    return "numpy-abi"


def torchvision_of_another_torch(p: Patient) -> str:
    add_numpy(p)
    add_wheel(p.house, "torch", "2.8.0", torch_files("2.8.0", "12.8"), ["numpy"])
    for version, torch in (("0.20.0", "2.5.0"), ("0.23.0", "2.8.0")):
        add_wheel(p.house, "torchvision", version, _torchvision(version, torch), [f"torch=={torch}"])
    p.install("torch", "numpy", "torchvision-0.20.0")
    return "environment-pollution"


def _torchvision(version: str, torch: str) -> dict[str, str]:
    code = f"""import torch
if torch.__version__.partition('+')[0] != {torch!r}:
    raise RuntimeError('operator torchvision::nms does not exist')
__version__ = {version!r}
"""
    return {"torchvision/__init__.py": code}


def add_numpy(p: Patient) -> None:
    add_wheel(p.house, "numpy", "2.2.6", numpy_files("2.2.6"))


def _newest() -> Choice:
    """What the tables hold to be best for this Python, so that the house has it."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    choice = choose(Facing(os="linux", maker="nvidia", capabilities=("8.9",), driver="580.65.06", python=python))
    assert isinstance(choice, Choice)
    return choice


def cpu_torch(p: Patient) -> str:
    p.gpu()
    add_numpy(p)
    best = _newest()
    add_wheel(p.house, "torch", "2.8.0+cpu", torch_files("2.8.0"), ["numpy"])
    add_wheel(p.house, "torch", best.torch, torch_files(best.torch, best.cuda, card=True), ["numpy"])
    add_wheel(p.house, "torchvision", "0.23.0", _torchvision("0.23.0", "2.8.0"), ["torch==2.8.0"])
    fitting = str(best.torchvision)
    add_wheel(p.house, "torchvision", fitting, _torchvision(fitting, best.torch), [f"torch=={best.torch}"])
    p.install("torch-2.8.0+cpu", "torchvision-0.23.0", "numpy")
    return "torch-cpu-build"


def no_torch(p: Patient) -> str:
    """An environment with nothing in it, and a card whose torch the registry has."""
    p.gpu()
    add_numpy(p)
    best = _newest()
    add_wheel(p.house, "torch", best.torch, torch_files(best.torch, best.cuda, card=True), ["numpy"])
    fitting = str(best.torchvision)
    add_wheel(p.house, "torchvision", fitting, _torchvision(fitting, best.torch), [f"torch=={best.torch}"])
    return "torch-missing"


def torch_too_old_for_the_python(p: Patient) -> str:
    """The wheel of another Python, unpacked by hand: its library is not for this one."""
    add_numpy(p)
    best = _newest()
    add_wheel(p.house, "torch", best.torch, torch_files(best.torch, best.cuda), ["numpy"])
    old = torch_files("1.13.1")
    old["torch/_C.cpython-37m-x86_64-linux-gnu.so"] = "of another Python"
    del old["torch/_C.py"]
    old["torch/__init__.py"] = "from torch._C import _GLIBCXX_USE_CXX11_ABI\n"
    add_wheel(p.house, "torch", "1.13.1", old)
    p.install("torch-1.13.1", "numpy")
    next(p.house.glob("torch-1.13.1-*")).unlink()
    return "torch-install-broken"


def torch_twice(p: Patient) -> str:
    """Two records, and the files of the second over those of the first."""
    add_numpy(p)
    for version in ("2.7.1", "2.8.0"):
        files = {**torch_files(version, "12.8"), f"torch/only_in_{version.replace('.', '_')}.py": ""}
        add_wheel(p.house, "torch", version, files, ["numpy"])
    p.install("torch-2.7.1", "torch-2.8.0", "numpy")
    return "environment-pollution"


def numpy_twice(p: Patient) -> str:
    """Two records of numpy, and what an interrupted pip left of a third."""
    add_wheel(p.house, "torch", "2.8.0", torch_files("2.8.0", "12.8"), ["numpy"])
    for version in ("1.26.4", "2.2.6"):
        add_wheel(p.house, "numpy", version, {**numpy_files(version), f"numpy/of_{version[0]}.py": ""})
    p.install("torch", "numpy-1.26.4", "numpy-2.2.6")
    p.write("~umpy/__init__.py", "__version__ = '1.24.4'\n")
    p.write("~umpy-1.24.4.dist-info/METADATA", "Metadata-Version: 2.1\nName: numpy\nVersion: 1.24.4\n")
    return "environment-pollution"


def numpy_shadowed(p: Patient) -> str:
    """PYTHONPATH puts another numpy in front."""
    numpy_twice_over = p.folder / "stranger"
    for path, text in numpy_files("1.21.0").items():
        file = numpy_twice_over / path
        file.parent.mkdir(parents=True)
        file.write_text(text)
    info = numpy_twice_over / "numpy-1.21.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.21.0\n")
    add_numpy(p)
    add_wheel(p.house, "torch", "2.8.0", torch_files("2.8.0", "12.8"), ["numpy"])
    p.install("torch", "numpy")
    p.environ["PYTHONPATH"] = str(numpy_twice_over)
    return "environment-pollution"


def hollow_flash_attn(p: Patient) -> str:
    """flash-attn without its compiled part; a card, a torch that an official wheel fits, and no network to fetch it."""
    p.gpu()
    p.goal = "flash-attn"
    add_numpy(p)
    add_wheel(p.house, "torch", "2.8.0", torch_files("2.8.0", "12.8", card=True), ["numpy"])
    add_wheel(p.house, "flash-attn", "2.8.3", {"flash_attn/__init__.py": "import flash_attn_2_cuda\n"}, ["torch"])
    p.install("torch", "numpy", "flash_attn")
    p.offline()
    return "flash-attn-stub-namespace"


def flash_attn_2_and_4(p: Patient) -> str:
    p.gpu()
    p.goal = "flash-attn"
    add_numpy(p)
    add_wheel(p.house, "torch", "2.8.0", torch_files("2.8.0", "12.8", card=True), ["numpy"])
    whole = {
        "flash_attn/__init__.py": "__version__ = '2.8.3'\n",
        "flash_attn/flash_attn_interface.py": "import flash_attn_2_cuda\ndef flash_attn_func(q, k, v):\n    return q\n",
        "flash_attn/cute/__init__.py": "",
        "flash_attn/cute/interface.py": "generation = 2\n",
        "flash_attn_2_cuda.py": "",
    }
    add_wheel(p.house, "flash-attn", "2.8.3", whole, ["torch"])
    fourth = {"flash_attn/cute/__init__.py": "", "flash_attn/cute/interface.py": "generation = 4\n"}
    add_wheel(p.house, "flash-attn-4", "4.0.0b30", fourth, ["torch"])
    for name in ("wheel", "packaging", "psutil", "ninja"):  # what setup.py would import, where no wheel is found
        add_wheel(p.house, name, "1.0", {f"{name}/__init__.py": ""})
    p.install("torch", "numpy", "flash_attn", "flash_attn_4")
    return "flash-attn-4-namespace"


def requirement_not_met(p: Patient) -> str:
    """Something was installed with --no-deps, against what another package asks for."""
    add_wheel(p.house, "torch", "2.8.0", torch_files("2.8.0", "12.8"), ["numpy"])
    for version in ("1.26.4", "2.2.6"):
        add_wheel(p.house, "numpy", version, numpy_files(version))
    files = {f"ultralytics/{name}": text.replace("import yaml\n", "") for name, text in ULTRALYTICS.items()}
    add_wheel(p.house, "ultralytics", "8.4.190", files, ["torch>=1.8", "numpy<2,>=1.23"])
    p.install("torch", "ultralytics", "numpy-2.2.6")
    return "environment-pollution"


def build_tools_missing(p: Patient) -> str:
    """flash-attn is wanted, no wheel fits this torch, and what its setup.py imports is not there."""
    machine = p.gpu()
    machine.toolkit("/usr/local/cuda", "13.0")
    machine.tools(gcc="gcc (Ubuntu 11.4.0) 11.4.0", g_plus_plus="g++ (Ubuntu 11.4.0) 11.4.0")
    for name in ("gcc", "g++"):
        machine.script(f"/usr/bin/{name}", "echo 11.4.0\n")
    p.goal = "flash-attn"
    p.offline()
    add_numpy(p)
    add_wheel(p.house, "torch", "2.11.0", torch_files("2.11.0", "13.0", card=True), ["numpy"])
    for name in ("wheel", "packaging", "psutil", "ninja"):
        add_wheel(p.house, name, "99.0")
    add_wheel(p.house, "setuptools", "99.0", setuptools_files())
    whole = {"flash_attn/__init__.py": "", "flash_attn/flash_attn_interface.py": "", "flash_attn_2_cuda.py": ""}
    setup = "import torch, wheel, packaging, psutil, ninja\n"
    add_source(p.house, "flash-attn", flash_attention.latest().release, setup, whole)
    p.install("torch", "numpy")
    p.lose("setuptools", "pkg_resources")
    return "packaging-missing-at-build"


def empty(p: Patient) -> str:
    """An environment without torch, on a machine with a card: the one that belongs to driver and card goes in."""
    p.gpu()
    add_numpy(p)
    best = _newest()
    add_wheel(p.house, "torch", best.torch, torch_files(best.torch, best.cuda, card=True), ["numpy"])
    fitting = str(best.torchvision)
    add_wheel(p.house, "torchvision", fitting, _torchvision(fitting, best.torch), [f"torch=={best.torch}"])
    return "torch-missing"


def without_pip(p: Patient) -> str:
    """An environment of uv's kind, in which nothing can install yet."""
    numpy_too_new(p)
    p.lose("pip")
    return "numpy-abi"


# Code that shows in the patient itself whether it is well: nothing of the doctor's is asked.
_ARRAYS = "import torch; torch.ones(1).numpy()"
_ONE_RECORD = "import importlib.metadata as m, {0}; assert len([d for d in m.distributions() if d.metadata['Name'] == '{0}']) == 1"
WELL: dict[str, str] = {
    "numpy_too_new": _ARRAYS,
    "torchvision_of_another_torch": "import torchvision",
    "cpu_torch": "import torch, torchvision; assert torch.cuda.is_available()",
    "no_torch": "import torch, torchvision; assert torch.cuda.is_available()",
    "torch_too_old_for_the_python": _ARRAYS,
    "torch_twice": _ONE_RECORD.format("torch") + "; assert torch.__version__.startswith('2.8.0')",
    "numpy_twice": _ONE_RECORD.format("numpy") + "; assert numpy.__version__ == '2.2.6'",
    "hollow_flash_attn": "import importlib.util as u; assert u.find_spec('flash_attn') is None; import torch",
    "flash_attn_2_and_4": "import flash_attn.flash_attn_interface, flash_attn.cute.interface as c; assert c.generation == 2",
    "requirement_not_met": "import numpy; assert numpy.__version__ == '1.26.4'",
    "build_tools_missing": "import flash_attn_2_cuda, flash_attn.flash_attn_interface",
    "without_pip": _ARRAYS,
    "empty": "import torch, torchvision; assert torch.cuda.is_available(); torch.ones(1).numpy()",
}

ILL: dict[str, Callable[[Patient], str]] = {
    f.__name__: f
    for f in (
        numpy_too_new,
        torchvision_of_another_torch,
        cpu_torch,
        no_torch,
        torch_too_old_for_the_python,
        torch_twice,
        numpy_twice,
        numpy_shadowed,
        hollow_flash_attn,
        flash_attn_2_and_4,
        requirement_not_met,
        build_tools_missing,
        without_pip,
        empty,
    )
}


@functools.cache
def template(pip: bool = True) -> Path:
    """A virtual environment, made once for this process; every patient is a copy."""
    folder = Path(tempfile.mkdtemp(prefix="patients-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    options = [] if pip else ["--without-pip"]
    subprocess.run([sys.executable, "-m", "venv", *options, str(folder / "env")], check=True)
    return folder / "env"


def ill(name: str, folder: Path, pip: bool = True) -> Patient:
    patient = Patient(folder, pip=pip)
    patient.slug = ILL[name](patient)
    return patient
