"""Every way in which a package can misbehave, at every place where Python or a training imports it: 33 ways at 10 places."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from attacked import attack
from targets import site_packages

pytestmark = pytest.mark.heavy

DEADLINE = "5"  # seconds for one import
LIMIT = 45.0  # seconds for a check: six imports that hang, each asked twice at most

WAYS = {
    "raises with an escape": "raise ImportError('\\x1b]0;owned\\x07\\x1b[2J gone \\u202e')",
    "raises a type with an escape": "raise type('E\\x1b[31m', (Exception,), {})('x')",
    "raises what cannot be shown": "class E(Exception):\n    def __str__(self):\n        raise E\n    __repr__ = __str__\nraise E",
    "raises 20 MB": "raise ImportError('x' * (20 << 20))",
    "raises a surrogate": "raise ImportError('\\udc80\\udcff')",
    "raises BaseException": "raise BaseException('no')",
    "raises KeyboardInterrupt": "raise KeyboardInterrupt",
    "raises GeneratorExit": "raise GeneratorExit",
    "leaves by sys.exit": "import sys\nsys.exit('bye')",
    "exits with 0": "import os\nos._exit(0)",
    "exits with 137": "import os\nos._exit(137)",
    "segfaults": "import ctypes\nctypes.string_at(1)",
    "aborts": "import os\nos.abort()",
    "is killed": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "stops": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "sleeps": "import time\ntime.sleep(9999)",
    "computes for ever": "while True:\n    pass",
    "holds the lock of Python": "import ctypes\nctypes.PyDLL(None).sleep(9999)",
    "ignores signals and sleeps": "import signal, time\nfor n in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:\n"
    "    signal.signal(n, signal.SIG_IGN) if n not in (32, 33) else None\ntime.sleep(9999)",
    "floods standard output": "import os\nfor _ in range(4000):\n    os.write(1, b'x' * 65536)",
    "floods standard error": "import os\nfor _ in range(4000):\n    os.write(2, b'y\\n' * 32768)",
    "writes to every descriptor": 'import os\nfor n in range(256):\n    try:\n        os.set_blocking(n, False)\n        os.write(n, b\'{"at": "end"}\\n\' * 50)\n'
    "    except OSError:\n        pass",
    "closes every descriptor": "import os\nos.closerange(0, 256)",
    "starts a process that stays": "import subprocess\nsubprocess.Popen(['sleep', '9999'])",
    "starts a daemon": "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.execvp('sleep', ['sleep', '9999'])\n    os._exit(0)",
    "starts forty processes": "import os\nfor _ in range(40):\n    if os.fork() == 0:\n        os.execvp('sleep', ['sleep', '9999'])",
    "leaves threads": "import threading, time\nfor _ in range(20):\n    threading.Thread(target=time.sleep, args=(9999,)).start()",
    "hangs at its end": "import atexit, time\natexit.register(time.sleep, 9999)",
    "recurses": "def f():\n    return f()\nf()",
    "recurses in C": "import sys\nsys.setrecursionlimit(10**7)\nx = []\nfor _ in range(10**6):\n    x = [x]\nrepr(x)",
    "breaks the writing": "import os, json, sys\nos.write = json.dumps = None\nsys.stdout = sys.stderr = None",
    "leaves files": "import tempfile, pathlib\nfolder = pathlib.Path(tempfile.mkdtemp())\nfor n in range(200):\n    (folder / str(n)).write_text('x')",
    "has no number of a version": "class V:\n    def __str__(self):\n        raise OSError('x\\x1b[2J')\n    __repr__ = __str__\n__version__ = V()",
}
PLACES = (
    "torch/__init__.py",
    "torch/version.py",
    "ultralytics/__init__.py",
    "ultralytics/nn/tasks.py",
    "ultralytics/models/yolo.py",
    "yaml/__init__.py",
    "cv2/__init__.py",
    "flash_attn/__init__.py",
    "sitecustomize.py",
    "evil.pth",
)


@pytest.mark.parametrize("place", PLACES)
def test_nothing_that_a_package_does_ends_hangs_or_outlives_a_check(place, healthy, tmp_path):
    shown = {}
    for number, (way, text) in enumerate(WAYS.items()):
        env = tmp_path / f"env{number}"
        shutil.copytree(healthy, env, symlinks=True)
        plant(env, place, text)
        argv = [
            "check",
            "--no-trial",
            "--timeout",
            DEADLINE,
            "--json",
            str(tmp_path / "r.json"),
            "--target",
            str(env / "bin/python"),
        ]
        faults = attack(argv, tmp_path / f"t{number}", limit=LIMIT).faults(limit=LIMIT)
        if faults:
            shown[way] = faults
        shutil.rmtree(env)
    assert not shown, "\n".join(f"{way}: {'; '.join(faults)}" for way, faults in shown.items())


def plant(env: Path, place: str, text: str) -> None:
    """Put a text before what the place has; a .pth runs one line."""
    path = site_packages(env) / place
    path.parent.mkdir(exist_ok=True)
    if place.endswith(".pth"):
        path.write_text(f"import sys; exec({text!r})\n")
    else:
        path.write_text(text + "\n" + (path.read_text() if path.exists() else ""))
