"""Parts of a plan: the forecast of a build, what is joined, which ways there are, and what the installer's answer means for each step."""

from __future__ import annotations

import msgspec
import pytest
from little_plans import fix
from plan_makers import WHEEL, WORDS, H, cause, draft, install, said, step, uninstall, variable
from whole_machines import changed, with_flash_attn

from attn_doctor import commands
from attn_doctor.commands.installers import context
from attn_doctor.failure_modes import no_build_here
from attn_doctor.fixes import alternatives, finished_wheels, joining, pins
from attn_doctor.fixes.plan import RIGHT, WITHOUT, WORK, Change, PlannedStep, Way
from attn_doctor.fixes.plan_builder import make, pip_version, planned
from attn_doctor.fixes.resolve import Resolved, _from_report, _from_uv, _lock_of_uv, by_hand, since, wanted
from attn_doctor.fixes.step_effects import changes_in_order, records
from attn_doctor.model.facts import Distribution, Pin, Unknown
from attn_doctor.model.findings import Fix, Goal, Severity
from attn_doctor.model.steps import AddPip, Install, Remove, RunByHand

# -- what is joined


@pytest.mark.parametrize(
    ("steps", "parts"),
    [
        ((install("torch"), install("flash-attn")), [["torch"], ["flash-attn"]]),
        ((install("torch"), variable("A"), install("flash-attn"), install("x")), [["torch", "A"], ["flash-attn", "x"]]),
        ((install("numpy"), install("flash-attn")), [["numpy", "flash-attn"]]),
        ((install("numpy"), install("torch"), install("flash-attn")), [["numpy", "torch"], ["flash-attn"]]),
        ((install("flash-attn"), install("torch")), [["flash-attn", "torch"]]),
        ((uninstall("torch"), install("flash-attn")), [["torch", "flash-attn"]]),
        ((install("torch"), install("numpy")), [["torch", "numpy"]]),
    ],
)
def test_a_torch_with_its_flash_attn_is_two_parts(steps, parts):
    made = joining._parted((("AD1",), fix("t", *steps)))
    assert [said(one.steps) for _, one in made] == parts
    assert {codes for codes, _ in made} == {("AD1",)}


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ((install("a"), install("a", "b")), ["a b"]),
        ((install("a", upgrade=True), install("a", "b")), ["a", "a b"]),
        ((install("a", "c"), install("a", "b")), ["a c", "a b"]),
        ((uninstall("a"), install("a", "b")), ["a", "a b"]),
        ((variable("A", "1"), variable("A", "2"), variable("B")), ["A", "B"]),
        ((install("flash-attn"), install("x"), install("flash-attn==2.8.3")), ["x", "flash-attn==2.8.3"]),
        ((install("flash-attn"), variable("A")), ["A", "flash-attn"]),
    ],
)
def test_what_another_step_covers_is_left_out(steps, left):
    assert said(joining._lean(steps)) == left


def test_a_missing_pip_comes_first_and_once():
    pip = AddPip(**WORDS)
    assert said(joining._pip_first((install("a"), pip, pip, install("b")))) == ["AddPip", "a", "b"]
    assert said(joining._pip_first((install("a"),))) == ["a"]


def test_a_way_is_titled_by_what_is_left_of_it_and_verified_by_its_last_part():
    chosen = [(("AD2",), fix("flash", install("flash-attn"))), (("AD1", "AD3"), fix("torch", install("torch"))), (("AD1",), fix("torch", install("torch")))]  # fmt: skip
    made = joining.draft_of(H, chosen, Goal.FLASH_ATTN)
    assert (made.title, said(made.steps), made.cures) == (
        "torch; flash",
        ["torch", "flash-attn"],
        ("AD2", "AD1", "AD3"),
    )
    assert (made.intent, made.verify) == (WORK, ("verify", "flash"))
    unnamed = joining.draft_of(H, [(("AD1",), Fix(title="t", steps=(install("numpy"),), verify=()))], Goal.TRAIN)
    assert unnamed.verify == commands.check(H)
    covered = joining.draft_of(
        H, [(("A",), fix("one", install("a"))), (("B",), fix("two", install("a", "b")))], Goal.TRAIN
    )
    assert (covered.title, said(covered.steps)) == ("two", ["a b"])


