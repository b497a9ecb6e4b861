"""What an undefined symbol says: where it lives, the torch it was built for, and whether its strings are of the other ABI."""

from __future__ import annotations

import pytest
from ailing_extensions import NEW_ABI, OLD_ABI

from attn_doctor.failure_modes.shared import symbols


@pytest.mark.parametrize(
    ("symbol", "sentence", "built", "abi"),
    [
        ("_ZN3c104cuda9SetDeviceEi", "c10::cuda::SetDevice(int) in libc10_cuda.so", "torch 2.1 to 2.2", False),
        ("_ZN3c104cuda9SetDeviceEa", "c10::cuda::SetDevice(signed char) in libc10_cuda.so", "torch 2.3 to 2.7", False),
        (
            "_ZN3c104cuda9SetDeviceEab",
            "c10::cuda::SetDevice(signed char, bool) in libc10_cuda.so",
            "torch 2.8 or newer",
            False,
        ),
        (NEW_ABI, "c10::Error::Error(c10::SourceLocation, std::string) in libc10.so", None, True),
        (OLD_ABI, "c10::Error::Error(c10::SourceLocation, std::string) in libc10.so", None, True),
        (
            "_Z16THPVariable_WrapN2at10TensorBaseE",
            "THPVariable_Wrap(at::TensorBase) in libtorch_python.so",
            None,
            False,
        ),
        ("_PyEval_RequestCodeExtraIndex", "_PyEval_RequestCodeExtraIndex in the Python interpreter", None, False),
        ("__nvJitLinkComplete_12_4", "__nvJitLinkComplete_12_4 in libnvJitLink", None, False),
        ("ncclCommWindowRegister", "ncclCommWindowRegister in libnccl", None, False),
        ("cuMemCreate", "cuMemCreate in libcuda.so.1, the driver", None, False),
    ],
)
def test_an_undefined_symbol_is_explained(symbol, sentence, built, abi):
    assert symbols.sentence(symbol) == sentence
    assert symbols.built_for(symbol) == built
    assert symbols.of_abi(symbol) is abi


def test_the_abi_of_the_torch_decides_where_it_is_known():
    assert symbols.of_abi(NEW_ABI, torch_new_strings=True) is False
    assert symbols.of_abi(NEW_ABI, torch_new_strings=False) is True


def test_a_long_name_is_cut_at_its_parameters():
    zeros = "_ZN2at4_ops5zeros4callEN3c108ArrayRefINS2_6SymIntEEENS2_8optionalINS2_10ScalarTypeEEENS6_INS2_6LayoutEEENS6_INS2_6DeviceEEENS6_IbEE"
    assert symbols.sentence(zeros) == "at::_ops::zeros::call(...) in libtorch_cpu.so"
