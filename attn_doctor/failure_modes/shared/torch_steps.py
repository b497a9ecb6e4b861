"""Turn the choice of a torch into fixes for this machine: the newest that it runs, the same again, its torchvision, its NumPy. Pure.

`knowledge.torch_choice` chooses; here facts become its question, and its answer becomes commands. No other module names a
version of torch, torchvision or torchaudio, or an index of them: tests/test_torch_choice.py looks for it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from attn_doctor import commands
from attn_doctor.failure_modes.shared.torch_facts import machine_of, own_index, text
from attn_doctor.knowledge import pytorch, torch_choice
from attn_doctor.knowledge.torch_choice import Choice, Machine, NoTorch
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.model.facts import Distribution, Facts, OsName, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Risk, Step
from attn_doctor.model.versions import local, pair

_FAMILY = ("torch", "torchvision", "torchaudio")
_OTHERS = "packages that pin torch may complain"


def choice(facts: Facts) -> Choice | NoTorch:
    """Return the newest torch that this machine runs."""
    return torch_choice.choose(machine_of(facts))


def newest(
    facts: Facts,
    title: str = "Install torch and torchvision",
    *,
    why: str | None = None,
    beside: tuple[str, ...] = (),
    reinstall: bool = False,
) -> tuple[Fix, ...]:
    """Return the fixes that bring the newest torch that this machine runs, with its torchvision.

    `why` stands before the reason of the choice. `beside`: what else the resolver chooses with them. `reinstall`: also where
    that release is there, because its build is another.
    """
    found = choice(facts)
    verify = commands.check(facts)
    if isinstance(found, NoTorch):
        step = commands.by_hand((), found.words, "torch and torchvision")
        return (*_fresh_runtime(facts), Fix(title=found.title, steps=(step,), verify=verify))
    by_conda = _by_conda(facts, found)
    if by_conda is not None:
        return (Fix(title=title, steps=(by_conda,), verify=verify),)
    steps = _install(facts, found, why, beside, reinstall=reinstall)
    return (*_fresh_runtime(facts), Fix(title=title, steps=steps, verify=verify), *_from_registry(facts, found))


def _from_registry(facts: Facts, found: Choice) -> tuple[Fix, ...]:
    """Return the second way for a Linux without a GPU, where PyTorch's own index is out of reach: the registry's CUDA build computes on the CPU too."""
    if found.flavour != "cpu" or facts.system.os != "linux" or _here(facts, "torch") is not None:
        return ()
    step = commands.install(
        *("torch", "torchvision"),
        *found.beside,
        why="where PyTorch's own index cannot be reached: PyPI's build holds CUDA as well, and computes on the CPU without a GPU",
        changes="adds torch and torchvision",
        takes="3 to 5 GB",
    )
    return (Fix(title="Install PyPI's larger build of torch", steps=(step,), verify=commands.check(facts)),)


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
    names = tuple(name for name in _FAMILY[1:] if not only_torch and _here(facts, name))
    wanted = torch_choice.same(version, *names)
    wanted = tuple(
        f"{name}=={_here(facts, name)}".partition("+")[0] if _here(facts, name) else text
        for name, text in zip(("torch", *names), wanted, strict=True)
    )
    if _of_conda(facts, "torch"):
        return (
            _conda_step(
                facts,
                tuple(_conda_name(text) for text in wanted),
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
    numpy = _here(facts, "numpy")
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


def vision(facts: Facts, *, reinstall: bool = True) -> Step | None:
    """Return the step that installs the torchvision of the torch that is there, from the index of its build; None where no torch is known."""
    version, machine = text(facts.torch.version), machine_of(facts)
    if version is None:
        return None
    wanted = torch_choice.vision_for(version)
    if machine.board == "jetson":
        found = torch_choice.choose(machine)
        place = found.index_url if isinstance(found, Choice) else found.words
        words = f"build {wanted} for NVIDIA's torch {version} of this board, or take it from NVIDIA: {place}"
        return commands.by_hand((), words, "torchvision")
    if _of_conda(facts, "torch"):
        return _conda_step(
            facts, (_conda_name(wanted),), f"the torchvision that belongs to torch {version}, from where torch is"
        )
    flavour = local(version) or _flavour(facts, version, machine)
    index = torch_choice.index_of_build(f"{version.partition('+')[0]}+{flavour}" if flavour else version, machine)
    doubt = ""
    if flavour is None and machine.os != "darwin" and facts.grade == "stated":
        likely = torch_choice.choose(machine)
        if machine.os == "windows" and isinstance(likely, Choice):
            index, doubt = (
                likely.index_url,
                "; the build of that torch is not known: torch.__version__ shows it behind the +, and the index is called so",
            )
    requirements, index, told = _from_own_index(facts, (wanted,), index, flavour)
    same = f"the torchvision that belongs to torch {version}" + (", from the same index" if index else "")
    if not reinstall:
        return commands.install(*requirements, index_url=index, why=same + told + doubt, changes="adds torchvision")
    return commands.install(
        *requirements, reinstall=True, no_deps=True, index_url=index, why=same + told + doubt, changes="torchvision"
    )


def index_here(facts: Facts) -> str | None:
    """Return the index that has the build of the torch that is there; None where it is the registry's, or no torch is known."""
    version, machine = text(facts.torch.version), machine_of(facts)
    if version is None:
        return None
    flavour = local(version) or _flavour(facts, version, machine)
    return torch_choice.index_of_build(f"{version.partition('+')[0]}+{flavour}" if flavour else version, machine)


