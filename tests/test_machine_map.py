"""The map of the machine: the broken link of each machine, by hand; and what each link says that it needs and offers."""

from __future__ import annotations

import msgspec
import pytest
from recorded_machines import MACHINES, read

from attn_doctor.failure_modes import ALL
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts, Fault, Import
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Finding, Severity
from attn_doctor.model.machine import implied_goal
from attn_doctor.model.recommendation import Recommendation
from attn_doctor.model.report import Report, Target, Tool
from attn_doctor.model.trials import Interval, Trial, TrialRun
from attn_doctor.report.machine_map import machine_map
from attn_doctor.report.map_places import place_of
from attn_doctor.report.pictures import Chain

FOLDERS = {folder.name: folder for folder in MACHINES}
NAMES = ("System and Python", "GPU and driver", "CUDA", "torch", "Extensions", "ultralytics", "Model")


def report(facts: Facts, **changes) -> Report:
    goal = implied_goal(facts)[0]
    found = diagnose(facts, goal)
    values = {
        "tool": Tool(version="0.1.0", knowledge_date="2026-11-20"),
        "created": "2026-11-29T12:00:00+00:00",
        "command": ("attn-doctor", "check"),
        "goal": goal,
        "target": Target(python="/usr/bin/python3", why="named", version="3.11.9"),
        "exit_code": 0,
        "facts": facts,
        "findings": found.findings,
        "undetermined": found.undetermined,
        "trials": (),
        "trials_skipped": "left out by --no-trial",
        "recommendation": Recommendation(backend=None, install_flash_attn="no", measured=False, summary=""),
        **changes,
    }
    return Report(**values)


def facts_of(name: str) -> Facts:
    return read(FOLDERS[name])[0]


def states(chain: Chain) -> str:
    """One letter a link: Good, Broken, Stopped, Unknown, Not needed."""
    return "".join(link.state[0].upper() for link in chain.links)


def without_ultralytics() -> Facts:
    facts = facts_of("rtx-4090-healthy-cu132")
    return msgspec.structs.replace(facts, yolo=msgspec.structs.replace(facts.yolo, version=None))


# In these recorded facts ultralytics was not imported and no model was tried: the last two links are not known, if nothing stopped them.
@pytest.mark.parametrize(
    ("name", "expected", "because"),
    [
        ("rtx-4090-flash-attn-works", "GGGGGUU", {}),
        ("a10g-driver-525-cu130", "GBSGGUU", {"GPU and driver": "driver-too-old"}),
        ("rtx-3060-cpu-torchvision", "GGGGBUU", {"Extensions": "torchvision-mismatch"}),
        ("mac-m3-torchvision-of-another-torch", "GGNGBUU", {"Extensions": "environment-pollution"}),
        ("rtx-3090-torch-upgraded", "GGGGBUU", {"Extensions": "abi-mismatch-torch-version"}),
        ("laptop-without-gpu", "GNNGGUU", {}),
        ("mi300x-rocm", "GGGGGUU", {}),
        ("mac-m1", "GGNGGUU", {}),
        # Its requirements.txt asks for flash-attn, which needs a GPU.
        ("alpine-no-torch", "GBNBUNU", {"torch": "torch-missing", "GPU and driver": "no-gpu-present"}),
        ("rtx-2070-nouveau", "GBSGGUU", {"GPU and driver": "driver-missing"}),
        ("windows-11-gtx-1660-cpu-torch", "GGBGGUU", {"CUDA": "torch-cpu-build"}),
        ("docker-runtime-image-libgl", "GGGGGBU", {"ultralytics": "libgl-missing"}),
        ("mac-m2-numpy-2", "GGNBGUU", {"torch": "numpy-abi"}),
        ("two-rtx-3090-hidden", "GGSGGUU", {}),  # somebody hid them: a warning, and no error
    ],
)
def test_the_broken_link_of_a_machine(name, expected, because):
    chain = machine_map(report(facts_of(name)))
    assert tuple(link.name for link in chain.links) in {NAMES, (*NAMES[:2], "ROCm", *NAMES[3:])}
    assert states(chain) == expected
    for link in chain.links:
        if link.state == "broken":
            assert because[link.name] in link.because
    assert chain.caption.startswith("The chain breaks at" if because else "No link is known to be broken")


def test_a_machine_without_ultralytics_needs_none_for_torch():
    link = machine_map(report(without_ultralytics())).links[5]
    assert (link.state, link.has) == ("not needed", "not installed")


