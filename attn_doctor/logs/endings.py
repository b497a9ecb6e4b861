"""Find in the last lines of a log the exception that ends it, if there is one. Pure.

A traceback in the middle of a log was caught: the program continued. So an exception with a traceback counts only if nothing
follows it except its own message, blank lines, lines of shells, installers and schedulers, an exit code other than 0, or what a person
pasted below it (`pasted_lines`). An exception without a traceback counts unless the lines below it show that the program went on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from attn_doctor.logs.pasted_lines import is_pasted
from attn_doctor.logs.prefixes import clean, without_prefix

_FAR = 60  # a message has at most so many lines
_PROSE = 4  # at most so many sentences after an exception count as its message

_HEADER = "Traceback (most recent call last)"
_SUFFIX = r"(?:Error|Exception|Exit|Interrupt|Group|Failure|Fault|NotFound|Timeout|Refused|Abort|Iteration)"
_NAME = r"(?:[A-Za-z_]\w*\.)*"
# An exception as Python prints it: with a message, or alone.
_EXCEPTION = re.compile(rf"^{_NAME}(?:[A-Z]\w*(?:\([\w.]+\))?: \S|\w*{_SUFFIX}(?:\([\w.]+\))?(?::|$))")
# An exception that counts without a traceback before it.
_BARE = re.compile(
    rf"{_NAME}[A-Z]\w*(?:Error(?:_[A-Z]\w*)?|Exception|Interrupt|Failure)(?:\([\w.]+\))?(?::(?: .*|$)|$)"
    rf"|Exception: \S|(?:[a-z_]\w*\.)+(?:exc|exceptions?|errors?|onnxruntime_pybind11_state)\.[A-Z]\w*: \S"
)
# What stands before such an exception: marks of Markdown and pytest, a person's words, the level of a log record.
_QUOTED = re.compile(
    r"(?:"
    r"(?:(?:[>*`•-]{1,4}|E {2,}|\[[A-Za-z ]{2,20}\]:?|"
    r"(?:[^'\"`:：=]{0,60}\b)?(?:[Ee]rror|ERROR|[Ee]xception|[Mm]essage|[Ii]ssue|[Bb]ug|[Oo]utput)s?(?: (?:is|was|says|below|message|log))?\s?[:：]|"
    r"[^'\"`:：=]{0,30}(?:报错|错误|錯誤|エラー|오류|[Оо]шибка|[Ff]ehler|[Ee]rreur)[^'\"`:：=]{0,10}[:：])\s*){1,3}[`*]{0,3}|"
    r"(?:[^'\"]{0,60}[\s\[|:])?(?:ERROR|CRITICAL|FATAL)\b[^'\"]{0,80}?[\]:|-]\s?|E\d{4} \d\d:\d\d:\d\d[^'\"]{0,80}?\] "
    rf")(?:{_BARE.pattern})"
)
_LEVEL = re.compile(r"^(?:[^'\"]{0,60}[\s\[|:])?(?:ERROR|CRITICAL|FATAL)(?:[\]|:]| +[-|:\[]| \S+ )")

_ZERO = re.compile(r"(?:exit|return) (?:code|status)\s?[:=]?\s?0\b|exited with (?:code|status) 0\b|^configure: exit 0")
_NON_ZERO = re.compile(
    r"(?:exit(?:ed)?(?: with)?(?: code| status)|return(?:ed)? (?:a )?(?:code|non-?zero(?: exit)?(?: code| status)?)|non-zero (?:code|status)|"
    r"ExitCode|\brc)\W{0,3}(?:0x[0-9a-fA-F]{2,8}|-?[1-9]\d*)\b|^Execution halted|^Command exited with non-zero|\*\*\* \[.{1,200}\] Error [1-9]|"
    r"^FAILED \((?:failures|errors)="
)
_WELL = re.compile(
    r"^\[(\d+)/\1\] (?!.*FAILED)|^(?:All )?[Dd]one[.!]?$|\bdone in \d|^(?:All )?[Ff]inished[.!]?$|^OK$|\b(?:done|finished|completed|succeeded|successfully)[.!]?$|^(?:.{0,60} )?100%\b"
)
_DECORATION = re.compile(r"^[\s=\-_*~+|#╭╮╰╯─│└┘┌┐.]*$")
# A prompt: a shell waits for the next command.
_PROMPT = re.compile(
    r"^(?:\([\w.-]+\) ?)?(?:\S+@\S+[:~ ][^$#%]{0,200}[$#%]|PS [A-Z]:\\[^>]*>|[A-Z]:\\[^>]*>|[$#%>]|>>>|In \[\d+\]:)\s*$"
)
# Lines that other programs add after the end: times, and notes of installers, torch and schedulers.
_AFTER = re.compile(
    r"^(?:real|user|sys)\s+\d+m|^\s*(?:\[wall: |elapsed)|^(?:note|hint|Hint|NOTE|info|help|tip):|^\[end of output\]|^\[notice\]|^wandb:|"
    r"This error originates from|^See above for|^For debugging consider|^CUDA kernel errors might|^Compile with `?TORCH|"
    r"^Device-side assertion|^Search for `|^Set the environment variable|^Exception (?:ignored|raised) |^frame #\d|resource_tracker|"
    r"^warnings\.warn\(|^<omitting python|^For further information|^If you |^Please |^A complete log|^Full log|^Aborting|^Exiting|"
    r"^Terminat|^Killed$|^srun: |^slurmstepd: |^\^C|^Cleaning up|^Post job cleanup|^make(?:\[\d+\])?: |^npm |^error: subprocess|"
    r"^Process (?:finished|completed)|^##\[|^\[W|^\[E|^\[rank\d+\]:\[W|^Failed to run|^Command exited|^script returned|^error Command|"
    r"^(?:ERROR|error|fatal|Error): |^Traceback|^During handling|^The above exception|^Build step|^Finished: FAILURE|^Sentry|"
    r"^Python runtime state|^Current thread|^Thread 0x|^File \"|^\[Previous line|Segmentation fault|core dumped"
)
_GOES_ON = re.compile(
    r"\b(?:falling back|fall back|fallback|continu|skipp|retry|again|instead|ignor|disabled|INFO|DEBUG|WARNING|epoch|step \d|starting|"
    r"loading|running|saved|saving|using|resum|proceed|loss|accuracy|result)",
    re.IGNORECASE,
)


class ErrorBlock(NamedTuple):
    """Describe an error of a log. Line numbers begin at 1."""

    line: int  # the line that names the error: "ValueError: ..."
    text: str  # of that line
    first: int  # the line in which its traceback begins; `line` if it has none
    last: int  # the line in which its message ends


class Ending(NamedTuple):
    error: ErrorBlock | None = None  # the exception that ends the log
    continued: ErrorBlock | None = None  # the last exception, after which the log continues
    failed: ErrorBlock | None = None  # the last line before an exit code that is not 0
    well: bool = False  # the last lines show success


class _Line(NamedTuple):
    number: int
    text: str  # without the prefixes and frames of other programs
    indent: int  # blanks before the text, after the prefixes were removed
    states_a_fact: bool

    @property
    def pasted(self) -> bool:
        return is_pasted(self.text, states_a_fact=self.states_a_fact)


def ending(lines: Sequence[tuple[int, str]], stating: Collection[int] = ()) -> Ending:
    """Return how a log ended: with an error, with success, or neither.

    `lines`: (number, text) of its last lines. `stating`: the numbers of the lines that state a version, a GPU or a system.
    """
    dressed = [_line(number, text, states_a_fact=number in stating) for number, text in lines]
    last, code = _last(dressed)
    if code == 0:
        return Ending(well=True)
    if last < 0:
        return Ending()
    final = dressed[last]
    error, continued = _by_traceback(dressed, last, sure=bool(code))
    if error is None:
        error, went_on = _bare(dressed, last, after=continued.line if continued else 0, sure=bool(code))
        continued = went_on or continued
    if error is None and _LEVEL.search(final.text):
        error = ErrorBlock(final.number, final.text, final.number, final.number)
    failed = ErrorBlock(final.number, final.text, final.number, final.number) if code else None
    well = error is None and not code and bool(_WELL.search(final.text))
    return Ending(error, None if error or well else continued, failed, well)


def _line(number: int, text: str, *, states_a_fact: bool) -> _Line:
    if text.startswith("{"):
        text = _out_of_json(text)
    text = without_prefix(text.rstrip() + " ").rstrip()  # with a blank: a line may be only a prefix
    return _Line(number, clean(text)[:600], len(text) - len(text.lstrip()), states_a_fact)


def _out_of_json(text: str) -> str:
    """Return the message of a log record that is one JSON object on a line, as docker writes them."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for key in ("log", "message", "msg"):
        if isinstance(record, dict) and isinstance(record.get(key), str):
            return str(record[key])
    return text


