"""Machines whose extensions do not load, and the failure mode that each of them has."""

from __future__ import annotations

from whole_machines import RTX_4090, changed, packages, with_flash_attn

from attn_doctor.model.facts import (
    Binary,
    Distribution,
    Facts,
    Fault,
    FlashAttention,
    Import,
    Needed,
    Pin,
    Shadow,
    Unknown,
)

H = RTX_4090
LINUX_SUFFIX = "flash_attn_2_cuda.cpython-312-x86_64-linux-gnu.so"
NEW_ABI = "_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
OLD_ABI = "_ZN3c105ErrorC2ENS_14SourceLocationESs"
OLD_TORCH = changed(H, torch__version="2.5.1+cu124", torch__cuda="12.4", torch__cxx11_abi=False)


def undefined(symbol: str, facts: Facts = H, **wheel: object) -> Facts:
    return with_flash_attn(facts, error=f"ImportError: /venv/{LINUX_SUFFIX}: undefined symbol: {symbol}", **wheel)


def unopened(library: str, **wheel: object) -> Facts:
    error = f"ImportError: {library}: cannot open shared object file: No such file or directory"
    return with_flash_attn(H, error=error, **wheel)


def torch_fault(text: str, kind: str = "raised", **more: object) -> Facts:
    fault = Fault(kind=kind, type="ImportError" if kind == "raised" else None, message=text, **more)
    return changed(H, torch__importable=False, torch__fault=fault, torch__available=Unknown("torch does not import"))


def static(facts: Facts, *binaries: Binary) -> Facts:
    """The same machine looked at without importing anything."""
    why = Unknown("--static imports nothing")
    return changed(facts, imports=why, binaries=binaries, torch__importable=why, torch__available=why)


def unloaded(module: str, text: str) -> Facts:
    """The healthy machine, but for one module that does not import."""
    fault = Fault(kind="raised", type="ImportError", message=text)
    tried = tuple(i for i in H.imports if i.module != module)
    return changed(H, imports=(*tried, Import(module=module, ok=False, fault=fault)))


def hollow(**values: object) -> Facts:
    return changed(with_flash_attn(H), imports=Unknown("--static"), flash_attention__modules=(), **values)


FA4 = FlashAttention(
    version=None,
    modules=(),
    namespace_only=True,
    fa3=None,
    fa4="4.0.0b36",
    wheel_torch=None,
    wheel_cuda=None,
    wheel_abi=None,
)

