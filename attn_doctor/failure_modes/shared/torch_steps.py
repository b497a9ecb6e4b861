"""Make the fixes that install torch on this machine: the newest that it can run, another build, or one certain release. Pure.

`knowledge.torch_choice` chooses the torch; this module reads what it needs from facts, and turns its answer into commands. No other
module may name a version of torch, torchvision or torchaudio, or their index: tests/test_torch_in_one_place.py checks it.
"""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.commands.installers import chosen, context, keeps_books
from attn_doctor.failure_modes.shared import old_torch_steps, subject
from attn_doctor.failure_modes.shared.torch_facts import machine_of, pins_torch, text, version_here
from attn_doctor.failure_modes.shared.torch_install import (
    by_conda,
    choice,
    steps_of,
    without_index,
)
from attn_doctor.knowledge import built_packages, pytorch, torch_choice, wheels
from attn_doctor.knowledge.torch_choice import Choice, NoTorch
from attn_doctor.knowledge.torch_machine import Maker
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair, parse


def newest(
    facts: Facts,
    title: str = "Install torch and torchvision",
    *,
    why: str | None = None,
    beside: tuple[str, ...] = (),
    reinstall: bool = False,
    maker: Maker | None = None,
) -> tuple[Fix, ...]:
    """Return the fixes that install the newest torch that this machine can run, with its torchvision.

    `why`: text before the reason of the choice. `beside`: other requirements for the same command. `reinstall`: install even if this
    release is installed, because its build differs. `maker`: the maker of the GPU, if the finding names it.
    """
    image = another_image(facts)
    if image is not None:
        return (image,)
    found = choice(facts, maker)
    steps = newest_steps(facts, why, beside=beside, reinstall=reinstall, maker=maker)
    if not steps:
        return ()
    named = found.title if isinstance(found, NoTorch) else title
    fix = Fix(title=named, steps=steps, verify=commands.check(facts))
    return (*fresh_runtime(facts), fix, *_from_registry(facts, found))


def kept_or_newest(facts: Facts, title: str, why: str | None = None, *, reinstall: bool = False) -> tuple[Fix, ...]:
    """Return the fixes that install a torch which this machine can run: another build of the installed release, else the newest torch.

    The release stays if it is older than 2.0, since old programs need exactly that release. It also stays if the version of Python is
    not known, since this release has wheels for that Python. `title` may contain {cuda} and {name}: "Install a torch for CUDA {cuda}".
    """
    old, same, rebuilt = old_torch_steps.same_release(facts), _same_release(facts), _built_again(facts)
    verify = commands.check(facts)
    if old is not None:
        named = title.format(cuda=old.cuda, name=f"torch {old.row.torch}")
        return (Fix(title=named, steps=(*old_torch_steps.steps(facts, old), *rebuilt), verify=verify),)
    if same is not None and another_image(facts) is None:
        named = title.format(cuda=same.cuda, name=same.name)
        return (
            *fresh_runtime(facts),
            Fix(title=named, steps=(*steps_of(facts, same, why), *rebuilt), verify=verify),
        )
    found = choice(facts)
    known = isinstance(found, Choice) and found.cuda is not None
    named = (
        title.format(cuda=found.cuda, name=found.name)
        if known and isinstance(found, Choice)
        else "Install another torch"
    )
    made = newest(facts, named, why=why, reinstall=reinstall)
    return tuple(
        msgspec.structs.replace(fix, steps=(*fix.steps, *rebuilt)) if fix.title == named else fix for fix in made
    )


