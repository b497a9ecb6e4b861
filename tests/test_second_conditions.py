"""Conditions of rules, of advice and of plans that decide much and are the second of two: a case for each that only it decides."""

from __future__ import annotations

import io

import msgspec
import pytest
from ailing_machines import AMD_CARD
from whole_machines import RTX_4090, changed

from attn_doctor.failure_modes import find, patterns
from attn_doctor.failure_modes.mode import FailureMode, Hit, Unsure
from attn_doctor.failure_modes.shared import building
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.recommend import recommend
from attn_doctor.knowledge import finder, wheels
from attn_doctor.knowledge.wheel_key import Key
from attn_doctor.knowledge.yes_no_unknown import no, yes
from attn_doctor.logs.reader import Reader, Seen
from attn_doctor.model.facts import AmdGpu, Facts, Unknown
from attn_doctor.model.findings import Certainty, Diagnosis, Finding, Goal, Severity, fact
from attn_doctor.model.trials import Trials
from attn_doctor.wheels.answer import Wanted, key_for

READER = Reader(patterns())
GIB = 1 << 30


def log_of(text: str, name: str = "log"):
    return READER.read(io.BytesIO(text.encode()), name)


class Rule:
    """A failure mode that is met, or cannot be judged, whatever the facts are."""

    def __init__(self, slug: str, *, explains=(), severity=Severity.ERROR, hit: Hit | None = None):
        self.__name__ = slug
        self._hit = hit
        self.MODE = FailureMode(
            code=f"AD9{slug[-2:]}",
            slug=slug,
            title=slug,
            train=severity,
            flash_attn=severity,
            explains=explains,
        )

    def detect(self, facts: Facts) -> Hit | None:
        if self._hit is None:
            raise Unsure(facts.torch.version)
        return self._hit

    def fixes(self, facts: Facts, hit: Hit) -> tuple:
        return ()


# -- judging


def test_a_warning_that_is_known_makes_the_doubt_about_its_effect_moot():
    hit = Hit(message="met", evidence=(fact(RTX_4090, "torch.version"),))
    cause = Rule("cause-01", explains=("effect-02",), severity=Severity.WARNING, hit=hit)
    doubts = diagnose(Facts(), Goal.TRAIN, modules=[cause, Rule("effect-02")]).undetermined
    assert doubts == ()
    assert [u.slug for u in diagnose(Facts(), Goal.TRAIN, modules=[Rule("effect-02")]).undetermined] == ["effect-02"]


def test_what_a_finding_blocks_is_the_same_with_a_log_that_agrees():
    slug = "config-device-cpu"
    mode = find(slug)
    line = next(s.sample for s in mode.MODE.signs if s.strength == "proof" and s.sample)
    hit = Hit(message="met", evidence=(fact(RTX_4090, "torch.version"),), blocks=("eager",))
    seen = Rule(slug, hit=hit)
    seen.MODE = mode.MODE
    log = log_of(f"{line}\n")
    alone = diagnose(Facts(), Goal.TRAIN, modules=[seen]).findings
    joined = diagnose(Facts(), Goal.TRAIN, modules=[seen], logs=[log]).findings
    assert joined[0].certainty is Certainty.OBSERVED
    assert joined[0].blocks == alone[0].blocks == ("eager",)


NO_GPU_AT_ALL = {"graphics__gpus": (), "torch__devices": (), "torch__available": False}


def test_an_amd_gpu_is_a_gpu_that_flash_attn_may_be_for():
    """NVML lists no AMD card: an MI300X is in `graphics.amd` alone."""
    amd = changed(
        RTX_4090,
        **NO_GPU_AT_ALL,
        graphics__pci=(AMD_CARD,),
        graphics__amd=(AmdGpu(name="MI300X", gfx="gfx942"),),
        graphics__rocm="7.1",
        torch__hip="7.1",
        torch__cuda=None,
    )
    skipped = Trials(skipped="for the test")
    assert recommend(amd, Diagnosis(), skipped).install_flash_attn != "not-here"
    assert recommend(changed(RTX_4090, **NO_GPU_AT_ALL), Diagnosis(), skipped).install_flash_attn == "not-here"


def test_no_kernel_of_the_gpu_is_advised_where_torch_cannot_start_it():
    skipped = Trials(skipped="for the test")
    assert recommend(RTX_4090, Diagnosis(), skipped).backend == "sdpa-flash"
    off = changed(RTX_4090, torch__available=False)
    assert recommend(off, Diagnosis(), skipped).backend != "sdpa-flash"


# -- builds


@pytest.mark.parametrize(
    ("free", "limit", "may_use"),
    [(250 * GIB, 4 * GIB, 4 * GIB), (3 * GIB, 32 * GIB, 3 * GIB), (16 * GIB, None, 16 * GIB)],
)
def test_a_build_may_use_what_is_free_and_no_more_than_its_container_has(free, limit, may_use):
    facts = changed(RTX_4090, system__available_bytes=free, system__cgroup_memory_bytes=limit)
    assert building.memory(facts) == may_use


FAILED = "error: metadata-generation-failed"
WENT_WELL = "Successfully installed flash-attn-2.8.3"
UNSET = "CUDA_HOME environment variable is not set. Please set it to your CUDA install root."


@pytest.mark.parametrize(
    ("lines", "stands"),
    [
        ((UNSET, FAILED), True),
        ((FAILED, UNSET), True),
        ((FAILED, WENT_WELL, UNSET), False),
        ((FAILED, WENT_WELL, UNSET, "ERROR: Failed building wheel for flash-attn"), True),
    ],
)
def test_a_line_after_an_installation_that_went_well_is_of_no_build(lines, stands):
    log = log_of("\n".join(lines) + "\n")
    match = next(m for m in log.of("cuda-home-unset"))
    assert building.in_build(Seen(tuple(log.of("cuda-home-unset")), (log,)), match) is stands