def _last(lines: Sequence[_Line]) -> tuple[int, int | None]:
    """Return the index of the last line that the program itself wrote (-1: none), and its exit code.

    The code is 0, 1 (for every other number) or None (the log has none).
    """
    code = None
    for at in range(len(lines) - 1, -1, -1):
        text = lines[at].text
        if _ZERO.search(text) and not _NON_ZERO.search(text):
            return at, 0 if code is None else code
        if _is_exception(text):
            return at, code
        if _NON_ZERO.search(text):
            code = 1
        elif not (_DECORATION.match(text) or _PROMPT.match(text) or _AFTER.search(text) or lines[at].pasted):
            return at, code
    return -1, code


def _by_traceback(lines: Sequence[_Line], last: int, *, sure: bool) -> tuple[ErrorBlock | None, ErrorBlock | None]:
    """Return the exception of the last traceback.

    It is the first value if it ends the log, the second value if the log continues.
    """
    headers = [at for at in range(last + 1) if _HEADER in lines[at].text]
    if not headers:
        return None, None
    at = _exception(lines, headers[-1], last)
    if at is None:
        return None, None
    block = ErrorBlock(lines[at].number, lines[at].text, lines[_first(lines, headers)].number, lines[last].number)
    if _message_to(lines, at, last, sure=sure) or _notes(lines, headers[-1], at, last):
        wrapped = re.search(r"ChildFailedError|CalledProcessError", block.text) and len(headers) > 1
        inner = _exception(lines, headers[-2], headers[-1]) if wrapped else None
        if inner is not None:
            block = block._replace(line=lines[inner].number, text=lines[inner].text)
        return block, None
    return None, block


