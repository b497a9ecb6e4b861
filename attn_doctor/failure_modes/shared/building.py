"""Answer questions about building flash-attn that several rules ask of facts and logs, and make the fixes without a build.

Pure. A function raises Unsure if the facts do not have the answer, unless its docstring says otherwise.
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Sign, Unsure, every, known, present
from attn_doctor.failure_modes.shared import (
    package_cures,
    package_wheels,
    subject,
    wheel_fixes,
    wheel_without_compiling,
)
from attn_doctor.failure_modes.shared.fact_queries import cuda_build
from attn_doctor.knowledge import built_packages, flash_attention, wheels
from attn_doctor.knowledge.build import BuildKey, HostCompiler, Prediction, predict
from attn_doctor.knowledge.wheel_key import Key, key_of
from attn_doctor.knowledge.wheels import Wheel
from attn_doctor.knowledge.yes_no_unknown import Answer, Judgement, no
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model import machine
from attn_doctor.model.facts import Compiler, Facts, Toolkit, Unknown
from attn_doctor.model.findings import Evidence, Fix
from attn_doctor.model.requirements import read_requirement
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

FLASH_ATTN = subject.FLASH_ATTN
FAILED = "build-failed-unspecified"  # its signs are lines that every failed build prints

# Paths in the environment of an isolated build. Its torch comes from PyPI; on Windows that is a CPU build.
ISOLATED = tuple(
    Sign(pattern=pattern, literal=literal, sample=sample, strength="context")
    for pattern, literal, sample in (
        (
            r"[\\/](?P<isolated>pip-build-env-)",
            "pip-build-env-",
            "/var/tmp/pip-build-env-a6ru8u3d/overlay/torch/x.py",  # noqa: S108 - a line of a log
        ),
        (
            r"[\\/]uv[\\/].{0,12}(?P<isolated>builds-v)\d",
            "builds-v",
            "/home/me/.cache/uv/builds-v0/.tmpa6ru8u/lib/python3.11/site-packages/torch/x.py",
        ),
    )
)


def works(facts: Facts) -> bool:
    """Return whether flash-attn 2 is installed and was not seen to fail. Raises Unsure if that is not known."""
    return known(machine.flash_attn(facts)) in ("works", "not tried")


def wanted_release(facts: Facts) -> str:
    """Return the release of flash-attn that would be built ("2.8.3"): the pinned, else the installed, else the newest for this Python.

    If the Python is not known: the newest of all. Never raises Unsure.
    """
    for pin in facts.project.pins if isinstance(facts.project.pins, tuple) else ():
        exact = _exactly(pin.requirement)
        if exact is not None:
            return exact
    installed = facts.flash_attention.version
    if isinstance(installed, str):
        return installed.partition("+")[0]
    python = facts.interpreter.version
    for row in flash_attention.releases():
        fits = flash_attention.supports_python(row.release, python) if isinstance(python, str) else None
        if not isinstance(fits, Answer) or fits.yes:
            return row.release
    return flash_attention.latest().release


def _exactly(text: str) -> str | None:
    requirement = read_requirement(text)
    if requirement is None:
        return None
    if requirement.name.lower().replace("_", "-") != FLASH_ATTN or requirement.url:
        return None
    exact = [s.version for s in requirement.specifier if s.operator in ("==", "===") and "*" not in s.version]
    return exact[0] if len(exact) == 1 else None


def asked_for(facts: Facts, release: str) -> Wheel:
    """Return the wheel that the setup.py of this release would try to download here."""
    key = key_of(facts)
    return known(
        wheels.asked_for(
            release,
            torch=present(key.torch),
            cuda=known(key.cuda),
            cxx11_abi=present(key.cxx11_abi),
            python=present(key.python),
            platform=present(key.platform),
        )
    )


def wheel_is_there(facts: Facts, release: str) -> Judgement:
    """Judge whether setup.py would find its wheel. For a release that is not in the table, the newest release in the table decides."""
    asked = wheels.exists(asked_for(facts, release).filename)
    if isinstance(asked, Answer):
        return asked
    listed = next((r.release for r in flash_attention.releases() if wheels.of_release(r.release)), None)
    if listed is None or listed == release:
        return asked
    nearby = wheels.exists(asked_for(facts, listed).filename)
    if isinstance(nearby, Answer) and not nearby.yes:
        return no(f"{nearby.why}, and the wheels of {release} are not listed", verified=False)
    return asked


def setup_would_run(facts: Facts) -> bool:
    """Return whether pip would run flash-attn's setup.py here: on Linux or Windows, with a CUDA torch, unless flash-attn seems to work.

    An installed flash-attn that was not seen to fail counts as working. Raises Unsure if a fact that decides is not known.

    setup.py looks for nvcc and imports build tools before it looks for a finished wheel.
    """
    return every(
        lambda: known(facts.system.os) in ("linux", "windows"),
        lambda: not works(facts),
        lambda: cuda_build(facts),
    )


def would_be_built(facts: Facts) -> bool:
    """Return whether installing flash-attn here would compile it: its setup.py would run, and would find no finished wheel."""
    return every(lambda: setup_would_run(facts), lambda: not _surely_there(facts))


def _surely_there(facts: Facts) -> bool:
    """Return whether a finished wheel of the wanted release fits. Raises Unsure if that depends on an unknown fact."""
    key = key_of(facts)
    parts = (key.torch, key.cuda, key.cxx11_abi, key.python, key.platform)
    if any(part is None for part in parts):
        return False
    doubt = next((part for part in parts if isinstance(part, Unknown)), None)
    if doubt is not None:
        # Where no wheel of the release agrees with the known parts of the key, the unknown parts do not matter.
        if any(_may_be_named(wheel, key) for wheel in wheels.of_release(wanted_release(facts))):
            raise Unsure(doubt)
        return False
    found = wheel_is_there(facts, wanted_release(facts))
    return isinstance(found, Answer) and found.yes


def _may_be_named(wheel: Wheel, key: Key) -> bool:
    """Return whether the name of this wheel agrees with the known parts of the key."""
    pairs = (
        (key.torch, lambda torch: pair(torch) == pair(wheel.torch)),
        (key.cxx11_abi, lambda abi: abi is wheel.cxx11_abi),
        (key.python, lambda python: python == wheel.python),
        (key.platform, lambda platform: platform == wheel.platform),
    )
    return all(isinstance(value, Unknown) or agrees(value) for value, agrees in pairs)


def toolkit(facts: Facts) -> Toolkit | None:
    """Return the toolkit with which PyTorch would build; None if PyTorch finds none, or finds a folder that is no toolkit."""
    by = known(facts.toolchain.cuda_home_by)
    if by is None:
        return None
    way = "PATH" if by == "nvcc on PATH" else by
    return next((t for t in known(facts.toolchain.toolkits) if _found_by(t, way)), None)


def toolkit_path(facts: Facts, chosen: Toolkit) -> str:
    """Return the path of a toolkit in the facts: "toolchain.toolkits.0". `chosen` must be one of them."""
    listed = known(facts.toolchain.toolkits)
    return f"toolchain.toolkits.{next(i for i, t in enumerate(listed) if t is chosen)}"


def _found_by(candidate: Toolkit, way: str) -> bool:
    """Return whether this toolkit was found in this way: "PATH", "CUDA_HOME"."""
    return any(text.partition(",")[0] == way for text in candidate.found_by)


def nvcc(facts: Facts) -> str | None:
    """Return the version of the nvcc that PyTorch would call ("12.4"); None if there is none."""
    chosen = toolkit(facts)
    return known(chosen.version) if chosen else None


_COMPILERS: dict[str, HostCompiler] = {
    "gcc": "gcc",
    "g++": "g++",
    "clang": "clang",
    "clang++": "clang++",
    "cl": "msvc",
}


def host_compiler(facts: Facts) -> Compiler | None:
    """Return the C++ compiler that a build would call: the compiler in CC or CXX, else the first on PATH. None if there is none."""
    wanted = ("cl",) if known(facts.system.os) == "windows" else ("gcc", "g++", "clang", "clang++")
    return next((c for c in known(facts.toolchain.compilers) if c.name in wanted and c.version is not None), None)


def memory(facts: Facts) -> int:
    """Return the bytes of memory that a build may use: the free memory, or the container's limit if it is lower."""
    free, limit = known(facts.system.available_bytes), known(facts.system.cgroup_memory_bytes)
    if free is None:
        raise Unsure(Unknown("the free memory is not known"))
    return free if limit is None else min(free, limit)


