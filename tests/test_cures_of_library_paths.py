"""Who sets LD_LIBRARY_PATH decides: a shell's `unset` does not reach a notebook, nor a script that asks root's shell."""

from __future__ import annotations

from first_cures import cures, first

JITLINK = (
    "ImportError: /opt/conda/lib/python3.11/site-packages/torch/lib/../../nvidia/cusparse/lib/libcusparse.so.12: undefined symbol: __nvJitLinkCreate_12_6, "
    "version libnvJitLink.so.12\n"
)
OTHER_CUDNN = "RuntimeError: cuDNN version incompatibility: PyTorch was compiled  against (8, 9, 2) but found runtime version (8, 4, 1)\n"


def test_a_cell_that_sets_it_is_changed_and_the_notebook_started_again() -> None:
    text = (
        f"os.environ['LD_LIBRARY_PATH'] = '/opt/conda/lib:' + old\nCell In[2], line 4\n----> 4 import torch\n{JITLINK}"
    )
    (cure,) = first(text)[1].fixes
    assert cure.title == "Take LD_LIBRARY_PATH out of the notebook"
    assert cures(text) == [[None, None]]


def test_a_notebook_whose_server_sets_it_is_told_that_the_change_comes_too_late() -> None:
    cure = first(f"Cell In[2], line 4\n----> 4 import torch\n{JITLINK}")[1].fixes[0]
    assert "stop Jupyter" in cure.steps[-1].why


def test_a_script_that_takes_roots_value_is_gone_around() -> None:
    text = f"The sudo command resets the non-essential environment variables, we keep the LD_LIBRARY_PATH variable.\n{OTHER_CUDNN}"
    around, root = cures(text)
    assert str(around[0]).startswith("env -u LD_LIBRARY_PATH python")
    assert str(root[0]).startswith("sudo grep -rn LD_LIBRARY_PATH /root/.bashrc")


def test_a_torch_that_was_compiled_here_keeps_the_cudnn_of_its_build() -> None:
    text = (
        "-- Found cuDNN: v7.3.1  (include: /usr/local/cuda/include, library: /usr/lib/x86_64-linux-gnu/libcudnn.so)\n"
        "python: symbol lookup error: /home/user/x/_C.so: undefined symbol: cudnnSetRNNDescriptor_v6\n"
    )
    (cure,) = cures(text)
    assert cure[0] == "export LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    assert "remove -y" not in str(cure)


def test_an_unknown_torch_is_not_replaced_by_the_newest() -> None:
    assert "torch==" not in str(cures(f"$ python train.py\n{JITLINK}"))


def test_a_known_torch_is_installed_again_in_its_own_release() -> None:
    last = cures(f"17:22:49-350014 INFO     Torch 2.3.1+cu121\n$ python train.py\n{JITLINK}")[-1]
    assert "torch==2.3.1" in str(last)
