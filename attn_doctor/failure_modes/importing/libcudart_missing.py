"""A library that the extension was linked against is not found: in most cases the CUDA runtime of another major version.

What it is
    An extension needs certain libraries by name. libcudart.so.12 is the runtime of CUDA 12; a torch for CUDA 13 brings
    libcudart.so.13, and a torch for CUDA 11 libcudart.so.11.0. libc10.so is a part of torch: it is found only after `import torch`.

How it shows
    "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory" when flash_attn is imported; the same
    with libcudart.so.11.0, libc10.so, libcublas.so.12.

Why it happens
    The wheel was built for another major version of CUDA than torch. flash-attn up to 2.8.3 asks for the CUDA 12 wheel even if torch
    is for CUDA 13, and pip installs it if it exists (torch 2.9 and 2.10, Python 3.12). Or the extension is imported before torch:
    only `import torch` makes these libraries available.

What to do
    Install the wheel for the CUDA major version of torch, or a flash-attn release that asks for the right wheel. Import torch first.

How to reproduce
    `attn-doctor reproduce libcudart-missing` imports an extension that needs a CUDA runtime which is not installed. It downloads
    nothing.

References
    https://github.com/Dao-AILab/flash-attention/issues/631
    https://github.com/Dao-AILab/flash-attention/issues/2118
    https://github.com/Dao-AILab/flash-attention/pull/2618
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known, present
from attn_doctor.failure_modes.recipe import Extension, Gone, Library, Recipe
from attn_doctor.failure_modes.shared import nvidia_wheels, subject, torch_extensions, torch_steps, wheel_fixes
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence, cuda_build, package_evidence, text_of
from attn_doctor.failure_modes.shared.symbols import EXTENSIONS
from attn_doctor.failure_modes.shared.torch_facts import SERVERS
from attn_doctor.knowledge import wheels
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Binary, Facts, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import extension_tried, tried
from attn_doctor.model.versions import pair

MODE = FailureMode(
    code="AD303",
    slug="libcudart-missing",
    title="A library that the extension needs is not found",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=("yolo12-flash-not-used", "transformers-flash-attn-2-not-installed"),
    signs=(
        # torch's own loader raises OSError for the same library, and then torch is broken; torch_extensions tells the two apart. "dlerror" is in
        # a notice that TensorFlow prints on machines without a GPU.
        Sign(
            pattern=r"(?<!OSError: )(?<!dlerror: )\b(?P<library>libcudart\.so\.(?P<cuda>\d+)(?:\.\d+)?): cannot open shared object file",
            literal="libcudart.so.",
            sample="ImportError: libcudart.so.12: cannot open shared object file: No such file or directory",
        ),
        Sign(
            pattern=r"(?:^|[\s:])(?P<library>libc10\.so): cannot open shared object file",
            literal="libc10.so: cannot open",
            sample="ImportError: libc10.so: cannot open shared object file: No such file or directory",
        ),
        Sign(
            pattern=r"import flash_attn_\w+ as \w+|import flash_attn_\w*cuda\b",
            literal="import flash_attn_",
            sample="    import flash_attn_2_cuda as flash_attn_gpu",
            strength="context",
        ),
        Sign(
            pattern=r"from torch\._C import \*",
            literal="from torch._C import",
            sample="    from torch._C import *  # noqa: F403",
            strength="context",
        ),
        *torch_extensions.SIGNS,
    ),
    recipe=Recipe(
        does="imports an extension that needs a CUDA runtime which is not installed",
        of=(
            Library(path="link/libcudart.so.11.0"),
            Extension(name="flash_attn_2_cuda", needs=("link/libcudart.so.11.0",)),
            Gone(path="link"),
        ),
        run=(("{python}", "-c", "import flash_attn_2_cuda"),),
        shows="libcudart.so.11.0: cannot open",
        seconds=2,
    ),
)

_LIBRARY = re.compile(r"(lib(?:cudart|cublas\w*|cusparse\w*|nvrtc|c10)\.so[.\d]*): cannot open shared object file")
_RUNTIME = re.compile(r"libcudart\.so\.(\d+)")


class Missing(Variant, frozen=True, kw_only=True):
    """Hold the names of the libraries that were not found: "libcudart.so.12"."""

    libraries: tuple[str, ...]


def detect(facts: Facts) -> Hit | None:
    for attempt in tried(facts):
        found = _LIBRARY.search(text_of(attempt.fault))
        if attempt.module in EXTENSIONS and found:
            return Hit(
                message=_sentence(attempt.module, found[1], facts),
                evidence=(attempt_evidence(facts, attempt.module), fact(facts, "torch.cuda")),
                variant=Missing(libraries=(found[1],)),
                certainty=Certainty.OBSERVED,
            )
    if extension_tried(facts):
        return None  # the result of a real import counts more than the name of a file or its contents
    for index, binary in enumerate(facts.binaries if isinstance(facts.binaries, tuple) else ()):
        absent = _absent(binary)
        if binary.module in EXTENSIONS and binary.verdict == "fails" and absent:
            return Hit(
                message=_sentence(binary.module, absent, facts),
                evidence=(fact(facts, f"binaries.{index}.because", "; ".join(binary.because) or None),),
                variant=Missing(libraries=(absent,)),
            )
    return _by_name(facts) or _by_request(facts)


def _absent(binary: Binary) -> str | None:
    needs = binary.needs if isinstance(binary.needs, tuple) else ()
    return next((n.name for n in needs if n.found is None and _RUNTIME.match(n.name)), None)


def _sentence(module: str, library: str, facts: Facts) -> str:
    runtime = _RUNTIME.match(library)
    have = facts.torch.cuda
    if runtime and isinstance(have, str):
        return f"{module} was built for CUDA {runtime[1]} and needs {library}; your torch is built for CUDA {have}."
    return f"{module} needs {library}, and the loader finds it in none of its folders."


def _by_name(facts: Facts) -> Hit | None:
    """Find an installed flash-attn wheel whose name shows another CUDA major version than torch's."""
    wheel = facts.flash_attention.wheel_cuda
    if not every(
        lambda: known(facts.flash_attention.version) is not None,
        lambda: cuda_build(facts),
        lambda: known(wheel) is not None,
        lambda: _major(present(wheel)) != _major(present(facts.torch.cuda)),
    ):
        return None
    return Hit(
        message=f"flash-attn {facts.flash_attention.version} was built for CUDA {wheel}, your torch for CUDA {facts.torch.cuda}.",
        evidence=(package_evidence(facts, "flash-attn"), fact(facts, "torch.cuda")),
    )