def _notes(lines: Sequence[_Line], header: int, at: int, last: int) -> bool:
    """Return whether the lines after an exception are notes that belong to it.

    They are if the exception came up to the top level of the program (so it ended the program), at most two lines follow, and none of
    them shows that the program went on.
    """
    frame = next((line.text for line in lines[header + 1 : at] if line.text.startswith('File "')), "")
    rest = lines[at + 1 : last + 1]
    whole = frame.endswith(("in <module>", "in _run_module_as_main"))
    return (
        whole
        and len(rest) <= 2
        and not any(_GOES_ON.search(line.text) or re.search(r"\d%|\d\.\d|=", line.text) for line in rest)
    )


def _first(lines: Sequence[_Line], headers: Sequence[int]) -> int:
    """Return the index at which the last chain of tracebacks begins ("During handling of the above exception ...").

    `headers`: the indexes of all lines "Traceback (most recent call last)".
    """
    first = headers[-1]
    for header in reversed(headers[:-1]):
        between = [line.text for line in lines[header:first]]
        if not any("The above exception was" in text or "During handling of the above" in text for text in between):
            break
        first = header
    return first


def _exception(lines: Sequence[_Line], header: int, last: int) -> int | None:
    """Return the index of the line that names the exception of a traceback; None if there is none before `last`.

    `header`: the index of the line "Traceback (most recent call last)".
    """
    top = lines[header]
    boxed = "╭" in top.text or "─ Traceback" in top.text  # the library rich draws a frame around a traceback
    after = range(header + 1, last + 1)
    if boxed:
        end = next((at for at in after if "╰" in lines[at].text), header)
        return next((at for at in range(end + 1, last + 1) if _EXCEPTION.match(lines[at].text)), None)
    frames = [at for at in after if lines[at].text.startswith('File "')]
    indented = any(lines[at].indent > top.indent for at in frames)
    if indented and frames:
        for at in range(frames[0], last + 1):
            if lines[at].indent <= top.indent and not _DECORATION.match(lines[at].text):
                return at if re.match(r"[\w.]+(?:\([\w.]+\))?(?::|$)", lines[at].text) else None
        return None
    source = False  # the line after a File line is a line of source code
    for at in after:
        text = lines[at].text
        if text.startswith('File "'):
            source = True
        elif source:
            source = False
        elif _EXCEPTION.match(text):
            return at
    return None