# slug, a machine that has it, and a piece of its message
PRESENT = [
    (
        "libgl-missing",
        unloaded("cv2", "libGL.so.1: cannot open shared object file: No such file or directory"),
        "libGL.so.1 is not on this system",
    ),
    ("torchvision-mismatch", unloaded("torchvision", "operator torchvision::nms does not exist"), "does not load"),
    (
        "torchvision-mismatch",
        static(changed(H, packages__distributions=packages(torch="2.15.0", torchvision="0.24.0", numpy="2.4.6"))),
        "torchvision 0.24.0 was built for another torch than 2.15.0+cu132",
    ),
    (
        "abi-mismatch-torch-version",
        undefined("_ZN3c104cuda9SetDeviceEa", wheel_torch=Unknown("built here")),
        "was built for torch 2.3 to 2.7, you have 2.15.0+cu132: it needs c10::cuda::SetDevice(signed char) in libc10_cuda.so",
    ),
    (
        "abi-mismatch-torch-version",
        undefined("_ZN3c104cuda9SetDeviceEi", wheel_torch="2.2"),
        "built for torch 2.2, you have 2.15.0",
    ),
    # A string in the name, and both have the same ABI: it is the minor after all.
    ("abi-mismatch-torch-version", undefined(NEW_ABI), "it needs c10::Error::Error"),
    (
        "abi-mismatch-torch-version",
        static(with_flash_attn(H, wheel_torch="2.8")),
        "was built for torch 2.8, you have 2.15.0+cu132",
    ),
    (
        "abi-mismatch-torch-version",
        static(
            with_flash_attn(H, wheel_torch=Unknown("built here")),
            Binary(
                module="flash_attn_2_cuda",
                path="/venv/x.so",
                verdict="fails",
                cause="torch-version",
                because=("it asks for c10::cuda::SetDevice(int)",),
                undefined=("_ZN3c104cuda9SetDeviceEi",),
            ),
        ),
        "was built for torch 2.1 to 2.2, you have 2.15.0+cu132",
    ),
    (
        "abi-mismatch-torch-version",
        changed(
            with_flash_attn(
                H,
                error="ImportError: DLL load failed while importing flash_attn_2_cuda: 找不到指定的程序。",
                wheel_torch="2.8",
            ),
            system__os="windows",
        ),
        "was built for torch 2.8, you have 2.15.0+cu132",
    ),
    (
        "abi-mismatch-cxx11",
        undefined(OLD_ABI),
        "was built with the old C++ ABI (cxx11abiFALSE), and your torch with the other C++ ABI",
    ),
    ("abi-mismatch-cxx11", undefined(NEW_ABI, OLD_TORCH), "C++11 ABI (cxx11abiTRUE)"),
    ("abi-mismatch-cxx11", static(with_flash_attn(H, wheel_abi=False)), "built with the old C++ ABI"),
    (
        "libcudart-missing",
        unopened("libcudart.so.12"),
        "was built for CUDA 12 and needs libcudart.so.12; your torch is built for CUDA 13.2",
    ),
    ("libcudart-missing", unopened("libc10.so"), "needs libc10.so"),
    (
        "libcudart-missing",
        static(with_flash_attn(H, wheel_cuda="12")),
        "was built for CUDA 12, your torch for CUDA 13.2",
    ),
    (
        "libcudart-missing",
        static(
            with_flash_attn(H, wheel_cuda=Unknown("built here")),
            Binary(
                module="flash_attn_2_cuda",
                path="/venv/x.so",
                verdict="fails",
                cause="library",
                because=("libcudart.so.12 is nowhere",),
                needs=(Needed(name="libcudart.so.12", found=None, package=None),),
            ),
        ),
        "needs libcudart.so.12",
    ),
    (
        "libcudart-missing",  # the CUDA 13 trap: 2.8.3 asks for the cu12 wheel, and for torch 2.9 and Python 3.12 there is one
        changed(
            H,
            torch__version="2.9.1+cu130",
            torch__cuda="13.0",
            project__pins=(Pin(file="requirements.txt", line=3, requirement="flash-attn==2.8.3"),),
        ),
        "would install flash_attn-2.8.3+cu12torch2.9cxx11abiTRUE-cp312-cp312-linux_x86_64.whl, built for CUDA 12",
    ),
    (
        "ld-library-path-shadowing",
        changed(
            torch_fault("libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12"),
            toolchain__library_path=(Shadow(folder="/usr/local/cuda-12.1/lib64", libraries=("libnvJitLink.so.12",)),),
        ),
        "the loader finds an older libnvJitLink before torch's own; /usr/local/cuda-12.1/lib64 on LD_LIBRARY_PATH contains a copy",
    ),
    (
        "ld-library-path-shadowing",
        changed(
            torch_fault(
                "libtorch_cuda.so: symbol ncclCommWindowRegister, version NCCL_2 not defined in file libnccl.so.2 with link time reference"
            ),
            toolchain__library_path=(Shadow(folder="/opt/nccl/lib", libraries=("libnccl.so.2",)),),
        ),
        "an older libnccl",
    ),
    (
        "glibc-too-old",
        changed(
            with_flash_attn(
                H, error="ImportError: /lib64/libc.so.6: version `GLIBC_2.32' not found (required by /venv/x.so)"
            ),
            system__glibc="2.28",
        ),
        "flash_attn_2_cuda was built for glibc 2.32 or newer, you have 2.28",
    ),
    (
        "glibc-too-old",
        static(changed(with_flash_attn(H), system__glibc="2.31")),
        "The wheel of flash-attn 2.8.3 needs glibc 2.32, you have 2.31",
    ),
    ("glibc-too-old", changed(H, system__glibc="2.31"), "pip does not check this and installs them"),
    (
        "glibcxx-too-old",
        with_flash_attn(
            H,
            error="ImportError: /opt/conda/lib/libstdc++.so.6: version `GLIBCXX_3.4.35' not found (required by /venv/x.so)",
        ),
        "was built for GLIBCXX_3.4.35; the loader finds /opt/conda/lib/libstdc++.so.6, whose newest is GLIBCXX_3.4.33",
    ),
    (
        "windows-dll-missing",
        changed(
            with_flash_attn(
                H, error="ImportError: DLL load failed while importing flash_attn_2_cuda: 找不到指定的模块。"
            ),
            system__os="windows",
        ),
        "a DLL that it needs is not found",
    ),
    (
        "flash-attn-stub-namespace",
        with_flash_attn(H, error="ModuleNotFoundError: No module named 'flash_attn_2_cuda'"),
        "for another Python",
    ),
    ("flash-attn-stub-namespace", hollow(), "flash-attn 2.8.3 is installed without its compiled part"),
    (
        "flash-attn-stub-namespace",
        changed(
            with_flash_attn(H, error="ModuleNotFoundError: No module named 'flash_attn_2_cuda'"),
            project__source_checkout="flash-attention",
        ),
        "The current folder is a checkout",
    ),
    (
        "flash-attn-stub-namespace",
        with_flash_attn(H, error=f"ImportError: /venv/{LINUX_SUFFIX}: file too short"),
        "is damaged",
    ),
    (
        "flash-attn-api-version",
        changed(
            H,
            yolo__kind="fork",
            yolo__flash_error="ImportError: cannot import name 'flash_attn_func' from 'flash_attn.flash_attn_interface' (/venv/x.py)",
            flash_attention__version="1.0.9",
        ),
        "imports flash_attn_func from flash_attn.flash_attn_interface, and flash-attn 1.0.9 does not have flash_attn_func",
    ),
    (
        "numpy-missing-or-old",
        changed(
            H,
            imports=(),
            packages__distributions=packages(torch="2.15.0", ultralytics="8.4.190"),
            torch__numpy_bridge=False,
        ),
        "NumPy is not installed",
    ),
    (
        "macos-other-processor",
        torch_fault(
            "dlopen(/Users/user/venv/lib/python3.12/site-packages/torch/_C.so, 0x0002): tried: '/Users/user/venv/lib/python3.12/site-packages/torch/_C.so' "
            "(mach-o file, but is an incompatible architecture (have 'x86_64', need 'arm64'))"
        ),
        "Importing torch fails: a library of torch is for x86_64, and the Python that loads it for arm64.",
    ),
    ("import-hang", torch_fault("", kind="timeout", seconds=120.0), "Importing torch does not end, within 120 s"),
    ("flash-attn-4-namespace", changed(H, flash_attention=FA4), "Only flash-attn-4 4.0.0b36 is installed"),
    (
        "flash-attn-4-namespace",
        changed(with_flash_attn(H), flash_attention__fa4="4.0.0b36"),
        "share the folder flash_attn/cute",
    ),
    (
        "environment-file-of-another-platform",
        changed(
            H,
            grade="stated",
            packages__named=(
                Distribution(name="vc", version="14.2", installer="conda"),
                Distribution(name="ucrt", version="10.0.22621.0", installer="conda"),
            ),
        ),
        "The environment file is from Windows: conda on Linux has no vc",
    ),
]

# slug, and a machine that looks like it and has something else or nothing
