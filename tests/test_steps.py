"""Steps as values: what each installer's command says of them, the lines for each shell, and steps of version 1 reports."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shell_words import cmd_words, fish_words, powershell_words

from attn_doctor import commands
from attn_doctor.commands.installers import INSTALLERS, Context, installer
from attn_doctor.fixes.alternatives import drafts
from attn_doctor.model.findings import Goal
from attn_doctor.model.old_reports import upgraded
from attn_doctor.model.report import Report, Unreadable, decode_report, encode
from attn_doctor.model.steps import AddPip, Install, Remove, Run, RunByHand, SetVariable, Step, Uninstall, action
from attn_doctor.report.outline import outline

PY = "/venv/bin/python"
OLD = Path(__file__).parent.parent / "fixtures" / "reports" / "version-1.json"
WHEEL = "https://x.org/flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp311-cp311-linux_x86_64.whl"
HERE = {
    "python": PY,
    "prefix": "/venv",
    "folder": "/project",
    "from_conda": frozenset({"numpy", "torch"}),
    "declared": frozenset({"numpy"}),
}
# By hand, from `pip install --help` and `uv pip install --help`: the words for each option.
PIPS_WORDS = {
    "verbose": ["-v"],
    "upgrade": ["--upgrade"],
    "reinstall": ["--force-reinstall"],
    "no_deps": ["--no-deps"],
    "no_build_isolation": ["--no-build-isolation"],
    "no_cache": ["--no-cache-dir"],
    "from_folder": ["--no-index", "--find-links", "wheels"],
    "index_url": ["--index-url", "https://download.pytorch.org/whl/cu128"],
}
VALUES = {"from_folder": "wheels", "index_url": "https://download.pytorch.org/whl/cu128"}

requirements = st.lists(
    st.sampled_from(["numpy", "numpy<2", "torch==2.8.0", "flash-attn", WHEEL]), min_size=1, max_size=3, unique=True
)
options = st.sets(st.sampled_from(sorted(PIPS_WORDS)))
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12)


def within(part: list[str], whole: tuple[str, ...]) -> bool:
    return any(list(whole[at : at + len(part)]) == part for at in range(len(whole)))


def installation(texts: list[str], chosen: set[str]) -> Step:
    return commands.install(*texts, why="why", changes="", **{name: VALUES.get(name, True) for name in chosen})


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(INSTALLERS)), requirements, options)
def test_no_installers_command_loses_a_field(name, texts, chosen):
    made = installer(Context(installer=name, **HERE)).rendered(installation(texts, chosen))
    runs_pip = made.argv[:3] in ((PY, "-m", "pip"), ("pipx", "runpip", "venv"))
    if runs_pip or name == "uv":
        assert all(within(PIPS_WORDS[option], made.argv) for option in chosen)
        assert sum(len(PIPS_WORDS[option]) for option in chosen) + len(texts) + 4 + (name == "uv") == len(made.argv)
        assert (name in ("pip", "uv", "pipx")) == (made.why == "why")  # what another installer cannot say is said
        assert set(texts) <= set(made.argv)
        return
    own = {
        "poetry": {"upgrade", "verbose", "no_cache", "index_url"},
        "pdm": {"upgrade", "verbose", "index_url", "no_build_isolation"},
        "pipx": {"verbose"},
    }
    assert chosen <= own.get(name, {"upgrade"})
    line = " ".join(made.argv).replace("pytorch", "torch")
    assert all(text in line for text in texts)
    if "upgrade" in chosen:
        verbs = {"update", "upgrade"} & set(made.argv)
        latest = name == "poetry" and all(
            f"{text}@latest" in made.argv for text in texts if text in ("numpy", "flash-attn")
        )
        newest = name == "pdm" and not set(texts) <= {"numpy"}  # `pdm add` of what is not there takes the newest
        assert verbs or latest or newest or "keeps a version" in made.why


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(INSTALLERS)),
    st.lists(st.sampled_from(["numpy", "torch", "flash-attn"]), min_size=1, unique=True),
)
def test_no_installers_removal_loses_a_name(name, names):
    made = installer(Context(installer=name, **HERE)).rendered(commands.uninstall(*names, why="why"))
    shown = [word.removeprefix("py") if word == "pytorch" else word for word in made.argv]
    assert shown[-len(names) :] == names
    assert {"uninstall", "remove"} & set(made.argv)


@settings(max_examples=150, deadline=None)
@given(st.lists(words, min_size=1, max_size=4))
@pytest.mark.parametrize(
    ("shell", "read"),
    [("bash", shlex.split), ("fish", fish_words), ("powershell", powershell_words), ("cmd", cmd_words)],
)
def test_a_line_says_what_the_argv_says(shell, read, argv):
    step = RunByHand(argv=("program", *argv), why="", changes="")
    assert read(commands.shown(step, shell)) == ["program", *argv]


@settings(max_examples=150, deadline=None)
@given(st.lists(words, min_size=1, max_size=4))
def test_a_line_for_windows_says_it_to_cmd_and_where_nothing_else_is_named_to_powershell(argv):
    step = RunByHand(argv=("program", *argv), why="", changes="")
    line = commands.shown(step, "windows")
    assert cmd_words(line) == ["program", *argv]
    if commands.in_powershell(step, "windows") is None:
        assert powershell_words(line) == ["program", *argv]


# --- reports of version 1

KINDS = [
    ("run", [PY, "-m", "pip", "install", "--index-url", "https://x/cpu", "torch==2.8.0"],
     Install(requirements=("torch==2.8.0",), index_url="https://x/cpu", why="w", changes="c")),
    ("run", ["uv", "pip", "install", "--python", PY, "-v", "--no-build-isolation", "--no-cache-dir", "flash-attn"],
     Install(requirements=("flash-attn",), verbose=True, no_build_isolation=True, no_cache=True, why="w", changes="c")),
    ("run", [PY, "-m", "pip", "install", "--no-index", "--find-links", "wheels", "torch"],
     Install(requirements=("torch",), from_folder="wheels", why="w", changes="c")),
    ("run", [PY, "-m", "pip", "install", "--force-reinstall", "--no-deps", "--upgrade", "numpy"],
     Install(requirements=("numpy",), reinstall=True, no_deps=True, upgrade=True, why="w", changes="c")),
    ("run", [PY, "-m", "pip", "uninstall", "-y", "a", "b"], Uninstall(requirements=("a", "b"), why="w", changes="c")),
    ("run", ["uv", "pip", "uninstall", "--python", PY, "a"], Uninstall(requirements=("a",), why="w", changes="c")),
    ("run", [PY, "-m", "ensurepip", "--upgrade"], AddPip(why="w", changes="c")),
    ("run", ["rm", "-r", "/x/~orch"], Remove(paths=("/x/~orch",), why="w", changes="c")),
    ("run", ["git", "submodule", "update"], Run(argv=("git", "submodule", "update"), why="w", changes="c")),
    ("run", [PY, "-m", "pip", "cache", "purge"], Run(argv=(PY, "-m", "pip", "cache", "purge"), why="w", changes="c")),
    ("environment", ["CC", "gcc-12"], SetVariable(name="CC", value="gcc-12", why="w", changes="c")),
    ("environment", ["PYTHONPATH"], SetVariable(name="PYTHONPATH", why="w", changes="c")),
    ("system", ["sudo", "reboot"], RunByHand(argv=("sudo", "reboot"), why="w", changes="c")),
    ("system", [], RunByHand(why="w", changes="c")),
    ("run", [PY, "-m", "pip", "install", "--target", "/etc", "torch"],
     RunByHand(argv=(PY, "-m", "pip", "install", "--target", "/etc", "torch"), why="w", changes="c")),
]  # fmt: skip


def old(kind: str, argv: list[str], risk: str = "low") -> bytes:
    """The recorded report of version 1 with one other step."""
    data = json.loads(OLD.read_bytes())
    data["findings"][0]["fixes"][0]["steps"] = [{"kind": kind, "argv": argv, "why": "w", "changes": "c", "risk": risk}]
    return json.dumps(data).encode()


def only_step(report: Report) -> Step:
    (step,) = report.findings[0].fixes[0].steps
    return step


@pytest.mark.parametrize(("kind", "argv", "step"), KINDS)
def test_every_kind_of_step_of_version_1_is_read(kind, argv, step):
    read = only_step(decode_report(old(kind, argv), "r.json"))
    assert action(read) == action(step)
    assert (read.why, read.changes) == ("w", "c")
    assert list(read.argv) == ([] if kind == "environment" else argv)  # shown word for word as it was


@pytest.mark.parametrize(
    ("risk", "value", "text"),
    [("none", "none", None), ("medium: a reboot", "medium", "a reboot"), ("odd", "high", None)],
)
def test_a_risk_of_version_1_is_taken_apart(risk, value, text):
    read = only_step(decode_report(old("system", [], risk), "r.json"))
    assert (read.risk, read.risk_text) == (value, text)


def test_a_report_that_version_1_wrote_is_shown_compared_and_planned_from():
    report = decode_report(OLD.read_bytes(), OLD.name)
    assert report.schema_version == 2
    step = only_step(report)
    assert (step.requirements, step.reinstall, step.no_deps) == (("torchvision==0.22.1",), True, True)
    assert "--force-reinstall --no-deps torchvision==0.22.1" in repr(outline(report))
    made, _ = drafts(report.facts, report.findings, Goal.TRAIN)
    assert [type(step) for step in made[0].steps] == [Install]
    assert decode_report(encode(report), "again") == report


def test_a_step_of_a_report_that_is_no_step_is_refused_in_a_sentence():
    with pytest.raises(Unreadable):
        decode_report(old("run", ["x"]).replace(b'"why": "w"', b'"why": 7'), "r.json")
    assert upgraded({"findings": 3}) == {"findings": 3, "schema_version": 2}


def test_a_kind_of_step_that_nobody_knows_does_not_pass():
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": "instal", "requirements": [], "why": "", "changes": ""}, Step)