def release(facts: Facts, wanted: str, why: str, cuda: str | None = None) -> tuple[Step, ...]:
    """Return the steps to one release of torch, which another package asks for: "2.5.1", with its torchvision where one is there."""
    found = torch_choice.choose_release(machine_of(facts), wanted, cuda)
    if isinstance(found, NoTorch):
        return (commands.by_hand((), found.words, "torch and torchvision"),)
    return _install(facts, found, why)


def for_toolkit(facts: Facts, nvcc: str) -> tuple[Step, ...]:
    """Return the steps to the same release of torch, built for the CUDA major of a toolkit; none where this machine runs no such build."""
    version, major = text(facts.torch.version), (pair(nvcc) or (0, 0))[0]
    rows = [
        row
        for row in torch_choice.fitting_builds(machine_of(facts))
        if version and pair(row.torch) == pair(version) and (pair(row.cuda) or (1, 0))[0] == major
    ]
    if version is None or not rows:
        return ()
    bare, cuda = version.partition("+")[0], rows[0].cuda
    return release(
        facts, bare, f"the same torch, for the CUDA {major} of the toolkit; extensions have to be built again", cuda
    )


def _install(
    facts: Facts, found: Choice, why: str | None, beside: tuple[str, ...] = (), *, reinstall: bool = False
) -> tuple[Step, ...]:
    """Return the steps that install a choice. The same release in another build has to be installed again: pip takes it for met."""
    names, there = _family(facts), _here(facts, "torch")
    again = reinstall or (there is not None and there.partition("+")[0] == found.torch)
    requirements = (*found.requirements(*names), *beside)
    reason = "; ".join(part for part in (why, found.why, found.doubt) if part)
    changes = "adds torch and torchvision" if there is None else f"{' and '.join(names)}, to torch {found.build}"
    risk: Risk = "low" if there is None else "medium"
    said = None if there is None else _OTHERS
    if again:
        return commands.reinstall(
            *requirements,
            index_url=found.index_url,
            why=reason,
            changes=changes,
            risk=risk,
            risk_text=said,
            takes=found.takes,
        )
    return (
        commands.install(
            *requirements,
            index_url=found.index_url,
            why=reason,
            changes=changes,
            risk=risk,
            risk_text=said,
            takes=found.takes,
        ),
    )


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


def carried_over(facts: Facts) -> tuple[Step, ...]:
    """Return the steps for a machine that reaches no index: fetch the wheels elsewhere, copy them here, install them.

    The command of the other machine names this one's Python and platform, so that it may be any machine with pip.
    """
    found = choice(facts)
    if isinstance(found, NoTorch):
        return (commands.by_hand((), found.words, "torch and torchvision"),)
    machine = machine_of(facts)
    wanted = found.requirements()
    tags: tuple[str, ...] = ()
    if machine.python and machine.os:
        tag = {"windows": "win_amd64", "darwin": "macosx_14_0_arm64"}.get(
            machine.os
        ) or "manylinux_2_28_" + machine.platform.removeprefix("linux_")
        tags = ("--only-binary=:all:", "--python-version", machine.python, "--platform", tag)
    index = ("--index-url", found.index_url) if found.index_url else ()
    files = f"the files are {_wheel_names(found, machine)} and those of what they need"
    return (
        commands.by_hand(
            ("python", "-m", "pip", "download", "-d", "wheels", *tags, *wanted, *index),
            f"on a machine that has internet; {files}" + (f"; {found.doubt}" if found.doubt else ""),
            "a folder of wheels, there",
            "none",
            takes=found.takes,
        ),
        commands.by_hand((), "copy the folder wheels to this machine", "the folder wheels, here", "none"),
        commands.install(
            *wanted, from_folder="wheels", why="from the folder that was carried over", changes="torch and torchvision"
        ),
    )


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


