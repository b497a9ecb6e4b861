"""ROCm's compiler is there, and a part that it needs is not: the C++ headers, ROCm's libraries for programmers, or its device library.

What it is
    hipcc is a clang. It has no C++ headers of its own: it takes those of the newest GCC folder below /usr/lib/gcc. A build for AMD GPUs also takes the
    headers and CMake files of HIP and its libraries (hipBLAS, rocBLAS, hipBLASLt), which a system that only runs programs does not have.

How it shows
    "__clang_hip_runtime_wrapper.h:50:10: fatal error: 'cmath' file not found"; "fatal error: 'hip/hip_runtime.h' file not found"; CMake: "Could not find a
    package configuration file provided by "hipblas"", "Failed to find ROCm root directory"; "cannot find ROCm device library; provide its path via
    '--rocm-path'".

Why it happens
    A GCC folder came without its C++ part: Ubuntu's libgcc-12-dev without libstdc++-12-dev. AMD's packages asked for a libstdc++ of another number until
    ROCm 7.1. Or only ROCm's runtime was installed. Or ROCm is in another folder than /opt/rocm.

What to do
    Install the libstdc++-NN-dev of the newest number in /usr/lib/gcc. Install ROCm's packages for programmers (rocm-hip-sdk). Set ROCM_PATH if ROCm is in
    another folder.

How to reproduce
    There is no recipe: it takes ROCm's compiler. On such a machine: `ls /usr/lib/gcc/x86_64-linux-gnu /usr/include/c++` shows a number that only the first
    folder has.

References
    https://github.com/ROCm/legacy-rocm-build/issues/4612 ('cmath': the libstdc++-dev of the newest GCC; resolved in ROCm 7.1)
    https://github.com/ROCm/rocHPCG/issues/56
    https://github.com/bitsandbytes-foundation/bitsandbytes/issues/1468 (no ROCm root directory)
    https://rocm.docs.amd.com/projects/install-on-linux/en/docs-7.1.0/reference/package-manager-integration.html
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places, system_tools
from attn_doctor.commands.places import Argv, Manager
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, rocm_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step

_PARTS = (
    r"hip(?:blas(?:lt)?|blas-common|cub|fft|rand|solver|sparse|sparselt)?|roc(?:blas|cub|fft|prim|rand|solver|sparse|thrust|m_smi|alution)|rccl|miopen|"
    r"hsa-runtime64|amd_comgr|AMDDeviceLibs|ROCM|rocm-core|composable_kernel"
)

MODE = FailureMode(
    code="AD134",
    slug="rocm-toolchain-incomplete",
    title="ROCm's compiler lacks a part that the build needs",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "rocm-specific", "extension-not-built"),
    signs=(
        Sign(
            pattern=r"__clang_(?:hip|cuda)_\w{1,40}\.h:\d+:\d+: fatal error: '(?P<header>[\w.]{1,40})' file not found",
            literal="__clang_",
            sample="/opt/rocm/llvm/lib/clang/17/include/__clang_hip_runtime_wrapper.h:50:10: fatal error: 'cmath' file not found",
        ),
        Sign(
            pattern=r"/cuda_wrappers/\w{1,40}:\d+:\d+: fatal error: '(?P<header>[\w.]{1,40})' file not found",
            literal="/cuda_wrappers/",
            sample="/opt/rocm/lib/llvm/lib/clang/19/include/cuda_wrappers/cmath:27:15: fatal error: 'cmath' file not found",
        ),
        Sign(
            pattern=r"fatal error: '?(?P<part>(?:hip|hipblas|hipblaslt|hipcub|hipfft|hiprand|hipsolver|hipsparse|rocblas|rocprim|rocrand|rocthrust|rccl|miopen|hsa)/[\w/.-]{1,60})'?(?: file not found|: No such file)",
            literal="fatal error: ",
            sample="src/ops.hip:3:10: fatal error: 'hip/hip_runtime.h' file not found",
        ),
        Sign(
            pattern=rf'(?:[Cc]ould not find a package configuration file|asked CMake to find a package configuration file) provided by "(?P<part>{_PARTS})"',
            literal="package configuration file provided by",
            sample='  Could not find a package configuration file provided by "hipblas" with any of the following names:',
        ),
        Sign(
            pattern=r"(?P<root>Failed to find ROCm root directory)",
            literal="Failed to find ROCm root",
            sample="  Failed to find ROCm root directory.",
        ),
        Sign(
            pattern=r"(?P<device>cannot find ROCm (?:device library|installation|device librar\w{1,5} for ABI version \d))",
            literal="cannot find ROCm ",
            sample="clang-17: error: cannot find ROCm device library; provide its path via '--rocm-path' or '--rocm-device-lib-path', or pass '-nogpulib'",
        ),
    ),
)
# There is no `detect`: no fact holds the folders of GCC, or the files of ROCm for programmers.


class Lacking(Variant, frozen=True, kw_only=True):
    """Hold what is missing: the C++ headers of the system ("headers"), files of ROCm ("sdk"), or the place of ROCm's device library ("device")."""

    what: Literal["headers", "sdk", "device"]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    header, part = seen.group("header"), seen.group("part")
    if header is not None:
        message = f"ROCm's compiler (clang) found no C++ standard library: '{header}' is a header of libstdc++, and clang took a GCC folder that has no C++ headers."
        return Hit(message=message, evidence=evidence, variant=Lacking(what="headers"))
    if part is not None:
        return Hit(
            message=f"{part} was not found: it belongs to ROCm's packages for programmers, which are not installed, or not in the folder that the build looks in.",
            evidence=evidence,
            variant=Lacking(what="sdk"),
        )
    if seen.group("root") is not None:
        message = "CMake found no ROCm: it is not installed, or not in /opt/rocm, and neither hipcc is on PATH nor ROCM_PATH is set."
        return Hit(message=message, evidence=evidence, variant=Lacking(what="sdk"))
    message = "ROCm's compiler did not find ROCm's device library (files in amdgcn/bitcode): it is not installed, or in another folder than the compiler expects."
    return Hit(message=message, evidence=evidence, variant=Lacking(what="device"))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    what = hit.variant.what if isinstance(hit.variant, Lacking) else "sdk"
    if what == "headers":
        return (Fix(title="Install the C++ headers (libstdc++) of the newest GCC", steps=_libstdcxx(facts), verify=building.verify(facts)),)  # fmt: skip
    sdk = Fix(
        title="Install ROCm's packages for programmers",
        steps=(rocm_steps.sdk(facts), *_folders(facts)),
        verify=building.verify(facts),
    )
    if what == "sdk":
        return (sdk,)
    place = commands.by_hand(
        (
            "sh",
            "-c",
            'export HIP_DEVICE_LIB_PATH="$(dirname "$(find -L /opt/rocm /usr/lib /usr/lib64 -path "*amdgcn/bitcode/ocml.bc" 2>/dev/null | head -n 1)")"',
        ),
        "tells the compiler the folder of the device library that is there; type it into the shell of the build",
        "this shell",
        "none",
    )
    named = Fix(title="Name the folder of the device library", steps=(place,), verify=building.verify(facts))
    return (sdk, named)


