"""Make the cures for a package whose compiled part is missing, or has no CUDA code: a finished wheel, or a build that compiles it. Pure."""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.failure_modes.shared import subject, wheel_fixes
from attn_doctor.knowledge import built_packages
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step


def brought(facts: Facts, name: str) -> tuple[Fix, ...]:
    """Return the fixes for a package whose optional part is None: ask why it does not load, then install it for this torch."""
    of = msgspec.structs.replace(facts.subject, package=name, asked=None, folder=None)
    made = wheel_fixes.fixes(
        msgspec.structs.replace(facts, subject=of), "it is missing, or was built for another torch"
    )
    row = built_packages.row_of(name)
    module = row.module if row else name.replace("-", "_")
    part = next((text for text in (row.extensions if row else ()) if "*" not in text), module).replace("-", "_")
    look = commands.by_hand(
        (*commands.starting(facts), "-c", f"import torch, {part}"),
        f"'No module named' means that {name} is not installed: the next command installs it. Any other error is the cause, and an installed {name} does not fit this torch",
        "nothing",
        "none",
    )
    return tuple(
        Fix(
            title=fix.title.replace(" again, for this torch", " for this torch"),
            steps=(look, *fix.steps),
            verify=fix.verify,
        )
        if index == 0
        else fix
        for index, fix in enumerate(made)
    )


def of_any_package(facts: Facts) -> Fix:
    """Return the fix for the page, where the package is not known: build it again, with detectron2 as the example."""
    nvcc = commands.by_hand(
        ("nvcc", "--version"),
        "has to print the CUDA of torch (torch.version.cuda): without nvcc the build leaves the compiled part out again",
        "nothing",
        "none",
    )
    force = commands.variable("FORCE_CUDA", "1", "many setups then compile for CUDA also where no GPU is visible")
    argv = (
        *commands.starting(facts),
        *("-m", "pip", "install", "--no-build-isolation", "--no-cache-dir", "--force-reinstall", "--no-deps"),
        "git+https://github.com/facebookresearch/detectron2.git",
    )
    build = commands.by_hand(
        argv,
        "detectron2 is an example: write the package that the error names, or its repository",
        "that package",
        takes="minutes to an hour",
    )
    return Fix(
        title="Build the package again, with its compiled part",
        steps=(nvcc, force, build),
        verify=commands.check(facts),
    )


def with_cuda(facts: Facts, name: str | None, release: str | None) -> tuple[Fix, ...]:
    """Return the fixes for a part without CUDA code: the finished wheel for this torch, or a build with CUDA turned on.

    `name`: the package; None: the one that the log names. `release`: of that package; None: as the log asks for it.
    """
    if name is not None:
        asked = facts.subject.asked if release is None else release
        of = msgspec.structs.replace(facts.subject, package=name, asked=asked)
        facts = msgspec.structs.replace(facts, subject=of)
    row = built_packages.row_of(name) if name else None
    words = (
        'has to print the CUDA of torch (`python -c "import torch; print(torch.version.cuda)"`); CUDA_HOME has to name the folder of this toolkit. '
        "Without nvcc the build leaves the CUDA code out again"
    )
    before: list[Step] = [commands.by_hand(("nvcc", "--version"), words, "nothing", "none")]
    if row is None or "FORCE_CUDA" in row.variables:
        why = "its setup then compiles for CUDA also where no GPU is visible, as in `docker build` or on a login node"
        before.append(
            commands.variable("FORCE_CUDA", "1", why if row else f"{why}, if the package reads this variable")
        )
    if name == "mmcv":
        before.append(commands.variable("MMCV_WITH_OPS", "1", "its setup compiles the operators"))
    made = wheel_fixes.fixes(facts, "it has no CUDA code")
    if name == "xformers":
        # Programs use torch's own attention where there is no xformers: the smaller change stands first.
        made = tuple(sorted(made, key=lambda fix: not fix.title.startswith("Do without")))
    return tuple(
        Fix(title=fix.title, steps=(*before, *fix.steps), verify=fix.verify) if _compiles(fix) else fix for fix in made
    )


