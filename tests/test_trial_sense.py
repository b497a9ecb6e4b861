"""Whether a trial makes sense after what was found: for many errors, and for errors that look like them and stop nothing."""

from __future__ import annotations

import msgspec
import pytest
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed

from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.trial_sense import senseless
from attn_doctor.model.facts import Fault, Import, ModelFile
from attn_doctor.model.findings import Diagnosis, Goal
from attn_doctor.model.machine import implied_goal
from attn_doctor.model.trials import TrialOptions

AUTO = TrialOptions()


def imports(**broken: Fault):
    """The machine's imports, those named here with a fault."""
    whole = [i for i in RTX_4090.imports if i.module not in broken]
    return (*whole, *(Import(module=name, ok=False, fault=fault) for name, fault in broken.items()))


RAISED = Fault(kind="raised", type="ModuleNotFoundError", message="No module named 'ultralytics.utils'")
NO_GPU = {"torch__available": False, "torch__cuda_error": "no driver", "torch__devices": ()}


def judged(facts, options=AUTO, goal=Goal.TRAIN):
    return senseless(facts, diagnose(facts, goal), options)


def test_a_healthy_machine_is_tried():
    assert judged(RTX_4090) is None


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        (RAISED, "ModuleNotFoundError"),
        (Fault(kind="signal", signal="SIGSEGV"), "SIGSEGV"),
        (Fault(kind="timeout", seconds=120.0), "timeout"),
        (Fault(kind="exited", exit_code=3), "exited"),
        (Fault(kind="raised", type="RuntimeError", message="operator torchvision::nms does not exist"), "RuntimeError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_ultralytics_that_does_not_import(fault, how):
    facts = changed(RTX_4090, imports=imports(ultralytics=fault))
    assert judged(facts) == f"importing ultralytics fails in the target environment ({how})"


def test_other_modules_that_do_not_import_stop_nothing():
    for module in ("torchvision", "cv2", "flash_attn", "requirements", "xformers"):
        assert judged(changed(RTX_4090, imports=imports(**{module: RAISED}))) is None, module


def test_an_ultralytics_that_is_not_installed_leaves_the_attention_alone_to_try():
    assert judged(changed(RTX_4090, yolo__version=None, imports=imports(ultralytics=RAISED))) is None


def test_an_ultralytics_without_yolo12():
    facts = changed(RTX_4090, yolo__version="8.3.50", yolo__attention=None)
    assert judged(facts) == "ultralytics 8.3.50 has no YOLO12 model"
    assert judged(facts, TrialOptions(model="yolo11n.yaml")) is None
    assert judged(facts, TrialOptions(model="my/yolo12s.yaml")) == "ultralytics 8.3.50 has no YOLO12 model"


@pytest.mark.parametrize(
    ("fields", "slug"),
    [
        ({**NO_GPU, "torch__cuda": None, "torch__version": "2.8.0+cpu"}, "torch-cpu-build"),
        (
            {
                **NO_GPU,
                "torch__cuda_error": "The NVIDIA driver on your system is too old (found version 11000).",
                "graphics__driver": "450.80.02",
                "graphics__driver_cuda": "11.0",
            },
            "driver-too-old",
        ),
    ],
)
def test_a_gpu_that_torch_cannot_use(fields, slug):
    facts = changed(RTX_4090, **fields)
    why = judged(facts)
    assert why is not None
    assert why.startswith(slug)
    assert "--device cpu tries the backends on the CPU" in why
    assert judged(facts, TrialOptions(device="cpu")) is None
    assert judged(facts, TrialOptions(device="mps")) is None


def test_a_gpu_that_torch_was_seen_to_use_is_tried_whatever_a_table_says():
    """A driver that a table calls too old, with a torch that works on the GPU: what was seen counts."""
    facts = changed(RTX_4090, graphics__driver="450.80.02", graphics__driver_cuda="11.0")
    assert judged(facts) is None


def test_a_machine_without_a_gpu_is_tried_on_its_processor():
    facts = changed(RTX_4090, graphics__gpus=(), graphics__pci=(), graphics__driver=None, torch__cuda=None, **NO_GPU)
    assert judged(facts) is None


def test_weights_that_do_not_fit():
    asked = ModelFile(path="best.pt", asked=True, layout="qk+v", classes=("ultralytics.nn.modules.block.AAttn",))
    facts = changed(RTX_4090, models=(asked,), yolo__layout="qkv")
    found = diagnose(facts, Goal.TRAIN)
    assert [f.slug for f in found.findings if f.severity.value == "error"] == ["yolo12-weights-of-the-other-code"]
    options = TrialOptions(model="best.pt")
    assert (
        senseless(facts, found, options)
        == "yolo12-weights-of-the-other-code: best.pt does not run with this ultralytics"
    )
    # The same file, lying in the folder and not asked for.
    stray = changed(facts, models=(msgspec.structs.replace(asked, asked=False),))
    assert judged(stray) is None


def test_an_error_that_only_a_log_shows_stops_nothing():
    from attn_doctor.examination.inputs import as_log

    log = as_log("ImportError: /v/lib/libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent\n", "yesterday.log")
    found = diagnose(RTX_4090, Goal.TRAIN, logs=(log,))
    assert [f.slug for f in found.findings if f.severity.value == "error"] == ["mkl-does-not-fit"]
    assert senseless(RTX_4090, found, AUTO) is None


@pytest.mark.parametrize("goal", list(Goal))
def test_a_broken_toolkit_or_flash_attn_stops_no_trial(goal):
    for fields in (
        {"toolchain__cuda_home": "/gone", "toolchain__cuda_home_by": "CUDA_HOME", "toolchain__toolkits": ()},
        {"imports": imports(flash_attn=Fault(kind="raised", type="ImportError", message="undefined symbol: _ZN3c10"))},
        {"torch__numpy_bridge": False},
    ):
        assert judged(changed(RTX_4090, **fields), goal=goal) is None, fields


def test_no_finding_at_all():
    assert senseless(RTX_4090, Diagnosis(), AUTO) is None


# Machines that are recorded or simulated, with the reason against a trial; None: it may show something.
OF_MACHINES = {
    "a100-mig-without-instance": "mig: ",
    "h100-sxm-fabric-manager-down": "cuda-fabric-manager-802: ",
    "jetson-orin-cpu-torch": "torch-cpu-build: ",
    "rtx-4080-driver-library-mismatch": "driver-library-mismatch: ",
    "windows-11-conda-two-openmp": "importing ultralytics fails ",
    "docker-runtime-image-libgl": None,
    "laptop-without-matplotlib-and-a-queue-py": None,
    "rtx-3090-torch-upgraded": None,
    "rtx-5090-torch-2.5": None,  # a table says that no kernel fits: the trial shows whether this is so
    "server-without-gpu": None,
}


@pytest.mark.parametrize("name", OF_MACHINES)
def test_whole_machines(name):
    facts = read(next(folder for folder in MACHINES if folder.name == name))[0]
    why, expected = judged(facts, goal=implied_goal(facts)[0]), OF_MACHINES[name]
    assert (why is None) == (expected is None), why
    assert expected is None or why.startswith(expected)
