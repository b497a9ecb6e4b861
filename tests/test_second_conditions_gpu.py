"""The second of two conditions in the rules of GPUs and drivers: whether they are met, how sure they are, how grave."""

from __future__ import annotations

import pytest
from ailing_machines import AMD_CARD, card, cpu_torch, environment, old_driver, static
from one_rule import found, told
from plan_reading import variable
from whole_machines import CARD, INTEL, RTX_4090, changed, gpu, refused, without_driver

from attn_doctor.failure_modes import find
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.model.facts import AmdGpu, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Goal, Severity

H = RTX_4090
UNKNOWN = Unknown("not asked")


# -- MIG


def in_mig(*slices: object, whole: int = 0, **facts):
    cards = [gpu("A100", "8.0", mig=True, slices=n) for n in slices] + [gpu("A100", "8.0")] * whole
    return changed(H, graphics__gpus=tuple(cards), torch__available=False, torch__devices=(), **facts)


@pytest.mark.parametrize(
    ("facts", "severity", "confidence", "says"),
    [
        (in_mig(0), Severity.ERROR, "high", "has no instance"),
        (in_mig(0, whole=1), Severity.WARNING, "high", "has no instance"),
        (in_mig(2), Severity.INFO, "high", "is cut into"),
        (changed(in_mig(2), torch__available=True), Severity.INFO, "high", "is cut into"),
        (
            in_mig(2, environment=environment(CUDA_VISIBLE_DEVICES="MIG-1")),
            Severity.ERROR,
            "medium",
            "names a MIG instance",
        ),
        (in_mig(2, environment=environment(CUDA_VISIBLE_DEVICES="0")), Severity.INFO, "high", "is cut into"),
        (in_mig(2, environment=UNKNOWN), Severity.INFO, "high", "is cut into"),
        (
            changed(in_mig(2, environment=environment(CUDA_VISIBLE_DEVICES="MIG-1")), torch__available=UNKNOWN),
            Severity.INFO,
            "high",
            "is cut into",
        ),
        (
            changed(in_mig(2, environment=environment(CUDA_VISIBLE_DEVICES="MIG-1")), torch__cuda=None),
            Severity.INFO,
            "high",
            "is cut into",
        ),
    ],
)
def test_a_gpu_in_mig_mode(facts, severity, confidence, says):
    finding = found("mig", facts)
    assert (finding.severity, finding.confidence.value, finding.certainty) == (severity, confidence, Certainty.OBSERVED)
    assert says in finding.message
    assert (finding.blocks == ()) is (severity is Severity.INFO)


def test_a_gpu_of_which_the_mode_is_not_known_is_no_mig():
    assert found("mig", changed(H, graphics__gpus=(gpu("A100", "8.0", mig=UNKNOWN),))) is None
    assert found("mig", changed(H, graphics__gpus=UNKNOWN)) is None


@pytest.mark.parametrize(("facts", "steps"), [(in_mig(0), 1), (in_mig(2), 2), (in_mig(2, 0), 1)])
def test_mig_is_switched_off_where_it_has_no_instance_and_else_one_is_named(facts, steps):
    (fix,) = find("mig").fixes(facts, Hit(message="m", evidence=()))
    assert len(fix.steps) == steps
    assert (variable(fix.steps[-1]) or ("",))[0] == ("CUDA_VISIBLE_DEVICES" if steps == 2 else "")


# -- drivers


OLD = old_driver("535.183.01", "12.2")


@pytest.mark.parametrize(
    ("facts", "certainty"),
    [
        (OLD, Certainty.OBSERVED),
        (static(OLD), Certainty.PREDICTED),
        (changed(OLD, torch__available=True), None),
        (cpu_torch(OLD), None),
        (changed(OLD, graphics__cuda_error="100 no CUDA-capable device is detected"), None),
        (changed(OLD, graphics__cuda_error="35 insufficient driver"), Certainty.OBSERVED),
        (changed(static(OLD), graphics__driver=None), Certainty.PREDICTED),
        (changed(static(OLD), graphics__driver=None, graphics__driver_cuda=None), None),
        (static(H), None),
    ],
)
def test_a_driver_that_is_too_old(facts, certainty):
    finding = found("driver-too-old", facts)
    assert (finding and finding.certainty) == certainty


