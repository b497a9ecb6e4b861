"""Check the nodes of a Kubernetes cluster: write a manifest with a Job for each node, and read the answers in the logs of the pods.

Nothing is created in the cluster here: the user does that with `kubectl create`, after reading the manifest.
"""

from __future__ import annotations

import functools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from attn_doctor import child
from attn_doctor.errors import NotExamined, Refused
from attn_doctor.fleet.engines import extras
from attn_doctor.fleet.engines.asked import Asked
from attn_doctor.fleet.engines.deliver import MOST_ANSWER, SLACK, all_at_once, known, last_words, program, read
from attn_doctor.fleet.engines.job_manifest import GPU, LABEL, WORD, documents, validated
from attn_doctor.model.fleet import Node, NodeAnswer
from attn_doctor.model.foreign_text import text

_COMES_WITH = "install kubectl, and give it the cluster's configuration (`kubectl get nodes` must answer)"
_PAUSE = 2.0  # seconds between two looks at the pods
_LONG = 60.0  # seconds for one answer of kubectl
# Why a container waits that will never run (https://kubernetes.io/docs/concepts/containers/images/).
_HOPELESS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
}


class _Where(NamedTuple):
    namespace: str
    image: str


def _where(written: str) -> _Where:
    """Split NAMESPACE@IMAGE; either half may be missing. Raises Refused for a namespace that kubectl could take for an option."""
    namespace, _, image = written.partition("@")
    if namespace and not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", namespace):
        raise Refused(f"--on kubernetes:{written}: {namespace!r} is no name of a namespace")
    return _Where(namespace, image)


def manifest(where: str, asked: Asked) -> str:
    """Return the manifest for `kubectl create -f`: the parcel as ConfigMaps, and a Job for each node that accepts pods.

    `where`: NAMESPACE@IMAGE, the text after "kubernetes:". kubectl names the nodes. Every document is validated with the schema
    of the API. Raises Refused for a missing extra, image or node, NotExamined if kubectl does not answer.
    """
    extras.need("kubernetes")
    place = _where(where)
    if not place.image:
        raise Refused(
            "the manifest needs the image of your training, in which the check runs: --on kubernetes:NAMESPACE@IMAGE"
        )
    kubectl = program("kubectl", _COMES_WITH)
    nodes = [
        (node, bool(gpu))
        for node, why_not, gpu in _nodes(_asked_of(kubectl, "get", "nodes", "-o", "json"))
        if not why_not
    ]
    chosen = [(node, gpu) for node, gpu in nodes if not asked.nodes or node.name in asked.nodes]
    if not chosen:
        raise Refused("no node of the cluster takes pods, or none of those that were named: see `kubectl get nodes`")
    return validated(documents(place.namespace, place.image, asked, chosen))


def _asked_of(kubectl: str, *words: str) -> Any:
    """Return the JSON that kubectl prints. Raises NotExamined if it does not answer."""
    told = child.command([kubectl, *words], deadline=_LONG, most=256 << 20)
    why = last_words(told.stderr) or told.fault.kind if told.fault else ""
    try:
        answer = None if why else json.loads(told.stdout)
    except ValueError as error:
        why = str(error)
    if why:
        raise NotExamined(f"kubectl {' '.join(words[:2])} did not answer: {text(why)}")
    return answer


def _nodes(listed: Any) -> Iterator[tuple[Node, str, int]]:
    """Yield (node, reason why it accepts no pod, number of its GPUs). The reason is empty if it accepts pods. Pure."""
    for item in listed.get("items", []):
        meta, status = item["metadata"], item.get("status", {})
        labels = {**meta.get("annotations", {}), **meta.get("labels", {})}
        ready: dict[str, str] = next((c for c in status.get("conditions", []) if c.get("type") == "Ready"), {})
        why_not = ""
        if ready.get("status") != "True":
            why_not = f"it is not ready: {ready.get('reason', 'without a reason')}: {ready.get('message', '')}".rstrip(
                ": "
            )
        elif item.get("spec", {}).get("unschedulable"):
            why_not = "it is cordoned: it takes no new pod"
        short = {text(key): text(value) for key, value in labels.items() if len(value) < 300}
        yield Node(name=meta["name"], labels=short), why_not, int(status.get("allocatable", {}).get(GPU, 0))


