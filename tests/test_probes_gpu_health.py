"""The health of GPUs, asked through a stand-in of NVML that is really loaded, and read from kernel logs of files.

No test here has a GPU: the values are those of NVIDIA's documentation. docs/ci.md says so too.
"""

from __future__ import annotations

import shutil
import sys

import msgspec
import pytest
from kit import Gpu, Machine, ubuntu
from one_rule import found
from whole_machines import RTX_4090

from attn_doctor.failure_modes.recipe import StubClocks, StubHealth
from attn_doctor.model.facts import (
    GpuClocks,
    GpuHealth,
    GpuProcess,
    Unknown,
)
from attn_doctor.model.findings import Goal
from attn_doctor.probes.graphics import graphics
from attn_doctor.probes.kernel_log import xids
from attn_doctor.probes.root import Root
from attn_doctor.report.machine_summary import clocks

stubs = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None, reason="stub drivers are compiled with gcc, for Linux"
)

SLUGS = (
    "gpu-ecc-errors gpu-rows-pending gpu-throttled gpu-pcie-degraded gpu-memory-held gpu-xid gpu-count-differs".split()
)


@pytest.fixture
def machine(tmp_path) -> Machine:
    made = ubuntu(Machine(tmp_path / "machine"))
    made.pci("10de", "20b2", driver="nvidia")
    made.driver("580.65.06")
    return made


@stubs
def test_what_nvml_says_of_a_gpu_that_is_ill_and_of_one_that_is_well(machine):
    ill = StubHealth(
        uncorrected=2,
        uncorrected_ever=5,
        rows=1,
        rows_pending=1,
        pages=7,
        pages_pending=1,
        generation=3,
        width=8,
        busy=97,
        celsius=91,
        reasons=0x4 | 0x8 | 0x40,  # power cap, hardware slowdown, thermal slowdown
        persistence=0,
        processes=((4711, 60000), (4712, 900)),
    )
    machine.stub_drivers(
        [
            Gpu("NVIDIA A100-SXM4-80GB", "8.0", 81920, free_mib=20000, health=ill, power_watts=400),
            Gpu("NVIDIA A100-SXM4-80GB", "8.0", 81920, health=StubHealth()),
            Gpu("NVIDIA GeForce GTX 1080", "6.1", 8192),
        ]
    )
    first, second, third = graphics(machine.root, machine.environ, 20.0)[0].gpus
    assert first.bus_id == "0000:10:00"
    assert first.health == GpuHealth(
        uncorrected_errors=2,
        uncorrected_errors_ever=5,
        retired_pages=7,
        pages_pending=True,
        remapped_rows=1,
        rows_pending=True,
        remap_failed=False,
        slowed_by=("hardware slowdown", "thermal slowdown (hardware)"),
        pcie_generation=3,
        pcie_generation_most=4,
        pcie_width=8,
        pcie_width_most=16,
        busy_percent=97,
        celsius=91,
        celsius_slowdown=90,
        watts=60.0,
        persistence=False,
        processes=(
            GpuProcess(
                pid=4711, name="python1", used_bytes=60000 << 20
            ),  # without its folder, which may name its owner
            GpuProcess(pid=4712, name="python2", used_bytes=900 << 20),
        ),
    )
    assert (second.health.uncorrected_errors, second.health.rows_pending, second.health.retired_pages) == (
        0,
        False,
        None,
    )
    assert (second.health.slowed_by, second.health.processes, second.health.persistence) == ((), (), True)
    assert (third.health.uncorrected_errors, third.health.pcie_width, third.health.celsius) == (None, None, None)
    facts = msgspec.structs.replace(RTX_4090, graphics=msgspec.structs.replace(RTX_4090.graphics, gpus=(second, third)))
    assert [slug for slug in SLUGS if found(slug, facts, Goal.TRAIN)] == []


@stubs
def test_an_nvml_that_has_none_of_the_newer_calls_answers_all_the_same(machine):
    machine.stub_drivers([Gpu("Tesla K80", "3.7", 11441)])
    (gpu,) = graphics(machine.root, machine.environ, 20.0)[0].gpus
    assert gpu.name == "Tesla K80"
    assert gpu.health.remapped_rows is None


