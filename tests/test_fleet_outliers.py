"""The comparison of a fleet: who is named first, by which fact, and what is only said to be undecided."""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec
import pytest
from planted_fleets import A100, H100, ILLS, RULES, facts, healthy, noisy, old_driver, report
from whole_machines import changed, packages, without_driver

from attn_doctor.fleet.compare import Compared, compare
from attn_doctor.model.facts import Facts, GpuClocks, Shadow
from attn_doctor.model.findings import Goal
from attn_doctor.model.fleet import Fleet, Node, NodeAnswer, Row
from attn_doctor.model.report import Tool, encode
from attn_doctor.report.blocks import Verdict
from attn_doctor.report.fleet_outline import outline


def answer(name: str, given: Facts, labels: dict[str, str] | None = None, **changes: object) -> NodeAnswer:
    return NodeAnswer(
        node=Node(name=name, labels=labels or {}), end="answered", report=encode(report(given, **changes))
    )


def compared(fleet: dict[str, Facts], **changes: object) -> Fleet:
    return compare(answer(name, given, **changes) for name, given in fleet.items()).fleet


def first(fleet: Fleet) -> Row:
    return fleet.rows[0]


# The fact that explains each illness, its value on the ill node and on the others; the finding that says so.
EXPLAINED = {
    "old driver": ("graphics.driver", "470.57.02", "580.95.05", "driver-too-old"),
    "other torch": ("torch.cuda", "none", "13.2", "torch-cpu-build"),
    "missing GPU": ("graphics.gpus", "7 of them", "8 of them", "gpu-count-differs"),
    "LD_LIBRARY_PATH": ("environment.LD_LIBRARY_PATH", "/opt/cudnn-8/lib", None, "ld-library-path-shadowing"),
    "other CUDA_HOME": ("toolchain.cuda_home", "/usr/local/cuda-99", "none", "cuda-home-malformed"),
    "hung import": ("torch.importable", "no", "yes", "import-hang"),
}


@pytest.mark.parametrize("nodes", [3, 8, 60])
@pytest.mark.parametrize("ill", ILLS)
def test_the_ill_node_is_named_first_with_the_fact_that_explains_it(ill, nodes):
    fleet = healthy(nodes)
    fleet["gpu-02"] = ILLS[ill](fleet["gpu-02"])
    found = compared(fleet)
    row = first(found)
    path, here, usual, slug = EXPLAINED[ill]
    assert row.nodes == ("gpu-02",)
    assert row.causes[0].slug == slug
    assert (row.outliers[0].path, row.outliers[0].here, row.outliers[0].usual) == (path, here, usual)
    assert (row.outliers[0].of_most, row.outliers[0].weight, slug in row.outliers[0].behind) == (
        nodes - 1,
        "explains",
        True,
    )
    assert [(r.standing, len(r.nodes)) for r in found.rows[1:]] == [("healthy", nodes - 1)]
    # A folder that is no toolkit stops no training; all else does.
    assert row.standing == ("differs" if ill == "other CUDA_HOME" else "sick")
    assert found.exit_code == (0 if ill == "other CUDA_HOME" else 1)


def test_a_folder_that_is_no_toolkit_is_an_error_where_flash_attn_is_wanted():
    fleet = healthy(5)
    fleet["gpu-04"] = ILLS["other CUDA_HOME"](fleet["gpu-04"])
    found = compared(fleet, goal=Goal.FLASH_ATTN)
    assert first(found).nodes == ("gpu-04",)
    assert first(found).causes[0].slug == "cuda-home-malformed"
    assert first(found).standing == "sick"


def test_six_ill_nodes_of_sixty_are_the_first_six():
    fleet = healthy(60)
    ill = {f"gpu-{10 * i:02d}": make for i, make in enumerate(ILLS.values(), 1)}
    for name, make in ill.items():
        fleet[name] = make(fleet[name])
    found = compared(fleet)
    assert {name for row in found.rows[:6] for name in row.nodes} == set(ill)
    assert found.rows[6].standing == "healthy"
    assert len(found.rows[6].nodes) == 54


def test_noise_alone_makes_no_outlier():
    found = compared(healthy(20))
    assert [(row.standing, len(row.nodes), row.outliers) for row in found.rows] == [("healthy", 20, ())]
    assert found.undecided == ()
    assert found.exit_code == 0


def clocked(given: Facts, watts: float = 700.0, application: int = 1980, now: int = 345) -> Facts:
    """Facts whose GPUs have these clocks and power limit."""
    gpus = given.graphics.gpus
    assert isinstance(gpus, tuple)
    told = GpuClocks(sm_megahertz=now, sm_megahertz_most=1980, application_megahertz=application, lowered_by=("idle",))
    return changed(
        given,
        graphics__gpus=tuple(msgspec.structs.replace(gpu, power_limit_watts=watts, clocks=told) for gpu in gpus),
    )


