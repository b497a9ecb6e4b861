"""Train one cell of a study in a child of the target's Python, and make events from its messages."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from attn_doctor import child
from attn_doctor.errors import Refused
from attn_doctor.model.facts import Fault, Record
from attn_doctor.model.study import Design, Epoch, Event
from attn_doctor.system import leftovers
from attn_doctor.trials.backends import BY_NAME
from attn_doctor.trials.process import COMMON, in_words, load, waiting_policy
from attn_doctor.trials.served_by import other_kernel

AS_SHIPPED = "as-shipped"
SETUP = "target/study_setup.py"
_SCRIPTS = (
    *COMMON,
    SETUP,
    "target/map_by_size.py",
    "target/study_state.py",
    "target/study_gauges.py",
    "target/study_trainer.py",
    "target/study_worker.py",
)
# Arguments of ultralytics that have an option here, or on which it depends that two trainings are alike and can be gone on with.
_OWN = frozenset(
    "model data epochs imgsz batch device seed project name exist_ok workers deterministic patience plots pretrained resume save "
    "save_dir val time mode task cache compile fraction".split()
)
_YEAR = 365 * 24 * 3600.0
_MOST_SAID = 400  # letters
_FROM_OUTSIDE = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")  # no program sends them to itself when it fails
_GOES_ON = "the same command goes on"


class Order(Record, frozen=True, kw_only=True):
    """Describe the work of one process. For a cluster it is sent to another machine unchanged."""

    python: tuple[str, ...]  # an argv prefix
    design: Design
    arm: str
    seed: int
    folder: str  # of the cell: weights, state and ultralytics' own files
    model: str  # as this ultralytics spells it
    data: str  # the path of the YAML file
    environ: dict[str, str]
    stop: str  # a file: when it is there, the training stops after its epoch
    seconds_left: float | None = None
    silence: float = 600.0  # seconds without a sign of life, after which a training hangs


class Alive(Record, frozen=True, kw_only=True):
    """Describe the progress of a training: its position, and its use of the machine now.

    Memory in bytes. `busy`: 1.0 is one core, or the complete GPU.
    """

    arm: str
    seed: int
    doing: str  # "training" or "validating"
    epoch: int
    done: int  # batches
    of: int
    losses: dict[str, float] = msgspec.field(default_factory=dict)
    memory: int | None = None
    busy: float | None = None


def trainable() -> tuple[str, ...]:
    """Return the names of the attentions with which a training is possible."""
    return AS_SHIPPED, *(name for name, backend in BY_NAME.items() if backend.exchanged or name == "eager")


def check_arms(arms: tuple[str, ...]) -> None:
    """Raise Refused for an attention with which no training is possible, and for one that is named twice."""
    names = trainable()
    for arm in arms:
        if arm not in names:
            raise Refused(f"--attention {arm}: a study can train with {', '.join(names)}")
    twice = next((arm for arm in arms if arms.count(arm) > 1), None)
    if twice:
        raise Refused(f"--attention names {twice} twice: each attention is trained once with each seed")


def check_settings(settings: Mapping[str, object]) -> None:
    """Raise Refused for arguments of ultralytics that the study itself sets.

    It sets them so that its trainings can be compared, and continued after a kill.
    """
    own = next((name for name in settings if name in _OWN), None)
    if own:
        raise Refused(f"--set {own}: a study sets it itself")


def key_of(order: Order) -> str:
    """Return a hash of everything that decides the result of a training: design, attention and seed. 64 hexadecimal digits.

    A stored state of a training is continued only if its key is equal. Other attentions, other seeds, margin and level do not count.
    """
    asked = msgspec.structs.replace(order.design, command=(), arms=(), seeds=(), margin=0.0, level=0.0)
    text = msgspec.json.encode([asked, order.arm, order.seed], order="sorted")
    return hashlib.sha256(text).hexdigest()


def train(
    order: Order,
    take: Callable[[Event], object],
    show: Callable[[Alive], object] = lambda _: None,
    stop: threading.Event | None = None,
) -> bool:
    """Train a cell. If an earlier process left a state of it, the training goes on from there.

    Return False if the training ended early by itself, because the time budget is over or the file `order.stop` is there: then no
    other cell should begin. `take` gets the events and `show` the progress, from another thread. `stop`: when it is set, the child is
    ended. An error of the training raises nothing: it is the state and the sentence of the last event.
    """
    Path(order.folder).mkdir(parents=True, exist_ok=True)
    listener = _Listener(order, take, show)
    fault: Fault | None = None
    seconds = None
    try:
        with tempfile.TemporaryDirectory(dir=leftovers.folder()) as folder:
            outcome = child.run(
                order.python,
                [script for script in _SCRIPTS if script_exists(script)],
                config=_config(order),
                deadline=_YEAR,
                quiet=order.silence,
                environ=order.environ,
                changes=variables(folder, order.environ, order.design.threads),
                on_message=listener.hear,
                stop=stop,
            )
            fault, seconds = outcome.raised("training") or outcome.fault, outcome.seconds
    except OSError as error:
        fault = Fault(kind="raised", type=type(error).__name__, message=str(error))
    end = listener.end(fault, stopped=bool(stop and stop.is_set()), seconds=seconds)
    take(end)
    if end.state == "done":  # the state of a finished training is of no more use; the weights stay
        for name in ("state.pt", "state.pt.new"):
            (Path(order.folder) / name).unlink(missing_ok=True)
    return not listener.asked_to_stop


def script_exists(script: str) -> bool:
    """Return whether attn-doctor has a program of this name for the target."""
    return (Path(__file__).parent.parent / script).is_file()


def variables(folder: str, environ: Mapping[str, str], threads: int | None) -> dict[str, str]:
    """Return the environment variables to add for a training.

    With them nothing is downloaded, and the result does not depend on settings that change from run to run. `folder`: for temporary
    files. `environ`: the variables of the user. `threads`: of torch; None: torch chooses.
    """
    busy = waiting_policy(environ, load(), os.cpu_count())[0]
    count = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)} if threads else {}
    return {**child.harmless(folder), **busy, **count, "PYTHONHASHSEED": "0", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


def datasets_folder(environ: Mapping[str, str]) -> str | None:
    """Return the folder of data sets in the settings of the user's ultralytics; None if there are no settings."""
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or "/")
    named = environ.get("YOLO_CONFIG_DIR")
    places = [
        Path(named) if named else Path(environ.get("XDG_CONFIG_HOME") or home / ".config"),
        home / "Library" / "Application Support",
        home / "AppData" / "Roaming",
    ]
    for place in places:
        try:
            found = msgspec.json.decode((place / "Ultralytics" / "settings.json").read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError):
            continue
        folder = found.get("datasets_dir")
        return folder if isinstance(folder, str) else None
    return None


