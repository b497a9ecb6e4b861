"""A package that ultralytics or torch needs is not installed, or importing it fails.

What it is
    A package is installed, but packages that it requires are missing or do not import. `import ultralytics` may work
    nevertheless: new releases of ultralytics import most of their requirements only when they use them. Training then
    stops in its first minutes, or at its end when the results are plotted.

How it shows
    "ModuleNotFoundError: No module named 'matplotlib'", "No module named 'polars'", "No module named 'torchvision'",
    often inside another error: "RuntimeError: Dataset 'data.yaml' error". `pip check` lists the missing packages.

Why it happens
    `pip install --no-deps`; an interrupted installation; a package that was removed by hand or together with another
    package; an environment that was copied.

What to do
    Install all missing packages in one command, so that pip sees all requirements together.

How to reproduce
    `attn-doctor reproduce requirements-missing` installs ultralytics beside torch, without its other requirements. It
    downloads 1 MB, and a CPU build of torch (200 MB) if the target has none.

References
    https://pip.pypa.io/en/stable/cli/pip_check/
    https://docs.ultralytics.com/quickstart/
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import PIP, Packages, Recipe, Torch
from attn_doctor.failure_modes.shared import asked_packages, building, requirements, torch_here, torchvision_cures
from attn_doctor.failure_modes.shared.culprit import culprit
from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.knowledge.modules import MODULE_OF, OF_TRAINING, distribution_of
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Fault, Import, Unknown
from attn_doctor.model.findings import Certainty, Evidence, Fix, Goal, Severity, fact
from attn_doctor.model.machine import tried
from attn_doctor.model.steps import Uninstall

# Modules that only an export or an inference needs.
_EXPORT = (
    "tensorrt",
    "onnx",
    "openvino",
    "onnxruntime",
    "coremltools",
    "tensorflow",
    "ncnn",
)
# Missing modules that another failure mode reports, or that are installed together with another package.
_OTHERS = {"google", "numpy", "setuptools", "torch", "triton"}
_MODULES = sorted({"ultralytics", *OF_TRAINING, *_EXPORT, *MODULE_OF.values()} - _OTHERS)

MODE = FailureMode(
    code="AD215",
    slug="requirements-missing",
    title="A required package is missing, or importing it fails",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
    signs=(
        # importlib.metadata, of which ultralytics asks the version of torchvision while it is imported
        Sign(
            pattern=r"PackageNotFoundError: (?:No package metadata was found for )?(?P<module>torchvision|ultralytics)\s*$",
            literal="PackageNotFoundError",
            sample="importlib.metadata.PackageNotFoundError: No package metadata was found for torchvision",
        ),
        Sign(
            pattern=rf"(?:ModuleNotFoundError: |ImportError: |❌ )No module named '?(?P<module>{'|'.join(_MODULES)})'?\s*$",
            literal="No module named",
            sample="ModuleNotFoundError: No module named 'matplotlib'",
            strength="hint",
        ),
        # A failed export prints one line, and the program goes on: "TensorRT: export failure: No module named 'tensorrt'".
        Sign(
            pattern=rf"export failure\b.{{0,30}}?: No module named '?(?P<module>{'|'.join(_MODULES)})'?(?P<export>)",
            literal="export failure",
            sample="ONNX: export failure ❌ 0.1s: No module named 'onnx'",
            strength="hint",
        ),
        *asked_packages.SIGNS,
        Sign(
            pattern=r"[\\/](?:site|dist)-packages[\\/]ultralytics[\\/][\w\\/]+\.py\"",
            literal="ultralytics",
            sample='File "/home/user/v/lib/python3.11/site-packages/ultralytics/utils/__init__.py", line 27, in <module>',
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="installs ultralytics without its requirements",
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
    """Hold the missing module. `by_ultralytics`: an ultralytics that pip or uv installed tried to import it."""

    module: str
    by_ultralytics: bool


def detect(facts: Facts) -> Hit | None:
    """Find missing requirements, even if no import was tried.

    If the import of ultralytics failed, the finding of that failure explains this finding.
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
        said += " ultralytics itself imports; its functions that need the missing packages fail when they are called."
    return Hit(
        message=said,
        evidence=tuple(_evidence(facts, lack) for lack in lacks[:12]),
        certainty=Certainty.OBSERVED,
        severity=requirements.gravity((lack.name for lack in lacks), imports=imports),
    )


