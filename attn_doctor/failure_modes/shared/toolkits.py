"""Give the fixes of a build that finds no CUDA toolkit, a wrong one, or half of one. Pure.

The cheapest way stands first: a toolkit that is here, a finished wheel, then the installation of the release that this machine needs.
"""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.commands import cuda_images, cuda_toolkits, places, toolkit_of_torch
from attn_doctor.failure_modes.shared import building, pip_toolkit, subject, wheel_fixes
from attn_doctor.model.facts import Facts, Toolkit
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import dotted, pair

# The releases by which the commands are shown where torch's CUDA is not known; the second: the first whole major that knows the DGX Spark.
_EXAMPLE, _EXAMPLE_OF_SPARK = (12, 8), (13, 0)
# PyPI's newest torch for these: 1.13.1 for CUDA 11.7, and 2.4.1 for CUDA 12.1.
_OF_OLD_PYTHONS = {(3, 7): (11, 7), (3, 8): (12, 1)}


def cures(facts: Facts, *, floor: str | None = None, replace: bool = False) -> tuple[Fix, ...]:
    """Return the fixes. `floor`: the oldest CUDA that the package takes. `replace`: the toolkit that comes with this system is the wrong one."""
    wheel = building.without_compiling(facts)
    if subject.package(facts) == "deepspeed" and facts.system.os != "windows":
        wheel = ()  # its setup asks nvcc for its version also where nothing is compiled: op_builder/builder.py, installed_cuda_version
    here = whole(facts, floor)
    if here is not None:
        return (_point_at(facts, here), *wheel)
    if places.wsl(facts) == 1:
        return tuple(fix for fix in (cuda_toolkits.elsewhere(facts),) if fix)
    version = cuda_toolkits.wanted(facts, floor)
    if facts.system.os == "darwin" or (replace and places.jetson(facts)):
        return wheel
    if replace and places.hosted(facts) and version is not None:
        return (*wheel, _beside(facts, dotted(version)))
    if version is not None:
        by_pip = pip_toolkit.fix(facts)
        return (*wheel, *cuda_toolkits.install(facts, version), *((by_pip,) if by_pip else ()))
    look = (wheel_fixes.look_it_up(facts),) if subject.is_flash_attn(facts) and not wheel else ()
    return (*wheel, *look, _of_torchs_major(facts, floor))


def _beside(facts: Facts, release: str) -> Fix:
    """Return the fix that puts another toolkit beside that of a notebook, whose apt knows NVIDIA's repository."""
    package = f"cuda-toolkit-{release.replace('.', '-')}"
    steps = (
        commands.by_hand(places.as_root(facts, "apt-get", "update"), "reads its list of packages", "apt's lists"),
        commands.by_hand(
            places.as_root(facts, "apt-get", "install", "-y", package),
            "from NVIDIA's repository, which the image of the notebook names; lasts as long as the session",
            f"adds /usr/local/cuda-{release}",
            takes="about 5 GB",
        ),
        commands.variable("CUDA_HOME", f"/usr/local/cuda-{release}", "where that package puts it"),
    )
    return Fix(title=f"Install the CUDA {release} toolkit beside the other", steps=steps, verify=building.verify(facts))


def whole(facts: Facts, floor: str | None = None) -> Toolkit | None:
    """Return a whole toolkit of torch's CUDA major, not older than `floor`, that was found here; None where there is none."""
    need, least = cuda_toolkits.torch_cuda(facts), pair(floor) if floor else None
    for kit in facts.toolchain.toolkits if isinstance(facts.toolchain.toolkits, tuple) else ():
        version = pair(kit.version) if isinstance(kit.version, str) else None
        if need and version and version[0] == need[0] and version >= (least or version) and kit.missing_headers == ():
            return kit
    return None


