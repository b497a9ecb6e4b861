"""Something that ultralytics or torch needs is not installed, or does not import.

What it is
    A package is installed, and packages that it declares as its requirements are not, or do not import. Importing it may work
    all the same: new releases of ultralytics import most of what they need at its first use. Training then stops in its first
    minutes, or at its end when the results are plotted.

How it shows
    "ModuleNotFoundError: No module named 'matplotlib'", "No module named 'polars'", "No module named 'torchvision'", often wrapped:
    "RuntimeError: Dataset 'data.yaml' error". `pip check` lists them.

Why it happens
    `pip install --no-deps`, an installation that was interrupted, a package that was removed by hand or with another one, an
    environment that was copied.

What to do
    Install all missing packages in one command, so that the resolver sees all requirements.

How to reproduce
    `attn-doctor reproduce requirements-missing` installs ultralytics beside torch, without what else it needs. It downloads 1 MB, and a
    CPU build of torch (200 MB) where the target has none.

References
    https://pip.pypa.io/en/stable/cli/pip_check/
    https://docs.ultralytics.com/quickstart/
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import PIP, Packages, Recipe, Torch
from attn_doctor.failure_modes.shared import building, requirements, torch_here
from attn_doctor.failure_modes.shared.culprit import culprit
from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.knowledge.modules import MODULE_OF, OF_TRAINING, distribution_of
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Fault, Import
from attn_doctor.model.findings import Certainty, Evidence, Fix, Goal, Severity, fact
from attn_doctor.model.machine import tried

# A log names one module that is missing. These are failure modes of their own, or other builds bring them.
_EXPORT = (
    "tensorrt",
    "onnx",
    "openvino",
    "onnxruntime",
    "coremltools",
    "tensorflow",
    "ncnn",
)  # an export or an inference needs it
_OTHERS = {"google", "numpy", "setuptools", "torch", "triton"}
_MODULES = sorted({"ultralytics", *OF_TRAINING, *_EXPORT, *MODULE_OF.values()} - _OTHERS)

MODE = FailureMode(
    code="AD215",
    slug="requirements-missing",
    title="A requirement is missing, or does not import",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
    signs=(
        Sign(
            pattern=rf"(?:ModuleNotFoundError: |ImportError: |❌ )No module named '?(?P<module>{'|'.join(_MODULES)})'?\s*$",
            literal="No module named",
            sample="ModuleNotFoundError: No module named 'matplotlib'",
            strength="hint",
        ),
        # An export that fails prints one line, and the program goes on: "TensorRT: export failure: No module named 'tensorrt'".
        Sign(
            pattern=rf"export failure\b.{{0,30}}?: No module named '?(?P<module>{'|'.join(_MODULES)})'?(?P<export>)",
            literal="export failure",
            sample="ONNX: export failure ❌ 0.1s: No module named 'onnx'",
            strength="hint",
        ),
        Sign(
            pattern=r"[\\/](?:site|dist)-packages[\\/]ultralytics[\\/][\w\\/]+\.py\"",
            literal="ultralytics",
            sample='File "/home/user/v/lib/python3.11/site-packages/ultralytics/utils/__init__.py", line 27, in <module>',
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="installs ultralytics without what it needs",
        of=(
            Torch(),
            Packages(requirements=("ultralytics==8.4.190",), megabytes=2, options=("--no-deps",)),
        ),
        run=((*PIP, "check"),),
        shows="requires matplotlib, which is not installed",
        examine=("--static",),
        goal=Goal.TRAIN,
        seconds=15,
    ),
)


class Named(Variant, frozen=True, kw_only=True):
    """Name the module that an error says is missing, and whether an ultralytics that pip or uv installed imported it."""

    module: str
    by_ultralytics: bool


def detect(facts: Facts) -> Hit | None:
    """Find missing requirements, whether or not anything was imported.

    Where importing ultralytics failed, that finding explains this one.
    """
    return _broken(facts) or _missing(facts)


def _missing(facts: Facts) -> Hit | None:
    lacks = requirements.missing(facts)
    if not lacks:
        return None
    askers = {lack.asked_by for lack in lacks}
    asker = askers.pop() if len(askers) == 1 else "The installed packages"
    said = f"{asker} need{'s' if asker[0].islower() else ''} {requirements.listed(lacks)}, not installed here."
    imports = facts.torch.importable is True and not _failed(facts)
    if imports:
        said += " ultralytics imports all the same; the functions that need it fail when they are called."
    return Hit(
        message=said,
        evidence=tuple(_evidence(facts, lack) for lack in lacks[:12]),
        certainty=Certainty.OBSERVED,
        severity=requirements.gravity((lack.name for lack in lacks), imports=imports),
    )


def _broken(facts: Facts) -> Hit | None:
    """Find a requirement that is installed and does not import: ultralytics may import it only when training needs it."""
    for index, attempt in enumerate(tried(facts)):
        if attempt.module != "requirements" or attempt.ok is not False:
            continue
        fault = attempt.fault or Fault(kind="vanished")
        to_blame = culprit(facts, fault, _module(attempt))
        name = _module(attempt) or (to_blame.module if to_blame else "a requirement of ultralytics")
        evidence = [fact(facts, f"imports.{index}.ok", f"importing {name}: {message(fault)}")]
        if fault.where and not fault.where.startswith("import "):
            evidence.append(fact(facts, f"imports.{index}.fault", f"at {fault.where}"))
        evidence += [_evidence(facts, lack) for lack in requirements.missing(facts)[:12]]
        return Hit(
            message=f"{name} does not import, and training needs it: {message(fault)}.",
            evidence=tuple(evidence),
            certainty=Certainty.OBSERVED,
            severity=requirements.gravity((distribution_of(name) or name,), imports=_imported(facts)),
        )
    return None


def _module(attempt: Import) -> str:
    """Return the top-level module that did not import; "" where the process died before it could say."""
    return attempt.failed.partition(".")[0] if isinstance(attempt.failed, str) else ""


def _imported(facts: Facts) -> bool:
    """Say whether ultralytics was seen to import."""
    return any(attempt.module == "ultralytics" and attempt.ok is True for attempt in tried(facts))


def _failed(facts: Facts) -> bool:
    """Say whether importing ultralytics was tried and failed."""
    return any(attempt.module == "ultralytics" and attempt.ok is False for attempt in tried(facts))


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Find the module that an error names. A build that misses one is a failure mode of its own."""
    raised = [m for m in seen.matches if m.strength == "hint" and not building.in_build(seen, m)]
    if not raised:
        return None
    module = raised[0].groups["module"]
    # ultralytics that is missing itself is asked for by the program.
    asks = module != "ultralytics" and any(
        m.strength == "context" and m.file == raised[0].file and m.line < raised[0].line for m in seen.matches
    )
    if module in ("packaging", "psutil") and not asks:
        return None  # setup.py of flash-attn and others import these: packaging-missing-at-build
    brings = distribution_of(module) or module
    named = module if brings == module else f"{module} ({brings})"
    who = "the export" if any("export" in m.groups for m in raised) else "ultralytics" if asks else "the program"
    gpu = (
        "; an engine of TensorRT is built on an NVIDIA GPU alone, and this torch sees none"
        if _on_cpu(facts, module)
        else ""
    )
    return Hit(
        message=f"{named} is not installed there, and {who} imports it{gpu}.",
        evidence=building.lines(raised),
        variant=Named(module=module, by_ultralytics=asks),
        severity=Severity.ERROR,
    )


