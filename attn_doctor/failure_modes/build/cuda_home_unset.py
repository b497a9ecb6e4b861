"""No CUDA toolkit is found, so nothing can be compiled against CUDA.

What it is
    To build flash-attn, NVIDIA's compiler (nvcc) and headers are needed. PyTorch looks for them in CUDA_HOME, then in
    CUDA_PATH, then beside the `nvcc` on PATH, then in /usr/local/cuda, and finds none.

How it shows
    "UserWarning: flash_attn was requested, but nvcc was not found", and later "OSError: CUDA_HOME environment
    variable is not set. Please set it to your CUDA install root."

Why it happens
    `pip install torch` installs CUDA's runtime libraries, not its compiler. flash-attn's setup.py needs the toolkit
    even if a finished wheel fits, because it creates torch's CUDAExtension before it looks for the wheel.

What to do
    Install a finished wheel by its address: then nothing is compiled. Or install a toolkit of the CUDA major version
    that torch was built for. YOLO12 of Ultralytics needs neither: it never calls flash-attn.

    Beware: a CPU build of torch prints the same sentence even if CUDA_HOME is set (see torch-cpu-build).

How to reproduce
    `attn-doctor reproduce cuda-home-unset` runs flash-attn's own setup.py in a namespace in which no CUDA toolkit can
    be seen. Stand-ins (parts that are not real): a torch that only looks like a CUDA build. It downloads 13 MB, and a
    CPU build of torch (200 MB) if the target's torch cannot be used.

References
    https://github.com/Dao-AILab/flash-attention/issues/1736
    https://github.com/pytorch/pytorch/blob/main/torch/utils/cpp_extension.py (_find_cuda_home)
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import (
    BUILD_TOOLS,
    INSTALL_SOURCE,
    LOOKS_LIKE_CUDA,
    Hidden,
    Recipe,
    Source,
    Torch,
    Without,
)
from attn_doctor.failure_modes.shared import building, cut_logs, package_cures, toolkits
from attn_doctor.failure_modes.shared.fact_queries import variable
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD105",
    slug="cuda-home-unset",
    title="No CUDA toolkit is found",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=("build-failed-unspecified", "extension-not-built"),
    signs=(
        # The setup.py of causal-conv1d and mamba-ssm sets bare_metal_version only if CUDA_HOME was found.
        Sign(
            pattern=r"name 'bare_metal_version' is not defined|local variable 'bare_metal_version'",
            literal="'bare_metal_version'",
            sample="NameError: name 'bare_metal_version' is not defined",
        ),
        Sign(
            pattern=r"CUDA_HOME environment variable is not set",
            literal="CUDA_HOME environment variable is not set",
            sample="OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.",
        ),
        Sign(
            pattern=r"was requested, but nvcc was not found",
            literal="was requested, but nvcc was not found",
            sample="UserWarning: flash_attn was requested, but nvcc was not found.  Are you sure your environment has nvcc "
            "available?",
        ),
        Sign(
            pattern=r"Cannot find CUDA_HOME\. CUDA must be available",
            literal="Cannot find CUDA_HOME",
            sample="RuntimeError: Cannot find CUDA_HOME. CUDA must be available to build the package.",
        ),
        Sign(
            pattern=r"No CUDA toolkit found",
            literal="No CUDA toolkit found",
            sample="gsplat: No CUDA toolkit found. gsplat will be disabled.",
        ),
        Sign(
            pattern=r"CUDA_HOME does not exist, unable to compile",
            literal="CUDA_HOME does not exist",
            sample="[WARNING] async_io: CUDA_HOME does not exist, unable to compile CUDA op(s)",
        ),
        Sign(
            pattern=r"MissingCUDAException",
            literal="MissingCUDAException",
            sample="op_builder.builder.MissingCUDAException: CUDA_HOME does not exist, unable to compile CUDA op(s)",
        ),
        Sign(
            pattern=r"\b\w+: No CUDA toolkit found\b",
            literal=": No CUDA toolkit found",
            sample="gsplat: No CUDA toolkit found. gsplat will be disabled.",
        ),
        # Older setup.py files add "/bin/nvcc" to a CUDA_HOME that is None.
        Sign(
            pattern=r"unsupported operand type\(s\) for \+: 'NoneType' and 'str'",
            literal="for +: 'NoneType' and 'str'",
            sample="TypeError: unsupported operand type(s) for +: 'NoneType' and 'str'",
            strength="hint",
        ),
        # Functions whose only error is that there is no CUDA_HOME.
        *building.ISOLATED,
        cut_logs.frame(
            "raise_if_cuda_home_none",
            "raise_if_cuda_home_none",
            '  File "/tmp/pip-req-build-34/setup.py", line 39, in raise_if_cuda_home_none',
            called=True,
        ),
        cut_logs.frame(
            "_join_cuda_home",
            "_join_cuda_home",
            '  File "/v/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 2400, in _join_cuda_home',
        ),
        cut_logs.frame(
            "CUDAExtension",
            ", in CUDAExtension",
            '  File "/v/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 1077, in CUDAExtension',
        ),
        cut_logs.frame(
            "installed_cuda_version",
            "installed_cuda_version",
            '  File "/tmp/pip-install-q5/deepspeed_c7/op_builder/builder.py", line 51, in installed_cuda_version',
        ),
    ),
    recipe=Recipe(
        does="runs flash-attn's own setup.py in a namespace in which no CUDA toolkit can be seen",
        of=(
            Torch(cuda="12.8"),
            BUILD_TOOLS,
            Source(),
            Hidden(folder="/usr/local", names="cuda*"),
            Without(programs=("nvcc",)),
        ),
        run=(INSTALL_SOURCE,),
        shows="CUDA_HOME environment variable is not set",
        seconds=20,
        stands_in=(LOOKS_LIKE_CUDA,),
    ),
)


class Isolated(Variant, frozen=True, kw_only=True):
    """Mark the case that the build was isolated: the installer made an environment for it, with a torch from the package index."""


def _places(facts: Facts) -> str:
    """Return the places where PyTorch looks for the toolkit: variables, PATH, and the usual folder of the system (_find_cuda_home)."""
    last = "the folder of NVIDIA's installer" if facts.system.os == "windows" else "/usr/local/cuda"
    return f"CUDA_HOME, CUDA_PATH, PATH and {last}"


def detect(facts: Facts) -> Hit | None:
    home = facts.toolchain.cuda_home
    if not every(
        lambda: known(home) is None,
        lambda: building.setup_would_run(facts),
    ):
        return None
    evidence = [fact(facts, "toolchain.cuda_home", f"no toolkit in {_places(facts)}")]
    if variable(facts, "CONDA_PREFIX"):
        evidence.append(
            fact(facts, "environment", "a conda environment is active: conda can install a toolkit into it")
        )
    return Hit(
        message="No CUDA toolkit is found here, so flash-attn cannot be compiled.",
        evidence=tuple(evidence),
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if cut_logs.alone(seen):
        if _starts_nvcc(seen):
            return None  # a toolkit's folder was found, and its nvcc was called
        return cut_logs.hit(
            seen,
            "That function fails if PyTorch finds no CUDA toolkit.",
            "OSError, RuntimeError, AssertionError or op_builder.builder.MissingCUDAException",
        )
    seen = cut_logs.told(seen)
    if not any(m.strength == "proof" or building.in_build(seen, m) for m in seen.matches):
        return None  # the TypeError alone may come from any program
    return Hit(
        message=f"PyTorch found no CUDA toolkit in {_places(facts)}.",
        evidence=evidence,
        variant=Isolated() if seen.group("isolated") else None,
    )


def _starts_nvcc(seen: Seen) -> bool:
    """Return whether a cut log ends in frames of subprocess: the build had then found a toolkit, and called its nvcc."""
    last = max((m.line for m in cut_logs.ends(seen)), default=0)
    return any("within" in m.groups and m.line > last for log in seen.logs for m in log.of("nvcc-missing"))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Isolated) and facts.system.os == "windows":
        step = building.build(
            facts, "an isolated build uses PyPI's torch, which on Windows is a CPU build and looks for no toolkit"
        )
        title = "Build with the torch of this environment, without isolation"
        return (
            Fix(title=title, steps=(*_home(facts), package_cures.tools(facts), step), verify=building.verify(facts)),
            *toolkits.cures(facts),
        )
    kit = toolkits.shown(facts)
    if kit is None or not isinstance(kit.version, str):
        return toolkits.cures(facts)
    title = f"Point CUDA_HOME at the CUDA {kit.version} that is installed"
    home = Fix(title=title, steps=(toolkits.point_at(facts, kit.version),), verify=building.verify(facts))
    return (home, *toolkits.cures(facts))


def _home(facts: Facts) -> tuple[Step, ...]:
    """Return the step that sets CUDA_HOME to the toolkit that a log shows; no step if the log shows none."""
    kit = toolkits.shown(facts)
    return (toolkits.point_at(facts, kit.version),) if kit is not None and isinstance(kit.version, str) else ()
