"""Read the words in which conda, mamba and pixi say that no channel has a package that another one needs, and name the channel. Pure.

PyTorch's own packages (pytorch-cuda) take CUDA's libraries from the channel nvidia: https://pytorch.org/get-started/previous-versions/. conda-forge has its own builds of
both, and a virtual package __cuda stands for the driver: https://pixi.prefix.dev/latest/python/pytorch, https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-virtual.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

_OF_PYTORCH = ("pytorch", "torchvision", "torchaudio", "pytorch-mutex")
_NAMES = (
    r"__cuda|pytorch-cuda|pytorch-mutex|pytorch|torchvision|torchaudio|cudatoolkit|cuda(?:-[a-z][\w-]{0,40})?|"
    r"(?:lib)?(?:cublas|cufft|cufile|curand|cusolver|cusparse|cudnn|npp|nvjitlink|nvjpeg|nvrtc|cupti|nccl)(?:-dev)?"
)
_SPEC = r"(?: [\w<>=!~*.,|+-]{1,80}){0,3}?"

SIGNS = (
    Sign(
        pattern=r"(?P<pixi>failed to solve (?:the )?(?:conda |pypi )?(?:requirements|environment)\b)",
        literal="failed to solve ",
        sample="  × failed to solve the conda requirements of 'default' 'linux-64'",
    ),
    Sign(
        pattern=r"(?P<pixi>Cannot solve the request because of: )",
        literal="Cannot solve the request because of",
        sample="  ╰─▶ Cannot solve the request because of: torchvision >=0.19.1 cannot be installed",
    ),
    # https://github.com/prefix-dev/pixi/blob/main/crates/pixi_core/src/workspace/virtual_packages.rs: the project declares CUDA.
    Sign(
        pattern=r"(?P<declared>Virtual package) '(?P<none>__cuda)' does not match any of the available virtual packages",
        literal="Virtual package '__cuda'",
        sample="    ╰─▶ Virtual package '__cuda' does not match any of the available virtual packages on your machine: [__unix=0=0]",
    ),
    Sign(
        pattern=rf"(?:─ |requires? |^)(?P<none>{_NAMES}){_SPEC} ?,? for which no candidates",
        literal=" for which no candidates",
        sample="│  └─ libcublas >=12.1.0.26,<12.1.3.1, for which no candidates were found.",
        strength="hint",
    ),
    Sign(
        pattern=rf"(?:─ |requires? |^)(?P<none>{_NAMES}){_SPEC} ?,? (?:which )?does not exist \(perhaps a (?:typo or a )?missing channel",
        literal=" does not exist (perhaps a ",
        sample="├─ pytorch does not exist (perhaps a typo or a missing channel);",
        strength="hint",
    ),
    Sign(
        pattern=rf"nothing provides (?:requested )?(?P<none>{_NAMES})(?![\w-])",
        literal="nothing provides ",
        sample="  - nothing provides __cuda needed by pytorch-2.10.0-cuda130_generic_py312_hd2d43f0_205",
    ),
)


class NoChannel(Variant, frozen=True, kw_only=True):
    """Hold the package that no channel has: "libcublas", "pytorch", "__cuda". `pixi`: pixi solves, and writes channels into the project's file."""

    name: str
    pixi: bool


class OfPixi(Variant, frozen=True, kw_only=True):
    """Mark a conflict of pixi that no missing channel explains."""


