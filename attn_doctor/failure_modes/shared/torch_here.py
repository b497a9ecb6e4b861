"""Make the steps that depend on the installed torch: install it again, its torchvision, and the NumPy that fits it. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.shared import jetson_builds, torch_asked, torch_install
from attn_doctor.failure_modes.shared.torch_facts import (
    distribution,
    machine_of,
    of_conda,
    own_index,
    text,
    version_here,
)
from attn_doctor.failure_modes.shared.torch_install import conda_name, conda_step
from attn_doctor.failure_modes.shared.torch_steps import release
from attn_doctor.knowledge import pytorch, torch_choice, torch_jetson
from attn_doctor.knowledge.rows import OldTorch
from attn_doctor.knowledge.tables import load
from attn_doctor.knowledge.torch_choice import Choice, Machine
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.model.facts import Facts, OsName, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Install, Step
from attn_doctor.model.versions import local, pair

# https://github.com/pytorch/vision#installation has the table
_NUMBERS = (
    "for another torch: torch 2.6 needs torchvision 0.21, torch 2.9 needs 0.24 (the second number is always 15 higher)"
)
# Older releases are only on a page of links, https://pytorch.org/get-started/previous-versions/.
_FIRST_OF_AN_INDEX = (
    1,
    11,
)


def suits(facts: Facts) -> bool:
    """Return whether the installed build of torch is for this machine, so that it can stay. False if torch's version is not known.

    A build that others than PyTorch made counts as suitable; on a Jetson only NVIDIA's own.
    """
    version, machine = text(facts.torch.version), machine_of(facts)
    if version is None or machine.board == "jetson":
        return version is not None and ".nv" in version
    if torch_choice.by_others(version):
        return True
    flavour = local(version) or _flavour(facts, version, machine)
    if machine.maker == "nvidia":
        if flavour is None or not flavour.startswith("cu"):
            return flavour is None
        rows = torch_choice.fitting_builds(machine)
        return any(
            pair(row.torch) == pair(version) and pytorch.flavour(row.cuda) == flavour for row in rows
        ) or not any(pytorch.flavour(row.cuda) == flavour for row in pytorch.builds(version, _table(machine)))
    if machine.maker == "amd":
        return flavour is not None and flavour.startswith("rocm")
    return machine.maker != "intel" or flavour == "xpu"


def again(facts: Facts, *, everything: bool = False, only_torch: bool = False) -> tuple[Step, ...]:
    """Return the steps that install the same torch again, with the torchvision and torchaudio that are installed.

    They come from the index of its build. For a build that PyTorch did not make: a step in words. Empty if torch is not
    known, or if its build is not for this machine. If the user has configured an index, it is used instead.
    `everything`: also install all that torch needs again. `only_torch`: without torchvision and torchaudio.
    """
    version, machine = text(facts.torch.version), machine_of(facts)
    if version is None or not suits(facts):
        return ()
    if torch_choice.by_others(version):
        words = f"no index of PyTorch has torch {version}: start a new container from its image, or install it from its original source"
        return (commands.by_hand((), words, "torch"),)
    flavour = local(version) or _flavour(facts, version, machine)
    names = tuple(name for name in ("torchvision", "torchaudio") if not only_torch and version_here(facts, name))
    wanted = torch_choice.same(version, *names)
    wanted = tuple(
        f"{name}=={version_here(facts, name)}".partition("+")[0] if version_here(facts, name) else text
        for name, text in zip(("torch", *names), wanted, strict=True)
    )
    if of_conda(facts, "torch"):
        return (
            conda_step(
                facts,
                tuple(conda_name(text) for text in wanted),
                "complete copies of these packages, by conda, which installed them",
                again=True,
            ),
        )
    index = torch_choice.index_of_build(f"{version.partition('+')[0]}+{flavour}" if flavour else version, machine)
    wanted, index, told = _from_own_index(facts, wanted, index, flavour)
    why = "replaces the damaged copies by complete copies" + told
    changes = f"{' and '.join(('torch', *names))}, in the present versions"
    if not everything:
        return commands.reinstall(
            *wanted,
            index_url=index,
            why=why,
            changes=changes,
            risk="low",
            risk_text="the versions stay the same",
            takes="up to 1 GB",
        )
    numpy = version_here(facts, "numpy")
    keeps = (
        (numpy_for(facts) if numpy is None else f"numpy=={numpy}",)
        if _numpy_fits(facts, numpy)
        else (numpy_for(facts),)
    )
    return (
        commands.install(
            *wanted,
            *keeps,
            index_url=index,
            reinstall=True,
            why="complete copies of torch and of all libraries that it needs" + told,
            changes="torch, torchvision, nvidia-* and all other packages that they need",
            risk="low",
            risk_text="torch keeps its version; packages that it needs may become newer",
            takes="up to 5 GB",
        ),
    )


def vision(facts: Facts, *, of: str | None = None, reinstall: bool = True) -> Step | None:
    """Return the step that installs the torchvision for the installed torch, from the index of torch's build; None if torch is not known.

    `of`: the release of torch ("2.9"), if a log names only the release. `reinstall`: replace a torchvision of the same version too.
    """
    version, machine = of or text(facts.torch.version), machine_of(facts)
    if version is None:
        return None
    wanted = torch_choice.vision_for(version)
    if machine.board == "jetson" and wanted.startswith("torchvision=="):
        return _on_jetson(wanted, machine)
    if machine.board == "jetson" or torch_choice.by_others(version):
        return commands.by_hand((), _of_others(wanted, version, machine), "torchvision")
    if of_conda(facts, "torch"):
        why = f"the torchvision for torch {version}, from the same place as torch"
        # Only PyTorch's own channel, which ended with torch 2.5, has a package pytorch-cuda.
        own = distribution(facts, "pytorch-cuda") is not None
        return conda_step(
            facts, (conda_name(wanted),), why, channels=("pytorch", "nvidia") if own else ("conda-forge",)
        )
    flavour = local(version) or (None if of else _flavour(facts, version, machine))
    index = torch_choice.index_of_build(f"{version.partition('+')[0]}+{flavour}" if flavour else version, machine)
    doubt = ""
    if flavour is None and machine.os != "darwin" and facts.grade == "stated":
        # PyPI's torch for Windows is a CPU build, so on Windows most people have a torch from one of PyTorch's indexes.
        likely = torch_choice.choose_release(machine, version) if machine.os == "windows" else None
        index = likely.index_url if isinstance(likely, Choice) else None
        doubt = "; the build of that torch is not known: torch.__version__ shows it after the + (cu124), and the --index-url has to end with it"
    requirements, index, told = _from_own_index(facts, (wanted,), index, flavour)
    page = None
    if flavour is not None and (pair(version) or (2, 0)) < _FIRST_OF_AN_INDEX:
        requirements, index, page = (f"{wanted}+{flavour}",), None, torch_choice.STABLE
    why = f"the torchvision for torch {version}" + (", from the same index" if index and flavour else "") + told + doubt
    if not reinstall:
        return commands.install(*requirements, index_url=index, find_links=page, why=why, changes="adds torchvision")
    return commands.install(
        *requirements,
        reinstall=True,
        no_deps=True,
        index_url=index,
        find_links=page,
        why=why,
        changes="torchvision",
    )


def vision_of_the_torch_there(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that install the torchvision for an installed torch of unknown version. For a Jetson it is built from source."""
    of = torch_asked.example(facts)
    if places.jetson(facts):
        built = Install(
            requirements=("torchvision @ git+https://github.com/pytorch/vision.git@release/0.20",),
            reinstall=True,
            no_deps=True,
            no_build_isolation=True,
            why="there is no wheel of torchvision for NVIDIA's torch",
            changes="torchvision",
            takes="20 to 60 minutes",
        )
        if commands.shell_of(facts) == "bash":
            return jetson_builds.vision(facts)
        other = f"there is no wheel of torchvision for NVIDIA's torch: this compiles it on the board (needs git); {_NUMBERS}"
        return torch_asked.steps(facts, built, torch_asked.Example("2.5.0", "12.6"), other)
    if (old := _vision_of_an_old_torch(facts)) is not None:
        return old
    wanted = torch_choice.vision_for(of.torch)
    line = Install(
        requirements=(wanted,),
        index_url=torch_choice.index_of(of.flavour),
        reinstall=True,
        no_deps=True,
        why="torch stays",
        changes="torchvision",
    )
    return torch_asked.steps(
        facts, line, of, f"{_NUMBERS}, and the index has to end like the version of torch after the +"
    )


