"""The whole log of a build that failed without a reason: the lines that write it, in the place where they are typed. Or the reason, where it is there."""

from __future__ import annotations

import io

import pytest
from recorded_logs import LOGS

from attn_doctor import commands
from attn_doctor.examination.inputs import log_reader
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.findings import Finding, Fix, Goal

FOLDER = LOGS / "build-failed-unspecified"
READ = "attn-doctor diagnose build.log"
CONDA = (
    "conda run --prefix C:\\Users\\user\\miniconda3\\envs\\seg python -m pip install -v --no-build-isolation "
    '"E:\\sources\\my ops" > build.log 2>&1'
)
NINJA = "ninja: build stopped: subcommand failed.\n"


def judged(text: bytes) -> tuple[Finding, str]:
    logs = [log_reader().read(io.BytesIO(text), "log")]
    facts = facts_of_logs(logs)
    found = diagnose(facts, Goal.FLASH_ATTN, logs=logs).findings[0]
    assert found.slug == "build-failed-unspecified"
    return found, commands.shell_of(facts)


def lines(fix: Fix, shell: str) -> list[str | None]:
    return [commands.shown(step, shell) for step in fix.steps]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "checkout-windows",
            [
                'set "MAX_JOBS=1"',
                CONDA,
            ],
        ),
        (
            "checkout-editable",
            [
                "export MAX_JOBS=1",
                "python -m pip install -v --no-build-isolation -e /home/user/ops > build.log 2>&1",
            ],
        ),
        (
            "requirements-file",
            [
                "export MAX_JOBS=1",
                "pip install -v -r requirements.txt --no-build-isolation > build.log 2>&1",
            ],
        ),
        (
            "docker-run-line",
            [
                'ENV MAX_JOBS="1"',
                "RUN python3 -m pip install -v --no-build-isolation --no-cache-dir gsplat",
                "docker build --progress=plain . > build.log 2>&1",
            ],
        ),
        (
            "tail-ninja",
            [
                "export MAX_JOBS=1",
                None,  # the log names neither the package nor the command: the step says in words what to add to it
            ],
        ),
    ],
)
def test_the_log_that_is_to_be_read_is_written_by_the_line_before(name, expected):
    finding, shell = judged((FOLDER / f"{name}.log").read_bytes())
    assert lines(finding.fixes[0], shell) == [*expected, READ]


def test_every_log_that_is_to_be_read_is_written_before():
    """Also of a package, a notebook, fish, a project of uv."""
    for path in sorted(FOLDER.glob("*.log")):
        finding, shell = judged(path.read_bytes())
        for fix in finding.fixes:
            shown = lines(fix, shell)
            in_words = any(not step.argv and "> build.log 2>&1" in step.why for step in fix.steps)
            written = any(line and line.endswith("> build.log 2>&1") for line in shown)
            assert READ not in shown or written or in_words, path.name


@pytest.mark.parametrize(
    ("name", "proof"),
    [("setup-says-why", "to name three architectures at most"), ("unknown-compile-error", "error: expected")],
)
def test_no_other_log_is_asked_for_where_the_reason_is_quoted(name, proof):
    finding, shell = judged((FOLDER / f"{name}.log").read_bytes())
    assert "that attn-doctor does not know" in finding.message
    assert any(proof in line.text for line in finding.evidence)
    assert READ not in [line for fix in finding.fixes for line in lines(fix, shell)]


def test_the_newest_sources_of_a_checkout_are_built_where_the_error_is_no_other():
    text = b"Obtaining file:///srv/ops\nops/a.cpp(3): error: identifier x is undefined\n" + NINJA.encode()
    finding, shell = judged(text)
    assert [fix.title for fix in finding.fixes] == ["Build the newest sources"]
    assert lines(finding.fixes[0], shell) == [
        "git -C /srv/ops pull",
        "python -m pip install --no-build-isolation /srv/ops",
    ]


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ('  File "/home/me/ops/setup.py", line 5, in <module>', "/home/me/ops"),
        ('  File "D:/my ops/setup.py", line 5, in <module>', "D:/my ops"),
        ("Obtaining file:///D:/ops", "D:/ops"),
        ("Processing /home/me/ops", "/home/me/ops"),
        ("ninja: Entering directory `/home/me/ops/build/temp.linux-x86_64-cpython-310'", "/home/me/ops"),
        ("Processing /home/me/flash_attn-2.8.3-cp310-cp310-linux_x86_64.whl", None),
        ("Processing ./ops", None),
        ('  File "/tmp/pip-install-q5/ops_0a392c06e34c405d970b33e0372ff5a3/setup.py", line 5, in <module>', None),
        ('  File "/home/me/.cache/uv/sdists-v9/git/ab/ops/setup.py", line 5, in <module>', None),
        ('  File "C:\\Users\\me\\AppData\\Local\\Temp\\pip-req-build-x1\\setup.py", line 5, in <module>', None),
    ],
)
def test_sources_that_are_built_where_they_lie(line, folder):
    logs = [log_reader().read(io.BytesIO(f"{line}\n{NINJA}".encode()), "log")]
    found = facts_of_logs(logs).subject.folder
    assert (found if isinstance(found, str) else None) == folder
