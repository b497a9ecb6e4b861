"""DeepSpeed was told to compile its operators at installation, and one of them cannot be compiled here.

What it is
    DeepSpeed compiles an operator (cpu_adam, async_io, sparse_attn) at its first use. With DS_BUILD_OPS=1 its setup compiles all of them at once, and stops at the first one for
    which something is missing. Its older releases did this on Windows by themselves.

How it shows
    "AssertionError: Unable to pre-compile async_io", with "async_io requires the dev libaio .so object and headers but these were not found", or "Unable to pre-compile cpu_adam", with
    "One can disable cpu_adam with DS_BUILD_CPU_ADAM=0".

Why it happens
    async_io needs libaio with its headers; sparse_attn needs an old torch and Triton; the operators for the GPU need an nvcc of torch's CUDA. Most trainings need none of these.

What to do
    Leave the operator out (the variable that the log names), or install what it needs: on Ubuntu libaio-dev.

How to reproduce
    There is no recipe: it takes DeepSpeed's sources. `DS_BUILD_OPS=1 pip install --no-build-isolation deepspeed` on a system without libaio-dev shows it.

References
    https://www.deepspeed.ai/tutorials/advanced-install/ (DS_BUILD_OPS and the variables of the operators)
    https://github.com/deepspeedai/DeepSpeed/issues/1401
    https://github.com/deepspeedai/DeepSpeed/issues/1315
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import system_tools
from attn_doctor.commands.places import Argv, Manager
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, package_wheels, subject
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD138",
    slug="deepspeed-operator-not-built",
    title="An operator of DeepSpeed cannot be compiled at installation",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=r"Unable to pre-compile (?P<operator>[a-z]\w{2,40})",
            literal="Unable to pre-compile ",
            sample="AssertionError: Unable to pre-compile cpu_adam",
        ),
        Sign(
            pattern=r"One can disable \w{2,40} with (?P<variable>DS_BUILD_\w{2,40})=0",
            literal="One can disable ",
            sample=" [WARNING]  One can disable cpu_adam with DS_BUILD_CPU_ADAM=0",
            strength="context",
        ),
    ),
)
# There is no `detect`: which operators an installation compiles is decided by variables of its command.

_LIBAIO: dict[Manager, Argv] = {
    "apt-get": ("libaio-dev",),
    "dnf": ("libaio-devel",),
    "zypper": ("libaio-devel",),
    "pacman": ("libaio",),
    "apk": ("libaio-dev",),
}


class Operator(Variant, frozen=True, kw_only=True):
    """Hold the operator, "async_io", and the variable that leaves it out, "DS_BUILD_AIO"."""

    name: str
    variable: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    name = seen.group("operator")
    if name is None or any(m.strength == "proof" for log in seen.logs for m in log.of("source-for-linux")):
        return None  # Windows: the linker found no library of Linux
    variable = seen.group("variable") or ("DS_BUILD_AIO" if name == "async_io" else f"DS_BUILD_{name.upper()}")
    why = "it needs libaio with its headers" if name == "async_io" else "something that it needs is missing here"
    return Hit(
        message=f"DeepSpeed's setup was to compile {_words(name)}, and cannot: {why}. DeepSpeed works without it, and compiles operators at their first use.",
        evidence=building.lines([m for m in seen.matches if m.strength == "proof"]),
        variant=Operator(name=name, variable=variable),
    )


def _words(name: str) -> str:
    """Return the operator in words: its error calls all of them "ops"."""
    return "its operators" if name == "ops" else f"the operator {name}"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    found = hit.variant if isinstance(hit.variant, Operator) else Operator(name="async_io", variable="DS_BUILD_AIO")
    verify = building.verify(facts)
    typed, asked = facts.subject.command, subject.requirement(facts)
    again = isinstance(typed, str) and " install " in typed and asked is not None
    end = "" if again else "; then repeat your command in this shell"
    steps: tuple[Step, ...] = (commands.variable(found.variable, "0", f"leaves {_words(found.name)} out{end}"),)
    if again and asked is not None:
        steps = (*steps, commands.install(asked, why="your command again, in this shell", changes="adds deepspeed"))
    made = [Fix(title=f"Leave {_words(found.name)} out", steps=steps, verify=verify)]
    if found.name == "async_io" and facts.system.os not in ("windows", "darwin"):
        why = "the library of async_io, with its headers; then repeat your command"
        get = system_tools.packages(facts, _LIBAIO, why, "adds libaio") or (
            system_tools.either(_LIBAIO, why, "adds libaio"),
        )
        made.append(Fix(title="Install libaio", steps=get, verify=verify))
    return (*made, *package_wheels.ready(facts, "deepspeed"))
