"""Write the Kubernetes manifest of a check: ConfigMaps with the parcel, and a Job for each node. It is validated before it is shown."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import secrets
from collections.abc import Sequence
from typing import Any

from attn_doctor.errors import Refused
from attn_doctor.fleet.engines.asked import Asked
from attn_doctor.fleet.engines.deliver import SLACK, arguments
from attn_doctor.fleet.engines.parcel import parcel
from attn_doctor.model.fleet import Node

LABEL = "app.kubernetes.io/name=attn-doctor"
WORD = "attn-doctor/word"
GPU = "nvidia.com/gpu"
_MOST_PART = 700_000  # bytes: a ConfigMap holds at most 1 MiB, and base64 adds a third
_KEPT = 3600  # seconds that a Job stays after its end, for its log
_PLACE = "/attn-doctor"
_RUN = (
    "import glob, os, sys, tempfile\n"
    f"data = b''.join(open(part, 'rb').read() for part in sorted(glob.glob('{_PLACE}/part-*')))\n"
    "number, path = tempfile.mkstemp(prefix='attn-doctor-', suffix='.pyz')\n"
    "os.write(number, data) == len(data) or sys.exit('the disk is full')\n"
    "os.environ['ATTN_DOCTOR_PARCEL'] = path\n"
    "os.execv(sys.executable, [sys.executable, '-I', '-B', path] + sys.argv[1:])\n"
)


def documents(namespace: str, image: str, asked: Asked, nodes: Sequence[tuple[Node, bool]]) -> list[dict[str, Any]]:
    """Return the ConfigMaps with the parcel, then a Job for each node, as plain data.

    `nodes`: (node, whether it has GPUs). The pod of a node with GPUs requests one GPU.
    """
    word = secrets.token_hex(8)
    key, _, value = LABEL.partition("=")
    labels = {key: value, WORD: word}
    data = parcel()
    parts = [data[place : place + _MOST_PART] for place in range(0, len(data), _MOST_PART)]
    spaces = {"namespace": namespace} if namespace else {}
    maps = [f"attn-doctor-{word}-{number}" for number in range(len(parts))]
    made: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, **spaces, "labels": labels},
            "binaryData": {"part": base64.b64encode(part).decode("ascii")},
        }
        for name, part in zip(maps, parts, strict=True)
    ]
    sources = [
        {"configMap": {"name": name, "items": [{"key": "part", "path": f"part-{number:02}"}]}}
        for number, name in enumerate(maps)
    ]
    for node, gpu in nodes:
        made.append(
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": _job_name(node.name, word), **spaces, "labels": labels},
                "spec": {
                    "backoffLimit": 0,
                    "activeDeadlineSeconds": int(2 * asked.deadline + SLACK),
                    "ttlSecondsAfterFinished": _KEPT,
                    "template": {
                        "metadata": {"labels": labels, "annotations": {"attn-doctor/node": node.name}},
                        "spec": _pod(image, asked, node, word, sources, gpu=gpu),
                    },
                },
            }
        )
    return made


def _job_name(node: str, word: str) -> str:
    """Return the name of a node's Job: at most 63 letters, different for each node and each run."""
    plain = re.sub(r"[^a-z0-9-]+", "-", node.lower())[:34].strip("-")
    return f"attn-doctor-{plain}-{hashlib.sha256((node + word).encode()).hexdigest()[:8]}"


def _pod(image: str, asked: Asked, node: Node, word: str, sources: Any, *, gpu: bool) -> dict[str, Any]:
    target = node.labels.get(asked.target_from or "", "")
    field = {"key": "metadata.name", "operator": "In", "values": [node.name]}
    only = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [field]}]}}
    container: dict[str, Any] = {
        "name": "check",
        "image": image,
        "command": ["python3", "-c", _RUN, *arguments(word, asked, target, hold=False)],
        "securityContext": {"allowPrivilegeEscalation": False},
        "volumeMounts": [{"name": "parcel", "mountPath": _PLACE, "readOnly": True}],
    }
    if gpu:
        container["resources"] = {"limits": {GPU: 1}}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "affinity": {"nodeAffinity": only},
        # Nodes with GPUs are often tainted, so that other pods stay away.
        "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
        "containers": [container],
        "volumes": [{"name": "parcel", "projected": {"sources": sources}}],
    }


def validated(made: Sequence[dict[str, Any]]) -> str:
    """Return the documents as YAML, with comments that say how to start and remove them.

    Raises Refused for a document that does not fit the schema of the newest API that kubernetes-validate knows.
    """
    import kubernetes_validate
    from ruamel.yaml import YAML

    version = kubernetes_validate.latest_version()
    for one in made:
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Refused(
                f"the {one['kind']} {one['metadata']['name']} is not valid for Kubernetes {version}: {error.message}"
            ) from error
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.width = 4096
    written = io.StringIO()
    parts = {f"part-{place}": one["binaryData"]["part"] for place, one in enumerate(made) if "binaryData" in one}
    yaml.dump_all(
        [
            {**one, "binaryData": {"part": f"part-{place}"}} if "binaryData" in one else one
            for place, one in enumerate(made)
        ],
        written,
    )
    # Put in afterwards: the library looks at every letter of the parts, for seconds. Base64 needs no quotation marks.
    text = re.sub(r"(?<=^  part: )part-\d+$", lambda found: parts[found[0]], written.getvalue(), flags=re.MULTILINE)
    word = made[0]["metadata"]["labels"][WORD]
    space = made[0]["metadata"].get("namespace")
    option = f" -n {space}" if space else ""
    return (
        f"# attn-doctor checks a node with each Job. Valid for the API of Kubernetes {version}.\n"
        "# Start it: kubectl create -f FILE (`kubectl apply` cannot: it keeps a copy in an annotation, which is too small for this).\n"
        f"# Remove it: kubectl delete job,configmap{option} -l {WORD}={word}\n{text}"
    )
