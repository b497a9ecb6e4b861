"""Replace private data in texts and in plain data, and count the replaced values by kind."""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from attn_doctor import commands
from attn_doctor.model.steps import Step
from attn_doctor.report.redact import addresses, keys, listings, network, token_shapes
from attn_doctor.report.redact.names import Names
from attn_doctor.report.redact.unescape import views
from attn_doctor.system.own_names import Own

KINDS = frozenset("credentials email home host ip key mac secret serial token user uuid".split())
_PLACEHOLDER = re.compile(r"<(?:home|user|host|credentials|([a-z]{2,11})-(\d{1,6}))>")
_CREDENTIALS = re.compile(
    r"(?i)[a-z][a-z0-9+.-]{0,30}:/{2,4}(?:(?P<user>[^\s/?#'\"<>@]{0,200}:(?!\d{1,5}/)[^\s'\"<>@/]{0,400}(?:[@/][^\s'\"<>@/]{0,200}){0,2}|[^\s/?#'\"<>@]{1,400}))@(?=[\w.\[-])"
)
_SEPARATOR = re.compile(r"\\(?![uUx0-3\\ ])")
_LONGEST = 1 << 16  # characters of a piece of a text
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_ANY_CASE = frozenset(("mac", "uuid", "ip", "email"))


class _Part(NamedTuple):
    start: int
    end: int
    label: str
    value: str
    placeholder: str | None


