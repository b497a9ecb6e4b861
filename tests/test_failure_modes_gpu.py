"""Failure modes AD4xx: GPU, driver and container, judged on whole machines."""

from __future__ import annotations

import msgspec
import pytest
from ailing_gpus import PRESENT
from ailing_machines import (
    AMD_CARD,
    COMPAT,
    CONTAINER,
    FABRIC,
    FLASH_2_7,
    HIDDEN,
    WSL,
    H,
    card,
    cpu_torch,
    environment,
    old_driver,
    static,
)
from one_rule import found
from whole_machines import INTEL, changed, gpu, refused, with_flash_attn, without_driver

from attn_doctor.failure_modes import patterns
from attn_doctor.failure_modes.gpu.out_of_memory_gpu import attention_heads
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.reader import read_bytes
from attn_doctor.model.facts import AmdGpu, Fault
from attn_doctor.model.findings import Certainty, Goal, Severity
from attn_doctor.model.trials import AttentionCalls, ReferenceCheck, Trial, TrialRun, Trials

ABSENT = [
    (
        "driver-too-old",
        static(old_driver("525.60.13", "12.0", changed(H, torch__version="2.5.1+cu124", torch__cuda="12.4"))),
    ),  # same major
    ("driver-too-old", cpu_torch(old_driver("470.256.02", "11.4"))),
    (
        "driver-too-old",
        changed(static(old_driver("550.54.15", "12.4")), graphics__libcuda_version="580.65.06"),
    ),  # cuda-compat in front
    ("driver-missing", CONTAINER),
    ("driver-missing", WSL),
    ("driver-missing", changed(without_driver(H), graphics__pci=(INTEL,))),
    ("driver-library-mismatch", changed(H, graphics__libcuda_version="580.65.06")),  # odd, and both answer
    ("driver-library-mismatch", static(changed(COMPAT, graphics__libcuda_version="580.65.06"))),  # another trouble
    (
        "cuda-forward-compat-804",
        static(changed(COMPAT, graphics__gpus=(gpu("NVIDIA A100-SXM4-80GB", "8.0"),))),
    ),  # allowed there
    ("cuda-fabric-manager-802", changed(FABRIC, graphics__cuda_error=None, torch__available=True)),
    ("cuda-init-error", refused(H, 803, "system has unsupported display driver / cuda driver combination")),
    ("cuda-init-error", HIDDEN),
    ("container-without-gpu", without_driver(H)),
    ("container-without-gpu", changed(H, system__container="docker")),
    ("mig", H),
    ("no-kernel-image", H),  # sm_86 code runs on 8.9
    ("no-kernel-image", card("NVIDIA GB10", "12.1")),  # sm_120 code runs on 12.1
    (
        "no-kernel-image",
        with_flash_attn(card("Tesla T4", "7.5"), version="2.8.3"),
    ),  # too old for flash-attn: another failure mode
    ("no-kernel-image", changed(with_flash_attn(H), binaries=(FLASH_2_7,))),  # sm_80 code runs on 8.9
    ("gpu-arch-unsupported-by-flash-attn", H),
    ("config-device-cpu", changed(H, environment=environment(CUDA_VISIBLE_DEVICES="0"))),
    (
        "config-device-cpu",
        changed(without_driver(H), environment=environment(CUDA_VISIBLE_DEVICES="")),
    ),  # nothing there to hide
    ("no-gpu-present", without_driver(H)),
    ("torch-cpu-build", cpu_torch(changed(without_driver(H), graphics__pci=(INTEL,)))),
    (
        "rocm-specific",
        changed(H, graphics__amd=(AmdGpu(name="Radeon 780M", gfx="gfx1103"),)),
    ),  # a laptop's own graphics
    (
        "rocm-specific",
        changed(
            without_driver(H),
            graphics__pci=(AMD_CARD,),
            graphics__amd=(AmdGpu(name="MI300X", gfx="gfx942"),),
            graphics__rocm="7.1",
            torch__hip="7.1",
        ),
    ),
    ("torch-built-without-flash", H),
]


@pytest.mark.parametrize(("slug", "facts", "says"), PRESENT)
def test_it_is_found_and_says_both_sides(slug, facts, says):
    finding = found(slug, facts)
    assert finding is not None
    assert says in finding.message
    assert finding.evidence


@pytest.mark.parametrize(("slug", "facts"), ABSENT)
def test_it_is_not_found_in_a_look_alike(slug, facts):
    assert found(slug, facts) is None


@pytest.mark.parametrize("slug", sorted({slug for slug, _, _ in PRESENT}))
def test_the_healthy_machine_has_none_of_them(slug):
    assert found(slug, H) is None


def test_a_healthy_machine_has_nothing_above_a_note():
    assert [f.slug for f in diagnose(H, Goal.TRAIN).findings if f.severity is not Severity.INFO] == []
    assert diagnose(H, Goal.TRAIN).undetermined == ()


@pytest.mark.parametrize(
    ("slug", "certainty"),
    [
        ("driver-too-old", Certainty.OBSERVED),
        ("cuda-fabric-manager-802", Certainty.OBSERVED),
        ("no-kernel-image", Certainty.PREDICTED),
    ],
)
def test_what_torch_said_is_observed_and_what_a_table_says_is_predicted(slug, certainty):
    facts = next(facts for name, facts, _ in PRESENT if name == slug)
    assert found(slug, facts).certainty is certainty