def test_the_evidence_for_an_old_driver():
    assert [e.path for e in found("driver-too-old", OLD).evidence] == [
        "graphics.driver",
        "torch.cuda",
        "torch.cuda_error",
    ]
    assert [e.path for e in found("driver-too-old", static(OLD)).evidence] == ["graphics.driver", "torch.cuda"]
    bare = changed(static(OLD), graphics__driver=None)
    assert [e.path for e in found("driver-too-old", bare).evidence] == ["graphics.driver_cuda", "torch.cuda"]
    assert "(CUDA 12.2 at most)" in found("driver-too-old", OLD).message


@pytest.mark.parametrize(
    ("libcuda", "version", "met"),
    [
        ("/usr/local/cuda/compat/libcuda.so.1", "580.65.06", False),  # a newer one is found first
        ("/usr/local/cuda/compat/libcuda.so.1", "470.1", True),
        ("/usr/local/cuda/compat/libcuda.so.1", UNKNOWN, False),
        ("/lib/libcuda.so.1", UNKNOWN, True),
        ("/lib/libcuda.so.1", "odd", True),
    ],
)
def test_the_driver_that_programs_get_counts(libcuda, version, met):
    facts = changed(static(OLD), graphics__libcuda=libcuda, graphics__libcuda_version=version)
    assert (found("driver-too-old", facts) is not None) is met


@pytest.mark.parametrize(
    ("text", "confidence", "says"),
    [
        ("The NVIDIA driver on your system is too old (found version 11040).\n", "high", "supports CUDA 11.4"),
        ("CUDA error: the provided PTX was compiled with an unsupported toolchain.\n", "high", "the kernel's PTX"),
    ],
)
def test_what_a_log_says_of_an_old_driver(text, confidence, says):
    finding = told("driver-too-old", text)
    assert finding.confidence.value == confidence
    assert says in finding.message


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, True),
        ({"system__os": "windows"}, False),
        ({"system__wsl": 2}, False),
        ({"system__container": "docker"}, False),
        ({"graphics__pci": (INTEL,)}, False),
        ({"graphics__gpus": (gpu("a card", "8.9"),)}, False),
        ({"graphics__kernel_module": "580.1"}, False),
    ],
)
def test_a_driver_that_is_missing(changes, met):
    finding = found("driver-missing", changed(without_driver(H), **changes))
    assert (finding is not None) is met
    assert not met or finding.certainty is Certainty.OBSERVED


@pytest.mark.parametrize(
    ("pci", "path", "held"),
    [
        ((INTEL, CARD), "graphics.pci.1.vendor", False),
        ((AMD_CARD, CARD), "graphics.pci.1.vendor", False),
    ],
)
def test_the_card_without_a_driver_is_named(pci, path, held):
    finding = found("driver-missing", changed(without_driver(H), graphics__pci=pci))
    assert finding.evidence[0].path == path
    assert ("nouveau uses the card" in finding.message) is held


NO_DRIVER = "RuntimeError: Found no NVIDIA driver on your system.\n"


@pytest.mark.parametrize(
    ("slug", "text", "confidence"),
    [
        ("driver-missing", NO_DRIVER, "high"),
        ("config-device-cpu", "step\n", None),
    ],
)
def test_what_a_log_says_of_a_missing_driver(slug, text, confidence):
    finding = told(slug, text)
    assert (finding and finding.confidence.value) == confidence


