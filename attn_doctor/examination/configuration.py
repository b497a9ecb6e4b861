"""Find and read the configuration of a project: attn-doctor.toml, or [tool.attn-doctor] of pyproject.toml.

Only `check` reads it. docs/ci.md describes the settings. docs/security.md describes the effects that another person's file can
have.
"""

from __future__ import annotations

import datetime as dt
import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from attn_doctor.errors import NotExamined, Refused
from attn_doctor.model import foreign_text
from attn_doctor.model.acceptance import Exempt, FailOn
from attn_doctor.model.trials import TrialOptions
from attn_doctor.project_files import toml_files
from attn_doctor.system import files
from attn_doctor.trials.plan import BadRequest, check, is_model_name

VARIABLE = "ATTN_DOCTOR_CONFIG"  # a path, as --config; "off", as --no-config
OWN, SHARED = "attn-doctor.toml", "pyproject.toml"
_TABLE = "tool.attn-doctor"
_LARGEST = 1 << 20  # bytes
_Positive = Annotated[int, msgspec.Meta(ge=1)]


class Ignore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describe an exception in the file: a failure mode by code or slug, the reason, and the last day."""

    reason: str
    code: str | None = None
    slug: str | None = None
    until: dt.date | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Hold the settings of the file. None: the file does not have this setting."""

    goal: Literal["train", "flash-attn"] | None = None
    target: str | None = None
    fail_on: FailOn | None = None
    expect_gpus: Annotated[int, msgspec.Meta(ge=0)] | None = None
    baseline: str | None = None
    model: str | None = None
    imgsz: _Positive | None = None
    batch: _Positive | None = None
    device: str | None = None
    backend: tuple[str, ...] | None = None
    ignore: tuple[Ignore, ...] = ()


class Configuration(NamedTuple):
    """Hold a configuration that was read.

    `named`: the user named the file. A program that any other file names is started only if a person agrees. `text`: of the file.
    """

    path: Path
    settings: Settings
    exceptions: tuple[Exempt, ...]
    named: bool
    text: str = ""

    @property
    def shown(self) -> str:
        """Return the path as a reader should see it: relative, if the file is below the current folder."""
        return foreign_text.text(_shown(self.path))

    def at(self, key: str) -> str:
        """Return the line of a setting, for a message: "attn-doctor.toml line 3"."""
        return f"{self.shown} line {_line(self.text, self.path.name, key)}"

    def beside(self, path: str) -> str:
        """Return a path from the file as a path that can be opened: a relative path begins at the folder of the file."""
        return str(self.path.parent / os.path.expanduser(path))


class Refusal(NamedTuple):
    """Hold the reason why a file that was found is not used."""

    path: Path
    why: str


def configuration(
    named: str | None, *, off: bool, environ: Mapping[str, str], folder: Path | None
) -> Configuration | Refusal | None:
    """Return the configuration to use; None if there is none.

    The first that exists: the file of --config, the file of ATTN_DOCTOR_CONFIG, the nearest file in this folder and those above
    it. `off`: --no-config. `folder`: the current folder; None if it was deleted. Raises Refused, with file and line, for a file
    with a mistake. A file that another person could have put there is not used: the result is a Refusal.
    """
    told = named if named is not None else environ.get(VARIABLE) or None
    if off or (named is None and told == "off"):
        return None
    if told is not None:
        path = Path(told)
        found = _read(path, named=True)
        if found is None:
            raise Refused(f"{_shown(path)} has no [{_TABLE}]")
        return found
    for place in _upward(folder, environ):
        for name in (OWN, SHARED):
            path = place / name
            if os.path.isfile(path) and (found := _read(path, named=False)) is not None:
                why = _of_a_stranger(path)
                return Refusal(path, why) if why else found
    return None