def _broken(facts: Facts) -> Hit | None:
    """Find a requirement that is installed but cannot be imported. ultralytics may import it only when training begins."""
    for index, attempt in enumerate(tried(facts)):
        if not _is_broken(attempt):
            continue
        fault = attempt.fault or Fault(kind="vanished")
        to_blame = culprit(facts, fault, _module(attempt))
        name = _module(attempt) or (to_blame.module if to_blame else "a requirement of ultralytics")
        failed = attempt.failed.rpartition(":")[2] if isinstance(attempt.failed, str) and attempt.failed else name
        evidence = [fact(facts, f"imports.{index}.ok", f"importing {failed}: {message(fault)}")]
        if fault.where and not fault.where.startswith("import "):
            evidence.append(fact(facts, f"imports.{index}.fault", f"at {fault.where}"))
        evidence += [_evidence(facts, lack) for lack in requirements.missing(facts)[:12]]
        return Hit(
            message=f"Importing {failed} fails, and training needs it: {message(fault)}.",
            evidence=tuple(evidence),
            certainty=Certainty.OBSERVED,
            # Without thop a training works; ultralytics catches no other error of its import than ImportError.
            severity=Severity.ERROR
            if attempt.module == "thop"
            else requirements.gravity((distribution_of(name) or name,), imports=_imported(facts)),
        )
    return None


def _is_broken(attempt: Import) -> bool:
    """Return whether a requirement that is imported late does not import. numpy.random is one; numpy itself has failure modes of its own."""
    return attempt.ok is False and (attempt.module in ("requirements", "thop") or attempt.failed == "numpy.random")


def _module(attempt: Import) -> str:
    """Return the top-level module that did not import; "" if the process died before it named the module."""
    return attempt.failed.rpartition(":")[2].partition(".")[0] if isinstance(attempt.failed, str) else ""


def _imported(facts: Facts) -> bool:
    """Return whether an import of ultralytics was tried and worked."""
    return any(attempt.module == "ultralytics" and attempt.ok is True for attempt in tried(facts))


