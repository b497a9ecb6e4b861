"""The failure modes AD4xx, each with machines that have it."""

from __future__ import annotations

from ailing_machines import (
    AMD_CARD,
    COMPAT,
    CONTAINER,
    FABRIC,
    FLASH_2_7,
    HIDDEN,
    MIG_EMPTY,
    MISMATCH,
    WSL,
    H,
    card,
    cpu_torch,
    old_driver,
    static,
)
from whole_machines import INTEL, changed, refused, with_flash_attn, without_driver

from attn_doctor.model.facts import AmdGpu, Unknown

# slug, a machine that has it, and a piece of its message
PRESENT = [
    (
        "driver-too-old",
        old_driver("550.54.15", "12.4"),
        "550.54.15 (CUDA 12.4 at most) is too old for torch 2.15.0+cu132, which is built for CUDA 13.2 and needs driver 580",
    ),
    ("driver-too-old", static(old_driver("550.54.15", "12.4")), "needs driver 580"),
    (
        "driver-too-old",
        static(old_driver("470.256.02", "11.4", changed(H, torch__version="2.5.1+cu124", torch__cuda="12.4"))),
        "needs driver 525",
    ),
    ("driver-missing", without_driver(H), "its driver is not loaded"),
    ("driver-library-mismatch", MISMATCH, "(580.95.05) do not fit the kernel module (570.133.07)"),
    (
        "driver-library-mismatch",
        static(changed(H, graphics__kernel_module="570.133.07", graphics__nvml_error=Unknown("x"))),
        "they must have the same version",
    ),
    ("cuda-forward-compat-804", COMPAT, "refuses the newer libcuda in /usr/local/cuda/compat"),
    ("cuda-forward-compat-804", static(COMPAT), "allows no forward compatibility"),
    ("cuda-fabric-manager-802", FABRIC, "nvidia-fabricmanager is inactive"),
    ("cuda-fabric-manager-802", static(FABRIC), "nvidia-fabricmanager is inactive: CUDA does not start without it"),
    ("cuda-init-error", changed(refused(H, 999, "unknown error"), graphics__uvm=False), "/dev/nvidia-uvm is missing"),
    ("cuda-init-error", refused(H, 34, "CUDA driver is a stub library"), "is a stub for linking"),
    (
        "cuda-init-error",
        changed(refused(H, 46, "devices are busy"), graphics__cuda_error="cuInit did not answer within 15 s"),
        "CUDA does not start",
    ),
    ("container-without-gpu", CONTAINER, "This docker container was not given a GPU"),
    ("wsl2-driver-stub", WSL, "A Linux driver inside WSL"),
    ("mig", MIG_EMPTY, "is in MIG mode and has no instance"),
    ("no-kernel-image", card("NVIDIA GeForce GTX 1080", "6.1"), "sm_120, but not for NVIDIA GeForce GTX 1080 (sm_61)"),
    (
        "no-kernel-image",
        static(
            card(
                "NVIDIA GeForce RTX 5090",
                "12.0",
                changed(H, torch__version="2.5.1+cu124", torch__cuda="12.4", torch__archs=Unknown("x")),
            )
        ),
        "torch 2.5.1+cu124 has code for sm_50",
    ),
    (
        "no-kernel-image",
        changed(with_flash_attn(card("NVIDIA B200", "10.0"), version="2.7.4.post1"), binaries=(FLASH_2_7,)),
        "flash-attn 2.7.4.post1 has code for sm_80, sm_90, but not for NVIDIA B200 (sm_100",
    ),
    (
        "no-kernel-image",
        with_flash_attn(card("NVIDIA GeForce RTX 5090", "12.0"), version="2.7.4.post1", wheel_cuda="12"),
        "but not for NVIDIA GeForce RTX 5090 (sm_120)",
    ),
    (
        "gpu-arch-unsupported-by-flash-attn",
        card("Tesla T4", "7.5"),
        "Tesla T4 has compute capability 7.5, flash-attn 2 needs 8.0",
    ),
    ("torch-built-without-flash", changed(H, torch__flash_compiled=False), "was built without its flash kernel"),
    ("config-device-cpu", HIDDEN, "CUDA_VISIBLE_DEVICES=-1 hides the GPU of this machine"),
    ("no-gpu-present", changed(without_driver(H), graphics__pci=(INTEL,)), "no GPU that PyTorch can use"),
    ("torch-cpu-build", cpu_torch(H), "torch 2.15.0+cpu is a CPU build"),
    (
        "rocm-specific",
        changed(
            without_driver(H),
            graphics__pci=(AMD_CARD,),
            graphics__amd=(AmdGpu(name="Radeon RX 7900 XTX", gfx="gfx1100"),),
            graphics__rocm="7.1",
        ),
        "Radeon RX 7900 XTX and ROCm 7.1 are here, but torch 2.15.0+cu132 was not built for AMD GPUs",
    ),
]

# slug, and a machine that looks like it and has something else or nothing
