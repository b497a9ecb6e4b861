"""The health of GPUs, judged. The values are those of NVIDIA's documentation."""

from __future__ import annotations

import msgspec
import pytest
from one_rule import found, told
from whole_machines import RTX_4090

from attn_doctor.failure_modes.shared.xids import MEANINGS
from attn_doctor.model.facts import (
    Facts,
    GpuHealth,
    GpuProcess,
    PciDevice,
    TorchDevice,
    Unknown,
    Variable,
    Xid,
)
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.model.trials import GpuWatch, Range, TrialRun, Trials
from attn_doctor.trials.watch import Window, summary


def with_health(*healths: GpuHealth, **graphics_: object) -> Facts:
    """Return a machine with a GPU for each health."""
    (one,) = RTX_4090.graphics.gpus
    gpus = tuple(
        msgspec.structs.replace(one, index=i, bus_id=f"0000:{i:02x}:00", health=h) for i, h in enumerate(healths)
    )
    return msgspec.structs.replace(
        RTX_4090, graphics=msgspec.structs.replace(RTX_4090.graphics, gpus=gpus, **graphics_)
    )


@pytest.mark.parametrize(
    ("slug", "ill", "well"),
    [
        ("gpu-ecc-errors", {"uncorrected_errors": 1}, {"uncorrected_errors": 0}),
        ("gpu-rows-pending", {"rows_pending": True}, {"remapped_rows": 5, "rows_pending": False}),
        ("gpu-rows-pending", {"pages_pending": True}, {"retired_pages": 5, "pages_pending": False}),
        ("gpu-rows-pending", {"retired_pages": 60}, {"retired_pages": 59}),
        ("gpu-rows-pending", {"remap_failed": True}, {"remap_failed": False}),
        ("gpu-throttled", {"slowed_by": ("power brake",)}, {"slowed_by": ()}),
        # an idle link is slower to save power
        (
            "gpu-pcie-degraded",
            {"pcie_width": 8, "pcie_width_most": 16, "busy_percent": 50},
            {"pcie_width": 8, "pcie_width_most": 16, "busy_percent": 49},
        ),
        (
            "gpu-pcie-degraded",
            {"pcie_generation": 3, "pcie_generation_most": 4, "busy_percent": 100},
            {"pcie_generation": 4, "pcie_generation_most": 4, "busy_percent": 100},
        ),
    ],
)
def test_each_finding_and_the_value_beside_it(slug, ill, well):
    finding = found(slug, with_health(GpuHealth(), GpuHealth(**ill)), Goal.TRAIN)
    assert "GPU 1 (NVIDIA GeForce RTX 4090)" in finding.message
    assert finding.severity in (Severity.WARNING, Severity.ERROR)
    assert finding.fixes
    assert found(slug, with_health(GpuHealth(), GpuHealth(**well)), Goal.TRAIN) is None


def test_errors_earlier_in_the_life_of_a_gpu_are_a_notice():
    finding = found(
        "gpu-ecc-errors", with_health(GpuHealth(uncorrected_errors=0, uncorrected_errors_ever=3)), Goal.TRAIN
    )
    assert finding.severity is Severity.INFO


def test_a_repair_that_failed_is_an_error_and_is_not_cured_by_a_reset():
    finding = found("gpu-rows-pending", with_health(GpuHealth(remap_failed=True, rows_pending=True)), Goal.TRAIN)
    assert (finding.severity, finding.fixes[0].title) == (Severity.ERROR, "Have the GPU tested")


def held(free: int, **more: object) -> Facts:
    facts = with_health(GpuHealth(processes=(GpuProcess(pid=7, name="python", used_bytes=20 << 30),)))
    gpu = msgspec.structs.replace(facts.graphics.gpus[0], memory_bytes=24 << 30, free_bytes=free, **more)
    return msgspec.structs.replace(facts, graphics=msgspec.structs.replace(facts.graphics, gpus=(gpu,)))


def test_memory_that_others_hold():
    finding = found("gpu-memory-held", held(2 << 30), Goal.TRAIN)
    assert "8% of it is free, held by python (process 7, 21.5 GB)" in finding.message
    assert finding.fixes[0].title == "End the other program"
    assert found("gpu-memory-held", held(6 << 30), Goal.TRAIN) is None
    assert found("gpu-memory-held", held(2 << 30, mig=True), Goal.TRAIN) is None
    assert found("gpu-memory-held", held(2 << 30, visible=False), Goal.TRAIN) is None