# The C++ library of the system's newest gcc. https://packages.ubuntu.com/search?keywords=libstdc%2B%2B, https://packages.fedoraproject.org/pkgs/gcc/gcc-c++/
_NAMES: dict[Manager, Argv] = {"dnf": ("gcc-c++",), "zypper": ("gcc-c++",), "pacman": ("gcc",), "apk": ("g++",)}


def _libstdcxx(facts: Facts) -> tuple[Step, ...]:
    """Return the step that installs the C++ headers of the newest GCC folder: clang takes that folder, complete or not."""
    why = "clang takes the newest number below /usr/lib/gcc; these are the C++ headers of that number"
    manager = places.manager(facts)
    if facts.system.os == "windows":
        return system_tools.compiler(facts)  # there clang takes the headers of Visual Studio
    if manager not in (None, "apt-get"):
        return system_tools.packages(facts, _NAMES, "the C++ headers of the system's gcc", "adds libstdc++'s headers")
    root = places.is_root(facts)
    first = "apt-get update && " if places.container(facts) else ""
    package = "libstdc++-$(ls /usr/lib/gcc/$(uname -m)-linux-gnu | sort -V | tail -n 1)-dev"
    line = f"{first}{'' if root else 'sudo '}apt-get install -y {package}"
    step = commands.by_hand(("sh", "-c", line), f"{why}. For Ubuntu and Debian; on Fedora and RHEL: dnf install gcc-c++", "adds libstdc++'s headers")  # fmt: skip
    return (step,)


def _folders(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that name ROCm's folder to CMake and to setup.py."""
    path = commands.variable(
        "ROCM_PATH",
        "/opt/rocm",
        "the folder of ROCm, if it is another one: write it here; then build again in this shell",
    )
    prefix = commands.variable("CMAKE_PREFIX_PATH", "/opt/rocm", "CMake looks for hipblas and the others below it")
    return (path, prefix)
