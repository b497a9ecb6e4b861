"""The target, asked for real: packages, files, and imports that go wrong in every way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from targets import add_metadata, add_package, broken_torch, examine, make_target, site_packages, torch_of

from attn_doctor.errors import NoAnswer
from attn_doctor.model.facts import Unknown


@pytest.mark.parametrize(
    ("how", "kind", "detail"),
    [
        ("segfaults", "signal", "SIGSEGV"),
        ("aborts", "signal", "SIGABRT"),
        ("hangs", "timeout", None),
        ("exits", "exited", 3),
        ("exits quietly", "exited", 0),
        ("vanishes", "exited", 0),
        ("raises", "raised", "ImportError"),
    ],
)
def test_a_torch_that_does_not_import_costs_no_other_fact(how, kind, detail, tmp_path):
    facts = examine(broken_torch(tmp_path / "env", how), timeout=2.0)
    assert facts.torch.importable is False
    assert facts.torch.fault.kind == kind
    assert detail in (None, facts.torch.fault.signal, facts.torch.fault.exit_code, facts.torch.fault.type)
    # what its files say stays known, what only it could say is unknown, and everything else is there
    assert facts.torch.version == "2.6.0+cu124"
    assert facts.torch.cuda == "12.4"
    assert isinstance(facts.torch.available, Unknown)
    assert facts.interpreter.version == sys.version.split()[0]
    assert isinstance(facts.system.kernel, str)
    assert [d.name for d in facts.packages.distributions] == ["torch"]


def test_a_torch_that_prints_to_stdout_is_heard_and_examined(tmp_path):
    code = "import os\nprint('hello')\nos.write(1, b'raw\\n')\nclass Tensor: pass\n__version__ = '2.6.0+cu124'\n"
    facts = examine(torch_of(tmp_path / "env", code))
    assert facts.torch.importable is True
    assert facts.torch.version == "2.6.0+cu124"
    assert "hello" in facts.torch.chatter
    assert isinstance(facts.torch.threads, Unknown)  # this torch cannot say, and says so
    assert "get_num_threads" in facts.torch.threads.why


def test_a_folder_called_torch_is_not_torch(tmp_path):
    python = make_target(tmp_path / "env")
    (site_packages(tmp_path / "env") / "torch").mkdir()
    facts = examine(python)
    assert facts.torch.importable is False
    assert "folder without code" in facts.torch.fault.message


def test_no_torch_at_all_is_known_to_be_absent(tmp_path):
    facts = examine(make_target(tmp_path / "env"))
    assert facts.torch.version is None
    assert facts.torch.importable is False
    assert facts.torch.fault.type == "ModuleNotFoundError"
    assert facts.flash_attention.version is None
    assert facts.yolo.version is None
    assert facts.packages.distributions == ()


def test_static_imports_nothing(tmp_path):
    facts = examine(broken_torch(tmp_path / "env", "segfaults"), static=True)
    assert facts.grade == "static"
    assert facts.torch.version == "2.6.0+cu124"
    assert isinstance(facts.torch.importable, Unknown)
    assert isinstance(facts.imports, Unknown)


@pytest.fixture(scope="module")
def plain_torch(tmp_path_factory) -> Path:
    """A target whose torch is a healthy nothing, for extensions that are imported after it."""
    folder = tmp_path_factory.mktemp("plain")
    torch_of(folder / "env", "class Tensor: pass\n__version__ = '2.6.0+cu124'\n")
    return folder / "env"


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("raise ImportError('x.so: undefined symbol: _ZN3c104cuda9SetDeviceEi')", "raised", "undefined symbol"),
        ("import os; os.kill(os.getpid(), 11)", "signal", None),
        ("import os; os._exit(0)", "exited", None),
        ("import sys; sys.exit('bye')", "exited", "bye"),
        ("import time; time.sleep(100)", "timeout", None),
    ],
)
def test_an_extension_dies_alone(code, kind, text, plain_torch):
    add_package(plain_torch, ".", {"flash_attn_2_cuda.py": code + "\n", "cv2/__init__.py": "__version__ = '4.9.0'\n"})
    facts = examine(plain_torch / "bin" / "python", timeout=3.0)
    assert facts.torch.importable is True
    attempts = {i.module: i for i in facts.imports}
    broken = attempts["flash_attn_2_cuda"]
    assert broken.ok is False
    assert broken.fault.kind == kind
    assert text is None or text in broken.fault.message
    assert attempts["cv2"].ok is True
    assert attempts["cv2"].version == "4.9.0"


def test_packages_duplicates_remnants_and_conflicts(tmp_path):
    folder = tmp_path / "env"
    python = make_target(folder)
    add_metadata(folder, "numpy", "1.26.4")
    add_metadata(folder, "numpy", "2.2.6")
    add_metadata(
        folder,
        "torch",
        "2.3.0",
        ("numpy", "typing-extensions>=4.8", 'nvidia-cublas-cu12==12.1.3.1; sys_platform == "nowhere"'),
    )
    add_metadata(folder, "torchvision", "0.17.2", ("torch==2.2.2", 'scipy; extra == "scipy"'), installer="uv")
    (site_packages(folder) / "~orch-2.2.2.dist-info").mkdir()
    (site_packages(folder) / "nameless-1.0.dist-info").mkdir()
    packages = examine(python, static=True).packages
    assert {(d.name, d.version, d.installer) for d in packages.distributions} == {
        ("numpy", "1.26.4", "pip"),
        ("numpy", "2.2.6", "pip"),
        ("torch", "2.3.0", "pip"),
        ("torchvision", "0.17.2", "uv"),
    }
    assert packages.duplicates == ("numpy 1.26.4 and 2.2.6",)
    assert packages.remnants == ("~orch-2.2.2.dist-info",)
    assert packages.broken == ("nameless-1.0.dist-info",)
    assert [(c.package, c.requires, c.found) for c in packages.conflicts] == [
        ("torch 2.3.0", "typing-extensions>=4.8", None),
        ("torchvision 0.17.2", "torch==2.2.2", "2.3.0"),
    ]


def test_what_python_path_hides_and_what_the_current_folder_would_hide(tmp_path, monkeypatch):
    folder = tmp_path / "env"
    python = make_target(folder, {"numpy": {"__init__.py": ""}})
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "numpy").mkdir(parents=True)
    (elsewhere / "numpy" / "__init__.py").write_text("")
    work = tmp_path / "work"
    (work / "flash_attn").mkdir(parents=True)
    (work / "numpy").mkdir()
    (work / "random.py").write_text("")
    (work / "train.py").write_text("")
    (work / "flash_attn" / "__init__.py").write_text("")
    monkeypatch.chdir(work)
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    interpreter = examine(python, static=True).interpreter
    hidden = site_packages(folder) / "numpy" / "__init__.py"
    assert interpreter.differs_isolated == (f"numpy: {elsewhere / 'numpy' / '__init__.py'} hides {hidden}",)
    # an empty numpy/ hides nothing: a namespace never wins over a package
    assert interpreter.shadowed_here == ("flash_attn/", "random.py")


def test_flash_attn_by_its_name_and_by_its_files(tmp_path):
    folder = tmp_path / "env"
    python = make_target(folder, {"flash_attn": {"__init__.py": "", "cute/__init__.py": ""}})
    add_metadata(folder, "flash-attn", "2.8.3+cu12torch2.8cxx11abiTRUE")
    (site_packages(folder) / "flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so").write_bytes(b"")
    flash = examine(python, static=True).flash_attention
    assert (flash.version, flash.wheel_torch, flash.wheel_cuda, flash.wheel_abi) == (
        "2.8.3+cu12torch2.8cxx11abiTRUE",
        "2.8",
        "12",
        True,
    )
    assert flash.modules == ("flash_attn_2_cuda",)
    assert flash.namespace_only is False


def test_flash_attn_4_alone_is_an_empty_namespace(tmp_path):
    folder = tmp_path / "env"
    python = make_target(folder, {"flash_attn": {"cute/__init__.py": ""}})
    add_metadata(folder, "flash-attn-4", "4.0.0b36")
    flash = examine(python, static=True).flash_attention
    assert flash.version is None
    assert flash.fa4 == "4.0.0b36"
    assert flash.namespace_only is True


MAINLINE = """
class AAttn(nn.Module):
    def __init__(self):
        self.qkv = Conv(1)
    def forward(self, x):
        attn = (q.transpose(-2, -1) @ k).softmax(dim=-1)
        return v @ attn