def test_a_link_says_what_it_needs_and_offers():
    links = {link.name: link for link in machine_map(report(facts_of("a10g-driver-525-cu130"))).links}
    assert links["GPU and driver"].has == "NVIDIA A10G, driver 525.147.05"
    assert links["GPU and driver"].offers == ("CUDA up to 12.0", "compute capability 8.6")
    assert links["CUDA"].needs == ("driver 580 or newer",)
    assert links["CUDA"].offers == ("code for sm_75 to sm_120",)
    assert links["torch"].needs == ("glibc 2.17 or newer",)
    assert links["torch"].offers == ("torch 2.10.0", "C++11 ABI")
    assert links["System and Python"].offers == ("Python 3.11.9", "glibc 2.35")
    assert links["ultralytics"].offers == ("YOLO12 with eager attention",)
    assert links["Extensions"].has == "torchvision 0.25.0+cu130"


def test_a_trial_shows_that_the_model_works_or_where_it_fails():
    imports = (Import(module="ultralytics", ok=True), Import(module="torchvision", ok=True))
    facts = msgspec.structs.replace(facts_of("laptop-without-gpu"), imports=imports)
    times = Interval(median=9.0, low=8.0, high=10.0, n=9)
    row = Trial(backend="eager", status="ok", dtype="float32", model="yolo12n.yaml", step_ms=times)
    works = machine_map(report(facts, seen=("model built", "eager trained"), trials=(row,), trials_skipped=None))
    assert (works.links[6].state, works.links[6].has, works.links[6].offers) == (
        "good",
        "yolo12n.yaml",
        ("training on cpu",),
    )
    assert works.caption == "Every link holds"
    fault = Fault(kind="raised", type="KeyError", message="'A2C2f'")
    fails = machine_map(report(facts, trials=(row,), trials_skipped=None, trial_run=TrialRun(model_fault=fault)))
    assert (fails.links[6].state, fails.links[6].because) == (
        "stopped",
        "KeyError: 'A2C2f'",
    )  # the finding is not in this report


def test_facts_that_say_nothing_break_no_link():
    chain = machine_map(report(Facts(), findings=()))
    assert states(chain) == "UUUUUUU"
    assert all(link.because for link in chain.links)


@pytest.mark.heavy  # a second for each machine
@pytest.mark.parametrize("folder", MACHINES, ids=lambda folder: folder.name)
def test_a_machine_has_a_broken_link_if_and_only_if_it_has_an_error(folder):
    made = report(read(folder)[0])
    broken = [link for link in machine_map(made).links if link.state == "broken"]
    assert bool(broken) == any(f.severity is Severity.ERROR for f in made.findings)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("graphics.driver", "gpu"),
        ("torch.cuda", "cuda"),
        ("torch.version", "torch"),
        ("toolchain.cuda_home", "extensions"),
        ("imports.0.ok", "torch"),  # numpy, which torch's arrays need
        ("imports.1.ok", "extensions"),
        ("imports.9.ok", "system"),  # there is no such import
        ("packages.distributions.7.version", "extensions"),
        ("yolo.version", "ultralytics"),
        ("trials.0", "model"),
        ("environment", "system"),
    ],
)
def test_a_finding_belongs_to_the_link_of_its_first_fact(path, place):
    facts = facts_of("l4-debian-12-flash-attn-2.6")
    names = [d.name for d in facts.packages.distributions]
    path = path.replace("distributions.7", f"distributions.{names.index('flash-attn')}")
    assert place_of(finding("AD311", path), facts) == place


@pytest.mark.parametrize(
    ("code", "place"), [("AD101", "extensions"), ("AD401", "cuda"), ("AD601", "model"), ("XX1", "system")]
)
def test_a_finding_from_a_log_belongs_to_the_link_of_its_area(code, place):
    assert place_of(finding(code, None), Facts()) == place


def finding(code: str, path: str | None) -> Finding:
    kind = "fact" if path else "log"
    return Finding(
        code=code,
        slug=ALL[0].MODE.slug,
        title="",
        message="",
        severity=Severity.ERROR,
        certainty=Certainty.OBSERVED,
        confidence=Confidence.HIGH,
        root_cause=True,
        explained_by=None,
        blocks=(),
        evidence=(Evidence(kind=kind, text="", path=path),),
        fixes=(),
        docs="",
    )
