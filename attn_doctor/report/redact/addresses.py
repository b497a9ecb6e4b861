"""Distinguish IPv4 addresses from versions: NVIDIA's libraries have versions of four numbers, such as 12.6.85.1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_NUMBERS = r"\d{1,4}(?:\.\d{1,4}){3}(?![\w.]*\w)"
_FOUR = re.compile(r"(?<![\w.])" + _NUMBERS)
_REQUIRED = re.compile(r"[=<>~]\s*(" + _NUMBERS + ")")
_ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\d|\.\d)")
_REVERSED = re.compile(r"(?i)(?<![\d.])(?:\d{1,3}\.){4}(?=in-addr\.arpa)")
_HARMLESS = re.compile(r"127\.|0\.0\.0\.0$|255\.255\.")
_PRIVATE = re.compile(
    r"10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|169\.254\."
)

# Words before a version: a library of CUDA, torch, a word for versions, or the beginning of a list of versions.
_LIBRARY = r"(?:cudnn|cublas|cublaslt|cusparse|cusparselt|cusolver|cufft|cufile|curand|cupti|nccl|nvrtc|nvtx|nvjitlink|nvshmem|nvjpeg|npp|nvvm|nvcc|nvfatbin|nvptxcompiler|cccl)"
_BEFORE_A_VERSION = re.compile(
    rf"(?i)(?:(?<![\w-])(?:(?:nvidia[-_ ])?(?:cuda[-_])?(?:lib)?{_LIBRARY}(?:[-_ ]?(?:dev|dev-)?\d*)?(?:[-_ ]cu(?:da)?[-_]?[\d.-]*)?|nvidia[-_](?!smi\b)[a-z0-9_-]{{2,40}}|"
    r"(?:py)?torch(?:vision|audio)?|triton|cuda(?:[-_](?:toolkit|runtime|nvcc))?|tensorrt|flash[-_]attn|(?:lib)?opencv[\w-]*|version|ver|v)"
    r"[\s(=<>~!:,'\"_-]{0,4}|[=<>~!]=\s?|\byou(?:'ll)? have \(?)$"
)
_NEAR = 80  # letters before a number in which the name of a library may begin
_LIST = re.compile(r"(?i)\bversions?:? (?:[\w.+-]{1,40}, ?)*$")
_REACH = 400  # letters before a number in which a list of versions may begin
# The toolkit's own packages: 11 to 13, and a minor version of one digit. Other machines have such addresses too, so not behind a word for one.
_OF_THE_TOOLKIT = re.compile(r"1[123]\.\d\.\d{1,3}\.\d{1,3}")
_ADDRESSED = re.compile(
    r"(?i)(?:\b(?:host|hosts|addr|address|ip|ipv4|inet|peer|via|ssh|ping|server|node|gateway|route|dns|nameserver|listen|bind|proxy|endpoint|url|master|src|dst|port)\w*[\s:=\"'(]{0,4}|\b(?:connect\w*|bound|listening|reach\w*|packets?|request\w*|reply|respon\w+|redirect\w*|call\w*|route) (?:to|from|on|at) |//|@)$"
)
_LARGE = 100  # few versions begin so
_PORT = re.compile(r":\d{2,5}\b|/\d{1,2}\b(?!/)")
_AFTER_A_VERSION = re.compile(
    r"[-+~]\d+(?![.\d])(?!-\d)|rc\d|\.?dev\d|\.?post\d|[ab]\d|-py|-cp|\.dist-info|\.egg|\.whl|\.tar|\.zip|\.deb|\.rpm|-linux|-win|_linux|-manylinux|[-_](?:amd64|x86_64|aarch64|arm64)|\+"
)

_VERSION_FIELDS = frozenset(("version", "found", "driver", "libcuda_version", "cudnn", "kernel_module"))
# Fields with these names are versions and tags: four numbers in them are not an address, if the whole value is a version.
VERSIONS = frozenset(
    "version wheel_tag driver driver_cuda kernel kernel_module libcuda_version rocm cuda hip cudnn compute_capability tag ninja cmake git glibc "
    "glibcxx distribution_version installers fa3 fa4 wheel_torch wheel_cuda".split()
)
# Numbers, a pre-release, and what PyTorch, CUDA and Linux distributions put behind them: https://peps.python.org/pep-0440/
_VERSION = re.compile(
    r"(?:(?:pip|uv|conda|mamba|poetry|pdm|pixi) )?v?\d{1,6}(?:[._-]\d{1,8}){0,6}(?:[._-]?(?:a|b|c|rc|alpha|beta|dev|post|pre)[._-]?\d{0,10}){0,3}"
    r"(?:\+(?:cu\d{2,3}|cpu|xpu|rocm[\d.]{1,8}|git[0-9a-f]{7,40}|nv\d\d\.\d\d|computecanada|cxx11\.abi|torch\d[\d.]{0,6}|[._]){1,6})?"
)


def is_version(text: str) -> bool:
    """Return whether a text is nothing but a version."""
    return len(text) <= 120 and _VERSION.fullmatch(text) is not None


def versions_of(value: Any, name: str = "") -> set[str]:
    """Return the texts such as "1.2.3.4" that are versions and not addresses: in a version field, or after == in a requirement.

    `value`: plain data. `name`: the field that contains it.
    """
    if isinstance(value, dict):
        return set().union(*(versions_of(item, key) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return set().union(*(versions_of(item, name) for item in value))
    if not isinstance(value, str):
        return set()
    if name in ("requires", "requirement"):
        return set(_REQUIRED.findall(value))
    return set(_FOUR.findall(value)) if name in _VERSION_FIELDS and is_version(value) else set()


def addresses(text: str, versions: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each IPv4 address, except those that every machine has, such as 127.0.0.1.

    `versions`: texts of four numbers that are versions elsewhere in the report.
    """
    if text.count(".") < 3:
        return
    for match in _ADDRESS.finditer(text):
        if all(int(part) <= 255 for part in match[0].split(".")) and not _is_version(match, versions):
            yield match.span()
    yield from (match.span() for match in _REVERSED.finditer(text))


def _is_version(match: re.Match[str], versions: frozenset[str]) -> bool:
    """Return whether four numbers are a version, or an address that every machine has (127.0.0.1)."""
    text, number = match.string, match[0]
    if _HARMLESS.match(number):
        return True
    before = text[max(match.start() - _REACH, 0) : match.start()]
    addressed = _ADDRESSED.search(before[-24:]) is not None or _PORT.match(text, match.end()) is not None
    if number in versions and not addressed:
        return True
    if _BEFORE_A_VERSION.search(before[-_NEAR:]) or ("ersion" in before and _LIST.search(before)):
        return True
    private = _PRIVATE.match(number) is not None
    if before[-1:].isalpha() or before[-1:] in ("-", "_", "+"):
        if _AFTER_A_VERSION.match(text, match.end()):
            return True
        return not private and int(number.partition(".")[0]) < _LARGE
    after = text[match.end() : match.end() + 1]
    if (
        after.isalpha()
        or after in ("-", "_", "+", "~")
        or (after == "." and text[match.end() + 1 : match.end() + 2].isalnum())
    ) and not private:
        return not addressed and int(number.partition(".")[0]) < _LARGE
    return not addressed and _OF_THE_TOOLKIT.fullmatch(number) is not None
