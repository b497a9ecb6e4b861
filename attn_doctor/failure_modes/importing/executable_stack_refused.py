"""The system refuses a library that asks for an executable stack.

What it is
    A library can ask the loader to make the stack executable. glibc 2.41 and newer, and some hardened kernels and containers, refuse this for
    a library that is loaded later.

How it shows
    "ImportError: libtorch_cpu.so: cannot enable executable stack as shared object requires: Invalid argument", the same with
    libcudnn_cnn_infer.so.8, onnxruntime_pybind11_state or ctranslate2.

Why it happens
    Old builds were linked with this mark by mistake, and need it for nothing: of PyPI's wheels torch 1.10 to 1.12, onnxruntime up to 1.16 and
    ctranslate2 up to 4.5; of conda-forge's torch the builds from before February 2025. Distributions with glibc 2.41 or newer: Fedora 42, Ubuntu
    25.04, Debian 13, Arch.

What to do
    Upgrade the package. Or take the mark away from the file: `patchelf --clear-execstack FILE` (patchelf 0.18 and newer), or the command below,
    which needs only Python.

How to reproduce
    There is no recipe: an older glibc grants the request.

References
    https://www.gnu.org/software/libc/manual/html_node/Dynamic-Linking-Tunables.html (glibc.rtld.execstack)
    https://github.com/OpenNMT/CTranslate2/issues/1849 (4.6.0 has the repair)
    https://github.com/conda-forge/pytorch-cpu-feedstock/issues/350
    https://github.com/microsoft/onnxruntime/issues/24911 (a build for OpenVINO)
    https://github.com/NixOS/patchelf/releases/tag/0.18.0
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD345",
    slug="executable-stack-refused",
    title="A library asks for an executable stack",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("torch-install-broken", "requirements-missing"),
    signs=(
        Sign(
            pattern=r"(?P<file>[\w./+~-]{2,300}): cannot enable executable stack as shared object requires",
            literal="cannot enable executable stack",
            sample="ImportError: libtorch_cpu.so: cannot enable executable stack as shared object requires: Invalid argument",
        ),
    ),
)
# There is no `detect`: the mark is not among the facts about a library.

# Clears the bit PF_X (1) of the program header PT_GNU_STACK of a 64-bit ELF file: https://refspecs.linuxfoundation.org/elf/elf.pdf
_CLEAR = (
    "import struct, sys; f = open(sys.argv[1], 'r+b'); h = f.read(64); o, s, n = struct.unpack_from('<Q', h, 32)[0], *struct.unpack_from('<HH', h, 54); "
    "[(f.seek(o + i * s + 4), f.write(struct.pack('<I', 6))) for i in range(n) if not f.seek(o + i * s) < 0 and f.read(4) == b'\\x51\\xe5\\x74\\x64']; f.close()"
)


class Marked(Variant, frozen=True, kw_only=True):
    """Hold the file of the library, as the error names it: "libtorch_cpu.so"."""

    file: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    file = seen.group("file") or "a library"
    return Hit(
        message=f"{file.rpartition('/')[2]} asks for an executable stack, which this system refuses (glibc 2.41 and newer do). The library does not need it.",
        evidence=evidence,
        variant=Marked(file=file),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    file = hit.variant.file if isinstance(hit.variant, Marked) else "libtorch_cpu.so"
    verify = commands.check(facts)
    name = file.rpartition("/")[2]
    newer = commands.by_hand(
        (),
        f"upgrade the package that contains {name} (the folder above it in site-packages is the package): torch 1.13, onnxruntime 1.17, ctranslate2 4.6 "
        "and newer are linked without this mark on PyPI, conda-forge's torch since February 2025",
        "that package",
    )
    find = commands.by_hand(
        (
            *commands.starting(facts),
            "-c",
            f"import pathlib, site; print(*[p for d in site.getsitepackages() for p in pathlib.Path(d).rglob({name + '*'!r})], sep=chr(10))",
        ),
        f"prints where {name} is",
        "nothing",
        "none",
    )
    clear = commands.by_hand(
        (*commands.starting(facts), "-c", _CLEAR, file if "/" in file else f"PATH_OF_{name}"),
        "with the printed path at its end: takes the mark away from the file, which the library does not need. patchelf 0.18 does the same: patchelf --clear-execstack",
        "4 bytes of the library",
        "low",
        risk_text="changes an installed file; installing the package again undoes it",
    )
    # Debian 13's notes on glibc 2.41 name this value, upstream has it from 2.42 on.
    grant = commands.variable(
        "GLIBC_TUNABLES",
        "glibc.rtld.execstack=2",
        "where the file cannot be changed: Debian 13's glibc 2.41, and 2.42 and newer, then give the whole program an executable stack, which is less safe; start it in this shell",
    )
    return (
        Fix(title="Upgrade the package", steps=(newer,), verify=verify),
        Fix(title="Take the mark away from the library", steps=(find, clear), verify=verify),
        Fix(title="Let glibc grant it in this shell", steps=(grant,), verify=verify),
    )