def test_one_of_two_cards_without_code_is_a_warning():
    both = changed(
        H,
        graphics__gpus=(
            gpu("NVIDIA GeForce GTX 1080", "6.1"),
            msgspec.structs.replace(gpu("NVIDIA GeForce RTX 4090", "8.9"), index=1),
        ),
    )
    assert found("no-kernel-image", both).severity is Severity.WARNING


def test_mig_that_works_is_a_note():
    assert found("mig", card("NVIDIA A100-SXM4-80GB", "8.0", mig=True, slices=2)).severity is Severity.INFO


def trial(backend: str, status: str, **values: object) -> Trials:
    row = Trial(backend=backend, status=status, dtype="float16", device="cuda:0", batch=1, imgsz=640, **values)
    return Trials(rows=(Trial(backend="eager", status="ok", dtype="float16"), row))


def test_math_in_the_place_of_a_fused_kernel_is_told_with_pytorchs_own_reason():
    reason = "math served it. PyTorch says: All fused kernels require the last dimension of the input to have stride 1."
    trials = trial("sdpa", "other-kernel", reason=reason, attention_calls=AttentionCalls(fused=4, math=4))
    finding = found("sdpa-silent-math-fallback", H, trials=trials)
    assert finding.severity is Severity.WARNING
    assert "4 of 8 attention calls ran unfused" in finding.message
    assert "stride 1" in finding.message
    assert finding.evidence[0].path == "trials.1"


def test_a_kernel_asked_for_by_name_that_refused_is_a_note():
    trials = trial("sdpa-flash", "other-kernel", reason="math served it")
    assert found("sdpa-silent-math-fallback", H, trials=trials).severity is Severity.INFO
    assert found("sdpa-silent-math-fallback", H, trials=trial("sdpa-flash", "ok")) is None


def test_memory_that_one_backend_lacks_and_another_does_not():
    finding = found("out-of-memory-gpu", H, trials=trial("sdpa-math", "out-of-memory", reason="CUDA out of memory."))
    assert finding.severity is Severity.WARNING
    assert "sdpa-math" in finding.message
    assert "eager did the same work" in finding.message


def test_a_torch_that_computes_wrong_gradients():
    wrong = TrialRun(reference=ReferenceCheck(ok=False, error=0.4, module="BatchNorm2d"))
    trials = msgspec.structs.replace(trial("sdpa", "ok"), run=wrong)
    assert "wrong gradients here: BatchNorm2d" in found("torch-cpu-batchnorm-gradient", H, trials=trials).message
    assert found("torch-cpu-batchnorm-gradient", H, trials=trial("sdpa", "ok")) is None
    another = TrialRun(reference=ReferenceCheck(ok=False, error=0.4, module="GroupNorm"))
    trials = msgspec.structs.replace(trials, run=another)
    assert found("torch-cpu-batchnorm-gradient", H, trials=trials) is None


@pytest.mark.parametrize(
    ("said", "slug"),
    [
        ("no kernel image is available for execution on the device", "no-kernel-image"),
        ("device kernel image is invalid", "no-kernel-image"),
        ("invalid device function", "no-kernel-image"),
        ("an illegal memory access was encountered", "illegal-memory-access"),
        ("misaligned address", "illegal-memory-access"),
        ("unspecified launch failure", "illegal-memory-access"),
        ("system not yet initialized", "cuda-fabric-manager-802"),
        ("system has unsupported display driver / cuda driver combination", "driver-library-mismatch"),
        ("forward compatibility was attempted on non supported HW", "cuda-forward-compat-804"),
        ("CUDA driver version is insufficient for CUDA runtime version", "driver-too-old"),
        ("the provided PTX was compiled with an unsupported toolchain.", "driver-too-old"),
        ("device-side assert triggered", "cuda-init-error"),
        ("named symbol not found", "cuda-init-error"),
    ],
)
def test_whatever_a_gpu_refuses_everything_with_has_one_cause(said, slug):
    text = f"torch.AcceleratorError: CUDA error: {said}"
    row = Trial(backend="eager", status="failed", dtype="float32", device="cuda:0", reason=text)
    log = read_bytes(text.encode(), "trial", [*patterns()])
    found = diagnose(H, Goal.TRAIN, logs=(log,), trials=Trials(rows=(row,))).findings
    assert [f.slug for f in found if f.severity is Severity.ERROR and f.root_cause] == [slug]
    folded = [f.slug for f in found if f.severity is Severity.ERROR and not f.root_cause]
    assert folded == ["eager-fails"]  # the GPU is why


def test_results_that_are_no_numbers():
    trials = trial(
        "flash-attn-2", "failed", reason="with this backend, the model's outputs are not all finite", ended="not-finite"
    )
    assert "flash-attn-2 in float16" in found("nan-outputs", H, trials=trials).message
    assert found("nan-outputs", H, trials=trial("flash-attn-2", "failed", reason="no kernel")) is None


@pytest.mark.parametrize(
    ("size", "batch", "imgsz", "heads"),
    [
        (2.0 * 2**30, 1, 2048, 8),  # 8 heads, 4 areas of 4096 tokens in float32
        (64.0 * 2**30, 16, 2048, 16),  # the same with 16 heads and a batch of 16
        (23.0 * 2**20, 1, 2048, None),
        (1.17 * 2**30, 16, 640, None),
    ],
)
def test_the_size_asked_for_tells_an_attention_matrix(size, batch, imgsz, heads):
    assert attention_heads(size, batch, imgsz) == heads


def test_an_import_that_crashes_with_torch_is_torchs_own_matter():
    facts = changed(H, torch__importable=False, torch__fault=Fault(kind="signal", signal="SIGSEGV"))
    assert found("segfault", facts) is None