def test_clocks_of_a_moment_are_noise_and_those_that_somebody_set_are_not():
    fleet = {name: clocked(given, now=345 + 15 * place) for place, (name, given) in enumerate(healthy(4).items())}
    assert [(row.standing, len(row.nodes)) for row in compared(fleet).rows] == [("healthy", 4)]
    fleet["gpu-02"] = clocked(fleet["gpu-02"], watts=500.0, application=1410)
    row = first(compared(fleet))
    assert (row.nodes, row.standing) == (("gpu-02",), "differs")
    assert {(o.path.rpartition(".")[2], o.here, o.usual) for o in row.outliers} == {
        ("power_limit_watts", "500.0", "700.0"),
        ("application_megahertz", "1410", "1980"),
    }
    text = " ".join(str(outline(compared(fleet), lambda *_: "")).split())
    assert "gpus.0 to 7.power_limit_watts" in text
    assert "gpus.3.power_limit_watts" not in text


def test_a_report_of_an_older_version_that_has_no_clocks_is_no_outlier():
    fleet = {name: clocked(given) for name, given in healthy(4).items()}
    fleet["gpu-02"] = healthy(4)["gpu-02"]
    answers = [answer(name, given) for name, given in fleet.items()]
    old = json.loads(answers[1].report or b"")
    for gpu in old["facts"]["graphics"]["gpus"]:
        del gpu["clocks"], gpu["power_limit_watts"], gpu["power_limit_watts_default"]
    answers[1] = msgspec.structs.replace(answers[1], report=json.dumps(old).encode())
    assert [(row.standing, len(row.nodes)) for row in compare(answers).fleet.rows] == [("healthy", 4)]


def test_facts_that_explain_come_before_facts_beside_them_and_these_before_the_rest():
    fleet = healthy(9)
    other = changed(old_driver(fleet["gpu-05"]), system__kernel="5.4.0", graphics__fabric_manager="inactive")
    fleet["gpu-05"] = other
    weights = [o.weight for o in first(compared(fleet)).outliers]
    assert weights == sorted(weights, key=("explains", "beside", "other").index)
    by_path = {o.path: o.weight for o in first(compared(fleet)).outliers}
    assert by_path["graphics.driver"] == "explains"
    assert by_path["graphics.fabric_manager"] == "beside"
    assert by_path["system.kernel"] == "other"


def test_two_halves_are_undecided_and_nobody_is_an_outlier():
    fleet = healthy(6)
    for name in ("gpu-04", "gpu-05", "gpu-06"):
        fleet[name] = changed(fleet[name], graphics__driver="570.1")
    found = compared(fleet)
    (undecided,) = found.undecided
    assert undecided.path == "graphics.driver"
    assert dict(undecided.values) == {
        "580.95.05": ("gpu-01", "gpu-02", "gpu-03"),
        "570.1": ("gpu-04", "gpu-05", "gpu-06"),
    }
    assert {row.standing for row in found.rows} == {"healthy"}


def test_an_undecided_fact_that_a_finding_is_about_stands_beside_the_node():
    fleet = healthy(4)
    for name in ("gpu-03", "gpu-04"):
        fleet[name] = old_driver(fleet[name])
    found = compared(fleet)
    assert first(found).nodes == ("gpu-03", "gpu-04")
    driver = next(o for o in first(found).outliers if o.path == "graphics.driver")
    assert (driver.here, driver.usual, driver.of_most) == ("470.57.02", None, 0)
    assert any(one.path == "graphics.driver" and one.different == 2 for one in found.undecided)


def test_every_node_is_different():
    fleet = {name: changed(given, system__kernel=f"6.1.{i}") for i, (name, given) in enumerate(healthy(7).items())}
    found = compared(fleet)
    (undecided,) = found.undecided
    assert (undecided.path, undecided.different) == ("system.kernel", 7)
    assert [row.standing for row in found.rows] == ["healthy"]


def test_an_illness_of_most_nodes_stands_behind_that_of_few():
    fleet = {name: old_driver(given) for name, given in healthy(10).items()}
    fleet["gpu-06"] = ILLS["LD_LIBRARY_PATH"](fleet["gpu-06"])
    found = compared(fleet)
    assert first(found).nodes == ("gpu-06",)
    assert first(found).causes[0].usual is False
    assert found.rows[1].causes[0].usual is True
    assert len(found.rows[1].nodes) == 9


def test_two_kinds_do_not_make_each_other_outliers():
    fleet = {**healthy(12), **healthy(4, "h100-", H100)}
    fleet["h100-03"] = changed(fleet["h100-03"], graphics__driver="570.1")
    found = compared(fleet)
    assert [(kind.name, kind.nodes) for kind in found.kinds] == [(A100[0], 12), (H100[0], 4)]
    assert first(found).nodes == ("h100-03",)
    assert [(o.path, o.usual, o.of_most) for o in first(found).outliers] == [("graphics.driver", "580.95.05", 3)]
    assert [row.standing for row in found.rows[1:]] == ["healthy", "healthy"]