def _upward(folder: Path | None, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the current folder and those above it, up to the root of the repository or to the home folder."""
    home = environ.get("HOME") or os.path.expanduser("~")
    for place in (folder, *folder.parents) if folder else ():
        yield place
        if os.path.exists(place / ".git") or str(place) == home.rstrip("/"):
            return


def _of_a_stranger(path: Path) -> str | None:
    """Return why a file that was found may be from another person; None if it is safe.

    A safe file belongs to this user or to root, and nobody else may write to it.
    """
    status = path.stat()
    if not files.is_own(status) and status.st_uid != 0:
        return "it belongs to another user"
    return "every user may write to it" if files.anyone_may_write(status) else None


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _read(path: Path, *, named: bool) -> Configuration | None:
    """Read a configuration file; None for a pyproject.toml without [tool.attn-doctor]."""
    name = foreign_text.text(_shown(path))
    try:
        raw = files.head(path, _LARGEST + 1)
    except OSError as error:
        raise Refused(f"{name} cannot be read: {error.strerror or error}") from error
    shared = path.name == SHARED
    if shared and not named and b"attn" not in raw:
        return None
    if len(raw) > _LARGEST:
        raise Refused(f"{name} is larger than {_LARGEST >> 20} MB: it is no configuration")
    try:
        text = raw.decode("utf-8-sig")
        document = toml_files.parse(text, name)
    except UnicodeDecodeError as error:
        raise Refused(f"{name} is not UTF-8 (byte {error.start})") from error
    except NotExamined as error:
        if shared and not named:
            return None  # other commands name a pyproject.toml that is wrong; it need not be our table
        raise Refused(str(error)) from error
    table = _own_table(document, name, text) if shared else document
    if table is None:
        return None
    settings = _settings(table, name, text, path.name)
    made = Configuration(path, settings, (), named, text)
    _check_trial(made)
    return made._replace(exceptions=tuple(_exceptions(made)))


def _own_table(document: Mapping[str, Any], name: str, text: str) -> Mapping[str, Any] | None:
    tools = document.get("tool")
    tools = tools if isinstance(tools, dict) else {}
    for key, value in tools.items():
        if key != "attn-doctor" and re.sub(r"[-_.]", "", key).lower() == "attndoctor":
            line = next((n for n, at in enumerate(text.splitlines(), 1) if key in at), 1)
            raise Refused(f"{name} line {line}: the table is called [{_TABLE}], not [tool.{key}]")
        if key == "attn-doctor" and not isinstance(value, dict):
            raise Refused(f"{name}: {_TABLE} is not a table")
    return tools.get("attn-doctor")


def _settings(table: Mapping[str, Any], name: str, text: str, file: str) -> Settings:
    """Return the settings of the TOML table `table`. Raises Refused for the first mistake."""
    known = tuple(field.encode_name for field in msgspec.structs.fields(Settings))
    for key in table:
        if key not in known:
            raise Refused(f"{name} line {_line(text, file, key)}: there is no setting {key!r}{_meant(key, known)}")
    entries = table.get("ignore")
    of_ignore = tuple(field.encode_name for field in msgspec.structs.fields(Ignore))
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        for key in entry if isinstance(entry, dict) else ():
            if key not in of_ignore:
                place = _line(text, file, f"ignore[{number}]", key)
                raise Refused(f"{name} line {place}: ignore has no {key!r}{_meant(key, of_ignore)}")
    if isinstance(table.get("backend"), str):
        table = {**table, "backend": [table["backend"]]}
    try:
        return msgspec.convert(foreign_text.plain(dict(table)), Settings)
    except msgspec.ValidationError as error:
        raise Refused(_plain(str(error), table, name, text, file)) from error


_KINDS = {
    "int": "a whole number",
    "str": "a text",
    "array": "a list",
    "object": "a table",
    "bool": "true or false",
    "float": "a number with a fraction",
    "date": "a date such as 2027-01-31",
    "datetime": "a date with a time",
    "null": "nothing",
}
_CHOICES = {"goal": ("train", "flash-attn"), "fail-on": ("error", "warning", "never")}


def _plain(error: str, table: Mapping[str, Any], name: str, text: str, file: str) -> str:
    """Return msgspec's message about a wrong value in our words: file, line, setting, allowed values."""
    said, _, path = error.partition(" - at `$.")
    path = path.rstrip("`")
    last = path.rpartition(".")[2]
    place = f"{name} line {_line(text, file, path, last)}"
    missing = re.search(r"missing required field `(\w+)`", said)
    if missing:
        return f"{place}: an entry of ignore needs a {missing[1]}"
    value = table.get(path)
    if path in _CHOICES and isinstance(value, str):
        return f"{place}: {path} is {value!r}, and must be one of {', '.join(_CHOICES[path])}{_meant(value, _CHOICES[path])}"
    limit = re.search(r"`int` >= (\d+)", said)
    if limit:
        return f"{place}: {path} is {value}, and must be at least {limit[1]}"
    if "date" in said:
        said = "`date`"
    kinds = re.findall(r"`([\w| ]+)`", said)
    wanted = _KINDS.get(kinds[0].partition(" |")[0], kinds[0]) if kinds else "another value"
    got = f", not {_KINDS.get(kinds[1], kinds[1])}" if len(kinds) > 1 else ""
    return f"{place}: {path} must be {wanted}{got}"


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word.lower().replace("_", "-"), list(known), 1, 0.6)
    return f": did you mean {close[0]}?" if close else f" (there are {', '.join(known)})"


