"""Turn the choice of a torch into fixes for this machine: the newest that it runs, the same again, its torchvision, its NumPy. Pure.

`knowledge.torch_choice` chooses; here facts become its question, and its answer becomes commands. No other module names a
version of torch, torchvision or torchaudio, or an index of them: tests/test_torch_choice.py looks for it.
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
from attn_doctor.knowledge import built_packages, old_torch, pytorch, torch_choice, wheels
from attn_doctor.knowledge.torch_choice import Choice, NoTorch
from attn_doctor.knowledge.torch_machine import Machine, Maker
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
    """Return the fixes that bring the newest torch that this machine runs, with its torchvision.

    `why` stands before the reason of the choice. `beside`: what else the resolver chooses with them. `reinstall`: also where
    that release is there, because its build is another.
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
    """Return the fixes that bring a torch which this machine runs: another build of the release that is there, else the newest.

    The release stays where it is one before 2.0, whose programs mostly need that very one, and where the Python is not known: it has
    wheels for the one that is there. `title` ends with the CUDA: "Install a torch for CUDA {cuda}".
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
    """Return the steps for the packages that a log names and that were compiled for the torch from before: they do not import with another."""
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
            why=f"{row.name} was compiled for the torch from before: it is built again for this one, with a toolkit of its CUDA",
            changes=row.name,
            takes="minutes to an hour",
        )
        for row in sources
    ]
    if others:
        words = f"{', '.join(others)}: compiled for the torch from before, and to be installed again for this one"
        steps.append(commands.by_hand((), words, ", ".join(others)))
    return tuple(steps)


def _same_release(facts: Facts) -> Choice | None:
    """Return another CUDA build of the release that is there, where no Python is known for a newer one; None where there is none."""
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
    """Return the fix inside an image that is there for the sake of its torch: a server's, or NVIDIA's own, whose constraints refuse another."""
    inside = isinstance(facts.system.container, str)
    version, server = text(facts.torch.version), pins_torch(facts)
    built = version is not None and torch_choice.by_others(version) and facts.system.board != "jetson"
    if not inside or not (built or server):
        return None
    if server in _IMAGES:
        argv: tuple[str, ...] = ("docker", "pull", _IMAGES[server])
        why = f"on the host: the image's torch is the one that {server} was built for, and another breaks it; then start the container from this image"
    else:
        argv = ()
        why = (
            "start from another image: this one's packages are built for its torch, and its pip refuses another. nvcr.io/nvidia/pytorch has a tag "
            "for each CUDA; https://docs.nvidia.com/deeplearning/frameworks/support-matrix/ names the drivers and GPUs of each tag"
        )
    step = commands.by_hand(argv, why, "the image", "none", takes="10 to 20 GB")
    return Fix(
        title="Take another image, with the torch that it is built for", steps=(step,), verify=commands.check(facts)
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
    """Return the steps of the same, for a fix that holds others too; none where this very build is there."""
    found = choice(facts, maker)
    if isinstance(found, NoTorch):
        return without_index(facts, found)
    of_conda = by_conda(facts, found)
    return (of_conda,) if of_conda else steps_of(facts, found, why, beside, reinstall=reinstall)


def together(facts: Facts, name: str) -> tuple[Step, ...]:
    """Return the step that installs a package of which each release is for one torch, with the torch that it wants: the resolver finds the pair.

    Neither is pinned: the newest torch has often no release of the package yet.
    """
    found = choice(facts)
    if isinstance(found, NoTorch):
        return without_index(facts, found)
    family = dict.fromkeys(("torch", "torchvision", name))
    step = commands.install(
        *msgspec.structs.replace(found, pinned=False, beside=()).requirements(*family),
        index_url=found.index_url,
        upgrade=True,
        why="; ".join(
            part
            for part in (
                f"{name} is built for one torch, and the resolver takes both from one index",
                found.why,
                found.doubt,
            )
            if part
        ),
        changes=f"{name}, torch and torchvision",
        risk="medium",
        risk_text="packages that were built for the torch from before have to be built again",
        takes=found.takes,
    )
    return (step,)


def where_none_is(facts: Facts, why: str, *, flash_attn: bool = False, release: str | None = None) -> tuple[Step, ...]:
    """Return the steps that bring a torch only where there is none: nothing is known of one, and one that is there stays.

    A name without a version is met by every torch that is installed. For flash-attn the name has an upper bound, such as
    "torch<2.9": a newer one has no finished wheel. A tool that keeps the books of a project would write the name down again, so
    there the reader decides.
    """
    found, reason = _for_flash_attn(facts, release) if flash_attn else (choice(facts), None)
    if isinstance(found, NoTorch) or found.torch is None or keeps_books(context(facts, chosen(facts)[0])):
        leave = f"{why}; where it is installed already, leave this step out"
        return for_flash_attn(facts, leave, release) if flash_attn else newest_steps(facts, leave)
    bound = _next_minor(found.torch) if flash_attn else machine_of(facts).before
    stays = f"a torch older than {bound} stays" if bound else "a torch that is there stays, whichever it is"
    step = commands.install(
        f"torch<{bound}" if bound else "torch",
        *(["torchvision"] if bound else []),
        index_url=found.index_url,
        why="; ".join(
            part for part in (f"{why}: {stays}; where there is none it comes", reason, found.why, found.doubt) if part
        ),
        changes=f"adds torch, or an older one in place of {bound} and newer"
        if bound
        else "adds torch, where there is none",
        takes=found.takes,
    )
    return (step,)


def _next_minor(version: str) -> str:
    """Return the minor after that of a version: "2.9" for "2.8.0"."""
    major, minor = pair(version) or (0, 0)
    return f"{major}.{minor + 1}"


def _from_registry(facts: Facts, found: Choice | NoTorch) -> tuple[Fix, ...]:
    """Return the second way for a Linux without a GPU, where PyTorch's own index is out of reach: the registry's CUDA build computes on the CPU too."""
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
        why="where PyTorch's own index cannot be reached: PyPI's build holds CUDA as well, and computes on the CPU without a GPU",
        changes="adds torch and torchvision",
        takes="3 to 5 GB",
    )
    return (Fix(title="Install PyPI's larger build of torch", steps=(step,), verify=commands.check(facts)),)


def bare() -> tuple[str, ...]:
    """Return the requirement of any torch, for a step that only has to import one."""
    return ("torch",)


def by_pip(facts: Facts, why: str) -> tuple[Step, ...]:
    """Return the steps to the newest torch by pip, also where conda installed the one that is there; none where none fits."""
    found = choice(facts)
    return () if isinstance(found, NoTorch) else steps_of(facts, found, why, reinstall=True)


def release(
    facts: Facts, wanted: str, why: str, cuda: str | None = None, *, reinstall: bool = False
) -> tuple[Step, ...]:
    """Return the steps to one release of torch, which another package asks for: "2.5.1", with its torchvision where one is there.

    `reinstall`: also where that release is there, because its build is another.
    """
    found = torch_choice.choose_release(machine_of(facts), wanted, cuda)
    if isinstance(found, NoTorch):
        return (commands.by_hand((), found.words, "torch and torchvision", elsewhere=found.elsewhere),)
    return steps_of(facts, found, why, reinstall=reinstall)


def for_flash_attn(facts: Facts, why: str, release: str | None = None) -> tuple[Step, ...]:
    """Return the steps to the newest torch with which flash-attn, or this release of it, can be installed here, where none is there yet."""
    found, reason = _for_flash_attn(facts, release)
    if isinstance(found, NoTorch):
        return newest_steps(facts, why)
    return steps_of(facts, found, f"{why}; {reason}" if reason else why)


def _for_flash_attn(facts: Facts, release: str | None = None) -> tuple[Choice | NoTorch, str | None]:
    """Return the torch for flash-attn, and the reason where it is not the newest of this machine.

    That is one of which its releases have a finished wheel for this Python, else one whose headers its setup can compile: not the
    newest torch, as flash-attn follows it by months.
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
    """Return the steps to a build of this release for the GPU: "2.5.1"; none where the machine is known to run no such build."""
    found = torch_choice.choose_release(machine_of(facts), wanted)
    if isinstance(found, NoTorch) or found.cuda is None or found.torch != wanted:
        return ()
    return steps_of(facts, found, why, reinstall=True)