def test_a_node_of_a_kind_alone_is_compared_with_the_nearest_kind():
    fleet = {**healthy(6), **healthy(1, "odd-", H100)}
    found = compared(fleet)
    assert [kind.name for kind in found.kinds] == [A100[0]]
    assert first(found).nodes == ("odd-01",)
    assert any(o.path == "graphics.gpus.0.name" and o.here == H100[0] for o in first(found).outliers)


def test_a_node_that_lost_its_gpus_is_compared_with_its_partition():
    fleet = {**healthy(6, "a-"), **healthy(6, "h-", H100)}
    fleet["h-02"] = without_driver(fleet["h-02"])
    found = compare(
        answer(name, given, {"partition": "hopper" if name.startswith("h") else "ampere"})
        for name, given in fleet.items()
    ).fleet
    assert first(found).nodes == ("h-02",)
    assert first(found).kind_name == H100[0]
    assert {kind.nodes for kind in found.kinds} == {6}


def test_one_gpu_model_in_two_partitions_is_two_kinds():
    fleet = {**healthy(4, "old-"), **healthy(6, "new-")}
    for name in ("old-01", "old-02", "old-03", "old-04"):
        fleet[name] = changed(fleet[name], graphics__driver="570.1")
    found = compare(answer(n, g, {"partition": n[:3]}) for n, g in fleet.items()).fleet
    assert [kind.name for kind in found.kinds] == [f"{A100[0]}, partition new", f"{A100[0]}, partition old"]
    assert {row.standing for row in found.rows} == {"healthy"}


def test_one_node_is_compared_with_nothing():
    found = compared({"alone": old_driver(facts())})
    assert [kind.compared for kind in found.kinds] == [False]
    assert (first(found).standing, first(found).outliers, found.exit_code) == ("sick", (), 1)


def test_no_node():
    found = compare(())
    assert (found.fleet.nodes, found.fleet.rows, found.fleet.exit_code) == (0, (), 3)


def test_nodes_that_gave_no_report_are_rows():
    ends = [
        NodeAnswer(node=Node(name="a"), end="died", said="killed by signal 9"),
        NodeAnswer(node=Node(name="b"), end="silent", said="nothing came within 300 s"),
        NodeAnswer(node=Node(name="c"), end="refused", said="drained"),
        NodeAnswer(node=Node(name="d"), end="answered", report=b"{}"),
        NodeAnswer(node=Node(name="e"), end="answered", report=None),
    ]
    found = compare([*ends, *(answer(n, g) for n, g in healthy(3).items())]).fleet
    said = {row.nodes[0]: (row.standing, row.said) for row in found.rows[:5]}
    assert said["a"] == ("died", "killed by signal 9")
    assert said["c"] == ("refused", "drained")
    assert said["d"][0] == "unreadable"
    assert said["e"] == ("silent", "it gave no report")
    assert (found.nodes, found.answered, found.healthy, found.exit_code) == (8, 3, 3, 1)
    assert compare(ends).fleet.exit_code == 3


@pytest.mark.parametrize(("least", "code"), [("error", 0), ("warning", 1), ("never", 0)])
def test_a_warning_counts_if_it_is_asked_for(least, code):
    fleet = healthy(4)
    ill = report(fleet["gpu-01"])
    assert not ill.findings or all(f.severity.value == "info" for f in ill.findings)
    driver = report(old_driver(facts())).findings[0]
    warned = msgspec.structs.replace(driver, severity=type(driver.severity)("warning"))
    answers = [answer(n, g) for n, g in fleet.items()]
    answers[0] = NodeAnswer(
        node=Node(name="gpu-01"),
        end="answered",
        report=encode(msgspec.structs.replace(ill, findings=(warned,), outcome="unknown")),
    )
    found = compare(answers, least).fleet
    assert first(found).nodes == ("gpu-01",)
    assert first(found).standing == "warned"
    assert found.exit_code == code


def test_one_cure_for_all_the_nodes_that_need_it():
    fleet = healthy(10)
    for name in ("gpu-02", "gpu-04", "gpu-05"):
        fleet[name] = old_driver(fleet[name])
    fleet["gpu-07"] = ILLS["LD_LIBRARY_PATH"](fleet["gpu-07"])
    cures = {cured.slug: cured.nodes for cured in compared(fleet).cures}
    assert cures == {"driver-too-old": ("gpu-02", "gpu-04", "gpu-05"), "ld-library-path-shadowing": ("gpu-07",)}