def _check_trial(made: Configuration) -> None:
    """Raise Refused, with its line, for a setting of the trial that is impossible on any machine."""
    said = made.settings
    wanted: dict[str, TrialOptions] = {}
    if said.model is not None:
        wanted["model"] = TrialOptions(model=said.model if is_model_name(said.model) else made.beside(said.model))
    if said.imgsz is not None:
        wanted["imgsz"] = TrialOptions(imgsz=said.imgsz)
    if said.batch is not None:
        wanted["batch"] = TrialOptions(batch=said.batch)
    if said.device is not None:
        wanted["device"] = TrialOptions(device=said.device)
    if said.backend is not None:
        wanted["backend"] = TrialOptions(backends=said.backend)
    for key, options in wanted.items():
        try:
            check(options)
        except BadRequest as error:
            raise Refused(f"{made.at(key)}: {error}") from error


def _exceptions(made: Configuration) -> Iterator[Exempt]:
    """Yield the exceptions with code and slug.

    Raises Refused for an exception without a reason, with an unknown code, or that is in the file twice.
    """
    from attn_doctor.failure_modes import UnknownName, find

    today = dt.datetime.now().astimezone().date()
    seen: set[str] = set()
    for number, entry in enumerate(made.settings.ignore):

        def wrong(what: str, key: str = "", number: int = number) -> Refused:
            line = _line(made.text, made.path.name, f"ignore[{number}]", key)
            return Refused(f"{made.shown} line {line}: {what}")

        if (entry.code is None) == (entry.slug is None):
            raise wrong("an entry of ignore has either a code or a slug")
        word, called = entry.code or entry.slug or "", "code" if entry.code else "slug"
        try:
            mode = find(word).MODE
        except UnknownName as error:
            raise wrong(str(error), called) from error
        if not entry.reason.strip():
            raise wrong(f"the exception for {word} needs a reason", "reason")
        if mode.code in seen:
            raise wrong(f"{mode.code} ({mode.slug}) is ignored twice", called)
        seen.add(mode.code)
        yield Exempt(
            code=mode.code,
            slug=mode.slug,
            reason=" ".join(entry.reason.split()),
            until=entry.until.isoformat() if entry.until else None,
            ran_out=entry.until is not None and entry.until < today,
        )


def _line(text: str, file: str, path: str, key: str = "") -> int:
    """Return the line of a setting, counted from 1. `path`: a setting such as "imgsz", or "ignore[1]" with its `key`.

    If the setting is not found, the line of its table is returned. tomllib does not report lines, so the text is searched.
    """
    lines = text.splitlines()
    first, last = _span(lines, file)
    entry = re.match(r"ignore(?:\[(\d+)\])?", path)
    if not entry:
        pattern = re.compile(
            rf"\s*(?:tool\.attn-doctor\.)?[\"']?{re.escape(path.partition('.')[0].partition('[')[0])}[\"']?\s*[=.]"
        )
        return next((n for n in range(first, last + 1) if pattern.match(lines[n - 1])), first)
    number = int(entry[1] or 0)
    begins = [
        n
        for n in range(first, last + 1)
        for _ in re.findall(r"\[\[[^\]]*ignore\s*\]\]|\{", lines[n - 1])
        if not lines[n - 1].lstrip().startswith("#")
    ]
    if number >= len(begins):
        return next((n for n in range(first, last + 1) if lines[n - 1].lstrip().startswith("ignore")), first)
    start = begins[number]
    end = begins[number + 1] if number + 1 < len(begins) else last + 1
    named = re.compile(rf"[\s{{,\"']*{re.escape(key)}[\"']?\s*=") if key else None
    return next((n for n in range(start, max(end, start + 1)) if named and named.match(lines[n - 1])), start)


def _span(lines: list[str], file: str) -> tuple[int, int]:
    """Return the first and the last line of the table of attn-doctor."""
    if file != SHARED:
        return 1, max(len(lines), 1)
    begin = next((n for n, line in enumerate(lines, 1) if re.match(r"\s*\[+\s*tool\.\"?attn-doctor\b", line)), 1)
    later = (
        n - 1
        for n, line in enumerate(lines, 1)
        if n > begin and re.match(r"\s*\[+(?!\s*tool\.\"?attn-doctor\b)[\w\"' .-]+\]+\s*(#|$)", line)
    )
    return begin, next(later, max(len(lines), 1))
