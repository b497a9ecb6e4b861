"""A variable is set to a value that flash-attn's setup.py ignores.

What it is
    FLASH_ATTENTION_FORCE_BUILD, FLASH_ATTENTION_SKIP_CUDA_BUILD and FLASH_ATTENTION_FORCE_CXX11_ABI have an effect
    only with the exact value TRUE. FLASH_ATTN_CUDA_ARCHS accepts a few architectures, and setup.py ignores all
    others.

How it shows
    There is no error: `FLASH_ATTENTION_FORCE_BUILD=1` changes nothing and prints nothing. FLASH_ATTN_CUDA_ARCHS=86
    adds no architecture; TORCH_CUDA_ARCH_LIST or the visible GPUs then decide what is compiled.

Why it happens
    setup.py compares the value with "TRUE". Most other projects also accept 1.

What to do
    Write TRUE. For an RTX 30 or RTX 40 write 80: code for 8.0 also runs on 8.6 and 8.9.

How to reproduce
    `attn-doctor reproduce flash-attn-variable-ignored` examines an environment in which FLASH_ATTENTION_FORCE_BUILD is 1. It
    downloads nothing.

References
    https://github.com/Dao-AILab/flash-attention/issues/919
    https://github.com/Dao-AILab/flash-attention/blob/main/setup.py
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known
from attn_doctor.failure_modes.recipe import Recipe, Variable
from attn_doctor.failure_modes.shared import building
from attn_doctor.failure_modes.shared.fact_queries import variable
from attn_doctor.knowledge import flash_attention
from attn_doctor.knowledge.yes_no_unknown import names
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Evidence, Fix, Severity, fact

_ARCHS = "FLASH_ATTN_CUDA_ARCHS"
_BOOLEANS = ("FLASH_ATTENTION_FORCE_BUILD", "FLASH_ATTENTION_SKIP_CUDA_BUILD", "FLASH_ATTENTION_FORCE_CXX11_ABI")
_MEANT = ("1", "true", "yes", "on", "y", "t")  # values that people write for TRUE

MODE = FailureMode(
    code="AD125",
    slug="flash-attn-variable-ignored",
    title="A flash-attn variable has a value without effect",
    train=Severity.INFO,
    flash_attn=Severity.WARNING,
    signs=(
        Sign(
            pattern=r"(?P<name>FLASH_ATTENTION_(?:FORCE_BUILD|SKIP_CUDA_BUILD|FORCE_CXX11_ABI))=['\"]?(?P<value>1|[Tt]rue|yes|on)\b",
            literal="FLASH_ATTENTION_",
            sample="$ FLASH_ATTENTION_FORCE_BUILD=1 pip install flash-attn --no-build-isolation",
        ),
    ),
    recipe=Recipe(
        does="examines an environment in which FLASH_ATTENTION_FORCE_BUILD is 1",
        of=(Variable(name="FLASH_ATTENTION_FORCE_BUILD", value="1"),),
        run=(("{python}", "-c", "import os; print(os.environ['FLASH_ATTENTION_FORCE_BUILD'] == 'TRUE')"),),
        shows="False",
        examine=("--static",),
        seconds=6,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: known(facts.system.os) != "darwin", lambda: not building.works(facts)):
        return None
    evidence = fact(facts, "environment", "the environment of this shell")
    for name in _BOOLEANS:
        value = variable(facts, name)
        if value is not None and value.strip().lower() in (*_MEANT, "true") and value != "TRUE":
            return Hit(
                message=f"{name}={value} has no effect: flash-attn's setup.py accepts only TRUE.",
                evidence=(evidence,),
            )
    value = variable(facts, _ARCHS)
    row = flash_attention.release(building.wanted_release(facts))
    if not value or isinstance(row, Unknown):
        return None
    if not row.archs_variable:
        return Hit(message=f"{_ARCHS} is set, and flash-attn {row.release} does not read it.", evidence=(evidence,))
    strange = [a for a in re.split(r"[;,\s]+", value.strip()) if a and a not in row.archs]
    if not strange:
        return None
    return Hit(
        message=f"{_ARCHS}={value}: flash-attn {row.release} accepts {names(row.archs)} and ignores {names(strange)}.",
        evidence=(evidence,),
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    message = f"{seen.group('name')}={seen.group('value')} has no effect: setup.py accepts only TRUE."
    return Hit(message=message, evidence=evidence, severity=Severity.INFO)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = building.verify(facts)
    for name in _BOOLEANS:
        value = variable(facts, name)
        if value is not None and value != "TRUE":
            step = commands.variable(name, "TRUE", "the only value that setup.py accepts")
            return (Fix(title=f"Set {name} to TRUE", steps=(step,), verify=verify),)
    advised = building.variables(building.foreseen(facts)).get(_ARCHS)
    step = commands.variable(
        _ARCHS, advised, "the architecture for the GPU of this machine" if advised else "its value has no effect"
    )
    return (Fix(title=f"Set {_ARCHS} to a value that setup.py accepts", steps=(step,), verify=verify),)


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix for a machine whose versions are not known: set FLASH_ATTENTION_FORCE_BUILD to TRUE.

    It is an example: for each of these variables setup.py accepts only TRUE.
    """
    step = commands.variable(_BOOLEANS[0], "TRUE", "the only value that setup.py accepts, for each of these variables")
    return (Fix(title=f"Set {_BOOLEANS[0]} to TRUE", steps=(step,), verify=building.verify(facts)),)
