"""Small real extension modules, built with gcc in a moment, and what really happens when they are loaded.

A C file can ask for any C++ symbol by its mangled name, so no header of torch is needed:

    extern void asked(void) __asm__("_ZN3c104cuda9SetDeviceEi");
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")

# Python's own module structure, written out: tests need no Python headers. The same since 3.5, but for free-threaded ones.
MODULE = """
struct module { long count; void *type; void *init; long index; void *copy; const char *name; const char *doc;
                long size; void *methods, *slots, *traverse, *clear, *free; };
extern void *PyModule_Create2(struct module *, int);
static struct module definition = { 1, 0, 0, 0, 0, "%(name)s", 0, -1, 0, 0, 0, 0, 0 };
void *PyInit_%(name)s(void) { return PyModule_Create2(&definition, 1013); }
"""


def module(name: str, asks: Iterable[str] = (), weak: Iterable[str] = ()) -> str:
    """A Python module that refers to these symbols, by a call or weakly."""
    return MODULE % {"name": name} + references(asks, weak)


def references(asks: Iterable[str] = (), weak: Iterable[str] = ()) -> str:
    lines = []
    for number, symbol in enumerate(asks):
        lines.append(f'extern void asked{number}(void) __asm__("{symbol}");')
        lines.append(f"void call{number}(void) {{ asked{number}(); }}")
    for number, symbol in enumerate(weak):
        lines.append(f'extern int weak{number} __asm__("{symbol}") __attribute__((weak));')
        lines.append(f"int *reach{number}(void) {{ return &weak{number}; }}")
    return "\n".join(lines) + "\n"


def exports(*symbols: str) -> str:
    """Functions of these names."""
    return "".join(
        f'void given{number}(void) __asm__("{symbol}");\nvoid given{number}(void) {{}}\n'
        for number, symbol in enumerate(symbols)
    )


def build(path: Path, source: str, *flags: str, versions: str | None = None) -> Path:
    """Compile C text to a shared object. `versions`: a linker version script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.with_name(path.name + ".c")
    text.write_text(source)
    if versions is not None:
        script = path.with_name(path.name + ".map")
        script.write_text(versions)
        flags = (*flags, f"-Wl,--version-script={script}")
    command = ["gcc", "-shared", "-fPIC", "-O0", "-w", "-o", str(path), str(text), "-Wl,--no-as-needed", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


def library(path: Path, *symbols: str, flags: Sequence[str] = (), versions: str | None = None) -> Path:
    """A shared library that exports these, with its file name as its soname."""
    return build(path, exports(*symbols), f"-Wl,-soname,{path.name}", *flags, versions=versions)


def linked(*paths: Path) -> list[str]:
    """Flags that make a file need these libraries."""
    return [
        f"-Wl,--allow-shlib-undefined,--unresolved-symbols=ignore-all,-rpath-link,{p.parent}" for p in paths[:1]
    ] + [str(p) for p in paths]


# Imports what is named first, then tries each job in a process of its own, forked so that this costs no second import.
_TRIAL = """
import importlib, json, os, sys
first, jobs = json.loads(sys.stdin.read())
try:
    if first:
        importlib.import_module(first)
    started = ""
except BaseException as error:
    started = type(error).__name__ + ": " + str(error)
answers = []
for how, name, path in jobs:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            if how == "import":
                sys.path.insert(0, os.path.dirname(path))
                importlib.invalidate_caches()
                importlib.import_module(name)
            else:
                import ctypes
                ctypes.CDLL(path)
            text = ""
        except BaseException as error:
            text = type(error).__name__ + ": " + str(error)
        os.write(writing, ("." + text).encode("utf-8", "replace")[:60000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    status = os.waitpid(child, 0)[1]
    answers.append(said[1:] if said else "died of signal %d" % (status & 127))
print(json.dumps([started, answers]))
sys.stdout.flush()
os._exit(0)
"""


def really(
    jobs: Sequence[tuple[str, str, Path]],
    *,
    first: str | None = "torch",
    environ: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> tuple[str, list[str]]:
    """What the import of `first` and then each job ended with: "" where it worked, else the error's text.

    A job is ("import" or "load", module, path).
    """
    given = json.dumps([first, [[how, name, str(path)] for how, name, path in jobs]])
    done = subprocess.run(
        [python, "-c", _TRIAL],
        input=given,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, **(environ or {})},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    started, answers = json.loads(done.stdout.splitlines()[-1])
    return started, answers