def _by_request(facts: Facts) -> Hit | None:
    """Find a project file that pins a flash-attn whose setup.py would install an existing wheel for another CUDA major version."""
    key = key_of(facts)
    pins = facts.project.pins if isinstance(facts.project.pins, tuple) else ()
    for index, pin in enumerate(pins):
        wanted = re.match(r"flash[-_]attn\s*==\s*([\w.]+)\s*$", pin.requirement)
        parts = (key.torch, key.cuda, key.cxx11_abi, key.python, key.platform)
        if wanted is None or any(part is None or isinstance(part, Unknown) for part in parts):
            continue
        wheel = wheels.asked_for(
            wanted[1],
            torch=str(key.torch),
            cuda=str(key.cuda),
            cxx11_abi=bool(key.cxx11_abi),
            python=str(key.python),
            platform=str(key.platform),
        )
        if isinstance(wheel, Unknown) or wheel.cuda_major == _major(str(key.cuda)):
            continue
        exists = wheels.exists(wheel.filename)
        if not isinstance(exists, Unknown) and exists.yes:
            return Hit(
                message=f"flash-attn {wanted[1]} would install {wheel.filename}, built for CUDA {wheel.cuda_major}; "
                f"your torch is built for CUDA {key.cuda}.",
                evidence=(
                    fact(facts, f"project.pins.{index}.requirement", f"{pin.file} line {pin.line}: {pin.requirement}"),
                    fact(facts, "torch.cuda"),
                ),
            )
    return None


def _major(cuda: str) -> int | None:
    version = pair(cuda)
    return version[0] if version else None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs:
        return _loaded(facts, seen)
    variant = Missing(libraries=tuple(dict.fromkeys(m.groups["library"] for m in proofs)))
    context = [m for m in seen.matches if m.strength == "context"]
    first = proofs[0]
    near = [m for m in context if m.file == first.file and 0 < first.line - m.line <= 8]
    extension = any("flash_attn" in m.text for m in near)
    if any("torch._C" in m.text for m in near) and not extension:
        return Hit(
            message=f"torch itself does not find {first.groups['library']}: its nvidia packages are missing or damaged.",
            evidence=evidence,
            variant=variant,
            confidence=Confidence.MEDIUM,
        )
    cuda = first.groups.get("cuda")
    message = (
        f"An extension was built for CUDA {cuda}, and {first.groups['library']} is not installed: torch is built for another CUDA."
        if cuda
        else f"{first.groups['library']} was not found: the extension was imported before torch, or torch is not installed."
    )
    return Hit(message=message, evidence=evidence, variant=variant)