def _built_again(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that install again the packages in a log that were compiled for the old torch: they fail with the new torch."""
    rows = [row for one in facts.packages.named if (row := built_packages.row_of(one.name)) and row.torch_bound]
    sources = [row for row in rows if row.wheels == "none" and row.get and row.name != subject.package(facts)]
    others = [row.name for row in rows if row.wheels != "none"]
    steps: list[Step] = [
        commands.install(
            str(row.get),
            reinstall=True,
            no_deps=True,
            no_build_isolation=True,
            no_cache=True,
            why=f"{row.name} was compiled for the old torch: this builds it again for the new torch, and needs a toolkit of the new torch's CUDA",
            changes=row.name,
            takes="minutes to an hour",
        )
        for row in sources
    ]
    if others:
        words = f"install {', '.join(others)} again: the installed files were compiled for the old torch"
        steps.append(commands.by_hand((), words, ", ".join(others)))
    return tuple(steps)


def _same_release(facts: Facts) -> Choice | None:
    """Return another CUDA build of the installed release of torch, for a machine whose Python is not known.

    None if the Python is known, or if there is no such build.
    """
    version, machine = text(facts.torch.version), machine_of(facts)
    read = parse(version or "")
    if (
        version is None
        or read is None
        or read.is_prerelease
        or machine.python is not None
        or torch_choice.by_others(version)
    ):
        return None
    found = torch_choice.choose_release(machine, version.partition("+")[0])
    return found if isinstance(found, Choice) and found.cuda is not None and found.build != version else None


def another_image(facts: Facts) -> Fix | None:
    """Return the fix "use another image" for a container with a model server (vLLM) or with NVIDIA's own torch; else None.

    In such an image torch must not be replaced: the server needs this torch, and in NVIDIA's images pip's constraints refuse another.
    """
    inside = isinstance(facts.system.container, str)
    version, server = text(facts.torch.version), pins_torch(facts)
    built = version is not None and torch_choice.by_others(version) and facts.system.board != "jetson"
    if not inside or not (built or server):
        return None
    if server in _IMAGES:
        argv: tuple[str, ...] = ("docker", "pull", _IMAGES[server])
        why = f"run this on the host: {server} works only with the torch that it was built for, and this container image contains that torch. Then start a container from the image"
    else:
        argv = ()
        why = (
            "start from another container image: the packages in this image are built for its torch, and its pip refuses any other torch. nvcr.io/nvidia/pytorch "
            "has a tag for each CUDA; https://docs.nvidia.com/deeplearning/frameworks/support-matrix/ lists the drivers and GPUs of each tag"
        )
    step = commands.by_hand(argv, why, "the image", "none", takes="10 to 20 GB")
    return Fix(
        title="Use another container image: one with the torch that its packages need",
        steps=(step,),
        verify=commands.check(facts),
    )


_IMAGES = {
    "vllm": "vllm/vllm-openai:latest",
    "sglang": "lmsysorg/sglang:latest",
    "lmdeploy": "openmmlab/lmdeploy:latest",
}


def newest_steps(
    facts: Facts,
    why: str | None = None,
    *,
    beside: tuple[str, ...] = (),
    reinstall: bool = False,
    maker: Maker | None = None,
) -> tuple[Step, ...]:
    """Return the steps that install the newest torch that this machine can run, for use in another fix; empty if this build is installed.

    The arguments are those of `newest`.
    """
    found = choice(facts, maker)
    if isinstance(found, NoTorch):
        return without_index(facts, found)
    of_conda = by_conda(facts, found)
    return (of_conda,) if of_conda else steps_of(facts, found, why, beside, reinstall=reinstall)


def together(facts: Facts, name: str) -> tuple[Step, ...]:
    """Return the step that installs torch and a package of which each release is for one torch (xformers), in one command.

    Neither version is pinned, and pip chooses a pair that fits: often there is no release of the package for the newest torch yet.
    """
    found = choice(facts)
    if isinstance(found, NoTorch):
        return without_index(facts, found)
    # A torchaudio for the old torch does not load beside the new one.
    audio = ("torchaudio",) if name == "xformers" or version_here(facts, "torchaudio") else ()
    family = dict.fromkeys(("torch", "torchvision", *audio, name))
    step = commands.install(
        *msgspec.structs.replace(found, pinned=False, beside=()).requirements(*family),
        index_url=found.index_url,
        upgrade=True,
        why="; ".join(
            part
            for part in (
                f"each release of {name} is built for one torch: pip chooses a pair that fits, from one index",
                found.why,
                found.doubt,
            )
            if part
        ),
        changes=f"{name}, torch and torchvision",
        risk="medium",
        risk_text="packages that were built for the old torch have to be built again",
        takes=found.takes,
    )
    return (step,)


def where_none_is(facts: Facts, why: str, *, flash_attn: bool = False, release: str | None = None) -> tuple[Step, ...]:
    """Return the steps that install torch if there is none, for a machine on which it is not known whether torch is installed.

    The requirement has no version, so pip does not replace an installed torch. For flash-attn it has an upper bound, such as
    "torch<2.9", because flash-attn has no finished wheel for newer torch. A tool that manages a project (uv, poetry) would write
    the requirement into the project's file: there a sentence tells the reader to leave the step out if torch is installed.
    """
    found, reason = _for_flash_attn(facts, release) if flash_attn else (choice(facts), None)
    if isinstance(found, NoTorch) or found.torch is None or keeps_books(context(facts, chosen(facts)[0])):
        leave = f"{why}; if torch is already installed, leave this step out"
        return for_flash_attn(facts, leave, release) if flash_attn else newest_steps(facts, leave)
    bound = _next_minor(found.torch) if flash_attn else machine_of(facts).before
    stays = f"an installed torch older than {bound} stays" if bound else "an installed torch of any version stays"
    step = commands.install(
        f"torch<{bound}" if bound else "torch",
        *(["torchvision"] if bound else []),
        index_url=found.index_url,
        why="; ".join(
            part
            for part in (f"{why}: {stays}; if there is none, this installs it", reason, found.why, found.doubt)
            if part
        ),
        changes=f"adds torch, or replaces torch {bound} or newer by an older one"
        if bound
        else "adds torch, if there is none",
        takes=found.takes,
    )
    return (step,)


def _next_minor(version: str) -> str:
    """Return the next minor release after a version: "2.9" for "2.8.0"."""
    major, minor = pair(version) or (0, 0)
    return f"{major}.{minor + 1}"


def _from_registry(facts: Facts, found: Choice | NoTorch) -> tuple[Fix, ...]:
    """Return a fix for a Linux without GPU and torch that cannot reach PyTorch's index: PyPI's CUDA build, which also runs on the CPU.

    Empty for all other machines.
    """
    if (
        isinstance(found, NoTorch)
        or found.flavour != "cpu"
        or facts.system.os != "linux"
        or version_here(facts, "torch") is not None
    ):
        return ()
    step = commands.install(
        *("torch", "torchvision"),
        *found.beside,
        why="if PyTorch's own index cannot be reached: PyPI's build also contains CUDA, and without a GPU it computes on the CPU",
        changes="adds torch and torchvision",
        takes="3 to 5 GB",
    )
    return (Fix(title="Install PyPI's larger build of torch", steps=(step,), verify=commands.check(facts)),)


def bare(*beside: str) -> tuple[str, ...]:
    """Return the requirement "torch", which every torch meets, and the packages in `beside` ("torchvision") without a version."""
    return ("torch", *beside)


def by_pip(facts: Facts, why: str) -> tuple[Step, ...]:
    """Return the steps that install the newest torch with pip, even if conda installed the present one; empty if no torch fits."""
    found = choice(facts)
    return () if isinstance(found, NoTorch) else steps_of(facts, found, why, reinstall=True)


def release(
    facts: Facts, wanted: str, why: str, cuda: str | None = None, *, reinstall: bool = False
) -> tuple[Step, ...]:
    """Return the steps that install one release of torch, "2.5.1", with the torchvision and torchaudio that belong to it (see `_family`).

    `cuda`: the build, "12.4"; None: the one for this machine. `reinstall`: install even if this release is installed, because its build
    differs. Empty if it is installed; a text if this machine can run no such torch.
    """
    found = torch_choice.choose_release(machine_of(facts), wanted, cuda)
    if isinstance(found, NoTorch):
        return (commands.by_hand((), found.words, "torch and torchvision", elsewhere=found.elsewhere),)
    return steps_of(facts, found, why, reinstall=reinstall)


def with_family(facts: Facts, wanted: str, *names: str) -> tuple[Step, ...]:
    """Return the step that installs a release of torch, "2.4.0", with the releases of `names` that belong to it ("torchaudio").

    Empty if this machine is known to have no index with it.
    """
    found = torch_choice.choose_release(machine_of(facts), wanted)
    if isinstance(found, NoTorch):
        return ()
    step = commands.install(
        *found.requirements("torch", *names),
        index_url=found.index_url,
        why="; ".join(filter(None, (f"what belongs to torch {wanted}", found.why, found.doubt))),
        changes="the packages",
        takes=found.takes,
    )
    return (step,)


def for_flash_attn(facts: Facts, why: str, release: str | None = None) -> tuple[Step, ...]:
    """Return the steps that install the newest torch that flash-attn, or this release of it, supports. For a machine without torch."""
    found, reason = _for_flash_attn(facts, release)
    if isinstance(found, NoTorch):
        return newest_steps(facts, why)
    return steps_of(facts, found, f"{why}; {reason}" if reason else why)


def _for_flash_attn(facts: Facts, release: str | None = None) -> tuple[Choice | NoTorch, str | None]:
    """Return the torch for flash-attn, and the reason if it is not the newest torch for this machine.

    It is the newest torch for which flash-attn has a finished wheel for this Python, else the newest whose headers flash-attn's setup
    can compile. flash-attn supports a new torch only after some months.
    """
    machine = machine_of(facts)
    if machine.os in ("windows", "darwin") or machine.board == "jetson" or machine.maker == "amd":
        return choice(facts), None
    release = release or (subject.pinned(facts) if subject.is_flash_attn(facts) else None)
    for minor in wheels.torches(machine.python, release):
        row = pytorch.release(minor)
        found = torch_choice.choose_release(machine, minor if isinstance(row, Unknown) else row.latest)
        if isinstance(found, Choice):
            which = f"flash-attn {release}" if release else "flash-attn"
            return found, f"{which} has finished wheels for this torch, and none for the newest"
    older = torch_choice.choose(machine, below=pytorch.first_with_cxx(20))
    return (choice(facts), None) if isinstance(older, NoTorch) else (older, None)


def for_gpu(facts: Facts, wanted: str, why: str) -> tuple[Step, ...]:
    """Return the steps that install a CUDA build of the torch release `wanted` ("2.5.1"). Empty if this machine is known to run none."""
    found = torch_choice.choose_release(machine_of(facts), wanted)
    if isinstance(found, NoTorch) or found.cuda is None or found.torch != wanted:
        return ()
    return steps_of(facts, found, why, reinstall=True)


def fresh_runtime(facts: Facts) -> tuple[Fix, ...]:
    """Return the first fix on Colab and Kaggle: a new runtime has the notebook's own torch again, which fits its driver. Empty elsewhere."""
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
        f"{ways[hosted]}: {name} has its own torch, which fits its driver",
        "the runtime, and files in it",
        "medium",
        risk_text="files of the runtime are lost",
    )
    return (Fix(title=f"Use {name}'s own torch again", steps=(step,), verify=commands.check(facts)),)
