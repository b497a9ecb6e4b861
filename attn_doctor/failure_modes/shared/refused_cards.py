"""Read the messages in which torch or tiny-cuda-nn names a GPU for which it was not compiled. Pure.

torch/cuda/__init__.py has three wordings: until 2.6 "no longer supports this GPU because it is too old", then "Minimum and Maximum cuda
capability", then the list of compute capabilities ("CC") for which it was built. https://github.com/NVlabs/tiny-cuda-nn/issues/230
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.failure_modes.shared import package_cures
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

TINY = "tinycudann"

SIGNS = (
    Sign(
        pattern=r"Found GPU(?P<index>\d+) (?P<refused>\w[\w ().-]{2,60}?) which is of compute capability \(CC\) (?P<refused_cc>\d+\.\d)",
        literal="which is of compute capability (CC)",
        sample="Found GPU0 NVIDIA GeForce GTX 1070 which is of compute capability (CC) 6.1.",
    ),
    Sign(
        pattern=r"(?P<unkernelled>Your installed torch==\S{1,40} does not include kernels for this GPU)",
        literal="does not include kernels for this GPU",
        sample="Your installed torch==2.12.0+cu130 does not include kernels for this GPU. Reinstall the same version against a CUDA build that does, e.g.:",
    ),
    Sign(
        pattern=r"(?P<limits>Minimum and Maximum cuda capability supported by this version of PyTorch)",
        literal="Minimum and Maximum cuda capability",
        sample="    Minimum and Maximum cuda capability supported by this version of PyTorch is",
    ),
    Sign(
        pattern=r"Found GPU(?P<index>\d+) (?P<named>\w[\w ().-]{2,60}?) which is of cuda capability (?P<named_cc>\d+\.\d)",
        literal="which is of cuda capability",
        sample="    Found GPU0 Tesla K80 which is of cuda capability 3.7.",
        strength="context",
    ),
    Sign(
        pattern=r"Could not find compatible tinycudann extension for compute capability (?P<tiny>\d{2,3})",
        literal="compatible tinycudann extension",
        sample="OSError: Could not find compatible tinycudann extension for compute capability 86.",
    ),
)


def by_torch(seen: Seen) -> str | None:
    """Return the GPU that torch's own warning names: "Tesla K80 (sm_37)", "this GPU" if the warning was cut; None if there is no such warning."""
    card, capability = seen.group("refused"), seen.group("refused_cc")
    old = any("no longer supports this GPU" in m.text for m in seen.matches)
    if card is None and (seen.group("limits") or old):
        card, capability = seen.group("named"), seen.group("named_cc")
    if card is None:
        return "this GPU" if old or seen.group("limits") or seen.group("unkernelled") else None
    return f"{card.strip()} (sm_{(capability or '').replace('.', '')})"


def tiny(facts: Facts, capability: str) -> tuple[Fix, ...]:
    """Return the fix that builds tiny-cuda-nn again, for the GPU of the error. `capability`: "86"."""
    row = built_packages.row_of(TINY)
    assert row is not None
    assert row.get is not None
    arch = commands.variable(
        "TCNN_CUDA_ARCHITECTURES",
        capability,
        "the GPU of the error; for several GPUs: 70;86, with quotation marks in a shell of Linux",
    )
    tools = [name for name in row.imports if name != "torch"]
    small = commands.install(*tools, why="its setup imports them", changes="adds build tools")
    why = f"compiles tiny-cuda-nn for this GPU. It takes a C++ compiler and an nvcc that knows sm_{capability}"
    built = commands.install(
        row.get,
        reinstall=True,
        no_deps=True,
        no_build_isolation=True,
        no_cache=True,
        why=why,
        changes="tinycudann",
        takes="minutes",
    )
    steps = (small, arch, package_cures.fewer_jobs(facts), built)
    verify = (*commands.starting(facts), "-c", "import tinycudann")
    return (Fix(title="Build tiny-cuda-nn for this GPU", steps=steps, verify=verify),)
