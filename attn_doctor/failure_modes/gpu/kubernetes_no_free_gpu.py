"""No node of the Kubernetes cluster offers a free GPU to the pod.

What it is
    A pod that asks for nvidia.com/gpu waits (Pending) until a node offers one. A node offers its GPUs through NVIDIA's
    device plugin.

How it shows
    In `kubectl describe pod`: "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"; the same with amd.com/gpu.

Why it happens
    All GPUs are in use; or the pod asks for more GPUs than one node has; or the device plugin does not run on the nodes,
    so that they offer none.

What to do
    See what the nodes offer. If it is nothing: install NVIDIA's device plugin, or its GPU operator, which brings the driver
    too. If it is enough: end a pod that holds a GPU, ask for fewer, or wait.

How to reproduce
    There is no recipe: it needs a cluster. A pod that asks for more GPUs than a node has shows the same event.

References
    https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/
    https://github.com/NVIDIA/k8s-device-plugin#enabling-gpu-support-in-kubernetes
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD456",
    slug="kubernetes-no-free-gpu",
    title="No node of the cluster offers a free GPU",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"\b\d+ Insufficient (?P<resource>(?:nvidia|amd)\.com/gpu)",
            literal=" Insufficient ",
            sample="Warning  FailedScheduling  0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        ),
    ),
)
# There is no `detect`: the nodes of a cluster are not among the facts.

_PLUGIN = (
    "https://raw.githubusercontent.com/NVIDIA/k8s-device-plugin/v0.17.1/deployments/static/nvidia-device-plugin.yml"
)


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    return Hit(
        message=f"No node of the cluster has a free {seen.group('resource')}: all are in use, the pod asks for more than a node has, or the device plugin does not run.",
        evidence=evidence,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = ("kubectl", "get", "pods")
    offered = commands.by_hand(
        (
            "kubectl",
            "get",
            "nodes",
            "-o",
            r"custom-columns=NAME:.metadata.name,GPU:.status.allocatable.nvidia\.com/gpu",
        ),
        "prints how many GPUs each node offers. <none>: the device plugin is missing there, use the next command. A number: all are in use (`kubectl describe node "
        "NODE` lists the pods), or the pod asks for more than one node has: end such a pod, or ask for fewer",
        "nothing",
        "none",
    )
    plugin = commands.by_hand(
        ("kubectl", "create", "-f", _PLUGIN),
        "for administrators, only if a node with a GPU prints <none>: NVIDIA's device plugin; the nodes need the driver and nvidia-container-toolkit",
        "a DaemonSet of the cluster",
        "medium",
    )
    return (
        Fix(
            title="See what the nodes offer, and install the device plugin where it is missing",
            steps=(offered, plugin),
            verify=verify,
        ),
    )
