"""Write and compile the C sources of a recipe's small libraries and extension modules.

No header of Python or torch is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attn_doctor.failure_modes.recipe import Extension, Library

# Python's module structure, written out. It has been the same since 3.5 (not in free-threaded builds).
_MODULE = """
#include <stdlib.h>
#include <unistd.h>
struct module {{ long count; void *type; void *init; long index; void *copy; const char *name; const char *doc;
                long size; void *methods, *slots, *traverse, *clear, *free; }};
extern void *PyModule_Create2(struct module *, int);
static struct module definition = {{ 1, 0, 0, 0, 0, "{name}", 0, -1, 0, 0, 0, 0, 0 }};
void *PyInit_{name}(void) {{
    {body}
    return PyModule_Create2(&definition, 1013);
}}
"""


def extension(made: Extension) -> str:
    """Return the C source of a Python extension module."""
    return _MODULE.format(name=made.name, body=made.body) + _asking(made.asks)


def library(made: Library) -> str:
    """Return the C source of a shared library that exports these symbols, and uses those of `asks`."""
    given = [
        f'void given{number}(void) __asm__("{_name(symbol)}");\nvoid given{number}(void) {{}}'
        for number, symbol in enumerate(made.exports)
    ]
    return "\n".join([*given, _asking(made.asks)]) + "\n"


def _asking(symbols: Sequence[str]) -> str:
    """Return C functions that call these symbols by their mangled names."""
    return "\n".join(
        f'extern void asked{number}(void) __asm__("{_name(symbol)}");\nvoid call{number}(void) {{ asked{number}(); }}'
        for number, symbol in enumerate(symbols)
    )


def versions(made: Library) -> str | None:
    """Return a linker version script for the symbols that name a version; None if no symbol does."""
    named = [symbol.split("@") for symbol in made.exports if "@" in symbol]
    return "".join(f"{version} {{ global: {name}; }};\n" for name, version in named) or None


def _name(symbol: str) -> str:
    return symbol.partition("@")[0]


def argv(gcc: str, source: Path, to: Path, needs: Sequence[Path] = (), script: Path | None = None) -> list[str]:
    """Return the command that compiles a C source into a shared object.

    `needs`: libraries to link. `script`: a linker version script.
    """
    command = [gcc, "-shared", "-fPIC", "-O0", "-w", f"-Wl,-soname,{to.name}", "-o", str(to), str(source)]
    if script:
        command.append(f"-Wl,--version-script={script}")
    if needs:
        command += ["-Wl,--no-as-needed,--allow-shlib-undefined", *[str(path) for path in needs]]
    return command
