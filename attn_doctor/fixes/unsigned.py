"""Install a wheel that other people than the authors of its package built, in four steps.

The user is asked whether the builder is trusted; the file is downloaded; it is checked; exactly that file is installed. The check
(`wheels.proof`) shows that the file fits, never that it is harmless. So nothing is downloaded before the user has named the
builder. The digest of the installed file is compared with the digest of the checked one. At each later use it is compared with
that of the first download from the address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from attn_doctor.commands.installers import Context, of_packages, plain
from attn_doctor.errors import NotExamined, Refused
from attn_doctor.fixes import restore
from attn_doctor.fixes.plan import PlannedStep, Unsigned, Way
from attn_doctor.fixes.plan_builder import planned
from attn_doctor.fixes.target_paths import Places
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Install
from attn_doctor.wheels import quarantine
from attn_doctor.wheels.online import Say
from attn_doctor.wheels.proof import Proof
from attn_doctor.wheels.reading import proof_of


class Proving(NamedTuple):
    """Hold everything that the check of a wheel needs besides the wheel."""

    facts: Facts
    places: Places
    here: Context
    environ: Mapping[str, str]
    timeout: float  # seconds for the target's answer
    say: Say
    trusted: Sequence[str] = ()  # the builders whom the user has named


def distrusted(way: Way, trusted: Sequence[str]) -> str | None:
    """Return why a way may not be taken: the user has not named the builder of its wheel. None if it may be taken."""
    if way.unsigned is None:
        return None
    builder = way.unsigned.builder
    if builder.lower() in (name.lower() for name in trusted):
        return None
    named = f", and --allow-unsigned names {', '.join(trusted)}" if trusted else ""
    return (
        f"way {way.name} installs a wheel that {builder} built and nobody signed{named}: "
        f"only --allow-unsigned {builder} allows it, --yes does not"
    )


def proven(way: Way, proving: Proving) -> tuple[Way, str | None]:
    """Download and check the unsigned wheel of a way. Return the way with the file instead of the address, and None.

    If the file is refused: the way, with the result of the check if there is one, and the reason. If the user has not
    named the builder, nothing is downloaded, and the reason says so. The way must have an unsigned wheel.
    """
    assert way.unsigned is not None
    why = distrusted(way, proving.trusted)
    if why is not None:
        return way, f"not tried: {why}"
    named = [one.step.requirements for one in way.steps if isinstance(one.step, Install) and one.step.built_by]
    if named != [(way.unsigned.url,)]:
        return way, "not tried: it installs more than one wheel that nobody signed"
    proving.say(f"fetching the wheel that {way.unsigned.builder} built; nothing of it is unpacked")
    try:
        fetched = quarantine.held(way.unsigned.url) or quarantine.fetch(way.unsigned.url, proving.say)
        also = [
            text
            for text in (fetched.changed, _as_journals_say(way.unsigned.url, fetched.sha256, proving.places))
            if text
        ]
        proving.say("reading the wheel")
        proof = proof_of(fetched.path, proving.facts, proving.environ, proving.timeout, also=also)
    except (NotExamined, Refused) as error:
        return way, f"refused before anything of it was installed: {error}"
    known = msgspec.structs.replace(way.unsigned, sha256=proof.sha256, proof=proof, file=str(fetched.path))
    way = msgspec.structs.replace(way, unsigned=known)
    if proof.verdict != "fits":
        return way, f"refused before anything of it was installed: {_against(proof)}"
    return msgspec.structs.replace(way, steps=tuple(_from_file(one, known, proving.here) for one in way.steps)), None


def _against(proof: Proof) -> str:
    if proof.verdict == "refused":
        return "; ".join(proof.against)
    return f"whether it fits is not known: {'; '.join(proof.open_questions)}"


def _as_journals_say(url: str, digest: str, places: Places) -> str | None:
    """Return a sentence if an earlier plan installed another file from the same address here; else None."""
    home = places.home / "undo"
    for folder in sorted(home.iterdir()) if home.is_dir() else ():
        for event in restore.events(str(folder)):
            if event["at"] == "wheel" and event["url"] == url and event["sha256"] != digest:
                return (
                    f"an earlier plan installed another file from its address: SHA-256 {event['sha256']}, now {digest}"
                )
    return None


def _from_file(one: PlannedStep, wheel: Unsigned, here: Context) -> PlannedStep:
    """Return the step with the checked file instead of the wheel's address; any other step is returned unchanged."""
    step = one.step
    if not isinstance(step, Install) or not step.built_by:
        return one
    local = msgspec.structs.replace(step, requirements=(str(wheel.file),), argv=())
    return planned(of_packages(plain(here)).rendered(local), one.verify)


def altered(way: Way) -> str | None:
    """Return a sentence if the unsigned wheel of a way may not be used: it was not checked, or it changed afterwards.

    None if it may be used, and for a way without such a wheel.
    """
    wheel = way.unsigned
    if wheel is None:
        return None
    if wheel.file is None or wheel.sha256 is None:
        return f"the wheel that {wheel.builder} built was not proven"
    now = quarantine.sha256(Path(wheel.file))
    if now == wheel.sha256:
        return None
    return (
        f"{wheel.file} is not the file that was proven: its SHA-256 was {wheel.sha256}, and is {now or 'not readable'}"
    )
