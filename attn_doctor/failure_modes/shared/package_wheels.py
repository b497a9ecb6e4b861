"""Make the fixes that install the finished wheel of a package that is built for torch, from the page or index of its authors. Pure.

A wheel is built for one minor release of torch and one CUDA. If both are known, they are in the command. If a log names neither, a
first step prints them.
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.shared import linked_wheels, subject, torch_steps
from attn_doctor.failure_modes.shared.torch_facts import distribution, machine_of, text
from attn_doctor.knowledge import built_packages, torch_choice
from attn_doctor.knowledge.rows import BuiltPackage
from attn_doctor.knowledge.torch_machine import LAST_TORCHTEXT
from attn_doctor.knowledge.wheel_key import key_of, numbers
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step, name_of
from attn_doctor.model.versions import flash_build, pair


def ready(facts: Facts, name: str | None, *, again: bool = False, began: bool = False) -> tuple[Fix, ...]:
    """Return the fixes that install a finished wheel of this package, not of flash-attn. Empty if no wheel is known.

    On Windows and macOS, a package that is only for Linux gets a fix with Linux instead. `again`: the package is installed and does not fit.
    `began`: the build had begun to compile, so a setup that downloads a finished wheel first had found none.
    """
    row = built_packages.row_of(name) if name else None
    if name is None or row is None:
        return ()
    if row.linux_only and facts.system.os in ("windows", "darwin"):
        return (_under_linux(facts, name),)
    # Then the package is already installed without compiled kernels, and compiles at its first use.
    at_run_time = facts.subject.doing in (
        "running",
        "importing",
    )
    if row.compiles_nothing and not again and not at_run_time:
        return (_without_compiling(facts, name, row.compiles_nothing),)
    if not _may_fit(facts, row):
        return ()
    made: tuple[Step, ...] = ()
    if row.wheels == "pytorch-index":
        made = _bound(facts, name, row, again=again)
    elif row.wheels == "links":
        made = linked_wheels.steps(facts, name, row, again=again)
    elif row.wheels == "pypi" and not row.compiles_at_run_time:
        made = () if _no_wheel_was_taken(facts, name) else _of_registry(facts, name, row, again=again)
    elif row.wheels == "index":
        index = (
            built_packages.wheel_index(row, *linked_wheels.torch_of(facts))
            if isinstance(facts.torch.version, str)
            else None
        )
        if index is not None:
            made = _of_index(name, row, index)
    if made:
        title = f"Install {name}'s finished wheel" if row.wheels != "pypi" or not again else f"Upgrade {name}"
        return (Fix(title=title, steps=made, verify=subject.verify(facts)),)
    if row.setup_takes_wheel is not None:
        return (
            ()
            if again or (began and not _forced(facts)) or facts.torch.version is None
            else (_by_setup(facts, name, row, row.setup_takes_wheel),)
        )
    return (_by_hand(facts, name, row),) if row.wheels in ("index", "releases") else ()


def _forced(facts: Facts) -> bool:
    """Return whether the typed command told the setup to compile (FLASH_ATTENTION_FORCE_BUILD=TRUE), so that it looked for no wheel."""
    return isinstance(facts.subject.command, str) and "_FORCE_BUILD=" in facts.subject.command


def _by_setup(facts: Facts, name: str, row: BuiltPackage, skip: str) -> Fix:
    """Return the fix that lets the package's own setup.py download the wheel for the installed torch, without compiling."""
    small = tuple(text for text in row.imports if text != "torch")
    steps = (
        commands.install(*small, why="its setup imports them", changes="adds small packages"),
        commands.variable(skip, "TRUE", f"the setup of {name} compiles nothing, and needs no nvcc"),
        commands.install(
            subject.requirement(facts) or name,
            no_build_isolation=True,
            no_cache=True,
            why=f"its setup.py downloads the finished wheel for the installed torch from {row.url}. If there is no such wheel, "
            f"`import {row.module}` fails after this step: then unset that variable and build it",
            changes=f"adds {name}",
        ),
    )
    return Fix(title=f"Let {name}'s setup.py download the finished wheel", steps=steps, verify=subject.verify(facts))