def build_key(facts: Facts, release: str) -> BuildKey:
    """Return the values that decide a build of this release on this machine, as `knowledge.build` needs them."""
    key = key_of(facts)
    compiler = host_compiler(facts)
    cores = known(facts.system.cores)
    return BuildKey(
        release=release,
        torch=key.torch,
        torch_cuda=key.cuda,
        header_cxx=facts.torch.header_cxx if isinstance(facts.torch.header_cxx, int) else Unknown("not read"),
        nvcc=nvcc(facts),
        compiler=_COMPILERS[compiler.name] if compiler else "gcc",
        compiler_version=compiler.version if compiler else None,
        python=key.python,
        gpus=key.gpus,
        cores=cores if cores is not None else Unknown("the number of cores is not known"),
        available_bytes=memory(facts),
        os=present(facts.system.os),
    )


def foreseen(facts: Facts, release: str | None = None) -> Prediction | None:
    """Return the predicted time and memory of a build here; None if too little is known.

    `release`: the release of flash-attn; None: the release that would be built here.
    """
    try:
        return predict(build_key(facts, release or wanted_release(facts)))
    except Unsure:
        return None


def variables(prediction: Prediction | None) -> dict[str, str]:
    """Return the settings of a prediction as environment variables ({"MAX_JOBS": "4"}); empty if there is no prediction."""
    return prediction.settings.variables() if prediction and prediction.settings else {}