def not_asked_for(facts: Facts, switch: str, made: tuple[Fix, ...]) -> tuple[Fix, ...]:
    """Return the fixes `made` with another first one: the call goes that asks for xformers. Without the package that call would raise an error.

    https://huggingface.co/docs/diffusers/optimization/fp16#scaled-dot-product-attention
    """
    words = f"delete the line {switch}): diffusers then takes PyTorch's own attention (SDPA, with torch 2.0 and newer). xformers can stay installed"
    step = commands.by_hand((), words, "the program", "none")
    first = Fix(title="Do without xformers", steps=(step,), verify=commands.check(facts))
    return (first, *(fix for fix in made if not fix.title.startswith("Do without")))


def _compiles(fix: Fix) -> bool:
    """Return whether a fix compiles the package, and does not install a finished wheel: its title shows it."""
    return fix.title.startswith(("Build ", "Install that package again"))


def of_project(facts: Facts, project: str, folder: str) -> tuple[Fix, ...]:
    """Return the fix that builds the compiled part of a project from a folder of its sources.

    On Windows also the fix that uses WSL 2. `project`: its name. `folder`: relative to the project's, with "/".
    """
    windows = facts.system.os == "windows"
    place = ".\\" + folder.replace("/", "\\") if windows else f"./{folder}"
    argv = (*commands.starting(facts), "-m", "pip", "install", "--no-build-isolation", place)
    takes = "Microsoft's C++ compiler and an nvcc" if windows else "a C++ compiler and an nvcc"
    words = f"in the folder of {project}: compiles that part for the torch there. It takes {takes} of the same CUDA as that torch (`nvcc --version`)"
    step = commands.by_hand(argv, words, "adds the compiled part", takes="minutes")
    built = Fix(title=f"Build that part of {project}", steps=(step,), verify=commands.check(facts))
    if not windows:
        return (built,)
    wsl = commands.by_hand(
        ("wsl", "--install"),
        f"if it does not compile: the authors of {project} support Linux only. In PowerShell as administrator; then install {project} in its Ubuntu",
        "adds WSL 2",
        takes="several GB",
    )
    return (built, Fix(title=f"Run {project} in WSL 2", steps=(wsl,), verify=commands.check(facts)))


def sam2(facts: Facts, folder: str | None) -> tuple[Fix, ...]:
    """Return the fixes for a SAM 2 without its compiled part.

    Take newer sources, which go on without it, or build the part (not on macOS). `folder`: of the sources that were
    imported; None if not known, and then there is only the first fix.
    https://github.com/facebookresearch/sam2/pull/155, https://github.com/facebookresearch/sam2/blob/main/INSTALL.md
    """
    verify = (*commands.starting(facts), "-c", "import sam2")
    words = "since August 2024 SAM 2 leaves out one step of the masks where this part is missing, and goes on: small holes stay in the masks"
    if folder is not None:
        newer: Step = commands.by_hand(("git", "-C", folder, "pull"), words, "the sources of SAM 2")
    else:
        newer = commands.install(
            "git+https://github.com/facebookresearch/sam2.git", upgrade=True, why=words, changes="SAM 2"
        )
    update = Fix(title="Take the newer SAM 2, which works without it", steps=(newer,), verify=verify)
    if facts.system.os == "darwin" or folder is None:
        return (update,)
    argv = (*commands.starting(facts), "-m", "pip", "install", "--no-build-isolation", "-e", folder)
    why = "compiles the part. It needs a C++ compiler, and an nvcc of the same CUDA version as the installed torch (`nvcc --version`)"
    built = commands.by_hand(argv, why, "SAM 2's compiled part", "medium", takes="minutes")
    return (update, Fix(title="Build the part", steps=(built,), verify=verify))


