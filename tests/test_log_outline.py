"""The outline of `diagnose`: a known error, an unknown one, none, several logs, and the machine that a log is of."""

from __future__ import annotations

import io

import pytest
from whole_machines import RTX_4090

from attn_doctor.examination.inputs import log_reader
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.reader import Log
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Goal
from attn_doctor.report.blocks import Block, Notes, Problem, Verdict
from attn_doctor.report.log_outline import of_diagnosis

KNOWN = "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root."
UNKNOWN = "FrobnicationError: the flux is inverted"
OF_PYTHON_310 = '  File "/venv/lib/python3.10/site-packages/torch/utils/cpp_extension.py", line 1, in f'
OF_TORCH_26 = "torch.__version__  = 2.6.0+cu124"


def log(name: str, *lines: str) -> Log:
    return log_reader().read(io.BytesIO("".join(f"{line}\n" for line in lines).encode()), name)


def outline(*logs: Log, facts: Facts | None = None) -> list[Block]:
    facts = facts or facts_of_logs(logs)
    return of_diagnosis(diagnose(facts, Goal.FLASH_ATTN, logs=logs), facts, logs)


def verdicts(blocks: list[Block]) -> list[Verdict]:
    return [block for block in blocks if isinstance(block, Verdict)]


def slugs(blocks: list[Block]) -> list[str]:
    return [block.slug for block in blocks if isinstance(block, Problem)]


def notes(blocks: list[Block], title: str) -> list[tuple[str, ...]]:
    return [block.items for block in blocks if isinstance(block, Notes) and block.title == title]


def test_a_known_error_is_a_problem_and_needs_no_verdict():
    blocks = outline(log("a.log", KNOWN))
    assert slugs(blocks) == ["cuda-home-unset"]
    assert verdicts(blocks) == []


NO_DRIVER = "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"
IN_DOCKER = "$ docker run -it image python train.py"


def consequences(*lines: str) -> tuple[str, ...]:
    return next(block.consequences for block in outline(log("a.log", *lines)) if isinstance(block, Problem))


def test_another_reading_of_the_same_line_is_no_consequence():
    """ "No NVIDIA driver works there" would contradict "the container was not given the GPU"."""
    assert consequences(IN_DOCKER, NO_DRIVER) == ()


def test_a_consequence_in_a_log_is_the_line_that_its_cause_explains():
    refused = "x.py:1: UserWarning: Flash attention kernel not used because: (Triggered internally at a.cpp:1.)"
    assert consequences(refused, "RuntimeError: No available kernel. Aborting execution.") == (
        f"AD427 sdpa-silent-math-fallback: a.log:1: {refused}",
    )


def test_an_unknown_error_is_quoted_with_its_line():
    blocks = outline(log("a.log", "started", UNKNOWN))
    assert slugs(blocks) == []
    assert verdicts(blocks) == [Verdict(f"Not recognised. The last error in 2 lines, line 2: {UNKNOWN}", "warn")]


@pytest.mark.parametrize(("lines", "counted"), [(("all is well",), "1 line"), (("all", "is", "well"), "3 lines")])
def test_a_log_without_an_error_gets_a_tick(lines, counted):
    assert outline(log("a.log", *lines)) == [Verdict(f"No error in {counted}.", "good")]


def test_of_several_logs_each_finding_is_shown_and_the_lines_are_counted_together():
    both = outline(log("a.log", "all is well"), log("b.log", KNOWN))
    assert slugs(both) == ["cuda-home-unset"]
    assert outline(log("a.log", "all is well"), log("b.log", "here", "too")) == [
        Verdict("No error in 3 lines.", "good")
    ]


def test_the_machine_of_each_log_is_named_where_nothing_else_is_known_of_it():
    told = log("a.log", OF_PYTHON_310, OF_TORCH_26, KNOWN)
    assert notes(outline(told), "The log comes from") == [("Python 3.10, torch 2.6.0+cu124 (a.log, line 1, 2)",)]
    assert notes(outline(told, log("b.log", OF_PYTHON_310)), "The log comes from") == [
        ("Python 3.10, torch 2.6.0+cu124 (a.log, line 1, 2)",)
    ]


def test_with_facts_the_log_is_held_against_them_instead():
    blocks = outline(log("a.log", OF_PYTHON_310, OF_TORCH_26, KNOWN), facts=RTX_4090)
    assert notes(blocks, "The log comes from") == []
    assert len(notes(blocks, "The log and this machine disagree")) == 1


GTX = ("PyTorch version: 2.0.1+cu117", "GPU 0: NVIDIA GeForce GTX 1050 Ti", "OS: Microsoft Windows 11 Pro")


@pytest.mark.parametrize(
    ("more", "told"), [((), False), (("flash-attn 2.5.8",), True), (("FlashAttention is not available",), True)]
)
def test_what_flash_attn_needs_is_told_where_somebody_names_it(more, told):
    read = log("a.log", *GTX, *more)
    facts = facts_of_logs([read])
    blocks = of_diagnosis(diagnose(facts, Goal.TRAIN, logs=[read]), facts, [read])
    assert any("flash-attn 2 needs 8.0" in item for found in notes(blocks, "Good to know") for item in found) is told
