"""Build the cures for a torchvision that was built for another torch: the one that belongs to this torch, or both together. Pure."""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Unsure, known
from attn_doctor.failure_modes.shared import torch_facts, torch_here, torch_steps, vision_of_any_torch
from attn_doctor.failure_modes.shared.fact_queries import version
from attn_doctor.knowledge import pytorch
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import local


def without_pips(facts: Facts) -> tuple[Step, ...]:
    """Return the step that removes pip's torchvision beside conda's torch: conda would install a second one over it."""
    found = torch_facts.distribution(facts, "torchvision")
    if not torch_facts.of_conda(facts, "torch") or found is None or found.installer != "pip":
        return ()
    return (
        commands.uninstall("torchvision", why="pip installed it, and torch is conda's: the next line installs conda's"),
    )


def installed_models(facts: Facts) -> Fix:
    """Return the fix for sources of torchvision from torch.hub: the installed torchvision has the same models.

    https://docs.pytorch.org/vision/stable/models.html
    """
    words = (
        'in the program: write `torchvision.models.NAME(weights="DEFAULT")` in place of `torch.hub.load("pytorch/vision:...", "NAME", ...)`, with `import '
        "torchvision`: the installed torchvision has the same models, and fits the installed torch"
    )
    step = commands.by_hand((), words, "the program", "none")
    return Fix(title="Take the model from the installed torchvision", steps=(step,), verify=commands.check(facts))


def for_release(facts: Facts, torch: str) -> tuple[Fix, ...]:
    """Return the fixes if only the release of torch is known, not its build.

    Install the torchvision for it, or both packages together. `torch`: the release, "2.9". Raises Unsure if its
    torchvision is not known.
    """
    wanted = known(pytorch.torchvision_for(torch))
    step = torch_here.vision(facts, of=torch)
    first = (Fix(title=f"Install torchvision {wanted}", steps=(step,), verify=commands.check(facts)),) if step else ()
    return (*first, *together(facts))


def title(facts: Facts, wanted: str, torch: str) -> str:
    """Return the title of the fix that installs a torchvision.

    `wanted`: its release, "0.21.0". `torch`: the version of torch, "2.6.0+cu124". If the release is already installed,
    the title names the build, since only the build differs.
    """
    try:
        same = (version(facts, "torchvision") or "").partition("+")[0] == wanted
    except Unsure:
        same = False
    if not same:
        return f"Install torchvision {wanted}"
    build = build_in_words(local(torch)) or ("a CPU build" if facts.torch.cuda is None else None)
    return f"Install torchvision {wanted} again, {build or 'the build that belongs to this torch'}"


def kept(facts: Facts) -> Fix:
    """Return the fix that keeps torch, asks it for its release, and installs the torchvision for it."""
    steps = vision_of_any_torch.steps(facts) or torch_here.vision_of_the_torch_there(facts)
    return Fix(
        title="Keep the installed torch, and install the torchvision for it", steps=steps, verify=commands.check(facts)
    )


def together(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes that install torch and torchvision from one index."""
    return torch_steps.newest(
        facts,
        "Install torch and torchvision together",
        why="both in one command and from one index, so that they fit each other; packages that were compiled for the old torch have to be "
        "built again",
        reinstall=True,
    )


def build_in_words(flavour: str | None) -> str | None:
    """Return a build in words: "a build for CUDA 12.4" for "cu124", the local part of a version. Also for "cpu" and "rocm6.3"."""
    if flavour is None:
        return None
    if flavour == "cpu":
        return "a CPU build"
    cuda = re.fullmatch(r"cu(\d+)(\d)", flavour)
    return f"a build for CUDA {cuda[1]}.{cuda[2]}" if cuda else f"a build for {flavour}"