"""
FORK = """
USE_FLASH_ATTN = False
try:
    from flash_attn.flash_attn_interface import flash_attn_func
    USE_FLASH_ATTN = True
except Exception:
    from torch.nn.functional import scaled_dot_product_attention as sdpa
class AAttn(nn.Module):
    def __init__(self):
        self.qk = Conv(1)
        self.v = Conv(1)
    def forward(self, x):
        if x.is_cuda and USE_FLASH_ATTN:
            return flash_attn_func(q, k, v)
        return v @ (q @ k).exp()
"""


@pytest.mark.parametrize(
    ("block", "kind", "calls", "layout"),
    [(MAINLINE, "mainline", ("eager",), "qkv"), (FORK, "fork", ("flash-attn", "eager"), "qk+v")],
)
def test_what_yolo12_calls(block, kind, calls, layout, tmp_path):
    folder = tmp_path / "env"
    torch_of(folder, "class Tensor: pass\n__version__ = '2.6.0+cu124'\n")
    add_package(folder, "ultralytics", {"__init__.py": '__version__ = "8.4.0"\n', "nn/modules/block.py": block})
    facts = examine(folder / "bin" / "python")
    assert (facts.yolo.version, facts.yolo.kind, facts.yolo.calls, facts.yolo.layout) == ("8.4.0", kind, calls, layout)
    assert facts.yolo.flash_error == (
        None if kind == "mainline" else "ModuleNotFoundError: No module named 'flash_attn'"
    )


def test_the_fork_says_not_available_and_the_doctor_says_why(tmp_path):
    folder = tmp_path / "env"
    torch_of(folder, "class Tensor: pass\n__version__ = '2.6.0+cu124'\n")
    error = "flash_attn_2_cuda.so: undefined symbol: _ZNK3c1010TensorImpl15decref_pyobjectEv"
    add_package(folder, "ultralytics", {"__init__.py": '__version__ = "8.3.63"\n', "nn/modules/block.py": FORK})
    add_package(folder, "flash_attn", {"__init__.py": "", "flash_attn_interface.py": f"raise ImportError({error!r})\n"})
    assert examine(folder / "bin" / "python").yolo.flash_error == f"ImportError: {error}"


def test_a_target_that_is_no_python():
    with pytest.raises(NoAnswer, match="is no Python interpreter"):
        examine(Path("/bin/cat"))


def test_a_target_that_cannot_be_started(tmp_path):
    tool = tmp_path / "python"
    tool.write_bytes(b"\x7fELF nonsense")
    tool.chmod(0o755)
    with pytest.raises(NoAnswer, match="cannot be started"):
        examine(tool)


def test_a_target_that_is_too_old(tmp_path):
    """What Python 2.7 would answer: a stand-in, as the real one may not be here."""
    tool = tmp_path / "python2"
    tool.write_text(
        "#!/bin/sh\nnonce=$(sed -n \"s/^_NONCE = '\\(.*\\)'/\\1/p\")\n"
        'printf \'\\036%s {"at": "too-old", "section": "", "data": "2.7"}\\n\' "$nonce"\n'
    )
    tool.chmod(0o755)
    with pytest.raises(NoAnswer, match=r"is Python 2\.7; attn-doctor examines Python 3\.8 and newer"):
        examine(tool)


def test_a_target_that_does_not_answer_at_all(tmp_path):
    python = make_target(tmp_path / "env")
    (site_packages(tmp_path / "env") / "sitecustomize.py").write_text("import os\nos._exit(9)\n")
    with pytest.raises(NoAnswer, match="exit code 9"):
        examine(python)


def test_an_isolated_doctor_examines_another_python(tmp_path):
    """As under pipx: the doctor's own interpreter has none of what the target has."""
    python = broken_torch(tmp_path / "env", "raises")
    facts = examine(python)
    assert facts.interpreter.prefix == str(tmp_path / "env")
    assert facts.interpreter.kind == "venv"
    assert facts.torch.location == str(site_packages(tmp_path / "env") / "torch")
