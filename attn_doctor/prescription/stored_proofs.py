"""Store the results of `proof` in the user's cache folder, so that a later program need not repeat the checks.

A result is valid for one machine, torch, setting of threads and set of libraries: the name of its file contains all of these.
Before it is used, one small call must give the stored numbers again. The folder belongs to this user alone (mode 0700); a folder
of another owner, or one that others are allowed to write to, is not used. If a test or a patch replaced functions of torch's
attention, nothing is stored, because a changed function can have the same name and code. Errors never reach the program: without
the folder each program makes the checks itself. torch and the standard library only, Python 3.8.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from attn_doctor.exchange import kernels
from attn_doctor.exchange.accuracy import passes
from attn_doctor.prescription.proof_files import MOST_FILES, folder

if TYPE_CHECKING:
    from attn_doctor.prescription.proof import Case

_C: Any = torch._C  # noqa: SLF001 - torch has no public names for what is asked of it here

_MOST_ENTRIES = 256  # a file has at most so many entries
_NUMBERS = 8  # so many numbers of each output of the small call are stored
_TOKENS = 16  # the small call has at most so many tokens
# Variables of these families change which kernel computes, or how.
_VARIABLES = (
    "OMP_ KMP_ GOMP_ MKL_ DNNL_ ONEDNN_ OPENBLAS_ TORCH PYTORCH_ ATEN_ CUDA_ CUDNN_ CUBLAS_ NVIDIA_ HIP_ ROCM_ HSA_ MIOPEN_ LD_ DYLD_ "
    "FLASH_ATT XFORMERS_ TRITON_"
).split()
_PACKAGES = ("flash_attn", "flash_attn_2_cuda", "flash_attn_3", "flash_attn_interface", "xformers")
# The operators behind the kernels of PyTorch: their registrations show whether a library has replaced them.
_OPERATORS = (
    "aten::scaled_dot_product_attention",
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
    "aten::_scaled_dot_product_flash_attention",
    "aten::_scaled_dot_product_efficient_attention",
    "aten::_scaled_dot_product_cudnn_attention",
    "aten::_flash_attention_forward",
    "aten::_softmax",
    "aten::bmm",
)


class StoredProofs:
    """Read and write the stored results for this machine and the settings of this process."""

    def __init__(self) -> None:
        self._entries: dict[str, Any] | None = None
        self._file: Path | None = None

    def find(self, asked: str, case: Case) -> str | None:
        """Return the backend that is stored for this case; None if there is none, or if one small call gives other numbers than the stored ones.

        `asked`: the requested backend, such as "auto".
        """
        entry = self._read().get(_name(asked, case))
        if not isinstance(entry, dict) or not isinstance(entry.get("backend"), str):
            return None
        name = str(entry["backend"])
        if name not in (*kernels.NAMES, kernels.TEXTBOOK) or not _is_ours(name):
            return None
        try:
            now = _numbers(name, case)
        except (RuntimeError, ImportError, NotImplementedError, ValueError, TypeError, kernels.Unavailable):
            return None
        stored = entry.get("numbers")
        if not isinstance(stored, list) or len(stored) != len(now):
            return None
        most = 8 * torch.finfo(case.dtype).eps * max(1.0, *(abs(number) for number in now))
        same = all(isinstance(a, float) and abs(a - b) <= most for a, b in zip(stored, now))  # noqa: B905 - Python 3.8
        return name if same else None

    def store(self, asked: str, case: Case, backend: str) -> None:
        """Store that this backend was chosen for this case, with the numbers of one small call. `asked`: the requested backend, such as "auto".

        Does nothing if there is no folder for results, if functions of torch's attention were replaced, or if the small call fails.
        Errors of writing are ignored.
        """
        entries = self._read()
        if self._file is None or not _is_ours(backend):
            return
        try:
            numbers = _numbers(backend, case)
        except (RuntimeError, ImportError, NotImplementedError, ValueError, TypeError, kernels.Unavailable):
            return
        name = _name(asked, case)
        entries.pop(name, None)
        entries[name] = {"backend": backend, "numbers": numbers}
        for old in list(entries)[:-_MOST_ENTRIES]:
            del entries[old]
        with contextlib.suppress(OSError, ValueError):
            _write(self._file, entries)

    def layout(self, code: str) -> str | None:
        """Return the stored layout of the class with this code (see `code_of`); None if it is not stored.

        An earlier process recognised it.
        """
        found = self._read().get(f"layout {code}")
        return found if isinstance(found, str) else None

    def store_layout(self, code: str, layout: str) -> None:
        """Store the layout of the class with this code."""
        entries = self._read()
        if self._file is not None:
            entries[f"layout {code}"] = layout
            with contextlib.suppress(OSError, ValueError):
                _write(self._file, entries)

    def _read(self) -> dict[str, Any]:
        if self._entries is None:
            self._entries = {}
            with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
                place = folder(make=True)
                if place is not None and _is_unpatched():
                    self._file = place / f"{_machine()}.json"
                    self._entries = _entries_of(self._file)
        return self._entries


def _entries_of(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            found = json.loads(stream.read(1 << 20))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: Path, entries: dict[str, Any]) -> None:
    """Write the file as a whole. A program that reads at the same time gets the old file or the new one."""
    number, name = tempfile.mkstemp(dir=str(file.parent), suffix=".new")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            json.dump(entries, stream)
        Path(name).replace(file)
    finally:
        with contextlib.suppress(OSError):  # the temporary file still exists only if it was not moved
            Path(name).unlink()
    files = sorted(file.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)
    for old in files[:-MOST_FILES]:
        old.unlink()


def _name(asked: str, case: Case) -> str:
    return " ".join(str(part) for part in (asked, *case))


def _numbers(name: str, case: Case) -> list[float]:
    """Return a few numbers from one small call of this backend: from its output and, in training, from its gradients."""
    small = case._replace(batch=1, tokens=min(case.tokens, _TOKENS))
    kernel, call = kernels.kernel(name), small.call()
    with kernels.in_force(kernel), torch.no_grad():
        found = passes(kernel, call, 1.0) if case.gradients else [kernel(*call)]
    numbers = []
    for tensor in found:
        flat = tensor.detach().to("cpu", torch.float64).reshape(-1)
        numbers += [float(flat[int(i * (len(flat) - 1) / (_NUMBERS - 1))]) for i in range(_NUMBERS)]
    return numbers


def code_of(cls: type) -> str | None:
    """Return a name for the code of a class: its full name, and a stamp of the files in its folder.

    None for code that does not come from the file of its module. The other files of the folder count too, because the class can
    call them.
    """
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    methods = [getattr(getattr(cls, name, None), "__code__", None) for name in ("__init__", "forward")]
    if file is None or any(getattr(code, "co_filename", None) != file for code in methods):
        return None
    with contextlib.suppress(OSError):
        stamps = sorted(_stamp(path) for path in Path(file).parent.glob("*.py"))
        return f"{cls.__module__}.{cls.__qualname__} {hashlib.sha256(repr(stamps).encode()).hexdigest()[:16]}"
    return None


def _is_ours(name: str) -> bool:
    """Return whether this backend is computed by the code of this package."""
    return bool(getattr(kernels.maker(name), "__module__", None) == kernels.__name__)


def _is_unpatched() -> bool:
    """Return whether the functions that the kernels call are those of torch itself."""
    builtin = type(len)
    functions = (
        torch.nn.functional.scaled_dot_product_attention,
        getattr(torch, "_fused_sdp_choice", len),
        torch.softmax,
        torch.matmul,
    )
    modes = getattr(_C, "_len_torch_function_stack", int)() + getattr(_C, "_len_torch_dispatch_stack", int)()
    return modes == 0 and all(type(function) is builtin for function in functions)


def _machine() -> str:
    """Return a name for this machine, torch, settings and libraries: 32 hexadecimal digits."""
    told: list[Any] = [1, sys.version, platform.machine(), _processor(), torch.get_num_threads(), *_torch(), *_gpus()]
    told += sorted(f"{name}={os.environ[name]}" for name in os.environ if name.startswith(tuple(_VARIABLES)))
    dump = getattr(_C, "_dispatch_dump", None)
    for operator in _OPERATORS:
        with contextlib.suppress(RuntimeError):
            told.append(dump(operator) if dump else "")
    lib = Path(torch.__file__).parent / "lib"
    told += sorted(_stamp(path) for path in lib.iterdir())
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] in _PACKAGES and isinstance(getattr(module, "__file__", None), str):
            told.append(_stamp(Path(str(module.__file__))))
    here = Path(__file__).resolve().parents[1]
    told += sorted(_stamp(path) for part in ("exchange", "prescription") for path in (here / part).glob("*.py"))
    return hashlib.sha256(repr(told).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _stamp(path: Path) -> str:
    seen = path.stat()
    return f"{path} {seen.st_size} {seen.st_mtime_ns}"


def _processor() -> str:
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as stream:
        lines = [
            line for line in stream.read(20_000).splitlines() if line.startswith(("model name", "flags", "Features"))
        ]
        return repr(lines[:2])
    return platform.processor()


def _torch() -> list[Any]:
    cpu = getattr(getattr(torch.backends, "cpu", None), "get_cpu_capability", str)()
    return [
        torch.__version__,
        torch.version.git_version,
        torch.version.cuda,
        getattr(torch.version, "hip", None),
        cpu,
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
        torch.backends.cuda.matmul.allow_tf32,
    ]


def _gpus() -> list[Any]:
    if not torch.cuda.is_initialized():  # to ask would fix which GPUs this process sees
        return []
    driver = getattr(_C, "_cuda_getDriverVersion", int)()
    return [driver, *(str(torch.cuda.get_device_properties(index)) for index in range(torch.cuda.device_count()))]