def _fresh_runtime(facts: Facts) -> tuple[Fix, ...]:
    """Return the first cure on a hosted notebook: its torch is the host's, fits its driver, and comes back with a new runtime."""
    ways = {
        "colab": "Runtime > Disconnect and delete runtime, then run the notebook again without its lines that install torch",
        "kaggle": "Run > Factory reset, then run the notebook again without its lines that install torch",
    }
    hosted = facts.system.hosted
    if not isinstance(hosted, str) or hosted not in ways:
        return ()
    name = hosted.capitalize()
    step = commands.by_hand(
        (),
        f"{ways[hosted]}: {name} brings a torch that fits its driver",
        "the runtime, and files in it",
        "medium",
        risk_text="files of the runtime are lost",
    )
    return (Fix(title=f"Take {name}'s own torch again", steps=(step,), verify=commands.check(facts)),)


def _by_conda(facts: Facts, found: Choice) -> Step | None:
    """Return conda-forge's torch where conda installed torch: pip would lay another over it. PyTorch's own channel ended with 2.5.

    https://github.com/pytorch/pytorch/issues/138506
    """
    if not _of_conda(facts, "torch") or found.flavour == "cpu" or (found.flavour or "").startswith(("rocm", "xpu")):
        return None
    names = ("pytorch-gpu" if found.cuda else "pytorch", "torchvision")
    return _conda_step(
        facts,
        names,
        "conda-forge's build; conda takes the CUDA that the driver here runs (`conda info` names it __cuda)",
    )


def _conda_step(facts: Facts, names: tuple[str, ...], why: str, *, again: bool = False) -> Step:
    prefix = text(facts.interpreter.prefix)
    tools = facts.interpreter.installers
    tool = (
        next((t.split()[0] for t in tools if t.split()[0] in ("mamba", "micromamba")), "conda")
        if isinstance(tools, tuple)
        else "conda"
    )
    where = ("--prefix", prefix) if prefix else ()
    force = ("--force-reinstall",) if again else ()
    return commands.by_hand(
        (tool, "install", *where, *force, "-c", "conda-forge", *names), why, "packages of conda", takes="up to 3 GB"
    )


def _conda_name(requirement: str) -> str:
    name, _, version = requirement.partition("==")
    return {"torch": "pytorch"}.get(name, name) + (f"={version}" if version else "")


def _of_conda(facts: Facts, name: str) -> bool:
    found = _distribution(facts, name)
    return found is not None and found.installer == "conda"


def _family(facts: Facts) -> tuple[str, ...]:
    """Return the packages that change with torch: torchvision where it is there or nothing is, torchaudio where it is there."""
    names = ["torch"]
    if (
        _here(facts, "torchvision")
        or _here(facts, "torch") is None
        or isinstance(facts.packages.distributions, Unknown)
    ):
        names.append("torchvision")
    return (*names, *(["torchaudio"] if _here(facts, "torchaudio") else []))


def _here(facts: Facts, name: str) -> str | None:
    """Return the version that is there; None: it is not, or that is not known."""
    if name == "torch" and isinstance(facts.torch.version, str):
        return facts.torch.version
    found = _distribution(facts, name)
    return text(found.version) if found else None


def _distribution(facts: Facts, name: str) -> Distribution | None:
    listed = facts.packages.distributions
    return next((d for d in (listed if isinstance(listed, tuple) else facts.packages.named) if d.name == name), None)


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


def _wheel_names(found: Choice, machine: Machine) -> str:
    """Return the names of the two large files, as the index has them: "torch-2.14.1+cu126-cp312-cp312-manylinux_2_28_x86_64.whl"."""
    build = f"+{found.flavour}" if found.flavour and found.index_url else ""
    tag = f"cp{machine.python.rstrip('t').replace('.', '')}" if machine.python else "cp..."
    return " and ".join(
        f"{name}-{version}{build}-{tag}-*.whl"
        for name, version in (("torch", found.torch), ("torchvision", found.torchvision))
        if version
    )
