"""Words of a report that are true of the machine: what differs is named, and a version is no address."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from ailing_machines import cpu_torch
from whole_machines import RTX_4090, changed, packages

from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts, Fault, Import, Unknown
from attn_doctor.model.findings import Finding, Goal
from attn_doctor.report import machine_summary
from attn_doctor.report.redact import redact
from attn_doctor.system.own_names import Own

ALICE = Own(home="/home/alice", user="alice", host="cygnus-7")


def _torchvision(facts: Facts, have: str, said: str) -> Finding:
    fault = Fault(
        kind="raised", type="RuntimeError", message="operator torchvision::nms does not exist", traceback=said
    )
    ailing = changed(
        facts,
        imports=(Import(module="torchvision", ok=False, fault=fault),),
        packages__distributions=packages(torch=str(facts.torch.version), torchvision=have, numpy="2.4.6"),
    )
    return next(f for f in diagnose(ailing, Goal.TRAIN).findings if f.slug == "torchvision-mismatch")


MISSING = "OSError: libc10_cuda.so: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("torch", "cuda", "have", "said", "differs"),
    [
        ("2.13.0+cpu", None, "0.28.0", MISSING, "torchvision is a CUDA build, torch is a CPU build"),
        ("2.13.0+cpu", None, "0.28.0+cu130", "", "torchvision is a build for CUDA 13.0, torch is a CPU build"),
        (
            "2.5.1+cu124",
            "12.4",
            "0.20.1+cu118",
            "",
            "torchvision is a build for CUDA 11.8, torch is a build for CUDA 12.4",
        ),
    ],
)
def test_two_builds_of_one_release_are_told_apart(torch, cuda, have, said, differs):
    facts = changed(cpu_torch(RTX_4090), torch__version=torch, torch__cuda=cuda)
    finding = _torchvision(facts, have, said)
    assert differs in finding.message
    release = have.partition("+")[0]
    assert finding.fixes[0].title.startswith(f"Install torchvision {release} again, a ")
    assert finding.fixes[0].title.endswith(differs.rpartition("torch is ")[2])


def test_another_release_is_another_matter():
    finding = _torchvision(changed(RTX_4090, torch__version="2.5.1+cu124", torch__cuda="12.4"), "0.19.0", "")
    assert "torchvision is" not in finding.message
    assert finding.fixes[0].title == "Install torchvision 0.20.1"


@pytest.mark.parametrize("os", ["windows", "darwin"])
@pytest.mark.parametrize("goal", list(Goal))
def test_libtinfo5_is_a_word_of_linux(os, goal):
    facts = changed(RTX_4090, system__os=os, system__distribution=None, system__distribution_version=None)
    diagnosis = diagnose(facts, goal)
    assert "libtinfo5-unavailable" not in {x.slug for x in (*diagnosis.findings, *diagnosis.undetermined)}
    assert "None" not in repr([(f.message, f.evidence) for f in diagnosis.findings]).replace("=None", "")
    assert "None None" not in repr(diagnosis)


def test_a_mac_has_a_build_for_macs():
    folder = Path(__file__).parent.parent / "fixtures" / "machines" / "mac-m1"
    mac = msgspec.json.decode((folder / "facts.json").read_bytes(), type=Facts)
    rows = {f.label: f.text for f in machine_summary.at_a_glance(changed(mac, torch__mps=True))}
    assert "macOS build, with MPS" in rows["torch"]
    assert "CPU build" not in rows["torch"]
    assert "MPS" not in machine_summary.at_a_glance(changed(mac, torch__mps=Unknown("x")))[3].text


# -- redaction

VERSIONS = [
    "torch 2.5.1 requires nvidia-cudnn-cu12==9.1.0.70, and you have 8.9.7.29",
    "nvidia-cublas-cu12 12.4.5.8 is installed",
    "cuDNN 8.9.7.29",
    "libcudnn 9.20.0.48",
    "nvidia-cuda-nvrtc-cu12 12.6.85.1",
    "nvidia-curand-cu12 10.3.5.147",
    "pytorch 2.8.0.1",
    "nvidia-cublas==13.4.1.3",
    "you have nvidia-cufft-cu12 11.2.1.3 which is incompatible.",
    "(from versions: 8.9.2.26, 8.9.4.25, 9.1.0.70)",
    "CUDA version 12.6.85.1",
    "nvidia_cusparse_cu12-12.3.1.170-py3-none-manylinux2014_x86_64.whl",
]
ADDRESSES = [
    "connect to 192.168.3.14:443",
    "host 10.2.3.4 did not answer",
    "No route to 172.16.0.9",
    "proxy http://10.1.2.3:3128",
    "pip --trusted-host 10.9.8.7",
    "--torch-index 10.2.3.4",
    "nvidia-smi on 10.2.3.4",
    "MASTER_ADDR=10.2.3.4",
    "('10.4.5.6', 29500)",
    "torch.distributed: cannot reach 10.4.5.6",
    "ssh alice@203.0.113.7",
    "from 8.8.8.8 to 9.9.9.9",
]


@pytest.mark.parametrize("text", VERSIONS)
def test_a_version_of_four_numbers_is_no_address(text):
    assert redact({"message": text}, ALICE)["message"] == text


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_goes(text):
    said = redact({"message": text}, ALICE)
    assert "<ip-1>" in said["message"] or said["redacted"].get("email")
    assert not any(
        address in said["message"] for address in ("10.", "192.168.", "172.16.", "203.0.", "8.8.8.8", "9.9.9.9")
    )


def test_a_version_that_the_facts_hold_is_kept_wherever_it_stands():
    data = {
        "facts": {
            "packages": {"conflicts": [{"package": "torch", "requires": "odd-name==1.2.3.4", "found": "4.3.2.1"}]}
        },
        "message": "what is here, 4.3.2.1, is not 1.2.3.4; 10.20.30.40 is a machine",
    }
    text = json.dumps(redact(data, ALICE))
    assert "what is here, 4.3.2.1, is not 1.2.3.4; <ip-1> is a machine" in text
    assert "odd-name==1.2.3.4" in text
