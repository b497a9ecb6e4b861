"""Answer questions about the FlashAttention packages: what each release of flash-attn 2, flash-attn-3 and -4 checks, compiles and refuses."""

from __future__ import annotations

import functools

from packaging.version import Version

from attn_doctor.knowledge import gpu, pytorch
from attn_doctor.knowledge.attention_rows import BackwardLimit, FlashPackage, FlashRelease, FlashVariable
from attn_doctor.knowledge.tables import load, unlisted
from attn_doctor.knowledge.yes_no_unknown import Judgement, names, no, yes
from attn_doctor.model.facts import Unknown
from attn_doctor.model.requirements import allowed
from attn_doctor.model.versions import capability, parse

FLASH_ATTN = "flash-attn"


def release(version: str) -> FlashRelease | Unknown:
    """Return the row of a flash-attn 2 release ("2.8.3"); Unknown if the table lacks it.

    A local part ("+cu12torch2.8...") is ignored.
    """
    wanted = parse(version)
    found = _releases().get(wanted.public) if wanted is not None else None
    return found or unlisted(f"flash-attn {version}")


@functools.cache
def releases() -> tuple[FlashRelease, ...]:
    """Return the rows of the flash-attn 2 releases that are on PyPI, the newest first."""
    return tuple(row for row in _releases().values() if row.pypi)


def latest() -> FlashRelease:
    return releases()[0]


def package(name: str) -> FlashPackage | Unknown:
    """Return the row of "flash-attn-3" or "flash-attn-4"; Unknown for any other name."""
    return next((row for row in load(FlashPackage) if row.package == name), None) or unlisted(name)


def variable(name: str) -> FlashVariable | None:
    """Return the row of an environment variable that setup.py of some flash-attn release reads; None if no release reads it."""
    return next((row for row in load(FlashVariable) if row.name == name), None)


def supports_python(version: str, python: str) -> Judgement:
    """Return whether the Requires-Python of this flash-attn release allows this Python ("3.12")."""
    row = release(version)
    if isinstance(row, Unknown):
        return row
    fits = allowed(row.requires_python, python)
    if fits is None:
        return Unknown(f"cannot read the version {python!r}")
    if fits:
        return yes(f"flash-attn {row.release} accepts Python {row.requires_python}")
    return no(f"flash-attn {row.release} needs Python {row.requires_python}, here {python}")


def runs_on(
    version: str,
    device: str,
    *,
    code: tuple[str, ...] | None = None,
    cuda: str | None = None,
    backward: bool = False,
    head_dim: int | None = None,
    dropout: bool = False,
) -> Judgement:
    """Return whether flash-attn 2 of this release runs on a GPU of this compute capability ("8.9").

    `code`: the GPU code in the binary, such as ("sm_80",); None: not read, so all code that the release can compile is assumed.
    `cuda`: the CUDA version of that build. `head_dim`: None leaves head dimensions out of the answer. `backward`: ask for
    training. `dropout`: ask for training with dropout. Both count only together with `head_dim`.
    """
    row = release(version)
    if isinstance(row, Unknown):
        return row
    target = capability(device)
    if target < capability(row.min_capability):
        return no(f"FlashAttention 2 needs compute capability {row.min_capability} or newer, the GPU is {device}")
    if row.majors and target[0] not in row.majors:
        return no(
            f"flash-attn {row.release} accepts only compute capability {names(f'{major}.x' for major in row.majors)}, "
            f"the GPU is {device}"
        )
    held = gpu.runs(code if code is not None else [f"sm_{arch}" for arch in row.archs], device, cuda=cuda)
    if isinstance(held, Unknown) or not held.yes:
        return held
    if head_dim is not None:
        if head_dim > row.max_head_dim:
            return no(f"FlashAttention 2 accepts head dims up to {row.max_head_dim}, here {head_dim}")
        if backward and (limit := limit_hit(row.backward_limits, device, head_dim, dropout=dropout)):
            return no(
                f"the backward pass of flash-attn {row.release} accepts head dim {head_dim}"
                f"{' with dropout' if limit.with_dropout_only else ''} only on {names(limit.only_on)}, the GPU is {device}"
            )
    return yes(f"flash-attn {row.release}: {held.why}")


def limit_hit(limits: tuple[BackwardLimit, ...], device: str, head_dim: int, *, dropout: bool) -> BackwardLimit | None:
    """Return the first of these limits on training that forbids this head dim on a GPU of this capability ("8.9"); None if none does."""
    for limit in limits:
        if (
            limit.above < head_dim <= limit.to
            and device not in limit.only_on
            and (dropout or not limit.with_dropout_only)
        ):
            return limit
    return None


def package_runs_on(name: str, device: str, *, backward: bool = False, through_torch: bool = False) -> Judgement:
    """Return whether flash-attn-3 or flash-attn-4 runs on a GPU of this compute capability ("9.0").

    `through_torch`: ask whether torch's own registry calls the package there. `backward`: ask for training, else for prediction.
    """
    row = package(name)
    if isinstance(row, Unknown):
        return row
    major = str(capability(device)[0])
    if through_torch and int(major) not in row.torch_sdpa_majors:
        listed = names(f"{m}.x" for m in row.torch_sdpa_majors)
        return no(
            f"torch runs {name} only on {listed}, the GPU is {device}",
            verified="torch_sdpa_majors" not in row.inferred,
        )
    held = row.backward if backward else row.forward
    what = "backward" if backward else "forward"
    if device in held or major in held:
        return yes(f"{name} {row.version} has {what} kernels for {device}")
    if device in row.forward_unverified or major in row.forward_unverified:
        return Unknown(f"the code of {name} accepts {device}, its documentation does not name {device}: not tried")
    newest = max((capability(text if "." in text else f"{text}.0") for text in held), default=(0, 0))
    if capability(device)[0] > newest[0]:
        return unlisted(f"{name} on {device}")
    return no(f"{name} {row.version} has {what} kernels for {names(held)}, the GPU is {device}")


def source_compiles(version: str, torch: str, *, header_cxx: int | None = None, compiler: str = "gcc") -> Judgement:
    """Return whether this release compiles with torch's headers, by the C++ standard that its setup.py passes.

    `header_cxx`: the standard that the installed headers need (17 or 20); None: they were not read, so the table decides, by
    `compiler` ("gcc", "clang" or "msvc").
    """
    row = release(version)
    needs = header_cxx if header_cxx is not None else pytorch.cxx_minimum(torch, compiler)
    if isinstance(row, Unknown):
        return row
    if isinstance(needs, Unknown):
        return needs
    sure = "cxx" not in row.inferred
    compared = f"the headers of torch {torch} need C++{needs}, flash-attn {row.release} compiles with -std=c++{row.cxx}"
    return yes(compared, verified=sure) if row.cxx >= needs else no(compared, verified=sure)


@functools.cache
def _releases() -> dict[str, FlashRelease]:
    rows = sorted(load(FlashRelease), key=lambda row: Version(row.release), reverse=True)
    return {Version(row.release).public: row for row in rows}
