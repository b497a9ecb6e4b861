"""flash-attn 4 is installed instead of flash-attn 2, or over it.

What it is
    flash-attn 4 is a separate package, flash-attn-4. Its code is in flash_attn/cute, and it has no flash_attn/__init__.py. If only
    flash-attn-4 is installed, `import flash_attn` succeeds and gives an empty namespace. flash-attn 2 up to 2.8.3.post2 contains an
    old flash_attn/cute too: if both packages are installed, each overwrites files of the other, and removing one of them also
    removes files of the other.

How it shows
    "ImportError: cannot import name 'flash_attn_func' from 'flash_attn' (unknown location)", while `import flash_attn` works.

Why it happens
    Somebody ran `pip install flash-attn-4` to get a newer flash-attn, or another package requires flash-attn-4.

What to do
    Import the functions of flash-attn 4: `from flash_attn.cute import flash_attn_func`. If your program needs flash-attn 2, remove
    flash-attn-4 and install flash-attn 2: keep only one of the two packages.

How to reproduce
    `attn-doctor reproduce flash-attn-4-namespace` imports flash_attn_func from a folder flash_attn that holds only cute, as
    flash-attn-4 leaves it. It downloads nothing.

References
    https://github.com/Dao-AILab/flash-attention/tree/main/flash_attn/cute
    https://packaging.python.org/en/latest/guides/packaging-namespace-packages/
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known
from attn_doctor.failure_modes.recipe import File, Recipe
from attn_doctor.failure_modes.shared import wheel_fixes, wheel_without_compiling
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD316",
    slug="flash-attn-4-namespace",
    title="flash-attn 4 is installed, and the program needs flash-attn 2",
    train=Severity.INFO,
    flash_attn=Severity.WARNING,
    explains=("yolo12-flash-not-used", "transformers-flash-attn-2-not-installed", "flash-attn-stub-namespace"),
    signs=(
        Sign(
            pattern=r"cannot import name '(?P<name>\w+)' from 'flash_attn' \(unknown\b",
            literal="from 'flash_attn' (unknown",
            sample="ImportError: cannot import name 'flash_attn_func' from 'flash_attn' (unknown location)",
        ),
        Sign(
            pattern=r"flash-attn-4\b",
            literal="flash-attn-4",
            sample="Successfully installed flash-attn-4-4.0.0b36",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="imports flash_attn_func from a folder flash_attn that holds only cute, as flash-attn-4 leaves it",
        of=(File(path="{site}/flash_attn/cute/__init__.py"),),
        run=(("{python}", "-c", "from flash_attn import flash_attn_func"),),
        shows="unknown location",
        seconds=2,
    ),
)


def detect(facts: Facts) -> Hit | None:
    flash = facts.flash_attention
    if not every(lambda: known(flash.fa4) is not None):
        return None
    fa4 = fact(facts, "flash_attention.fa4", f"flash-attn-4 {flash.fa4} is installed")
    if known(flash.version) is not None:
        return Hit(
            message=f"flash-attn {flash.version} and flash-attn-4 {flash.fa4} share the folder flash_attn/cute: one of them overwrote files of the other.",
            evidence=(fa4, fact(facts, "flash_attention.version")),
        )
    if known(flash.namespace_only) is not True:
        return None
    return Hit(
        message=f"Only flash-attn-4 {flash.fa4} is installed: `import flash_attn` gives an empty namespace without flash_attn_func.",
        evidence=(fa4, fact(facts, "flash_attention.namespace_only")),
        certainty=Certainty.OBSERVED,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    name = seen.group("name")
    if name is None:
        return None
    named = any(m.strength == "context" for m in seen.matches)
    return Hit(
        message=f"flash_attn is an empty namespace package, without {name}: only flash-attn 4 is installed, or a folder flash_attn hides the package.",
        evidence=evidence,
        confidence=Confidence.HIGH if named else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts, "--goal", "flash-attn", "--no-trial")
    if facts.flash_attention.version is not None and isinstance(facts.flash_attention.version, str):
        have = facts.flash_attention.version.partition("+")[0]
        steps = (
            commands.uninstall("flash-attn-4", "flash-attn", why="each of the two overwrote files of the other"),
            commands.install(
                f"flash-attn=={have}",
                no_build_isolation=True,
                why="only one of the two packages, here flash-attn 2",
                changes="flash-attn",
                risk="medium",
                risk_text="if no finished wheel fits, this compiles for hours",
            ),
        )
        removal = commands.uninstall(
            "flash-attn-4",
            "flash-attn",
            why="each overwrote files of the other, and PyTorch's own fused attention needs neither",
        )
        return (
            Fix(title="Keep only flash-attn 2", steps=steps, verify=verify),
            Fix(title="Do without both", steps=(removal,), verify=commands.check(facts)),
        )
    step = commands.by_hand(
        (), "write `from flash_attn.cute import flash_attn_func`", "the program that imports flash_attn", "none"
    )
    gone = commands.uninstall(
        "flash-attn-4", why="flash-attn 2 and flash-attn-4 write into the same folder, so keep only one"
    )
    found = wheel_without_compiling.fixes(facts)[:1] or (wheel_fixes.look_it_up(facts),)
    return (
        Fix(title="Import from flash_attn.cute", steps=(step,), verify=verify),
        Fix(
            title="If the program needs flash-attn 2: replace flash-attn-4",
            steps=(gone, *found[0].steps),
            verify=verify,
        ),
    )