def test_a_way_that_leaves_this_system_puts_nothing_else_right_in_it():
    leave = RunByHand(elsewhere=True, **WORDS)
    chosen = [(("A",), fix("numpy", install("numpy"))), (("B",), fix("go", leave)), (("C",), fix("later", leave))]
    made = joining.draft_of(H, chosen, Goal.TRAIN)
    assert (made.title, made.steps, made.cures, made.verify) == ("go", (leave,), ("A", "B", "C"), ("verify", "go"))
    longer = joining.draft_of(H, [(("A",), fix("go", leave, install("numpy")))], Goal.TRAIN)
    assert longer.steps == (leave,)
    stays = RunByHand(**WORDS)
    both = joining.draft_of(H, [*chosen[:1], (("B",), fix("look", stays))], Goal.TRAIN)
    assert (both.title, both.steps[0], said(both.steps[1:])) == ("look; numpy", stays, ["numpy"])


def test_flash_attn_is_not_installed_after_a_way_that_leaves_this_system():
    leave = RunByHand(elsewhere=True, **WORDS)
    causes = (cause("AD1", fix("go", leave)), cause("AD2", fix("numpy", install("numpy"))))
    made, _ = alternatives.drafts(H, causes, Goal.FLASH_ATTN)
    assert made[0].steps == (leave,)


# -- which ways


def test_a_variable_in_front_is_all_until_the_user_has_looked_again():
    front = cause("AD1", fix("unset", variable("PYTHONPATH", None)))
    other = cause("AD2", fix("numpy", install("numpy")))
    made, notes = alternatives.drafts(H, (other, front), Goal.TRAIN)
    assert ([said(one.steps) for one in made], [one.cures for one in made]) == ([["PYTHONPATH"]], [("AD1",)])
    assert notes[0].startswith("Examine again after that")
    for steps in ((variable("MAX_JOBS"),), (variable("PYTHONPATH", None), install("x"))):
        made, notes = alternatives.drafts(H, (other, cause("AD1", fix("f", *steps))), Goal.TRAIN)
        assert not any("Examine again after" in note for note in notes)
        assert "numpy" in said(made[0].steps)
    effect = msgspec.structs.replace(front, root_cause=False)
    assert "numpy" in said(alternatives.drafts(H, (other, effect), Goal.TRAIN)[0][0].steps)


def test_each_cause_is_varied_once_and_equal_ways_are_one():
    two = [fix(name, install(name)) for name in ("a", "b")]
    three = [fix(name, install(name)) for name in ("x", "y", "z")]
    helped = [(cause("AD1"), tuple(two)), (cause("AD2"), tuple(three)), (cause("AD3"), ())]
    made = [[one.title for _, one in chosen] for chosen in alternatives._choose(helped)]
    assert made == [["a", "x"], ["b", "y"], ["b", "z"], ["b", "x"], ["a", "y"], ["a", "z"]]
    assert all([codes for codes, _ in chosen] == [("AD1",), ("AD2",)] for chosen in alternatives._choose(helped))
    assert list(alternatives._choose([(cause("AD3"), ())])) == []
    many = [draft(install(str(number))) for number in range(9)]
    assert [said(one.steps) for one in alternatives._distinct([many[0], *many])] == [[str(n)] for n in range(6)]


def test_a_finished_wheel_serves_all_causes_that_offer_it_and_the_others_keep_their_own_cures():
    wheel, build = fix("wheel", install(WHEEL)), fix("build", install("flash-attn"))
    numpy = fix("numpy", install("numpy"))
    shared = [
        (cause("AD1"), (wheel, build)),
        (cause("AD2", slug="nvcc-missing"), (build, wheel)),
        (cause("AD3"), (numpy,)),
    ]
    (only,) = finished_wheels.finished(shared)
    assert [(codes, one.title) for codes, one in only] == [(("AD3",), "numpy"), (("AD1", "AD2"), "wheel")]
    stopped = [(cause("AD1"), (wheel,)), (cause("AD2", slug="nvcc-missing"), (build,))]
    (only,) = finished_wheels.finished(stopped)
    assert [(codes, one.title) for codes, one in only] == [(("AD1", "AD2"), "wheel")]
    another = fix("another", install(WHEEL.replace("2.8.3", "2.8.2")))
    assert list(finished_wheels.finished([(cause("AD1"), (wheel,)), (cause("AD3"), (another,))])) == []
    assert [said(one.steps) for chosen in finished_wheels.compiled(shared) for one in chosen[1]] == [
        ["flash-attn"],
        ["flash-attn"],
        ["numpy"],
    ]
    assert finished_wheels.compiled([(cause("AD1"), (wheel,)), (cause("AD3"), (numpy,))]) == []


