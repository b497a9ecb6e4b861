"""attn-doctor run: real programs, whose attention is exchanged by their environment alone."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from launched import ROOT, run
from targets import make_target, site_packages

# An ultralytics of a few lines, so that most tests need not import the real one: attention in the layout of YOLO12's fork.
BLOCK = """
import torch
from torch import nn

class Conv(nn.Module):
    def __init__(self, inside, outside, size, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, size, padding=size // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outside)

    def forward(self, x):
        return self.bn(self.conv(x))

class AAttn(nn.Module):
    def __init__(self, dim, num_heads, area=1):
        super().__init__()
        self.area, self.num_heads, self.head_dim = area, num_heads, dim // num_heads
        self.qk, self.v, self.proj = Conv(dim, 2 * dim, 1), Conv(dim, dim, 1), Conv(dim, dim, 1)
        self.pe = Conv(dim, dim, 5, dim)

    def forward(self, x):
        b, c, h, w = x.shape
        shape = (b, self.num_heads, self.head_dim, self.area, h * w // self.area)
        image = self.v(x)
        q, k = self.qk(x).chunk(2, dim=1)
        q, k, v = (t.reshape(shape) for t in (q, k, image))
        weights = torch.einsum("bhdan,bhdam->bhanm", q, k).mul(self.head_dim**-0.5).softmax(dim=-1)
        out = torch.einsum("bhanm,bhdam->bhdan", weights, v)
        return self.proj(out.reshape(b, c, h, w) + self.pe(image)){twist}
"""

# A program that says by which operators its attention was computed, and what it has imported of the doctor.
PROGRAM = """
import sys
import torch
from ultralytics.nn.modules.block import AAttn
from torch.utils._python_dispatch import TorchDispatchMode

class Seen(TorchDispatchMode):
    names = set()
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function._schema.name.partition("::")[2])
        return function(*args, **(kwargs or {}))

torch.manual_seed(0)
model, x = AAttn(64, 2, 4).eval(), torch.rand(1, 64, 8, 8)
model(x)  # the proof is made here
with Seen() as seen, torch.no_grad():
    model(x)
print("fused" if any("flash" in name for name in seen.names) else "eager")
print([name for name in ("msgspec", "rich", "attn_doctor.model.facts") if name in sys.modules])
"""


@pytest.fixture(autouse=True)
def _proofs_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """An interpreter of its own with torch and without attn_doctor, and the program beside it."""
    folder = tmp_path_factory.mktemp("program")
    python = make_target(folder / "env")
    torch = importlib.util.find_spec("torch")
    assert torch is not None
    assert torch.origin is not None
    ours = site_packages(folder / "env")
    for entry in Path(torch.origin).parent.parent.iterdir():  # all that stands beside torch, the doctor excepted
        if "attn_doctor" not in entry.name and entry.suffix != ".pth" and not (ours / entry.name).exists():
            (ours / entry.name).symlink_to(entry)
    (folder / "program.py").write_text(PROGRAM)
    add_ultralytics(folder / "known", "")
    add_ultralytics(folder / "unknown", " * 1.01")
    return python


def add_ultralytics(folder: Path, twist: str) -> None:
    modules = folder / "ultralytics" / "nn" / "modules"
    modules.mkdir(parents=True)
    for package in (modules, modules.parent, modules.parent.parent):
        (package / "__init__.py").touch()
    (modules / "block.py").write_text(BLOCK.replace("{twist}", twist))


def script(program: Path) -> Path:
    return program.parent.parent.parent / "program.py"


def path_of(program: Path, which: str = "known") -> str:
    return str(program.parent.parent.parent / which)


@pytest.fixture(autouse=True)
def _doctor_is_not_in_the_program(program):
    done = subprocess.run(
        [program, "-c", "import attn_doctor"], capture_output=True, cwd=program.parent, env={"PATH": os.defpath}
    )
    assert b"No module named 'attn_doctor'" in done.stderr


def test_a_program_without_attn_doctor_gets_the_exchange(program):
    before = sorted(site_packages(program.parent.parent).rglob("*"))
    done = run("--attention", "sdpa-flash", "--", program, script(program), PYTHONPATH=path_of(program))
    assert (done.stdout.split("\n")[:2], done.returncode) == (["fused", "[]"], 0), done.stderr
    assert done.stderr == "attn-doctor: the attention is computed by sdpa-flash on cpu, float32\n"
    assert sorted(site_packages(program.parent.parent).rglob("*")) == before


def test_a_program_whose_model_has_another_attention_is_told_so(program):
    done = run("--", program, "-c", "import ultralytics.nn.modules.block", PYTHONPATH=path_of(program))
    assert done.returncode == 0
    assert done.stderr == (
        "attn-doctor: nothing was exchanged: this program computed no attention of YOLO10, 11, 12 or 26 that attn-doctor knows\n"
    )


def test_the_attention_that_stays_as_installed_is_named(program):
    file = Path(path_of(program), "ultralytics", "nn", "modules", "transformer.py")
    file.write_text("class AIFI:\n    def forward(self, x):\n        print('computed')\n")
    code = (
        "import ultralytics.nn.modules.block\nfrom ultralytics.nn.modules.transformer import AIFI\nAIFI().forward(1)\n"
    )
    done = run("--", program, "-c", code, PYTHONPATH=path_of(program))
    file.unlink()
    assert done.stdout == "computed\n"
    assert (done.stderr, done.returncode) == (
        "attn-doctor: nothing was exchanged: the attention of RT-DETR (AIFI) stays as installed\n",
        0,
    )


def test_what_was_proven_is_kept_and_forgotten(program, tmp_path):
    folder = tmp_path / "cache" / "attn-doctor" / "proofs"
    run("--attention", "sdpa-flash", "--", program, script(program), PYTHONPATH=path_of(program))
    assert list(folder.glob("*.json"))
    done = run("--forget", "--", program, "-c", "print('it ran')")
    assert (done.stdout, done.returncode) == ("it ran\n", 0)
    assert f"1 file(s) of proofs and prescriptions removed from {folder.parent}" in done.stderr
    assert not folder.exists()
    done = run("--forget")
    assert (done.stderr, done.returncode) == (
        f"attn-doctor: no proofs and no prescription are kept in {folder.parent}\n",
        0,
    )


def test_children_get_it_too(program):
    """As a trainer starts the processes of multi-GPU training: the same interpreter, the environment passed on."""
    parent = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, {str(script(program))!r}]))"
    done = run("--attention", "sdpa-flash", "--", program, "-c", parent, PYTHONPATH=path_of(program), RANK="1")
    assert (done.stdout.split("\n")[0], done.returncode) == ("fused", 0)
    assert done.stderr == ""  # only the first process of several speaks


def test_spawned_processes_get_it_too(program, tmp_path):
    text = "import multiprocessing, runpy\nif __name__ == '__main__':\n    multiprocessing.set_start_method('spawn')\n"
    text += f"    child = multiprocessing.Process(target=runpy.run_path, args=({str(script(program))!r},))\n    child.start()\n    child.join()\n"
    (tmp_path / "parent.py").write_text(text)
    done = run("--attention", "sdpa-flash", "--", program, tmp_path / "parent.py", PYTHONPATH=path_of(program))
    assert done.stdout.split("\n")[0] == "fused", done.stderr


def test_an_attention_that_is_not_known_is_left_as_it_is(program):
    done = run("--", program, script(program), PYTHONPATH=path_of(program, "unknown"))
    assert (done.stdout.split("\n")[0], done.returncode) == ("eager", 0)
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(
        "attn-doctor: the attention is left as installed: ultralytics.nn.modules.block.AAttn is not"
    )


def test_a_package_that_is_not_there_leaves_it_as_it_is(program):
    done = run("--attention", "flash-attn-2", "--", program, script(program), PYTHONPATH=path_of(program))
    assert (done.stdout.split("\n")[0], done.returncode) == ("eager", 0)
    assert "left as installed: flash-attn-2 cannot be had here: flash_attn: No module named 'flash_attn'" in done.stderr


def test_eager_is_as_installed(program):
    done = run("--attention", "eager", "--", program, script(program), PYTHONPATH=path_of(program))
    assert (done.stdout.split("\n")[0], done.stderr) == ("eager", "")


def test_nothing_heavy_is_imported_into_a_program_that_has_nothing_to_do_with_it(program):
    code = "import sys; print([m for m in sys.modules if m.split('.')[0] in ('torch', 'attn_doctor', 'importlib')]); print(sys.path[1:2])"
    plain = subprocess.run([program, "-c", code], capture_output=True, text=True, env={"PATH": os.defpath})
    done = run("--", program, "-c", code)
    assert (done.stdout, done.stderr, done.returncode) == (plain.stdout, "", 0)


def test_the_users_own_sitecustomize_is_run(program, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.mine = __file__\n")
    code = "import sys, sitecustomize; print(sys.mine == sitecustomize.__file__, sys.path[1])"
    done = run("--", program, "-c", code, PYTHONPATH=str(tmp_path))
    assert (done.stdout, done.stderr) == (f"True {tmp_path}\n", "")


@pytest.mark.parametrize("text", ["raise RuntimeError('mine')\n", "import no_such_module\n", "def\n"])
def test_one_that_fails_fails_as_it_does_without_us(program, tmp_path, text):
    (tmp_path / "sitecustomize.py").write_text(text)
    plain = subprocess.run(
        [program, "-c", "print(1)"], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)}
    )
    done = run("--", program, "-c", "print(1)", PYTHONPATH=str(tmp_path))
    assert (done.stdout, done.returncode) == (plain.stdout, plain.returncode)
    assert done.stderr.splitlines()[-1] == plain.stderr.splitlines()[-1]
    assert plain.stderr


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7", "3.8"])
def test_what_every_python_runs_first_parses_under_old_ones(version):
    """No annotations, f-strings or keyword-only arguments; ast goes back to 3.4 only, so 2.7 is held by what is not in it."""
    import ast

    text = (ROOT / "attn_doctor" / "target" / "startup" / "sitecustomize.py").read_text("utf-8")
    tree = ast.parse(text, feature_version=tuple(int(part) for part in version.replace("2.7", "3.4").split(".")))
    assert not [
        n
        for n in ast.walk(tree)
        if isinstance(n, (ast.JoinedStr, ast.AnnAssign, ast.Nonlocal, ast.Starred, ast.YieldFrom))
    ]
    assert text.isascii()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert not node.args.kwonlyargs
            assert node.returns is None


@pytest.mark.parametrize("argv", [["sh", "-c", "exit 7"], ["--", "sh", "-c", "exit 7"]])
def test_the_exit_code_is_that_of_the_program(argv):
    assert run(*argv).returncode == 7


def test_options_of_the_program_are_its_own():
    done = run("--attention", "sdpa", "echo", "--help", "--attention", "x", "--")
    assert (done.stdout, done.returncode) == ("--help --attention x --\n", 0)


def test_signals_go_to_the_program_and_it_dies_of_them():
    code = "import signal, sys; print(signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN, flush=True); sys.stdin.read()"
    command = [sys.executable, "-m", "attn_doctor", "run", "--", sys.executable, "-S", "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM


def test_a_closed_pipe_ends_the_program():
    done = run("--", "sh", "-c", "(while echo y; do :; done; echo $? >&2) | head -1; exit 0")
    assert (done.stdout, done.stderr) == ("y\n", "")


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        ([], 2, "name a program to run. For example"),
        (["--"], 2, "name a program to run. For example"),
        (["--attention", "flash", "--", "true"], 2, "'flash' is no attention to exchange: did you mean sdpa-flash?"),
        (["--attention", "compile", "--", "true"], 2, "compile=True"),
        (["--", "no-such-program"], 127, "there is no program no-such-program"),
        (["--", "/"], 126, "/ cannot be executed: Permission denied"),
    ],
)
def test_what_cannot_be_run_is_one_line(argv, code, text):
    done = run(*argv)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_the_names_are_those_of_the_exchange():
    from attn_doctor.exchange import kernels
    from attn_doctor.prescription.launch import names

    assert names() == ("auto", *kernels.NAMES)


@pytest.mark.heavy
def test_the_processes_of_multi_gpu_training_get_it(program):
    """Started as ultralytics starts them, by torch.distributed.run, here on the CPU."""
    start = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0", str(script(program))]
    done = run("--attention", "sdpa-flash", "--", program, *start, PYTHONPATH=path_of(program))
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == ["[]", "[]", "fused", "fused"]
    assert done.stderr.count("attn-doctor: the attention is computed by sdpa-flash") == 1
