"""The folder, the file and the host that a log names stand in the lines of its cure."""

from __future__ import annotations

import subprocess
from pathlib import Path

from first_cures import cures, first

OPTIONAL = (
    "torch 2.0.1+cu118\n{}/{}/api.cpp:80:15: error: invalid initialization of reference of type ‘const c10::optional<at::Generator>&’ from expression of type "
    "‘std::optional<at::Generator>’\n"
)


def test_a_part_of_flash_attention_is_built_from_the_older_source_before_torch_is_changed() -> None:
    part, torch = cures(OPTIONAL.format("/data/src/flash-attention", "csrc/rotary"))[:2]
    assert part[0] == "git -C /data/src/flash-attention checkout v2.7.3"
    assert str(part[-1]).endswith("--no-build-isolation --no-deps /data/src/flash-attention/csrc/rotary")
    assert "torch" in str(torch)


def test_flash_attn_itself_is_no_part() -> None:
    assert "checkout" not in str(cures(OPTIONAL.format("/data/src/flash-attention", "csrc/flash_attn"))[0])


def test_the_second_argument_of_a_function_that_loads_is_the_file() -> None:
    text = (
        '----> 9 net = load_network("/content/seg/config.py", "/content/seg/best_seg.pth")\n'
        '  File "/usr/local/lib/python3.11/dist-packages/torch/serialization.py", line 1246, in _legacy_load\n'
        "UnpicklingError: invalid load key, '<'.\n"
    )
    lines = [str(line) for line in cures(text)[0]]
    assert any(line.endswith("rm /content/seg/best_seg.pth") for line in lines)


def test_docker_in_lxc_needs_the_driver_of_its_host(tmp_path: Path) -> None:
    failed = "nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory: unknown\n"
    _, finding = first(f"root@lxc-ai:~# docker compose up\n{failed}")
    assert "LXC" in finding.message
    (cure,) = cures(f"root@lxc-ai:~# docker compose up\n{failed}")
    version = str(cure[2]).partition(" && ")[0]
    proc = tmp_path / "version"
    proc.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\nGCC version: 12\n"
    )
    said = subprocess.run(
        ["sh", "-c", version.replace("/proc/driver/nvidia/version", str(proc)) + "; echo $V"],
        capture_output=True,
        text=True,
        timeout=20,
    ).stdout.strip()
    assert said == "570.86.15"
    assert "toolkit" in first(f"root@server:~# docker compose up\n{failed}")[1].fixes[0].title


def test_a_wheel_of_flash_attn_gets_its_twin_of_the_other_abi() -> None:
    text = (
        "$ pip install flash_attn-2.7.3+cu12torch2.5cxx11abiTRUE-cp311-cp311-linux_x86_64.whl\nImportError: /home/u/v/lib/python3.11/site-packages/flash_attn_2_cuda.cpython-311-x86_64-"
        "linux-gnu.so: undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE\n"
    )
    assert str(cures(text)[0][-1]).endswith(
        "/v2.7.3/flash_attn-2.7.3+cu12torch2.5cxx11abiFALSE-cp311-cp311-linux_x86_64.whl"
    )


def test_a_bitsandbytes_for_a_newer_glibc_is_upgraded() -> None:
    text = "OSError: /lib64/libc.so.6: version `GLIBC_2.34' not found (required by /home/u/.local/lib/python3.11/site-packages/bitsandbytes/libbitsandbytes_cuda126.so)\n"
    assert str(cures(text)[0][0]).endswith("pip install --upgrade bitsandbytes")


def test_a_container_with_a_libcuda_of_its_own_is_started_with_that_of_its_host() -> None:
    text = "$ sudo docker run --gpus all serve:1\nUserWarning: CUDA initialization: Unexpected error from cudaGetDeviceCount(). Error 803: system has unsupported display driver / cuda driver combination\n"
    assert cures(text)[0][-1] == "sudo docker run -e LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu --gpus all serve:1"
