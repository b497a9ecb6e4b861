"""Turn the torch that is there into steps: the same again, its torchvision, and the NumPy that it takes. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.shared import torch_asked
from attn_doctor.failure_modes.shared.torch_facts import machine_of, of_conda, own_index, text, version_here
from attn_doctor.failure_modes.shared.torch_install import conda_name, conda_step
from attn_doctor.failure_modes.shared.torch_steps import release
from attn_doctor.knowledge import pytorch, torch_choice
from attn_doctor.knowledge.torch_choice import Choice, Machine
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.model.facts import Facts, OsName
from attn_doctor.model.steps import Install, Step
from attn_doctor.model.versions import local, pair

# https://github.com/pytorch/vision#installation has the table
_NUMBERS = "for another torch the minor of torchvision is 15 more: 0.21 for torch 2.6, 0.24 for 2.9"
_FIRST_OF_AN_INDEX = (1, 11)  # older ones are on a page, https://pytorch.org/get-started/previous-versions/


def suits(facts: Facts) -> bool:
    """Say whether the build of torch that is there is one for this machine: then it is kept. A build by others counts as one."""
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
    """Return the steps that install the same torch again, from the index that has its build; empty where this build is not for this machine.

    Where the user has configured an index of their own, it is that one. `everything`: with all that it needs.
    """
    version, machine = text(facts.torch.version), machine_of(facts)
    if version is None or not suits(facts):
        return ()
    if torch_choice.by_others(version):
        words = (
            f"torch {version} is on no index of PyTorch: start from its image again, or install it from where it came"
        )
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
                "whole copies of them, by the conda that installed them",
                again=True,
            ),
        )
    index = torch_choice.index_of_build(f"{version.partition('+')[0]}+{flavour}" if flavour else version, machine)
    wanted, index, told = _from_own_index(facts, wanted, index, flavour)
    why = "whole copies of them, in place of the damaged ones" + told
    changes = f"{' and '.join(('torch', *names))}, in the present versions"
    if not everything:
        return commands.reinstall(
            *wanted,
            index_url=index,
            why=why,
            changes=changes,
            risk="low",
            risk_text="the versions stay as they were",
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
            why="whole copies of torch and of all libraries that it needs" + told,
            changes="torch, torchvision, nvidia-* and all else that they need",
            risk="low",
            risk_text="torch keeps its version; packages that it needs may become newer",
            takes="up to 5 GB",
        ),
    )


def vision(facts: Facts, *, of: str | None = None, reinstall: bool = True) -> Step | None:
    """Return the step that installs the torchvision of the torch that is there, from the index of its build; None where no torch is known.

    `of`: the release of torch, where a log states nothing else of it.
    """
    version, machine = of or text(facts.torch.version), machine_of(facts)
    if version is None:
        return None
    wanted = torch_choice.vision_for(version)
    if machine.board == "jetson" or torch_choice.by_others(version):
        return commands.by_hand((), _of_others(wanted, version, machine), "torchvision")
    if of_conda(facts, "torch"):
        why = f"the torchvision that belongs to torch {version}, from where torch is"
        return conda_step(facts, (conda_name(wanted),), why)
    flavour = local(version) or (None if of else _flavour(facts, version, machine))
    index = torch_choice.index_of_build(f"{version.partition('+')[0]}+{flavour}" if flavour else version, machine)
    doubt = ""
    if flavour is None and machine.os != "darwin" and facts.grade == "stated":
        # The registry's torch for Windows is a CPU build, so most people there have one of an index.
        likely = torch_choice.choose_release(machine, version) if machine.os == "windows" else None
        index = likely.index_url if isinstance(likely, Choice) else None
        doubt = "; the build of that torch is not known: torch.__version__ shows it behind a +, and the --index-url has to end so"
    requirements, index, told = _from_own_index(facts, (wanted,), index, flavour)
    page = None
    if flavour is not None and (pair(version) or (2, 0)) < _FIRST_OF_AN_INDEX:
        requirements, index, page = (f"{wanted}+{flavour}",), None, torch_choice.STABLE
    why = (
        f"the torchvision that belongs to torch {version}"
        + (", from the same index" if index and flavour else "")
        + told
        + doubt
    )
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
    """Return the steps to the torchvision that belongs to the torch there, whichever that is. Boards have no wheel of it."""
    of = torch_asked.example(facts)
    if places.jetson(facts):
        built = Install(
            requirements=("torchvision @ git+https://github.com/pytorch/vision.git@release/0.20",),
            reinstall=True,
            no_deps=True,
            no_build_isolation=True,
            why="no wheel of torchvision belongs to NVIDIA's torch",
            changes="torchvision",
            takes="20 to 60 minutes",
        )
        other = f"no wheel of torchvision belongs to NVIDIA's torch: it is compiled on the board, with git; {_NUMBERS}"
        return torch_asked.steps(facts, built, torch_asked.Example("2.5.0", "12.6"), other)
    wanted = torch_choice.vision_for(of.torch)
    line = Install(
        requirements=(wanted,),
        index_url=torch_choice.index_of(of.flavour),
        reinstall=True,
        no_deps=True,
        why="torch stays",
        changes="torchvision",
    )
    return torch_asked.steps(facts, line, of, f"{_NUMBERS}, and the index ends as its version does behind the +")


def _of_others(wanted: str, version: str, machine: Machine) -> str:
    """Return where the torchvision of a torch comes from that is none of PyTorch's own."""
    if machine.board != "jetson":
        return f"take {wanted} from where torch {version} came (in NVIDIA's containers it is there: start from the image again)"
    found = torch_choice.choose(machine)
    place = found.index_url if isinstance(found, Choice) else torch_choice.JETSON
    return f"take {wanted}, which belongs to torch {version}, from where NVIDIA's torch for your JetPack comes ({place}), or build it there; PyPI's is not for this board"


