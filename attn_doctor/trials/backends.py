"""Define the backends, one entry each: the facts that exclude a backend, and the names of its operators and kernels.

Pure: questions about facts only. A requirement returns None if no obstacle is known (then the backend is tried), or one sentence
with the reason and a way to make it run. An unknown fact excludes nothing. A limit that PyTorch or a package reports itself is
not checked here, because they know their limits better than a table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from attn_doctor.exchange.traits import TRAITS, Traits
from attn_doctor.knowledge import flash_attention
from attn_doctor.knowledge.yes_no_unknown import Answer, Judgement
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.trials import Dtype

if TYPE_CHECKING:
    from attn_doctor.exchange.traits import Family


class Case(NamedTuple):
    """Hold the facts that the requirement of a backend reads."""

    facts: Facts
    device: str  # "cpu", "cuda:0", "mps"
    dtype: Dtype
    asked: bool = False  # the user named this backend
    thorough: bool = False  # the command is `trial`, which may run for minutes

    @property
    def on_gpu(self) -> bool:
        return self.device.startswith("cuda")


Requirement = Callable[[Case], str | None]


class Backend(NamedTuple):
    """Describe one way to compute attention, and its requirements.

    `operators` and `kernels` are regular expressions: the operators that count as this backend's own (forward and backward), and
    the names of its kernels in a GPU profile. Empty operators: attention composed of a matrix product, a softmax and another
    product. `select` is the code with which a program selects the backend.
    """

    name: str
    title: str
    requirement: Requirement
    operators: str = ""
    kernels: str = ""
    select: str = ""
    shared: bool = False  # another backend has the same operators: a GPU profile must show the kernels

    @property
    def traits(self) -> Traits:
        """Return the traits of the backend (its family, its package, whether it needs a GPU), which the programs in the target use too."""
        return TRAITS[self.name]

    @property
    def family(self) -> Family:
        return self.traits.family

    @property
    def gpu_only(self) -> bool:
        return self.traits.gpu_only

    @property
    def exchanged(self) -> bool:
        return self.traits.exchanged

    @property
    def package(self) -> str | None:
        return self.traits.package

    @property
    def composed(self) -> bool:
        """Return whether several operators compute the attention: a matrix product, a softmax and another product."""
        return not self.operators


def _anywhere(case: Case) -> str | None:  # noqa: ARG001 - every requirement is called with it
    return None


def _flash(case: Case) -> str | None:
    if case.device == "mps":
        return "PyTorch has no flash kernel for Apple GPUs: it runs on the CPU and on NVIDIA and AMD GPUs"
    if case.on_gpu and case.dtype == "float32":
        return _half_only("PyTorch's flash kernel for GPUs")
    return None


def _efficient(case: Case) -> str | None:
    return _gpu_only(case)


def _cudnn(case: Case) -> str | None:
    if reason := _gpu_only(case):
        return reason
    if isinstance(case.facts.torch.hip, str):
        return "cuDNN is NVIDIA's, and this torch is built for AMD GPUs: use sdpa-flash or sdpa-efficient"
    return _half_only("cuDNN attention") if case.dtype == "float32" else None


def _flash_attn_2(case: Case) -> str | None:
    version = case.facts.flash_attention.version
    if reason := _package("flash-attn", version, ("flash_attn", "flash_attn_2_cuda"), case):
        return reason
    capability = _capability(case)
    if capability and isinstance(version, str) and not isinstance(case.facts.torch.hip, str):
        return _refusal(flash_attention.runs_on(version, capability))
    return None


def _flash_attn_3(case: Case) -> str | None:
    modules = ("flash_attn_interface", "flash_attn_3", "flash_attn_3/_C")
    return _newer_package("flash-attn-3", case.facts.flash_attention.fa3, modules, case)


def _flash_attn_4(case: Case) -> str | None:
    return _newer_package("flash-attn-4", case.facts.flash_attention.fa4, ("flash_attn.cute",), case)


def _newer_package(name: str, version: str | Unknown | None, modules: tuple[str, ...], case: Case) -> str | None:
    if reason := _package(name, version, modules, case):
        return reason
    capability = _capability(case)
    return _refusal(flash_attention.package_runs_on(name, capability)) if capability else None


def _package(name: str, version: str | Unknown | None, modules: tuple[str, ...], case: Case) -> str | None:
    """Return why a package of flash-attn's family cannot run here; None if no reason is known.

    Such a package needs a GPU and a 16-bit dtype, and must be installed and importable.
    """
    return (
        _gpu_only(case)
        or _not_installed(name, version, _HOW[name])
        or _import_failed(modules, case)
        or (_half_only(name) if case.dtype == "float32" else None)
    )


def _xformers(case: Case) -> str | None:
    if reason := _gpu_only(case):
        return reason
    installed = case.facts.packages.distributions
    if isinstance(installed, Unknown):
        return None
    version = next((d.version for d in installed if d.name.lower() == "xformers"), None)
    return _not_installed("xformers", version, _HOW["xformers"]) or _import_failed(("xformers",), case)


def _flex(case: Case) -> str | None:
    if not case.on_gpu:
        where = {"cpu": "CPU", "mps": "MPS"}.get(case.device, case.device)
        return f"PyTorch says: FlexAttention does not support backward on {where}. It would run on an NVIDIA or AMD GPU"
    if not case.asked and not case.thorough:
        return "FlexAttention is compiled for each shape, which takes a minute or more: attn-doctor trial measures it"
    return _compiler(case)


def _compile(case: Case) -> str | None:
    if not case.asked:
        return "compiling the model takes minutes: ask for it with --backend compile"
    return _compiler(case)


def _compiler(case: Case) -> str | None:
    """Return a sentence about the program that torch.compile needs besides PyTorch and cannot find; None if nothing is missing."""
    compilers, installed = case.facts.toolchain.compilers, case.facts.packages.distributions
    if case.device == "cpu" and not isinstance(compilers, Unknown) and not any(c.name != "gcc" for c in compilers):
        return "torch.compile needs a C++ compiler for the CPU, and none was found: install g++"
    if case.on_gpu and not isinstance(installed, Unknown):
        triton = ("triton", "pytorch-triton", "pytorch-triton-rocm", "triton-rocm", "triton-windows")
        if installed and not any(d.name.lower() in triton for d in installed):
            return "torch.compile needs Triton for a GPU, and it is not installed in the target"
    return None


def _gpu_only(case: Case) -> str | None:
    """Return why a backend that needs a GPU cannot run; None if the trial runs on a GPU.

    The words are the same for all, so that a report shows them once.
    """
    if case.on_gpu:
        return None
    torch = case.facts.torch
    where = {"cpu": "the CPU", "mps": "an Apple GPU"}.get(case.device, case.device)
    built = (
        f", and torch {torch.version} is built for the CPU alone" if torch.cuda is None and torch.hip is None else ""
    )
    return f"needs an NVIDIA or AMD GPU, and this trial runs on {where}{built}"


def _half_only(what: str) -> str:
    return f"{what} accepts only float16 and bfloat16: use autocast (amp=True)"


_HOW = {  # how the user can make the backend run
    "flash-attn": "attn-doctor wheels names a wheel that fits",
    "flash-attn-3": "build it from the folder hopper of flash-attention, for compute capability 9.0",
    "flash-attn-4": "pip install flash-attn-4; it is a pre-release: if pip finds no version, add --pre",
    "xformers": "pip install the release of xformers that was built for this torch",
}


def _not_installed(name: str, version: str | Unknown | None, how: str) -> str | None:
    return f"{name} is not installed in the target: {how}" if version is None else None


def _import_failed(modules: tuple[str, ...], case: Case) -> str | None:
    if isinstance(case.facts.imports, Unknown):
        return None
    for attempt in case.facts.imports:
        if attempt.module in modules and attempt.ok is False:
            fault = attempt.fault
            said = (fault.message or fault.signal or fault.kind).strip() if fault else ""
            return f"importing {attempt.module} fails: {said.splitlines()[-1] if said else 'no reason given'}"
    return None


def _refusal(judged: Judgement) -> str | None:
    """Return the reason of a judgement if it is a verified "no"; else None."""
    return judged.why if isinstance(judged, Answer) and not judged.yes and judged.verified else None


def _capability(case: Case) -> str | None:
    devices = case.facts.torch.devices
    if not case.on_gpu or isinstance(devices, Unknown):
        return None
    index = int(case.device.partition(":")[2] or 0)
    return next((d.compute_capability for d in devices if d.index == index), None)


_FLASH_OPERATOR = r"_scaled_dot_product_flash_attention"
_EFFICIENT_OPERATOR = r"_scaled_dot_product_efficient_attention"
_CUDNN_OPERATOR = r"_scaled_dot_product_cudnn_attention"
_MPS_OPERATOR = r"_scaled_dot_product_attention_math_for_mps"
_FUSED_OPERATORS = (_FLASH_OPERATOR, _EFFICIENT_OPERATOR, _CUDNN_OPERATOR, _MPS_OPERATOR)

# flash-attn-3: CUTLASS names every kernel device_kernel, with the class of flash-attn as argument. flash-attn-4: CuTe DSL
# makes the name of a kernel from class and module.
# https://github.com/Dao-AILab/flash-attention/pull/2332 and https://github.com/Dao-AILab/flash-attention/pull/2564
_FLASH_3_KERNELS = r"flash::\w*Flash|FlashAttn(Fwd|Bwd)"
_FLASH_4_KERNELS = r"[Ff]lash.*(Forward|Backward)"

_ACTIVATE = 'torch.nn.attention.activate_flash_attention_impl("{}")'
_CONTEXT = "torch.nn.attention.sdpa_kernel(SDPBackend.{})"

ALL: tuple[Backend, ...] = (
    Backend("eager", "the attention as installed", _anywhere, select="nothing to do"),
    Backend(
        "sdpa",
        "PyTorch's own choice",
        _anywhere,
        "|".join(_FUSED_OPERATORS),
        r"flash|fmha|sdpa|attention|attn_fwd|bwd_kernel",
        "torch.nn.functional.scaled_dot_product_attention",
    ),
    Backend("sdpa-math", "PyTorch's unfused attention", _anywhere, select=_CONTEXT.format("MATH")),
    Backend(
        "sdpa-efficient",
        "PyTorch's memory-efficient kernel",
        _efficient,
        _EFFICIENT_OPERATOR,
        r"fmha|attn_fwd|bwd_kernel",
        _CONTEXT.format("EFFICIENT_ATTENTION"),
    ),
    Backend(
        "sdpa-flash",
        "PyTorch's flash kernel",
        _flash,
        _FLASH_OPERATOR,
        # NVIDIA: flash_fwd_kernel; AMD: attn_fwd and bwd_kernel_* (AOTriton), fmha_* (Composable Kernel)
        r"flash_|attn_fwd|bwd_kernel|fmha",
        _CONTEXT.format("FLASH_ATTENTION"),
    ),
    Backend(
        "sdpa-flash-3",
        "PyTorch's flash operator with the kernels of flash-attn-3",
        _flash_attn_3,
        _FLASH_OPERATOR,
        _FLASH_3_KERNELS,
        _ACTIVATE.format("FA3"),
        shared=True,
    ),
    Backend(
        "sdpa-flash-4",
        "PyTorch's flash operator with the kernels of flash-attn-4",
        _flash_attn_4,
        _FLASH_OPERATOR,
        _FLASH_4_KERNELS,
        _ACTIVATE.format("FA4"),
        shared=True,
    ),
    Backend(
        "sdpa-cudnn",
        "cuDNN's kernel, through PyTorch",
        _cudnn,
        _CUDNN_OPERATOR,
        r"cudnn.*(sdpa|attention|flash)",
        _CONTEXT.format("CUDNN_ATTENTION"),
    ),
    Backend(
        "flash-attn-2",
        "the package flash-attn",
        _flash_attn_2,
        r"^flash_attn::",
        r"flash_(fwd|bwd)",
        "flash_attn.flash_attn_func",
    ),
    Backend(
        "flash-attn-3",
        "the package flash-attn-3",
        _flash_attn_3,
        r"^flash_attn_3::",
        _FLASH_3_KERNELS,
        "flash_attn_interface.flash_attn_func",
    ),
    Backend(
        "flash-attn-4",
        "the package flash-attn-4",
        _flash_attn_4,
        r"^flash_attn(_4)?(_cute)?::",
        _FLASH_4_KERNELS,
        "flash_attn.cute.flash_attn_func",
    ),
    Backend(
        "xformers",
        "the package xformers",
        _xformers,
        r"^xformers(_flash\w*|_python)?::",
        r"fmha|flash_",
        "xformers.ops.memory_efficient_attention",
    ),
    Backend(
        "flex",
        "FlexAttention, compiled",
        _flex,
        r"flex_attention",
        r"flex_attention",
        "torch.compile(torch.nn.attention.flex_attention.flex_attention)",
    ),
    Backend(
        "compile",
        "the eager model under torch.compile",
        _compile,
        select="torch.compile(model)",
    ),
)
BY_NAME: dict[str, Backend] = {backend.name: backend for backend in ALL}