def in_build(seen: Seen, match: Match) -> bool:
    """Return whether this match belongs to a failed build in its log.

    False if the log shows no failed build, or if all of its builds failed before the match and an installation succeeded in between.
    """
    log = next((log for log in seen.logs if log.file == match.file), None)
    built = [m.line for m in log.of(FAILED)] if log else []
    if log is None or not built:
        return False
    before = max((line for line in built if line <= match.line), default=None)
    if before is None or any(line > match.line for line in built):
        return True
    ended = (m.line for m in log.about("installation ended well"))
    return not any(before <= line <= match.line for line in ended)


def lines(matches: tuple[Match, ...] | list[Match]) -> tuple[Evidence, ...]:
    """Return the first four matches as evidence, each line once."""
    once = {(m.file, m.line): m for m in reversed(matches)}  # two signs may match one line
    return tuple(
        Evidence(kind="log", file=m.file, line=m.line, text=m.text)
        for m in [m for m in matches if once[m.file, m.line] is m][:4]
    )


def verify(facts: Facts) -> tuple[str, ...]:
    """Return the argv that shows whether the package that failed works: the package that a log names, or flash-attn."""
    return subject.verify(facts)


def build(facts: Facts, why: str = "built here, against this torch", release: str | None = None) -> Step:
    """Return the step that builds the package that failed, in the environment with torch."""
    return package_cures.build(facts, why, release=release)


def without_compiling(facts: Facts, *, began: bool = False) -> tuple[Fix, ...]:
    """Return the fixes that install, without compiling, the package that failed; empty if no such fix is known.

    For flash-attn: a wheel for this torch, or another torch that has a wheel. `began`: the build had begun to compile, so a setup
    that downloads a finished wheel first had found none.
    """
    name = subject.package(facts)
    if name == FLASH_ATTN:
        return wheel_without_compiling.fixes(facts)
    return package_wheels.ready(facts, name, began=began)


def with_own_build(facts: Facts, own: Fix) -> tuple[Fix, ...]:
    """Return `own`, a fix that repeats the build with other settings, and the fixes that compile nothing, in the best order.

    A wheel for the installed torch comes before the build. A fix that would replace a working or unknown torch comes after it.
    """
    ready = without_compiling(facts, began=True)
    name = subject.package(facts)
    row = built_packages.row_of(name) if name else None
    if name == FLASH_ATTN:
        keeps = (wheel_fixes.fitting(facts) or wheel_fixes.likely(facts)) is not None
    else:
        # The command for these wheels prints the version of the installed torch first.
        asks = row is not None and row.wheels in ("pytorch-index", "links")
        keeps = asks or isinstance(facts.torch.version, str) or row is None or not row.torch_bound
    return (*ready, own) if keeps else (own, *ready)
