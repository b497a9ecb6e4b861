"""Take from a line of a log what other programs put before it, and what they draw around it. Pure."""

from __future__ import annotations

import re

# Prefixes of other programs: docker build's "#12 34.5 ", Kubernetes and CI timestamps, ranks, Slurm's "0: ", journald's
# "Mar 14 02:11:09 host unit[123]: ", "[pod/train-0/main] " of kubectl, "svc.1.ab12@host | " of docker swarm, "[1,0]<stderr>:" of mpirun.
_PREFIX = re.compile(
    r"^\s*(?:#\d+ (?:\d+\.\d+ )?|"
    r"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)) [\w.-]{1,64} [\w.@/-]{1,64}\[\d+\]: |"
    r"\[pod/[\w./-]{1,200}\] |[\w.-]{1,64}@[\w.-]{1,64}\s+\|\s|\[\d+,\d+\]<std(?:err|out)>:\s?|\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?\s+|"
    r"\[(?:default|rank|default rank)\s?\d+\]:\s?|(?:\d{1,5}\.\d{3}|\d{2}\.\d{2}|\d{3,5}\.\d) (?= *\S)|\(\w+ pid=\d+(?:, ip=[\d.]+)?\)\s|\d{1,4}: |[\w.-]{1,64}\s+\|\s)"
)
PREFIX_BYTES = re.compile(rb"(?:" + _PREFIX.pattern.encode() + rb")?(?:\s*(?:\xe2\x94\x82|\|) )?")
_FRAME = re.compile(r"^\s*(?:[│|]|╰─>|×|\|)?\s*")  # the frames and lines that pip and uv draw


def without_prefix(text: str) -> str:
    """Return a line without the prefixes of other programs; its own indentation is kept."""
    previous = None
    while previous != text:
        previous = text
        text = _PREFIX.sub("", text, count=1)
    return re.sub(r"^\s{0,40}(?:[│|] ?)+", "", text)


def clean(text: str) -> str:
    """Return a line without prefixes, frames, indentation and control characters."""
    previous = None
    while previous != text:
        previous = text
        text = _PREFIX.sub("", text, count=1)
    text = _FRAME.sub("", text, count=1)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text.strip()


def excerpt(text: str, start: int, end: int, most: int = 300) -> str:
    """Return the line around a match, cut at either side when it is longer than `most` characters."""
    if len(text) <= most:
        return clean(text)
    left = max(0, min(start - 40, end - most))
    piece = clean(text[left : left + most])
    return ("…" if left else "") + piece + ("…" if left + most < len(text) else "")
