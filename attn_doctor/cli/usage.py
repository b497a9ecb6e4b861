"""Answer a wrong command line with one sentence about the mistake, and with the line to type instead.

argparse prints the whole usage and its own words. Here an error is two lines, and a word that is nearly right is corrected:

    attn-doctor check: error: there is no option --jsn: did you mean --json?
      attn-doctor check --json report.json
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

# A line that works, for each command that needs more than its name.
EXAMPLES = {
    "compare": "before.json after.json",
    "completion": "bash",
    "diagnose": "build.log",
    "explain": "numpy-abi",
    "fix": "--suggest",
    "fleet": "reports/",
    "inspect": "flash_attn-2.8.3-cp312-cp312-linux_x86_64.whl",
    "matrix": "laptop.json server.json",
    "reproduce": "numpy-abi",
    "run": "-- yolo detect train model=yolo12n.yaml data=coco8.yaml",
    "show": "report.json",
    "study": "--demo",
}
# Words that other tools use, or that say the wish: no spelling is near to the command.
OTHER_WORDS = {
    "apply": "fix --apply",
    "bench": "trial",
    "benchmark": "trial",
    "cluster": "fleet reports/",
    "collect-env": "check",
    "collect_env": "check",
    "checks": "check",
    "diff": "compare",
    "doctor": "check",
    "env": "check",
    "examine": "check",
    "info": "check",
    "install": "fix --suggest",
    "nodes": "fleet reports/",
    "log": "diagnose build.log",
    "repair": "fix --suggest",
    "report": "check --json report.json",
    "scan": "check",
    "search": "explain",
    "suggest": "fix --suggest",
    "train": "run -- yolo train",
    "tune": "trial --tune",
    "undo": "fix --undo",
    "version": "--version",
    "whl": "wheels",
}
# Arguments that a command does not take, by the end of the file's name, and the command that takes them.
_BY_ENDING = {
    ".json": "show",
    ".whl": "inspect",
    ".so": "inspect",
    ".pyd": "inspect",
    ".pt": "check --model",
    ".yaml": "check --model",
    ".log": "diagnose",
    ".txt": "diagnose",
    ".toml": "diagnose",
}


def near(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` probably means; None if no word is similar. Upper and lower case are the same."""
    import difflib

    by_lower = {one.lower(): one for one in known}
    lower = word.lower()
    if lower in by_lower:
        return by_lower[lower]
    found = difflib.get_close_matches(lower, by_lower, 1)
    return by_lower[found[0]] if found else None


