"""A package that ultralytics reports a training to raises an error when it is imported.

What it is
    At the start of a training, ultralytics imports the loggers that are installed and switched on in its settings: ClearML, Comet, DVCLive,
    MLflow, Neptune, Ray Tune, TensorBoard, Weights & Biases. If a logger is missing, ultralytics goes on without it. If a logger is installed
    and its import raises another error than ImportError, the training ends. `import ultralytics` and a prediction work.

How it shows
    A traceback with a frame in ".../ultralytics/utils/callbacks/wb.py" (or clearml.py, comet.py, dvc.py, mlflow.py, neptune.py, raytune.py,
    tensorboard.py), "in <module>", and often "AttributeError: `np.float_` was removed in the NumPy 2.0 release" or "TypeError: Descriptors
    cannot be created directly" at its end.

Why it happens
    The logger is older than NumPy, protobuf, pydantic or Python here, or its files are damaged. Often it was installed long ago, for another program.

What to do
    Switch the logger off in the settings of ultralytics. Or upgrade the logger.

How to reproduce
    There is no recipe: it needs an old logger beside a torch that imports. In an environment of your own, install wandb==0.13.3 beside
    NumPy 2, type `yolo settings wandb=True`, and train.

References
    https://docs.ultralytics.com/quickstart/#ultralytics-settings
    https://docs.ultralytics.com/integrations/
    https://github.com/ultralytics/ultralytics/blob/main/ultralytics/utils/callbacks/base.py
"""

from __future__ import annotations

from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import requirements
from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Fault
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried


class _Package(NamedTuple):
    name: str  # for people
    distribution: str
    setting: str  # in the settings of ultralytics


# module of ultralytics.utils.callbacks -> the logger that it imports
_LOGGERS = {
    "clearml": _Package("ClearML", "clearml", "clearml"),
    "comet": _Package("Comet", "comet-ml", "comet"),
    "dvc": _Package("DVCLive", "dvclive", "dvc"),
    "mlflow": _Package("MLflow", "mlflow", "mlflow"),
    "neptune": _Package("Neptune", "neptune", "neptune"),
    "raytune": _Package("Ray Tune", "ray", "raytune"),
    "tensorboard": _Package("TensorBoard", "tensorboard", "tensorboard"),
    "wb": _Package("Weights & Biases", "wandb", "wandb"),
}
_DAMAGE = ("SyntaxError", "IndentationError", "TabError")

MODE = FailureMode(
    code="AD371",
    slug="logger-import-fails",
    title="A logger that ultralytics loads cannot be imported, and training ends",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("name-of-another-release", "numpy-abi"),
    signs=(
        Sign(
            pattern=rf"[\\/]ultralytics[\\/]utils[\\/]callbacks[\\/](?P<logger>{'|'.join(_LOGGERS)})\.py\"?, line \d{{1,4}}(?:, in(?: <module>)?)?\s*$",
            literal="callbacks",
            sample='File "/v/lib/python3.11/site-packages/ultralytics/utils/callbacks/wb.py", line 8, in <module>',
        ),
    ),
)


class Logger(Variant, frozen=True, kw_only=True):
    """Hold the module of ultralytics.utils.callbacks that imports the logger: "wb". `damaged`: Python cannot read a file of the logger."""

    module: str
    damaged: bool = False


def detect(facts: Facts) -> Hit | None:
    for index, attempt in enumerate(tried(facts)):
        module = attempt.failed.rpartition(".")[2] if isinstance(attempt.failed, str) else ""
        if attempt.module != "loggers" or attempt.ok is not False or module not in _LOGGERS:
            continue
        fault = attempt.fault or Fault(kind="vanished")
        return Hit(
            message=f"ultralytics loads the logger {_LOGGERS[module].name} when a training starts, and importing it fails: {message(fault).rstrip('.')}.",
            evidence=(
                fact(facts, f"imports.{index}.ok", f"importing ultralytics.utils.callbacks.{module}: {message(fault)}"),
            ),
            variant=Logger(module=module, damaged=fault.type in _DAMAGE),
            certainty=Certainty.OBSERVED,
        )
    return None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    module = seen.group("logger")
    if module is None:
        return None
    return Hit(
        message=f"The training ends because ultralytics loads the logger {_LOGGERS[module].name}, and importing it fails.",
        evidence=evidence,
        variant=Logger(module=module),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if not isinstance(hit.variant, Logger):
        return ()
    logger = _LOGGERS[hit.variant.module]
    verify = commands.check(facts)
    # By hand: the settings are a file of the user, outside of the environment, which neither a try in a copy nor an undo may touch.
    off = commands.by_hand(
        (
            *commands.starting(facts),
            "-c",
            f"from ultralytics import settings; settings.update({{'{logger.setting}': False}})",
        ),
        f"the training then starts, and is not reported to {logger.name}; the same line with True brings it back",
        "the settings of ultralytics of this user",
    )
    if hit.variant.damaged:
        steps = requirements.afresh(facts, logger.distribution)
        title = f"Install {logger.distribution} afresh"
    else:
        why = f"a newer {logger.distribution} fits newer versions of NumPy, protobuf and Python"
        steps = (commands.install(logger.distribution, why=why, changes=logger.distribution, upgrade=True),)
        title = f"Upgrade {logger.distribution}"
    return (
        Fix(title=f"Switch {logger.name} off in ultralytics", steps=(off,), verify=verify),
        Fix(title=title, steps=steps, verify=verify),
    )