def _on_cpu(facts: Facts, module: str) -> bool:
    """Say whether TensorRT is asked for where torch is known to be built without CUDA."""
    return module == "tensorrt" and facts.torch.cuda is None and facts.torch.hip is None


def _evidence(facts: Facts, lack: requirements.Missing) -> Evidence:
    text = f"{lack.asked_by} requires {lack.name}{lack.specifier}, which is not installed"
    return fact(facts, f"packages.conflicts.{lack.place}.requires", text)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    lacks = requirements.missing(facts)
    verify = commands.check(facts)
    if isinstance(hit.variant, Named) and not lacks:
        return (_named(facts, hit.variant),)
    made = []
    if lacks:
        title = f"Install {lacks[0].name}" if len(lacks) == 1 else f"Install the {len(lacks)} packages that are missing"
        made.append(Fix(title=title, steps=requirements.install(facts, lacks), verify=verify))
    attempt = (
        next((a for a in facts.imports if a.module == "requirements"), None)
        if isinstance(facts.imports, tuple)
        else None
    )
    if attempt is not None and attempt.ok is False:
        fault = attempt.fault or Fault(kind="vanished")
        to_blame = culprit(facts, fault, _module(attempt))
        name = to_blame.distribution if to_blame else distribution_of(_module(attempt))
        if name is not None and not any(lack.name == name for lack in lacks):
            steps = requirements.afresh(facts, name)
            made.append(Fix(title=f"Install {name} afresh", steps=steps, verify=verify))
    return tuple(made)


