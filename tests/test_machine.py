"""Answers that several rooms need of the facts, and that all of them give the same one."""

from __future__ import annotations

import pytest

from attn_doctor.failure_modes.mode import Unsure
from attn_doctor.failure_modes.shared import building, torch_steps
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.recommend import recommend
from attn_doctor.model.facts import (
    AmdGpu,
    Binary,
    Facts,
    FlashAttention,
    Gpu,
    Graphics,
    Import,
    Interpreter,
    PciDevice,
    System,
    Unknown,
)
from attn_doctor.model.findings import Goal
from attn_doctor.model.machine import amd_gpus, first_gpu, flash_attn, implied_goal, nvidia_present
from attn_doctor.model.trials import Trials
from attn_doctor.report.machine_summary import at_a_glance

RYZEN = AmdGpu(name="AMD Radeon 780M", gfx="gfx1103")
GTX = Gpu(index=0, name="NVIDIA GeForce GTX 1080", compute_capability="6.1")
NVIDIA_CARD = PciDevice(vendor="10de", device="1b80", pci_class="0300")
AMD_CARD = PciDevice(vendor="1002", device="15bf", pci_class="0380")
NOT_READ = Unknown("not read")


@pytest.mark.parametrize(
    ("gpus", "pci", "present"),
    [
        ((GTX,), NOT_READ, True),
        (NOT_READ, (NVIDIA_CARD,), True),
        ((), (NVIDIA_CARD,), True),
        ((), (AMD_CARD,), False),
        ((), (), False),
        ((), NOT_READ, NOT_READ),
        (NOT_READ, (), NOT_READ),
    ],
)
def test_an_nvidia_gpu_is_there_whoever_saw_it(gpus, pci, present):
    assert nvidia_present(Facts(graphics=Graphics(gpus=gpus, pci=pci))) == present


def test_the_graphics_of_a_processor_beside_an_nvidia_card_is_no_gpu_to_compute_on():
    alone = Facts(graphics=Graphics(gpus=(), pci=(AMD_CARD,), amd=(RYZEN,)))
    both = Facts(
        system=System(os="linux"),
        graphics=Graphics(gpus=(GTX,), pci=(NVIDIA_CARD, AMD_CARD), amd=(RYZEN,), rocm=None),
    )
    assert amd_gpus(alone) == (RYZEN,)
    assert amd_gpus(both) == ()
    advice = recommend(both, diagnose(both, Goal.TRAIN), Trials(skipped="not asked for"))
    assert advice.install_flash_attn == "not-here"
    shown = {field.label: field.text for field in at_a_glance(both)}
    assert "GTX 1080" in shown["GPU"]


def test_a_laptop_of_both_kinds_is_not_sent_to_rocm():
    card = Gpu(index=0, name="NVIDIA GeForce RTX 4060", compute_capability="8.9")
    both = Facts(
        system=System(os="linux", musl=None, kernel="6.8.0", wsl=None),
        interpreter=Interpreter(version="3.11.7"),
        graphics=Graphics(gpus=(card,), pci=(NVIDIA_CARD, AMD_CARD), amd=(RYZEN,), driver="570.86.10"),
    )
    words = repr(torch_steps.newest(both))
    assert "torch==" in words
    assert "ROCm" not in words


def test_the_first_gpu_is_one_that_programs_see():
    hidden = Gpu(index=0, name="A", compute_capability="8.0", visible=False)
    unnamed = Gpu(index=1, compute_capability=NOT_READ)
    seen = Gpu(index=2, name="B", compute_capability="9.0")
    assert first_gpu(Facts(graphics=Graphics(gpus=(hidden, unnamed, seen)))) == (2, seen, "9.0")
    assert first_gpu(Facts(graphics=Graphics(gpus=NOT_READ))) is None


def with_flash_attn(version, imports=NOT_READ, binaries=()):
    return Facts(flash_attention=FlashAttention(version=version), imports=imports, binaries=binaries)


GOOD_PACKAGE = Import(module="flash_attn", ok=True)
BAD_PACKAGE = Import(module="flash_attn", ok=False)
GOOD_EXTENSION = Import(module="flash_attn_2_cuda", ok=True)
BAD_FILE = Binary(module="flash_attn_2_cuda", path="x.so", verdict="fails")


@pytest.mark.parametrize(
    ("facts", "state", "works", "goal"),
    [
        (with_flash_attn(None), "absent", False, Goal.TRAIN),
        (with_flash_attn("2.8.3"), "not tried", True, Goal.TRAIN),
        (with_flash_attn("2.8.3", ()), "not tried", True, Goal.TRAIN),
        (with_flash_attn("2.8.3", (GOOD_PACKAGE, GOOD_EXTENSION)), "works", True, Goal.TRAIN),
        # The extension imports and the package does not, as where a file of the package is gone.
        (with_flash_attn("2.8.3", (BAD_PACKAGE, GOOD_EXTENSION)), "fails", False, Goal.FLASH_ATTN),
        (with_flash_attn("2.8.3", NOT_READ, (BAD_FILE,)), "fails", False, Goal.FLASH_ATTN),
        # An import that was seen goes before what the file says.
        (with_flash_attn("2.8.3", (GOOD_EXTENSION,), (BAD_FILE,)), "works", True, Goal.TRAIN),
    ],
)
def test_all_say_the_same_of_flash_attn(facts, state, works, goal):
    assert flash_attn(facts) == state
    assert building.works(facts) is works
    assert implied_goal(facts)[0] is goal


def test_an_unknown_version_is_no_answer():
    facts = with_flash_attn(NOT_READ)
    assert flash_attn(facts) is NOT_READ
    with pytest.raises(Unsure):
        building.works(facts)
