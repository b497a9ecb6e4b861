"""Build the outline of `attn-doctor wheels`. Pure; renderers decide nothing."""

from __future__ import annotations

from collections.abc import Sequence

from attn_doctor import commands
from attn_doctor.fixes.build_forecast import cost_text
from attn_doctor.knowledge.build import Prediction
from attn_doctor.knowledge.nearest_torch import Nearest
from attn_doctor.knowledge.torch_choice import index_of
from attn_doctor.knowledge.wheel_key import Candidate
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import show
from attn_doctor.report.blocks import Block, Cell, Command, Cure, Field, Fields, Heading, Notes, Problem, Table, Verdict
from attn_doctor.wheels.answer import COMMAND_LINE, Answered, Asked

_MOST, _ASKED, _FEW = 8, 4, 4  # releases in a list
_LABELS = (
    ("python", "Python"),
    ("torch", "torch"),
    ("cuda", "its CUDA"),
    ("cxx11_abi", "C++11 ABI"),
    ("platform", "platform"),
    ("glibc", "glibc"),
    ("gpus", "GPU"),
)


def outline(found: Answered, facts: Facts | None) -> tuple[Block, ...]:
    """Return all blocks: the key, the verdict, the wheel to install, then the other wheels with their reasons.

    `facts`: of the target, for its commands; None: the key came from the command line alone.
    """
    named = [c for c in found.candidates if c.filename]
    fitting = [c for c in named if c.fits]
    ours, theirs = ([c for c in fitting if c.kind == kind] for kind in ("official", "community"))
    open_ones = [c for c in named if c.fits is None]
    refused = [c for c in named if c.fits is False and c.kind == "official"]
    blocks: list[Block] = [
        Heading("Wheels of flash-attn"),
        Fields(tuple(Field(label, _part(found, name)) for name, label in _LABELS)),
        _verdict(found, fitting, open_ones),
    ]
    if fitting:
        blocks.append(_install(fitting[0], facts, found))
    if len(ours) > 1:
        blocks.append(Notes("Older releases that fit too", tuple(str(c.filename) for c in ours[1:_MOST])))
    others = theirs if ours else theirs[1:]
    if others:
        blocks.append(
            Notes(
                "Built by other people, unsigned; judged by their names, these fit too",
                tuple(map(_named, others[:_FEW])),
            )
        )
    if open_ones:
        blocks.append(
            Notes("Not known to fit", tuple(f"{_named(c)}: {'; '.join(c.reasons)}" for c in open_ones[:_MOST]))
        )
    if refused and all(_elsewhere(c, found.key.platform) for c in refused):
        blocks.append(Notes("Also not these", (_none_of_the_authors(refused, found.key.platform),)))
    elif refused:
        blocks.append(_refused(refused))
    if not theirs:
        nearest = [c for c in named if c.fits is False and c.kind == "community"]
        blocks.append(
            Notes(
                "Also not these, built by other people",
                tuple(f"{_named(c)}: {'; '.join(c.reasons)}" for c in nearest[:_FEW]),
            )
        )
    if found.asked:
        blocks.append(Notes("setup.py would ask for", tuple(_asked(a) for a in found.asked[:_ASKED])))
    if found.nearest:
        blocks.append(_nearest(found.nearest))
    elif found.nearest_why:
        blocks.append(Notes("Changing torch", (found.nearest_why,)))
    if found.build:
        blocks.append(_build(found.build))
    elsewhere = tuple(_pointer(c) for c in found.candidates if not c.filename)
    blocks.append(Notes("Other sources, and working without flash-attn", elsewhere))
    notes = (*found.notes, f"The tables are of {found.knowledge_date}: newer wheels are not in them.")
    return (*(block for block in blocks if not isinstance(block, Notes) or block.items), Notes("Good to know", notes))


def _named(candidate: Candidate) -> str:
    """Return the name of the file, and its builder if the authors of FlashAttention did not build it."""
    return str(candidate.filename) if candidate.kind == "official" else f"{candidate.filename} ({candidate.source})"


def _part(found: Answered, name: str) -> str:
    value = getattr(found.key, name)
    if name == "gpus" and value == ():
        text = "none"
    elif name == "cuda" and value is None:
        text = "none: a CPU build" if isinstance(found.key.torch, str) else "none"
    elif name == "torch" and value is None:
        text = "not installed"
    else:
        text = show(value)
    return text if isinstance(value, Unknown) else f"{text}  ({found.sources[name]})"


def _verdict(found: Answered, fitting: Sequence[Candidate], open_ones: Sequence[Candidate]) -> Verdict:
    if found.too_old:
        return Verdict(found.too_old, "bad")
    if fitting and fitting[0].kind == "official":
        return Verdict(f"A finished wheel fits: flash-attn {fitting[0].release}.", "good")
    if fitting:
        return Verdict(
            f"No wheel of flash-attn's authors fits. By its name, a wheel that somebody else built fits: flash-attn {fitting[0].release}.",
            "warn",
        )
    unknown = [label for name, label in _LABELS if isinstance(getattr(found.key, name), Unknown)]
    if open_ones and unknown:
        return Verdict(
            f"Whether a finished wheel fits is not known, because this is not known: {', '.join(unknown)}.", "warn"
        )
    if open_ones:
        return Verdict("No wheel in the tables fits; a newer one may exist.", "warn")
    if not any(c.filename for c in found.candidates):
        return Verdict("Nothing is known of the wheels of this release.", "warn")
    return Verdict("No official wheel in the tables fits.", "bad")


