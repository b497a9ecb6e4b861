"""Answer the tools of `attn-doctor mcp`.

Each tool runs attn-doctor itself in a child, reads its JSON, and returns the part for an agent. A child is needed, because the
server's standard output carries the protocol, and an examination has its own signals and processes. `--json -` removes private
data, so nothing private reaches the agent. Every answer has at most MOST characters; it names the parts that were left out.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any, Literal

from attn_doctor.errors import FINDINGS, NOT_EXAMINED, OK, NotExamined

MOST = 24_000  # characters of an answer, about 6,000 tokens
_LOG = 4 << 20  # characters of a log that a tool accepts
_SECONDS = {"static": 60, "no-trial": 300, "trial": 900}
Mode = Literal["static", "no-trial", "trial"]
Goal = Literal["train", "flash-attn"]


class Failed(NotExamined):
    """Report why a tool has no answer. The text is for the agent."""


class Tools:
    """Answer the tools: each method is one tool. All raise Failed if there is no answer.

    `target`: the Python to examine; None: the active environment.
    """

    def __init__(self, target: str | None) -> None:
        self._target = [] if target is None else ["--target", target]

    async def check(self, mode: Mode, goal: Goal | None, facts: Sequence[str]) -> dict[str, Any]:
        how = {"static": ["--static"], "no-trial": ["--no-trial"], "trial": []}[mode]
        wanted = [] if goal is None else ["--goal", goal]
        return bounded(_of_report(await self._json(["check", *how, *wanted, *self._target], _SECONDS[mode]), facts))

    async def diagnose(self, text: str, goal: Goal | None) -> dict[str, Any]:
        if len(text) > _LOG:
            raise Failed(f"the text has {len(text)} characters, and at most {_LOG} are read: send its last part")
        wanted = [] if goal is None else ["--goal", goal]
        found = await self._json(["diagnose", "-", *wanted], 120, text)
        return bounded(
            {
                "findings": [_finding(one) for one in found["findings"]],
                "unrecognised": found["unrecognised"],
                "undetermined": [_undetermined(one) for one in found["undetermined"]],
            }
        )

    async def explain(self, name: str) -> str:
        page = await self._text(["explain", "--markdown", "-", "--", name], 60)
        return page if len(page) <= MOST else f"{page[:MOST]}\n[{len(page) - MOST} more characters left out]"

    async def wheels(self, given: dict[str, str | None]) -> dict[str, Any]:
        options = [word for name, value in given.items() if value for word in (f"--{name}", value)]
        found = await self._json(["wheels", *options, *self._target], 120)
        return bounded({key: found[key] for key in sorted(found, key=lambda key: key == "candidates")})

    async def compare(self, before: str, after: str) -> dict[str, Any]:
        return bounded(await self._json(["compare", "--fail-on", "never", "--", before, after], 60))

    async def _json(self, words: Sequence[str], seconds: float, text: str = "") -> Any:
        # The options come before "--", after which all words are names.
        place = words.index("--") if "--" in words else len(words)
        return json.loads(await self._text([*words[:place], "--json", "-", *words[place:]], seconds, text))

    async def _text(self, words: Sequence[str], seconds: float, text: str = "") -> str:
        """Return the standard output of a command. Raises Failed if it gave no answer."""
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "attn_doctor",
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            answer, said = await asyncio.wait_for(running.communicate(text.encode()), seconds)
        except asyncio.TimeoutError as error:
            raise Failed(f"it took longer than {seconds:g} s, and was ended") from error
        finally:
            if running.returncode is None:  # late, or the agent does not wait for the answer any more
                running.terminate()  # attn-doctor then ends what it started
                await running.wait()
        if running.returncode in (OK, FINDINGS) or (running.returncode == NOT_EXAMINED and answer.strip()):
            return answer.decode("utf-8", "replace")
        raise Failed(_clean(said.decode("utf-8", "replace")))


def _clean(said: str) -> str:
    """Return the last lines of standard error without private data."""
    from attn_doctor.report.gate import Gate

    return Gate().text("\n".join(said.strip().splitlines()[-3:]) or "it gave no answer")


def _of_report(report: dict[str, Any], facts: Sequence[str]) -> dict[str, Any]:
    known = report["facts"]
    unknown = [name for name in facts if name not in known]
    if unknown:
        raise Failed(f"there are no facts called {', '.join(unknown)}; there are {', '.join(known)}")
    return {
        "outcome": report["outcome"],
        "exit_code": report["exit_code"],
        "goal": report["goal"],
        "target": report["target"],
        "seen_to_work": report["seen"],
        "findings": [_finding(one) for one in report["findings"]],
        "recommendation": report["recommendation"],
        "not_examined": report["unexamined"],
        "undetermined": [_undetermined(one) for one in report["undetermined"]],
        "trials_skipped": report["trials_skipped"],
        "trials": [_row(row) for row in report["trials"]],
        "facts": {name: known[name] for name in facts},
    }


def _finding(finding: dict[str, Any]) -> dict[str, Any]:
    """Return a finding with its commands as words, and without the fields that only a program needs."""
    kept = ("code", "slug", "severity", "certainty", "root_cause", "explained_by", "message")
    return {
        **{key: finding[key] for key in kept},
        "evidence": [one["text"] for one in finding["evidence"][:3]],
        "fixes": [
            {"title": fix["title"], "steps": [_step(step) for step in fix["steps"]]} for fix in finding["fixes"][:3]
        ],
    }


def _step(step: dict[str, Any]) -> dict[str, Any]:
    return {key: step[key] for key in ("kind", "argv", "name", "value", "why", "risk") if step.get(key)}


def _undetermined(one: dict[str, Any]) -> dict[str, Any]:
    return {key: one[key] for key in ("code", "slug", "why")}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    kept = ("backend", "dtype", "status", "reason", "forward_ms", "step_ms", "peak_bytes", "output_error")
    return {key: row[key] for key in kept if row.get(key) is not None}


def bounded(answer: dict[str, Any], most: int = MOST) -> dict[str, Any]:
    """Return the answer, shortened to at most `most` characters of JSON; the entry "left_out" is added to these.

    The last list is shortened first. If that is not enough, lists and objects are left out completely, the last one
    first. "left_out": for each of them, how many entries are missing; absent if nothing is missing.
    """
    left_out: dict[str, int] = {}
    made = dict(answer)
    for key in reversed(list(made)):
        while isinstance(made[key], list) and len(made[key]) > 1 and _size(made) > most:
            kept = len(made[key]) // 2
            left_out[key] = left_out.get(key, 0) + len(made[key]) - kept
            made[key] = made[key][:kept]
    for key in reversed(list(made)):
        if _size(made) > most and isinstance(made[key], list | dict):
            left_out[key] = left_out.get(key, 0) + len(made.pop(key))
    return {**made, "left_out": left_out} if left_out else made


def _size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False))