def _vision_of_an_old_torch(facts: Facts) -> tuple[Step, ...] | None:
    """Return the steps of `vision_of_the_torch_there` for Python 3.7 and older, for which no torch since 2.0 has wheels.

    None for a newer Python, or if the Python is not known.
    """
    python = machine_of(facts).python
    if python is None or (pair(python) or _FIRST_PYTHON_OF_2) >= _FIRST_PYTHON_OF_2:
        return None
    rows = [row for row in load(OldTorch) if python in row.pythons]
    if not rows:
        return None
    first, flavour = rows[0], pytorch.flavour(rows[0].cudas[0])
    numbers = ", ".join(f"{row.torchvision} for torch {row.torch}" for row in rows[1:7])
    line = Install(
        requirements=(f"torchvision=={first.torchvision}+{flavour}",),
        find_links=torch_choice.STABLE,
        reinstall=True,
        no_deps=True,
        why="torch stays",
        changes="torchvision",
    )
    other = f"for another torch: torchvision {numbers}; write the same end behind the + as the version of torch has"
    return torch_asked.steps(facts, line, torch_asked.Example(first.torch, first.cudas[0]), other)


_FIRST_PYTHON_OF_2 = (3, 8)


def _on_jetson(wanted: str, machine: Machine) -> Step:
    """Return the step that installs this torchvision ("torchvision==0.16.0") on a Jetson: from the index of NVIDIA's torch, or compiled on the board."""
    found = torch_choice.choose(machine)
    index = found.index_url if isinstance(found, Choice) else None
    release = wanted.partition("==")[2]
    return commands.install(
        wanted if index else f"torchvision @ git+https://github.com/pytorch/vision.git@v{release}",
        index_url=index,
        reinstall=True,
        no_deps=True,
        no_build_isolation=index is None,
        why="from the index of NVIDIA's torch; PyPI's is not for this board"
        if index
        else "there is no wheel of torchvision for NVIDIA's torch: this compiles it on the board (needs git); torch stays",
        changes="torchvision",
        takes=None if index else "20 to 60 minutes",
    )


