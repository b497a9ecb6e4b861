"""Decide whether a trial can show something after the diagnosis: an error may stop everything that the trial would run. Pure.

`trials.plan` refuses a trial if torch does not import. The rules here are about everything else that a trial needs.
"""

from __future__ import annotations

import re
from pathlib import Path

from attn_doctor.failure_modes import UnknownName, find
from attn_doctor.failure_modes.mode import EVERY_BACKEND, GPU_BACKENDS, FailureMode, Stops
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Diagnosis, Finding, Severity
from attn_doctor.model.machine import tried
from attn_doctor.model.trials import TrialOptions

_YOLO12 = re.compile(r"yolov?12")


def senseless(facts: Facts, diagnosis: Diagnosis, options: TrialOptions) -> str | None:
    """Return why a trial would show nothing that the findings do not show; None if it may show something.

    There are four reasons. ultralytics does not import, or has no model of the requested kind. The requested weights do not fit
    the installed ultralytics. An error was seen to stop every backend on the GPU, and the trial would run on the GPU. Or torch
    cannot use the GPU of the machine, and the user requested no other device: times of the processor would say nothing about
    training on that GPU.

    An error that only a log contains does not count: the log may be of another day or of another machine.
    """
    failed = next((i for i in tried(facts) if i.module == "ultralytics" and i.ok is False), None)
    if failed is not None and facts.yolo.version is not None:
        fault = failed.fault
        how = (fault.type or fault.signal or fault.kind) if fault else "no reason given"
        return f"importing ultralytics fails in the target environment ({how})"
    if facts.yolo.attention is None and isinstance(facts.yolo.version, str) and _is_yolo12(options.model):
        return f"ultralytics {facts.yolo.version} has no YOLO12 model"
    on_gpu = options.device == "auto" or options.device.startswith("cuda")
    errors = [f for f in diagnosis.findings if f.severity is Severity.ERROR and _is_seen_here(f)]
    for error in errors:
        if _stops(error) == "model":
            return f"{error.slug}: {options.model} does not run with this ultralytics"
        if set(error.blocks) >= set(EVERY_BACKEND) and error.certainty is Certainty.OBSERVED and on_gpu:
            return f"{error.slug}: no backend can run"
    refused = next((f for f in errors if set(f.blocks) >= set(GPU_BACKENDS) and _stops_training(f)), None)
    if refused is not None and facts.torch.available is not True and options.device == "auto":
        return f"{refused.slug}: torch cannot use the GPU of this machine (--device cpu tries the backends on the CPU)"
    return None


def _is_yolo12(model: str) -> bool:
    return _YOLO12.match(Path(model).name) is not None and not model.endswith(".pt")


def _is_seen_here(finding: Finding) -> bool:
    return any(item.kind == "fact" for item in finding.evidence)


def _stops(finding: Finding) -> Stops | None:
    mode = _mode(finding)
    return mode.stops if mode else None


def _stops_training(finding: Finding) -> bool:
    """Return whether the failure mode is an error for training.

    Example: that a machine has no GPU is an error only for the goal flash-attn.
    """
    mode = _mode(finding)
    return mode is not None and mode.train is Severity.ERROR


def _mode(finding: Finding) -> FailureMode | None:
    try:
        return find(finding.code).MODE
    except UnknownName:
        return None
