"""Recognise a program that runs in an environment of its own, made by uvx, `uv tool` or pipx: it does not see the torch of other environments.

https://docs.astral.sh/uv/guides/tools/ (--with), https://pipx.pypa.io/stable/docs/ (inject), https://github.com/huggingface/kernels/issues/264.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign, Variant
from attn_doctor.failure_modes.shared import torch_install
from attn_doctor.failure_modes.shared.torch_facts import wants_gpu
from attn_doctor.knowledge.torch_choice import Choice
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

_CHAIN = 100  # lines of a traceback at most
_HERE = r"[\\/]{1,2}"

SIGNS = (
    # The temporary environments of uvx are in uv's cache.
    Sign(
        pattern=rf"(?P<cached>{_HERE}archive-v\d{_HERE}[\w-]{{8,40}}{_HERE}(?:(?:bin|Scripts){_HERE}(?P<program>[\w.-]+?)(?:\.exe)?(?=[\"\\/])|[Ll]ib{_HERE}(?:python3[\w.]*{_HERE})?site-packages))",
        literal="archive-v",
        sample='  File "/home/user/.cache/uv/archive-v0/c3pZkBq2Yw1eTg9n/bin/kernels", line 10, in <module>',
        strength="context",
    ),
    Sign(
        pattern=rf"{_HERE}uv{_HERE}(?:data{_HERE})?tools{_HERE}(?P<uv_tool>[\w.-]+){_HERE}",
        literal="tools",
        sample='  File "/home/user/.local/share/uv/tools/kernels/lib/python3.12/site-packages/kernels/utils.py", line 4, in <module>',
        strength="context",
    ),
    Sign(
        pattern=rf"{_HERE}pipx{_HERE}venvs{_HERE}(?P<pipx_tool>[\w.-]+){_HERE}",
        literal="pipx",
        sample='  File "/home/user/.local/share/pipx/venvs/kernels/lib/python3.12/site-packages/kernels/utils.py", line 4, in <module>',
        strength="context",
    ),
    *(
        Sign(
            pattern=rf"(?:^|[$%#>] )(?P<typed>{words} \S.{{0,300}})$",
            literal=f"{words} ",
            sample=f"$ {words} kernels versions kernels-community/activation",
            strength="context",
        )
        for words in ("uvx", "uv tool run")
    ),
)


class OwnEnvironment(Variant, frozen=True, kw_only=True):
    """Hold the tool that made the environment, the program in it, and the line that started it."""

    made_by: Literal["uvx", "uv-tool", "pipx"]
    program: str  # "kernels"
    typed: str | None = None  # "uvx kernels versions kernels-community/activation"


def found(matches: Sequence[Match], failed: Match) -> OwnEnvironment | None:
    """Return the environment in which an import failed, by the frames above it; None if it is no environment of such a tool."""
    above = [m for m in matches if m.file == failed.file and 0 < failed.line - m.line <= _CHAIN]
    for match in reversed(above):
        if (name := match.groups.get("pipx_tool")) is not None:
            return OwnEnvironment(made_by="pipx", program=name)
        if (name := match.groups.get("uv_tool")) is not None:
            return OwnEnvironment(made_by="uv-tool", program=name)
        if match.groups.get("cached"):
            typed = next((m.groups["typed"] for m in reversed(above) if m.groups.get("typed")), None)
            name = next((m.groups["program"] for m in above if m.groups.get("program")), None)
            if name is None and typed is None:
                return None
            return OwnEnvironment(made_by="uvx", program=name or _program(typed or ""), typed=typed)
    return None


def _program(typed: str) -> str:
    """Return the program that a line of uvx starts: "kernels" for "uvx --python 3.12 kernels versions"."""
    words = re.sub(r"^(?:uvx|uv tool run) ", "", typed).split()
    options = ("--from", "--python", "-p", "--with", "--index")
    plain = [word for place, word in enumerate(words) if not word.startswith("-") and words[place - 1] not in options]
    return re.split(r"[@\[]", plain[0])[0] if plain else words[-1]


def fixes(facts: Facts, own: OwnEnvironment) -> tuple[Fix, ...]:
    """Return the fixes: add torch to the environment of the tool, or run the program in a uv project that has torch.

    The second only for uvx and `uv tool`.
    """
    choice = torch_install.choice(facts)
    # Where nothing is known of a GPU, PyPI's torch is right on Linux and macOS. On Windows it is a CPU build.
    certain = facts.system.os == "windows" or wants_gpu(facts)
    index = choice.index_url if isinstance(choice, Choice) and certain and facts.system.os != "darwin" else None
    if own.made_by == "pipx":
        argv = ("pipx", "inject", own.program, "torch", *(("--index-url", index) if index else ()))
        where = f"the environment that pipx made for {own.program}"
    elif own.made_by == "uv-tool":
        argv = ("uv", "tool", "install", "--with", "torch", *(("--index", index) if index else ()), own.program)
        where = f"the environment that uv made for {own.program}"
    else:
        line = own.typed or f"uvx {own.program}"
        rest = re.sub(r"^(?:uvx|uv tool run) ", "", line).split()
        argv = ("uvx", "--with", "torch", *(("--index", index) if index else ()), *rest)
        where = "the temporary environment that uvx makes"
    why = f"adds torch to {where}: it does not see the torch of another environment"
    step = commands.by_hand(argv, why, where, takes="minutes")
    project = commands.by_hand(
        (
            "uv",
            "run",
            "--with",
            own.program,
            *(own.typed.split()[1:] if own.typed and own.typed.startswith("uvx ") else (own.program,)),
        ),
        "in the folder of a uv project that has torch: runs the program in that environment, with the same torch",
        "nothing",
        "none",
    )
    title = f"Add torch to {where}"
    made = (Fix(title=title, steps=(step,), verify=argv if own.made_by == "uvx" else (own.program, "--help")),)
    return (
        made
        if own.made_by == "pipx"
        else (*made, Fix(title="Run it in a project that has torch", steps=(project,), verify=("uv", "pip", "list")))
    )
