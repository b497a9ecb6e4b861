"""Begin a failure mode: write its module and its fixtures with blanks, and print the next steps.

    python scripts/new_failure_mode.py SLUG --area model_code --title "What it is called"

`--facts-only` is for a failure mode that no log shows: the module gets a `detect` and no signs, and no log is written.
docs/adding-a-failure-mode.md explains the blanks, all of which have the words FILL IN.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from attn_doctor.failure_modes.areas import AREAS, Area  # noqa: E402

MODULE = '''"""FILL IN: one sentence that says what is wrong.

What it is
    FILL IN: the failure, for somebody who meets it for the first time.

How it shows
    FILL IN: the words of the error, quoted.

Why it happens
    FILL IN: the causes.

What to do
    FILL IN: the way out.

How to reproduce
    There is no recipe: FILL IN why none can be run here, and how a reader can see it.

References
    FILL IN: the address of an issue or a page, one a line
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit{imports}
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity{evidence}

MODE = FailureMode(
    code="{code}",
    slug="{slug}",
    title="{title}",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
{signs})

{detect}
def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    # Steps: docs/adding-a-failure-mode.md, "Writing fixes". FILL IN one that can be run on this machine.
    step = commands.by_hand((), "FILL IN: what to do, and why it helps", "FILL IN: what it changes", "none")
    return (Fix(title="FILL IN: what to do", steps=(step,), verify=commands.check(facts)),)
'''
SIGNS = """    says="FILL IN: one sentence for the user. {value} is what the group of that name caught.",
    signs=(
        Sign(
            pattern=r"FILL IN: (?P<value>\\w+)",
            literal="FILL IN: ",
            sample="FILL IN: sample",
        ),
    ),
"""
DETECT = """
def detect(facts: Facts) -> Hit | None:
    # FILL IN: the condition. docs/adding-a-failure-mode.md, "Reading facts".
    version = known(facts.torch.version)
    if version != "FILL IN":
        return None
    return Hit(
        message=f"FILL IN: one sentence for the user, with the two values that differ: {version}",
        evidence=(fact(facts, "torch.version", f"torch {version}"),),
    )

"""
EXPECT = '[first]\nproof = ["FILL IN"]\n'
LOOK_ALIKE = '\n[{name}]\nunrecognised = "FILL IN"\nnot = ["{slug}"]\n'
ORIGIN = '[{name}]\nmade = "FILL IN"\nhow = "FILL IN"\ndate = "{date}"\n'
FILL_LOGS = """  1. Fill in every FILL IN of these files. first.log is an output that shows the failure. {name}.log looks like it and has another
     cause. If a failure mode has code for that other cause, move {name}.log and its two tables to the folder of that slug.
  2. See whether another failure mode has a sign for the same lines:
       attn-doctor diagnose fixtures/logs/{slug}/first.log
"""
FILL_FACTS = """  1. Fill in every FILL IN of the module.
  2. Add two machines: copy the nearest folder of fixtures/machines twice, and edit facts.json, expect.toml and origin.toml.
     The first machine has the failure. The second looks like it and is well: its expect.toml has {slug} in `absent`.
"""
TEST_LOGS = """       python -m pytest -q tests/test_logs_corpus.py tests/test_logs_metamorphic.py -k {slug}
       python -m pytest -q tests/test_logs_unrecognised.py        (reads all logs of unrelated/: `-k` selects none of them)
     With a machine (fixtures/machines/NAME) also:
"""
LEFT = """
Left to do (docs/adding-a-failure-mode.md says how):
{fill}  3. Write the page for docs/:
       python scripts/refresh_docs.py
       python scripts/refresh_answers.py
  4. Test:
       ruff check . && ruff format . && mypy
       python -m pytest -q tests/test_failure_modes_shape.py tests/test_failure_modes_catalogue.py tests/test_judging.py
{test}       python -m pytest -q tests/test_machines.py -k NAME
     With a recipe also:
       attn-doctor reproduce {slug}
  5. Test fixes for each variant, by hand, in the file of tests/test_failure_modes_*.py that is about the same subject.
"""


def next_code(folder: Path, area: Area) -> str:
    """Return the code after the highest code of the area."""
    text = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    taken = [int(number) for number in re.findall(rf'code="{area.prefix}(\d\d)"', text)]
    return f"{area.prefix}{max(taken, default=0) + 1:02}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Begin a failure mode: write its module and its fixtures with blanks.")
    parser.add_argument("slug", help="its name: small letters, digits and hyphens, as in qkv-missing")
    parser.add_argument(
        "--area", required=True, choices=[area.folder for area in AREAS], help="the folder it belongs to"
    )
    parser.add_argument(
        "--title", required=True, help='its name for people, as in "The model\'s code lacks an attribute"'
    )
    parser.add_argument("--facts-only", action="store_true", help="no log shows it: write a detect, and no logs")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to write into (default: this one)")
    arguments = parser.parse_args()
    slug, root = arguments.slug, arguments.root
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug):
        parser.error(f"{slug!r} is no name of small letters, digits and hyphens")
    if '"' in arguments.title or "\\" in arguments.title:
        parser.error("the title can contain neither a double quote nor a backslash")
    area = next(area for area in AREAS if area.folder == arguments.area)
    modes, logs = root / "attn_doctor" / "failure_modes", root / "fixtures" / "logs"
    module = modes / area.folder / f"{slug.replace('-', '_')}.py"
    if list(modes.glob(f"*/{module.name}")) or (logs / slug).exists():
        parser.error(f"{slug} is there already")
    code = next_code(modes / area.folder, area)
    name, date = f"not-{slug}", f"{dt.datetime.now(dt.timezone.utc):%Y-%m}"
    facts_only = arguments.facts_only
    parts = {
        "imports": ", known" if facts_only else ", Sign",
        "evidence": ", fact" if facts_only else "",
        "signs": "" if facts_only else SIGNS,
        "detect": DETECT if facts_only else "",
    }
    unrelated = logs / "unrelated"
    written = {module: MODULE.format(code=code, slug=slug, title=arguments.title, **parts)}
    written |= (
        {}
        if facts_only
        else {
            logs / slug / "first.log": "FILL IN: sample\n",
            logs / slug / "expect.toml": EXPECT,
            logs / slug / "origin.toml": ORIGIN.format(name="first", date=date),
            unrelated / f"{name}.log": "FILL IN\n",
            unrelated / "expect.toml": (unrelated / "expect.toml").read_text("utf-8")
            + LOOK_ALIKE.format(name=name, slug=slug),
            unrelated / "origin.toml": (unrelated / "origin.toml").read_text("utf-8")
            + "\n"
            + ORIGIN.format(name=name, date=date),
        }
    )
    # All files are written before the first print, which fails if nobody reads it (`| head -1`).
    for path, text in written.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    print(f"{code} {slug}")
    for path in written:
        print(f"written: {path.relative_to(root)}")
    fill, test = (FILL_FACTS, "") if facts_only else (FILL_LOGS, TEST_LOGS)
    print(LEFT.format(fill=fill.format(name=name, slug=slug), test=test.format(slug=slug), slug=slug), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