def _bare(lines: Sequence[_Line], last: int, *, after: int, sure: bool) -> tuple[ErrorBlock | None, ErrorBlock | None]:
    """Return an exception without its traceback, as people quote it: as the first value if the program ended, as the second if it went on.

    `after`: the line of the last exception with a traceback; lines before it do not count.
    """
    for at in range(last, max(-1, last - _FAR), -1):
        if lines[at].number <= after:
            break
        if _is_exception(lines[at].text):
            block = ErrorBlock(lines[at].number, lines[at].text, lines[at].number, lines[at].number)
            if _BARE.match(block.text) and _message_to(lines, at, last, sure=sure):
                return block._replace(last=lines[last].number), None
            return (None, block) if _went_on(lines, at, last) else (block, None)
    return None, None


def _is_exception(text: str) -> bool:
    """Return whether a line is an exception as Python prints it, or quotes one after words such as "the error is:"."""
    return bool(_BARE.match(text) or _QUOTED.match(text))


def _went_on(lines: Sequence[_Line], at: int, last: int) -> bool:
    """Return whether the lines after an exception show that the program worked on."""
    rest = [
        line.text
        for line in lines[at + 1 : last + 1]
        if not (_DECORATION.match(line.text) or _AFTER.search(line.text) or line.pasted)
    ]
    return len(rest) > _FAR or any(_GOES_ON.search(text) or re.search(r"\d%", text) for text in rest)


def _message_to(lines: Sequence[_Line], at: int, last: int, *, sure: bool) -> bool:
    """Return whether all lines after an exception belong to its message. `sure`: the log has an exit code other than 0."""
    own = lines[at]
    rest = [line for line in lines[at + 1 : last + 1] if not (_DECORATION.match(line.text) or line.pasted)]
    if len(rest) > _FAR:
        return False
    if sure or own.text.endswith(":") or re.search(r"ChildFailedError|ValidationError|Error\(s\) in loading", own.text):
        return not any(_GOES_ON.search(line.text) for line in rest[_PROSE * 2 :]) or sure
    prose = 0
    for line in rest:
        if re.search(r"\d%\|", line.text):
            return False  # a progress bar
        if line.indent > own.indent or _AFTER.search(line.text) or _NON_ZERO.search(line.text):
            continue
        sentence = line.text.endswith((".", "!", "?")) or "http" in line.text or line.text.startswith(("`", "("))
        if _GOES_ON.search(line.text) and "http" not in line.text and not line.text.startswith("`"):
            return False
        if not sentence or prose == _PROSE:
            return False
        prose += 1
    return True