def shown(facts: Facts, floor: str | None = None) -> Toolkit | None:
    """Return the toolkit that a log shows, where torch is of its major or not known; None where there is none."""
    if facts.grade != "stated" or places.hosted(facts):
        return None
    need, least = cuda_toolkits.torch_cuda(facts), pair(floor) if floor else None
    for kit in facts.toolchain.toolkits if isinstance(facts.toolchain.toolkits, tuple) else ():
        version = pair(kit.version) if isinstance(kit.version, str) else None
        if version and (need is None or version[0] == need[0]) and version >= (least or version):
            return kit
    return None


def point_at(facts: Facts, nvcc: str) -> Step:
    """Return the step that points CUDA_HOME at the toolkit of this release, by its path, or by the place where its installer puts it."""
    kits = facts.toolchain.toolkits if isinstance(facts.toolchain.toolkits, tuple) else ()
    root = next((kit.root for kit in kits if kit.version == nvcc and kit.root), None)
    if root is not None:
        return commands.variable("CUDA_HOME", root, f"the toolkit of CUDA {nvcc} is there")
    prefix = facts.interpreter.prefix
    if facts.system.os == "windows":
        root, find = rf"C:\Program Files\NVIDIA GPU Computing Toolkit\CUDA\v{nvcc}", "where.exe nvcc"
    elif places.environment_tool(facts) and isinstance(prefix, str):
        root, find = prefix, "which nvcc"
    elif places.jetson(facts) or places.dgx_spark(facts) or places.container(facts):
        root, find = "/usr/local/cuda", "which nvcc"
    else:
        root, find = f"/usr/local/cuda-{nvcc}", "which nvcc"
    return commands.variable(
        "CUDA_HOME", root, f"nvcc {nvcc} is there: where `{find}` shows another place, take the folder above its bin"
    )


def _point_at(facts: Facts, kit: Toolkit) -> Fix:
    why = f"CUDA {kit.version} is there and whole, and torch is built for {facts.torch.cuda}"
    step = commands.variable("CUDA_HOME", kit.root, why)
    return Fix(title=f"Point CUDA_HOME at {kit.root}", steps=(step,), verify=building.verify(facts))


def _of_torchs_major(facts: Facts, floor: str | None) -> Fix:
    """Return the fix where torch's CUDA is not known: ask torch, then install the toolkit of its answer."""
    there = cuda_toolkits.elsewhere(facts)
    if there is not None:
        return there
    title = "Install a CUDA toolkit of torch's major"
    steps = toolkit_of_torch.steps(facts) if floor is None else ()
    if steps:
        return Fix(title=title, steps=steps, verify=building.verify(facts))
    version = _example(facts, floor)
    least = f", and not older than {floor}" if floor else ""
    ask = cuda_toolkits.ask_torch(facts)
    ask = msgspec.structs.replace(
        ask,
        why=f"says for which CUDA torch was built: the toolkit has to be of this major{least}. {dotted(version)} below stands for it",
    )
    if places.container(facts) and not places.environment_tool(facts):
        return Fix(title=title, steps=(cuda_images.another(facts, None, None), ask), verify=building.verify(facts))
    steps = (ask, *cuda_toolkits.install(facts, version)[-1].steps)
    return Fix(title=title, steps=steps, verify=building.verify(facts))


def _example(facts: Facts, floor: str | None) -> tuple[int, int]:
    """Return the release by which the commands are shown: the CUDA of the newest torch for this Python, or the floor of the package."""
    python = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    usual = _EXAMPLE_OF_SPARK if places.dgx_spark(facts) else _OF_OLD_PYTHONS.get(python or (3, 12), _EXAMPLE)
    return max(usual, pair(floor) or usual) if floor else usual


def with_torch_cuda(facts: Facts, cuda: str | None) -> Facts:
    """Return the facts with torch's CUDA as an error names it, where it is not known otherwise."""
    if cuda is None or isinstance(facts.torch.cuda, str):
        return facts
    return msgspec.structs.replace(facts, torch=msgspec.structs.replace(facts.torch, cuda=cuda))