class Redactor:
    """Replace private data; the same value has the same placeholder in all texts of one Redactor."""

    def __init__(self, own: Own | None = None, versions: Iterable[str] = (), words: Iterable[str] = ()) -> None:
        """Prepare for one report.

        `versions`: texts with four numbers that are no addresses. `words`: words that the records themselves contain; if a user
        has such a name, it is replaced only in paths.
        """
        self._names = Names(own or Own.of_this_machine(), words)
        self._versions = frozenset(versions)
        self._known: dict[tuple[str, str], str] = {}
        self._last: Counter[str] = Counter()  # the highest number of each kind that was given
        self._done: dict[tuple[str, bool], tuple[str, tuple[str, ...]]] = {}
        self.count: Counter[str] = Counter()

    def reserve(self, value: Any) -> None:
        """Note the placeholders that these plain data contain already, so that no other value gets the same one.

        Call it first for data that were redacted before. Example: they contain "<ip-3>", then the next address becomes "<ip-4>".
        """
        for text in _texts(value):
            for match in _PLACEHOLDER.finditer(text) if "<" in text else ():
                if match[1]:
                    self._last[match[1]] = max(self._last[match[1]], int(match[2]))

    def text(self, text: str, *, version: bool = False) -> str:
        """Return a text without private data. `version`: the text is a version if it looks like one, and no address of a network."""
        found = self._done.get((text, version))
        if found is None:
            made = [self._redacted(piece, version=version) for piece in _pieces(text)]
            found = self._done[text, version] = (
                "".join(one for one, _ in made),
                tuple(kind for _, kinds in made for kind in kinds),
            )
        self.count.update(found[1])
        return found[0]

    def whole(self, text: str, kind: str = "secret") -> str:
        """Return the placeholder for a text that is completely private. An empty text and a placeholder are returned unchanged."""
        if not text or _PLACEHOLDER.fullmatch(text):
            return text
        self.count[kind] += 1
        return self._numbered(kind, text)

    def own(self, text: str) -> tuple[str, Counter[str]]:
        """Return a finished text without this machine's own names, and how many of each kind it had."""
        left: Counter[str] = Counter()
        made = []
        for piece in _pieces(text):
            at = 0
            for part in _apart([part for view in views(piece) for part in self._own(view.text, view.place)]):
                left[part.label] += 1
                made += [piece[at : part.start], self._shown(part)]
                at = part.end
            made.append(piece[at:])
        return "".join(made), left

    def _redacted(self, text: str, *, version: bool) -> tuple[str, tuple[str, ...]]:
        kept = [match.span() for match in _PLACEHOLDER.finditer(text)] if "<" in text else []
        parts = [
            part
            for view in views(text)
            for part in self._parts(view.text, text, view.place, version=version)
            if not _is_within(part.start, part.start + 1, kept)
        ]
        if not parts:
            return text, ()
        made: list[str] = []
        kinds = []
        at = 0
        for part in _apart(parts):
            made += [text[at : part.start], self._shown(part)]
            kinds.append(part.label)
            at = part.end
        return "".join((*made, text[at:])), tuple(kinds)

    def _parts(
        self, text: str, original: str, place: Callable[[int, int], tuple[int, int]], *, version: bool
    ) -> Iterator[_Part]:
        """Yield the private parts of `text`, which is the original with some escapes undone.

        Of two parts at one place, the first decides the kind.
        """

        def part(kind: str, start: int, end: int, placeholder: str | None = None) -> _Part:
            return _Part(*place(start, end), kind, text[start:end], placeholder)

        yield from self._own(text, place)
        inside = [m.span("user") for m in _CREDENTIALS.finditer(text)] if "://" in text else []
        yield from (part("credentials", start, end, "<credentials>") for start, end in inside)
        yield from (part("key", *span) for span in token_shapes.private_keys(text))
        yield from (part("token", *span) for span in token_shapes.tokens(text))
        yield from (part("secret", *span) for span in keys.secrets(text))
        for start, end, kind in network.identities(text):
            if kind != "email" or not _is_within(start, start + 1, inside):  # https://NAME:PASSWORD@HOST
                yield part(kind, start, end)
        for start, end, kind in listings.found(text):
            yield part(kind, start, end, self._names.placeholder(text[start:end]))
        if not version or not addresses.is_version(text):
            yield from (part("ip", *span) for span in addresses.addresses(text, self._versions))
        for found in self._names.others(text):
            made = part(found.label, found.start, found.end, found.placeholder)
            # "C:\Users\x\.conda": an escape that was undone there is a separator of the path, and the name is found without that.
            if not _SEPARATOR.search(original, made.start, made.end):
                yield made

    def _own(self, text: str, place: Callable[[int, int], tuple[int, int]]) -> Iterator[_Part]:
        for found in self._names.own(text):
            yield _Part(*place(found.start, found.end), found.label, text[found.start : found.end], found.placeholder)

    def _shown(self, part: _Part) -> str:
        return part.placeholder or self._numbered(part.label, part.value)

    def _numbered(self, kind: str, value: str) -> str:
        known = (kind, value.lower() if kind in _ANY_CASE else value)
        if known not in self._known:
            self._last[kind] += 1
            self._known[known] = f"<{kind}-{self._last[kind]}>"
        return self._known[known]

    def value(self, value: Any, name: str = "") -> Any:
        """Return plain data without private data. `name`: the name of the field with this value."""
        if isinstance(value, str):
            if value and name and keys.is_secret_name(name):
                return self.whole(value)
            return self.text(value, version=name in addresses.VERSIONS)
        if isinstance(value, list | tuple):
            return self._items(value, name)
        if isinstance(value, dict):
            variable = isinstance(value.get("name"), str) and isinstance(value.get("value"), str)
            return _quoted_anew(
                {
                    self._key(key): self._variable(value["name"], item)
                    if variable and key == "value"
                    else self.value(item, str(key))
                    for key, item in value.items()
                }
            )
        return value

    def _items(self, items: Sequence[Any], name: str) -> list[Any]:
        """Return a list without private data. The word after an option such as `--password` is a secret."""
        made: list[Any] = []
        option = False
        for item in self._marked(items):
            made.append(
                self.whole(item)
                if option and isinstance(item, str) and not item.startswith("-")
                else self.value(item, name)
            )
            option = isinstance(item, str) and keys.is_secret_option(item)
        return made

    def _marked(self, items: Sequence[Any]) -> Sequence[Any]:
        """Return the lines of a list with the placeholders of what other lines show to be private: the cells below a heading."""
        if len(items) < 2 or not all(isinstance(item, str) and "\n" not in item for item in items):
            return items
        made = list(items)
        for number, places in listings.across(made).items():
            for start, end, kind in places:
                line = made[number]
                if not self._names.placeholder(line[start:end]):
                    made[number] = f"{line[:start]}{self.whole(line[start:end], kind)}{line[end:]}"
        return made

    def _variable(self, name: str, value: str) -> str:
        """Return the value of a variable without private data.

        The variable's name may show that the whole value is a secret.
        """
        if keys.is_secret_name(name):
            return self.whole(value)
        before = Counter(self.count)
        # Some rules need the name before the value. If a rule took the name too, the value is redacted alone.
        joined = self.text(f"{name}={value}")
        if joined.startswith(f"{name}="):
            return self.text(joined[len(name) + 1 :])  # and some match only where no "=" is in front
        self.count = before
        return self.text(value)

    def _key(self, key: Any) -> Any:
        return self.text(key) if isinstance(key, str) and not _IDENTIFIER.fullmatch(key) else key