def _without_compiling(facts: Facts, name: str, variables: dict[str, str]) -> Fix:
    """Return the fix that installs a package without compiling its kernels, which it then compiles at their first use."""
    steps = (
        *(
            commands.variable(key, value, f"{name} then compiles at its first use, and not when it is installed")
            for key, value in variables.items()
        ),
        commands.install(
            subject.requirement(facts) or name,
            no_cache=True,
            why="installs only its Python code; each kernel is compiled at its first use, which needs a toolkit of torch's CUDA",
            changes=f"adds {name}",
        ),
    )
    return Fix(title=f"Install {name} without compiling its kernels", steps=steps, verify=subject.verify(facts))


def _under_linux(facts: Facts, name: str) -> Fix:
    where = "in WSL (`wsl --install` installs an Ubuntu)" if facts.system.os == "windows" else "on a Linux machine"
    step = commands.by_hand(
        (), f"install and run {name} {where}: its authors support only Linux", "nothing here", elsewhere=True
    )
    return Fix(title=f"Use {name} under Linux", steps=(step,), verify=subject.verify(facts))


def of_linux(facts: Facts) -> Fix | None:
    """Return the fix that uses the package of the log in WSL2, if this is Windows and its authors publish wheels for Linux alone; else None.

    Always None for flash-attn.

    https://github.com/SHI-Labs/NATTEN/blob/main/docs/install.md, https://github.com/state-spaces/mamba/releases
    """
    name = subject.stated(facts)
    row = built_packages.row_of(name) if name else None
    if facts.system.os != "windows" or row is None or name == subject.FLASH_ATTN:
        return None
    if not any(platform.startswith("linux") for platform in row.platforms) or "win_amd64" in row.platforms:
        return None
    where = f" ({row.url})" if row.url and "{" not in row.url else ""
    step = commands.by_hand(
        ("wsl.exe", "--install"),
        f"installs Linux inside Windows: {name}'s authors have finished wheels for Linux{where} and none for Windows. Create an environment there, and install it into that",
        "installs WSL2",
        elsewhere=True,
    )
    return Fix(title=f"Use {name} in WSL2", steps=(step,), verify=subject.verify(facts))


def of_the_other_abi(facts: Facts, name: str, abi: bool | None) -> tuple[Fix, ...]:
    """Return the fix that installs the same release for torch's C++ ABI, if the authors publish wheels for both; empty if none is known.

    `abi`: whether torch has the new C++ ABI; None if not known.

    https://github.com/state-spaces/mamba/releases, https://github.com/Dao-AILab/causal-conv1d/releases
    """
    row, found = built_packages.row_of(name), distribution(facts, name)
    have = text(found.version) if found else None
    build, python = flash_build(have), key_of(facts).python
    if row is None or row.wheels != "releases" or have is None or build is None or not isinstance(python, str):
        return ()
    if abi is None or build.cxx11_abi is None or build.cxx11_abi is abi or not _may_fit(facts, row):
        return ()
    release, _, local = have.replace("%2B", "+").partition("+")
    local = local.replace("abiTRUE" if build.cxx11_abi else "abiFALSE", "abiTRUE" if abi else "abiFALSE")
    tag = f"cp{python.replace('.', '')}"
    file = f"{row.module}-{release}+{local}-{tag}-{tag}-linux_x86_64.whl"
    step = commands.install(
        f"{row.url}/download/v{release}/{file}",
        reinstall=True,
        no_deps=True,
        why="the same release for the C++ ABI of this torch: nothing is compiled",
        changes=f"{name} {release}",
    )
    return (
        Fix(title=f"Install the wheel of {name} for the other C++ ABI", steps=(step,), verify=subject.verify(facts)),
    )


def taken_by_setup(facts: Facts, row: BuiltPackage | None) -> bool:
    """Return whether the package's setup.py may download a finished wheel for the installed torch. It does so only without isolation."""
    return row is not None and row.setup_takes_wheel is not None and _may_fit(facts, row)


