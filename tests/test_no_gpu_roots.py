"""Without a GPU: what a build lacks keeps its own command, and a GPU that is elsewhere can be judged for."""

from __future__ import annotations

import json

import msgspec
import pytest
from ailing_machines import cpu_torch, environment
from recorded_machines import MACHINES, read
from whole_machines import INTEL, RTX_4090, changed, packages, with_flash_attn, without_driver

from attn_doctor import cli
from attn_doctor.errors import Refused
from attn_doctor.examination import Options, examine
from attn_doctor.fixes.plan import WORK
from attn_doctor.fixes.plan_builder import make
from attn_doctor.judging import stated_gpu
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.recommend import recommend
from attn_doctor.model.facts import Facts, PciDevice, Unknown
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.model.trials import Trials
from attn_doctor.report import machine_summary
from attn_doctor.wheels.answer import Wanted, answer

# A login node: torch for CUDA, no card, no driver, all that a build needs is there.
LOGIN = changed(
    without_driver(RTX_4090),
    graphics__pci=(INTEL,),
    torch__version="2.6.0+cu124",
    torch__cuda="12.4",
    torch__cxx11_abi=False,
    torch__header_cxx=17,
    interpreter__version="3.11.9",
    interpreter__tag="cp311",
    packages__distributions=packages(
        torch="2.6.0",
        torchvision="0.21.0",
        numpy="1.26.4",
        setuptools="80.0",
        wheel="0.45",
        packaging="25.0",
        ninja="1.11",
    ),
)
LACKING = {
    "no torch": ("torch-missing-at-build", changed(LOGIN, torch__version=None, torch__cuda=None)),
    "no CUDA toolkit": ("cuda-home-unset", LOGIN),
    "a CUDA_HOME that is nowhere": (
        "cuda-home-malformed",
        changed(
            LOGIN,
            environment=environment(CUDA_HOME="/opt/gone"),
            toolchain__cuda_home="/opt/gone",
            toolchain__cuda_home_by="CUDA_HOME",
            toolchain__cuda_home_problem="does not exist",
        ),
    ),
    "no compiler": ("host-compiler-missing", changed(LOGIN, toolchain__compilers=(), torch__version="2.12.0+cu130", torch__cuda="13.0", torch__cxx11_abi=True)),
    "no headers": ("python-headers-missing", changed(LOGIN, interpreter__headers=False, torch__version="2.12.0+cu130", torch__cuda="13.0", torch__cxx11_abi=True)),
}  # fmt: skip


@pytest.mark.parametrize("lack", LACKING)
def test_what_a_build_lacks_is_no_consequence_of_the_missing_gpu(lack):
    slug, facts = LACKING[lack]
    found = {f.slug: f for f in diagnose(facts, Goal.FLASH_ATTN).findings}
    assert found[slug].explained_by is None
    assert found[slug].root_cause
    assert any(step.argv or step.why for fix in found[slug].fixes for step in fix.steps)
    assert found["no-gpu-present"].root_cause
    assert "runs only on a machine with a GPU" in found["no-gpu-present"].message


@pytest.mark.parametrize("lack", LACKING)
def test_for_training_the_missing_gpu_is_a_note_without_consequences(lack):
    _, facts = LACKING[lack]
    findings = diagnose(facts, Goal.TRAIN).findings
    note = next(f for f in findings if f.slug == "no-gpu-present")
    assert note.severity is Severity.INFO
    assert not [f for f in findings if f.explained_by == note.code]


def test_a_plan_without_a_gpu_keeps_its_commands_and_says_what_runs_it():
    plan = make(LOGIN, diagnose(LOGIN, Goal.FLASH_ATTN).findings, Goal.FLASH_ATTN)
    work = [way for way in plan.ways if way.intent == WORK]
    assert any(planned.step.argv for way in work for planned in way.steps)
    assert any("There is no GPU here" in note for note in plan.notes)
    assert not any("Left out" in note for note in plan.notes)


# -- a GPU that is elsewhere


