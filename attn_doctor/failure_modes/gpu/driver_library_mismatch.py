"""The loaded kernel driver and the driver's libraries have different versions.

What it is
    The NVIDIA driver has two parts, which must have the same version: a kernel module, loaded at boot, and libraries
    (libcuda.so.1, libnvidia-ml.so.1), which programs load.

How it shows
    "Failed to initialize NVML: Driver/library version mismatch"; in torch "Error 803: system has unsupported display driver / cuda
    driver combination".

Why it happens
    An automatic update replaced the libraries while the old module stays loaded until the next boot. Or the image of a
    container has its own driver library, and programs find that library before the library of the host.

What to do
    Reboot (or unload and load the nvidia modules, with everything that uses the GPU stopped). In a container: remove the driver
    packages from the image. To prevent it: exclude the driver packages from automatic updates.

How to reproduce
    `attn-doctor reproduce driver-library-mismatch` starts torch's CUDA with a stand-in of the driver. Stand-in: the
    driver. It needs a CUDA build of torch in the target. If that is not available, a simulated machine is judged.

References
    https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html
    https://github.com/NVIDIA/ubuntu-packaging-nvidia-driver/issues/3
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import container_starts, nvidia_drivers
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known, present
from attn_doctor.failure_modes.recipe import Recipe, StubDriver, Torch
from attn_doctor.failure_modes.shared import cuda_error_numbers, cuda_start
from attn_doctor.failure_modes.shared.fact_queries import in_container, under_wsl
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.versions import parse

MODE = FailureMode(
    code="AD403",
    slug="driver-library-mismatch",
    title="Kernel driver and driver libraries of different versions",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=(
        "torch-sees-no-gpu",
        "eager-fails",
        "model-not-built",
        "driver-missing",
        "driver-too-old",
        "cuda-init-error",
        "no-gpu-present",
        "config-device-cpu",
        "torch-cpu-build",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
    ),
    says="The driver's libraries have another version than the loaded kernel module.",
    signs=(
        Sign(
            pattern=r"[Dd]river/[Ll]ibrary version mismatch",
            literal="ibrary version mismatch",
            sample="Failed to initialize NVML: Driver/library version mismatch",
        ),
        Sign(
            pattern=r"NVML/RM version mismatch",
            literal="NVML/RM version mismatch",
            sample="pynvml.NVMLError_LibRmVersionMismatch: RM has detected an NVML/RM version mismatch.",
        ),
        Sign(
            pattern=r"Error 803:(?:\s*$| system has)",
            literal="Error 803:",
            sample="RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling "
            "NumCudaDevices() that might have already set an error? Error 803: system has unsupported display driver / cuda driver "
            "combination",
        ),
        Sign(
            pattern=r"unsupported display driver ?/ ?cuda driver combination",
            literal="cuda driver combination",
            sample="RuntimeError: CUDA error: system has unsupported display driver / cuda driver combination",
        ),
        Sign(
            pattern=r"NVRM: API mismatch: the client has the version (?P<client>[\d.]+)",
            literal="NVRM: API mismatch",
            sample="NVRM: API mismatch: the client has the version 580.95.05, but",
        ),
        *cuda_error_numbers.signs(
            "803", ("cudaErrorSystemDriverMismatch", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"), sample=803
        ),
    ),
    recipe=Recipe(
        does="starts torch's CUDA with a stand-in of the driver",
        of=(Torch(build="cuda"), StubDriver(cuda="13.9", refusal=803)),
        run=(("{python}", "-c", "import torch; torch.ones(1).cuda()"),),
        shows="Error 803",
        seconds=5,
        stands_in=("the driver",),
    ),
)

_NVML_MISMATCH = 18  # NVML_ERROR_LIB_RM_VERSION_MISMATCH, https://docs.nvidia.com/deploy/nvml-api/
_CUDA_MISMATCH = 803  # CUDA_ERROR_SYSTEM_DRIVER_MISMATCH


def detect(facts: Facts) -> Hit | None:
    if cuda_start.works(facts):
        return None
    graphics = facts.graphics
    if graphics.nvml_code == _NVML_MISMATCH or cuda_start.refused(facts) == _CUDA_MISMATCH:
        if under_wsl(facts):
            return None
        said = (
            fact(facts, "graphics.nvml_error", f"NVML: {graphics.nvml_error}")
            if graphics.nvml_code == _NVML_MISMATCH
            else cuda_start.evidence(facts)
        )
        return Hit(
            message=f"The driver's libraries{_version(graphics.libcuda_version)} do not fit the kernel module{_version(graphics.kernel_module)}.",
            evidence=(said, *_both(facts)),
            certainty=Certainty.OBSERVED,
        )
    if graphics.nvml_error is None and graphics.cuda_error is None:
        return None  # both answered
    if not every(
        lambda: known(graphics.kernel_module) is not None,
        lambda: known(graphics.libcuda_version) is not None,
        lambda: "/compat" not in present(graphics.libcuda),
        lambda: parse(present(graphics.kernel_module)) != parse(present(graphics.libcuda_version)),
        lambda: not under_wsl(facts),
    ):
        return None
    return Hit(
        message=f"The loaded kernel module is {graphics.kernel_module}, libcuda is {graphics.libcuda_version}: they must have the same version.",
        evidence=_both(facts),
    )


def _version(value: object) -> str:
    return f" ({value})" if isinstance(value, str) else ""


def _both(facts: Facts) -> tuple[Evidence, ...]:
    return tuple(
        fact(facts, f"graphics.{name}")
        for name in ("kernel_module", "libcuda_version")
        if isinstance(getattr(facts.graphics, name), str)
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    restart = nvidia_drivers.restart(facts, "the new kernel module of the driver is loaded at boot")
    if not in_container(facts):
        return (restart,)
    again = container_starts.again(facts)
    if again is not None:
        return (_of_the_image(facts, again), restart)
    step = commands.by_hand(
        (),
        "remove the NVIDIA driver packages (libcuda, libnvidia-*) from the container image: a container gets these libraries from its host",
        "another image",
    )
    return (
        Fix(title="Remove the driver from the container image", steps=(step,), verify=commands.check(facts)),
        restart,
    )


def _of_the_image(facts: Facts, again: tuple[str, ...]) -> Fix:
    """Return the fix for a container of which the log shows how it was started: without the CUDA compatibility libraries that stand in its image."""
    look = commands.by_hand(
        ("nvidia-smi",),
        "on the host: has to list the GPU. If it says Driver/library version mismatch: reboot the host, which loads the new kernel module, and start the container again",
        "nothing",
        "none",
    )
    # https://docs.nvidia.com/deploy/cuda-compatibility/ (compat libraries of an image count only on data center GPUs)
    past = container_starts.again_with(again[-1], "-e LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu") or again
    start = commands.by_hand(
        past,
        "on the host: the same command, in which programs find the host's own driver before a libcuda of the image",
        "a new container",
        "none",
    )
    return Fix(title="Let the container use the driver of its host", steps=(look, start), verify=commands.check(facts))