@pytest.mark.parametrize(
    ("knows", "agrees"),
    [
        ({"cxx11_abi": True}, {True}),
        ({"cxx11_abi": False}, {False}),
        ({"cxx11_abi": Unknown("torch does not import")}, {True, False}),
    ],
)
def test_a_wheel_of_the_other_abi_is_not_one_that_may_fit(knows, agrees):
    key = Key(
        python="3.12", torch="2.8.0", cuda=Unknown("?"), platform="linux_x86_64", glibc="2.35", gpus=("8.9",), **knows
    )
    named = [w for w in wheels.of_release("2.8.3") if building._may_be_named(w, key)]
    assert {w.cxx11_abi for w in named} == agrees
    assert {(w.python, w.torch, w.platform) for w in named} == {("3.12", "2.8", "linux_x86_64")}


# -- logs


NO_IMAGE = "RuntimeError: CUDA error: no kernel image is available for execution on the device"
FLASH_FRAME = (
    '  File "/venv/lib/python3.12/site-packages/flash_attn/flash_attn_interface.py", line 91, in _flash_attn_forward'
)


@pytest.mark.parametrize(("between", "blamed"), [(2, True), (10, True), (40, False)])
def test_flash_attn_is_blamed_for_a_missing_kernel_where_its_call_stands_near(between, blamed):
    """Python prints the frames of PyTorch's dispatcher between the call and the error."""
    frames = [FLASH_FRAME, *(f'  File "/app/step_{n}.py", line {n}, in call' for n in range(between)), NO_IMAGE]
    hit = found_in_log("no-kernel-image", "\n".join(frames) + "\n")
    assert ("flash-attn has no code" in hit.message) is blamed, hit.message


def found_in_log(slug: str, text: str) -> Finding | None:
    findings = diagnose(Facts(), Goal.FLASH_ATTN, logs=[log_of(text)], modules=[find(slug)]).findings
    return findings[0] if findings else None


@pytest.mark.parametrize(
    ("by", "ours"),
    [
        ("/opt/conda/envs/yolo/bin/python3.11", True),
        ("/venv/lib/python3.12/site-packages/flash_attn_2_cuda.so", True),
        ("/usr/bin/cmake", False),
        ("/opt/steam/bin/steamwebhelper", False),
    ],
)
def test_a_libstdcxx_that_is_too_old_for_another_program_is_not_our_trouble(by, ours):
    line = f"{by}: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by {by})\n"
    assert (found_in_log("glibcxx-too-old", line) is not None) is ours


# -- wheels

HEALTHY = Key(
    python="3.12",
    torch="2.8.0+cu128",
    cuda="12.8",
    cxx11_abi=True,
    platform="linux_x86_64",
    glibc="2.35",
    gpus=("8.9",),
)


def test_one_gpu_that_runs_a_wheel_is_enough_beside_one_of_which_nothing_is_known(monkeypatch):
    """No row of the tables leaves a GPU undecided today: the answer for one is put in."""
    undecided = Unknown("not tried")
    monkeypatch.setattr(finder, "_gpu", lambda *asked: undecided if asked[-1] == "12.1" else yes("it has code"))
    wheel = wheels.of_release("2.8.3")[0]
    assert finder._gpus(wheel, ("12.1",)) is undecided
    assert finder._gpus(wheel, ("12.1", "8.9")).yes
    assert finder._gpus(wheel, ("8.9", "12.1")).yes


def test_a_gpu_that_refuses_a_wheel_says_nothing_of_the_others(monkeypatch):
    answers = {"7.5": no("it has no code"), "8.9": yes("it has code"), "12.1": Unknown("not tried")}
    monkeypatch.setattr(finder, "_gpu", lambda *asked: answers[asked[-1]])
    wheel = wheels.of_release("2.8.3")[0]
    assert finder._gpus(wheel, ("7.5", "8.9")).yes
    assert finder._gpus(wheel, ("7.5", "12.1")) is answers["12.1"]
    assert finder._gpus(wheel, ("7.5",)) is answers["7.5"]


def test_of_two_wheels_as_near_the_one_whose_name_tells_its_abi_stands_for_the_release():
    both = [w for w in wheels.official() if w.really is not w.cxx11_abi]
    assert both, "no wheel with a wrong name is known any more: this test is needless"
    wrong = both[0]
    right = msgspec.structs.replace(wrong, cxx11_abi=wrong.really)
    minor = tuple(int(part) for part in wrong.torch.split("."))
    assert min((wrong, right), key=lambda w: finder._distance(w, minor)) is right


def test_a_wheel_that_was_built_against_this_very_nightly_agrees_with_it():
    nightly = "2.4.0.dev20240407"
    wheel = msgspec.structs.replace(wheels.of_release("2.8.3")[0], built_against=nightly)
    assert finder._same_kind(wheel, f"{nightly}+cu121") == finder.AGREES
    assert isinstance(finder._same_kind(wheel, "2.4.0+cu121"), Unknown)


@pytest.mark.parametrize(
    ("platform", "glibc"),
    [("win_amd64", None), ("musllinux_1_2_x86_64", None), ("manylinux_2_28_x86_64", "2.28")],
)
def test_windows_and_musl_are_not_asked_for_a_glibc(platform, glibc):
    key, _ = key_for(Wanted(torch="2.8.0", cuda="12.8", python="3.12", platform=platform, gpus=("sm_89",)), None)
    assert key.glibc == glibc
