"""The report: its contract, its redaction, its files, and that foreign text cannot break a rendering."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import jsonschema
import msgspec
import pytest
from rich.console import Console

from attn_doctor import commands
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Finding, Fix, Goal, Severity
from attn_doctor.model.recommendation import Recommendation
from attn_doctor.model.report import Report, Target, Tool, Unreadable, decode_facts, decode_report, encode, schema
from attn_doctor.model.steps import Install
from attn_doctor.model.trials import AttentionCalls, Interval, ReferenceCheck, Trial, TrialRun
from attn_doctor.report import files, html, markdown
from attn_doctor.report.console import render
from attn_doctor.report.outline import outline
from attn_doctor.report.redact import redact
from attn_doctor.system.own_names import Own, restore

NASTY = "[/home/x] [bold]<script>alert(1)</script> `rm -rf` | \x1b[31m \u202e {{ 7*7 }} $(id)"


def report(**changes) -> Report:
    argv = ("/opt/a b/python", "-m", "pip", "install", "numpy<2")
    step = Install(requirements=("numpy<2",), argv=argv, why=NASTY, changes="numpy", risk="medium", risk_text=NASTY)
    finding = Finding(
        code="AD311",
        slug="numpy-abi",
        title="t",
        message=NASTY,
        severity=Severity.ERROR,
        certainty=Certainty.OBSERVED,
        confidence=Confidence.HIGH,
        root_cause=True,
        explained_by=None,
        blocks=(),
        evidence=(Evidence(kind="log", text=NASTY, file="build.log", line=3),),
        fixes=(Fix(title="Install NumPy 1", steps=(step,), verify=("attn-doctor", "check")),),
        docs="https://example.org",
    )
    trial = Trial(
        backend="eager",
        status="ok",
        dtype="float32",
        model="yolo12n",
        batch=2,
        imgsz=640,
        attention_calls=AttentionCalls(eager=8),
        forward_ms=Interval(median=150.2, low=149, high=152, n=9),
        step_ms=Interval(median=510.0, low=500, high=520, n=9),
        peak_bytes=10**9,
    )
    values = {
        "tool": Tool(version="0.1.0", knowledge_date="2026-11-20"),
        "created": "2026-11-20T12:00:00+00:00",
        "command": ("attn-doctor", "check"),
        "goal": Goal.TRAIN,
        "target": Target(python="/home/alice/env/bin/python", why="named", version="3.11.7"),
        "exit_code": 1,
        "facts": Facts(),
        "findings": (finding,),
        "undetermined": (),
        "trials": (trial,),
        "recommendation": Recommendation(backend="eager", install_flash_attn="not-here", measured=True, summary=NASTY),
        **changes,
    }
    return Report(**values)


def test_the_json_has_what_the_contract_names():
    data = json.loads(encode(report()))
    assert set(data) >= {
        "schema_version", "tool", "created", "command", "goal", "target", "exit_code", "facts", "findings", "undetermined",
        "trials", "recommendation", "redacted",
    }  # fmt: skip
    assert set(data["tool"]) == {"name", "version", "knowledge_date"}
    assert set(data["target"]) == {"python", "why", "version"}
    assert set(data["findings"][0]) == {
        "code", "slug", "title", "message", "severity", "certainty", "confidence", "root_cause", "explained_by", "blocks",
        "evidence", "fixes", "docs",
    }  # fmt: skip
    assert set(data["findings"][0]["fixes"][0]) == {"title", "steps", "verify"}
    assert set(data["findings"][0]["fixes"][0]["steps"][0]) >= {
        "kind",
        "requirements",
        "argv",
        "why",
        "changes",
        "risk",
    }
    assert set(data["trials"][0]) >= {
        "backend", "status", "reason", "scope", "model", "device", "dtype", "batch", "imgsz", "threads", "kernels",
        "attention_calls", "forward_ms", "step_ms", "peak_bytes", "output_error", "gradient_error", "attention_share",
    }  # fmt: skip
    assert set(data["trials"][0]["step_ms"]) == {"median", "low", "high", "n", "coverage"}
    assert set(data["recommendation"]) == {"backend", "install_flash_attn", "measured", "summary", "because", "do"}
    assert data["facts"]["torch"]["version"] == {"unknown": "not recorded"}


def test_it_validates_against_the_shipped_schema_which_is_fresh():
    shipped = (Path(__file__).parent.parent / "docs" / "report.schema.json").read_bytes()
    assert shipped == schema(), "run: python scripts/refresh_docs.py"
    checker = jsonschema.Draft202012Validator(json.loads(shipped))
    data = json.loads(encode(report()))
    checker.validate(data)
    data["findings"][0]["severity"] = "catastrophe"
    with pytest.raises(jsonschema.ValidationError):
        checker.validate(data)


def test_it_comes_back_as_it_was():
    original = report()
    assert decode_report(encode(original), "r.json") == original
    assert decode_facts(encode(original), "r.json") == original.facts
    assert decode_facts(msgspec.json.encode(original.facts), "f.json") == original.facts


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is empty"),
        (b'{"schema_version": 1, "torch": {"ver', "truncated"),
        (b"not json", "is not JSON"),
        (b'{"schema_version": 99}', "newer attn-doctor"),
        (b'{"torch": {"version": 7}}', r"Expected `str \| object \| null`.*torch.version"),
        (b"[1, 2]", "JSON, but no report"),
    ],
)
def test_facts_that_cannot_be_read(data, text):
    with pytest.raises(Unreadable, match=text):
        decode_facts(data, "facts.json")


def test_partial_facts_are_welcome():
    facts = decode_facts(
        b'{"torch": {"version": "2.3.1+cu121", "cuda": "12.1"}, "system": {"os": "linux", "wsl": null}}', "f"
    )
    assert facts.torch.cuda == "12.1"
    assert facts.system.wsl is None
    assert isinstance(facts.graphics.gpus, Unknown)


def test_foreign_text_stays_text_on_the_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system="standard")
    render(outline(report()), console)
    output = console.file.getvalue()
    assert "[/home/x] [bold]<script>" in output


def test_foreign_text_stays_text_in_html_and_markdown():
    page = html.render(outline(report()), "t")
    assert "<script>alert" not in page
    assert "{{ 7*7 }}" in page
    text = re.sub(r"(?ms)^```text\n.*?^```$", "", markdown.render(outline(report())))  # the evidence is code
    assert "\\<script\\>" in text
    assert "`rm" not in text.replace("\\`rm", "").replace("# [/home/x] [bold]<script>alert(1)</script> `rm", "")


def test_wrong_gradients_that_no_failure_mode_knows_are_said_beside_the_trials():
    wrong = ReferenceCheck(
        ok=False, error=0.4, module="GroupNorm", note="a gradient of shape (1, 8) with strides (8, 1)"
    )
    notes = [block.notes for block in outline(report(trial_run=TrialRun(reference=wrong))) if hasattr(block, "notes")]
    assert any("wrong gradients: GroupNorm, a gradient of shape" in note for note in notes[0])
    assert not any(
        "wrong gradients" in note for note in next(b.notes for b in outline(report()) if hasattr(b, "notes"))
    )


def test_commands_are_never_wrapped_or_cut():
    long = tuple(f"package-with-a-long-name-{i}==1.2.3" for i in range(30))
    argv = ("/opt/a b/python", "-m", "pip", "install", *long)
    step = Install(requirements=long, argv=argv, why="w", changes="c")
    finding = msgspec.structs.replace(report().findings[0], fixes=(Fix(title="t", steps=(step,), verify=()),))
    console = Console(file=io.StringIO(), width=60)
    render(outline(report(findings=(finding,))), console)
    line = commands.quoted(step.argv)
    assert line.startswith('"/opt/a b/python" -m pip install package')
    assert line in console.file.getvalue()


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        ("bash", """"/o p/py" "-x;rm" "it's" '$HOME'"""),
        ("fish", "'/o p/py' '-x;rm' 'it\\'s' '$HOME'"),
        ("powershell", """& "/o p/py" "-x;rm" "it's" '$HOME'"""),
    ],
)
def test_an_argv_is_shown_so_that_it_can_be_pasted(shell, expected):
    assert commands.quoted(("/o p/py", "-x;rm", "it's", "$HOME"), shell) == expected


ALICE = Own(home="/home/alice", user="alice", host="cygnus-7")


def cleaned(text: str) -> tuple[str, dict[str, int]]:
    data = redact({"text": text}, ALICE)
    return data["text"], data["redacted"]


@pytest.mark.parametrize(
    ("text", "expected", "kind"),
    [
        ("/home/alice/env/bin/python", "<home>/env/bin/python", "home"),
        ("/scratch/alice/x", "/scratch/<user>/x", "user"),
        ("ssh cygnus-7 failed", "ssh <host> failed", "host"),
        ("/home/bob/x", "/home/<user-1>/x", "user"),
        ("C:\\Users\\Carol\\x", "C:\\Users\\<user-1>\\x", "user"),
        ("https://me:pw@pypi.corp/simple", "https://<credentials>@pypi.corp/simple", "credentials"),
        ("GPU-8f3a1b2c-1234-5678-9abc-def012345678", "<uuid-1>", "uuid"),
        ("token=abcdef123456", "token=<secret-1>", "secret"),
        ("hf_abcdefghijklmnopqrstuvwx", "<token-1>", "token"),
        ("connect to 192.168.3.14:443", "connect to <ip-1>:443", "ip"),
        ("peer fe80:0:0:0:1:2:3:4 left", "peer <ip-1> left", "ip"),
        ("peer fe80::1:2:3 left", "peer <ip-1> left", "ip"),
        ("no route to fd12:3456:789a::1: refused", "no route to <ip-1>: refused", "ip"),
        ("[2001:db8::8a2e:370:7334]:29500", "[<ip-1>]:29500", "ip"),
        ("route 2001:db8:1:: up", "route <ip-1> up", "ip"),
        ("mail a.b@corp.example now", "mail <email-1> now", "email"),
        ("Serial Number: 1562920012345", "Serial Number: <serial-1>", "serial"),
    ],
)
def test_what_must_not_leave_the_machine(text, expected, kind):
    assert cleaned(text) == (expected, {kind: 1})


@pytest.mark.parametrize(
    "text",
    [
        "nvidia-cublas==13.4.1.3",
        "nvidia_cublas-13.4.1.3.dist-info",
        "std::__cxx11::basic_string",
        "torch::nn, c10::cuda::CUDAStream, c10::d and std::vector<at::Tensor>",
        "feed::bad(fade::c) of x[0:10::2] at ::1",
        "_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_string",
        "12:31:00 elapsed 0:01:02",
        "0000:01:00.0 VGA",
        "git@github.com:Dao-AILab/flash-attention.git",
        "listening on 127.0.0.1:8000",
        "driver 580.65.06",
        "/home/aliceville/x".replace("aliceville", "<user-9>"),
        "malice and palice",
    ],
)
def test_what_only_looks_private(text):
    assert cleaned(text)[0] == text


def test_the_same_thing_gets_the_same_placeholder_and_versions_are_left_alone():
    data = redact(
        {"a": "10.1.2.3 and 10.1.2.4", "b": "again 10.1.2.3", "version": "9.26.0.51", "cudnn": "9.26.0.51"}, ALICE
    )
    assert data["a"] == "<ip-1> and <ip-2>"
    assert data["b"] == "again <ip-1>"
    assert data["version"] == "9.26.0.51"
    assert data["redacted"] == {"ip": 3}


def test_redacting_twice_changes_nothing_more():
    once = redact({"x": "/home/alice/a /home/bob/b token=abcdef123456 10.2.3.4 at"}, ALICE)
    twice = redact(once, ALICE)
    assert twice["x"] == once["x"]


def test_the_machine_that_wrote_it_can_put_its_own_back():
    assert (
        restore(cleaned("/home/alice/env/bin/python on cygnus-7")[0], ALICE) == "/home/alice/env/bin/python on cygnus-7"
    )


def test_common_accounts_are_no_secret():
    own = Own(home="/root", user="root", host="localhost")
    data = redact({"x": "root cause at /root/env and /rooted on localhost"}, own)
    assert data["x"] == "root cause at <home>/env and /rooted on localhost"


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "report.json"
    target.write_text("old")
    target.chmod(0o600)
    files.write(str(target), b"new")
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_unwritable_paths_are_refused_beforehand(tmp_path):
    files.check(None)
    files.check("-")
    files.check(str(tmp_path / "new.json"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(files.Unwritable, match="is a folder"):
        files.check(str(tmp_path))
    with pytest.raises(files.Unwritable, match="does not exist"):
        files.check(str(tmp_path / "no" / "where.json"))


def test_the_library_call_is_no_module(tmp_path):
    """`attn_doctor.examine` stays a function after everything has been imported."""
    import attn_doctor

    path = tmp_path / "facts.json"
    path.write_text('{"torch": {"version": null}}')
    made = attn_doctor.examine(facts=str(path))
    assert isinstance(made, Report)
    assert callable(attn_doctor.examine)
    assert made.trials_skipped
