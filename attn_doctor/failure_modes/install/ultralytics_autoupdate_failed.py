"""Ultralytics tried to install a package itself, and failed.

What it is
    While it runs, Ultralytics installs packages that a task needs with pip (onnx for an export, lap for tracking, a
    newer version of a requirement). The installation failed, or Ultralytics skipped it because there is no network.

How it shows
    "requirements: Ultralytics requirement ['onnx>=1.12.0'] not found, attempting AutoUpdate...", then "requirements: ❌ AutoUpdate skipped
    (offline)", or "requirements: ❌ Command 'pip install --no-cache-dir ...' returned non-zero exit status 1.", "AutoUpdate disabled by
    YOLO_AUTOINSTALL=False". The error of the import follows.

Why it happens
    The package index cannot be reached (a cluster's node, a company's proxy); or the environment has no pip (uv,
    PDM); or the user cannot write to the environment.

What to do
    Install the named package yourself, with the tool that manages this environment, on a machine with a network.
    YOLO_AUTOINSTALL=false stops these attempts of Ultralytics.

How to reproduce
    `attn-doctor reproduce ultralytics-autoupdate-failed` lets ultralytics install a missing package without a
    network. It needs ultralytics in the target, and a machine that lets users create namespaces. With a network,
    `YOLO_AUTOINSTALL=false yolo export model=yolo12n.yaml format=onnx` without onnx shows the last of these
    sentences.

References
    https://docs.ultralytics.com/quickstart/
    https://docs.ultralytics.com/reference/utils/checks/
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Network, Recipe, Torch, Variable
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Goal, Severity
from attn_doctor.model.steps import name_of

MODE = FailureMode(
    code="AD219",
    slug="ultralytics-autoupdate-failed",
    title="Ultralytics could not install a package itself",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("network-proxy-ssl", "requirements-missing", "no-matching-distribution"),
    signs=(
        Sign(
            pattern=r"AutoUpdate skipped \(offline\)",
            literal="AutoUpdate skipped (offline)",
            sample="requirements: ❌ AutoUpdate skipped (offline)",
        ),
        Sign(
            pattern=r"requirements: ❌ Command '(?:uv )?pip install .{1,300}' (?:returned non-zero exit status|timed out)",
            literal="requirements: ❌ Command '",
            sample="requirements: ❌ Command 'pip install --no-cache-dir \"onnx>=1.12.0\" ' returned non-zero exit status 1.",
        ),
        Sign(
            pattern=r"AutoUpdate disabled by YOLO_AUTOINSTALL=False",
            literal="AutoUpdate disabled by YOLO_AUTOINSTALL",
            sample="requirements: Ultralytics requirement ['lap>=0.5.12'] not found, AutoUpdate disabled by YOLO_AUTOINSTALL=False",
        ),
        Sign(
            pattern=r"Ultralytics requirements? \[(?P<packages>['\"][^\]]{1,400})\] not found",
            literal="Ultralytics requirement",
            sample="requirements: Ultralytics requirements ['onnx>=1.12.0', 'onnxslim>=0.1.59'] not found, attempting AutoUpdate...",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="lets ultralytics install a missing package without a network",
        of=(
            Torch(besides=("ultralytics",)),
            Variable(name="YOLO_OFFLINE", value=None),
            Variable(name="YOLO_AUTOINSTALL", value="true"),
            Network(kind="none"),
        ),
        run=(
            (
                "{python}",
                "-c",
                "from ultralytics.utils.checks import check_requirements; check_requirements('attn-doctor-nowhere')",
            ),
        ),
        shows="AutoUpdate skipped|requirements: ",
        goal=Goal.TRAIN,
        seconds=15,
    ),
)


class Wanted(Variant, frozen=True, kw_only=True):
    """Hold the requirements that Ultralytics tried to install; empty if the log does not contain that line."""

    packages: tuple[str, ...]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs:
        return None  # an installation began, and no line says that it failed
    named = tuple(re.findall(r"['\"]([^'\"]+)['\"]", seen.group("packages") or ""))
    packages = tuple(text for text in named if name_of(text))
    what = " and ".join(packages) or "a package"
    return Hit(
        message=f"Ultralytics tried to install {what} itself, and failed.",
        evidence=tuple(e for e in evidence if e.line in {m.line for m in proofs}) or evidence,
        variant=Wanted(packages=packages),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    packages = hit.variant.packages if isinstance(hit.variant, Wanted) else ()
    stop = commands.variable(
        "YOLO_AUTOINSTALL",
        "false",
        "Ultralytics then only prints the name of a missing package, and installs nothing itself",
    )
    if not packages:
        return (Fix(title="Let Ultralytics name the missing package", steps=(stop,), verify=commands.check(facts)),)
    install = commands.install(
        *packages,
        why="the requirements of Ultralytics, with the installer of this environment. If there is no network, download them on another machine "
        "(pip download) and install from that folder with --no-index --find-links",
        changes=", ".join(packages),
    )
    return (Fix(title="Install what Ultralytics asks for", steps=(install, stop), verify=commands.check(facts)),)
