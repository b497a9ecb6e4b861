"""Cures of packages that do not fit the torch there: torch stays where it can, and what the log does not say is asked by the first line."""

from __future__ import annotations

from first_cures import cures, first

NO_CUDA = "NotImplementedError: No operator found for `memory_efficient_attention_forward` with inputs:\n`fa2F@0.0.0` is not supported because:\n    xFormers wasn't build with CUDA support\n"
PTX = "ptxas C:\\Temp\\tmp1.ptx, line 5; fatal   : Unsupported .version 8.7; current version is '8.4'\n"


def test_an_xformers_without_cuda_is_first_left_out() -> None:
    without, together = cures(f"RTX 5080\n{NO_CUDA}")
    assert without == ["python -m pip uninstall -y xformers"]
    assert "torch torchvision torchaudio xformers" in str(together)
    assert "no nvcc was found" not in first(f"RTX 5080\n{NO_CUDA}")[1].message


def test_from_torch_2_10_on_the_same_xformers_is_installed_anew() -> None:
    text = (
        "WARNING[XFORMERS]: xFormers can't load C++/CUDA extensions. xFormers was built for:\n    PyTorch 2.10.0+cu126 with CUDA 1206 (you have 2.12.0+cu130)\n"
        "    Python  3.10.19 (you have 3.12.4)\n"
    )
    (line,) = cures(text)[0]
    assert str(line).endswith(
        "-m pip install --force-reinstall --no-deps xformers --index-url https://download.pytorch.org/whl/cu130"
    )


def test_the_page_of_wheels_gets_the_version_of_the_torch_that_is_there() -> None:
    text = "$ python train.py\nOSError: /home/user/v/lib/python3.10/site-packages/torch_sparse/_spmm_cuda.so: undefined symbol: _ZN5torch3jit17parseSchemaOrNameERKSs\n"
    ask, get = cures(text)[0][:2]
    assert str(ask).startswith("V=$(")
    assert str(get).endswith("torch-sparse --find-links https://data.pyg.org/whl/torch-$V.html")


def test_the_triton_of_windows_is_chosen_after_torch_was_asked() -> None:
    text = (
        f"D:\\ComfyUI_windows_portable\\python_embeded>python t.py\n{PTX}    scale_kernel[grid](x, out, n, BLOCK=256)\n"
    )
    (cure,) = cures(text)
    assert "import subprocess, sys, torch; v = torch.__version__; t = {4: 1, 5: 1," in str(cure[0])
    assert str(cure[0]).endswith("'triton-windows==3.' + str(t) + '.*'])\"")
    assert "TORCH_COMPILE_DISABLE" not in str(cures(text))


def test_a_compiled_model_may_do_without_its_compiler() -> None:
    text = f'  File "D:\\v\\Lib\\site-packages\\torch\\_inductor\\runtime\\x.py", line 3, in f\n{PTX}'
    assert "TORCH_COMPILE_DISABLE" in str(cures(text))
