"""Give the steps that write a whole build log into a file and have attn-doctor read it, in the words of the place where it is typed. Pure."""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.shared import package_cures, subject
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Install, Step

FILE = "build.log"
_SAYS = f"{FILE} then holds all that the compilers say"
# A command that any shell takes as it stands, with the word behind which pip and uv take an option.
_PLAIN = re.compile(r"(?P<before>[\w ./=@-]*\b(?:pip[\d.]*|uv) install|uv sync)(?P<after>[\w ./=@-]*)")
_LIMIT_OF_DOCKER = "docker shows the lines of a RUN on the host alone: --progress=plain shows all of them"


def written(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that repeat the build with its output in a file, and read that."""
    single = commands.variable("MAX_JOBS", "1", "one compiler at a time: the error stands where it happened")
    read = commands.by_hand(("attn-doctor", "diagnose", FILE), "finds the first cause in that file", "nothing")
    if places.container(facts) == places.BUILD:
        return (single, *_in_image(facts), read)
    return (single, _again(facts), read)


def _in_image(facts: Facts) -> tuple[Step, ...]:
    """Return the line of the Dockerfile, and the command of its host that keeps what it says.

    https://docs.docker.com/reference/cli/docker/buildx/build/#progress
    """
    made = package_cures.build(facts, "in the Dockerfile, in place of the line that failed", verbose=True, fresh=True)
    line = made
    if not isinstance(made, Install):
        words = "in the Dockerfile: add -v and --no-build-isolation to the line that installs the package"
        line = commands.by_hand((), words, "the Dockerfile", "none")
    whole = commands.by_hand(
        ("docker", "build", "--progress=plain", "."),
        f"on the host, with the options that you build the image with: {_LIMIT_OF_DOCKER}",
        "an image, where the build goes well",
        into=FILE,
    )
    return line, whole


def _again(facts: Facts) -> Step:
    made = package_cures.build(facts, _SAYS, verbose=True, fresh=True)
    folder = facts.subject.folder
    if isinstance(folder, str):
        where = Install(requirements=(folder,), why="", changes="", no_build_isolation=True, verbose=True)
        *before, path = commands.by_own_tool(facts, where).argv
        kept = ("-e",) if _editable(facts) else ()
        why = f"the sources there, built again: {_SAYS}; it may compile for hours"
        return commands.by_hand((*before, *kept, path), why, "adds the package", into=FILE)
    if isinstance(made, Install):
        return commands.by_hand(
            commands.by_own_tool(facts, made).argv, made.why, made.changes, takes=made.takes, into=FILE
        )
    command = facts.subject.command
    typed = _PLAIN.fullmatch(command.removeprefix("!").removeprefix("%")) if isinstance(command, str) else None
    if typed:
        words = (*typed["before"].split(), "-v", *typed["after"].split())
        return commands.by_hand(words, f"your command, with -v: {_SAYS}", "adds the packages", into=FILE)
    unnamed = Install(
        requirements=("PACKAGE",), why="", changes="", no_build_isolation=True, no_cache=True, verbose=True
    )
    why = f"write what you installed in place of PACKAGE (in the folder of its sources: a dot): {_SAYS}; it may compile for hours"
    return commands.by_hand(commands.by_own_tool(facts, unnamed).argv, why, "adds the package", into=FILE)


_EDITABLE = re.compile(r"(?:^|\s)(?:-e|--editable|develop)(?:\s|$)")


def _editable(facts: Facts) -> bool:
    command = facts.subject.command
    return isinstance(command, str) and _EDITABLE.search(command) is not None


def newest_sources(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that build the newest sources of the package, where its compiler's error is known and its cause is not."""
    folder = facts.subject.folder
    if isinstance(folder, str):
        pull = commands.by_hand(("git", "-C", folder, "pull"), "a later commit may compile here", "the checkout", "low")
        return (pull, _built(facts, folder))
    name, asked = subject.package(facts), subject.requirement(facts)
    if name is None or asked is None:
        words = "search for the words of the error in the issues of the package that was built: a later commit of it may compile here"
        return (commands.by_hand((), words, "nothing", "none"),)
    return (package_cures.build(facts, f"the newest {name}, which may compile here", fresh=True),)


def _built(facts: Facts, folder: str) -> Step:
    step = Install(requirements=(folder,), why="", changes="", no_build_isolation=True)
    *before, path = commands.by_own_tool(facts, step).argv
    kept = ("-e",) if _editable(facts) else ()
    return commands.by_hand((*before, *kept, path), "it may compile for hours", "adds the package")
