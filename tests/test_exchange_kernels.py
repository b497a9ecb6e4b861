"""The kernels that an exchange puts in: their numbers, their switches, and what they change in the process."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from pathlib import Path

import pytest


@pytest.fixture
def torch():
    import torch

    torch.manual_seed(0)
    return torch


@pytest.fixture
def kernels():
    from attn_doctor.exchange import kernels

    return kernels


def test_threads_that_ask_for_different_kernels_leave_pytorchs_switches_alone(torch, kernels):
    from torch.nn.attention import _cur_sdpa_kernel_backends

    before = _cur_sdpa_kernel_backends(with_priority=True)
    query = torch.randn(1, 2, 64, 32)
    expected = kernels.eager(query, query, query, 0.2)
    failures = []

    def work(name):
        kernel = kernels.kernel(name)
        right = [torch.allclose(kernel(query, query, query, 0.2), expected, atol=1e-5) for _ in range(200)]
        if not all(right):
            failures.append(name)

    threads = [
        threading.Thread(target=work, args=(n,)) for n in ("sdpa-math", "sdpa-efficient", "sdpa-flash", "sdpa-math")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert _cur_sdpa_kernel_backends(with_priority=True) == before


def test_a_package_that_is_not_there_says_so_in_its_own_words(kernels):
    with pytest.raises(kernels.Unavailable, match="No module named 'flash_attn"):
        kernels.kernel("flash-attn-2")


@pytest.mark.parametrize(("narrow", "wide"), [(32, 64), (64, 32), (32, 32)])
def test_heads_of_two_widths_are_filled_up(torch, kernels, narrow, wide):
    query, key = (torch.randn(1, 2, 10, narrow, dtype=torch.float64, requires_grad=True) for _ in range(2))
    value = torch.randn(1, 2, 10, wide, dtype=torch.float64, requires_grad=True)
    results = []
    for compute in (kernels.eager, kernels.kernel("sdpa-flash")):
        out = compute(query, key, value, 0.3)
        results.append((out, *torch.autograd.grad(out.square().sum(), (query, key, value))))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


STAND_IN = "def _flash_attn_fwd(): pass\ndef _flash_attn_bwd(): pass\n"  # PyTorch asks for these two and calls them on a GPU alone

ACTIVATED = """
import torch
from torch.nn.attention import activate_flash_attention_impl, current_flash_attention_impl as current
from attn_doctor.exchange import kernels, layers
kernel = kernels.kernel("sdpa-flash-4")
print("made", current())
query = torch.randn(2, 2, 16, 32, requires_grad=True)
out = kernel(query, query, query, 0.2)
out.sum().backward()
print("called", current())
kernel.stop()
print("stopped", current(), torch.allclose(out, kernels.eager(query, query, query, 0.2), atol=1e-5))
class Layer(torch.nn.Module):
    pass
try:
    with kernels.in_force(kernel):
        print("in force", current())
        raise KeyError
except KeyError:
    print("after an exception", current())
activate_flash_attention_impl("FA4")
kernel.start()
kernel.stop()
print("the user's own", current())
"""


def test_the_kernels_of_another_package_behind_pytorchs_own_operator_and_back(tmp_path):
    """In a process of its own: what is activated holds for all of it."""
    package = tmp_path / "flash_attn" / "cute"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "interface.py").write_text(STAND_IN, "utf-8")
    paths = f"{tmp_path}:{Path(__file__).parent.parent}"
    done = subprocess.run(
        [sys.executable, "-c", ACTIVATED],
        env={"PYTHONPATH": paths, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "made None",
        "called FA4",
        "stopped None True",
        "in force FA4",
        "after an exception None",
        "the user's own FA4",
    ], done.stderr


@pytest.mark.parametrize(
    ("name", "package"), [("sdpa-flash-3", "flash_attn_interface"), ("sdpa-flash-4", "flash_attn")]
)
def test_where_the_package_is_missing_pytorchs_activation_says_so(kernels, name, package):
    with pytest.raises(kernels.Unavailable, match=rf"activate_flash_attention_impl.*No module named '{package}"):
        kernels.kernel(name)


def test_identical_is_to_the_last_bit(torch):
    from attn_doctor.exchange.accuracy import identical

    some = [torch.tensor([1.0, float("nan")]), torch.tensor([2.0])]
    assert identical(some, [tensor.clone() for tensor in some])
    assert not identical(some, [some[0], torch.nextafter(some[1], torch.tensor([3.0]))])
    assert not identical(some, some[:1])


# What a file may import beside torch and the standard library.
ALONE = {
    "exchange/accuracy": set(),
    "exchange/kernels": set(),
    "exchange/checkpoints": set(),
    "exchange/derivatives": set(),
    "exchange/layouts": set(),
    "exchange/layers": {"exchange"},
    "exchange/tolerance": set(),
    "prescription/changes/apply": set(),
    "prescription/changes/table": set(),
    "exchange/others": set(),
    "trials/paired_rounds": set(),
    "prescription/prescribe": {"exchange", "prescription"},
    "prescription/proof": {"exchange"},
    "prescription/race": {"exchange", "prescription"},
    "prescription/stored_proofs": {"exchange", "prescription"},
    "prescription/prescribed": {"prescription"},
    "prescription/prescription_file": {"prescription", "system"},
    "prescription/proof_files": {"system"},
    "system/cache_folder": set(),
    "system/files": set(),
    "system/machine": {"system"},
    "system/own_folder": {"system"},
    "system/windows": set(),
}


@pytest.mark.parametrize("file", ALONE)
def test_the_files_are_python_3_8_and_stand_alone(file):
    """They are sent into targets of that age, or loaded by programs of it, which have no attn_doctor of their own."""
    text = (Path(__file__).parent.parent / "attn_doctor" / f"{file}.py").read_text("utf-8")
    tree = ast.parse(text, feature_version=(3, 8))
    names = {
        name
        for node in ast.walk(tree)
        for name in (
            [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None) or ""]
        )
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    own = {name.split(".")[1] for name in names if name.startswith("attn_doctor.")}
    assert own <= ALONE[file]
    assert {name.partition(".")[0] for name in names} <= {*sys.stdlib_module_names, "torch", "attn_doctor"}