def _pieces(text: str) -> Iterator[str]:
    """Yield the pieces of a long text. A piece ends at a line or a word.

    A search needs fifty times the memory of its text, so a long text is not searched at once.
    """
    at = 0
    while len(text) - at > _LONGEST:
        limit = at + _LONGEST
        end = max(text.rfind("\n", at, limit), text.rfind(" ", at, limit)) + 1
        end = end if end > at else limit
        yield text[at:end]
        at = end
    if at < len(text) or not text:
        yield text[at:]


def _is_within(start: int, end: int, places: Sequence[tuple[int, int]]) -> bool:
    """Return whether a place is inside one of these places, which are sorted."""
    at = bisect.bisect_right(places, start, key=lambda place: place[0]) - 1
    return at >= 0 and end <= places[at][1]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _apart(parts: list[_Part]) -> list[_Part]:
    """Return the parts without overlaps, sorted.

    Overlapping parts become one part; the longest decides its kind.
    """
    order = {id(part): number for number, part in enumerate(parts)}
    made: list[_Part] = []
    for part in sorted(parts, key=lambda p: (p.start, -p.end, p.placeholder is None, order[id(p)])):
        last = made[-1] if made else None
        if last is None or part.start >= last.end:
            made.append(part)
        elif part.end > last.end:
            longer = part if part.end - part.start > last.end - last.start else last
            made[-1] = longer._replace(start=last.start, end=part.end, placeholder=None)
    return made


def _quoted_anew(cleaned: dict[str, Any]) -> dict[str, Any]:
    """Return a planned step whose lines for shells are made again from its redacted words.

    The lines cannot be redacted as text: a shell would read an unquoted <home> as redirections.
    """
    shown, step = cleaned.get("shown"), cleaned.get("step")
    if not isinstance(shown, dict) or not isinstance(step, dict):
        return cleaned
    made = msgspec.convert(step, Step)
    return {**cleaned, "shown": {shell: commands.shown(made, shell) for shell in shown}}


def redact(data: dict[str, Any], own: Own | None = None, words: Iterable[str] = ()) -> dict[str, Any]:
    """Return the plain data of a report without private data.

    Its field `redacted` counts the replaced values: {kind: count}. Data that were redacted before keep their placeholders, and
    the counts are added up. `words`: as for `Redactor`.
    """
    given = {key: value for key, value in data.items() if key != "redacted"}
    redactor = Redactor(own, addresses.versions_of(given), words)
    redactor.reserve(given)
    cleaned: dict[str, Any] = redactor.value(given)
    before = {k: n for k, n in (data.get("redacted") or {}).items() if k in KINDS and isinstance(n, int)}
    count = redactor.count + Counter(before)
    cleaned["redacted"] = {kind: n for kind, n in sorted(count.items()) if n}
    return cleaned