def test_helped_causes_have_the_cures_of_their_consequences():
    root = cause("AD1", fix("own", install("a")))
    effects = [
        cause("AD2", fix("effect", install("b")), root_cause=False, explained_by="AD1"),
        cause("AD3", fix("note", install("c")), root_cause=False, explained_by="AD1", severity=Severity.INFO),
        cause("AD4", fix("other", install("d")), root_cause=False, explained_by="AD9"),
    ]
    assert [[one.title for one in fixes] for _, fixes in alternatives._helped((root, *effects), but=None)] == [
        ["own", "effect"]
    ]
    assert [[one.title for one in fixes] for _, fixes in alternatives._helped((root, *effects), but=RIGHT)] == [[]]
    alone = msgspec.structs.replace(root, slug=next(iter(no_build_here())))
    assert [[one.title for one in fixes] for _, fixes in alternatives._helped((alone, *effects), but=None)] == [["own"]]


def test_doing_without_removes_the_broken_one_and_cures_the_rest():
    gone = cause("AD1", fix("without", uninstall("flash-attn")))
    broken = with_flash_attn(H, error="it does not import")
    made = alternatives._without(broken, (gone,))
    assert all(one.intent == WITHOUT and one.goal is Goal.TRAIN for one in made)
    assert any("flash-attn" in said(one.steps)[0] for one in made)
    bare = alternatives._without(broken, ())
    assert said(bare[0].steps)[0] == "flash-attn"
    assert alternatives._without(with_flash_attn(H), ()) == []
    assert alternatives._without(H, ()) == []
    cures = alternatives._without(H, (gone,))
    assert [(one.title, one.cures, said(one.steps)) for one in cures] == [
        ("Do without flash-attn", ("AD1",), ["flash-attn"])
    ]


def test_a_removal_becomes_a_replacement_on_linux():
    gone = cause("AD1", fix("without", uninstall("flash-attn")))
    (made,) = alternatives._replaced(H, gone)
    assert (said(made.steps), made.steps[0].why) == (
        ["flash-attn"],
        "the installed flash-attn does not work, and its files must not mix with the files of a new flash-attn",
    )
    assert alternatives._replaced(changed(H, system__os="windows"), gone) == ()
    assert alternatives._replaced(H, cause("AD1", fix("f", install("numpy")))) == ()


def test_variables_for_the_flash_attn_that_is_there():
    only = fix("f", variable("A"), variable("B"))
    assert alternatives._of_the_installed(with_flash_attn(H), only)
    assert not alternatives._of_the_installed(H, only)
    assert not alternatives._of_the_installed(with_flash_attn(H), fix("f", variable("A"), install("x")))


def test_a_step_with_a_fault_leaves_its_way_out_and_is_told_once():
    odd = cause("AD1", fix("bad", install("--evil")), fix("good", install("numpy")))
    made, notes = alternatives.drafts(H, (odd,), Goal.TRAIN)
    assert [said(one.steps) for one in made] == [["numpy"]]
    assert notes == ("A way was left out: '--evil' is not the name of a package.",)


# -- what an installer says


def pip_item(name: str, version: str, **download) -> dict:
    return {"metadata": {"name": name, "version": version}, "download_info": {"url": "https://h/x.whl", **download}}


def test_the_report_of_pip():
    made = _from_report({"install": [pip_item("Zork_A", "2.0"), pip_item("new", "1.0")]}, {"zork-a": "1.0"})
    assert [str(change) for change in made.changes] == ["zork-a 1.0 → 2.0", "adds new 1.0"]
    assert (made.why, made.impossible) == (None, False)
    assert _from_report({}, {}).changes == ()


def test_the_lines_of_uv():
    text = " - a==1.0\n + a==2.0\n + b==1\n ~ C_c==3\n - d==4\nUninstalled x==1\n"
    assert [str(change) for change in _from_uv(text, {"b": "0.9"})] == [
        "a 1.0 → 2.0",
        "b 0.9 → 1",
        "c-c 3 again",
        "removes d 4",
    ]
    assert str(_lock_of_uv(("uv", "pip", "--python", "/e/bin/python", "--python", "/f/bin/python"))) == "/e/.lock"
    assert _lock_of_uv(("uv", "--python")) is None
    assert _lock_of_uv(("uv", "pip")) is None
    assert since("dry-run") == "22.2"