def _of_others(wanted: str, version: str, machine: Machine) -> str:
    """Return a sentence that names the source of the torchvision for a torch that PyTorch did not build."""
    if machine.board != "jetson":
        return f"install {wanted} from the source of torch {version} (NVIDIA's images contain it: start a new container from the image)"
    found = torch_choice.choose(machine)
    place = found.index_url if isinstance(found, Choice) else torch_jetson.GUIDE
    return (
        f"install {wanted}, the release for torch {version}, from the source of NVIDIA's torch for your JetPack ({place}), or build it on the board; "
        "PyPI's torchvision is not for this board"
    )


def patch(facts: Facts, wanted: str, why: str) -> tuple[Step, ...]:
    """Return the step that installs the torch release `wanted` in the installed build, with its torchvision.

    If the installed build is not known: in a build for this machine.
    """
    version, machine = text(facts.torch.version), machine_of(facts)
    flavour = local(version or "") or (_flavour(facts, version, machine) if version else None)
    if flavour is None or torch_choice.by_others(f"{wanted}+{flavour}"):
        return release(facts, wanted, why)
    return (
        commands.install(
            *torch_choice.same(wanted, "torchvision"),
            index_url=torch_choice.index_of_build(f"{wanted}+{flavour}", machine),
            why=why,
            changes=f"torch and torchvision, to torch {wanted}",
            takes="up to 3 GB",
        ),
    )