def for_toolkit(facts: Facts, nvcc: str) -> tuple[Step, ...]:
    """Return the steps to the same release of torch, built for the CUDA major of a toolkit; none where this machine runs no such build."""
    version, major = text(facts.torch.version), (pair(nvcc) or (0, 0))[0]
    rows = sorted(
        (
            row
            for row in torch_choice.fitting_builds(_with_gpu(facts))
            if version and pair(row.torch) == pair(version) and (pair(row.cuda) or (1, 0))[0] == major
        ),
        key=lambda row: row.cuda != nvcc,
    )
    if version is None or not rows:
        return ()
    bare, cuda = version.partition("+")[0], rows[0].cuda
    return release(
        facts, bare, f"the same torch, for the CUDA {major} of the toolkit; extensions have to be built again", cuda
    )


def _with_gpu(facts: Facts) -> Machine:
    """Return the machine of somebody who compiles for CUDA: with an NVIDIA GPU, where none is known."""
    machine = machine_of(facts)
    return msgspec.structs.replace(machine, maker="nvidia") if machine.maker in ("none", "unknown") else machine


def for_old_toolkit(facts: Facts, nvcc: str) -> tuple[Step, ...]:
    """Return the step to the last torch 1 for the CUDA of an old toolkit, where an old Python runs it; none elsewhere."""
    found = old_torch.for_toolkit(nvcc, machine_of(facts))
    return old_torch_steps.steps(facts, found) if found else ()


def for_cuda_major(facts: Facts, major: int, nvcc: str | None = None) -> tuple[Step, ...]:
    """Return the steps to the newest torch for a CUDA major, where the torch there is not known; none where no build is.

    `nvcc`: the release of the toolkit; a torch of this very CUDA stands first.
    """
    rows = [r for r in torch_choice.fitting_builds(_with_gpu(facts)) if (pair(r.cuda) or (0, 0))[0] == major]
    rows.sort(key=lambda row: row.cuda != nvcc)
    latest = pytorch.release(rows[0].torch) if rows else Unknown("")
    if isinstance(latest, Unknown):
        return ()
    why = f"for CUDA {major}, as the toolkit that is here"
    machine = machine_of(facts)
    found = torch_choice.choose_release(machine, latest.latest, rows[0].cuda)
    if isinstance(found, Choice) and machine.python is None:
        found = msgspec.structs.replace(found, pinned=False)
    if isinstance(found, NoTorch):
        return ()
    # A newer one for another CUDA may be there, which an installer would keep.
    return steps_of(facts, found, why, reinstall=nvcc is not None or not found.pinned)


def fresh_runtime(facts: Facts) -> tuple[Fix, ...]:
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
