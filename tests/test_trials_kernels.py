"""The names of kernels by which a profile proves a backend, against the kernels that are really in the installed torch."""

from __future__ import annotations

import importlib.util
import mmap
import re
from pathlib import Path

import pytest

from attn_doctor.trials.backends import BY_NAME

# Host code registers every kernel by its mangled name: <length><namespace><length><name>, then template arguments.
MANGLED = re.compile(rb"_ZN(\d+)(pytorch_flash)(\d+)(flash_\w+?_kernel)I|(fmha_cutlass[FB]_\w+_sm\d+)")


@pytest.fixture(scope="module")
def kernels() -> set[str]:
    """Attention kernels of libtorch_cuda.so, as a profiler shows them, template arguments left out."""
    found = importlib.util.find_spec("torch")
    library = Path(found.origin).parent / "lib" / "libtorch_cuda.so"
    if not library.exists():
        pytest.skip("this torch was built without CUDA: it has no kernels to name")
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return {
            f"void {m[2].decode()}::{m[4].decode()}<...>" if m[2] else f"{m[5].decode()}(Params)"
            for m in MANGLED.finditer(text)
        }


def test_they_are_really_in_there(kernels):
    assert {
        "void pytorch_flash::flash_fwd_kernel<...>",
        "void pytorch_flash::flash_fwd_splitkv_kernel<...>",
        "void pytorch_flash::flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel<...>",
    } <= kernels
    assert any(name.startswith("fmha_cutlassF_f32_aligned") for name in kernels)
    assert any(name.startswith("fmha_cutlassB_f16_aligned") for name in kernels)


@pytest.mark.parametrize(
    ("prefix", "backends"),
    [
        ("void pytorch_flash", {"sdpa", "sdpa-flash"}),
        ("fmha_cutlass", {"sdpa", "sdpa-efficient"}),
    ],
)
def test_each_proves_its_backend_and_no_other_of_pytorchs(kernels, prefix, backends):
    mine = [name for name in kernels if name.startswith(prefix)]
    pytorchs = ("sdpa", "sdpa-flash", "sdpa-efficient", "sdpa-cudnn", "sdpa-flash-3", "sdpa-flash-4")
    for name in mine:
        # AMD's flash kernels are called fmha too, and are proven by the operator: there `sdpa-flash` may match.
        proven = {backend for backend in pytorchs if re.search(BY_NAME[backend].kernels, name)}
        assert backends <= proven <= backends | {"sdpa-flash"}, name
