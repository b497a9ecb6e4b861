"""A Jetson's cure names the file, the release and the image for its JetPack; what NVIDIA has no wheel of is compiled for the torch there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from first_cures import cures, first

WHEEL = "torch-1.10.0-cp36-cp36m-linux_aarch64.whl"


def test_jetpack_4_gets_the_file_of_nvidias_torch() -> None:
    text = '  File "/usr/local/lib/python3.6/dist-packages/torch/__init__.py", line 79, in <module>\nImportError: libcudart.so.10.0: cannot open shared object file: No such file or directory\n'
    lines = cures(f"Jetson Nano, JetPack 4.6\n{text}")[0]
    assert lines[0] == "sudo apt-get install -y libopenblas-base libopenmpi-dev libomp-dev"
    assert lines[1] == f"wget https://nvidia.box.com/shared/static/fjtbno0vpo676a25cgvuqc1wty0fkkg6.whl -O {WHEEL}"
    assert str(lines[2]).endswith(f"-m pip install --force-reinstall --no-deps {WHEEL}")
    assert str(lines[-1]).endswith('vision.git@v0.11.1"')


def test_the_known_torch_of_a_jetson_gets_its_torchvision_compiled() -> None:
    text = "torch 2.1.0a0+41361538.nv23.06\nLinux-5.10.120-tegra-aarch64-with-glibc2.29\nWARNING: torchvision==0.20 is incompatible with torch==2.1.\n"
    assert "vision.git@v0.16.0" in str(cures(text)[0])


@pytest.mark.parametrize(("torch", "vision", "audio"), [("2.5.0a0+nv24.08", "0.20", "2.5"), ("1.13.0", "0.14", "0.13")])
def test_an_unknown_torch_of_a_jetson_is_asked(tmp_path: Path, torch: str, vision: str, audio: str) -> None:
    (tmp_path / "torch.py").write_text(f"__version__ = {torch!r}\n")
    nms = "Jetson Orin\nNotImplementedError: Could not run 'torchvision::nms' with arguments from the 'CUDA' backend.\n"
    node = "Jetson Nano\nOSError: /home/u/.local/lib/python3.8/site-packages/torchaudio/lib/libtorchaudio.so: undefined symbol: _ZNK5torch8autograd4Node4nameEv\n"
    for log, number, repository in ((nms, vision, "vision"), (node, audio, "audio")):
        lines = [str(line) for line in cures(log)[0]]
        program = lines[0].partition("$(")[2].partition(" -c")[0]
        asked = lines[0].replace(program, sys.executable, 1)
        done = subprocess.run(["sh", "-c", asked], cwd=tmp_path, capture_output=True, text=True, timeout=30)
        assert done.stdout.strip() == number
        assert f"{repository}.git@release/$V" in lines[-1]


def test_a_tensorrt_for_other_boards_is_replaced_by_that_of_the_jetpack() -> None:
    text = "Jetson AGX Orin\n[E] Error[9]: Target GPU SM 87 is not supported by this TensorRT release.\n"
    lines = cures(text)[0]
    assert lines[0] == "grep -lis tensorrt /etc/apt/preferences.d/* | xargs -r sudo rm -v"
    assert "tensorrt==8.6.1" not in str(cures(text))


@pytest.mark.parametrize(("image", "is_other"), [("r35.3.1", True), ("r36.2.0", False)])
def test_an_image_for_another_jetpack(image: str, is_other: bool) -> None:
    text = (
        f"Jetson Orin NX, JetPack 6.0\n$ jetson-containers run dustynv/l4t-ml:{image}\nImportError: /lib/aarch64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.30' not found "
        "(required by /usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so)\n"
    )
    _, finding = first(text)
    assert finding.message.startswith("The image l4t-ml is for JetPack 5.1, and the board has JetPack 6.0") is is_other
    assert ("jetson-containers run $(autotag l4t-ml)" in str(cures(text)[0])) is is_other
