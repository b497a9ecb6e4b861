"""An older CUDA repository needs libtinfo5, which this release of the distribution no longer has.

What it is
    The nsight tools of older CUDA releases depend on libtinfo5. Ubuntu 24.04 and Debian 13 dropped it, so `apt install cuda`
    or `cuda-toolkit-12-x` from such a repository cannot be resolved.

How it shows
    "nsight-systems-2023.3.3 : Depends: libtinfo5 but it is not installable", "Package 'libtinfo5' has no installation
    candidate"; at run time "error while loading shared libraries: libtinfo.so.5".

Why it happens
    The CUDA repository of another (older) release is set up, for example ubuntu2204 on Ubuntu 24.04.

What to do
    Use the repository for this release, with CUDA 12.5 or newer, and install only the parts that compile, without
    nsight.

How to reproduce
    `attn-doctor reproduce libtinfo5-unavailable` lets apt resolve the dependencies of CUDA 12.3, with the real package
    index of Ubuntu 24.04. Stand-ins: NVIDIA's two packages, with the dependencies of the real ones. It downloads 25 MB.
    If that is not available, a simulated machine is judged.

References
    https://github.com/GameServerManagers/LinuxGSM/issues/4589
    https://packages.ubuntu.com/jammy/libtinfo5
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import cuda_toolkits, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known, present
from attn_doctor.failure_modes.recipe import Apt, Recipe
from attn_doctor.failure_modes.shared.fact_queries import cuda_build, holds, nvidia_card
from attn_doctor.knowledge import distributions
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity, fact
from attn_doctor.model.versions import dotted

MODE = FailureMode(
    code="AD504",
    slug="libtinfo5-unavailable",
    title="This release has no libtinfo5",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("cuda-home-unset", "nvcc-missing"),
    signs=(
        Sign(
            pattern=r"Depends: libtinfo5\b",
            literal="libtinfo5",
            sample="nsight-systems-2023.3.3 : Depends: libtinfo5 but it is not installable",
        ),
        Sign(
            pattern=r"[Pp]ackage '?libtinfo5'? (?:has no installation candidate|is not available)|\blibtinfo5\b.*not installable",
            literal="libtinfo5",
            sample="E: Package 'libtinfo5' has no installation candidate",
        ),
        Sign(
            pattern=r"libtinfo\.so\.5: cannot open shared object file",
            literal="libtinfo.so.5",
            sample="cuda-gdb: error while loading shared libraries: libtinfo.so.5: cannot open shared object file: No such file "
            "or directory",
        ),
    ),
    recipe=Recipe(
        does="lets apt resolve the dependencies of CUDA 12.3, with the real package index of Ubuntu 24.04",
        of=(
            Apt(
                release="noble",
                packages=(
                    "Package: nsight-systems-2023.3.3\n"
                    "Version: 2023.3.3.42\n"
                    "Architecture: amd64\n"
                    "Depends: libtinfo5\n"
                    "Filename: ./nsight-systems-2023.3.3.deb\n"
                    "Size: 1\n"
                    "SHA256: 0000000000000000000000000000000000000000000000000000000000000000\n"
                    "\n"
                    "Package: cuda-toolkit-12-3\n"
                    "Version: 12.3.2\n"
                    "Architecture: amd64\n"
                    "Depends: nsight-systems-2023.3.3\n"
                    "Filename: ./cuda-toolkit-12-3.deb\n"
                    "Size: 1\n"
                    "SHA256: 0000000000000000000000000000000000000000000000000000000000000000\n"
                ),
            ),
        ),
        run=(("apt-get", "-s", "install", "cuda-toolkit-12-3"),),
        shows="libtinfo5",
        seconds=10,
        stands_in=("NVIDIA's two packages, with the dependencies of the real ones",),
    ),
)


def detect(facts: Facts) -> Hit | None:
    """Warn only if a toolkit may be installed next: there is a GPU and a GPU build of torch, and no toolkit yet."""
    if not every(
        lambda: known(facts.system.os) == "linux",
        lambda: known(facts.system.distribution) is not None,
        lambda: known(facts.system.distribution_version) is not None,
        lambda: known(facts.toolchain.cuda_home) is None,
        lambda: cuda_build(facts),
        lambda: nvidia_card(facts),
        lambda: (
            not holds(
                distributions.has_libtinfo5(
                    present(facts.system.distribution), present(facts.system.distribution_version)
                )
            )
        ),
    ):
        return None
    name = f"{facts.system.distribution} {facts.system.distribution_version}"
    return Hit(
        message=f"{name} has no libtinfo5: a CUDA toolkit from the repository of an older release will not install.",
        evidence=(fact(facts, "system.distribution_version", f"this is {name}"),),
        severity=Severity.INFO,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts, "--goal", "flash-attn", "--no-trial")
    jetpack = cuda_toolkits.elsewhere(facts) if places.jetson(facts) else None
    if jetpack is not None:
        return (jetpack,)  # the repository for arm64 servers has no toolkit for the board
    version = cuda_toolkits.wanted(facts)
    steps = cuda_toolkits.packaged(facts, version) if version else ()
    if not steps:
        release = f" of CUDA {dotted(version)}" if version else ""
        step = commands.by_hand(
            (),
            f"install the toolkit{release} from NVIDIA's repository for this release of the distribution, CUDA 12.5 or newer: "
            f"{cuda_toolkits.DOWNLOADS}; or, in a conda environment: conda install -c conda-forge cuda-toolkit",
            "adds a toolkit",
            takes="about 5 GB",
        )
        steps = (step,)
    return (Fix(title="Use the CUDA repository of this release", steps=steps, verify=verify),)
