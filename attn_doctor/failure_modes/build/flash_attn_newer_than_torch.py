"""The source of flash-attn (or of another extension) is newer than torch's headers.

What it is
    An extension is compiled with the headers of the installed torch. Its source calls C++ functions of torch in the
    form that they have only in a newer torch.

How it shows
    "error: invalid initialization of reference of type 'const c10::optional<at::Generator>&' from expression of type
    'std::optional<at::Generator>'", "could not convert ... from 'std::optional<...>' to 'c10::optional<...>'", "note: in passing argument 1 of
    'T* at::get_generator_or_default(const c10::optional<...>&, ...)'", "error: no instance of overloaded function
    'at::get_generator_or_default' matches the argument list".

Why it happens
    torch 2.2 and newer use std::optional in their functions; torch 2.1 and older use c10::optional, a type of their
    own. flash-attn changed to std::optional on 14 January 2025: its releases since 2.7.4 do not compile with torch
    2.1. `pip install flash-attn` without a version installs the newest release.

What to do
    Install the finished wheel that was built for this torch; or a newer torch (2.2 or later); or flash-attn 2.7.3 or
    older, which compiles with torch 2.1.

How to reproduce
    There is no recipe: torch 2.1 and a build with nvcc are needed. `pip install --no-build-isolation flash-attn` with
    torch 2.1 shows it if no finished wheel fits.

References
    https://github.com/Dao-AILab/flash-attention/issues/1498
    https://github.com/Dao-AILab/flash-attention/pull/1442
    https://github.com/vllm-project/vllm/pull/6309
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, torch_for_toolkit, torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD126",
    slug="flash-attn-newer-than-torch",
    title="The source that is built is newer than torch",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=r"c10::optional<.{0,120}std::optional<|std::optional<.{0,160}c10::optional<",
            literal="c10::optional<",
            sample="flash_api.cpp:729:13: error: invalid initialization of reference of type ‘const c10::optional<at::Generator>&’ from "
            "expression of type ‘std::optional<at::Generator>’",
        ),
        # torchaudio, torchvision and others register their operators by a name that torch has since 1.9: https://github.com/pytorch/audio/issues/2020
        Sign(
            pattern=r"TORCH_LIBRARY_IMPL\((?P<library>\w{2,40}), (?P<key>CompositeImplicitAutograd|CompositeExplicitAutograd)\b",
            literal="TORCH_LIBRARY_IMPL(",
            sample=" TORCH_LIBRARY_IMPL(torchaudio, CompositeImplicitAutograd, m) {",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<invalid>error: (?:template argument 1 is invalid|[‘'](?:CompositeImplicitAutograd|CompositeExplicitAutograd)[’'] is not a member of [‘']c10::DispatchKey))",
            literal="error: ",
            sample="/home/me/audio/torchaudio/csrc/lfilter.cpp:281:1: error: template argument 1 is invalid",
            strength="context",
        ),
        # A part of flash-attention with a setup.py of its own, in the user's clone.
        Sign(
            pattern=r"(?P<clone>/(?:[^/\s:]{1,80}/){0,12}?flash-attention)/(?P<part>csrc/(?:layer_norm|fused_dense_lib|rotary|xentropy|ft_attention|fused_softmax))/",
            literal="flash-attention/csrc/",
            sample="/home/me/flash-attention/csrc/rotary/rotary.cpp:10:1: note: candidate",
            strength="context",
        ),
        Sign(
            pattern=r"get_generator_or_default\(const c10::optional<",
            literal="get_generator_or_default(const c10::optional<",
            sample="note: in passing argument 1 of ‘T* at::get_generator_or_default(const c10::optional<at::Generator>&, const at::Generator&)’",
        ),
        Sign(
            pattern=r"no instance of (?:overloaded function|function template) \"at::get_generator_or_default\"",
            literal='"at::get_generator_or_default"',
            sample='error: no instance of overloaded function "at::get_generator_or_default" matches the argument list',
        ),
    ),
)


class Registers(Variant, frozen=True, kw_only=True):
    """Hold the library whose operators are registered by a name that torch lacks: "torchaudio"."""

    library: str


class Part(Variant, frozen=True, kw_only=True):
    """Hold the user's clone of flash-attention, and the folder in it that is compiled by itself: "csrc/rotary"."""

    clone: str
    part: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if proofs:
        message = "The source that is compiled uses std::optional, but the installed torch is older than 2.2: its headers have c10::optional."
        clone, part = seen.group("clone"), seen.group("part")
        of = Part(clone=clone, part=part) if clone and part else None
        return Hit(message=message, evidence=building.lines(proofs), variant=of)
    library, key = seen.group("library"), seen.group("key")
    if library is None or not seen.group("invalid"):
        return None
    return Hit(
        message=f"The source of {library} is newer than torch: it registers its operators as {key}, which torch has since 1.9, and the installed torch is older.",
        evidence=building.lines([m for m in seen.matches if "library" in m.groups]),
        variant=Registers(library=library),
    )


