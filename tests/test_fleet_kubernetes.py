"""`fleet --on kubernetes`: a kubectl that is a script and prints what kubectl prints, and the manifest, judged by the schema of the API."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys

import pytest
from scripts_on_path import program

from attn_doctor.errors import Refused
from attn_doctor.fleet.engines import Asked, answers, deliver, kubernetes
from attn_doctor.fleet.engines.begin import frame
from attn_doctor.fleet.engines.parcel import parcel
from attn_doctor.model.fleet import Node

NODE = Node(name="gpu-1")
STATIC = ("--static",)


KUBECTL = """#!{python}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
words = sys.argv[1:]
with open(folder / "said", "a") as file:
    file.write(" ".join(words) + "\\n")
if words[:2] in (["get", "nodes"], ["get", "pods"]):
    print((folder / (words[1] + ".json")).read_text())
elif words[0] == "logs":
    print((folder / (words[-1] + ".log")).read_text())
else:
    sys.exit("error: unknown command")
"""


def node_json(name: str, ready: str = "True", gpus: int = 0, unschedulable: bool = False) -> dict:
    condition = {"type": "Ready", "status": ready, "reason": "KubeletReady" if ready == "True" else "NodeStatusUnknown"}
    condition["message"] = (
        "kubelet is posting ready status" if ready == "True" else "Kubelet stopped posting node status."
    )
    return {
        "metadata": {"name": name, "labels": {"zone": "z1"}, "annotations": {"target": f"/opt/{name}/bin/python"}},
        "spec": {"unschedulable": True} if unschedulable else {},
        "status": {
            "conditions": [condition],
            "allocatable": {"cpu": "8", **({"nvidia.com/gpu": str(gpus)} if gpus else {})},
        },
    }


def pod_json(node: str, phase: str, state: dict | None = None, placed: bool = True, **status) -> dict:
    return {
        "metadata": {"name": f"pod-{node}", "labels": {"attn-doctor/word": "w0"}, "annotations": {"attn-doctor/node": node}, "creationTimestamp": "2026-11-30T00:00:00Z"},
        "spec": {"nodeName": node} if placed else {},
        "status": {"phase": phase, **({"containerStatuses": [{"state": state}]} if state else {}), **status},
    }  # fmt: skip


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", program(folder, "kubectl", KUBECTL.format(python=sys.executable)))
    nodes = [node_json(name, gpus=2) for name in ("n1", "n2", "n3", "n4", "n5", "n6")]
    nodes += [node_json("n7", ready="Unknown"), node_json("n8", unschedulable=True)]
    (folder / "nodes.json").write_text(json.dumps({"items": nodes}))
    return folder


def test_the_pods_of_a_cluster(kubectl, monkeypatch):
    done = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    (kubectl / "pod-n1.log").write_text("noise\n" + frame("w0", "answered", report=b"{}").decode())
    (kubectl / "pod-n3.log").write_text("Killed\n")
    (kubectl / "pod-n6.log").write_text("")
    pods = [
        pod_json("n1", "Succeeded", done),
        pod_json("n2", "Pending", {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}),
        pod_json("n3", "Failed", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
        pod_json("n4", "Failed", reason="Evicted", message="The node was low on resource: memory."),
        pod_json("n5", "Pending", placed=False, conditions=[{"type": "PodScheduled", "message": "0/8 nodes are available: 1 Insufficient nvidia.com/gpu."}]),
        pod_json("n6", "Running", {"running": {}}),
    ]  # fmt: skip
    (kubectl / "pods.json").write_text(json.dumps({"items": pods}))
    monkeypatch.setattr(kubernetes, "SLACK", 0.0)
    rows = {row.node.name: (row.end, row.said) for row in answers("kubernetes:ml", Asked(deadline=1.0), print)}
    assert rows == {
        "n1": ("answered", ""),
        "n2": ("refused", "its container does not start: ImagePullBackOff: Back-off pulling image"),
        "n3": ("died", "its pod ended without an answer: OOMKilled: exit code 137"),
        "n4": ("died", "its pod ended without an answer: Evicted: The node was low on resource: memory."),
        "n5": ("refused", "its pod was not started: 0/8 nodes are available: 1 Insufficient nvidia.com/gpu."),
        "n6": ("silent", "its pod had no answer after 1 s"),
        "n7": ("refused", "it is not ready: NodeStatusUnknown: Kubelet stopped posting node status."),
        "n8": ("refused", "it is cordoned: it takes no new pod"),
    }
    said = (kubectl / "said").read_text().splitlines()
    assert "get pods -n ml -l app.kubernetes.io/name=attn-doctor -o json" in said
    assert all(line.startswith(("get ", "logs ")) for line in said)


def test_no_pod_and_no_namespace(kubectl):
    (kubectl / "pods.json").write_text('{"items": []}')
    with pytest.raises(Refused, match="kubectl create -f"):
        list(answers("kubernetes:ml", Asked(), print))
    with pytest.raises(Refused, match="no name of a namespace"):
        list(answers("kubernetes:--all", Asked(), print))


def documents(written: str) -> list[dict]:
    """The documents of a manifest. The parts are put in afterwards: ruamel needs seconds for them."""
    from ruamel.yaml import YAML

    parts = re.findall(r"^  part: (\S{1000,})$", written, re.MULTILINE)
    made = list(YAML(typ="safe").load_all(re.sub(r"^  part: \S{1000,}$", "  part: x", written, flags=re.MULTILINE)))
    for one, part in zip((one for one in made if one["kind"] == "ConfigMap"), parts, strict=True):
        one["binaryData"]["part"] = part
    return made


def test_the_manifest_has_a_job_for_each_node_and_the_whole_parcel(kubectl):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    written = kubernetes.manifest(
        "ml@registry.example/yolo:1", Asked(check=("--no-trial",), target_from="target", deadline=120)
    )
    made = documents(written)
    for one in made:
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
    maps = [one for one in made if one["kind"] == "ConfigMap"]
    assert b"".join(base64.b64decode(one["binaryData"]["part"]) for one in maps) == parcel()
    assert all(len(json.dumps(one)) < 1_048_576 for one in maps)
    jobs = [one for one in made if one["kind"] == "Job"]
    pods = [one["spec"]["template"]["spec"] for one in jobs]
    term = [
        pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        for pod in pods
    ]
    assert [one[0]["matchFields"][0]["values"] for one in term] == [["n1"], ["n2"], ["n3"], ["n4"], ["n5"], ["n6"]]
    assert len({one["metadata"]["name"] for one in jobs}) == 6
    container = pods[1]["containers"][0]
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 1}}
    assert container["command"][4:] == ["120", "free", "/opt/n2/bin/python", "--no-trial"]
    assert written.startswith("# ")
    with pytest.raises(Refused, match="needs the image"):
        kubernetes.manifest("ml", Asked())


def test_the_program_of_a_pod_runs_the_parts(kubectl, tmp_path):
    """The command of the container, with the folder of the ConfigMaps in another place."""
    pytest.importorskip("kubernetes_validate")
    written = kubernetes.manifest("@image", Asked(check=STATIC, deadline=60, nodes=("n1",)))
    made = documents(written)
    parts = tmp_path / "parts"
    parts.mkdir()
    for number, one in enumerate(one for one in made if one["kind"] == "ConfigMap"):
        (parts / f"part-{number:02}").write_bytes(base64.b64decode(one["binaryData"]["part"]))
    _, option, text, *rest = made[-1]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert text.count("/attn-doctor/part-*") == 1
    done = subprocess.run(
        [sys.executable, option, text.replace("/attn-doctor/part-*", f"{parts}/part-*"), *rest],
        capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert deliver.read(NODE, rest[0], done.stdout).end == "answered", done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("attn-doctor")] == []


def test_the_command_prints_the_manifest(kubectl):
    pytest.importorskip("kubernetes_validate")
    argv = ["fleet", "--on", "kubernetes:ml@registry.example/yolo:1", "--node", "n2", "--manifest"]
    done = subprocess.run([sys.executable, "-m", "attn_doctor", *argv], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (job,) = [one for one in documents(done.stdout) if one["kind"] == "Job"]
    assert "'n2'" in str(job["spec"]["template"]["spec"]["affinity"])


@pytest.mark.parametrize("argv", [["--manifest"], ["--manifest", "--on", "slurm"], ["--manifest", "reports"]])
def test_a_manifest_is_for_kubernetes(argv):
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", "fleet", *argv], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert "attn-doctor fleet --on kubernetes:NAMESPACE@IMAGE --manifest" in done.stderr
