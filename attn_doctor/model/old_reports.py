"""Convert reports of older schema versions to the data of today's schema. Pure.

In version 1 a step was an argv in which options stood among the requirements, and a risk was a text such as "medium: why".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attn_doctor.model.steps import RISKS

_SWITCHES = {
    "-v": "verbose",
    "--upgrade": "upgrade",
    "--force-reinstall": "reinstall",
    "--no-deps": "no_deps",
    "--no-build-isolation": "no_build_isolation",
    "--no-cache-dir": "no_cache",
}


def upgraded(report: dict[str, Any]) -> dict[str, Any]:
    """Return the data of a version 1 report in the form of version 2. Other data is returned unchanged."""
    findings = report.get("findings")
    for finding in findings if isinstance(findings, list) else ():
        fixes = finding.get("fixes") if isinstance(finding, dict) else None
        for fix in fixes if isinstance(fixes, list) else ():
            steps = fix.get("steps") if isinstance(fix, dict) else None
            if isinstance(steps, list):
                fix["steps"] = [_step(step) if isinstance(step, dict) else step for step in steps]
    return {**report, "schema_version": 2}


def _step(old: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {name: old[name] for name in ("why", "changes", "takes", "undo") if name in old}
    risk, _, text = str(old.get("risk", "low")).partition(":")
    kept["risk"] = risk if risk in RISKS else "high"
    if text.strip():
        kept["risk_text"] = text.strip()
    argv = old.get("argv")
    words = argv if isinstance(argv, list) and all(isinstance(word, str) for word in argv) else []
    return {**kept, **_action(words, old.get("kind", "run"))}


def _action(argv: Sequence[str], kind: object) -> dict[str, Any]:
    """Return the kind and the fields of a step, read from its argv.

    If the installer is not known, the kind is a step that the user does by hand.
    """
    by_hand = {"kind": "by-hand", "argv": list(argv)}
    if kind == "environment" and argv:
        return {"kind": "variable", "name": argv[0], "value": argv[1] if len(argv) > 1 else None}
    if kind != "run" or not argv:
        return by_hand
    if list(argv[:2]) == ["rm", "-r"]:
        return {"kind": "remove", "paths": list(argv[2:]), "argv": list(argv)}
    if list(argv[1:3]) == ["-m", "ensurepip"]:
        return {"kind": "add-pip", "argv": list(argv)}
    if list(argv[1:3]) == ["-m", "pip"]:
        verb, rest = argv[3] if len(argv) > 3 else "", list(argv[4:])
    elif list(argv[:2]) == ["uv", "pip"]:
        verb, rest = argv[2] if len(argv) > 2 else "", list(argv[3:])
        if rest[:1] == ["--python"]:
            del rest[:2]
    else:
        return {"kind": "run", "argv": list(argv)}
    if verb not in ("install", "uninstall"):
        return {"kind": "run", "argv": list(argv)}
    fields = _installation(rest) if verb == "install" else _removal(rest)
    return by_hand if fields is None else {"kind": verb, **fields, "argv": list(argv)}


def _removal(words: Sequence[str]) -> dict[str, Any] | None:
    names = [word for word in words if word not in ("-y", "--yes")]
    return None if any(name.startswith("-") for name in names) or not names else {"requirements": names}


def _installation(words: Sequence[str]) -> dict[str, Any] | None:
    """Return the fields of an installation, read from the words after "install"; None if there is an option that version 1 never wrote."""
    fields: dict[str, Any] = {"requirements": []}
    rest = list(words)
    no_index = False
    while rest:
        word = rest.pop(0)
        if word in _SWITCHES:
            fields[_SWITCHES[word]] = True
        elif word == "--no-index":
            no_index = True
        elif word == "--find-links" and rest:
            fields["from_folder"] = rest.pop(0)
        elif word == "--index-url" and rest:
            fields["index_url"] = rest.pop(0)
        elif word.startswith("-"):
            return None
        else:
            fields["requirements"].append(word)
    whole = bool(fields["requirements"]) and no_index == ("from_folder" in fields)
    return fields if whole else None
