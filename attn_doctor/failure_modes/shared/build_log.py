"""Make the steps that repeat a build with its complete log in a file, and let attn-doctor read the file. Pure.

The commands are written for a shell, or, in `docker build`, for the Dockerfile and its host.
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.shared import checkout, package_cures, subject
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Install, Step

FILE = "build.log"
_SAYS = f"{FILE} then contains all messages of the compilers"
# A command that needs no quoting in any shell. `before` ends with the word after which pip and uv accept an option.
_PLAIN = re.compile(r"(?P<before>[\w ./=@-]*\b(?:pip[\d.]*|uv) install|uv sync)(?P<after>[\w ./=@-]*)")
_LIMIT_OF_DOCKER = (
    "docker prints the output of a RUN line only on the host, and the whole output only with --progress=plain"
)


def written(facts: Facts) -> tuple[Step, ...]:
    """Return two steps: one repeats the build with its output in a file, the other lets attn-doctor read that file."""
    single = commands.variable(
        "MAX_JOBS", "1", "one compiler at a time, so that no other output is mixed with the error"
    )
    read = commands.by_hand(("attn-doctor", "diagnose", FILE), "finds the first cause in that file", "nothing")
    if places.container(facts) == places.BUILD:
        return (single, *_in_image(facts), read)
    return (single, _again(facts), read)


def _in_image(facts: Facts) -> tuple[Step, ...]:
    """Return the line for the Dockerfile, and the command for the host that writes the output into a file.

    https://docs.docker.com/reference/cli/docker/buildx/build/#progress
    """
    made = package_cures.build(facts, "in the Dockerfile, instead of the line that failed", verbose=True, fresh=True)
    line = made
    if not isinstance(made, Install):
        words = "in the Dockerfile: add -v and --no-build-isolation to the line that installs the package"
        line = commands.by_hand((), words, "the Dockerfile", "none")
    whole = commands.by_hand(
        ("docker", "build", "--progress=plain", "."),
        f"run this on the host, with the same options as your docker build: {_LIMIT_OF_DOCKER}",
        "a container image, if the build succeeds",
        into=FILE,
    )
    return line, whole


def _again(facts: Facts) -> Step:
    """Return the step that repeats the build and writes its whole output into a file. A name is asked for if none is known."""
    made = package_cures.build(facts, _SAYS, verbose=True, fresh=True)
    folder = facts.subject.folder
    if isinstance(folder, str):
        where = Install(requirements=(folder,), why="", changes="", no_build_isolation=True, verbose=True)
        *before, path = commands.by_own_tool(facts, where).argv
        kept = ("-e",) if _editable(facts) else ()
        why = f"builds the sources in that folder again: {_SAYS}; compiling may take hours"
        return commands.by_hand((*before, *kept, path), why, "adds the package", into=FILE)
    if isinstance(made, Install):
        return commands.by_hand(
            commands.by_own_tool(facts, made).argv, made.why, made.changes, takes=made.takes, into=FILE
        )
    if (script := checkout.script(facts)) is not None:
        return commands.by_hand(script, f"your command, in the same folder: {_SAYS}", "adds the package", into=FILE)
    command = facts.subject.command
    typed = _PLAIN.fullmatch(command.removeprefix("!").removeprefix("%")) if isinstance(command, str) else None
    if typed:
        words = (*typed["before"].split(), "-v", *typed["after"].split())
        return commands.by_hand(words, f"your command, with -v: {_SAYS}", "adds the packages", into=FILE)
    repeat = f"repeat your command with -v after the word install, and write  > {FILE} 2>&1  at its end: {_SAYS}; compiling may take hours"
    return commands.by_hand((), repeat, "adds the package", takes="hours")


_EDITABLE = re.compile(r"(?:^|\s)(?:-e|--editable|develop)(?:\s|$)")


def _editable(facts: Facts) -> bool:
    command = facts.subject.command
    return isinstance(command, str) and _EDITABLE.search(command) is not None


def newest_sources(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that build the newest sources of the package. For a compiler error whose cause is not known.

    If a log names no package, the only step is a text.
    """
    folder = facts.subject.folder
    if isinstance(folder, str):
        pull = commands.by_hand(
            ("git", "-C", folder, "pull"), "gets newer sources, which may compile here", "the checkout", "low"
        )
        return (pull, _built(facts, folder))
    script = checkout.script(facts)
    if script is not None:
        pull = commands.by_hand(
            ("git", "pull"), "in the folder of the sources: newer ones, which may compile here", "the checkout", "low"
        )
        return (pull, commands.by_hand(script, "then your command again", "adds the package"))
    name, asked = subject.package(facts), subject.requirement(facts)
    if name is None or asked is None:
        words = "search for the text of the error in the issues of the package that was built: a newer commit of the package may compile here"
        return (commands.by_hand((), words, "nothing", "none"),)
    return (package_cures.build(facts, f"the newest {name}, which may compile here", fresh=True),)


def _built(facts: Facts, folder: str) -> Step:
    step = Install(requirements=(folder,), why="", changes="", no_build_isolation=True)
    *before, path = commands.by_own_tool(facts, step).argv
    kept = ("-e",) if _editable(facts) else ()
    return commands.by_hand((*before, *kept, path), "it may compile for hours", "adds the package")
