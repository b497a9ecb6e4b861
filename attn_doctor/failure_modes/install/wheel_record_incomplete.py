"""A wheel's list of its files, RECORD, does not fit its content, and the installer refuses the wheel.

What it is
    A wheel contains a file RECORD, with the name and the hash of each of its files. pip does not compare it. The library `installer`, which PDM and Poetry use, does.

How it shows
    PDM: "AssertionError: In ...whl, torchvision-0.12.0.dist-info/LICENSE is not mentioned in RECORD". Poetry 1.4.1: "_WheelFileValidationError", with "hash / size of
    torch-1.12.1.dist-info/METADATA didn't match RECORD".

Why it happens
    The authors changed the wheel after RECORD was written: many wheels of torch and torchvision from 2022 and 2023 are such. The file is not damaged.

    Beware: "Warning: Validation of the RECORD file of ... failed" is only a notice of a newer Poetry: the wheel was installed.

What to do
    Update PDM or Poetry: newer releases install such wheels (Poetry from 1.4.2). Or take another release of the package, or install that wheel by pip.

How to reproduce
    There is no recipe: it takes an old PDM or Poetry. `pipx run --spec poetry==1.4.1 poetry add torch==1.12.1` in a project for Python 3.10 shows it.

References
    https://github.com/pypa/installer/issues/100
    https://github.com/python-poetry/poetry/pull/7694 (Poetry 1.4.2: only a warning)
    https://github.com/pdm-project/pdm/issues/949
"""

from __future__ import annotations

from typing import Literal

from packaging.utils import canonicalize_name

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

_WHEEL = r"(?:[^\s'\"]{0,300}[\\/])?(?P<name>[A-Za-z][\w.]{0,60}?)-(?P<release>\d[\w.+!%]{0,40}?)-[\w.+-]{3,120}\.whl"

MODE = FailureMode(
    code="AD232",
    slug="wheel-record-incomplete",
    title="A wheel's list of its files is wrong",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=rf"AssertionError: In {_WHEEL}, (?P<file>\S{{1,200}}) is not mentioned in RECORD",
            literal="is not mentioned in RECORD",
            sample="AssertionError: In /tmp/pip-unpack-1/torchvision-0.13.0-cp310-cp310-manylinux1_x86_64.whl, torchvision-0.13.0.dist-info/LICENSE is not mentioned in RECORD",
        ),
        Sign(
            pattern=rf"\[['\"]In {_WHEEL}, .{{0,200}}(?:is not mentioned in|didn't match) RECORD",
            literal=" RECORD",
            sample='  ["In /home/user/.cache/pypoetry/artifacts/7f/torch-1.12.1-cp39-cp39-manylinux1_x86_64.whl, hash / size of torch-1.12.1.dist-info/METADATA didn\'t match RECORD"]',
        ),
        # The two halves of a line that a window broke.
        Sign(
            pattern=rf"AssertionError: In {_WHEEL},$",
            literal="AssertionError: In ",
            sample="AssertionError: In /tmp/pip-unpack-1/torchvision-0.13.0-cp310-cp310-manylinux1_x86_64.whl,",
            strength="hint",
        ),
        Sign(
            pattern=r"^(?P<unlisted>\S{3,200}) is not mentioned in RECORD",
            literal="is not mentioned in RECORD",
            sample="torchvision-0.13.0.dist-info/LICENSE is not mentioned in RECORD",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<poetry>_WheelFileValidationError)",
            literal="_WheelFileValidationError",
            sample="  _WheelFileValidationError",
        ),
        Sign(
            pattern=r"[\\/](?P<pdm>pdm)[\\/](?:installers|cli|models)[\\/]|^(?:[$>%❯] ?)?pdm (?:add|install|sync|update)\b",
            literal="pdm",
            sample='  File "/home/user/.local/pipx/venvs/pdm/lib/python3.9/site-packages/pdm/installers/manager.py", line 39, in install',
            strength="context",
        ),
    ),
)
# There is no `detect`: no probe compares RECORD for PDM or Poetry, and pip installs such a wheel.


class Refused(Variant, frozen=True, kw_only=True):
    """Hold the refused wheel ("torchvision", "0.12.0"; None: the log does not name it), and the program that refused it."""

    name: str | None
    release: str | None
    tool: Literal["pdm", "poetry"]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    halves = [m for m in seen.matches if m.strength == "hint"]
    broken = {"name", "unlisted"} <= {key for m in halves for key in m.groups}
    proofs = [m for m in seen.matches if m.strength == "proof"] or (halves if broken else [])
    if not proofs:
        return None
    name, release = seen.group("name"), seen.group("release")
    tool: Literal["pdm", "poetry"] = "poetry" if seen.group("poetry") and not seen.group("pdm") else "pdm"
    what = f"the wheel of {name} {release}" if name and release else "a wheel"
    return Hit(
        message=f"{'Poetry' if tool == 'poetry' else 'PDM'} refused {what}: RECORD, the list of the files of a wheel with their hashes, is incomplete there. The file is not damaged, and pip installs it.",
        evidence=building.lines(proofs),
        variant=Refused(name=canonicalize_name(name) if name else None, release=release, tool=tool),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    found = hit.variant if isinstance(hit.variant, Refused) else Refused(name=None, release=None, tool="pdm")
    verify, tool = commands.check(facts), found.tool
    # https://pdm-project.org/latest/reference/cli/#self, https://python-poetry.org/docs/cli/#self-update
    newer = commands.by_hand(
        (tool, "self", "update"),
        f"a newer {tool} installs such wheels; if it was installed by pipx: `pipx upgrade {tool}`; by pip: `python -m pip install --upgrade {tool}`",
        tool,
    )
    again = commands.by_hand((tool, "install"), "then installs what is left", "the environment of this project")
    made = [Fix(title=f"Update {tool}", steps=(newer, again), verify=verify)]
    if found.name is not None and found.release is not None:
        release = found.release.replace("%2B", "+")
        other = commands.by_hand(
            (tool, "add", f"{found.name}!={release}" if tool == "pdm" else f"{found.name}@!={release}"),
            f"another release of {found.name}, whose list may be complete",
            f"{found.name}, and the project's file",
        )
        made.append(Fix(title=f"Take another release of {found.name}", steps=(other,), verify=verify))
    return tuple(made)
