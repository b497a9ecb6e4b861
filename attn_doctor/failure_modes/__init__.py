"""The ways in which an environment is broken: a folder an area, a module a failure mode, and the list of all."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attn_doctor.errors import Refused
from attn_doctor.failure_modes.build import (
    build_failed_unspecified,
    build_timeout_hang,
    cross_compile_archs,
    cuda_headers_incomplete,
    cuda_home_malformed,
    cuda_home_unset,
    cuda_too_old_for_flash_attn,
    cutlass_submodule_missing,
    flash_attn_cxx20_required,
    flash_attn_variable_ignored,
    host_compiler_missing,
    host_compiler_too_old,
    host_compiler_unsupported,
    ninja_missing_at_build,
    nvcc_missing,
    nvcc_torch_cuda_mismatch,
    out_of_memory_build,
    packaging_missing_at_build,
    python_headers_missing,
    sdist_packaging_bug,
    torch_missing_at_build,
    triton_libcuda_link,
    triton_missing,
    triton_version_mismatch,
    wheel_missing_at_build,
)
from attn_doctor.failure_modes.gpu import (
    backend_fails,
    config_device_cpu,
    container_toolkit_missing,
    container_without_gpu,
    cuda_fabric_manager_802,
    cuda_forward_compat_804,
    cuda_init_error,
    driver_library_mismatch,
    driver_missing,
    driver_too_old,
    dtype_unsupported,
    eager_fails,
    gpu_arch_unsupported_by_flash_attn,
    head_dim_unsupported,
    illegal_memory_access,
    mig,
    nan_outputs,
    no_gpu_present,
    no_kernel_image,
    out_of_memory_gpu,
    rocm_specific,
    sdpa_no_available_kernel,
    sdpa_silent_math_fallback,
    segfault,
    torch_built_without_flash,
    torch_cpu_batchnorm_gradient,
    torch_cpu_build,
    wsl2_driver_stub,
    yolo12_flash_not_used,
)
from attn_doctor.failure_modes.importing import (
    abi_mismatch_cxx11,
    abi_mismatch_torch_version,
    flash_attn_4_namespace,
    flash_attn_api_version,
    flash_attn_stub_namespace,
    glibc_too_old,
    glibcxx_too_old,
    import_hang,
    ld_library_path_shadowing,
    libcudart_missing,
    libgl_missing,
    numpy_abi,
    numpy_missing_or_old,
    shadowed_by_folder,
    torchvision_mismatch,
    transformers_flash_attn_2_not_installed,
    ultralytics_broken,
    windows_dll_missing,
)
from attn_doctor.failure_modes.install import (
    cross_device_link,
    disk_full,
    environment_pollution,
    flash_attn_wheel_mislabelled,
    network_proxy_ssl,
    no_matching_distribution,
    no_prebuilt_wheel,
    permission,
    python_too_new_no_wheel,
    python_version_syntax,
    requirements_missing,
    torch_install_broken,
    torch_missing,
    version_parse,
    wheel_download_failed,
    wheel_platform_mismatch,
)
from attn_doctor.failure_modes.mode import Module
from attn_doctor.failure_modes.model_code import model_not_built
from attn_doctor.failure_modes.platform import (
    apt_cuda_repo_mismatch,
    libtinfo5_unavailable,
    macos_unsupported,
    windows_path_too_long,
    windows_unsupported,
)
from attn_doctor.logs.reader import Pattern

ALL: tuple[Module, ...] = (
    torch_missing_at_build,
    packaging_missing_at_build,
    wheel_missing_at_build,
    ninja_missing_at_build,
    cuda_home_unset,
    nvcc_missing,
    cuda_home_malformed,
    nvcc_torch_cuda_mismatch,
    cuda_too_old_for_flash_attn,
    cross_compile_archs,
    cutlass_submodule_missing,
    cuda_headers_incomplete,
    host_compiler_unsupported,
    host_compiler_too_old,
    host_compiler_missing,
    python_headers_missing,
    triton_libcuda_link,
    triton_missing,
    triton_version_mismatch,
    out_of_memory_build,
    build_timeout_hang,
    build_failed_unspecified,
    sdist_packaging_bug,
    flash_attn_cxx20_required,
    flash_attn_variable_ignored,
    no_prebuilt_wheel,
    wheel_download_failed,
    network_proxy_ssl,
    no_matching_distribution,
    python_too_new_no_wheel,
    python_version_syntax,
    wheel_platform_mismatch,
    version_parse,
    cross_device_link,
    disk_full,
    permission,
    environment_pollution,
    torch_install_broken,
    torch_missing,
    requirements_missing,
    ultralytics_broken,
    shadowed_by_folder,
    flash_attn_wheel_mislabelled,
    abi_mismatch_torch_version,
    abi_mismatch_cxx11,
    libcudart_missing,
    ld_library_path_shadowing,
    glibc_too_old,
    glibcxx_too_old,
    windows_dll_missing,
    flash_attn_stub_namespace,
    flash_attn_api_version,
    transformers_flash_attn_2_not_installed,
    numpy_abi,
    numpy_missing_or_old,
    torchvision_mismatch,
    import_hang,
    libgl_missing,
    flash_attn_4_namespace,
    driver_too_old,
    driver_missing,
    driver_library_mismatch,
    cuda_forward_compat_804,
    cuda_fabric_manager_802,
    cuda_init_error,
    container_without_gpu,
    container_toolkit_missing,
    wsl2_driver_stub,
    mig,
    no_kernel_image,
    gpu_arch_unsupported_by_flash_attn,
    head_dim_unsupported,
    dtype_unsupported,
    sdpa_no_available_kernel,
    torch_built_without_flash,
    yolo12_flash_not_used,
    config_device_cpu,
    no_gpu_present,
    torch_cpu_build,
    rocm_specific,
    out_of_memory_gpu,
    illegal_memory_access,
    nan_outputs,
    segfault,
    torch_cpu_batchnorm_gradient,
    sdpa_silent_math_fallback,
    model_not_built,
    eager_fails,
    backend_fails,
    windows_unsupported,
    windows_path_too_long,
    macos_unsupported,
    libtinfo5_unavailable,
    apt_cuda_repo_mismatch,
)


class UnknownName(Refused):
    """No failure mode has this code or slug. The text is one sentence for the user."""


def find(name: str) -> Module:
    """A failure mode by its code (any case) or slug. Raises UnknownName."""
    for module in ALL:
        if name.upper() == module.MODE.code or name.lower() == module.MODE.slug:
            return module
    import difflib

    known = [m.MODE.slug for m in ALL] + [m.MODE.code for m in ALL]
    close = difflib.get_close_matches(name.lower(), known, 1) or difflib.get_close_matches(name.upper(), known, 1)
    hint = f"; did you mean {close[0]}?" if close else "; `attn-doctor list` shows all"
    raise UnknownName(f"no failure mode is called {name!r}{hint}")


def check_names(names: Iterable[str]) -> None:
    for name in names:
        find(name)


def patterns() -> list[Pattern]:
    """The signs of all failure modes, compiled."""
    return [
        Pattern(m.MODE.slug, sign.literal.encode(), re.compile(sign.pattern), sign.strength)
        for m in ALL
        for sign in m.MODE.signs
    ]
