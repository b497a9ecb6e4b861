"""List the formats of the files that commands write: one class and one entry in FORMATS for each.

The command line reads the list when it makes its options, so nothing heavy is imported here: a format imports its renderer when
it renders. The terminal is not in the list, because it is always there and needs no file name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from attn_doctor.report.blocks import Block, Details
    from attn_doctor.report.pictures import Picture


def _no_blocks() -> tuple[Block, ...]:
    return ()


def _no_parts() -> tuple[Details, ...]:
    return ()


def _no_pictures() -> tuple[Picture, ...]:
    return ()


Option = Literal["json", "markdown", "html", "junit", "sarif"]  # names of options, without the leading dashes


class Answer(NamedTuple):
    """Hold the answer of a command in the form that all formats read.

    Private data are removed already: a format writes all that the answer contains. `records`: plain data or msgspec records; for
    `check` and `show` the complete report. `blocks`, `folded`, `paste` and `page` are functions, and a format calls the one that
    it needs. They return: the outline for a reader; its folded parts; the blocks of a page for an issue, if they differ; a
    Markdown page that is not made of blocks. `pictures`: for a page of HTML; a report has its own.
    """

    records: Any
    blocks: Callable[[], Iterable[Block]] = _no_blocks
    page: Callable[[], str] | None = None
    title: str = "attn-doctor report"
    folded: Callable[[], Sequence[Details]] = _no_parts
    paste: Callable[[], Iterable[Block]] | None = None
    pictures: Callable[[], Iterable[Picture]] = _no_pictures
    saved: bool = False  # read from a file: its commands are what the file says, and no advice


class Format(Protocol):
    """Describe a format of output files.

    The help of its option is made of `name` and `use`: "write it as Markdown, redacted" and ", to paste into an issue".
    """

    @property
    def option(self) -> Option:
        """Return the name of the option, without the leading dashes."""

    @property
    def name(self) -> str:
        """Return the name for readers, such as "Markdown"."""

    @property
    def use(self) -> str:
        """Return the last part of the option's help, the use of the format; it may be empty."""

    def render(self, answer: Answer) -> str | bytes:
        """Return the content of the file."""


class Json:
    """Write the records as JSON, indented by two spaces."""

    option: Option = "json"
    name = "JSON"
    use = ""

    def render(self, answer: Answer) -> bytes:
        from attn_doctor.model.report import encode

        return encode(answer.records)


class Markdown:
    """Write the answer as Markdown: its `page`, else the blocks of `paste`, else the outline with its folded parts."""

    option: Option = "markdown"
    name = "Markdown"
    use = ", to paste into an issue"

    def render(self, answer: Answer) -> str:
        from attn_doctor.report import markdown

        if answer.page:
            return answer.page()
        return markdown.render(answer.paste() if answer.paste else (*answer.blocks(), *answer.folded()))


class Html:
    """Write the outline and its pictures as one file that needs no other."""

    option: Option = "html"
    name = "one HTML page"
    use = ""

    def render(self, answer: Answer) -> str:
        from attn_doctor.model.report import Report
        from attn_doctor.report import html, illustrated

        if isinstance(answer.records, Report):
            return illustrated.page(answer.records, answer.blocks(), answer.folded(), answer.title)
        return html.render((*answer.blocks(), *answer.folded()), answer.title, answer.pictures())


class Junit:
    """Write a report as JUnit XML."""

    option: Option = "junit"
    name = "JUnit XML"
    use = ", for the test page of a CI"

    def render(self, answer: Answer) -> str:
        from attn_doctor.report import junit

        return junit.document(answer.records, saved=answer.saved)


class Sarif:
    """Write a report as SARIF 2.1.0."""

    option: Option = "sarif"
    name = "SARIF"
    use = ", for code scanning"

    def render(self, answer: Answer) -> bytes:
        from attn_doctor.model.report import encode
        from attn_doctor.report import sarif

        return encode(sarif.document(answer.records, saved=answer.saved))


# JUnit and SARIF are of a report alone: the answer of `check` and `show`.
FORMATS: tuple[Format, ...] = (Json(), Markdown(), Html(), Junit(), Sarif())
