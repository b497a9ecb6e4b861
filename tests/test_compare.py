"""`attn-doctor compare`: two saved reports, every call a real process."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from targets import make_target

from attn_doctor.examination import Options, examine
from attn_doctor.model.report import Report, decode_report
from attn_doctor.model.trials import Interval, Trial
from attn_doctor.report import markdown
from attn_doctor.report.comparison import compare
from attn_doctor.report.comparison_outline import outline

ROOT = Path(__file__).parent.parent
WORKS, UPGRADED = "rtx-4090-flash-attn-works", "rtx-3090-torch-upgraded"


def doctor(*argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "attn_doctor", *argv], cwd=ROOT, input=stdin, capture_output=True)


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, str]:
    """Reports of recorded machines, by their names."""
    folder = tmp_path_factory.mktemp("reports")
    for name in (WORKS, UPGRADED):
        doctor("check", "--facts", f"fixtures/machines/{name}/facts.json", "--json", str(folder / f"{name}.json"))
    return {name: str(folder / f"{name}.json") for name in (WORKS, UPGRADED)}


def load(path: str) -> Report:
    return decode_report(Path(path).read_bytes(), path)


def test_a_report_and_itself(reports):
    done = doctor("compare", reports[WORKS], reports[WORKS])
    assert done.returncode == 0
    assert "No problem came or went, and no fact differs." in done.stdout.decode()
    found = json.loads(doctor("compare", reports[WORKS], reports[WORKS], "--json", "-").stdout)
    assert (found["gained"], found["lost"], found["changes"]) == ([], [], [])


def test_what_broke_comes_first_and_the_facts_behind_it_next(reports, tmp_path):
    done = doctor("compare", reports[WORKS], reports[UPGRADED], "--json", str(tmp_path / "c.json"))
    assert done.returncode == 1
    text = done.stdout.decode()
    assert "Problems new: abi-mismatch-torch-version, no-prebuilt-wheel." in text
    assert text.index("flash_attn_2_cuda was built for torch 2.1 to 2.2") < text.index("Facts that differ")
    found = json.loads((tmp_path / "c.json").read_text("utf-8"))
    assert [f["slug"] for f in found["gained"]][:1] == ["abi-mismatch-torch-version"]
    first = found["changes"][0]
    assert (first["path"], first["before"], first["after"]) == ("torch.version", "2.8.0+cu128", "2.5.1+cu121")
    assert "abi-mismatch-torch-version" in first["behind"]
    changed = {c["path"]: (c["before"], c["after"]) for c in found["changes"]}
    assert changed["packages.distributions.numpy.version"] == ("2.2.6", "1.26.4")
    assert changed["packages.distributions.wheel"] == (None, "0.45.1")
    assert changed["toolchain.ninja"] == ("none", "1.11.1.1")  # four numbers, and no address
    assert changed["graphics.gpus.0.compute_capability"] == ("8.9", "8.6")
    assert not [path for path in changed if path.endswith((".location", ".free_bytes", "available_bytes", ".seconds"))]


def test_as_markdown_for_an_issue(reports):
    done = doctor("compare", reports[WORKS], reports[UPGRADED], "--markdown", "-")
    text = done.stdout.decode()
    assert text.startswith("## attn-doctor compare")
    assert str(Path(reports[WORKS]).parent) not in text
    assert "| toolchain.ninja | none | 1.11.1.1 |" in text.replace("\\", "")


def test_what_was_put_right_is_no_failure(reports):
    done = doctor("compare", reports[UPGRADED], reports[WORKS])
    assert done.returncode == 0
    assert "Problems gone: abi-mismatch-torch-version, no-prebuilt-wheel." in done.stdout.decode()


@pytest.mark.parametrize(("fail_on", "code"), [("error", 1), ("warning", 1), ("never", 0)])
def test_the_exit_code_is_of_what_is_new(reports, fail_on, code):
    with Path(reports[WORKS]).open("rb") as file:
        done = doctor("compare", "-", reports[UPGRADED], "--fail-on", fail_on, stdin=file.read())
    assert done.returncode == code


def test_what_cannot_be_compared_is_one_line(reports, tmp_path):
    (tmp_path / "log.txt").write_text("Collecting flash-attn\n", "utf-8")
    for argv, said in (
        (("-", "-"), "only one of the reports can come from standard input"),
        ((reports[WORKS], str(tmp_path / "log.txt")), "is not JSON"),
        ((reports[WORKS], str(tmp_path / "none.json")), "none.json"),
    ):
        done = doctor("compare", *argv)
        assert done.returncode == 2
        assert said in done.stderr.decode()
        assert done.stderr.count(b"\n") == 1


def test_the_same_environment_in_another_folder_does_not_differ(tmp_path):
    paths = []
    for name in ("one", "another"):
        python = make_target(tmp_path / name / "env")
        paths.append(str(tmp_path / f"{name}.json"))
        doctor("check", "--static", "--target", str(python), "--json", paths[-1])
    found = json.loads(doctor("compare", *paths, "--json", "-").stdout)
    assert found["changes"] == []


def trial(backend: str, median: float, *, imgsz: int = 640, status: str = "ok") -> Trial:
    step = Interval(median=median, low=0.95 * median, high=1.05 * median, n=9)
    return Trial(
        backend=backend, status=status, dtype="float32", model="yolo12n.yaml", batch=2, imgsz=imgsz, step_ms=step
    )


def test_the_times_of_the_same_work_are_compared_and_no_others(reports):
    plain = load(reports[WORKS])
    before = msgspec.structs.replace(
        plain, trials=(trial("eager", 100.0), trial("sdpa", 50.0), trial("sdpa-math", 1.0, imgsz=320))
    )
    after = msgspec.structs.replace(
        plain, trials=(trial("eager", 103.0), trial("sdpa", 100.0, status="other-kernel"), trial("sdpa-math", 2.0))
    )
    found = compare(before, after)
    assert [(p.backend, p.ratio, p.differs) for p in found.paces] == [
        ("eager", pytest.approx(0.971, abs=1e-3), False),
        ("sdpa", 0.5, True),
    ]
    table = next(block for block in outline(before, after, found, ("a", "b")) if getattr(block, "columns", None))
    assert [row[-1].text for row in table.rows] == [
        "no difference beyond noise",
        "takes 2.00× as long; ok, now other-kernel",
    ]


def test_any_two_machines_the_one_way_and_the_other():
    """What one way is gained and became, the other way is lost and was; and whatever differs can be shown."""
    machines = sorted((ROOT / "fixtures" / "machines").glob("*/facts.json"))
    made = [examine(Options(facts=str(path))) for path in machines]
    assert len(made) > 50
    for before, after in pairwise(made):
        there, back = compare(before, after), compare(after, before)
        assert [f.code for f in there.gained] == [f.code for f in back.lost]
        assert {(c.path, c.before, c.after, c.behind) for c in there.changes} == {
            (c.path, c.after, c.before, c.behind) for c in back.changes
        }
        assert there.changes
        assert markdown.render(outline(before, after, there, ("a", "b"))).count("Facts that differ") == 1
        assert compare(before, before).changes == ()