def test_a_reset_by_the_kind_of_machine():
    def title(name: str, **system: object) -> str:
        facts = with_health(GpuHealth(rows_pending=True))
        gpu = msgspec.structs.replace(facts.graphics.gpus[0], name=name)
        facts = msgspec.structs.replace(
            facts,
            graphics=msgspec.structs.replace(facts.graphics, gpus=(gpu,)),
            system=msgspec.structs.replace(facts.system, **system),
        )
        return found("gpu-rows-pending", facts, Goal.TRAIN).fixes[0].title

    assert title("NVIDIA A100-SXM4-80GB") == "Reset GPU 0"
    assert title("NVIDIA GeForce RTX 4090") == "Reboot"
    assert title("NVIDIA A100-SXM4-80GB", container="docker") == "Reboot the host"
    assert title("NVIDIA A100-SXM4-80GB", modules=True) == "Have the node rebooted"
    assert title("NVIDIA A100-SXM4-80GB", os="windows") == "Load the Windows driver again"


@pytest.mark.parametrize(
    ("number", "severity", "cure"),
    [
        (79, Severity.WARNING, "Reboot"),
        (48, Severity.WARNING, "Reboot"),
        (31, Severity.INFO, "Look at the program"),
        (9999, Severity.INFO, "Look at the program"),
    ],
)
def test_an_xid_by_its_kind(number, severity, cure):
    facts = with_health(GpuHealth(), xids=(Xid(number=number, bus_id="0000:00:00", times=2, seconds_ago=7300),))
    finding = found("gpu-xid", facts, Goal.TRAIN)
    assert (finding.severity, finding.fixes[0].title) == (severity, cure)
    assert f"by GPU 0 (NVIDIA GeForce RTX 4090) since the machine started: Xid {number}" in finding.message
    assert finding.evidence[0].text == f"Xid {number} of the GPU at 0000:00:00: 2 times, last 2 hours ago"
    assert found("gpu-xid", with_health(GpuHealth(), xids=()), Goal.TRAIN) is None


def test_an_xid_in_a_log_of_a_failed_run_is_an_error_and_that_of_a_program_a_notice():
    assert (
        told("gpu-xid", "kernel: NVRM: Xid (PCI:0000:65:00): 119, pid=1, Timeout waiting for RPC from GSP!\n").severity
        is Severity.ERROR
    )
    assert (
        told("gpu-xid", "kernel: NVRM: Xid (PCI:0000:65:00): 13, pid=1, Graphics Exception\n").severity is Severity.INFO
    )
    assert told("gpu-xid", "nvidia-nvlink: SXid (PCI:0000:c4:00.0): 12028, Non-fatal\n") is None
    assert {m.kind for m in MEANINGS.values()} == {"program", "memory", "gpu"}


def watched(**values: object) -> Trials:
    return Trials(rows=(), run=TrialRun(gpu=GpuWatch(n=9, **values)))


def test_the_trial_shows_a_gpu_under_load():
    facts = with_health(
        GpuHealth(pcie_generation=1, pcie_generation_most=4, pcie_width=16, pcie_width_most=16, busy_percent=0)
    )
    assert found("gpu-pcie-degraded", facts, Goal.TRAIN, watched(pcie_generation=4, pcie_width=16)) is None
    finding = found("gpu-pcie-degraded", facts, Goal.TRAIN, watched(pcie_generation=4, pcie_width=4))
    assert "generation 4, 4 lanes of generation 4, 16 lanes" in finding.message
    assert found("gpu-pcie-degraded", facts, Goal.TRAIN, watched()) is None
    assert found("gpu-throttled", facts, Goal.TRAIN, watched(slowed_by=("power cap",))) is None
    hot = watched(slowed_by=("power cap", "thermal slowdown (hardware)"), celsius=Range(low=80, high=93))
    finding = found("gpu-throttled", facts, Goal.TRAIN, hot)
    assert "during the trial: thermal slowdown (hardware) (93 °C)" in finding.message
    assert finding.fixes[0].title == "Cool the GPU"


