"""GPU code in libraries: containers as nvcc writes them, made by hand, by nvcc where it is here, and broken ones."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from extensions import build

from attn_doctor.probes.binaries.elf import Elf
from attn_doctor.probes.binaries.fatbin import Code, baseline, gpu_code, ordered

CUBIN, PTX = 2, 1
A, F, LZ4, ZSTD = 0x100000, 0x200000, 0x2000, 0x8000


def entry(kind: int, sm: int, flags: int = 0, payload: bytes = b"code" * 4, header: int = 64) -> bytes:
    """One piece of code. The header says all; compressed or not makes no difference to where things stand."""
    fixed = struct.pack("<HHIQIIHHI", kind, 0x101, header, len(payload), len(payload), 0, 0, 8, sm)
    return (fixed.ljust(40, b"\0") + struct.pack("<Q", flags | 0x11)).ljust(header, b"\0") + payload


def container(*entries: bytes) -> bytes:
    body = b"".join(entries)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def padded(data: bytes, to: int = 8) -> bytes:
    return data.ljust(-(-len(data) // to) * to, b"\0")


def holding(folder: Path, data: bytes, section: str = ".nv_fatbin") -> Elf:
    numbers = ",".join(map(str, data))
    source = f'__attribute__((section("{section}"), used)) static const unsigned char code[] = {{{numbers}}};'
    return Elf.open(build(folder / "holding.so", source))


def test_every_kind_of_code_is_told(tmp_path):
    data = padded(container(entry(CUBIN, 80), entry(CUBIN, 90, A | LZ4), entry(PTX, 90, ZSTD), entry(CUBIN, 100, F)))
    data += padded(container(entry(CUBIN, 80), entry(CUBIN, 120, A), entry(PTX, 120)))
    codes = gpu_code(holding(tmp_path, data))
    assert codes[Code("sm", "8.0")] == 2
    assert ordered(codes, "sm") == ("8.0", "9.0a", "10.0f", "12.0a")
    assert ordered(codes, "ptx") == ("9.0", "12.0")


def test_containers_may_be_padded_to_more_than_they_need(tmp_path):
    data = padded(container(entry(CUBIN, 75)), 64) + container(entry(CUBIN, 86))
    assert ordered(gpu_code(holding(tmp_path, data)), "sm") == ("7.5", "8.6")


def test_relocatable_device_code_has_a_section_of_its_own(tmp_path):
    assert ordered(gpu_code(holding(tmp_path, container(entry(CUBIN, 89)), "__nv_relfatbin")), "sm") == ("8.9",)


def test_a_library_without_gpu_code_holds_none(tmp_path):
    codes = gpu_code(Elf.open(build(tmp_path / "plain.so", "int f(void) { return 1; }")))
    assert not codes
    assert baseline(codes) == ()


def test_the_baseline_is_what_most_of_it_was_compiled_for(tmp_path):
    usual = padded(container(entry(CUBIN, 80), entry(CUBIN, 120), entry(CUBIN, 75), entry(PTX, 120)))
    data = usual * 5 + container(entry(CUBIN, 90, A), entry(CUBIN, 80))
    assert baseline(gpu_code(holding(tmp_path, data))) == ("sm_75", "sm_80", "sm_120", "compute_120")


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 100,
        container(entry(CUBIN, 80))[:20],
        container(entry(CUBIN, 80))[:-4],
        struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 1 << 60) + entry(CUBIN, 80),
        container(entry(CUBIN, 80, header=8)[:64]),
        container(struct.pack("<HHIQ", 2, 0x101, 64, 1 << 63).ljust(64, b"\0")),
        struct.pack("<IHHQ", 0xBA55ED50, 1, 0, 0) * 20,
    ],
    ids=["zeroes", "cut early", "cut late", "endless", "no header", "huge payload", "empty headers"],
)
def test_broken_containers_end_and_say_no_nonsense(data, tmp_path):
    assert set(ordered(gpu_code(holding(tmp_path, data)), "sm")) <= {"8.0", "0.0"}


def test_what_real_nvcc_packs_is_read(tmp_path):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc here")
    listed = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, check=False).stdout.split()
    archs = [a.removeprefix("sm_") for a in listed if a in ("sm_80", "sm_90", "sm_120")]
    if len(archs) < 2:
        pytest.skip("an nvcc that knows too few GPUs")
    source = tmp_path / "kernel.cu"
    source.write_text("__global__ void k(float *x) { x[threadIdx.x] += 1; }\n")
    target = tmp_path / "kernel.so"
    flags = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in archs]
    last = archs[-1]
    flags += [f"-gencode=arch=compute_{last},code=compute_{last}", "-gencode=arch=compute_90a,code=sm_90a"]
    command = [nvcc, "-shared", "-Xcompiler", "-fPIC", "-o", str(target), str(source), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nvcc cannot compile here: {done.stderr[-200:]}")
    codes = gpu_code(Elf.open(target))
    assert set(ordered(codes, "sm")) == {f"{int(a) // 10}.{int(a) % 10}" for a in archs} | {"9.0a"}
    assert ordered(codes, "ptx") == (f"{int(last) // 10}.{int(last) % 10}",)