WSL = changed(
    without_driver(H),
    system__wsl=2,
    graphics__libcuda="/usr/lib/wsl/lib/libcuda.so.1",
    system__wsl_driver_folder=True,
    system__dxg=True,
)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"system__wsl": None}, None),
        ({"system__wsl": 1}, "This is WSL1"),
        ({"graphics__gpus": (gpu("a card", "8.9"),)}, None),
        ({"graphics__libcuda": "/lib/x86_64-linux-gnu/libcuda.so.1"}, "hides the Windows driver"),
        ({"graphics__libcuda": None}, "is not on the loader's path"),
        ({"graphics__libcuda": None, "system__dxg": False}, None),
        ({"graphics__libcuda": None, "system__wsl_driver_folder": False}, None),
        ({}, "WSL2 gives Linux no GPU: NVML Shared Library Not Found"),
        ({"graphics__nvml_error": None}, "the driver shows none"),
        ({"graphics__nvml_error": UNKNOWN}, None),
        ({"system__dxg": False}, None),
    ],
)
def test_the_driver_of_windows_inside_wsl(changes, says):
    finding = found("wsl2-driver-stub", changed(WSL, **changes))
    assert (finding is None) is (says is None)
    assert finding is None or (says in finding.message and finding.certainty is Certainty.OBSERVED)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"system__wsl": 1}, "Convert it to WSL2"),
        ({"graphics__libcuda": "/lib/libcuda.so.1"}, "Remove the Linux driver from inside WSL"),
        ({"graphics__libcuda": None}, "Put WSL's driver folder on the path"),
        ({}, "Update the driver in Windows"),
    ],
)
def test_each_fault_of_wsl_has_its_own_cure(changes, title):
    (fix,) = found("wsl2-driver-stub", changed(WSL, **changes)).fixes
    assert fix.title == title


BOX = changed(without_driver(H), system__container="docker")
FOR_A_GPU = environment(NVIDIA_VISIBLE_DEVICES="all")


@pytest.mark.parametrize(
    ("changes", "severity", "certainty"),
    [
        ({}, Severity.ERROR, Certainty.OBSERVED),
        ({"graphics__pci": (INTEL,)}, None, None),
        ({"graphics__pci": (INTEL,), "environment": FOR_A_GPU}, Severity.WARNING, Certainty.PREDICTED),
        ({"graphics__pci": UNKNOWN, "environment": FOR_A_GPU}, Severity.WARNING, Certainty.PREDICTED),
        ({"graphics__pci": (INTEL,), "environment": FOR_A_GPU, "torch__cuda": None}, None, None),
        ({"system__container": None}, None, None),
        ({"graphics__device_nodes": ("/dev/nvidia0",)}, None, None),
        ({"system__wsl": 2}, None, None),
    ],
)
def test_a_container_that_was_given_no_gpu(changes, severity, certainty):
    finding = found("container-without-gpu", changed(BOX, **changes))
    assert (finding and finding.severity, finding and finding.certainty) == (severity, certainty)
    assert finding is None or finding.confidence is (
        Confidence.HIGH if certainty is Certainty.OBSERVED else Confidence.MEDIUM
    )


HIDDEN = changed(
    H, graphics__gpus=(gpu("a card", "8.9", visible=False),), environment=environment(CUDA_VISIBLE_DEVICES="-1")
)


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, True),
        ({"graphics__gpus": ()}, False),
        ({"environment": ()}, False),
        ({"graphics__gpus": (gpu("a", "8.9", visible=False), gpu("b", "8.9"))}, False),
    ],
)
def test_a_variable_that_hides_every_gpu(changes, met):
    finding = found("config-device-cpu", changed(HIDDEN, **changes))
    assert (finding is not None) is met
    assert not met or ("hides the GPU" in finding.message and finding.certainty is Certainty.OBSERVED)


def test_two_hidden_gpus_are_counted_and_an_empty_variable_is_shown():
    two = changed(HIDDEN, graphics__gpus=HIDDEN.graphics.gpus * 2, environment=environment(CUDA_VISIBLE_DEVICES=""))
    assert "=(empty) hides 2 GPUs" in found("config-device-cpu", two).message


