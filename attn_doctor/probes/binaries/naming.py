"""Read from the name of an extension file which Python imports it, and under which module name. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from attn_doctor.model.facts import Interpreter

_SUFFIXED = re.compile(r"(?P<module>[^.]+)\.(?P<tag>[^.]+)\.so")
_CPYTHON = re.compile(r"cpython-(\d)(\d+)(t?)")


class FileName(NamedTuple):
    """Hold the parts of "flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so". `tag` is None for a plain ".so"."""

    module: str
    tag: str | None


def parse(name: str) -> FileName:
    """Split the name of an extension file; a name without ".so" is a module without a tag."""
    match = _SUFFIXED.fullmatch(name)
    if match:
        return FileName(match["module"], match["tag"])
    return FileName(name.partition(".so")[0], None)


def refused(name: str, interpreter: Interpreter) -> str | None:
    """Return why the target would not import a file of this name, as a phrase; None if nothing in the name is against it."""
    tag = parse(name).tag
    suffix = interpreter.extension_suffix
    if tag is None or not isinstance(suffix, str) or suffix == f".{tag}.so":
        return None
    if tag == "abi3":
        # https://docs.python.org/3/howto/free-threading-extensions.html#limited-c-api-and-stable-abi
        if interpreter.free_threaded is True:
            return "it is for the stable ABI (abi3), and a free-threaded Python takes no such modules"
        return None
    match = _CPYTHON.match(tag)
    own = _CPYTHON.match(suffix.lstrip("."))
    if match and own and match.groups() == own.groups():
        return f"its name says {tag}; this Python looks for {suffix}"
    made_for = f"Python {match[1]}.{match[2]}{' free-threaded' if match[3] else ''}" if match else tag
    here = f"Python {own[1]}.{own[2]}{' free-threaded' if own[3] else ''}" if own else suffix
    return f"its name says {made_for}, and the target is {here}: Python ignores it"
