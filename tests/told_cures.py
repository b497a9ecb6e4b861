"""What `attn-doctor diagnose` says of a log: the first root cause, and the lines of its cures. For tests of cures."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple


class Told(NamedTuple):
    """Hold the first root cause of a log: its slug, its message, and for each cure its title, its commands and its words."""

    slug: str | None
    message: str
    titles: list[str]
    lines: list[list[str]]  # a list of command lines for each cure
    words: str  # all of the cures, one text


def told(log: str) -> Told:
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", "diagnose", "-", "--json", "-"],
        input=log,
        capture_output=True,
        text=True,
        timeout=60,
    )
    root = next((f for f in json.loads(done.stdout)["findings"] if f["root_cause"]), None)
    if root is None:
        return Told(None, "", [], [], "")
    fixes = root["fixes"]
    lines = [[" ".join(step["argv"]) for step in fix["steps"] if step.get("argv")] for fix in fixes]
    return Told(root["slug"], root["message"], [fix["title"] for fix in fixes], lines, json.dumps(fixes))