class Parser(argparse.ArgumentParser):
    """Parse a command line. If it is wrong, end with exit code 2, one sentence and a line to type.

    Each command has a parser of this class.
    """

    _typed: Sequence[str] = ()
    siblings: Mapping[str, Parser] = {}  # all commands by name; never changed

    @property
    def options(self) -> Mapping[str, argparse.Action]:
        """Return every option by its names, such as "--json"."""
        return self._option_string_actions

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        arguments, extra = self.parse_known_args(args, namespace)
        if extra:
            command = self.siblings.get(getattr(arguments, "command", None) or "", self)
            command.refuse_extra(extra[0])
        return arguments

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        self._typed = words
        self._check_options(words)
        return super().parse_known_args(words, namespace)

    def refuse(self, sentence: str, line: str | None = None) -> NoReturn:
        """Print a sentence and a line to type, and end with exit code 2.

        `line`: the words to type after "attn-doctor"; None: an example or the help of this command.
        """
        from attn_doctor.cli.output import own_name
        from attn_doctor.system.printable import printable

        if line is None:
            name = self.prog.partition(" ")[2]
            line = f"{name} {EXAMPLES[name]}" if name in EXAMPLES else f"help {name}".rstrip()
        program = own_name() if sys.stderr.isatty() else "attn-doctor"
        self.exit(2, f"{self.prog}: error: {printable(sentence)}\n  {program} {printable(line)}\n")

    def error(self, message: str) -> NoReturn:
        self.refuse(message.removeprefix("argument COMMAND: "))

    def refuse_extra(self, word: str) -> NoReturn:
        """End with exit code 2, because the command accepts no such word."""
        if word.startswith("-"):
            self._refuse_option(word, self._typed.index(word) if word in self._typed else None)
        sentence = f"{word!r} is one argument too many"
        ending = Path(word).suffix.lower()
        if os.path.exists(word) and ending in _BY_ENDING:
            self.refuse(sentence, _line([*_BY_ENDING[ending].split(), word]))
        self.refuse(sentence, f"help {self.prog.partition(' ')[2]}")

    def _check_options(self, words: Sequence[str]) -> None:
        """Refuse an option that does not exist. argparse would first complain about an argument that only this option could have given."""
        ends_options = any(action.nargs in (argparse.PARSER, argparse.REMAINDER) for action in self._actions)
        values = 0.0  # so many words after this one can be values of the option before them
        for place, word in enumerate(words):
            if word == "--":
                return
            if word.startswith("-") and len(word) > 1 and " " not in word and not _is_number(word):
                action = self._option(word)
                if action is None:
                    self._refuse_option(word, place)
                values = 0.0 if "=" in word else _values(action)
            elif values > 0:
                values -= 1
            elif ends_options:
                return

    def _option(self, word: str) -> argparse.Action | None:
        """Return the option that a word names, in full or by its first letters; None if there is none."""
        options = self._option_string_actions
        name = word.partition("=")[0]
        if name in options:
            return options[name]
        if word.startswith("--"):
            return next((action for option, action in options.items() if option.startswith(name)), None)
        return options.get(word[:2])  # -qv, or -n5

    def _refuse_option(self, word: str, place: int | None) -> NoReturn:
        name, equals, value = word.partition("=")
        words = list(self._typed)
        having = [command for command, other in self.siblings.items() if name in other.options]
        later = [one for one in words[(place or 0) + 1 :] if one in having]
        if place is not None and later and " " not in self.prog:  # before the command
            words.remove(later[0])
            self.refuse(
                f"{name} is an option of `attn-doctor {later[0]}`: it comes after it", _line([later[0], *words])
            )
        right = near(f"--{name.lstrip('-')}", [option for option in self.options if option.startswith("--")])
        if right and not having:
            words = [right + equals + value if at == place else word for at, word in enumerate(words)]
            line = None if place is None else self._corrected(words)
            self.refuse(f"there is no option {name}: did you mean {right}?", line)
        where = f"; {_listed(having)} {'has' if len(having) == 1 else 'have'} it" if having else ""
        self.refuse(f"there is no option {name}{where}", f"help {self.prog.partition(' ')[2]}".rstrip())

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = [] if action.choices is None else [str(choice) for choice in action.choices]
        if not choices or value in choices:
            super()._check_value(action, value)
            return
        if isinstance(action, argparse._SubParsersAction) or action.metavar == "COMMAND":  # noqa: SLF001
            self._refuse_command(str(value), choices)
        name = action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)
        right = near(str(value), choices)
        sentence = f"{name} is {_listed(choices, 'or')}, not {value!r}"
        words = [right or choices[0] if word == value else word for word in self._typed]
        words = [f"{name}={right or choices[0]}" if word == f"{name}={value}" else word for word in words]
        self.refuse(sentence, self._corrected(words))

    def _refuse_command(self, value: str, choices: Sequence[str]) -> NoReturn:
        sentence = f"there is no command {value!r}"
        if value.lower() in OTHER_WORDS and OTHER_WORDS[value.lower()].split()[0] not in choices:
            self.refuse(sentence, OTHER_WORDS[value.lower()])
        right = OTHER_WORDS.get(value.lower()) or near(value, choices)
        if right:
            words = [value_or for word in self._typed for value_or in (right.split() if word == value else [word])]
            self.refuse(f"{sentence}: did you mean `attn-doctor {right}`?", self._corrected(words))
        if os.path.isfile(value):
            command = _BY_ENDING.get(Path(value).suffix.lower(), "diagnose")
            self.refuse(f"{sentence}, but a file of this name", _line([*command.split(), value]))
        from attn_doctor.failure_modes import UnknownName, find

        try:
            self.refuse(f"{sentence}: it is a failure mode", f"explain {find(value).MODE.slug}")
        except UnknownName:
            self.refuse(sentence, "help")

    def _corrected(self, words: Sequence[str]) -> str:
        """Return the complete line after "attn-doctor", with these words instead of the typed ones."""
        return _line([*self.prog.split()[1:], *words])


def _values(action: argparse.Action | None) -> float:
    """Return the largest number of words that an option takes."""
    nargs = action.nargs if action else 0
    if nargs is None or nargs == argparse.OPTIONAL:
        return 1
    return nargs if isinstance(nargs, int) else float("inf")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _listed(names: Sequence[str], last: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def _line(words: Sequence[str]) -> str:
    from attn_doctor.commands.shells import quoted
    from attn_doctor.system import platforms

    return quoted(tuple(words), "windows" if platforms.WINDOWS else "bash")
