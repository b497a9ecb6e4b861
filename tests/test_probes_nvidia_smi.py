"""The probe of GPUs where nvidia-smi answers in place of NVML: a script on PATH stands for it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from kit import Machine, ubuntu
from probed_graphics import probe, with_card

from attn_doctor.model.facts import Unknown
from attn_doctor.probes.graphics import graphics

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None, reason="stub drivers are compiled with gcc, for Linux"
)

MIB = 1024**2


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return ubuntu(Machine(tmp_path / "machine"))


SMI = """
case "$1" in
--query-gpu=*compute_cap*) {newer};;
--query-gpu=*) echo '0, Tesla T4, GPU-1, 15360, 15100, 70.00'
               echo '1, Tesla T4, GPU-2, 15360, [N/A], [Not Supported]';;
*) echo '| NVIDIA-SMI 470.82.01    Driver Version: 470.82.01    CUDA Version: 11.4     |';;
esac
"""


def test_nvidia_smi_where_nvml_is_not_to_be_had(machine):
    with_card(machine, "470.82.01")
    row = "0, Tesla T4, GPU-1, 15360, 15100, 70.00, Enabled, [N/A], 7.5"
    machine.script("/usr/bin/nvidia-smi", SMI.format(newer=f"echo '{row}'"))
    found, sources = graphics(machine.root, machine.environ)
    (gpu,) = found.gpus
    assert (gpu.name, gpu.compute_capability, gpu.memory_bytes, gpu.ecc) == ("Tesla T4", "7.5", 15360 * MIB, True)
    assert (gpu.mig, gpu.power_limit_watts, gpu.visible) == (None, 70.0, True)
    assert (found.driver, found.driver_cuda, found.nvml_code) == ("470.82.01", "11.4", 12)
    assert (found.nvidia_smi, found.nvidia_smi_error) == ("/usr/bin/nvidia-smi", None)
    assert sources["gpus"] == "nvidia-smi"


def test_an_old_nvidia_smi_that_does_not_know_every_column(machine):
    refusal = "echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2"
    with_card(machine).script("/usr/bin/nvidia-smi", SMI.format(newer=refusal))
    first, second = probe(machine).gpus
    assert first.compute_capability == Unknown("this nvidia-smi is too old to report it")
    assert (first.ecc, first.power_limit_watts) == (Unknown("this nvidia-smi is too old to report it"), 70.0)
    assert (second.free_bytes, second.power_limit_watts) == (Unknown("nvidia-smi says '[N/A]'"), None)


def test_nvidia_smi_of_driver_610_has_other_names_for_its_versions(machine):
    banner = "| NVIDIA-SMI 610.43.02              KMD Version: 610.43.02     CUDA UMD Version: 13.3     |"
    with_card(machine, "610.43.02").script("/usr/bin/nvidia-smi", f'[ $# = 0 ] || exit 2\necho "{banner}"\n')
    found, sources = graphics(machine.root, machine.environ)
    assert (found.driver, found.driver_cuda, found.nvidia_smi_error) == ("610.43.02", "13.3", None)
    assert (sources["driver"], sources["driver_cuda"]) == ("nvidia-smi", "nvidia-smi")
    assert isinstance(found.gpus, Unknown)


def test_nvidia_smi_that_fails_in_its_own_words(machine):
    words = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    with_card(machine).script("/usr/bin/nvidia-smi", f'echo "{words}"; exit 9\n')
    found = probe(machine)
    assert found.nvidia_smi_error == words
    assert found.gpus == ()


def test_nvidia_smi_that_hangs_is_asked_once(machine):
    with_card(machine).script("/usr/bin/nvidia-smi", f"echo asked >> {machine.root}/asked; sleep 60\n")
    found = probe(machine, deadline=1.0)
    assert found.nvidia_smi_error == "did not answer within 1 s"
    assert machine.path("/asked").read_text() == "asked\n"
