"""Recognise errors of CUDA's start that programs without torch print, as a number or as the name of the constant. Pure.

TensorRT: https://github.com/NVIDIA/TensorRT/issues/1354, https://github.com/NVIDIA/TensorRT/issues/2879 ("with error: 35").
ONNX Runtime: https://github.com/microsoft/onnxruntime/issues/21435. Numba: numba/cuda/cudadrv/driver.py. PaddlePaddle: "CUDA error(35)".
The numbers: https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html (cudaError).
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Sign
from attn_doctor.logs.reader import Strength


def signs(number: str, names: tuple[str, ...] = (), *, sample: int, strength: Strength = "proof") -> tuple[Sign, ...]:
    """Return the signs of an error of CUDA's start in the words of TensorRT, ONNX Runtime, Numba and PaddlePaddle.

    `number`: a regular expression for the number, whose value is the group "code". `sample`: a number that matches it. `names`: the names
    of the error, as CuPy ("cudaErrorSystemNotReady") and JAX ("CUDA_ERROR_SYSTEM_NOT_READY") print them.
    """
    code = rf"(?P<code>{number})\b"
    page = "http://docs.nvidia.com/cuda/cuda-installation-guide-linux/index.html"
    return (
        Sign(
            pattern=rf"[Cc][Uu][Dd][Aa] initialization failure with error:? {code}",
            literal="initialization failure with error",
            sample=f"[E] [TRT] CUDA initialization failure with error: {sample}. Please check your CUDA installation:  {page}",
            strength=strength,
        ),
        Sign(
            pattern=rf"\bCUDA failure {code}",
            literal="CUDA failure ",
            sample=f"onnxruntime::CudaCall CUDA failure {sample}: ; GPU=0 ; hostname=box ; expr=cudaSetDevice(info_.device_id);",
            strength=strength,
        ),
        Sign(
            pattern=rf"Call to cuInit results in UNKNOWN_CUDA_ERROR \({code}\)",
            literal="Call to cuInit results in",
            sample=f"numba.cuda.cudadrv.error.CudaSupportError: Error at driver init: Call to cuInit results in UNKNOWN_CUDA_ERROR ({sample})",
            strength=strength,
        ),
        Sign(
            pattern=rf"\[{code}\] Call to cuInit results in",
            literal="Call to cuInit results in",
            sample=f"CudaSupportError: Error at driver init: [{sample}] Call to cuInit results in CUDA_ERROR",
            strength=strength,
        ),
        Sign(
            pattern=rf"CUDA error\({code}\)",
            literal="CUDA error(",
            sample=f"OSError: (External) CUDA error({sample}).",
            strength=strength,
        ),
        *(
            Sign(pattern=rf"\b{name}\b", literal=name, sample=f"operation cuInit(0) failed: {name}", strength=strength)
            for name in names
        ),
    )