def _install(best: Candidate, facts: Facts | None, found: Answered) -> Problem:
    step = commands.rendered(facts or Facts(), commands.install(best.url, why="", changes=""))
    shell = _shell(facts, found)
    line = commands.shown(step, shell)
    official = best.kind == "official"
    by_address = Cure(
        "install it by its address", (Command(line, "not by name: setup.py may ask for another file, and compile"),)
    )
    return Problem(
        mark="✓" if official else "!",
        tone="good" if official else "warn",
        slug=str(best.filename),
        code=best.source,
        qualifiers=f"release {best.release}",
        message=f"Built for this Python, torch, CUDA{', C++ ABI and GPU' if found.key.gpus != () else ' and C++ ABI'}: nothing is compiled."
        if official
        else _UNSIGNED,
        evidence=(),
        consequences=(),
        cures=(by_address,) if official else (_read_first(best, facts, found), by_address),
        docs="",
    )


_UNSIGNED = "Only its name was judged: nobody guarantees its content, and an import runs it. PyTorch's own attention (SDPA) needs no such file."


def _shell(facts: Facts | None, found: Answered) -> str:
    """Return the shell for which the commands are written: that of the target's machine, else one of the stated platform."""
    if facts is not None:
        return commands.shell_of(facts)
    return "windows" if isinstance(found.key.platform, str) and found.key.platform.startswith("win") else "bash"


def _read_first(wheel: Candidate, facts: Facts | None, found: Answered) -> Cure:
    """Return the command that downloads a wheel and inspects it before any of its code runs."""
    argv = ["attn-doctor", "wheels", "--prove", wheel.url]
    typed = {name for name, source in found.sources.items() if source == COMMAND_LINE}
    if facts is not None and isinstance(facts.interpreter.python, str):
        argv += ["--target", facts.interpreter.python]
    if "gpus" in typed and isinstance(found.key.gpus, tuple):
        argv += [word for gpu in found.key.gpus for word in ("--gpu", gpu)]
    note = "downloads it and installs nothing: shows whether its content fits; it cannot show that the file is harmless"
    if typed - {"gpus"}:
        note += ". Run it in the environment that has the torch and the Python above"
    return Cure(
        "inspect it before any of its code runs", (Command(commands.quoted(tuple(argv), _shell(facts, found)), note),)
    )


def _elsewhere(candidate: Candidate, platform: str | Unknown) -> bool:
    """Return whether a wheel is for another platform, so that its other parts do not matter."""
    return isinstance(platform, str) and any(reason.endswith(f", you have {platform}") for reason in candidate.reasons)


def _none_of_the_authors(refused: Sequence[Candidate], platform: str | Unknown) -> str:
    releases = {candidate.release for candidate in refused}
    which = f"none of the {len(releases)} releases" if len(releases) > 1 else f"release {releases.pop()}"
    has = "has one" if which.startswith("none") else "has none"
    return f"the wheels of flash-attn's authors: {which} {has} for {platform} (--json gives each reason)"


def _refused(refused: Sequence[Candidate]) -> Table:
    rows = tuple((Cell(c.release, "strong"), Cell("; ".join(c.reasons))) for c in refused[:_MOST])
    rest = len(refused) - len(rows)
    notes = (f"and {rest} older releases, each with a reason",) if rest > 0 else ()
    return Table("Not these: the nearest wheel of each release", ("release", "why not"), rows, notes)


def _asked(asked: Asked) -> str:
    states = {True: "exists", False: "does not exist, so setup.py would compile", None: asked.why}
    return f"{asked.release}: {asked.filename}: {states[asked.exists]}"


def _nearest(nearest: Nearest) -> Notes:
    index = "on PyPI" if nearest.pypi else f"on PyTorch's own index, {index_of(nearest.flavour)}"
    items = [f"torch {nearest.torch} (CUDA {nearest.cuda}, {index}) has one: {nearest.wheel.filename}"]
    items += [f"with it {text}" for text in nearest.breaks] or [
        "nothing that is installed here is known to break with it"
    ]
    return Notes("The nearest torch with a wheel", tuple(items))


def _build(build: Prediction) -> Notes:
    can = build.compiles
    if isinstance(can, Unknown):
        items = [f"whether it would compile is not known: {can.why}"]
    else:
        items = [("would compile: " if can.yes else "would not compile: ") + can.why]
    if build.cost and not (not isinstance(can, Unknown) and not can.yes):
        items.append(f"takes {cost_text(build.cost)}")
        if build.settings:
            items.append("set " + ", ".join(f"{k}={v}" for k, v in build.settings.variables().items()))
        items.append(build.fits_memory.why)
        if build.default_cost:
            items.append(f"with setup.py's own choice: {cost_text(build.default_cost)}")
        items.append(build.tmpdir)
    return Notes("Building it from source", tuple(items))


def _pointer(candidate: Candidate) -> str:
    state = "not here" if candidate.fits is False else "may serve"
    return f"{candidate.source} ({state}): {'; '.join(candidate.reasons)}. {candidate.url}"