def told(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for a package that no channel has, or for another conflict of pixi; None for other logs."""
    absent = [m for m in seen.matches if m.groups.get("none")]
    names = [m.groups["none"] for m in absent]
    pixi = seen.group("pixi") is not None
    name = next((n for n in names if n == "__cuda"), None) or next((n for n in names if n not in _OF_PYTORCH), None)
    name = name or (names[0] if names else None)
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if name is None:
        if not pixi:
            return None
        message = "pixi found no releases that fit each other and that the channels of the project have."
        return Hit(message=message, evidence=building.lines(proofs), variant=OfPixi())
    lines = building.lines([*[m for m in absent if m.groups["none"] == name], *proofs])
    if name == "__cuda":
        declared = seen.group("declared") is not None
        tool = "pixi" if pixi or declared else "conda"
        message = f"A CUDA build was asked for, and {tool} sees no NVIDIA driver here (its virtual package __cuda): on a computer without a GPU, in the build of an image or on a login node."
    elif facts.system.os == "darwin":
        message = f"No channel has {name} for macOS: there is no CUDA for it."
    elif name in _OF_PYTORCH:
        message = f"None of the channels has {name} in that version: the channel pytorch is missing, or the version is of another channel."
    else:
        message = f"None of the channels has {name}, which a CUDA build of PyTorch needs: the channel nvidia is missing, or stands behind conda-forge, whose priority then hides it."
    return Hit(message=message, evidence=lines, variant=NoChannel(name=name, pixi=pixi))


def fixes(facts: Facts, found: NoChannel | OfPixi) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if isinstance(found, OfPixi) or found.pixi:
        return _of_pixi(facts, found)
    if facts.system.os == "darwin":
        return torch_steps.newest(facts, "Install torch for the Mac by pip, without CUDA")
    if found.name == "__cuda":
        # https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-virtual.html#overriding-detected-packages
        there = commands.variable(
            "CONDA_OVERRIDE_CUDA", "12.8", "conda and pixi then solve as if a driver for CUDA 12.8 were there; the program still needs a GPU where it runs. Then repeat the command in this shell"
        )  # fmt: skip
        return (Fix(title="Let conda solve for a GPU that is not here", steps=(there,), verify=verify),)
    channels = commands.by_hand(
        (),
        "repeat your command with these channels, in this order: `-c pytorch -c nvidia -c conda-forge`; in an environment file: pytorch, nvidia and conda-forge below `channels:`. "
        "PyTorch's own channel ends with torch 2.5",
        "packages of conda",
        "none",
    )
    named = Fix(title="Name the channels pytorch and nvidia", steps=(channels,), verify=verify)
    return (named, *torch_steps.newest(facts, "Take torch from pip"))


def _of_pixi(facts: Facts, found: NoChannel | OfPixi) -> tuple[Fix, ...]:
    """Return the fixes for a project of pixi.

    If the package that was not found is known, the first fix is about it: declare CUDA in pixi.toml ("__cuda"), or add the channel that has
    the package (not on macOS). Two fixes follow always: take PyTorch from conda-forge alone, or from PyPI.

    https://pixi.prefix.dev/latest/python/pytorch
    """
    verify, name = commands.check(facts), found.name if isinstance(found, NoChannel) else None
    again = commands.by_hand(("pixi", "install"), "solves again", "the environment of this project", takes="up to 3 GB")
    made: list[Fix] = []
    if name == "__cuda":
        words = 'say in pixi.toml that the machine has CUDA: `[system-requirements]` with `cuda = "12"`; in pixi 0.71 and newer: `platforms = [{ platform = "linux-64", cuda = "12.0" }]`'
        declared = commands.by_hand((), words, "the project's file", "none")
        made.append(Fix(title="Declare CUDA in the project", steps=(declared, again), verify=verify))
    elif name is not None and facts.system.os != "darwin":
        channel = "pytorch" if name in _OF_PYTORCH else "nvidia"
        # https://pixi.prefix.dev/v0.51.0/reference/cli/pixi/workspace/channel/add (--prepend)
        add = commands.by_hand(
            ("pixi", "workspace", "channel", "add", "--prepend", channel),
            f"adds the channel {channel} before conda-forge, whose priority would hide it; older releases of pixi call it `pixi project channel add`",
            "the project's file",
        )
        made.append(Fix(title=f"Add the channel {channel}", steps=(add, again), verify=verify))
    forge = commands.by_hand(
        (),
        "take all from conda-forge, whose builds fit each other: only conda-forge below `channels`, pytorch-gpu (or pytorch-cpu) and torchvision without versions below `dependencies`",
        "the project's file",
        "none",
    )
    both = torch_steps.bare("torchvision")
    wheels = commands.by_hand(
        ("pixi", "add", "--pypi", *both),
        "the wheels of PyPI; first remove pytorch and torchvision of the channels: `pixi remove pytorch torchvision`",
        "the project's file",
        takes="up to 3 GB",
    )
    made.append(Fix(title="Take PyTorch from conda-forge alone", steps=(forge, again), verify=verify))
    made.append(Fix(title="Take PyTorch from PyPI", steps=(wheels,), verify=verify))
    return tuple(made)
