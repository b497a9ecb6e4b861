"""What a trial will do, from facts written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from attn_doctor.exchange.traits import TRAITS, candidates, candidates_alone, compiles_model
from attn_doctor.model.facts import (
    Distribution,
    Facts,
    Fault,
    FlashAttention,
    Import,
    Packages,
    Torch,
    TorchDevice,
    Unknown,
    Yolo,
)
from attn_doctor.model.trials import TrialOptions
from attn_doctor.trials.backends import ALL
from attn_doctor.trials.plan import BadRequest, TrialPlan, check, plan
from attn_doctor.trials.shapes import shapes

CPU = Torch(version="2.9.0+cpu", cuda=None, hip=None, importable=True, available=False, mps=False, devices=())
H100 = Torch(
    version="2.9.0+cu130",
    cuda="13.0",
    hip=None,
    importable=True,
    available=True,
    mps=False,
    devices=(TorchDevice(index=0, name="NVIDIA H100", compute_capability="9.0"),),
)
MAINLINE = Yolo(version="8.4.190", kind="mainline")


def facts(torch: Torch = CPU, **others) -> Facts:
    return Facts(torch=torch, yolo=others.pop("yolo", MAINLINE), **others)


def reasons(planned: TrialPlan, dtype: str = "float32") -> dict[str, str | None]:
    return {cell.backend: cell.ruled_out for cell in planned.cells if cell.dtype == dtype}


def test_on_a_cpu_four_backends_run_in_float32_and_the_rest_says_why_not():
    planned = plan(facts(), TrialOptions())
    assert planned.device == "cpu"
    assert {cell.dtype for cell in planned.cells} == {"float32"}
    assert [cell.backend for cell in planned.cells] == [backend.name for backend in ALL]
    found = reasons(planned)
    assert [name for name, why in found.items() if why is None] == ["eager", "sdpa", "sdpa-math", "sdpa-flash"]
    assert found["sdpa-efficient"] == (
        "needs an NVIDIA or AMD GPU, and this trial runs on the CPU, and torch 2.9.0+cpu is built for the CPU alone"
    )
    assert "--backend compile" in found["compile"]


def test_a_cuda_torch_on_the_cpu_is_not_called_a_cpu_build():
    torch = Torch(version="2.9.0+cu130", cuda="13.0", hip=None, importable=True, available=False, mps=False)
    assert "built for the CPU" not in reasons(plan(facts(torch), TrialOptions()))["sdpa-cudnn"]


def test_what_is_asked_for_is_run_beside_eager():
    planned = plan(facts(), TrialOptions(backends=("compile", "sdpa-flash")))
    assert reasons(planned) == {"eager": None, "compile": None, "sdpa-flash": None}


def test_each_dtype_of_a_gpu_has_its_own_eager():
    planned = plan(facts(H100), TrialOptions())
    assert planned.device == "cuda:0"
    for dtype in ("float32", "float16", "bfloat16"):
        assert reasons(planned, dtype)["eager"] is None
    assert "only float16 and bfloat16" in reasons(planned, "float32")["sdpa-flash"]
    assert reasons(planned, "float16")["sdpa-flash"] is None
    assert reasons(planned, "float32")["sdpa-efficient"] is None
    assert planned.rounds == 30


def test_what_is_compiled_first_is_tried_by_those_who_take_the_time():
    quick = reasons(plan(facts(H100), TrialOptions()), "float16")
    assert "attn-doctor trial measures it" in quick["flex"]
    assert "--backend compile" in quick["compile"]
    longer = reasons(plan(facts(H100), TrialOptions(thorough=True)), "float16")
    assert longer["flex"] is None
    assert "--backend compile" in longer["compile"]
    asked = reasons(plan(facts(H100), TrialOptions(backends=("flex", "compile"))), "float16")
    assert asked == {"eager": None, "flex": None, "compile": None}


def test_flash_attn_that_is_not_installed_is_ruled_out():
    planned = plan(facts(H100, flash_attention=FlashAttention(version=None)), TrialOptions())
    assert reasons(planned, "float16")["flash-attn-2"] == (
        "flash-attn is not installed in the target: attn-doctor wheels names a wheel that fits"
    )


def test_flash_attn_that_does_not_import_is_ruled_out_in_its_own_words():
    fault = Fault(kind="raised", type="ImportError", message="flash_attn_2_cuda.so: undefined symbol: _ZN3c105Error")
    planned = plan(
        facts(
            H100,
            flash_attention=FlashAttention(version="2.8.3"),
            imports=(Import(module="flash_attn", ok=False, fault=fault),),
        ),
        TrialOptions(),
    )
    assert reasons(planned, "float16")["flash-attn-2"] == (
        "importing flash_attn fails: flash_attn_2_cuda.so: undefined symbol: _ZN3c105Error"
    )


def test_flash_attn_on_a_turing_gpu_is_ruled_out():
    t4 = Torch(
        version="2.9.0+cu130",
        importable=True,
        available=True,
        hip=None,
        devices=(TorchDevice(index=0, name="Tesla T4", compute_capability="7.5"),),
    )
    planned = plan(facts(t4, flash_attention=FlashAttention(version="2.8.3")), TrialOptions())
    assert "7.5" in reasons(planned, "float16")["flash-attn-2"]


def test_what_is_not_known_is_tried():
    planned = plan(Facts(torch=H100, yolo=MAINLINE), TrialOptions())
    assert reasons(planned, "float16")["flash-attn-2"] is None
    assert reasons(planned, "float16")["xformers"] is None


def test_xformers_is_looked_for_among_the_packages():
    there = Packages(distributions=(Distribution(name="xformers", version="0.0.33"),))
    assert reasons(plan(facts(H100, packages=there), TrialOptions()), "float16")["xformers"] is None
    absent = Packages(distributions=(Distribution(name="torch", version="2.9.0"),))
    assert "not installed" in reasons(plan(facts(H100, packages=absent), TrialOptions()), "float16")["xformers"]


def test_without_torch_nothing_is_run():
    assert plan(facts(Torch(version=None)), TrialOptions()).skipped == "there is no torch in the target"
    broken = Torch(version="2.9.0", importable=False, fault=Fault(kind="signal", signal="SIGSEGV"))
    assert plan(facts(broken), TrialOptions()).skipped == "importing torch fails in the target environment (SIGSEGV)"


def test_without_ultralytics_the_shapes_alone_are_tried():
    planned = plan(facts(yolo=Yolo(version=None)), TrialOptions())
    assert planned.scope == "attention"
    assert "no ultralytics" in planned.note


def test_an_ultralytics_that_nobody_looked_for_may_be_there():
    assert plan(facts(yolo=Yolo(version=Unknown("not asked"))), TrialOptions()).scope == "model"


@pytest.mark.parametrize("size", [640, 32, 1280, 96])
def test_image_sizes_that_do(size):
    check(TrialOptions(imgsz=size))


@pytest.mark.parametrize(
    ("size", "would_do"), [(641, "640 or 672"), (600, "576 or 608"), (31, "32"), (1, "32"), (0, "32"), (-5, "32")]
)
def test_image_sizes_that_do_not(size, would_do):
    with pytest.raises(BadRequest, match=f"not a multiple of 32: use {would_do}"):
        check(TrialOptions(imgsz=size))


@pytest.mark.parametrize(
    "model",
    [
        "yolo12n.yaml",
        "yolo12.yaml",
        "yolo12x.yaml",
        "yolo12s",
        "yolov12n.yaml",
        "yolo11m.yaml",
        "yolo26n.yaml",
        "yolov10b.yaml",
    ],
)
def test_models_that_are_known(model):
    check(TrialOptions(model=model))


@pytest.mark.parametrize("model", ["yolo12q.yaml", "yolo12nano", "yolov8n.yaml", "resnet50", "yolo13n.yaml", ""])
def test_models_that_are_not(model):
    with pytest.raises(BadRequest, match=r"yolo12n\.yaml"):
        check(TrialOptions(model=model))


def test_a_weights_file_that_is_not_there_is_not_downloaded():
    with pytest.raises(BadRequest, match=r"no model file yolo12n.pt, and attn-doctor downloads none"):
        check(TrialOptions(model="yolo12n.pt"))


def test_a_file_that_is_there_will_do(tmp_path):
    (tmp_path / "mine.yaml").write_text("nc: 1\n")
    check(TrialOptions(model=str(tmp_path / "mine.yaml")))
    (tmp_path / "mine.onnx").write_text("")
    with pytest.raises(BadRequest, match=r"\.yaml or \.pt"):
        check(TrialOptions(model=str(tmp_path / "mine.onnx")))


def test_other_requests_that_nobody_can_meet():
    with pytest.raises(BadRequest, match=r"no backend 'flash'.*sdpa-flash"):
        check(TrialOptions(backends=("flash",)))
    with pytest.raises(BadRequest, match="no dtype 'int8'"):
        check(TrialOptions(dtypes=("int8",)))
    with pytest.raises(BadRequest, match="batch 0 is too small"):
        check(TrialOptions(batch=0))
    with pytest.raises(BadRequest, match=r"no device 'gpu'"):
        check(TrialOptions(device="gpu"))


def test_devices_that_the_target_does_not_have():
    with pytest.raises(BadRequest, match=r"sees no CUDA device.*--device cpu"):
        plan(facts(), TrialOptions(device="cuda:0"))
    with pytest.raises(BadRequest, match=r"no device cuda:3: the target's torch sees cuda:0"):
        plan(facts(H100), TrialOptions(device="cuda:3"))
    with pytest.raises(BadRequest, match="no Apple GPU"):
        plan(facts(), TrialOptions(device="mps"))


def test_devices_that_it_has():
    assert plan(facts(H100), TrialOptions(device="cuda")).device == "cuda:0"
    assert plan(facts(H100), TrialOptions(device="cpu")).device == "cpu"
    assert (
        plan(facts(Torch(version="2.9.0", importable=True, available=False, mps=True)), TrialOptions()).device == "mps"
    )


def test_the_shapes_of_yolo12n_at_640():
    assert shapes("yolo12n.yaml", 640) == [(4, 2, 400, 32)] * 4 + [(1, 4, 400, 32)] * 4
    assert shapes("yolo12s.yaml", 1280)[0] == (4, 4, 1600, 32)
    assert shapes("somebody/else.pt", 640) == shapes("yolo12n.yaml", 640)


def test_the_method_names_every_backend_and_how_it_is_asked_for():
    """Return the table of docs/method.md, row by row."""
    text = (Path(__file__).parent.parent / "docs" / "method.md").read_text("utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert list(rows) == [backend.name for backend in ALL]
    for backend in ALL:
        last = backend.select.removesuffix(")").rpartition(".")[2].rpartition("(")[2]
        assert last in rows[backend.name]


def test_every_backend_has_its_traits_and_a_kernel_where_one_is_exchanged():
    pytest.importorskip("torch")
    from attn_doctor.exchange import kernels

    assert [backend.name for backend in ALL] == list(TRAITS)
    assert set(kernels.NAMES) == {b.name for b in ALL if b.exchanged} | {"eager"}
    assert all((b.family == "package") == (b.package is not None) for b in ALL)
    assert candidates("cuda") == ["sdpa-flash", "sdpa-cudnn", "sdpa-efficient", "flash-attn-3", "flash-attn-2"]
    assert (candidates("cpu"), candidates("mps"), candidates("xpu")) == (["sdpa-flash"], ["sdpa"], [])
    assert candidates_alone() == ["sdpa-flash", "sdpa", "sdpa-math"]
    assert [name for name in TRAITS if compiles_model(name)] == ["compile"]