@pytest.mark.parametrize(
    ("text", "capability"),
    [
        ("8.9", "8.9"),
        ("sm_89", "8.9"),
        ("SM89", "8.9"),
        ("89", "8.9"),
        ("compute_90", "9.0"),
        ("sm_90a", "9.0"),
        (" 8.0 ", "8.0"),
        ("120", "12.0"),
        ("12.0", "12.0"),
        ("rtx-4060", "8.9"),
        ("RTX 4090", "8.9"),
        ("NVIDIA GeForce RTX 3090", "8.6"),
        ("T4", "7.5"),
        ("a100", "8.0"),
    ],
)
def test_a_gpu_is_named_by_its_capability_or_its_name(text, capability):
    assert stated_gpu.read(text)[1] == capability


@pytest.mark.parametrize(
    "text",
    ["", " ", "8", "8.99", "0.0", "1.2", "99.9", "890", "sm_", "-8.9", "8,9", "rtx", "my gpu", "gfx942", "8.9.1"],
)
def test_what_is_no_gpu_is_refused_with_the_form_that_is_allowed(text):
    with pytest.raises(Refused, match=r"8\.9 or sm_89"):
        stated_gpu.read(text)


@pytest.mark.parametrize("command", [["check"], ["fix", "--suggest"], ["diagnose", "a.log", "--here"]])
def test_a_bad_gpu_is_wrong_usage(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.run([*command, "--gpu", "gtx"])
    assert ended.value.code == 2
    assert "8.9 or sm_89" in " ".join(capsys.readouterr().err.split())


def _slugs(facts: Facts, goal: Goal) -> set[str]:
    return {f.slug for f in diagnose(facts, goal).findings}


OF_HERE = {
    "no-gpu-present", "driver-missing", "cuda-init-error", "container-without-gpu", "config-device-cpu",
    "wsl2-driver-stub", "mig", "container-toolkit-missing", "driver-library-mismatch", "cuda-fabric-manager-802",
    "cuda-forward-compat-804", "triton-libcuda-link",
}  # fmt: skip


@pytest.mark.parametrize("goal", list(Goal))
@pytest.mark.parametrize("folder", MACHINES, ids=lambda f: f.name)
def test_for_a_gpu_that_is_elsewhere_nothing_of_the_gpu_here_is_a_fault(folder, goal):
    facts = stated_gpu.elsewhere(read(folder)[0], "8.6")
    diagnosis = diagnose(facts, goal)
    assert not OF_HERE & {f.slug for f in diagnosis.findings}
    assert not [u for u in diagnosis.undetermined if "the rule itself failed" in u.why or stated_gpu.ELSEWHERE in u.why]
    text = repr([(f.message, f.evidence) for f in diagnosis.findings])
    assert "is_available" not in text


@pytest.mark.parametrize(("lack", "slug"), [(lack, slug) for lack, (slug, _) in LACKING.items()])
def test_what_a_build_lacks_is_found_for_a_gpu_elsewhere_too(lack, slug):
    assert slug in _slugs(stated_gpu.elsewhere(LACKING[lack][1], "8.0"), Goal.FLASH_ATTN)


def test_a_gpu_that_is_elsewhere_is_judged_like_one_that_is_here():
    assert "gpu-arch-unsupported-by-flash-attn" in _slugs(stated_gpu.elsewhere(LOGIN, "7.5"), Goal.FLASH_ATTN)
    assert "gpu-arch-unsupported-by-flash-attn" not in _slugs(stated_gpu.elsewhere(LOGIN, "8.0"), Goal.FLASH_ATTN)
    old = changed(LOGIN, torch__archs=("sm_50", "sm_60", "sm_70", "sm_80", "sm_90"))
    assert "no-kernel-image" in _slugs(stated_gpu.elsewhere(old, "12.0"), Goal.TRAIN)
    assert "no-kernel-image" not in _slugs(stated_gpu.elsewhere(old, "8.6"), Goal.TRAIN)


def test_a_cpu_torch_would_use_no_gpu_elsewhere():
    finding = next(
        f
        for f in diagnose(stated_gpu.elsewhere(cpu_torch(LOGIN), "8.9"), Goal.TRAIN).findings
        if f.slug == "torch-cpu-build"
    )
    assert "of this machine" not in finding.message
    assert "stated by --gpu" in finding.evidence[1].text


def test_the_driver_of_a_gpu_elsewhere_is_not_known_and_one_that_is_here_is():
    assert isinstance(stated_gpu.elsewhere(LOGIN, "8.9").graphics.driver, Unknown)
    assert stated_gpu.elsewhere(RTX_4090, "8.0").graphics.driver == "580.95.05"
    assert isinstance(stated_gpu.elsewhere(LOGIN, "8.9").torch.available, Unknown)


def test_the_report_says_whose_gpu_it_is():
    def row(facts: Facts, gpu: str) -> str:
        return next(f.text for f in machine_summary.at_a_glance(stated_gpu.elsewhere(facts, gpu)) if f.label == "GPU")

    assert row(LOGIN, "8.9") == "compute capability 8.9, stated by --gpu; there is none in this machine"
    assert row(RTX_4090, "9.0").endswith("9.0, stated by --gpu; this machine's own is not judged")
    assert row(LOGIN, "rtx 4090").endswith(
        "RTX 4090 (compute capability 8.9), stated by --gpu; there is none in this machine"
    )
    assert row(Facts(), "8.9").endswith("stated by --gpu; the GPUs of this machine are not known")


@pytest.mark.parametrize(("gpu", "install"), [("8.9", "no"), ("7.5", "not-here")])
def test_the_advice_is_for_the_gpu_that_was_stated(gpu, install):
    facts = stated_gpu.elsewhere(with_flash_attn(LOGIN), gpu)
    advice = recommend(facts, diagnose(facts, Goal.FLASH_ATTN), Trials(skipped=stated_gpu.ELSEWHERE))
    assert advice.install_flash_attn == install
    assert "none is usable here" not in repr(advice)
    assert "the GPU is elsewhere" in advice.summary


@pytest.mark.parametrize("card", ["10de", "1002"])
def test_a_card_that_is_here_is_not_judged_for_one_that_is_elsewhere(card):
    here = changed(LOGIN, graphics__pci=(PciDevice(vendor=card, device="1", pci_class="0300", driver=None),))
    assert not OF_HERE & _slugs(stated_gpu.elsewhere(here, "8.9"), Goal.TRAIN)


def test_facts_of_a_file_are_judged_for_a_gpu_elsewhere(tmp_path):
    place = tmp_path / "facts.json"
    place.write_bytes(msgspec.json.encode(LOGIN))
    report = examine(Options(facts=str(place), gpu="sm_80", goal=Goal.FLASH_ATTN))
    gpus = json.loads(msgspec.json.encode(report))["facts"]["graphics"]
    assert (gpus["gpus"][0]["compute_capability"], gpus["stated"]) == ("8.0", True)
    assert report.trials == ()
    verify = next(fix.verify for f in report.findings for fix in f.fixes if fix.verify[:2] == ("attn-doctor", "check"))
    assert verify[4:6] == ("--gpu", "8.0")


# -- wheels


def test_wheels_answers_for_a_key_that_is_stated_where_there_is_no_gpu():
    for wanted in (
        Wanted(torch="2.6", cuda="12.4", python="3.11", abi=False),
        Wanted(torch="2.5.1", cuda="12.4", python="3.10", abi=False),
    ):
        found = answer(wanted, LOGIN)
        best = found.candidates[0]
        assert best.fits
        assert f"torch{'.'.join(str(wanted.torch).split('.')[:2])}cxx11abiFALSE" in str(best.filename)
        assert [n for n in found.notes if "no NVIDIA GPU here" in n and "8.0" in n] == [found.notes[0]]
        assert not [r for c in found.candidates for r in c.reasons if "none here" in r]


def test_wheels_says_nothing_of_a_missing_gpu_where_one_is_stated():
    assert not [n for n in answer(Wanted(gpus=("sm_89",)), LOGIN).notes if "GPU here" in n]


def test_a_machine_without_a_gpu_is_not_told_that_flash_attn_can_be_built_on_it():
    """The headers of torch 2.14 want C++20, which flash-attn's setup.py does not pass: a build was not shown to work."""
    facts = with_flash_attn(LOGIN)
    told = {f.slug: f.message for f in diagnose(facts, Goal.TRAIN).findings}
    assert "built" not in told["no-gpu-present"]
    assert "runs only on a machine with a GPU" in told["no-gpu-present"]
