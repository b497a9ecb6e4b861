"""Ask the target's own installer which changes a step makes: run its dry run and read the answer. Nothing is changed.

The installer contacts its index, as it would for the real step; attn-doctor itself opens no connection.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlparse

from packaging.utils import canonicalize_name

from attn_doctor import child
from attn_doctor.commands.installers import Context, of_packages
from attn_doctor.fixes.plan import Change
from attn_doctor.knowledge.rows import Row
from attn_doctor.knowledge.tables import load
from attn_doctor.knowledge.torch_choice import index_of_build
from attn_doctor.model.steps import Install, Uninstall, name_of
from attn_doctor.model.versions import local
from attn_doctor.model.versions import parse as version
from attn_doctor.probes.ask import QUIET
from attn_doctor.system import current_folder

# Packages with only large wheels: an installer that downloads for a dry run is asked about them with --online only.
_REPORT = 32 << 20  # bytes: pip's report holds the README of every package
_LARGE = re.compile(r"torch|torchvision|flash-attn|xformers|triton|nvidia-.*|vllm.*")
_NOT_REACHED = re.compile(
    r"(?i)Retrying \(|Could not fetch URL|connection broken|Failed to fetch|error sending request|Temporary failure in name resolution|"
    r"client error \(Connect\)|tcp connect error|dns error"
)
_IMPOSSIBLE = re.compile(
    r"No matching distribution found|ResolutionImpossible|conflicting dependencies|No solution found|Requires-Python"
)
_NETWORK = (
    (r"proxy", "the proxy refuses, or does not answer"),
    (
        r"certificate",
        "its certificate is not trusted (set PIP_CERT, or SSL_CERT_FILE for uv, to the certificate file of the proxy)",
    ),
    (
        r"name resolution|Name or service|getaddrinfo|dns error",
        "its name cannot be resolved: there is no network here, or no DNS",
    ),
    (r"refused", "the connection is refused"),
    (r"timed? ?out", "it does not answer in time"),
    (r"unreachable", "the network is unreachable"),
)
_UV_LINE = re.compile(r"^\s*([-+~]) ([A-Za-z0-9][\w.-]*)==(\S+)", re.MULTILINE)


class InstallerFeature(Row, frozen=True, kw_only=True):
    """Describe a feature of an installer, and the first version that has it."""

    TABLE = "installers"

    installer: str
    feature: str
    since: str


class Resolved(NamedTuple):
    """Hold the resolver's answer. `changes` is None if there is no answer; then `why` is a sentence with the reason.

    `impossible`: the resolver reached its index, and no versions meet the requirements. `download_bytes`: None if not
    known. `urls`: the files that pip would install. `output`: what the installer printed, if there is no answer.
    """

    changes: tuple[Change, ...] | None
    why: str | None = None
    impossible: bool = False
    download_bytes: int | None = None
    urls: tuple[str, ...] = ()
    output: str = ""


def since(feature: str, installer: str = "pip") -> str:
    """Return the first version of an installer that has a feature of the table: "22.2" for "dry-run" of pip."""
    return next(r.since for r in load(InstallerFeature) if (r.installer, r.feature) == (installer, feature))


def resolve(
    step: Install | Uninstall,
    have: Mapping[str, str],
    *,
    pip: str | None,
    deadline: float,
    environment: Mapping[str, str],
    downloads: bool = False,
) -> Resolved:
    """Return the changes that a step, rendered for pip or uv, would make.

    `have`: normal name -> version now. `pip`: version of the target's pip. `environment`: all variables of the installer's
    process. `downloads`: ask an old pip too, although its dry run downloads whole wheels. `deadline`: seconds.
    """
    if isinstance(step, Uninstall):
        gone = [Change(package=n, before=have[n], after=None) for n in step.names() if n in have]
        return Resolved(tuple(gone), download_bytes=0)
    argv = step.argv
    if argv[0] == "uv":
        return _uv(argv, have, deadline, environment)
    refused = _refused(step, pip, downloads)
    if refused:
        return Resolved(None, refused)
    asked, cwd = current_folder.guarded([*argv, "--dry-run", "--quiet", "--report", "-"], current_folder.where())
    answer = child.command(
        asked,
        cwd=cwd,
        deadline=deadline,
        environ={**environment, **QUIET, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        most=_REPORT,
        largest_file=None,  # an old pip downloads whole wheels
    )
    if answer.fault:
        return _no_answer(answer, "pip", deadline)
    try:
        return _from_report(json.loads(answer.stdout), have)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Resolved(None, f"what pip reported cannot be read ({error})", output=answer.stdout)


def _refused(step: Install, pip: str | None, downloads: bool) -> str | None:
    have = version(pip) if pip else None
    if have is None:
        return "this environment has no pip that could be asked"
    first, lean = version(since("dry-run")), version(since("dry-run-reads-metadata-only"))
    if first and have < first:
        return f"pip {pip} has no dry run ({since('dry-run')} brought it)"
    if lean and have < lean and not downloads and any(_LARGE.fullmatch(name) for name in step.names()):
        return (
            f"pip {pip} would download whole wheels to answer ({since('dry-run-reads-metadata-only')} and newer do not): "
            "--online allows this, --verify tries the step in a copy"
        )
    return None


def _from_report(report: Mapping[str, Any], have: Mapping[str, str]) -> Resolved:
    changes, urls = [], []
    for item in report.get("install", ()):
        name = canonicalize_name(item["metadata"]["name"])
        changes.append(Change(package=name, before=have.get(name), after=item["metadata"]["version"]))
        urls.append(item["download_info"]["url"])
    return Resolved(tuple(changes), download_bytes=_local_bytes(urls), urls=tuple(urls))


def _local_bytes(urls: Sequence[str]) -> int | None:
    """Return the total bytes of these files if all of them are on this machine; else None."""
    total = 0
    for url in urls:
        parts = urlparse(url)
        path = Path(unquote(parts.path))
        if parts.scheme != "file" or not path.is_file():
            return None
        total += path.stat().st_size
    return total


def _uv(argv: Sequence[str], have: Mapping[str, str], deadline: float, environment: Mapping[str, str]) -> Resolved:
    lock = _lock_of_uv(argv)
    was_there = lock is not None and os.path.lexists(lock)
    answer = child.command(
        [*argv, "--dry-run", "--color", "never"],
        deadline=deadline,
        environ={**environment, **QUIET},
        cwd=current_folder.where(),  # uv reads the settings of the project here
        most=_REPORT,
        largest_file=None,
    )
    if lock is not None and not was_there:
        lock.unlink(missing_ok=True)
    if answer.fault:
        return _no_answer(answer, "uv", deadline)
    return Resolved(tuple(_from_uv(answer.stderr + answer.stdout, have)))


def _lock_of_uv(argv: Sequence[str]) -> Path | None:
    """Return the lock file that uv makes in an environment, even for a dry run, and does not remove."""
    named = [argv[at + 1] for at, word in enumerate(argv[:-1]) if word == "--python"]
    return Path(named[0]).parent.parent / ".lock" if named else None


def _from_uv(text: str, have: Mapping[str, str]) -> Iterator[Change]:
    """Read the output of uv: "- name==1.0" is removed, "+ name==2.0" is installed, "~ name==1.0" is installed again."""
    gone: dict[str, str] = {}
    come: dict[str, str] = {}
    for sign, name, number in _UV_LINE.findall(text):
        if sign in "-~":
            gone[canonicalize_name(name)] = number
        if sign in "+~":
            come[canonicalize_name(name)] = number
    for name in dict.fromkeys([*come, *gone]):
        yield Change(package=name, before=gone.get(name) or have.get(name), after=come.get(name))


def _no_answer(answer: child.Finished, name: str, deadline: float) -> Resolved:
    """Return the reason why the installer gave no plan, in one sentence, and whether no plan can exist."""
    fault = answer.fault
    if fault and fault.kind in ("timeout", "vanished"):
        return Resolved(None, f"{name} gave no answer in {deadline:.0f} s")
    if fault and fault.kind == "flooded":
        return Resolved(None, f"{name} printed without end, and was ended")
    if fault and fault.kind == "raised":
        return Resolved(None, f"{name} cannot be started: {fault.message}")
    lines = [line.strip() for line in answer.stderr.splitlines() if line.strip()]
    said = [line for line in lines if re.match(r"(?i)(?:error|×)[: ]", line)] or lines
    # If pip does not reach its index, its last line still blames the requirement (no matching distribution).
    network = next((line for line in lines if _NOT_REACHED.search(line)), None)
    if network:
        return Resolved(None, f"{name} does not reach its index: {_reason(network)}", output=answer.stderr)
    words = f"{name} says: {said[-1][:300]}" if said else f"{name} ended with exit code {answer.returncode}"
    return Resolved(None, words, bool(_IMPOSSIBLE.search(answer.stderr)), output=answer.stderr)


def _reason(line: str) -> str:
    """Return the innermost reason of the message that pip and uv print for a failed connection."""
    for pattern, words in _NETWORK:
        if re.search(pattern, line, re.IGNORECASE):
            return words
    return line[:200]


def by_hand(changes: Sequence[Change], here: Context) -> tuple[tuple[str, ...], ...]:
    """Return the commands that undo changes: they install the earlier versions, and remove the added packages."""
    before = tuple(f"{c.package}=={c.before}" for c in changes if c.before is not None)
    added = tuple(c.package for c in changes if c.before is None)
    index = next((index_of_build(c.before) for c in changes if c.before is not None and local(c.before)), None)
    made: list[Install | Uninstall] = []
    if before:
        made.append(Install(requirements=before, reinstall=True, no_deps=True, index_url=index, why="", changes=""))
    if added:
        made.append(Uninstall(requirements=added, why="", changes=""))
    return tuple(of_packages(here).rendered(step).argv for step in made)


def wanted(step: Install) -> dict[str, str]:
    """Return normal name -> requirement for the packages that a step names. Addresses of wheels are left out."""
    return {name: text for text in step.requirements if (name := name_of(text)) and not text.endswith(".whl")}
