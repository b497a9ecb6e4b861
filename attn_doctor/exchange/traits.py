"""List the traits of every backend in one table, for the doctor and for the programs that measure or use a backend.

Pure: the standard library only, and nothing else of attn_doctor. The trial runs this text inside the target, and a user's program
loads it without msgspec. `kernels` has the code of each backend, `trials/backends.py` decides on which machines a backend can
run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # for type checkers only: a target may have Python 3.8, which cannot subscript a tuple
    from typing import Literal

    # Whose code computes it: the installed model's own, PyTorch's kernels, a package that must be installed, torch.compile
    Family = Literal["eager", "pytorch", "package", "compiled"]


class Traits(NamedTuple):
    """Describe a backend, apart from its code and its requirements.

    `sdp_kernels`: names of SDPBackend; if PyTorch refuses one of them, it can give the reason. `auto_rank`: for each type of
    device ({"cuda": 2}) the rank of the backend among the candidates of "auto": 1 is used unless another one is measurably
    faster; without a rank the backend is no candidate. `alone_rank`: its rank among the backends to try if the installed
    attention is wrong for a batch of one image; None: it is not tried.
    """

    family: Family
    gpu_only: bool = False  # it needs an NVIDIA or AMD GPU
    exchanged: bool = True  # the attention of the model is replaced; False: it stays as installed
    package: str | None = None  # the package that must be installed
    sdp_kernels: tuple[str, ...] = ()
    auto_rank: dict[str, int] = {}  # noqa: RUF012 - never changed
    alone_rank: int | None = None


TRAITS: dict[str, Traits] = {
    "eager": Traits("eager", exchanged=False),
    "sdpa": Traits(
        "pytorch",
        sdp_kernels=("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION"),
        auto_rank={"mps": 1},
        alone_rank=2,
    ),
    "sdpa-math": Traits("pytorch", alone_rank=3),
    "sdpa-efficient": Traits("pytorch", gpu_only=True, sdp_kernels=("EFFICIENT_ATTENTION",), auto_rank={"cuda": 3}),
    "sdpa-flash": Traits("pytorch", sdp_kernels=("FLASH_ATTENTION",), auto_rank={"cpu": 1, "cuda": 1}, alone_rank=1),
    "sdpa-flash-3": Traits("package", gpu_only=True, package="flash-attn-3"),
    "sdpa-flash-4": Traits("package", gpu_only=True, package="flash-attn-4"),
    "sdpa-cudnn": Traits("pytorch", gpu_only=True, sdp_kernels=("CUDNN_ATTENTION",), auto_rank={"cuda": 2}),
    "flash-attn-2": Traits("package", gpu_only=True, package="flash-attn", auto_rank={"cuda": 5}),
    "flash-attn-3": Traits("package", gpu_only=True, package="flash-attn-3", auto_rank={"cuda": 4}),
    "flash-attn-4": Traits("package", gpu_only=True, package="flash-attn-4"),
    "xformers": Traits("package", gpu_only=True, package="xformers"),
    "flex": Traits("compiled", gpu_only=True),
    "compile": Traits("compiled", exchanged=False),
}


def candidates(device_type: str) -> list[str]:
    """Return the backends that "auto" tries on a type of device ("cpu", "cuda", "mps"), the preferred one first."""
    ranked = {name: traits.auto_rank[device_type] for name, traits in TRAITS.items() if device_type in traits.auto_rank}
    return sorted(ranked, key=lambda name: ranked[name])


def candidates_alone() -> list[str]:
    """Return the backends to try if the installed attention is wrong for a batch of one image, the preferred one first."""
    ranked = {name: traits.alone_rank for name, traits in TRAITS.items() if traits.alone_rank is not None}
    return sorted(ranked, key=lambda name: ranked[name])


def compiles_model(name: str) -> bool:
    """Return whether this backend compiles the whole model and leaves the attention as installed."""
    return TRAITS[name].family == "compiled" and not TRAITS[name].exchanged
