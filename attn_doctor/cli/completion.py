"""`attn-doctor completion`: complete half-typed command lines in bash, zsh, fish and PowerShell, with argcomplete.

A shell runs attn-doctor for each TAB, with the variable _ARGCOMPLETE. The parser is made, argcomplete reads the line from the
environment, writes the words that can follow, and ends the process: nothing is examined. https://kislyuk.github.io/argcomplete/
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from typing import Any

SHELLS = ("bash", "zsh", "fish", "powershell")
_WHERE = {
    "bash": (
        "Keep this script where bash-completion looks for it, and open a new terminal:",
        "  mkdir -p ~/.local/share/bash-completion/completions",
        "  attn-doctor completion bash > ~/.local/share/bash-completion/completions/attn-doctor",
        "Without the package bash-completion, add this line to ~/.bashrc instead:",
        '  eval "$(attn-doctor completion bash)"',
    ),
    "zsh": (
        "Keep this script in a folder of $fpath, and open a new terminal:",
        "  mkdir -p ~/.zfunc && attn-doctor completion zsh > ~/.zfunc/_attn-doctor",
        "~/.zshrc needs these two lines, once, the first before any other compinit:",
        "  fpath=(~/.zfunc $fpath)",
        "  autoload -Uz compinit && compinit",
    ),
    "fish": (
        "Keep this script where fish looks for it:",
        "  mkdir -p ~/.config/fish/completions",
        "  attn-doctor completion fish > ~/.config/fish/completions/attn-doctor.fish",
    ),
    "powershell": (
        "Add this line to your profile (the file that $PROFILE names), and open a new terminal:",
        "  attn-doctor completion powershell | Out-String | Invoke-Expression",
    ),
}
Completer = Callable[..., Iterable[str]]


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "completion",
        help="print the script that completes command lines in a shell",
        description="Prints the script with which a shell completes attn-doctor's commands, options, backends, failure modes and GPUs. Its "
        "first lines say where to put it.",
        formatter_class=formatter,
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh, fish or powershell")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    import sys

    import argcomplete

    script = argcomplete.shellcode(["attn-doctor"], shell=arguments.shell)
    first, _, rest = script.lstrip("\n").partition("\n")
    where = "".join(f"# {line}\n" for line in _WHERE[arguments.shell])
    # zsh reads "#compdef" in the first line of a file only.
    sys.stdout.write(f"{first}\n{where}{rest}" if first.startswith("#compdef") else f"{where}{first}\n{rest}")
    return 0


def asked() -> bool:
    """Return whether a shell runs attn-doctor to get the words that can follow on its command line."""
    return "_ARGCOMPLETE" in os.environ


def complete(parser: argparse.ArgumentParser) -> None:
    """Write the words that can follow on the command line of the shell, and end this process."""
    import argcomplete
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    files, folders = FilesCompleter(), DirectoriesCompleter()
    by_metavar: dict[str, Completer] = {
        "FILE": files,
        "REPORT": files,
        "REPORT|FOLDER": files,
        "ENGINE": lambda **_: ("kubernetes", "ray", "slurm", "ssh:"),
        "BEFORE": files,
        "AFTER": files,
        "PYTHON": files,
        "URL|FILE": files,
        "-- COMMAND": files,
        "FOLDER": folders,
        "CC": _gpus,
        "CODE": _failure_modes,
        "CODE|SLUG": _failure_modes,
        "CODE|SLUG|WORDS": _failure_modes,
        "SLUG|CODE": _failure_modes,
    }
    by_name: dict[str, Completer] = {
        "attention": lambda **_: ("auto", *_backends()),
        "arms": _arms,
        "backend": _backends,
        "device": lambda **_: ("auto", "cpu", "cuda:0", "mps"),
        "model": _models,
        "without": _changes,
    }
    for action in _actions(parser):
        if action.choices is None:
            named = by_name.get(action.dest) or by_metavar.get(str(action.metavar), _nothing)
            action.completer = named  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, always_complete_options="long", default_completer=_nothing)


def _actions(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action


def _nothing(**_: object) -> tuple[str, ...]:
    return ()


def _backends(**_: object) -> tuple[str, ...]:
    from attn_doctor.trials.backends import ALL

    return tuple(backend.name for backend in ALL)


def _arms(**_: object) -> tuple[str, ...]:
    from attn_doctor.study.training import trainable

    return trainable()


def _changes(**_: object) -> tuple[str, ...]:
    from attn_doctor.prescription.changes.table import CHANGES

    return tuple(CHANGES)


def _models(prefix: str, **_: object) -> list[str]:
    """Return the models with attention that ultralytics has, and the weights and YAML files of the folder that is being typed."""
    from argcomplete.completers import FilesCompleter

    sizes = [f"{family}{size}.yaml" for family in ("yolo12", "yolo11", "yolo26") for size in "nsmlx"]
    return [*sizes, *FilesCompleter(allowednames=("pt", "yaml", "yml"))(prefix)]


def _failure_modes(prefix: str, **_: object) -> dict[str, str]:
    """Return the slugs with their titles.

    The codes are added only after a code is begun, so that the list does not fill the screen.
    """
    from attn_doctor.failure_modes import ALL

    codes = prefix[:1].upper() == "A" and prefix[1:2].upper() in ("", "D")
    found = {m.MODE.slug: m.MODE.title for m in ALL}
    return found | {m.MODE.code: m.MODE.title for m in ALL} if codes and prefix else found


def _gpus(**_: object) -> list[str]:
    """Return the compute capabilities and names of NVIDIA's GPUs that `--gpu` accepts, each as one word."""
    from attn_doctor.judging.stated_gpu import accepted

    return accepted()
