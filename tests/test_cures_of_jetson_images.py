"""An image of NVIDIA for JetPack 4 takes the board's CUDA: the release of the board decides."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from told_cures import told

LOG = """$ docker run -it --runtime nvidia {image}
>>> import torch
  File "/usr/local/lib/python3.6/dist-packages/torch/__init__.py", line 189, in <module>
    _load_global_deps()
OSError: {library}: cannot open shared object file: No such file or directory
"""


@pytest.mark.parametrize("library", ["libcurand.so.10", "libcublas.so.10", "libnvToolsExt.so.1"])
@pytest.mark.parametrize(
    "image", ["nvcr.io/nvidia/l4t-pytorch:r32.6.1-pth1.9-py3", "nvcr.io/nvidia/l4t-ml:r32.5.0-py3"]
)
def test_the_image_of_the_boards_release(image: str, library: str) -> None:
    answer = told(LOG.format(image=image, library=library))
    assert answer.titles[0] == "Start the image for the board's own release"
    assert "docs.nvidia.com/deeplearning/frameworks/install-pytorch" not in answer.words


@pytest.mark.parametrize(
    ("line", "tag"),
    [
        ("# R32 (release), REVISION: 7.4, GCID: 33514132, BOARD: t210ref, EABI: aarch64", "r32.7.1-pth1.10-py3"),
        ("# R35 (release), REVISION: 3.1, GCID: 32827747, BOARD: t186ref, EABI: aarch64", "r35.2.1-pth2.0-py3"),
        ("# R32 (release), REVISION: 3.1, GCID: 18284527, BOARD: t186ref, EABI: aarch64", "no image for 32.3.1"),
    ],
)
def test_the_lines_choose_it_on_the_board(tmp_path: Path, line: str, tag: str) -> None:
    answer = told(LOG.format(image="dustynv/ros:noetic-pytorch-l4t-r32.5.0", library="libcublas.so.10"))
    release = tmp_path / "nv_tegra_release"
    release.write_text(f"{line}\n")
    (tmp_path / "sudo").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "sudo").chmod(0o755)
    script = "\n".join(one.removeprefix("sh -c ") for one in answer.lines[0]).replace(
        "/etc/nv_tegra_release", str(release)
    )
    done = subprocess.run(["bash", "-c", f"PATH={tmp_path}:$PATH\n{script}"], capture_output=True, text=True)
    assert done.stdout.rstrip().endswith(tag)


def test_an_image_with_its_own_cuda_is_not_accused() -> None:
    answer = told(LOG.format(image="nvcr.io/nvidia/l4t-pytorch:r35.2.1-pth2.0-py3", library="libcurand.so.10"))
    assert "Start the image" not in answer.titles[0]
