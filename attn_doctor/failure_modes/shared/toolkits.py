"""Make the fixes for a build that finds no CUDA toolkit, a toolkit of the wrong release, or an incomplete one. Pure.

The fix with the least work comes first: use a toolkit that is here, install a finished wheel, install the toolkit that is needed.
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

# The releases in the commands if torch's CUDA is not known. CUDA 13.0 is the first major version that supports the DGX Spark.
_EXAMPLE, _EXAMPLE_OF_SPARK = (12, 8), (13, 0)
# Python -> the CUDA of PyPI's newest torch for it: 1.13.1 for CUDA 11.7, and 2.4.1 for CUDA 12.1.
_OF_OLD_PYTHONS = {(3, 7): (11, 7), (3, 8): (12, 1)}


def cures(facts: Facts, *, floor: str | None = None, replace: bool = False) -> tuple[Fix, ...]:
    """Return the fixes for a build that needs another CUDA toolkit, the one with the least work first.

    `floor`: the oldest CUDA that the package accepts, "11.7". `replace`: the toolkit that came with this system (a notebook, a Jetson) does
    not fit, so another one is installed beside it. Empty if nothing helps.
    """
    wheel = building.without_compiling(facts)
    if subject.package(facts) == "deepspeed" and facts.system.os != "windows":
        wheel = ()  # its setup runs nvcc even if nothing is compiled: op_builder/builder.py, installed_cuda_version
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
    """Return the fix that installs a second toolkit in a notebook whose apt has NVIDIA's repository."""
    package = f"cuda-toolkit-{release.replace('.', '-')}"
    steps = (
        commands.by_hand(places.as_root(facts, "apt-get", "update"), "downloads apt's list of packages", "apt's lists"),
        commands.by_hand(
            places.as_root(facts, "apt-get", "install", "-y", package),
            "from NVIDIA's repository, which the notebook's apt already uses; it stays until the session ends",
            f"adds /usr/local/cuda-{release}",
            takes="about 5 GB",
        ),
        commands.variable("CUDA_HOME", f"/usr/local/cuda-{release}", "the folder of that package"),
    )
    return Fix(
        title=f"Install the CUDA {release} toolkit beside the present one", steps=steps, verify=building.verify(facts)
    )


def whole(facts: Facts, floor: str | None = None) -> Toolkit | None:
    """Return a complete toolkit here of torch's CUDA major version and not older than `floor`; None if there is none."""
    need, least = cuda_toolkits.torch_cuda(facts), pair(floor) if floor else None
    for kit in facts.toolchain.toolkits if isinstance(facts.toolchain.toolkits, tuple) else ():
        version = pair(kit.version) if isinstance(kit.version, str) else None
        if need and version and version[0] == need[0] and version >= (least or version) and kit.missing_headers == ():
            return kit
    return None


def shown(facts: Facts, floor: str | None = None) -> Toolkit | None:
    """Return the toolkit that a log shows, if it has torch's CUDA major version (or that is not known) and is not older than `floor`.

    Else None; also for an examined machine and for a hosted notebook.
    """
    if facts.grade != "stated" or places.hosted(facts):
        return None
    need, least = cuda_toolkits.torch_cuda(facts), pair(floor) if floor else None
    for kit in facts.toolchain.toolkits if isinstance(facts.toolchain.toolkits, tuple) else ():
        version = pair(kit.version) if isinstance(kit.version, str) else None
        if version and (need is None or version[0] == need[0]) and version >= (least or version):
            return kit
    return None


def point_at(facts: Facts, nvcc: str) -> Step:
    """Return the step that sets CUDA_HOME to the toolkit of the release `nvcc` ("12.4"): to its path if it is known, else the usual path."""
    kits = facts.toolchain.toolkits if isinstance(facts.toolchain.toolkits, tuple) else ()
    root = next((kit.root for kit in kits if kit.version == nvcc and kit.root), None)
    if root is not None:
        return commands.variable("CUDA_HOME", root, f"the folder of the CUDA {nvcc} toolkit")
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
        "CUDA_HOME",
        root,
        f"the usual folder of nvcc {nvcc}: if `{find}` prints another one, set the folder that contains its bin",
    )


def _point_at(facts: Facts, kit: Toolkit) -> Fix:
    why = f"a complete toolkit of CUDA {kit.version} is installed, and torch is built for CUDA {facts.torch.cuda}"
    step = commands.variable("CUDA_HOME", kit.root, why)
    return Fix(title=f"Point CUDA_HOME at {kit.root}", steps=(step,), verify=building.verify(facts))


def _of_torchs_major(facts: Facts, floor: str | None) -> Fix:
    """Return the fix if torch's CUDA is not known: print torch's CUDA, then install the toolkit of that release."""
    there = cuda_toolkits.elsewhere(facts)
    if there is not None:
        return there
    title = "Install a CUDA toolkit of torch's CUDA major version"
    steps = toolkit_of_torch.steps(facts, floor)
    if steps:
        lasting = (_in_the_image(facts),) if places.container(facts) else ()
        return Fix(title=title, steps=(*steps, *lasting), verify=building.verify(facts))
    version = _example(facts, floor)
    least = f", and not older than {floor}" if floor else ""
    look = f"prints the CUDA for which torch was built: the toolkit needs the same major version{least}"
    ask = cuda_toolkits.ask_torch(facts)
    if places.container(facts) and not places.environment_tool(facts):
        ask = msgspec.structs.replace(ask, why=look)
        return Fix(title=title, steps=(cuda_images.another(facts, None, None), ask), verify=building.verify(facts))
    ask = msgspec.structs.replace(ask, why=f"{look}. {dotted(version)} below is an example")
    steps = (ask, *cuda_toolkits.install(facts, version)[-1].steps)
    return Fix(title=title, steps=steps, verify=building.verify(facts))


def _in_the_image(facts: Facts) -> Step:
    """Return the step after an installation in a running container, which is lost with the container."""
    image = cuda_images.another(facts, None, None)
    return msgspec.structs.replace(
        image, why=f"what is installed in a container is lost with it. To keep a toolkit, {image.why}"
    )


def _example(facts: Facts, floor: str | None) -> tuple[int, int]:
    """Return the CUDA release for the commands: that of the newest torch for this Python, but not older than `floor`."""
    python = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    usual = _EXAMPLE_OF_SPARK if places.dgx_spark(facts) else _OF_OLD_PYTHONS.get(python or (3, 12), _EXAMPLE)
    return max(usual, pair(floor) or usual) if floor else usual


def with_torch_cuda(facts: Facts, cuda: str | None) -> Facts:
    """Return the facts with `cuda` ("12.1", from an error) as torch's CUDA, if that is not known. Unchanged if it is, or if `cuda` is None."""
    if cuda is None or isinstance(facts.torch.cuda, str):
        return facts
    return msgspec.structs.replace(facts, torch=msgspec.structs.replace(facts.torch, cuda=cuda))