def test_undoing_by_hand():
    here = context(H, "pip")
    kept = Change(package="torch", before="2.8.0+cu126", after="2.9.0")
    new, gone = Change(package="new", before=None, after="1"), Change(package="old", before="1.0", after=None)
    lines = by_hand((new, gone, kept), here)
    assert [line[3:] for line in lines] == [
        (
            "install",
            "--force-reinstall",
            "--no-deps",
            "old==1.0",
            "torch==2.8.0+cu126",
            "--index-url",
            "https://download.pytorch.org/whl/cu126",
        ),
        ("uninstall", "-y", "new"),
    ] or {word for line in lines for word in line} >= {
        "old==1.0",
        "torch==2.8.0+cu126",
        "https://download.pytorch.org/whl/cu126",
        "new",
    }
    assert len(by_hand((gone,), here)) == len(by_hand((new,), here)) == 1
    assert not any("download.pytorch.org" in word for word in by_hand((gone,), here)[0])
    assert by_hand((), here) == ()
    assert wanted(install("A_b>1", WHEEL, "x @ https://h/x.whl")) == {"a-b": "A_b>1"}


def test_changes_are_those_at_the_turn_of_the_step():
    here, have = context(H, "pip"), {"a": ["1", "0.9"], "b": ["1"]}
    steps = [
        step(uninstall("a", "nobody"), Change(package="a", before="1", after=None)),
        step(uninstall("a"), Change(package="a", before="1", after=None)),
        step(install("a==1", "b")),
        step(install("b==2"), Change(package="b", before="1", after="2")),
        step(install("b", reinstall=True), Change(package="b", before="1", after="2")),
        step(install("b"), Change(package="b", before="1", after="2")),
        step(uninstall("b"), None),
        step(install("a", "b>1,<3")),
    ]
    made = changes_in_order(steps, have, here)
    told = [None if one.changes is None else [str(change) for change in one.changes] for one in made]
    assert told == [["removes a 1"], ["removes a 0.9"], ["adds a 1"], ["b 1 → 2"], ["b 2 again"], [], None, []]
    assert [bool(one.undo) for one in made] == [False, False, False, True, True, False, False, False]
    assert have == {"a": ["1", "0.9"], "b": ["1"]}
    again = changes_in_order(
        [step(uninstall("b"), Change(package="b", before="1", after=None)), step(install("b>=0"))], have, here
    )
    assert [str(change) for change in again[1].changes] == ["adds b 1"]
    wild = changes_in_order(
        [step(uninstall("b"), Change(package="b", before="1", after=None)), step(install("b==2.*"))], have, here
    )
    assert [str(change) for change in wild[1].changes] == ["adds b 1"]


def test_records_of_packages():
    listed = (
        Distribution(name="a", version="1"),
        Distribution(name="a", version=Unknown("x")),
        Distribution(name="pip", version="25"),
    )
    facts = changed(H, packages__distributions=listed)
    assert records(facts) == {"a": ["1", "(version not known)"], "pip": ["25"]}
    assert pip_version(facts) == "25"
    for other in (Unknown("x"), (Distribution(name="pip", version=Unknown("x")),), ()):
        assert pip_version(changed(H, packages__distributions=other)) is None
    assert records(changed(H, packages__distributions=Unknown("x"))) == {}


# -- pins