# The release for torch 1.7 and 1.8: https://pytorch.org/audio/main/installation.html#compatibility-matrix, https://github.com/pytorch/vision#installation
_TAGS = {
    "torchaudio": "v0.7.2 for torch 1.7, v0.8.1 for torch 1.8",
    "torchvision": "v0.8.2 for torch 1.7, v0.9.1 for torch 1.8",
}


def _older_source(facts: Facts, library: str) -> Fix:
    look = commands.by_hand(
        (*commands.starting(facts), "-c", "import torch; print(torch.__version__)"),
        "prints the version of torch",
        "nothing",
        "none",
    )
    tags = f": {_TAGS[library]}" if library in _TAGS else ", whose page of releases says for which torch each is"
    tag = _TAGS.get(library, "v").partition(" ")[0]
    take = commands.by_hand(
        ("git", "checkout", tag) if library in _TAGS else (),
        f"in the folder of the sources: the release of {library} that was made for this torch{tags}. Then `git submodule update --init --recursive`, delete the folder build, and build again",
        "the checkout",
    )
    return Fix(
        title=f"Build the release of {library} that belongs to this torch",
        steps=(look, take),
        verify=building.verify(facts),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = building.verify(facts)
    if isinstance(hit.variant, Registers):
        return (_older_source(facts, hit.variant.library),)
    why = "torch 2.2 and newer have std::optional, which the source needs; then build again"
    eleven = isinstance(facts.torch.cuda, str) and facts.torch.cuda.startswith("11.")
    # The nvcc there is for CUDA 11, as the torch is: the new torch has to be for CUDA 11 too.
    kept = torch_for_toolkit.for_cuda_major(facts, 11) if eleven else ()
    title = "Install torch 2.2 or newer"
    torch = (Fix(title=title, steps=kept, verify=verify),) if kept else torch_steps.newest(facts, title, why=why)
    older = building.build(facts, "the last release with c10::optional, which torch 2.1 has", release="2.7.3")
    package = facts.subject.package
    own = not isinstance(package, str) or package == "flash-attn"
    if isinstance(hit.variant, Part):
        return (_older_part(facts, hit.variant), *torch)
    return (
        *building.without_compiling(facts),
        *torch,
        *((Fix(title="Build flash-attn 2.7.3", steps=(older,), verify=verify),) if own else ()),
    )


def _older_part(facts: Facts, of: Part) -> Fix:
    """Return the fix that keeps torch: the part of the last flash-attention that was written for torch older than 2.2."""
    take = commands.by_hand(
        ("git", "-C", of.clone, "checkout", "v2.7.3"),
        "the last release with c10::optional, which torch 2.1 has",
        "the clone",
    )
    folder = f"{of.clone}/{of.part}"
    gone = commands.by_hand(
        ("rm", "-rf", f"{folder}/build"), "what was compiled from the newer source", "files of the build"
    )
    build = commands.by_hand(
        (*commands.starting(facts), "-m", "pip", "install", "--no-build-isolation", "--no-deps", folder),
        "compiles it for the torch there, which stays; flash-attn itself has to be of the same release",
        "the part",
        takes="minutes",
    )
    return Fix(
        title="Build that part from flash-attention 2.7.3", steps=(take, gone, build), verify=building.verify(facts)
    )
