"""Shared by the tests of studies: a target that trains nothing, and the design of a small study."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from attn_doctor.model.study import Design
from attn_doctor.study.looking import Looked

# Stands for the Python of a target: it reads the program from standard input as a Python would, and speaks as study_worker.py does.
# FAKE says what it does, by attention: "slow:SECONDS" waits that long in every epoch, "crash:N" dies in epoch N,
# "kill:N" is killed there, "nan:N" has a loss there that is no number, "hang:N" falls silent there.
FAKE = r"""
import json, os, re, signal, sys, time
text = sys.stdin.read()
nonce = re.search(r"^_NONCE = '(.*)'$", text, re.M)[1]
config = json.loads(eval(re.search(r"^_CONFIG = (.*)$", text, re.M)[1]))

def send(at, section, data=None):
    sys.stdout.write("\x1e" + nonce + " " + json.dumps({"at": at, "section": section, "data": data}) + "\n")
    sys.stdout.flush()

def epoch(number):
    value = config["seed"] + number / 10 + len(config["attention"]) / 1000
    return {"number": number, "seconds": 0.5, "losses": {"train/box_loss": value}, "map50": value / 10, "map50_95": value / 20}

behaviour = dict(json.loads(os.environ.get("FAKE", "{}"))).get(config["attention"], "")
kept = os.path.join(config["folder"], "state.json")
try:
    told = json.load(open(kept))
except OSError:
    told = []
began = time.monotonic()
send("hello", "")
send("begin", "training")
send("fact", "begin", {"told": told})
send("fact", "layers", 0 if config["attention"] == "eager" else 8)
flash = "aten::_scaled_dot_product_flash_attention_for_cpu"
eager = {"forward": ["aten::_softmax"], "backward": ["aten::_softmax_backward_data"]}
fused = {"forward": [flash], "backward": [flash + "_backward"]}
send("fact", "proof", {"calls": [fused if config["attention"] == "sdpa-flash" else eager], "kernels": []})
for number in range(len(told) + 1, config["epochs"] + 1):
    send("alive", "training", {"doing": "training", "epoch": number, "done": 1, "of": 2, "losses": {}, "memory": 1 << 30, "busy": 0.9})
    what, _, value = behaviour.partition(":")
    if what == "slow":
        time.sleep(float(value))
    if what == "crash" and number == int(value):
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "kill" and number == int(value):
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang" and number == int(value):
        time.sleep(600)
    told.append(epoch(number))
    if what == "nan" and number == int(value):
        told[-1]["losses"]["val/box_loss"] = float("nan")
    with open(kept + ".new", "w") as file:
        json.dump(told, file)
    os.replace(kept + ".new", kept)
    send("fact", "epoch", told[-1])
    left = config["seconds_left"]
    # It takes its epochs for 29 s long.
    if number < config["epochs"] and (os.path.exists(config["stop"]) or left is not None and time.monotonic() - began + 29 > left):
        send("fact", "stopped", "the budget ended")
        break
else:
    send("fact", "finished", {"sizes": {"small": 0.1}, "weights": "ab" * 32})
send("end", "training", {"seconds": 1.0})
send("done", "")
"""


def fake_python(folder: Path) -> tuple[str, ...]:
    """Write the fake target, and return it as an argv prefix."""
    script = folder / "fake_target.py"
    script.write_text(FAKE)
    return sys.executable, str(script)


def small_design(**more: object) -> Design:
    """Return the design of two attentions, two seeds and three epochs."""
    values = {
        "model": "yolo12n.yaml",
        "data": "shapes",
        "arms": ("eager", "sdpa-flash"),
        "seeds": (0, 1),
        "epochs": 3,
        "imgsz": 32,
        "batch": 4,
        "threads": 1,
        "versions": {"torch": "2.15.0"},
        "hashes": {"data": "00"},
        **more,
    }
    return Design(**values)


def looked_at() -> Looked:
    """Return what a look at the model and the data of `small_design` would have said."""
    return Looked("yolo12n.yaml", "shapes.yaml", "cpu", {"data": "00"}, {"train": 8, "val": 4}, 8, {"torch": "2.15.0"})


def environment(**more: str) -> dict[str, str]:
    """Return this process' environment with more variables."""
    return {**os.environ, **more}
