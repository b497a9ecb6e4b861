"""Which changes a machine can have, and the answer that is made of them: lines, and words."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from attn_doctor.model.facts import Cpu, Facts, System
from attn_doctor.model.trials import Gain, Interval
from attn_doctor.prescription.changes.table import ARGUMENTS, CHANGES, PREDICTING, TRAINING, VARIABLES
from attn_doctor.report.blocks import Command, Cure, Notes, Table, Verdict
from attn_doctor.report.tuning_outline import tuning_outline
from attn_doctor.trials.process import COMMON
from attn_doctor.trials.tuning.advice import Tuning, line, prescription
from attn_doctor.trials.tuning.bench import SCRIPTS, TUNING
from attn_doctor.trials.tuning.fitting import allocators, fitting
from attn_doctor.trials.tuning.rows import Checked, NotTried, Pass, Row, RuntimeRow, Step
from attn_doctor.trials.tuning.runtimes import absent_rows, exported_name, installed

ABOUT = {"threads": 1, "cores": [[0], [1]], "nodes": [[0, 1]], "compiler": True}


def machine(**cpu) -> Facts:
    cpu = {"amx": False, "bf16": False, **cpu}
    return Facts(system=System(os="linux", glibc="2.36"), cpu=Cpu(**cpu))


def fits(facts: Facts, about=ABOUT, *, what=TRAINING, device="cpu", attention="sdpa-flash", level="rounding", **more):
    found = fitting(facts, about, what=what, device=device, attention=attention, level=level, **more)
    return found.values, {n.change: n.why for n in found.not_tried}


def test_on_a_cpu():
    values, missing = fits(machine(amx=True))
    assert values == {
        "attention": "sdpa-flash",
        "threads": 2,
        "bf16": True,
        "channels-last": True,
        "heap": True,
        "huge-pages": True,
    }
    assert missing["pinning"] == "there is one memory node, and no core is shared by two hardware threads"
    assert missing["compile"] == "it takes minutes before it helps: --try compile measures it"
    assert missing["tcmalloc"] == "it is not installed"
    assert "half" not in missing  # nothing to train with


def test_what_a_processor_cannot_do_is_named():
    values, missing = fits(machine(), {**ABOUT, "threads": 2}, attention="eager")
    assert set(values) == {"channels-last", "heap", "huge-pages"}
    assert missing["bf16"].startswith("the processor has neither AMX nor AVX512-BF16")
    assert missing["threads"] == "ultralytics uses 2 threads, and 2 physical cores are available"
    assert missing["attention"] == "no other backend is right and faster here"


def test_two_hardware_threads_a_core_and_two_memory_nodes():
    groups = [[n, n + 4] for n in range(4)]
    values, _ = fits(machine(), {**ABOUT, "cores": groups, "nodes": [[0, 1, 4, 5], [2, 3, 6, 7]]})
    assert values["pinning"] in ([0, 1], [2, 3])
    assert values["threads"] == 4
    values, _ = fits(machine(), {**ABOUT, "cores": groups, "nodes": [list(range(8))]})
    assert values["pinning"] == [0, 1, 2, 3]


def test_a_gpu_has_changes_of_its_own_and_none_of_the_processor():
    values, missing = fits(machine(amx=True), device="cuda:0")
    assert set(values) == {"attention", "bf16", "channels-last", "tf32", "cudnn-benchmark", "nondeterministic"}
    assert missing["heap"] == "it helps only on a CPU, and the model runs on cuda:0"
    assert "half" in fits(machine(), device="cuda:0", what=PREDICTING)[0]


def test_with_no_change_of_numbers_allowed_only_the_same_arithmetic_is_combined():
    values, missing = fits(machine(), level="same")
    assert {CHANGES[name].numbers for name in values} == {"same"}
    assert "--allow rounding" in missing["channels-last"]


def test_allocators_are_found_where_systems_and_environments_have_them(tmp_path):
    assert allocators(str(tmp_path), None) == {}
    place = tmp_path / "usr/lib/x86_64-linux-gnu"
    place.mkdir(parents=True)
    (place / "libtcmalloc_minimal.so.4").touch()
    (tmp_path / "env/lib").mkdir(parents=True)
    (tmp_path / "env/lib/libjemalloc.so.2").touch()
    found = allocators(str(tmp_path), str(tmp_path / "env"))
    assert found == {
        "tcmalloc": str(place / "libtcmalloc_minimal.so.4"),
        "jemalloc": str(tmp_path / "env/lib/libjemalloc.so.2"),
    }
    assert fits(machine(), libraries=found)[0]["jemalloc"] == found["jemalloc"]


def test_the_table_is_whole():
    for name, change in CHANGES.items():
        assert (name in ARGUMENTS) == (change.how == "argument")
        assert name not in VARIABLES or change.how == "environment"
        assert change.words[0].islower() or change.words.startswith(("PyTorch", "cuDNN", "float32"))


def row(*changes: str, ms: float, ratio: float | None = None, applied: bool = False, verdict="faster") -> Row:
    took = Interval(median=ms, low=ms, high=ms, n=9)
    gain = Gain(ratio=ratio, low=ratio, high=ratio, n=9, p=0.004, verdict=verdict) if ratio else None
    return Row(changes=changes, ms=took, gain=gain, applied=applied, checked=Checked(output_error=1e-6))


VALUES = {"attention": "sdpa-flash", "threads": 2, "heap": True, "bf16": True}
TRAIN = Pass(
    what=TRAINING,
    model="yolo12n.yaml",
    device="cpu",
    imgsz=640,
    batch=2,
    values=VALUES,
    rows=(
        row(ms=900),
        row("attention", "threads", "heap", ms=450, ratio=2.0, applied=True),
        row("attention", "threads", "bf16", "heap", ms=300, ratio=3.0),
    ),
    steps=(Step(change="threads", on=("attention",), ratio=1.6, n=3, taken=True),),
    not_tried=(NotTried(change="jemalloc", why="it is not installed"),),
)
PREDICT = Pass(
    what=PREDICTING,
    model="yolo12n.pt",
    device="cpu",
    imgsz=640,
    batch=1,
    values=VALUES,
    rows=(row(ms=110, applied=True), row("attention", ms=108, ratio=1.01, verdict="no difference")),
)


def test_the_lines_to_copy():
    assert (
        line(TRAIN)
        == "attn-doctor run --prescribed -- yolo train model=yolo12n.yaml imgsz=640 device=cpu data=YOUR.yaml".split()
    )
    assert line(TRAIN, file="p.json")[:4] == ["attn-doctor", "run", "--prescription", "p.json"]
    # As shipped, nothing is in front.
    assert line(PREDICT) == "yolo predict model=yolo12n.pt imgsz=640 device=cpu source=YOUR.jpg".split()


def test_an_argument_of_ultralytics_is_part_of_the_line():
    rows = (row("nondeterministic", ms=1, ratio=1.2, applied=True),)
    gpu = Pass(
        what=TRAINING, model="m.pt", device="cuda:1", imgsz=640, batch=2, values={"nondeterministic": True}, rows=rows
    )
    assert line(gpu) == "yolo train model=m.pt imgsz=640 device=1 deterministic=False data=YOUR.yaml".split()


def test_the_prescription_says_for_what_it_is():
    made = prescription(
        Tuning(training=TRAIN, predicting=PREDICT, about={"torch": "2.8.0", "structure": "ab"}),
        "2026-01-01T00:00:00+00:00",
    )
    assert made["training"] == {"attention": "sdpa-flash", "threads": 2, "heap": True}
    assert made["predicting"] == {}
    assert (made["torch"], made["model"]) == ("2.8.0", {"name": "yolo12n.yaml", "structure": "ab"})


def test_the_outline_says_what_to_do_and_what_was_left_out():
    took = Interval(median=50, low=49, high=51, n=9)
    gain = Gain(ratio=2.2, low=2.1, high=2.3, n=9, p=0.004, verdict="faster")
    runtimes = (
        RuntimeRow(name="torch as shipped", ms=took),
        RuntimeRow(name="ONNX Runtime", format="onnx", ms=took, gain=gain, export_seconds=9.0, advised=True),
        RuntimeRow(name="OpenVINO", format="openvino", missing=("openvino",)),
    )
    blocks = tuning_outline(Tuning(training=TRAIN, predicting=PREDICT, runtimes=runtimes), None, machine(), None)
    verdicts = [b.text for b in blocks if isinstance(b, Verdict)]
    assert verdicts == [
        "Train with attention sdpa-flash, threads 2, heap: 2.00 times as fast as shipped.",
        "Predict as shipped: no combination that was tried is faster beyond doubt.",
        "Predict with ONNX Runtime, if an exported file will do: 2.20 times as fast as torch as shipped.",
    ]
    lines = [c.line for b in blocks if isinstance(b, Cure) for c in b.commands if isinstance(c, Command)]
    assert lines[0].startswith("attn-doctor run --prescribed -- yolo train")
    assert lines[2:4] == [
        "yolo export model=yolo12n.pt format=onnx imgsz=640 device=cpu",
        "yolo predict model=yolo12n.onnx imgsz=640 source=YOUR.jpg",
    ]
    assert "install openvino" in lines[4]
    notes = [item for b in blocks if isinstance(b, Notes) for item in b.items]
    assert any("3.00 times as fast" in n and "(not proven over a training): --allow precision" in n for n in notes)
    assert any("`--without heap` switches it off" in n for n in notes)
    assert "an exported file stays under the licence of the model that it was made from" in notes
    assert len([b for b in blocks if isinstance(b, Table)]) == 3


def test_fewer_bits_in_training_are_not_called_proven():
    rows = (row("bf16", ms=1, ratio=2.0, applied=True),)
    found = Pass(what=TRAINING, model="m.pt", device="cpu", imgsz=640, batch=2, values={"bf16": True}, rows=rows)
    notes = [
        i
        for b in tuning_outline(Tuning(training=found), None, machine(), None)
        if isinstance(b, Notes)
        for i in b.items
    ]
    assert any("bfloat16 autocast requires CUDA" in n for n in notes)
    assert any(n.startswith("bf16: not proven over a training") for n in notes)


@pytest.mark.parametrize(
    ("modules", "there", "absent"),
    [
        ((), False, ["onnx", "openvino"]),
        (("onnx", "onnxruntime"), True, ["openvino"]),
        (("onnxruntime",), False, ["onnx", "openvino"]),
    ],
)
def test_runtimes_that_are_not_installed_are_rows_too(modules, there, absent):
    assert installed("cpu", modules) is there
    assert [r.format for r in absent_rows("cpu", modules)] == absent


def test_where_ultralytics_puts_an_export():
    assert exported_name("a/best.pt", "openvino") == "a/best_openvino_model"


def test_the_programs_of_the_bench_share_a_namespace_and_hide_no_function_of_each_other():
    root = Path(__file__).parent.parent / "attn_doctor"
    seen: dict[str, str] = {}
    for file in dict.fromkeys((COMMON[0], *SCRIPTS, TUNING)):
        for node in ast.parse((root / file).read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                assert node.name not in seen, f"{node.name} is in {seen[node.name]} and in {file}"
                seen[node.name] = file