@stubs
def test_the_clocks_and_limits_that_nvml_says_and_those_that_a_gpu_does_not_have(machine):
    lowered = StubClocks(sm=1005, application=1005, application_default=1095)
    busy = StubHealth(reasons=0x2 | 0x4, busy=99)
    machine.stub_drivers(
        [
            Gpu("NVIDIA A100-SXM4-80GB", "8.0", 81920, power_watts=300, health=busy, clocks=lowered),
            Gpu("NVIDIA GeForce RTX 4090", "8.9", 24564, power_watts=450, health=StubHealth(),
                clocks=StubClocks(sm_most=3105, application=-1, application_memory=-1, application_default=-1,
                                  application_memory_default=-1, default_milliwatts=450000)),
            Gpu("Tesla K80", "3.7", 11441, power_watts=None),
        ]
    )  # fmt: skip
    first, second, third = graphics(machine.root, machine.environ, 20.0)[0].gpus
    assert first.clocks == GpuClocks(
        sm_megahertz=1005,
        memory_megahertz=1215,
        lowered_by=("application clocks", "power cap"),
        sm_megahertz_most=1410,
        memory_megahertz_most=1215,
        application_megahertz=1005,
        application_memory_megahertz=1215,
        application_megahertz_default=1095,
        application_memory_megahertz_default=1215,
    )
    assert (first.power_limit_watts, first.power_limit_watts_default) == (300.0, 400.0)
    assert first.health.slowed_by == ()  # neither of the two makes it slower than it was set
    assert (second.clocks.application_megahertz, second.clocks.sm_megahertz_most) == (None, 3105)
    assert second.clocks.lowered_by == ("idle",)
    assert (third.clocks.sm_megahertz, third.clocks.sm_megahertz_most, third.power_limit_watts_default) == (None,) * 3
    assert clocks(first) == (
        "SM 1005 MHz now, 1410 MHz at most, application clock 1005 MHz (default 1095); "
        "memory 1215 MHz now, 1215 MHz at most, application clock 1215 MHz; power limit 300 W (default 400); "
        "clocks lowered now by: application clocks, power cap"
    )
    assert clocks(third) == ""


KMSG = (
    "6,1,100,-;Linux version 6.8.0-87-generic\n"
    "6,2,5000000,-;NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.65.06\n"
    "3,900,61000000,-;NVRM: Xid (PCI:0000:65:00): 31, pid=9, name=python, Ch 00000008, MMU Fault: ENGINE GRAPHICS\n"
    " SUBSYSTEM=pci\n"
    "3,901,62000000,-;NVRM: Xid (PCI:0000:65:00): 48, pid=9, name=python, DBE (double bit error) in partition 0\n"
    "3,902,63000000,-;NVRM: Xid (PCI:00000001:0A:00.0): 48, pid=9, DBE\n"
    "3,903,64000000,-;NVRM: Xid (PCI:0000:65:00): 48, pid=9, DBE\n"
    "6,904,65000000,-;nvidia-nvlink: SXid (PCI:0000:c4:00.0): 12028\n"
)


def test_the_ring_buffer_of_the_kernel(tmp_path):
    machine = Machine(tmp_path / "m")
    machine.file("/dev/kmsg", KMSG)
    machine.file("/var/log/kern.log", "NVRM: Xid (PCI:0000:65:00): 79, GPU has fallen off the bus.\n")
    found, source = xids(Root(machine.root))
    assert source == "/dev/kmsg"
    assert [(x.bus_id, x.number, x.times) for x in found] == [
        ("0000:65:00", 31, 1),
        ("0000:65:00", 48, 2),
        ("0001:0a:00", 48, 1),
    ]
    assert all(isinstance(x.seconds_ago, int) for x in found)


def test_a_log_file_of_the_kernel_since_the_last_start(tmp_path):
    machine = Machine(tmp_path / "m")
    line = "Nov 20 04:11:52 node kernel: [83121.3] NVRM: Xid (PCI:0000:9b:00): {}, pid=1\n"
    machine.file("/var/log/kern.log", line.format(48) + "node kernel: [0.0] Linux version 6.8.0\n" + line.format(79))
    found, source = xids(Root(machine.root))
    assert (source, [x.number for x in found]) == ("/var/log/kern.log", [79])
    assert isinstance(found[0].seconds_ago, Unknown)


def test_no_log_that_may_be_read(tmp_path):
    found, _ = xids(Root(Machine(tmp_path / "m").root))
    assert isinstance(found, Unknown)
    assert "/dev/kmsg: No such file or directory" in found.why