def patch(facts: Facts, wanted: str, why: str) -> tuple[Step, ...]:
    """Return the step to another release of the build that is there, with its torchvision; where the build is not known, of one for this machine."""
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
    """Return the index that has the build of the torch that is there; None where it is the registry's, or no torch is known."""
    version, machine = text(facts.torch.version), machine_of(facts)
    if version is None:
        return None
    flavour = local(version) or _flavour(facts, version, machine)
    return torch_choice.index_of_build(f"{version.partition('+')[0]}+{flavour}" if flavour else version, machine)


def numpy_for(facts: Facts, specifier: str = "") -> str:
    """Return the requirement of a NumPy that the torch here takes, within a specifier."""
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
    """Return requirements, index and words: where the user's own index is configured, the build is named and the index is left to it."""
    own = own_index(facts)
    if index is None or own is None or flavour is None:
        return wanted, index, ""
    host = urlsplit(own).hostname
    builds = tuple(f"{text}+{flavour}" if "==" in text and text.startswith("torch") else text for text in wanted)
    return (
        builds,
        None,
        f"; from the index that you have configured ({host}): where it lacks this build, add --index-url {index}",
    )


def _flavour(facts: Facts, version: str, machine: Machine) -> str | None:
    """Return the build of a torch whose version does not name it: by its CUDA, else where the registry has one build alone."""
    if isinstance(facts.torch.cuda, str):
        return pytorch.flavour(facts.torch.cuda)
    if isinstance(facts.torch.hip, str) or facts.torch.cuda is not None:
        default = pytorch.pypi_cuda(version, machine.platform) if machine.os == "linux" else None
        return pytorch.flavour(default) if isinstance(default, str) else None
    return "cpu" if facts.torch.hip is None and machine.os != "darwin" else None


def _table(machine: Machine) -> str:
    return pytorch.LINUX if machine.os == "windows" else machine.platform