def test_the_fastest_link_of_a_trial_is_kept():
    window = Window(0.0)
    window.end = 10.0
    state = {"megahertz": None, "celsius": None, "reasons": 0, "used_bytes": None, "millijoules": None}
    states = [
        {**state, "at": at, "pcie_generation": gen, "pcie_width": 16}
        for at, gen in ((1.0, 1), (2.0, 4), (3.0, 2), (11.0, 5))
    ]
    made = summary(states, [window])
    assert (made.pcie_generation, made.pcie_width) == (4, 16)
    assert summary([{**state, "at": 1.0}], [window]).pcie_width is None


CARD = PciDevice(vendor="10de", device="2684", pci_class="0300", driver="nvidia")


def counted(
    expected: int | None,
    bus: int = 4,
    nodes: int = 4,
    gpus: int = 4,
    torch: int | None = 4,
    hidden: int = 0,
    **more: object,
) -> Facts:
    made = with_health(*[GpuHealth()] * gpus, expected_gpus=expected)
    listed = tuple(msgspec.structs.replace(g, visible=i >= hidden, **more) for i, g in enumerate(made.graphics.gpus))
    files = tuple(f"/dev/nvidia{n}" for n in range(nodes))
    devices = tuple(TorchDevice(index=i, name="x", compute_capability="8.9") for i in range(torch or 0))
    variables = (Variable(name="CUDA_VISIBLE_DEVICES", value="2,3"),) if hidden else ()
    return msgspec.structs.replace(
        made,
        environment=variables,
        graphics=msgspec.structs.replace(
            made.graphics, pci=(CARD,) * bus, device_nodes=("/dev/nvidiactl", *files), gpus=listed
        ),
        torch=msgspec.structs.replace(
            made.torch,
            devices=Unknown("not asked") if torch is None else devices,
            available=None if torch is None else torch > 0,
        ),
    )


@pytest.mark.parametrize(
    ("facts", "message", "cure"),
    [
        (counted(2), "2 GPUs were expected, and a program can use 4.", "Correct the expected number"),
        (counted(0), "0 GPUs were expected, and a program can use 4.", "Correct the expected number"),
        (
            counted(8),
            "8 GPUs were expected, and a program can use 4: the machine has no more.",
            "Correct the expected number",
        ),
        (
            counted(4, torch=2, hidden=2),
            "can use 2: CUDA_VISIBLE_DEVICES hides the others.",
            "Unset CUDA_VISIBLE_DEVICES",
        ),
        (
            counted(4, torch=None, hidden=1),
            "can use 3: CUDA_VISIBLE_DEVICES hides the others.",
            "Unset CUDA_VISIBLE_DEVICES",
        ),
        (counted(4, gpus=3, torch=3), "can use 3: more are on the PCI bus than the driver lists.", "Reboot"),
        (
            counted(4, nodes=1, gpus=1, torch=1),
            "can use 1: this container or job was given no more.",
            "Ask for more GPUs",
        ),
        (counted(4, torch=1), "can use 1: torch counts fewer than the driver lists.", "Correct the expected number"),
        (counted(4, torch=1, mig=True), "can use 1: with MIG a process sees one instance alone.", None),
    ],
)
def test_another_number_of_gpus_than_expected(facts, message, cure):
    finding = found("gpu-count-differs", facts, Goal.TRAIN)
    assert message in finding.message
    assert finding.severity is Severity.ERROR
    assert (finding.fixes[0].title if finding.fixes else None) == cure
    texts = [e.text for e in finding.evidence]
    assert "on the PCI bus: 4 NVIDIA" in texts
    assert any(text.startswith("device files /dev/nvidia0, ...: ") for text in texts)


def test_the_number_that_was_expected_and_none_that_was_stated():
    assert found("gpu-count-differs", counted(4), Goal.TRAIN) is None
    assert found("gpu-count-differs", counted(2, torch=2, hidden=2), Goal.TRAIN) is None
    assert found("gpu-count-differs", counted(None, gpus=1, torch=1), Goal.TRAIN) is None


def test_what_was_seen_is_named_up_to_the_variable():
    texts = [e.text for e in found("gpu-count-differs", counted(4, torch=2, hidden=2), Goal.TRAIN).evidence]
    assert "CUDA_VISIBLE_DEVICES=2,3" in texts
    assert "torch.cuda.device_count(): 2" in texts
