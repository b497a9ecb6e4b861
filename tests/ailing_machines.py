"""Machines with something wrong with their GPU, driver or container, made from the healthy one of whole_machines."""

from __future__ import annotations

from whole_machines import RTX_4090, changed, gpu, packages, refused, without_driver

from attn_doctor.model.facts import Binary, Facts, PciDevice, TorchDevice, Unknown, Variable

H = RTX_4090
AMD_CARD = PciDevice(vendor="1002", device="744c", pci_class="0300", driver="amdgpu")


def environment(**values: str) -> tuple[Variable, ...]:
    return tuple(Variable(name=name, value=value) for name, value in values.items())


def card(name: str, capability: str, facts: Facts = H, **more: object) -> Facts:
    """The healthy machine with another GPU."""
    return changed(
        facts,
        graphics__gpus=(gpu(name, capability, **more),),
        torch__devices=(TorchDevice(index=0, name=name, compute_capability=capability),),
    )


def old_driver(driver: str, cuda: str, facts: Facts = H) -> Facts:
    number = int(float(cuda) * 1000)
    return changed(
        facts,
        graphics__driver=driver,
        graphics__driver_cuda=cuda,
        graphics__kernel_module=driver,
        graphics__libcuda_version=driver,
        graphics__cuda_error=None,
        torch__available=False,
        torch__devices=(),
        torch__cuda_error=f"RuntimeError: The NVIDIA driver on your system is too old (found version {number}).",
    )


def cpu_torch(facts: Facts) -> Facts:
    return changed(
        facts,
        torch__version="2.15.0+cpu",
        torch__cuda=None,
        torch__archs=(),
        torch__available=False,
        torch__devices=(),
        torch__cuda_error=None,
        packages__distributions=packages(
            torch="2.15.0+cpu", torchvision="0.29.2", numpy="2.4.6", ultralytics="8.4.190"
        ),
    )


def static(facts: Facts) -> Facts:
    """Nothing was imported, and nobody started CUDA."""
    why = Unknown("--static")
    return changed(
        facts, imports=why, torch__importable=why, torch__available=why, torch__cuda_error=why, graphics__cuda_error=why
    )


HIDDEN = changed(
    H,
    environment=environment(CUDA_VISIBLE_DEVICES="-1"),
    graphics__gpus=(gpu("NVIDIA GeForce RTX 4090", "8.9", visible=False),),
    graphics__cuda_error="100 no CUDA-capable device is detected",
    torch__available=False,
    torch__devices=(),
    torch__cuda_error="RuntimeError: No CUDA GPUs are available",
)
CONTAINER = changed(without_driver(H), system__container="docker")
MISMATCH = changed(
    refused(H, 803, "system has unsupported display driver / cuda driver combination"),
    graphics__kernel_module="570.133.07",
    graphics__nvml_error="RM has detected an NVML/RM version mismatch.",
    graphics__nvml_code=18,
    graphics__gpus=Unknown("NVML: version mismatch"),
    graphics__driver="570.133.07",
    graphics__driver_cuda=Unknown("NVML: version mismatch"),
)
COMPAT = changed(
    refused(H, 804, "forward compatibility was attempted on non supported HW"),
    system__container="docker",
    graphics__driver="550.54.15",
    graphics__driver_cuda="12.4",
    graphics__kernel_module="550.54.15",
    graphics__libcuda="/usr/local/cuda/compat/lib.real/libcuda.so.1",
    environment=environment(LD_LIBRARY_PATH="/usr/local/cuda/compat/lib:/opt/lib"),
)
FABRIC = changed(
    refused(card("NVIDIA H100 80GB HBM3", "9.0"), 802, "system not yet initialized"),
    graphics__fabric_manager="inactive",
)
WSL = changed(
    without_driver(H),
    system__wsl=2,
    system__wsl_driver_folder=True,
    system__dxg=True,
    graphics__pci=(),
    graphics__gpus=Unknown("NVML: blocked"),
    graphics__driver=Unknown("NVML: blocked"),
    graphics__driver_cuda=Unknown("NVML: blocked"),
    graphics__nvml_error="GPU access blocked by the operating system",
    graphics__nvml_code=17,
    graphics__libcuda="/lib/x86_64-linux-gnu/libcuda.so.1",
)
MIG_EMPTY = changed(
    card("NVIDIA A100-SXM4-80GB", "8.0", mig=True, slices=0),
    graphics__cuda_error="100 no CUDA-capable device is detected",
    torch__available=False,
    torch__devices=(),
)
FLASH_2_7 = Binary(module="flash_attn_2_cuda", path="/venv/x.so", verdict="loads", sm=("8.0", "9.0"), ptx=())
