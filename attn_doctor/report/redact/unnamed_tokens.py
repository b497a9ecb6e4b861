"""Find tokens that no row of `token_shapes.SHAPES` describes: letters and digits in random order, often behind a prefix such as "rf_"."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

# uv names its folders by 21 letters of base 62, so that a text without a prefix must be longer.
_ALONE = re.compile(r"(?<![A-Za-z0-9+])[A-Za-z0-9]{28,400}(?![A-Za-z0-9])")
_PREFIX = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9]{1,14}(?:[-_.:][a-z]{1,8})?[-_.]$")
_ADDRESS = re.compile(r"[a-z]{2,10}://[^\s'\"<>]{0,200}/$")
_PREFIXED = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9]{0,9}[-_](?P<body>[A-Za-z0-9]{20,400})(?![A-Za-z0-9])")
# What a service writes between its name and its token: "rzp_live_", "sm_pat_", "vercel_blob_rw_".
_OF_A_KIND = re.compile(
    r"(?<![A-Za-z0-9])[a-z][a-z0-9]{1,9}(?:_[a-z0-9]{2,8})?_(?:live|prod|test|sandbox|sec|secret|pat|aat|sat|oat|uat|rw|ro|sk|pk|pr|ma|key|api|svc|cloud|token)"
    r"_(?P<body>[A-Za-z0-9]{12,400})(?:_(?:secret_)?[A-Za-z0-9]{8,400})*(?![A-Za-z0-9])"
)
# Base64 for addresses: "-" and "_" are letters. A name of parts has more of them.
_FOR_ADDRESSES = re.compile(
    r"(?<![A-Za-z0-9+/=_-])(?:[A-Za-z][A-Za-z0-9]{1,9}[-_])?(?P<body>[A-Za-z0-9_-]{40,400})(?![A-Za-z0-9_-])"
)
# A value in a web address: "?ml=X"
_IN_QUERY = re.compile(r"[?&#;][\w.%\[\]-]{1,40}=(?P<body>[A-Za-z0-9_-]{20,400})(?![\w.+/-])")
_CHANGES = 0.48  # of two neighbours; 0.64 by chance in base 62, 0.40 in base 36
_CHANGES_OF_SHORT = 0.5
_CHANGES_IN_BASE_36 = 0.27
_PART = 9  # letters of a part between two signs, on average
# SHA-256 in base 32, as Inductor names what it has compiled: 51 letters, often after a letter such as "c" or "f"
# (https://github.com/pytorch/pytorch/blob/v2.9.0/torch/_inductor/codecache.py, `code_hash`).
BASE_32_HASH = re.compile("[a-z]?[a-z2-7]{51,52}(?![A-Za-z0-9])")
_HASHES = frozenset((32, 40, 56, 64, 96, 128))  # digits of MD5, SHA-1, SHA-2


def tokens(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each token without a known shape. A prefix such as "rf_" is a part of it.

    In a web address with "?ml=X", only X is.
    """
    for match in _ALONE.finditer(text):
        if is_mixed(match[0]) and _changes(match[0]) >= _CHANGES:
            begin = match.start()
            if text[begin - 1 : begin] != "/" or _ADDRESS.search(text, max(begin - 220, 0), begin):
                before = _PREFIX.search(text, max(begin - 24, 0), begin)
                yield (before.start() if before else begin), match.end()
    for match in _IN_QUERY.finditer(text) if "://" in text or "=" in text else ():
        letters = re.sub("[_-]", "", match["body"])
        if (
            len(letters) >= _PART * (len(match["body"]) - len(letters) + 1)
            and is_mixed(letters)
            and _changes(letters) >= _CHANGES
        ):
            yield match.span("body")
    if "_" not in text and "-" not in text:
        return
    for match in _PREFIXED.finditer(text):
        if _is_by_chance(match["body"]):
            yield match.span()
    for match in _OF_A_KIND.finditer(text):
        body = match["body"]
        hexadecimal = len(body) >= 20 and _is_hexadecimal(body) and _has_both(body)
        if hexadecimal or (is_mixed(body) and _changes(body) >= _CHANGES_OF_SHORT) or _is_by_chance(body):
            yield match.span()
    for match in _FOR_ADDRESSES.finditer(text):
        letters = re.sub("[_-]", "", match["body"])
        parts = len(match["body"]) - len(letters) + 1
        if len(letters) >= _PART * parts and is_mixed(letters) and _changes(letters) >= _CHANGES:
            yield match.span()


def is_mixed(text: str) -> bool:
    """Return whether a text mixes small letters, capitals and digits, as a token does.

    Few words and paths do, and no hexadecimal hash.
    """
    return any(map(str.islower, text)) and any(map(str.isupper, text)) and any(map(str.isdigit, text))


def _is_by_chance(body: str) -> bool:
    """Return whether a text behind a prefix is a token: of base 62 with 20 letters, of base 36 with 32, of hexadecimal digits that are no hash."""
    if is_mixed(body):
        return _changes(body) >= _CHANGES_OF_SHORT
    if BASE_32_HASH.fullmatch(body):
        return False
    if _is_hexadecimal(body):
        return len(body) > min(_HASHES) and len(body) not in _HASHES and _has_both(body)
    return len(body) >= min(_HASHES) and _has_both(body) and _changes(body) >= _CHANGES_IN_BASE_36


def _is_hexadecimal(text: str) -> bool:
    return re.fullmatch("[0-9a-f]+|[0-9A-F]+", text) is not None


def _has_both(text: str) -> bool:
    return any(map(str.isdigit, text)) and any(map(str.isalpha, text))


def _changes(text: str) -> float:
    """Return in how many pairs of neighbours the kind changes (small letter, capital, digit), as a part of one.

    Of two neighbours in base 62, 64 of 100 pairs are of two kinds. Names have fewer: a mangled C++ name of torch, as
    "_ZN3c105ErrorC2ENS_14SourceLocationE", has 35.
    """
    kinds = ["d" if one.isdigit() else "u" if one.isupper() else "l" for one in text]
    return sum(one != other for one, other in itertools.pairwise(kinds)) / max(len(text) - 1, 1)
