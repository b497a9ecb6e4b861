"""Recognise who sets LD_LIBRARY_PATH where `unset` in the shell does not reach it: a cell of a notebook, a script that asks root; and a torch compiled here. Pure."""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step

SetBy = Literal["cell", "root", "compiled here", "debugger"]

SIGNS = (
    Sign(
        pattern=r"(?P<cell>os\.environ\[['\"]LD_LIBRARY_PATH['\"]\]\s*\+?=|^%(?:set_)?env LD_LIBRARY_PATH)",
        literal="LD_LIBRARY_PATH",
        sample="os.environ['LD_LIBRARY_PATH'] = '/usr/local/cuda/lib64'",
        strength="context",
    ),
    # The start script of kohya_ss (gui.sh) takes the value of root's own shell: export LD_LIBRARY_PATH=$(sudo -i printenv LD_LIBRARY_PATH)
    Sign(
        pattern=r"(?P<root>sudo command resets the non-essential environment variables, we keep the LD_LIBRARY_PATH)",
        literal="we keep the LD_LIBRARY_PATH",
        sample="The sudo command resets the non-essential environment variables, we keep the LD_LIBRARY_PATH variable.",
        strength="context",
    ),
    # VS Code's debugger starts the program, in a terminal of its own. https://code.visualstudio.com/docs/python/debugging#_env
    Sign(
        pattern=r"^(?P<debugger>Exception has occurred): ",
        literal="Exception has occurred: ",
        sample="Exception has occurred: RuntimeError",
        strength="context",
    ),
    # The configuration of torch's own build.
    Sign(
        pattern=r"-- Found cuDNN: v[\d.]+ {1,3}\(include: \S{1,200}, library: (?P<built_with>/\S{1,200})/libcudnn",
        literal="Found cuDNN: v",
        sample="-- Found cuDNN: v7.4.1  (include: /usr/local/cuda/include, library: /usr/lib/x86_64-linux-gnu/libcudnn.so)",
        strength="context",
    ),
)


def of(seen: Seen) -> tuple[SetBy, str] | None:
    """Return who sets the variable, and the folder of cuDNN that torch was compiled with ("" in the other cases); None if no line shows it."""
    if (folder := seen.group("built_with")) is not None:
        return "compiled here", folder
    if seen.group("debugger") is not None:
        return "debugger", ""
    return ("cell", "") if seen.group("cell") else ("root", "") if seen.group("root") else None


def in_notebooks(facts: Facts) -> tuple[Step, ...]:
    """Return the step that a notebook needs besides: its Python has read the variable already. Empty outside of notebooks."""
    if commands.shell_of(facts) != "notebook":
        return ()
    words = (
        "this reaches only programs that the notebook starts (!python ...). For the notebook itself: stop Jupyter, run `unset LD_LIBRARY_PATH` in the shell in which you start it, "
        "and start it again; a cell that sets the variable has to go"
    )
    return (commands.by_hand((), words, "the notebook", "none"),)


def fixes(facts: Facts, by: SetBy, folder: str) -> tuple[Fix, ...]:
    """Return the fixes for this case.

    "cell": delete the line of the notebook's cell, and restart its Python. "root": start kohya_gui.py without its
    script, or delete root's line. "compiled here": put `folder`, the cuDNN that torch was compiled with, first in
    LD_LIBRARY_PATH.
    """
    verify = commands.check(facts)
    if by == "cell":
        gone = commands.by_hand(
            (),
            "delete the line of the cell that sets LD_LIBRARY_PATH. The loader reads the variable when a Python starts: a change in a running notebook does nothing for it, and reaches only programs that it starts",
            "the notebook",
            "none",
        )
        where = {"colab": "Runtime > Restart session", "kaggle": "Run > Restart & clear cell outputs"}
        again = commands.by_hand(
            (),
            f"restart the notebook's Python ({where.get(str(places.hosted(facts)), 'Kernel > Restart')}), and import torch before anything else",
            "the variables of this session",
            "none",
        )
        return (Fix(title="Take LD_LIBRARY_PATH out of the notebook", steps=(gone, again), verify=verify),)
    if by == "root":
        past = commands.by_hand(
            ("env", "-u", "LD_LIBRARY_PATH", *commands.starting(facts), "kohya_gui.py"),
            "in the folder of the program: starts it without gui.sh, which sets the variable to the value that root's shell has; torch finds its own CUDA libraries",
            "this start",
            "none",
        )
        look = commands.by_hand(
            (
                "sudo",
                "grep",
                "-rn",
                "LD_LIBRARY_PATH",
                "/root/.bashrc",
                "/root/.profile",
                "/etc/profile.d",
                "/etc/environment",
            ),
            "prints the line that sets it for root: delete this line, and gui.sh works again",
            "nothing",
            "none",
        )
        return (
            Fix(title="Start the program without its script", steps=(past,), verify=verify),
            Fix(title="Take the variable away from root", steps=(look,), verify=verify),
        )
    if by == "debugger":
        launch = commands.by_hand(
            (),
            'in .vscode/launch.json (Run, Open Configurations), in the configuration that starts the program, add the line  "env": {"LD_LIBRARY_PATH": ""},  and start the debugger '
            "again: it has its own terminal, which `unset` in another one does not reach",
            ".vscode/launch.json",
            "none",
        )
        file = commands.by_hand(
            (
                "sh",
                "-c",
                "grep -n LD_LIBRARY_PATH ~/.bashrc ~/.profile ~/.zshrc /etc/environment /etc/profile.d/*.sh 2>/dev/null",
            ),
            "prints the line that sets it for every program: take the folders of CUDA and cuDNN out of it, and log in again",
            "nothing",
            "none",
        )
        title = "Let the debugger start the program without LD_LIBRARY_PATH"
        return (
            Fix(title=title, steps=(launch,), verify=verify),
            Fix(title="Take the folders out of the start file", steps=(file,), verify=verify),
        )
    first = commands.in_front(
        facts, "LD_LIBRARY_PATH", folder, "the cuDNN that this torch was compiled with, before any other"
    )
    look = commands.by_hand(
        (
            "sh",
            "-c",
            f"LD_DEBUG=libs {commands.quoted((*commands.starting(facts), '-c', 'import torch'))} 2>&1 | grep 'calling init.*cudnn'",
        ),
        f"prints the cuDNN that is loaded now: it has to be in {folder}. One of conda: conda remove --force cudnn",
        "nothing",
        "none",
    )
    return (Fix(title="Let torch load the cuDNN that it was compiled with", steps=(first, look), verify=verify),)