def _named(facts: Facts, named: Named) -> Fix:
    """Return the fix for the module that a log names. Its error names one, and others may be missing as well.

    pip and uv leave a release that is there as it is, and install all that it requires and that is missing. A checkout
    of ultralytics is not installed so: PyPI's release would come beside it.
    """
    verify = commands.check(facts)
    if named.module == "torchvision":
        step = torch_here.vision(facts, reinstall=False)
        if step is None:
            words = "install the torchvision that belongs to your torch: https://github.com/pytorch/vision#installation"
            step = commands.by_hand((), words, "adds torchvision")
        return Fix(title="Install the torchvision of this torch", steps=(step,), verify=verify)
    if named.module == "ultralytics":
        step = commands.install(
            "ultralytics", why="the newest release; it needs torch, and brings it", changes="ultralytics"
        )
        return Fix(title="Install ultralytics", steps=(step,), verify=verify)
    if named.by_ultralytics:
        why = "the release of ultralytics that is there stays; all that it requires and that is missing is installed"
        step = commands.install("ultralytics", why=why, changes="adds what ultralytics requires")
        return Fix(title="Install all that ultralytics requires", steps=(step,), verify=verify)
    if named.module == "tensorrt":
        return _tensorrt(facts)
    name = distribution_of(named.module) or named.module
    step = commands.install(name, why=f"brings the module {named.module}", changes=f"adds {name}")
    return Fix(title=f"Install {name}", steps=(step,), verify=verify)


def _tensorrt(facts: Facts) -> Fix:
    """Return the fix for TensorRT, whose wheels are for one CUDA major each. On a Jetson it comes with JetPack.

    https://docs.nvidia.com/deeplearning/tensorrt/latest/installing-tensorrt/install-pip.html
    """
    verify = commands.check(facts)
    if facts.system.board == "jetson":
        words = "on a Jetson it comes with JetPack: make the environment with /usr/bin/python3 -m venv --system-site-packages, which sees it"
        return Fix(
            title="Use the tensorrt of JetPack", steps=(commands.by_hand((), words, "the environment"),), verify=verify
        )
    look = commands.by_hand(
        (
            *commands.starting(facts),
            "-c",
            "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())",
        ),
        "it has to print True: with any other answer no engine can be built with this torch; install one for CUDA first (https://pytorch.org/get-started/locally/)",
        "nothing",
        "none",
    )
    step = commands.install(
        "tensorrt",
        why="brings the module tensorrt; then export with device=0 (--device 0)",
        changes="adds tensorrt",
        takes="2 GB",
    )
    return Fix(title="Install tensorrt, for a torch that sees the GPU", steps=(look, step), verify=verify)
