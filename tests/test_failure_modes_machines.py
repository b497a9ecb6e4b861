"""Failure modes of AD3xx to AD5xx on machines with several ailments: one root cause first; and what is not known makes none."""

from __future__ import annotations

import ailing_extensions
import ailing_gpus
import pytest
from ailing_machines import COMPAT, CONTAINER, FABRIC, HIDDEN, MIG_EMPTY, MISMATCH, WSL, H, cpu_torch, old_driver
from whole_machines import forgetting, without_driver

from attn_doctor.failure_modes import ALL, consequences
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.findings import Goal, Severity

# Ten machines with more than one ailment: what must be put right first, and what follows from it.
MACHINES = {
    "a card without a driver, and a CPU torch": (
        cpu_torch(without_driver(H)),
        "driver-missing",
        {"torch-cpu-build"},
    ),
    "a container without its GPU": (CONTAINER, "container-without-gpu", set()),
    "a good card beside a CPU torch and a CUDA torchvision": (
        cpu_torch(H),
        "torch-cpu-build",
        set(),
    ),
    "a GPU hidden by a leftover variable": (HIDDEN, "config-device-cpu", set()),
    "WSL2 with a Linux driver inside": (WSL, "wsl2-driver-stub", set()),
    "libraries updated under a running driver": (MISMATCH, "driver-library-mismatch", set()),
    "a compat library on a GeForce, under an old driver": (COMPAT, "cuda-forward-compat-804", set()),
    "an H100 without its fabric manager": (FABRIC, "cuda-fabric-manager-802", set()),
    "a driver for CUDA 12 under a torch for CUDA 13": (old_driver("550.54.15", "12.4"), "driver-too-old", set()),
    "an A100 cut into no instances": (MIG_EMPTY, "mig", set()),
}


@pytest.mark.parametrize("goal", list(Goal))
@pytest.mark.parametrize("name", MACHINES)
def test_each_of_ten_machines_has_one_thing_to_do_first(name, goal):
    facts, root, follows = MACHINES[name]
    findings = diagnose(facts, goal).findings
    assert findings[0].slug == root
    assert findings[0].root_cause
    ours = [f for f in findings if f.code.startswith("AD4") and f.severity is not Severity.INFO]
    assert [f.slug for f in ours if f.root_cause] == [root]
    assert {f.slug for f in ours if not f.root_cause} == follows


OURS = [m for m in ALL if m.MODE.code.startswith(("AD3", "AD4", "AD5"))]
AILING = [
    *(pytest.param(facts, id=name) for name, (facts, _, _) in MACHINES.items()),
    *(
        pytest.param(facts, id=f"{n} {slug}")
        for n, (slug, facts, _) in enumerate((*ailing_gpus.PRESENT, *ailing_extensions.PRESENT))
    ),
]


@pytest.mark.parametrize("facts", AILING)
def test_a_fact_that_is_not_known_makes_no_finding(facts):
    """Forgetting any fact of a machine may take a finding away or put it in doubt; it never makes one."""
    before = {f.slug for f in diagnose(facts, Goal.FLASH_ATTN, modules=OURS).findings}
    made = {}
    for path, forgotten in forgetting(facts):
        after = {f.slug for f in diagnose(forgotten, Goal.FLASH_ATTN, modules=OURS).findings}
        if after - before:
            made[path] = after - before
    assert made == {}


def test_nothing_explains_itself_by_way_of_others():
    """Two findings that explain each other would leave no root cause."""
    explains = {module.MODE.slug: set(consequences(module.MODE)) for module in ALL}
    while leaves := {slug for slug, effects in explains.items() if not effects & set(explains)}:
        explains = {slug: effects for slug, effects in explains.items() if slug not in leaves}
    assert explains == {}