@pytest.mark.parametrize(
    ("requirement", "file", "steps", "says"),
    [
        ("numpy<2", "r.txt", [(None, install("numpy==2.2"))], "r.txt line 7 asks for numpy<2, and this asks for numpy==2.2"),
        ("numpy==1.26", "r.txt", [(None, install("numpy>=2"))], "r.txt line 7 asks for numpy==1.26, and this asks for numpy>=2"),
        ("numpy<2", "r.txt", [(None, install("numpy>=2"))], None),
        ("numpy==2.*", "r.txt", [(None, install("numpy<2"))], None),
        ("numpy<2", "r.txt", [(None, install("numpy==2.2")), (None, install("numpy==1.26"))], None),
        ("numpy<2", "r.txt", [(None, uninstall("numpy"))], "r.txt line 7 asks for numpy<2, and this removes it"),
        ("numpy<2", "r.txt", [([Change(package="numpy", before="1", after="2.2")], install("x"))], "r.txt line 7 asks for numpy<2, and this installs 2.2"),
        ("torch==2.8.0", "r.txt", [([Change(package="torch", before="1", after="2.8.0+cu128")], install("x"))], None),
        ("numpy<2", "r.txt", [([Change(package="numpy", before="1", after="odd")], install("x"))], None),
        ("Num_Py<2", "r.txt", [(None, install("num-py==2"))], "r.txt line 7 asks for Num_Py<2, and this asks for num-py==2"),
        ("numpy<2", "pyproject.toml", [(None, install("kept==2"))], None),
        ("kept<2", "pyproject.toml", [(None, install("kept==2"))], None),
        ("kept<2", "uv.lock", [(None, install("kept==2"))], None),
        ("kept<2", "r.txt", [(None, install("kept==2"))], "r.txt line 7 asks for kept<2, and this asks for kept==2"),
        ("numpy<2", "r.txt", [(None, variable("A"))], None),
        (WHEEL, "r.txt", [(None, uninstall("flash-attn"))], f"r.txt line 7 asks for {WHEEL}, and this removes it"),
        (WHEEL, "r.txt", [(None, install("flash-attn==2.8.3"))], None),
        ("numpy<=3a1", "r.txt", [([Change(package="numpy", before="1", after="3.0a1")], install("x"))], None),
    ],
)  # fmt: skip
def test_a_requirement_that_a_way_breaks(requirement, file, steps, says):
    facts = changed(
        H,
        project__pins=(
            Pin(requirement=requirement, file=file, line=7),
            Pin(requirement=requirement, file=file, line=7),
        ),
    )
    assert pins.broken(facts, steps, frozenset({"kept"})) == ((says,) if says else ())
    assert pins.broken(changed(H, project__pins=Unknown("x")), steps) == ()


# -- the plan


def test_ways_that_cannot_be_or_that_break_something_come_last():
    root = cause("AD901", *(fix(name, install(name)) for name in ("first", "breaks", "impossible", "good")))
    facts = changed(H, project__pins=(Pin(requirement="breaks<2", file="r.txt", line=1),), grade="stated")

    def resolver(one, variables):
        (name,) = one.names()
        if name == "impossible":
            return Resolved(None, "no such version", impossible=True)
        return Resolved((Change(package=name, before=None, after="2"),), download_bytes=5)

    made = make(facts, (root,), Goal.TRAIN, resolver=resolver)
    assert [(way.name, way.title) for way in made.ways] == [
        ("A", "first"),
        ("B", "good"),
        ("C", "breaks"),
        ("D", "impossible"),
    ]
    assert made.ways[2].breaks == ("r.txt line 1 asks for breaks<2, and this installs 2",)
    assert made.ways[3].impossible() == "no such version"
    assert [way.steps[-1].download_bytes for way in made.ways] == [5, 5, 5, None]
    assert made.installer == "pip"


def test_a_rendered_step_has_its_lines():
    one = planned(commands.install("numpy", why="w", changes="c"), ("check",))
    assert (set(one.shown) <= {"bash", "fish", "powershell"}, one.verify, one.undo) == (True, ("check",), ())
    undone = planned(msgspec.structs.replace(variable("A"), undo=("unset", "A")), ())
    assert (undone.undo, set(undone.shown)) == ((("unset", "A"),), {"bash", "fish", "powershell"})
    assert planned(RunByHand(**WORDS), ()).shown == {}


def test_what_of_a_way_can_be_run():
    steps = [install("a"), variable("A", "1"), variable("B", None), RunByHand(**WORDS), Remove(paths=(), **WORDS)]
    way = Way(
        name="A", title="", intent=RIGHT, goal=Goal.TRAIN, cures=(), steps=tuple(PlannedStep(step=one) for one in steps)
    )
    assert [one.step for one in way.runnable()] == [steps[0], steps[4]]
    assert [one.step for one in way.by_hand()] == [steps[3]]
    assert way.variables() == {"A": "1", "B": None}
    assert way.impossible() is None
    assert PlannedStep(step=install("a")).words == "c"
    assert PlannedStep(step=Install(requirements=("a",), why="reason", changes="")).words == "reason"