def index_here(facts: Facts) -> str | None:
    """Return the address of the index that has the build of the installed torch; None: PyPI, or torch is not known."""
    version, machine = text(facts.torch.version), machine_of(facts)
    if version is None:
        return None
    flavour = local(version) or _flavour(facts, version, machine)
    return torch_choice.index_of_build(f"{version.partition('+')[0]}+{flavour}" if flavour else version, machine)


def numpy_for(facts: Facts, specifier: str = "") -> str:
    """Return the requirement of a NumPy that fits the torch here, within `specifier`: "numpy<2"."""
    version, os = text(facts.torch.version), facts.system.os
    if version is None:
        return f"numpy{specifier}"
    return torch_choice.numpy_for(version, specifier, os if isinstance(os, str) else "linux")


def _numpy_fits(facts: Facts, numpy: str | None) -> bool:
    os: OsName = facts.system.os if isinstance(facts.system.os, str) else "linux"
    fits = pytorch.numpy(str(facts.torch.version), numpy, os) if numpy else None
    return isinstance(fits, Answer) and fits.yes


def _from_own_index(
    facts: Facts, wanted: tuple[str, ...], index: str | None, flavour: str | None
) -> tuple[tuple[str, ...], str | None, str]:
    """Return (requirements, address of the index, words about it for the reason of the step).

    If the user has configured an index: the requirements name the build ("torch==2.6.0+cu124"), and the address is None, so that the
    installer uses that index. Else `wanted` and `index` unchanged, and "".
    """
    own = own_index(facts)
    if index is None or own is None or flavour is None:
        return wanted, index, ""
    host = urlsplit(own).hostname
    builds = tuple(f"{text}+{flavour}" if "==" in text and text.startswith("torch") else text for text in wanted)
    return (
        builds,
        None,
        f"; from the index that you have configured ({host}): if it does not have this build, add --index-url {index}",
    )


def _flavour(facts: Facts, version: str, machine: Machine) -> str | None:
    """Return the build of a torch whose version does not name it: by its CUDA, else PyPI's build; None if it is not known."""
    if isinstance(facts.torch.cuda, str):
        return pytorch.flavour(facts.torch.cuda)
    if isinstance(facts.torch.hip, str) or facts.torch.cuda is not None:
        default = pytorch.pypi_cuda(version, machine.platform) if machine.os == "linux" else None
        return pytorch.flavour(default) if isinstance(default, str) else None
    return "cpu" if facts.torch.hip is None and machine.os != "darwin" else None


def _table(machine: Machine) -> str:
    return pytorch.LINUX if machine.os == "windows" else machine.platform


def of_the_jetson_index(facts: Facts, built: str) -> tuple[Fix, ...]:
    """Return the fix that installs the torch for which a wheel of NVIDIA's Jetson index was built ("2.8"); empty on other machines.

    https://github.com/dusty-nv/jetson-containers (pypi.jetson-ai-lab.io)
    """
    row = pytorch.release(built)
    found = torch_install.choice(facts) if places.jetson(facts) else None
    if not isinstance(found, Choice) or found.index_url is None or isinstance(row, Unknown):
        return ()
    steps = commands.reinstall(
        *torch_choice.same(row.latest, "torchvision"),
        index_url=found.index_url,
        why=f"the index of that wheel has the torch that it was built for; {found.doubt}"
        if found.doubt
        else "the index of that wheel has its torch",
        changes="torch and torchvision",
        risk="medium",
        takes=found.takes,
    )
    return (
        Fix(
            title=f"Install torch {row.latest} from the index for this JetPack",
            steps=steps,
            verify=commands.check(facts),
        ),
    )
