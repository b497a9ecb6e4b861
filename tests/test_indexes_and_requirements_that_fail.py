"""An index of PyTorch that does not exist, a requirement that another package brings, and Poetry's words. Expectations by hand."""

from __future__ import annotations

import io

import pytest

from attn_doctor.examination.inputs import log_reader
from attn_doctor.failure_modes.shared import code_for_gpu
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.stated_facts import as_facts, stated_facts
from attn_doctor.model.facts import Facts, Gpu, Graphics
from attn_doctor.model.findings import Goal

READER = log_reader()


def judged(text):
    logs = [READER.read(io.BytesIO(text.encode()), "log")]
    facts = as_facts(stated_facts(logs), Facts(grade="stated")).facts
    return diagnose(facts, Goal.TRAIN, logs=logs).findings


def none_found(index):
    return (
        f"Looking in indexes: https://download.pytorch.org/whl/{index}\n"
        "ERROR: Could not find a version that satisfies the requirement torch (from versions: none)\n"
    )


@pytest.mark.parametrize(
    ("index", "absent"),
    [
        ("cu122", True),
        ("cu125", True),
        ("cu131", True),
        ("cu126", False),
        ("cu118", False),
        ("cu113", False),
        ("cu399", False),
        ("cpu", False),
    ],
)
def test_an_index_between_two_that_exist_does_not_exist(index, absent):
    said = " ".join(finding.message for finding in judged(none_found(index)))
    assert (f"PyTorch has no index {index}" in said) is absent


def brought(versions):
    return (
        "ERROR: Could not find a version that satisfies the requirement cumm<0.5.0,>=0.4.5 (from voxel-ops) "
        f"(from versions: {versions})\nERROR: No matching distribution found for cumm<0.5.0,>=0.4.5\n"
    )


@pytest.mark.parametrize(("versions", "others"), [("0.6.3, 0.7.11", True), ("0.4.6, 0.7.11", False), ("none", False)])
def test_the_package_that_brings_a_requirement_is_named_where_only_other_releases_are_there(versions, others):
    said = " ".join(finding.message for finding in judged(brought(versions)))
    assert ("voxel-ops needs cumm<0.5.0,>=0.4.5" in said) is others


@pytest.mark.parametrize("asked", ["2.5.1+cu124", "^2.5.1+cpu", "==2.5.1+rocm6.2"])
def test_a_build_that_poetry_did_not_find_comes_from_pytorchs_index(asked):
    text = f"Because lanes depends on torch ({asked}) which doesn't match any versions, version solving failed.\n"
    first = judged(text)[0]
    assert first.slug == "no-matching-distribution"
    argv = [step.argv for step in first.fixes[0].steps if getattr(step, "argv", ())]
    assert argv[0][:3] == ("poetry", "source", "add")
    assert argv[1][:2] == ("poetry", "add")


@pytest.mark.parametrize("asked", ["2.5.1", "9.9.9", "<2"])
def test_a_release_without_a_local_part_is_another_matter(asked):
    text = f"Because lanes depends on torch ({asked}) which doesn't match any versions, version solving failed.\n"
    assert not [finding for finding in judged(text) if "PyTorch's own index" in finding.message]


@pytest.mark.parametrize(
    ("cards", "cpu"),
    [(("2.1",), True), (("3.5",), True), (("3.7",), False), (("2.1", "8.6"), False), ((), False), ((None,), False)],
)
def test_a_gpu_before_every_build_is_done_without(cards, cpu):
    graphics = Graphics(gpus=tuple(Gpu(index=i, name="GPU", compute_capability=card) for i, card in enumerate(cards)))
    assert (code_for_gpu.on_the_cpu(Facts(graphics=graphics)) is not None) is cpu