class LoadedByTorch(Variant, frozen=True, kw_only=True):
    """Hold the packages that torch loaded and that were built for another CUDA; none if the log does not name them."""

    packages: tuple[str, ...]


def _loaded(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for a package that torch or Python loads with ctypes, whose failure is an OSError; None if torch itself is broken."""
    found = torch_extensions.told(facts, seen.matches)
    if found is None:
        return None
    names = found.packages
    who = "An extension" if not names else names[0] if len(names) == 1 else f"One of {', '.join(names)}"
    torch = (
        f"the installed torch is built for CUDA {facts.torch.cuda}"
        if isinstance(facts.torch.cuda, str)
        else "torch brings that of another CUDA"
    )
    return Hit(
        message=f"{who} needs {found.library}, of CUDA {found.cuda}, and {torch}.",
        evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in found.lines),
        variant=LoadedByTorch(packages=found.packages),
        severity=Severity.ERROR,
        confidence=Confidence.HIGH if found.by_loader else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, LoadedByTorch):
        return torch_extensions.fixes(facts, hit.variant.packages)
    first: tuple[Fix, ...] = ()
    if isinstance(hit.variant, Missing) and "libc10.so" in hit.variant.libraries:
        name = subject.stated(facts)
        module = f", {name.replace('-', '_')}" if name and name.replace("-", "_").isidentifier() else ""
        look = commands.by_hand(
            (*commands.starting(facts), "-c", f"import torch{module}"),
            "must print no error: then nothing is broken. If `import torch` fails, install torch first",
            "nothing",
            "none",
        )
        step = commands.by_hand((), "write `import torch` before the import of the extension", "your program", "none")
        first = (
            Fix(
                title="Import torch first",
                steps=(look, step) if facts.grade == "stated" else (step,),
                verify=commands.check(facts),
            ),
        )
    made = wheel_fixes.fixes(facts, "it was built for another CUDA than torch")
    runtime = (
        _runtime(facts, hit.variant) if isinstance(hit.variant, Missing) and subject.package(facts) is None else ()
    )
    return (*first, *_torch_of(facts, hit), *runtime, *made)


def _torch_of(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    """Return the fix for a server that was built for another CUDA than torch: the same torch for that CUDA; empty for other packages."""
    version, server = facts.torch.version, subject.package(facts)
    if not isinstance(hit.variant, Missing) or server not in SERVERS or not isinstance(version, str):
        return ()
    found = next((match for name in hit.variant.libraries if (match := _RUNTIME.match(name))), None)
    flavours = {"13": "13.0", "12": "12.8"}
    if found is None or found[1] not in flavours or f"+cu{found[1]}" in version:
        return ()
    why = f"{server} was built for CUDA {found[1]}: the same torch for that CUDA; CUDA 13 needs driver 580 or newer"
    steps = torch_steps.release(facts, version.partition("+")[0], why, flavours[found[1]], reinstall=True)
    return (
        Fix(
            title=f"Install torch {version.partition('+')[0]} for CUDA {found[1]}",
            steps=steps,
            verify=subject.verify(facts),
        ),
    )


def _runtime(facts: Facts, missing: Missing) -> tuple[Fix, ...]:
    """Return the fix for a package that the log does not name: install the CUDA runtime that it needs, in addition to torch's."""
    found = next((match for name in missing.libraries if (match := _RUNTIME.match(name))), None)
    if found is None or facts.system.os == "windows":
        return ()
    name = f"nvidia-cuda-runtime-cu{found[1]}" if int(found[1]) < _UNNAMED else f"nvidia-cuda-runtime=={found[1]}.*"
    get = commands.install(
        name,
        why=f"the package needs the runtime of CUDA {found[1]}, and torch brings another one: both can be installed. This does not help a package that "
        "calls torch, which has to be built for torch's CUDA: see the next fix",
        changes=f"adds {name}",
    )
    path = nvidia_wheels.on_the_path(
        facts, "adds its folder, so that the loader searches it in this shell; then start the program again"
    )
    return (Fix(title=f"Install the runtime of CUDA {found[1]}", steps=(get, *path), verify=commands.check(facts)),)


_UNNAMED = 13  # the first CUDA major version that is not a part of the wheels' names: https://pypi.org/project/nvidia-cuda-runtime/