def _failed(facts: Facts) -> bool:
    """Return whether an import of ultralytics was tried and failed."""
    return any(attempt.module == "ultralytics" and attempt.ok is False for attempt in tried(facts))


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Find the missing module that an error names. Modules that are missing in a build are another failure mode."""
    asked = asked_packages.asked(seen)
    raised = [m for m in seen.matches if "module" in m.groups and not building.in_build(seen, m)]
    if asked is not None:
        return Hit(
            message=f"{asked.package} is not installed, and {asked.by or 'the program'} asks for it.",
            evidence=building.lines([asked.match]),
            variant=asked_packages.Asked(package=asked.package, has=asked.has),
            severity=Severity.ERROR,
        )
    if not raised:
        return None
    module = raised[0].groups["module"]
    # If ultralytics itself is missing, the user's program imported it.
    asks = module != "ultralytics" and any(
        m.strength == "context" and m.file == raised[0].file and m.line < raised[0].line for m in seen.matches
    )
    if module in ("packaging", "psutil") and not asks:
        return None  # the setup.py of flash-attn and others imports these: packaging-missing-at-build reports them
    brings = distribution_of(module) or module
    named = module if brings == module else f"{module} ({brings})"
    who = "the export" if any("export" in m.groups for m in raised) else "ultralytics" if asks else "the program"
    gpu = "; TensorRT needs an NVIDIA GPU, and this torch is built without CUDA" if _on_cpu(facts, module) else ""
    return Hit(
        message=f"{named} is not installed, and {who} imports it{gpu}.",
        evidence=building.lines(raised),
        variant=Named(module=module, by_ultralytics=asks),
        severity=Severity.ERROR,
    )


def _on_cpu(facts: Facts, module: str) -> bool:
    """Return whether TensorRT is missing and torch is known to be built without CUDA."""
    return module == "tensorrt" and facts.torch.cuda is None and facts.torch.hip is None


def _evidence(facts: Facts, lack: requirements.Missing) -> Evidence:
    text = f"{lack.asked_by} requires {lack.name}{lack.specifier}, which is not installed"
    return fact(facts, f"packages.conflicts.{lack.place}.requires", text)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    lacks = requirements.missing(facts)
    verify = commands.check(facts)
    if isinstance(hit.variant, asked_packages.Asked):
        return asked_packages.fixes(facts, hit.variant)
    if isinstance(hit.variant, Named) and not lacks:
        return (_named(facts, hit.variant),)
    if isinstance(facts.packages.conflicts, Unknown) and isinstance(facts.imports, Unknown):
        return (_named(facts, Named(module="", by_ultralytics=True)),)
    made = []
    if lacks:
        title = f"Install {lacks[0].name}" if len(lacks) == 1 else f"Install the {len(lacks)} packages that are missing"
        made.append(Fix(title=title, steps=requirements.install(facts, lacks), verify=verify))
    attempt = next(filter(_is_broken, tried(facts)), None)
    if attempt is not None:
        fault = attempt.fault or Fault(kind="vanished")
        to_blame = culprit(facts, fault, _module(attempt))
        name = to_blame.distribution if to_blame else distribution_of(_module(attempt))
        if name is not None and not any(lack.name == name for lack in lacks):
            steps = requirements.afresh(facts, name)
            made.append(Fix(title=f"Install {name} afresh", steps=steps, verify=verify))
    return tuple(made)


def _named(facts: Facts, named: Named) -> Fix:
    """Return the fix for the module that a log names. The error names one module, and others may be missing too.

    So if an installed release of ultralytics imported the module, `pip install ultralytics` is the fix: pip and uv keep that release and
    install all its missing requirements. With a checkout of ultralytics, this would install PyPI's release beside the checkout.
    """
    verify = commands.check(facts)
    if named.module == "torchvision":
        step = torch_here.vision(facts, reinstall=False)
        kept = (one for one in torchvision_cures.kept(facts).steps if not isinstance(one, Uninstall))
        steps = (step,) if step else tuple(kept)
        return Fix(title="Install the torchvision for this torch", steps=steps, verify=verify)
    if named.module == "ultralytics":
        step = commands.install(
            "ultralytics", why="the newest release; pip also installs torch, which it requires", changes="ultralytics"
        )
        return Fix(title="Install ultralytics", steps=(step,), verify=verify)
    if named.by_ultralytics:
        why = "keeps the installed release of ultralytics, and installs all its missing requirements"
        step = commands.install("ultralytics", why=why, changes="adds what ultralytics requires")
        return Fix(title="Install all that ultralytics requires", steps=(step,), verify=verify)
    if named.module == "tensorrt":
        return _tensorrt(facts)
    name = distribution_of(named.module) or named.module
    step = commands.install(name, why=f"contains the module {named.module}", changes=f"adds {name}")
    return Fix(title=f"Install {name}", steps=(step,), verify=verify)


def _tensorrt(facts: Facts) -> Fix:
    """Return the fix for TensorRT: its wheel for PCs and servers, or on a Jetson the one that JetPack installs.

    https://docs.nvidia.com/deeplearning/tensorrt/latest/installing-tensorrt/install-pip.html
    """
    verify = commands.check(facts)
    if facts.system.board == "jetson":
        words = "on a Jetson JetPack installs it for the system's Python: create an environment that sees it with /usr/bin/python3 -m venv --system-site-packages"
        return Fix(
            title="Use the tensorrt of JetPack", steps=(commands.by_hand((), words, "the environment"),), verify=verify
        )
    look = commands.by_hand(
        (
            *commands.starting(facts),
            "-c",
            "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())",
        ),
        "the last word has to be True: else TensorRT cannot build an engine with this torch; install a torch for CUDA first (https://pytorch.org/get-started/locally/)",
        "nothing",
        "none",
    )
    step = commands.install(
        "tensorrt",
        why="contains the module tensorrt; then export with device=0 (--device 0)",
        changes="adds tensorrt",
        takes="2 GB",
    )
    return Fix(title="Install tensorrt, with a torch that sees the GPU", steps=(look, step), verify=verify)
