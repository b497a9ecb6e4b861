"""Remove private data from a report. Placeholders are the same within a report and between runs.

`<home>`, `<user>` and `<host>` replace this machine's own names, so that the machine that wrote a report can restore them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from attn_doctor import commands
from attn_doctor.model.steps import Step
from attn_doctor.system.own_names import Own

# Accounts and host names that identify nobody.
_COMMON = frozenset(
    "root user users ubuntu debian admin docker jovyan colab kaggle runner vscode nobody localhost home host python "
    "torch cuda nvidia conda test build workspace".split()
)


_TOKEN = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|hf_[A-Za-z0-9]{20,}|glpat-[\w-]{20,}|sk-[\w-]{20,}|"
    r"AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,}|pypi-[\w-]{40,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*)"
)
_NAMED_SECRET = re.compile(
    r"(?i)\b([\w-]*(?:password|passwd|secret|api_?key|access_?key|auth_?token|token))(\s*[=:]\s*)(['\"]?)([^\s'\"&,;]{6,})"
)
_CREDENTIALS = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@'\"]+@")
_UUID = re.compile(r"(?i)\b(?:GPU-|MIG-)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_MAC = re.compile(r"(?i)\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b")
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b")
# Not after a dash or a letter: 12.4.5.8 in "nvidia_cublas_cu12-12.4.5.8-py3-none-any.whl" is a version.
_IPV4 = re.compile(r"(?<![\w.+-])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.-]*\w)")
_IPV6 = re.compile(
    r"(?i)(?<![\w:])(?:(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}|"
    # With "::" only what begins as an address does (2000::/3, fc00::/7, fe80::/10): c10::cuda is a name of C++, and [0:10::2] a slice.
    r"(?:[23][0-9a-f]{3}|f[cd][0-9a-f]{2}|fe[89ab][0-9a-f])(?::[0-9a-f]{1,4}){0,6}::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?)"
    r"(?!\w|:[\w:])"
)
_HOMES = re.compile(r"(?i)(?:/home/|/Users/|[A-Z]:\\\\?Users\\\\?)([^/\\\s'\":]+)")
_SERIAL = re.compile(r"(?i)\b(serial(?:[ _-]?(?:number|no))?\s*[:=]\s*)([\w-]{6,})")
_HARMLESS_IPS = ("127.", "0.0.0.0", "255.255.255")  # noqa: S104 - texts, no sockets

# Fields with these names are versions and tags: four numbers in them are not an address.
_VERBATIM = frozenset(
    "version wheel_tag driver driver_cuda kernel kernel_module libcuda_version rocm cuda hip cudnn compute_capability tag ninja cmake"
    " git glibc glibcxx distribution_version installers fa3 fa4 wheel_torch wheel_cuda slug code created".split()
)


_NUMBERS = r"\d{1,4}(?:\.\d{1,4}){3}(?![\w.]*\w)"
_FOUR = re.compile(r"(?<![\w.])" + _NUMBERS)
_REQUIRED = re.compile(r"[=<>~]\s*(" + _NUMBERS + ")")
# Words before a version: a library of CUDA, torch, a word for versions, or the beginning of a list of versions.
_LIBRARY = r"(?:cudnn|cublas|cublaslt|cusparse|cusparselt|cusolver|cufft|cufile|curand|cupti|nccl|nvrtc|nvtx|nvjitlink|nvshmem|nvjpeg|npp)"
_BEFORE_A_VERSION = re.compile(
    rf"(?i)(?:(?<![\w-])(?:(?:nvidia[-_ ])?(?:cuda[-_])?(?:lib)?{_LIBRARY}(?:[-_]cu\d+)?|nvidia[-_][a-z0-9_-]+[-_]cu\d+|"
    r"(?:py)?torch(?:vision|audio)?|triton|cuda(?:[-_](?:toolkit|runtime|nvcc))?|tensorrt|flash[-_]attn|version|v)"
    r"[\s(=<>~!:,'\"]{0,4}|[=<>~!]=\s?|\byou(?:'ll)? have \(?|\bversions?:? (?:[\w.+-]+, ?)*)$"
)
_REACH = 400  # letters before a number in which a list of versions may begin


def _versions_of(value: Any, name: str = "") -> set[str]:
    """Return the texts such as "1.2.3.4" that are versions and not addresses: they are in a version field, or after == in a requirement."""
    if isinstance(value, dict):
        return set().union(*(_versions_of(item, key) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return set().union(*(_versions_of(item, name) for item in value))
    if not isinstance(value, str):
        return set()
    if name in ("requires", "requirement"):
        return set(_REQUIRED.findall(value))
    return set(_FOUR.findall(value)) if name in _VERSION_FIELDS else set()


_VERSION_FIELDS = frozenset(("version", "found", "driver", "libcuda_version", "cudnn", "kernel_module"))


class _Redactor:
    def __init__(self, own: Own, versions: frozenset[str] = frozenset()) -> None:
        self._versions = versions
        self.count: Counter[str] = Counter()
        self._known: dict[str, dict[str, str]] = {}
        self._own: list[tuple[re.Pattern[str], str, str]] = []
        if len(own.home) > 1:
            self._own.append((re.compile(re.escape(own.home) + r"(?![\w.-])"), "home", "<home>"))
        for kind, name in (("user", own.user), ("host", own.host)):
            if len(name) >= 3 and name.lower() not in _COMMON:
                word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
                self._own.append((word, kind, f"<{kind}>"))

    def text(self, text: str) -> str:
        for pattern, kind, placeholder in self._own:
            text, times = pattern.subn(placeholder, text)
            self.count[kind] += times
        text = self._sub(_CREDENTIALS, text, lambda m: m[1] + self._counted("credentials", "<credentials>") + "@")
        text = self._sub(_TOKEN, text, lambda m: self._named("token", m[0]))
        text = self._sub(_NAMED_SECRET, text, lambda m: m[1] + m[2] + m[3] + self._named("secret", m[4]))
        text = self._sub(_UUID, text, lambda m: self._named("uuid", m[0]))
        text = self._sub(_SERIAL, text, lambda m: m[1] + self._named("serial", m[2]))
        text = self._sub(_MAC, text, lambda m: self._named("mac", m[0]))
        text = self._sub(_EMAIL, text, lambda m: m[0] if m[0].startswith("git@") else self._named("email", m[0]))
        text = self._sub(_IPV6, text, lambda m: self._named("ip", m[0]))
        text = self._sub(_IPV4, text, lambda m: m[0] if self._no_address(m) else self._named("ip", m[0]))
        return self._sub(_HOMES, text, self._home)

    def _no_address(self, match: re.Match[str]) -> bool:
        """Return whether four numbers are a version, or a public address."""
        if match[0].startswith(_HARMLESS_IPS) or match[0] in self._versions:
            return True
        before = match.string[max(match.start() - _REACH, 0) : match.start()]
        return _BEFORE_A_VERSION.search(before) is not None

    def _home(self, match: re.Match[str]) -> str:
        if match[1].startswith("<"):
            return match[0]
        return match[0][: match.start(1) - match.start()] + self._named("user", match[1])

    @staticmethod
    def _sub(pattern: re.Pattern[str], text: str, replace: Callable[[re.Match[str]], str]) -> str:
        return pattern.sub(replace, text)

    def _counted(self, kind: str, placeholder: str) -> str:
        self.count[kind] += 1
        return placeholder

    def _named(self, kind: str, value: str) -> str:
        """Return a placeholder with a number of its own for each value, the same at each place."""
        if value.startswith("<"):
            return value
        self.count[kind] += 1
        known = self._known.setdefault(kind, {})
        return known.setdefault(value, f"<{kind}-{len(known) + 1}>")

    def value(self, value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            return value if name in _VERBATIM else self.text(value)
        if isinstance(value, list | tuple):
            return [self.value(item, name) for item in value]
        if isinstance(value, dict):
            return _quoted_anew({key: self.value(item, key) for key, item in value.items()})
        return value


def _quoted_anew(cleaned: dict[str, Any]) -> dict[str, Any]:
    """Return a planned step whose lines for shells are made from its redacted words: a shell reads a bare <home> as two redirections."""
    shown, step = cleaned.get("shown"), cleaned.get("step")
    if not isinstance(shown, dict) or not isinstance(step, dict):
        return cleaned
    made = msgspec.convert(step, Step)
    return {**cleaned, "shown": {shell: commands.shown(made, shell) for shell in shown}}


def redact(data: dict[str, Any], own: Own | None = None) -> dict[str, Any]:
    """Return the plain data of a report without private data; `redacted` holds what was replaced: {kind: count}."""
    redactor = _Redactor(own or Own.of_this_machine(), frozenset(_versions_of(data)))
    cleaned: dict[str, Any] = redactor.value({k: v for k, v in data.items() if k != "redacted"})
    cleaned["redacted"] = {kind: n for kind, n in sorted(redactor.count.items()) if n}
    return cleaned
