"""Make facts from the lines that the reader found. If lines state a fact several times, the last one before the error counts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attn_doctor.logs.error_marks import GOOD
from attn_doctor.logs.errors import log_end
from attn_doctor.logs.reader import Log, Match, Pattern
from attn_doctor.logs.stated_facts import (
    daemon,
    gpu_signs,
    implied,
    platform_words,
    programs,
    prose_signs,
    python_signs,
    subject_signs,
    system_signs,
    table_signs,
    torch_signs,
)
from attn_doctor.logs.stated_facts.claim import Claim
from attn_doctor.logs.stated_facts.package_lists import PackageList, package_lists
from attn_doctor.logs.stated_facts.subject import subject_of
from attn_doctor.logs.stated_facts.typed import Answer, answers
from attn_doctor.logs.stated_facts.values import installer_of, package, same_gpu, values
from attn_doctor.model.stated_facts import SINGLE, Place, Stated, StatedFacts, StatedPackage

_DESCRIBING = (*gpu_signs.SIGNS, *table_signs.SIGNS, *prose_signs.SIGNS, *platform_words.SIGNS)
_OF_MACHINES = (*system_signs.SIGNS, *python_signs.SIGNS, *torch_signs.SIGNS)
_SIGNS = (*_DESCRIBING, *_OF_MACHINES, *programs.SIGNS, *subject_signs.SIGNS)
# A path that only implies the system is in many lines of programs: such a line does not describe a machine.
_FACTS = {sign.pattern for sign in (*_DESCRIBING, *(s for s in _OF_MACHINES if s.how == "said" or s.weight < 0))}
_SIGN = {f"states {number}": sign for number, sign in enumerate(_SIGNS)}
# The reader searches for these together with all other signs.
PATTERNS = tuple(
    Pattern(
        slug, literal.encode(), sign.pattern, "context", "a fact of the machine" if sign.pattern in _FACTS else None
    )
    for slug, sign in _SIGN.items()
    for literal in sign.literals
)
# If a log has paths of several systems, the system with the most paths counts.
_BY_NUMBER = frozenset({"os", "machine"})
# An isolated build: its setup.py prints the torch of the build environment, not the user's torch.
_ISOLATED = re.compile(r"[\\/]pip-build-env-|[\\/]uv[\\/](?:cache[\\/])?(?:builds-v|environments-v)")
# What BuildKit prints after a step: the duration, "RUN pip install flash-attn      1420.1s"; a colon, "> [4/5] RUN pip install flash-attn:".
_END_OF_BUILDKIT = re.compile(r" {2,}\d+\.\ds$|(?<=\w):$")
# The reader may have joined a long command with the next line, as if a terminal had broken one line: such a next line begins here.
_NEXT_LINE = re.compile(r"(?<=.)\s?(?=[A-Z]\w{2,40}(?:Error|Exception): |Traceback \(most)")


def stated_facts(logs: Iterable[Log]) -> StatedFacts:
    """Return the facts that these logs state about their machine. If logs disagree, the last one counts.

    The logs must be read with `PATTERNS`, and with the marks of errors (error_marks.py), which show the place of the error.
    """
    singles: dict[str, list[Stated[Any]]] = {}
    gpus: dict[str, Stated[str]] = {}
    pci: dict[str, Stated[str]] = {}
    packages: dict[str, StatedPackage] = {}
    whole = False
    for log in logs:
        lists = tuple(package_lists(log.end, log.file))
        told = tuple(answers(log.end, log.file))
        made = [*_claims(log), *implied.of_lines(log), *_of_conda(lists), *_of_answers(told)]
        made += [*implied.of_driver(made), *implied.of_image(log, made)]
        claims = daemon.on_host(sorted(made, key=lambda claim: claim.place.line), log.end)
        if any(_ISOLATED.search(text) for _, text in log.end):
            claims = [c for c in claims if not (c.fact.startswith("torch") and "torch.__version__" in c.place.text)]
        error, good = _error(log)
        subject = subject_of([c for c in claims if c.fact == "package"], error, good)
        name_of_it = subject["package"].value if subject else ""
        claims = [c for c in claims if c.of in ("", name_of_it)]
        for name in SINGLE:
            if name not in ("package", "doing"):
                chosen = _choose(name, [c for c in claims if c.fact == name], error)
                if chosen is not None:
                    singles.setdefault(name, []).append(chosen)
        for name, chosen in subject.items():
            singles.setdefault(name, []).append(chosen)
        gpus |= _gpus([c for c in claims if c.fact == "gpu"])
        pci |= {c.value: Stated(value=c.value, place=c.place, how=c.how) for c in claims if c.fact == "pci"}
        packages |= _packages(log, error) | {one.name: one for each in lists for one in each.packages}
        packages |= {
            package(answer.package): StatedPackage(
                name=package(answer.package), version=answer.value, place=answer.place
            )
            for answer in told
            if answer.package
        }
        whole = whole or any(each.whole for each in lists)
    return StatedFacts(
        **{name: _of_several(stated) for name, stated in singles.items()},
        gpus=tuple(gpus.values()),
        pci=tuple(pci.values()),
        packages=tuple(packages.values()),
        whole=whole,
    )


def _claims(log: Log) -> Iterator[Claim]:
    """Yield what each line that matches a sign states."""
    for match in log.matches:
        sign = _SIGN.get(match.slug)
        if sign is None:
            continue
        place = _place(match)
        said = {**sign.says, **match.groups}
        doing = said.pop("doing", "")
        if "command" in said:  # the pattern captures only its first word
            typed = match.text[max(0, match.text.find(said["command"])) :]
            said["command"] = _NEXT_LINE.split(_END_OF_BUILDKIT.sub("", typed))[0]
            if tool := installer_of(said["command"]):
                yield Claim("installer", tool, place, sign.how)
        for fact, value in values(said):
            if value:
                of = package(said["package"]) if fact == "asked" and "package" in said else ""
                yield Claim(fact, value, place, sign.how, sign.weight, doing, of)


def _place(match: Match) -> Place:
    return Place(file=match.file, line=match.line, text=match.text)


def _of_conda(lists: Iterable[PackageList]) -> Iterator[Claim]:
    """Yield the version of Python and the build of torch from the list of a conda environment."""
    for each in lists:
        place = each.packages[0].place if each.packages else None
        if each.python and place:
            yield Claim("python", each.python, place, "said")
        if each.cuda is not None and each.place:
            for fact, value in values({"torch_cuda": each.cuda}):
                yield Claim(fact, value, each.place, "said")
        for one in each.packages if each.cuda is None else ():
            if one.name == "torch":
                for fact, value in values({"torch": one.version}):
                    yield Claim(fact, value, one.place, "said")


def _of_answers(told: Iterable[Answer]) -> Iterator[Claim]:
    """Yield the facts that Python printed as answers to typed expressions."""
    for answer in told:
        if not answer.fact or answer.value == "False" or (answer.fact == "torch_hip" and answer.value == "None"):
            continue
        text = "" if answer.value == "None" else "yes" if answer.value == "True" else answer.value
        for fact, value in values({answer.fact: text}):
            if value:
                yield Claim(fact, value, answer.place, "said")


def _error(log: Log) -> tuple[int, int]:
    """Return two line numbers: of the last error (else of the last line), and of the last success before it (0: none)."""
    errors = log_end(log).errors
    if errors:
        return errors[-1].last, errors[-1].good
    return log.lines, max((m.line for m in log.matches if m.slug == GOOD), default=0)


def _choose(name: str, claims: Sequence[Claim], error: int) -> Stated[Any] | None:
    """Return the claim that counts, with the other values in `also`; None if there is no claim.

    First "said" before "implied", then the greatest weight, then the last before the error (else the first after it). For the system and
    the processor, if they are only implied: the most frequent value. "3.11.9" replaces a chosen "3.11".
    """
    if not claims:
        return None
    equals = [c for c in claims if c.how == "said"] or list(claims)
    equals = [c for c in equals if c.weight == max(c.weight for c in equals)]
    if name == "bundled":  # a full path says more than a folder relative to the program
        equals = [c for c in equals if not c.value.startswith((".", "venv"))] or equals
    before = [c for c in equals if c.place.line <= error]
    if name in _BY_NUMBER and equals[0].how == "implied":
        votes = [c.value for c in equals]
        chosen = max(equals, key=lambda c: votes.count(c.value))
    else:
        chosen = before[-1] if before else equals[0]
    exact = [c for c in claims if _same(c.value, chosen.value) and len(c.value) > len(chosen.value)]
    chosen = max(exact, key=lambda c: len(c.value), default=chosen)
    others: dict[str, Claim] = {}
    for claim in equals:
        if not _same(claim.value, chosen.value) and not any(_same(claim.value, other) for other in others):
            others[claim.value] = claim
    return Stated(
        value=_typed(name, chosen.value),
        place=chosen.place,
        how=chosen.how,
        also=()
        if name in ("command", "installer", "started")
        else tuple((_typed(name, c.value), c.place) for c in others.values()),
    )


def _typed(name: str, value: str) -> Any:
    """Return the value in the type of its fact: a number for "wsl", a bool for "yes" and "no", else the text."""
    return (
        int(value)
        if name == "wsl"
        else value == "yes"
        if name in ("modules", "managed", "available", "locked")
        else value
    )


def _same(one: str, other: str) -> bool:
    """Return whether two values are the same, or one is the other with more detail: "3.11" and "3.11.9", "2.5.1" and "2.5.1+cu124"."""
    short, long = sorted((one, other), key=len)
    if short == long:
        return True
    return short[:1].isdigit() and long.startswith(short) and long[len(short)] in ".+" and "+" not in short


def _of_several(stated: Sequence[Stated[Any]]) -> Stated[Any]:
    """Return one fact from several logs: the value of the last log. The other values are kept in `also`."""
    last = stated[-1]
    also = dict(last.also)
    for other in stated[:-1]:
        if not _same(str(other.value), str(last.value)):
            also.setdefault(other.value, other.place)
    return Stated(value=last.value, place=last.place, how=last.how, also=tuple(also.items()))


def _gpus(claims: Sequence[Claim]) -> dict[str, Stated[str]]:
    """Return {key of `same_gpu`: GPU} for each GPU that a line names. GPUs that a line only implies count if no line says one."""
    found: dict[str, Stated[str]] = {}
    for claim in sorted(claims, key=lambda c: c.how != "said"):
        if claim.how == "said" or not any(g.how == "said" for g in found.values()):
            found.setdefault(same_gpu(claim.value), Stated(value=claim.value, place=claim.place, how=claim.how))
    return found


def _packages(log: Log, error: int) -> dict[str, StatedPackage]:
    """Return {name: package} for each package that a line names with its version. A clone of a repository has the version "".

    The last line before the error counts, else the first after it.
    """
    found: dict[str, StatedPackage] = {}
    for match in log.matches:
        sign = _SIGN.get(match.slug)
        if sign is None:
            continue
        named = {
            name: text
            for name, text in match.groups.items()
            if name in ("torchvision", "torchaudio", "ultralytics", "vllm")
        }
        if "checkout" in match.groups:  # not installed by pip: its repository was cloned
            named[match.groups["checkout"]] = ""
        if "name" in match.groups:
            named[match.groups["name"]] = match.groups["version"].replace("%2B", "+")
        for text, version in named.items():
            name = package(text)
            if name not in found or match.line <= error:
                found[name] = StatedPackage(name=name, version=version, place=_place(match))
    return found
