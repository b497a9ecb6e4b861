"""Judge the toolkit that a project file installs, where the file also compiles a CUDA extension: nvcc and torch must have one CUDA major. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.failure_modes.shared.fact_queries import holds
from attn_doctor.knowledge import built_packages, cuda
from attn_doctor.model.facts import Facts, Pin
from attn_doctor.model.findings import Fix, Severity, fact
from attn_doctor.model.steps import name_of


class KitOfProject(Variant, frozen=True, kw_only=True):
    """Hold the place that sets the toolkit, and the CUDA of torch."""

    file: str
    line: str
    have: str  # CUDA of nvcc, "11.7"
    need: str  # CUDA of torch, "12.1"


def told(facts: Facts) -> Hit | None:
    """Return the hit if a file brings one toolkit, a torch for another CUDA major, and a package that is compiled; else None."""
    kits, need, pins = facts.toolchain.toolkits, facts.torch.cuda, facts.project.pins
    file, _, line = facts.sources.get("toolchain.toolkits", "").rpartition(":")
    if facts.grade != "stated" or not file or not isinstance(kits, tuple) or len(kits) != 1:
        return None
    have = kits[0].version
    if not (isinstance(need, str) and isinstance(have, str) and isinstance(pins, tuple)):
        return None
    index = next((at for at, pin in enumerate(pins) if _compiles(facts, pin)), None)
    if index is None or holds(cuda.nvcc_for_torch(have, need)):
        return None
    package = _name(pins[index])
    return Hit(
        message=f"The toolkit is CUDA {have}, and torch is built for CUDA {need}: PyTorch refuses to compile {package} with that nvcc.",
        evidence=(
            fact(facts, "toolchain.toolkits", f"the toolkit is CUDA {have}"),
            fact(facts, "torch.cuda"),
            fact(facts, f"project.pins.{index}.requirement"),
        ),
        variant=KitOfProject(file=file, line=line, have=have, need=need),
        severity=Severity.ERROR,
    )


def _name(pin: Pin) -> str:
    return name_of(pin.requirement.rstrip("/").rpartition("/")[2]) or pin.requirement


def _compiles(facts: Facts, pin: Pin) -> bool:
    """Return whether pip compiles CUDA code for this requirement: no finished wheel of the package exists.

    A package with the variable FORCE_CUDA compiles no CUDA code where no GPU is visible, as in a build of an image.
    """
    row = built_packages.row_of(name_of(pin.requirement) or "") or built_packages.row_of(_name(pin))
    if row is None or row.wheels != "none" or ".whl" in pin.requirement or row.setup_takes_wheel:
        return False
    forced = isinstance(facts.environment, tuple) and any(v.name == "FORCE_CUDA" for v in facts.environment)
    return not pin.by_command or "FORCE_CUDA" not in row.variables or forced


def fixes(facts: Facts, found: KitOfProject) -> tuple[Fix, ...]:
    """Return the fix: the toolkit of torch's CUDA in the place of the other one."""
    if isinstance(facts.subject.image, str):
        words = f"{found.file}, line {found.line}: an image of nvidia/cuda with CUDA {found.need} and -devel in its name, in the place of this one"
    else:
        words = f"{found.file}, line {found.line}: nvidia::cuda-toolkit={found.need} in the place of the toolkit {found.have}; nvcc and torch then have one CUDA"
    step = commands.by_hand((), words, found.file)
    return (Fix(title=f"Use the toolkit of CUDA {found.need}", steps=(step,), verify=building.verify(facts)),)