def of_the_family(facts: Facts, name: str) -> tuple[Fix, ...]:
    """Return the fixes for a torchvision, torchaudio or torchtext that was built for another torch.

    Install the release for the installed torch. If torch is not known: install torch and the package together. For a
    torch without a torchtext: its own fixes.
    """
    torch = text(facts.torch.version)
    if name == "torchtext" and not (torch is not None and "==" in torch_choice.same(torch, name)[1]):
        return _of_the_last_torchtext(facts)
    title, verify = f"Install the {name} that belongs to this torch", commands.check(facts)
    if torch is not None:
        step: Step = commands.install(
            *torch_choice.same(torch, name)[1:],
            # torchtext has no CUDA code, and is on PyPI alone for all builds of torch.
            index_url=None if name == "torchtext" else torch_choice.index_of_build(torch, machine_of(facts)),
            reinstall=True,
            no_deps=True,
            why=f"the release that was built for torch {torch.partition('+')[0]}",
            changes=name,
        )
        return (Fix(title=title, steps=(step,), verify=verify),)
    steps = torch_steps.together(facts, name)
    return (Fix(title=f"Install torch and {name} together", steps=steps, verify=verify),)


def _of_the_last_torchtext(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a torch that has no torchtext: the last torch with one, or no torchtext."""
    steps = torch_steps.release(
        facts, "2.3.1", "the last torch with a torchtext, whose development has ended", reinstall=True
    )
    text_step = commands.install(
        f"torchtext=={LAST_TORCHTEXT}",
        reinstall=True,
        no_deps=True,
        why="the last release, for torch 2.3",
        changes="torchtext",
    )
    own = commands.by_hand(
        (),
        "write the few functions of torchtext that the program uses (a vocabulary, a tokenizer, a dataset) with plain Python, or with the "
        "packages tokenizers and datasets; then uninstall torchtext",
        "your program",
        "none",
    )
    return (
        Fix(title="Install the last torch with a torchtext", steps=(*steps, text_step), verify=subject.verify(facts)),
        Fix(title="Do without torchtext", steps=(own,), verify=subject.verify(facts)),
    )


def _no_wheel_was_taken(facts: Facts, name: str) -> bool:
    """Return whether the log shows that the plain command, `pip install NAME`, found no wheel and began to build.

    Then the package index has none for this Python and system, and the same command would not find one either.
    """
    asked = subject.requirement(facts)
    return (
        facts.subject.doing == "building"
        and isinstance(facts.subject.command, str)
        and asked is not None
        and name_of(asked) == asked.lower().replace("_", "-")
        and not any(word in facts.subject.command for word in ("--no-binary", "setup.py", " -r ", "git+"))
        and name in facts.subject.command.lower().replace("_", "-")
    )


def _may_fit(facts: Facts, row: BuiltPackage) -> bool:
    """Return whether a wheel may fit this machine: False if a known fact excludes it."""
    key = key_of(facts)
    if facts.system.board == "jetson" or (facts.system.os == "darwin" and row.wheels != "none"):
        return False  # wheels for ARM servers do not fit a Jetson's torch
    known = isinstance(key.platform, str) or isinstance(facts.system.os, str)
    if (
        known
        and row.platforms
        and (key.platform if isinstance(key.platform, str) else machine_of(facts).platform) not in row.platforms
    ):
        return False
    if isinstance(key.python, str) and row.pythons and key.python not in row.pythons:
        return False
    if not isinstance(key.torch, str):
        return row.torch_last is None or row.wheels != "pypi"
    first, last = row.torch_first, row.torch_last
    return (first is None or numbers(key.torch) >= numbers(first)) and (
        last is None or numbers(key.torch) <= numbers(last)
    )


def _of_registry(facts: Facts, name: str, row: BuiltPackage, *, again: bool) -> tuple[Step, ...]:
    """Return the step that installs the package from PyPI: the release for this torch, or the newest."""
    exact = built_packages.pinned(row, *linked_wheels.torch_of(facts)) if isinstance(facts.torch.version, str) else None
    fresh = "; pip also installs the torch that the wheel was built for, so a new environment is safer"
    bound = row.torch_bound and not row.pins
    step = commands.install(
        exact or row.get or name,
        upgrade=again and exact is None,
        why="the release that was built for this torch"
        if exact
        else "a finished wheel: nothing is compiled" + (fresh if bound else ""),
        changes=name if again else f"adds {name}" + (", and may change torch" if bound else ""),
        risk="medium" if bound else "low",
    )
    return (step,)


# The last xformers for torch releases before 2.1, by the Requires-Dist of its wheels on PyPI. They were built for CUDA 11.7 (the first) and 11.8.
# https://pypi.org/project/xformers/0.0.22/
_STABLE_XFORMERS = (
    2,
    10,
)  # the first torch for xformers with torch's stable ABI (0.0.34): Requires-Dist is torch>=2.10
_XFORMERS = {"1.13.1": "0.0.16", "2.0.0": "0.0.19", "2.0.1": "0.0.22"}


def _bound(facts: Facts, name: str, row: BuiltPackage, *, again: bool) -> tuple[Step, ...]:
    """Return the steps that install a package of which each release is for one torch (xformers), for the installed torch.

    If torch's version is known, the command names it too, so that pip keeps it. Else torch and the package are installed together.
    """
    torch = facts.torch.version
    old = _XFORMERS.get(torch.partition("+")[0]) if isinstance(torch, str) and name == "xformers" else None
    if old is not None:
        step = commands.install(
            f"{name}=={old}",
            reinstall=again,
            no_deps=again,
            why=f"the last release of {name} for torch {torch}: its wheel on PyPI asks for exactly this torch, and PyTorch's index has none so old",
            changes=name if again else f"adds {name}",
        )
        return (step,)
    if isinstance(torch, str) and name == "xformers" and again and (pair(torch) or (0, 0)) >= _STABLE_XFORMERS:
        step = commands.install(
            name,
            index_url=built_packages.wheel_index(row, *linked_wheels.torch_of(facts)),
            reinstall=True,
            no_deps=True,
            why="the build for this torch's CUDA: from torch 2.10 on one release of xformers is for every torch, so that pip would keep the installed one",
            changes=name,
        )
        return (step,)
    if isinstance(torch, str):
        step = commands.install(
            name,
            *torch_choice.same(torch),
            index_url=built_packages.wheel_index(row, *linked_wheels.torch_of(facts)),
            upgrade=again,
            why=f"installs the release of {name} that was built for this torch",
            changes=name if again else f"adds {name}",
        )
        return (step,)
    return torch_steps.together(facts, name)


def _of_index(name: str, row: BuiltPackage, index: str) -> tuple[Step, ...]:
    """Return the steps that install the package from its own index, and before it the small packages that it imports."""
    small = tuple(text for text in row.imports if text != "torch")
    needs = commands.install(*small, why=f"{name} imports them", changes="adds small packages")
    step = commands.install(
        name,
        index_url=index,
        reinstall=True,
        no_deps=True,
        why="the wheel for this torch and CUDA, if that index has one for this Python",
        changes=f"{name}",
    )
    return (needs, step)


def _by_hand(facts: Facts, name: str, row: BuiltPackage) -> Fix:
    """Return the fix that names the page with the finished wheels, and which wheel to look for there."""
    key = key_of(facts)
    known = (
        f"torch {'.'.join(map(str, numbers(key.torch)))}" if isinstance(key.torch, str) else "your torch",
        f"CUDA {key.cuda}" if isinstance(key.cuda, str) else "its CUDA",
        f"Python {key.python}" if isinstance(key.python, str) else "your Python",
    )
    url = (row.url or "").partition("pt{")[0]
    words = f"look at {url} for a file for {', '.join(known)}, and install it by its address"
    if row.note is not None:
        words += f" ({row.note})"
    step = commands.by_hand((), words, f"adds {name}")
    return Fix(title=f"Install {name}'s finished wheel by its address", steps=(step,), verify=subject.verify(facts))
