"""Build the command that starts a container again with more options: the command that the user typed, or one for the image in the log. Pure.

https://docs.docker.com/reference/cli/docker/container/run/
"""

from __future__ import annotations

import re
import shlex

from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import RunByHand, Step

Argv = tuple[str, ...]
IMAGE = "IMAGE"  # stands for the container image if a log does not name it
_BY_SHELL = re.compile(r"\$|`|~/")  # what a shell replaces: such words are not put into quotes
_TYPED = re.compile(r"(?P<sudo>sudo )?(?P<program>docker|podman) run (?P<rest>.+)")
# The options that pass every GPU of the host into a container.
EVERY_GPU = {"docker": ("--gpus", "all"), "podman": ("--device", "nvidia.com/gpu=all")}
# The options by which a typed command passes a GPU into a container; --gpus 0, which passes none; and --gpus with any value.
_PASSES_A_GPU = re.compile(r"--gpus|--runtime[= ]nvidia|nvidia\.com/gpu|/dev/(?:nvidia|kfd|dri)")
_NO_GPU = re.compile(r"--gpus[= ]['\"]?0(?=['\" ])")
_GPUS = re.compile(r"--gpus(?:=|$)")


def image(facts: Facts) -> str:
    """Return the container image that the log names, or the word IMAGE if the log names no image."""
    return facts.subject.image if isinstance(facts.subject.image, str) else IMAGE


def start(facts: Facts, *options: str, program: str = "docker") -> Argv:
    """Return the command that starts the container with these options too.

    It is the typed command with the options added, if the log shows the whole command; else a new one: `program`
    ("docker", "podman") run, the options and the image.
    """
    for written in (facts.subject.started, facts.subject.command):
        typed = _typed(written)
        if typed is not None:
            words, rest = typed
            return _line(written, (*words, *options, *_without(rest, options)))
    return (program, "run", *options, image(facts))


def typed(facts: Facts) -> str | None:
    """Return the whole command that started the container, as it was typed: "sudo docker run -it trainer:latest bash". None if it is not known."""
    for written in (facts.subject.started, facts.subject.command):
        if isinstance(written, str) and _typed(written) is not None:
            return written
    return None


def again(facts: Facts) -> Argv | None:
    """Return the typed command itself, which makes a new container; None if it is not known."""
    written = typed(facts)
    return None if written is None else ("sh", "-c", written)


def look(facts: Facts, program: str = "docker") -> tuple[Step, ...]:
    """Return the step that prints the image of the running container, on its host. Empty if a log names the image."""
    if image(facts) != IMAGE:
        return ()
    why = "on the host: the columns IMAGE and COMMAND are what follows the options in the next line"
    return (RunByHand(argv=(program, "ps", "--no-trunc"), why=why, changes="nothing", risk="none"),)


def _line(written: object, argv: Argv) -> Argv:
    """Return the words of a command as they are; as a line for the shell if what was typed has to be read by a shell ("$PWD", "~")."""
    if not isinstance(written, str) or not _BY_SHELL.search(written):
        return argv
    return ("sh", "-c", " ".join(word if _BY_SHELL.search(word) else shlex.quote(word) for word in argv))


def _typed(command: object) -> tuple[Argv, Argv] | None:
    found = _TYPED.match(command) if isinstance(command, str) and "..." not in command else None
    if found is None:
        return None
    try:
        rest = tuple(shlex.split(found["rest"]))
    except ValueError:
        return None
    return ((*(("sudo",) if found["sudo"] else ()), found["program"], "run"), rest)


_RUN = re.compile(r"\b(?P<program>docker|podman) run\b")


def again_with(typed: str, option: str) -> Argv | None:
    """Return the typed command with one more option, as a line for the shell: its words may need the shell ("$PWD"). `option`: "--shm-size=8g".

    An option of the same name that was typed is left out. None if it is no `docker run`, or if it is cut ("...").
    """
    name = option.partition("=")[0]
    kept = re.sub(rf" {name}[= ]\S+", "", typed.strip())
    found = _RUN.search(kept)
    if found is None or "..." in kept:
        return None
    return ("sh", "-c", f"{kept[: found.end()]} {option}{kept[found.end() :]}")


def with_image(command: str | None, own: str, other: str) -> Argv:
    """Return the typed `docker run` with the image `other` in the place of `own`.

    `command`: as it was typed; None: not known. If it is no `docker run` or `podman run`, is cut by
    "...", or does not name `own`, a new `docker run` for a Jetson is returned (--runtime nvidia).
    """
    typed = _typed(command)
    if typed is None or own not in typed[1]:
        return ("docker", "run", "-it", "--rm", "--runtime", "nvidia", other)
    words, rest = typed
    return (*words, *(other if word == own else word for word in rest))


def _without(words: Argv, options: Argv) -> Argv:
    """Return the words of the command without these options, so that no option occurs twice."""
    pairs = {(one, options[place + 1] if place + 1 < len(options) else "") for place, one in enumerate(options)}
    kept, skip = list[str](), False
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else ""
        if skip:
            skip = False
        elif word.startswith("--") and (word, following) in pairs:
            skip = True
        elif not ("=" in word and word in options):
            kept.append(word)
    return tuple(kept)


def passes_a_gpu(typed: str) -> bool:
    """Return whether the typed command has an option that passes a GPU into the container, or asks for it."""
    return _PASSES_A_GPU.search(typed) is not None


def asks_for_no_gpu(typed: str) -> bool:
    """Return whether the typed command has `--gpus 0`, which passes no GPU: the number is a count."""
    return _NO_GPU.search(typed) is not None


def with_every_gpu(typed: str) -> Argv | None:
    """Return the typed command ("docker run IMAGE") with all GPUs added, as argv.

    None if it already has them, if it is cut ("..."), or if it cannot be split into words.
    """
    try:
        words = shlex.split(typed)
    except ValueError:
        return None
    root, words = (("sudo",), words[1:]) if words[0] == "sudo" else ((), words)
    kept, skip = list[str](), False
    for word in words[2:]:
        if skip:
            skip = False
        elif _GPUS.match(word):
            if word.removeprefix("--gpus=") == "all":
                return None
            skip = word == "--gpus"
        else:
            kept.append(word)
    if "--gpus all" in typed or "nvidia.com/gpu" in typed or "..." in typed:
        return None
    return _line(typed, (*root, *words[:2], *EVERY_GPU[words[0]], *kept))
