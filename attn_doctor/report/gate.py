"""Remove private data from every file that a command writes: from its records, and once more from the finished file.

The second search looks only for the names of this machine. It does not depend on fields and outlines, so it also finds names that
a new format or a new command forgot. A name that it finds is replaced and counted, and one line says so. The file is written in
any case.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from attn_doctor.model import foreign_text
from attn_doctor.model.report import Report
from attn_doctor.report.blocks import Block
from attn_doctor.report.redact import Own, Redactor, redact
from attn_doctor.report.redact.words import words_of_records
from attn_doctor.system.printable import in_a_file, printable
from attn_doctor.system.streams import tell

# Where the text of a page or of an XML file is: between tags. In XML also in attributes, which in our pages hold names of styles alone.
_BETWEEN_TAGS = re.compile(r"(?<=>)[^<>]+(?=<)")
_ATTRIBUTES = re.compile(r"(?<=>)[^<>]+(?=<)|(?<==\")[^\"<>]+(?=\")")
_HEAD = "</head>"
T = TypeVar("T")


class Gate:
    """Remove private data from everything that one command writes."""

    def __init__(self, own: Own | None = None) -> None:
        self._own = own or Own.of_this_machine()
        self._texts = Redactor(self._own)

    def report(self, report: Report) -> Report:
        """Return a report without private data."""
        data = foreign_text.plain(msgspec.to_builtins(report))
        try:
            return msgspec.convert(redact(data, self._own), Report)
        except (
            msgspec.ValidationError
        ):  # the user's name is a word of the records, such as "predicted": found in paths only
            return msgspec.convert(redact(data, self._own, words_of_records()), Report)

    def records(self, records: Any) -> Any:
        """Return records that are no report, as plain data without private data."""
        return redact({"data": foreign_text.plain(msgspec.to_builtins(records))}, self._own)["data"]

    def typed(self, *values: tuple[Any, Any]) -> list[Any]:
        """Return values without private data, of the same types. `values`: pairs of a value and its type.

        Equal texts get the same placeholder.
        """
        data = {"data": [foreign_text.plain(msgspec.to_builtins(value)) for value, _ in values]}
        kinds = [kind for _, kind in values]
        try:
            return [
                msgspec.convert(one, kind) for one, kind in zip(redact(data, self._own)["data"], kinds, strict=True)
            ]
        except msgspec.ValidationError:  # as for a report
            made = redact(data, self._own, words_of_records())["data"]
            return [msgspec.convert(one, kind) for one, kind in zip(made, kinds, strict=True)]

    def blocks(self, blocks: Iterable[Block]) -> tuple[Block, ...]:
        """Return blocks without private data: for blocks that cannot be made again from clean records.

        Commands in these blocks must be clean already, because a placeholder is not quoted for a shell here.
        """
        return tuple(self._clean(block) for block in blocks)

    def _clean(self, value: T) -> T:
        made: Any = value
        if isinstance(value, str):
            made = self._texts.text(foreign_text.text(value))
        elif isinstance(value, tuple):
            parts = [self._clean(item) for item in value]
            made = type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        return made  # type: ignore[no-any-return]

    def text(self, text: str) -> str:
        """Return a text without private data, and without characters that cannot be seen."""
        return printable(self._texts.text(foreign_text.text(text)))

    def finished(self, content: str | bytes, name: str) -> bytes:
        """Return a finished file without this machine's names.

        `name`: the file's name, for the line about names that were found.
        """
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else foreign_text.text(content)
        left: Counter[str] = Counter()
        if text[:1] in ("{", "[", '"') and (data := _as_json(text)) is not None:
            made = self._searched(data, left)
            if left:
                if isinstance(made, dict) and isinstance(made.get("redacted"), dict):
                    made["redacted"] = dict(sorted((Counter(made["redacted"]) + left).items()))
                text = msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"
        elif text.lstrip()[:1] == "<":
            begin = max(text.find(_HEAD), 0)
            pattern = _BETWEEN_TAGS if begin else _ATTRIBUTES
            text = text[:begin] + pattern.sub(lambda match: self._own_taken_out(match[0], left), text[begin:])
        else:
            text = self._own_taken_out(text, left)
        if left:
            times = sum(left.values())
            tell(
                f"attn-doctor: {foreign_text.text(name)} still had a name of this machine, {times} "
                f"time{'' if times == 1 else 's'} ({', '.join(sorted(left))}): it was replaced there too"
            )
        return in_a_file(text).encode()

    def _own_taken_out(self, text: str, left: Counter[str]) -> str:
        made, found = self._texts.own(text)
        left.update(found)
        return made

    def _searched(self, value: Any, left: Counter[str]) -> Any:
        if isinstance(value, str):
            return self._own_taken_out(value, left)
        if isinstance(value, dict):
            return {key: self._searched(item, left) for key, item in value.items()}
        if isinstance(value, list):
            return [self._searched(item, left) for item in value]
        return value


def _as_json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