def spconv(facts: Facts) -> Fix:
    """Return the fix that replaces spconv and cumm by spconv's finished wheel, spconv-cu126.

    The wheels have the CUDA in the name of the package, and need no torch of their own.
    https://github.com/traveller59/spconv#install, https://pypi.org/project/spconv-cu126/#files (2.3.8: Linux and Windows, to Python 3.13)
    """
    gone = commands.uninstall("spconv", "cumm", why="they were installed as sources, without their compiled part")
    why = "the finished wheel for a torch of CUDA 12; for a torch of CUDA 11 it is spconv-cu118 (torch.version.cuda prints the CUDA)"
    get = commands.install("spconv-cu126", why=why, changes="adds spconv-cu126 and cumm-cu126")
    verify = (*commands.starting(facts), "-c", "import spconv.pytorch")
    return Fix(title="Install spconv's finished wheel", steps=(gone, get), verify=verify)


# mmcv 1.x with operators: the name and the major stay, because a program for it does not run with mmcv 2.
MMCV_FULL = Sign(
    pattern=r"\b(?:mmcv[-_]full(?:==|-)(?P<full>1\.\d+\.\d+)|mmcv-full\s{2,}(?P<listed>1\.\d+\.\d+))",
    literal="mmcv",
    sample="Successfully installed mmcv-full-1.3.0",
    strength="context",
)


def mmcv_full(facts: Facts, release: str) -> Fix:
    """Return the fix that builds the release of mmcv-full that the program asked for.

    https://mmcv.readthedocs.io/en/v1.7.0/get_started/build.html
    """
    steps = (
        commands.uninstall("mmcv", "mmcv-lite", "mmcv-full", why="all three are installed into the same folder"),
        commands.variable("MMCV_WITH_OPS", "1", "its setup compiles the operators"),
        commands.variable("FORCE_CUDA", "1", "its setup then compiles for CUDA also where no GPU is visible"),
        commands.install(
            f"mmcv-full=={release}",
            why="the same release: a program for mmcv 1.x does not run with mmcv 2. It needs an nvcc of torch's CUDA, and a torch of its time (1.x). "
            "Finished files for such a torch: https://mmcv.readthedocs.io/en/v1.7.0/get_started/installation.html",
            changes="mmcv-full",
            takes="up to an hour",
            no_build_isolation=True,
            no_cache=True,
            reinstall=True,
            no_deps=True,
        ),
    )
    return Fix(title=f"Build mmcv-full {release} with its operators", steps=steps, verify=subject.verify(facts))


def named(facts: Facts, made: tuple[Fix, ...]) -> tuple[Fix, ...]:
    """Return the fixes `made`, the first with the steps before it that only mmcv, groundingdino or apex needs."""
    name = subject.package(facts)
    first: tuple[Step, ...] = ()
    if name == "mmcv":
        # mmcv 1.x with operators has the name mmcv-full: https://mmcv.readthedocs.io/en/latest/get_started/installation.html
        why = (
            "mmcv-lite has no operators, and is installed into the same folder as mmcv. If the program is for mmcv 1.x (mmdetection 2.x and older), write "
            '"mmcv-full<2" instead of mmcv in the commands below: mmcv 2 does not run that program'
        )
        first = (commands.uninstall("mmcv", "mmcv-lite", "mmcv-full", why=why),)
    elif name == "groundingdino":
        words = (
            "the setup of groundingdino compiles CUDA code only if it finds nvcc: `nvcc --version` has to print the CUDA of your torch, and CUDA_HOME "
            "has to name the folder of that CUDA"
        )
        first = (commands.by_hand((), words, "nothing", "none"),)
    elif name == "apex":
        # https://github.com/NVIDIA/apex#linux
        first = tuple(
            commands.variable(key, "1", "without it only the Python files of apex are installed")
            for key in ("APEX_CPP_EXT", "APEX_CUDA_EXT")
        )
    if not made or not first:
        return made
    return (Fix(title=made[0].title, steps=(*first, *made[0].steps), verify=made[0].verify), *made[1:])