@pytest.mark.parametrize(
    ("changes", "certainty"),
    [
        ({}, Certainty.OBSERVED),
        ({"torch__importable": UNKNOWN}, Certainty.PREDICTED),
        ({"torch__cuda": "12.8"}, None),
        ({"torch__hip": "6.3"}, Certainty.PREDICTED),  # torch for AMD GPUs, and the GPU is of NVIDIA
        ({"torch__hip": "6.3", "torch__available": True}, None),
        ({"graphics__pci": (INTEL,), "graphics__gpus": ()}, None),
    ],
)
def test_a_torch_that_was_built_for_the_cpu(changes, certainty):
    finding = found("torch-cpu-build", changed(cpu_torch(H), **changes))
    assert (finding and finding.certainty) == certainty


def test_the_card_that_a_cpu_build_does_not_use_is_named():
    assert found("torch-cpu-build", cpu_torch(H)).evidence[1].text == "this machine has an NVIDIA GeForce RTX 4090"
    on_the_bus = changed(cpu_torch(without_driver(H)), graphics__pci=(INTEL, CARD))
    assert found("torch-cpu-build", on_the_bus).evidence[1].path == "graphics.pci.1.vendor"
    stated = changed(cpu_torch(H), graphics__stated=True)
    assert "compute capability 8.9), stated by --gpu" in found("torch-cpu-build", stated).evidence[1].text
    assert "it would not use the GPU" in found("torch-cpu-build", stated).message


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, True),
        ({"torch__hip": "6.3"}, False),
        ({"graphics__rocm": None}, False),
        ({"graphics__pci": (CARD, AMD_CARD)}, False),
        ({"graphics__gpus": (gpu("a card", "8.9"),)}, False),
        ({"graphics__amd": ()}, False),
        ({"torch__version": None}, False),
    ],
)
def test_a_torch_without_rocm_beside_an_amd_gpu(changes, met):
    amd = changed(
        without_driver(H),
        graphics__pci=(AMD_CARD,),
        graphics__amd=(AmdGpu(name=UNKNOWN, gfx="gfx942"),),
        graphics__rocm="7.1",
    )
    finding = found("rocm-specific", changed(amd, **changes))
    assert (finding is not None) is met
    assert not met or (finding.message.startswith("gfx942 and") and finding.certainty is Certainty.OBSERVED)


def test_cuda_that_does_not_start_is_cured_where_its_driver_lives():
    broken = refused(H, 999, "unknown error")
    titles = [
        find("cuda-init-error").fixes(changed(broken, **changes), Hit(message="m", evidence=()))[0].title
        for changes in ({}, {"system__container": "docker"}, {"system__wsl": 2}, {"system__os": "windows"})
    ]
    assert titles == [
        "Load nvidia-uvm again, or reboot",
        "Start the container again",
        "Load the Windows driver again",
        "Load the Windows driver again",
    ]


# -- code for the GPU


@pytest.mark.parametrize(
    ("cards", "severity"),
    [
        ((gpu("Tesla V100", "7.0"),), Severity.ERROR),
        ((gpu("Tesla V100", "7.0"), gpu("RTX 4090", "8.9")), Severity.WARNING),
        ((gpu("RTX 4090", "8.9"),), None),
        ((gpu("Tesla V100", "7.0", visible=False), gpu("RTX 4090", "8.9")), None),
    ],
)
def test_a_torch_without_code_for_a_gpu(cards, severity):
    finding = found("no-kernel-image", changed(H, graphics__gpus=cards), Goal.TRAIN)
    assert (finding and finding.severity) == severity
    assert finding is None or [e.path for e in finding.evidence] == [
        "torch.archs",
        "graphics.gpus.0.compute_capability",
    ]


def test_the_table_tells_the_code_where_torch_was_not_asked():
    facts = changed(card("Tesla V100", "7.0"), torch__archs=UNKNOWN)
    assert found("no-kernel-image", facts, Goal.TRAIN).evidence[0].path == "torch.version"
