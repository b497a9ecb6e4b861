"""The ways in which an environment is broken, a module each, and their ordered list."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attn_doctor.errors import Refused
from attn_doctor.failure_modes import (
    abi_mismatch_cxx11,
    abi_mismatch_torch_version,
    apt_cuda_repo_mismatch,
    backend_fails,
    build_failed_unspecified,
    build_timeout_hang,
    config_device_cpu,
    container_toolkit_missing,
    container_without_gpu,
    cross_compile_archs,
    cross_device_link,
    cuda_fabric_manager_802,
    cuda_forward_compat_804,
    cuda_headers_incomplete,
    cuda_home_malformed,
    cuda_home_unset,
    cuda_init_error,
    cuda_too_old_for_flash_attn,
    cutlass_submodule_missing,
    disk_full,
    driver_library_mismatch,
    driver_missing,
    driver_too_old,
    dtype_unsupported,
    eager_fails,
    environment_pollution,
    flash_attn_4_namespace,
    flash_attn_api_version,
    flash_attn_cxx20_required,
    flash_attn_stub_namespace,
    flash_attn_variable_ignored,
    flash_attn_wheel_mislabelled,
    glibc_too_old,
    glibcxx_too_old,
    gpu_arch_unsupported_by_flash_attn,
    head_dim_unsupported,
    host_compiler_missing,
    host_compiler_too_old,
    host_compiler_unsupported,
    illegal_memory_access,
    import_hang,
    ld_library_path_shadowing,
    libcudart_missing,
    libgl_missing,
    libtinfo5_unavailable,
    macos_unsupported,
    mig,
    model_not_built,
    nan_outputs,
    network_proxy_ssl,
    ninja_missing_at_build,
    no_gpu_present,
    no_kernel_image,
    no_matching_distribution,
    no_prebuilt_wheel,
    numpy_abi,
    numpy_missing_or_old,
    nvcc_missing,
    nvcc_torch_cuda_mismatch,
    out_of_memory_build,
    out_of_memory_gpu,
    packaging_missing_at_build,
    permission,
    python_headers_missing,
    python_too_new_no_wheel,
    python_version_syntax,
    requirements_missing,
    rocm_specific,
    sdist_packaging_bug,
    sdpa_no_available_kernel,
    sdpa_silent_math_fallback,
    segfault,
    shadowed_by_folder,
    torch_built_without_flash,
    torch_cpu_batchnorm_gradient,
    torch_cpu_build,
    torch_install_broken,
    torch_missing,
    torch_missing_at_build,
    torchvision_mismatch,
    transformers_flash_attn_2_not_installed,
    triton_libcuda_link,
    triton_missing,
    triton_version_mismatch,
    ultralytics_broken,
    version_parse,
    wheel_download_failed,
    wheel_missing_at_build,
    wheel_platform_mismatch,
    windows_dll_missing,
    windows_path_too_long,
    windows_unsupported,
    wsl2_driver_stub,
    yolo12_flash_not_used,
)
from attn_doctor.failure_modes.mode import Module
from attn_doctor.logs import Pattern

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