def _config(order: Order) -> dict[str, Any]:
    design = order.design
    return {
        "attention": "eager" if order.arm == AS_SHIPPED else order.arm,
        "seed": order.seed,
        "folder": order.folder,
        "key": key_of(order),
        "model": order.model,
        "data": order.data,
        "epochs": design.epochs,
        "imgsz": design.imgsz,
        "batch": design.batch,
        "device": design.device,
        "threads": design.threads,
        "settings": design.settings,
        "versions": design.versions,
        "datasets": datasets_folder(order.environ),
        "stop": order.stop,
        "seconds_left": order.seconds_left,
    }


class _Listener:
    """Make events from the messages of one process."""

    def __init__(self, order: Order, take: Callable[[Event], object], show: Callable[[Alive], object]) -> None:
        self._order = order
        self._take = take
        self._show = show
        self._layers: int | None = None
        self._finished: dict[str, Any] | None = None
        self._stopped = ""
        self._last = 0
        self._not_finite = 0  # the first epoch with a value that is no finite number

    @property
    def asked_to_stop(self) -> bool:
        return bool(self._stopped)

    def _event(self, at: Any, **more: Any) -> Event:
        return Event(at=at, arm=self._order.arm, seed=self._order.seed, **more)

    def hear(self, message: child.Message) -> None:
        if message.at == "alive":
            self._show(msgspec.convert({**message.data, "arm": self._order.arm, "seed": self._order.seed}, Alive))
        if message.at != "fact":
            return
        if message.section == "begin":
            told = [self._epoch(data) for data in message.data["told"]]
            self._take(self._event("begin", kept=len(told)))
            for epoch in told:
                self._take(self._event("epoch", epoch=epoch))
            self._last = len(told)
        elif message.section == "layers":
            self._layers = message.data
        elif message.section == "proof":
            self._take(self._proof(message.data))
        elif message.section == "epoch":
            epoch = self._epoch(message.data)
            self._last = epoch.number
            self._take(self._event("epoch", epoch=epoch))
        elif message.section == "stopped":
            self._stopped = message.data
        elif message.section == "finished":
            self._finished = message.data

    def _epoch(self, data: Mapping[str, Any]) -> Epoch:
        """Return an epoch in which values that are not finite numbers are left out, because JSON has no such numbers."""
        made = {name: _finite(value) for name, value in data.items()}
        if made != data and not self._not_finite:
            self._not_finite = data["number"]
        return msgspec.convert(made, Epoch)

    def _proof(self, data: Mapping[str, Any]) -> Event:
        calls = data["calls"]
        seen = tuple(dict.fromkeys(name for call in calls for way in ("forward", "backward") for name in call[way]))
        kernels = tuple(dict.fromkeys((*seen, *data["kernels"])))
        if self._order.arm == AS_SHIPPED:  # whatever the installed code runs is its own
            other = None if calls else "no attention call was seen"
        else:
            other = other_kernel(BY_NAME[self._order.arm], calls, data["kernels"])
        return self._event("proof", kernels=kernels, proven=other is None, layers=self._layers, said=other or "")

    def end(self, fault: Fault | None, *, stopped: bool, seconds: float | None) -> Event:
        if self._finished is not None:
            sizes, weights = self._finished["sizes"], self._finished["weights"]
            said = f"from epoch {self._not_finite} on, values were no finite numbers" if self._not_finite else ""
            return self._event("end", state="done", seconds=seconds, sizes=sizes, weights=weights, said=said)
        if self._stopped or stopped:
            said = self._stopped or "stopped by a signal"
            return self._event("end", state="stopped", seconds=seconds, said=f"{said}; {_GOES_ON}")
        after = f"after epoch {self._last}: " if self._last else ""
        if fault and fault.signal in _FROM_OUTSIDE:
            said = f"{after}its process was killed ({fault.signal}; the kernel does so when the memory is full); {_GOES_ON}"
            return self._event("end", state="stopped", seconds=seconds, said=said)
        said = f"{after}{in_words(fault)}"
        return self._event("end", state="failed", seconds=seconds, said=said[:_MOST_SAID])


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: item for name, item in value.items() if _finite(item) is not None}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def forget(folder: Path) -> None:
    """Remove the files of an earlier try of a cell, so that it begins again."""
    shutil.rmtree(folder, ignore_errors=True)