def test_two_nodes_with_one_name_are_two_nodes():
    given = facts()
    found = compare(
        [answer("gpu-1", noisy(given, 1)), answer("gpu-1", old_driver(given)), answer("gpu-2", given)]
    ).fleet
    assert first(found).nodes == ("gpu-1 (2)",)
    assert found.nodes == 3
    assert "same name (gpu-1)" in found.notes[0]


def test_a_missing_package_is_one_fact():
    fleet = healthy(5)
    fleet["gpu-03"] = changed(
        fleet["gpu-03"], packages__distributions=packages(torch="2.15.0", torchvision="0.29.2", ultralytics="8.4.190")
    )
    paths = [(o.path, o.here, o.usual) for row in compared(fleet).rows for o in row.outliers]
    assert paths == [("packages.distributions.numpy", None, "2.4.6")]


def test_an_item_of_a_list_that_is_empty_on_the_others_is_one_fact():
    fleet = healthy(5)
    shadow = Shadow(folder="/opt/cudnn-8/lib", libraries=("libcudnn.so.8",))
    fleet = {name: changed(given, toolchain__library_path=()) for name, given in fleet.items()}
    fleet["gpu-03"] = changed(fleet["gpu-03"], toolchain__library_path=(shadow,))
    paths = [(o.path, o.here, o.usual) for row in compared(fleet).rows for o in row.outliers]
    assert paths == [("toolchain.library_path./opt/cudnn-8/lib", "there", None)]


def test_only_reports_of_other_rules_are_judged_again_and_equal_facts_once(monkeypatch):
    from attn_doctor.judging import diagnose as rules

    calls = []
    real = rules.diagnose
    monkeypatch.setattr(rules, "diagnose", lambda *a, **k: calls.append(a) or real(*a, **k))
    old = Tool(version=RULES.version, knowledge_date="2020-01-01")
    fleet = healthy(8)
    fleet["gpu-03"] = old_driver(fleet["gpu-03"])
    answers = []
    for name, given in fleet.items():
        tool = RULES if name == "gpu-01" else old
        # The old rules found nothing, and called the node well.
        answers.append(answer(name, given, tool=tool, findings=(), outcome="healthy"))
    calls.clear()
    found = compare(answers).fleet
    assert len(calls) == 2  # the healthy nodes once, and the ill one
    assert first(found).nodes == ("gpu-03",)
    assert first(found).causes[0].slug == "driver-too-old"
    assert "7 reports are of attn-doctor" in found.notes[0]


def test_names_of_an_order_and_answers_in_any_order_give_the_same():
    fleet = healthy(6)
    fleet["gpu-05"] = old_driver(fleet["gpu-05"])
    forward = [answer(name, given) for name, given in fleet.items()]

    def told(answers: Iterable[NodeAnswer]) -> list[tuple[object, ...]]:
        made: Compared = compare(answers)
        return [(row.nodes, row.standing, {(o.path, o.here, o.usual) for o in row.outliers}) for row in made.fleet.rows]

    assert told(forward) == told(reversed(forward))
    assert told(forward[4:] + forward[:4]) == told(forward)


@pytest.mark.parametrize("end", ["died", "silent", "refused", "unreadable"])
def test_a_node_without_an_answer_comes_before_an_illness_of_all(end):
    fleet = {name: old_driver(given) for name, given in healthy(4).items()}
    answers = [answer(name, given) for name, given in fleet.items()]
    answers.insert(2, NodeAnswer(node=Node(name="gpu-99"), end=end, said="lost"))
    rows = compare(answers).fleet.rows
    assert [(row.standing, len(row.nodes)) for row in rows] == [(end, 1), ("sick", 4)]


def test_an_illness_of_one_comes_before_a_node_without_an_answer():
    fleet = healthy(4)
    fleet["gpu-02"] = old_driver(fleet["gpu-02"])
    answers = [answer(name, given) for name, given in fleet.items()]
    answers.append(NodeAnswer(node=Node(name="gpu-00"), end="died", said="lost"))
    rows = compare(answers).fleet.rows
    assert [(row.standing, row.nodes) for row in rows[:2]] == [("sick", ("gpu-02",)), ("died", ("gpu-00",))]


def test_an_all_clear_says_on_how_many_nodes_the_model_was_tried():
    def said(*seen: tuple[str, ...]) -> str:
        given = list(healthy(3).values())
        answers = (answer(f"n{n}", facts, seen=one) for n, (facts, one) in enumerate(zip(given, seen, strict=True)))
        return next(b.text for b in outline(compare(answers).fleet, lambda *_: "") if isinstance(b, Verdict))

    imported, trained = ("torch imported",), ("torch imported", "eager trained")
    assert said(trained, trained, trained) == "No node is ill."
    assert said(imported, trained, imported) == "No node is ill; the model was tried on 1 of 3 nodes."
    assert said(imported, imported, imported) == "No node is ill; the model was not tried."