def answers(where: str, asked: Asked, say: Callable[[str], None]) -> Iterator[NodeAnswer]:
    """Yield the answer of each pod of the manifest, as soon as the pod has ended.

    A pod that has not ended at the deadline, and a node without a pod, have an answer too: what is known of them.
    Raises NotExamined if kubectl is missing or does not answer, Refused if no pod of a manifest is in the namespace.
    """
    place = _where(where)
    kubectl = program("kubectl", _COMES_WITH)
    space = ("-n", place.namespace) if place.namespace else ()
    pods = (*space, "-l", LABEL, "-o", "json")
    nodes = {
        node.name: (node, why_not) for node, why_not, _ in _nodes(_asked_of(kubectl, "get", "nodes", "-o", "json"))
    }
    yield from known(asked, list(nodes), "the cluster")
    waiting = _newest(_asked_of(kubectl, "get", "pods", *pods))
    if not waiting:
        raise Refused(
            f"no check runs in the namespace {place.namespace or 'that kubectl uses'}: write the manifest (`attn-doctor fleet --on "
            f"kubernetes:{place.namespace}@IMAGE --manifest > fleet.yaml`), and start it (`kubectl create -f fleet.yaml`)"
        )
    wanted = {name for name in (*nodes, *waiting) if not asked.nodes or name in asked.nodes}
    say(f"Pods to read: {len(wanted & waiting.keys())}. Nodes: {len(wanted)}.")
    for name in sorted(wanted - waiting.keys()):
        node, why_not = nodes[name]
        yield NodeAnswer(node=node, end="refused", said=why_not or "the manifest had no Job for it")
    left = wanted & waiting.keys()
    until = time.monotonic() + asked.deadline + SLACK
    while left:
        ended = [name for name in sorted(left) if _has_ended(waiting[name])]
        late = time.monotonic() > until
        jobs = []
        for name in sorted(left) if late else ended:
            node = nodes[name][0] if name in nodes else Node(name=name)
            jobs.append(
                functools.partial(_answer, kubectl=kubectl, space=space, node=node, pod=waiting[name], asked=asked)
            )
        yield from all_at_once(jobs)
        left -= set(left) if late else set(ended)
        if left:
            time.sleep(_PAUSE)
            # A pod that was removed in the meantime keeps its last state.
            waiting |= _newest(_asked_of(kubectl, "get", "pods", *pods))


def _newest(listed: Any) -> dict[str, Any]:
    """Return the newest pod of each node. Pure."""
    found: dict[str, Any] = {}
    for pod in sorted(listed.get("items", []), key=lambda pod: str(pod["metadata"].get("creationTimestamp", ""))):
        found[_node_of(pod)] = pod
    return found


def _node_of(pod: Any) -> str:
    """Return the node of a pod. For a pod that was not scheduled yet it is the node in the pod's affinity."""
    name: str = pod["spec"].get("nodeName") or pod["metadata"].get("annotations", {}).get("attn-doctor/node", "")
    return name


def _container(pod: Any) -> dict[str, Any]:
    containers = pod.get("status", {}).get("containerStatuses") or [{}]
    found: dict[str, Any] = containers[0].get("state", {})
    return found


def _has_ended(pod: Any) -> bool:
    """Return whether a pod has ended, so that it writes no more output."""
    phase = pod.get("status", {}).get("phase")
    return phase in {"Succeeded", "Failed"} or _container(pod).get("waiting", {}).get("reason") in _HOPELESS


def _answer(
    stop: threading.Event, *, kubectl: str, space: tuple[str, ...], node: Node, pod: Any, asked: Asked
) -> NodeAnswer:
    """Return the answer in the log of a pod. If the log has none, the state of the pod shows how it ended."""
    status, state = pod.get("status", {}), _container(pod)
    word = pod["metadata"].get("labels", {}).get(WORD, "")
    if state.get("running") or state.get("terminated"):
        told = child.command([kubectl, "logs", *space, pod["metadata"]["name"]], deadline=_LONG, most=MOST_ANSWER)
        if word and not stop.is_set() and (answer := read(node, re.escape(word), told.stdout)):
            return answer
    if waits := state.get("waiting"):
        said = f"its container does not start: {waits.get('reason', '')}: {waits.get('message', '')}".rstrip(": ")
        return NodeAnswer(node=node, end="refused", said=text(said))
    if status.get("phase") == "Pending":
        why = next((c.get("message", "") for c in status.get("conditions", []) if c.get("type") == "PodScheduled"), "")
        return NodeAnswer(node=node, end="refused", said=text(f"its pod was not started: {why or 'without a reason'}"))
    if status.get("phase") in {"Running", "Unknown"}:
        return NodeAnswer(node=node, end="silent", said=f"its pod had no answer after {asked.deadline + SLACK:g} s")
    ended = state.get("terminated", {})
    reason = status.get("reason") or ended.get("reason") or "without a reason"
    message = status.get("message") or (f"exit code {ended['exitCode']}" if "exitCode" in ended else "")
    return NodeAnswer(
        node=node, end="died", said=text(f"its pod ended without an answer: {reason}: {message}".rstrip(": "))
    )
