"""Hold the sentences in which programs say that torch sees no GPU. They have no other meaning. Pure."""

from __future__ import annotations

SENTENCES = (
    "Torch is not able to use GPU",
    "Your device does not support the current version of Torch/CUDA",
    "on a CUDA device but torch.cuda.is_available() is False",
    "But your machine only has: []",
    "No supported gpu backend found",
    "`CUDAAccelerator` can not run on your system",
    "CUDAAccelerator can not run on your system",
    "GPUAccelerator can not run on your system",
    "can only be used on CUDA devices",
    "fp16 mixed precision requires a GPU",
    "Failed to infer device type",
    "No accelerator (CUDA, XPU, HPU) is available",
    "No accelerator (CUDA, XPU, HPU, NPU) is available",
    "No accelerator is available",
    "Cannot access accelerator device when none is available",
    "Expected a cuda device, but got: cpu",
    "cannot find any torch accelerator",
    "no GPUs found!",
    "No GPU found. A GPU is needed for quantization",
    "Device string must not be empty",
    "GPU is required to run",
)
