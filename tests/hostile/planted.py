"""Modules that say when they are run: each writes its name into a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STANDARD = (
    "json re enum types functools operator keyword reprlib copyreg faulthandler time platform glob select signal warnings traceback "
    "argparse ast base64 contextlib copy ctypes dataclasses datetime hashlib importlib inspect io logging os pathlib pickle "
    "queue random runpy secrets shutil site socket string struct subprocess sysconfig tempfile threading typing uuid weakref "
    "zipfile _sysconfigdata sitecustomize usercustomize encodings codecs __future__"
).split()
FOREIGN = (
    "numpy torch ultralytics cv2 yaml PIL msgspec rich packaging jinja2 rich_argparse pygments markdown_it attr cpuinfo pynvml pip "
    "ensurepip venv setuptools attn_doctor"
).split()
FOLDERS = ("collections", "concurrent", "email", "html", "multiprocessing", "urllib", "xml")
ALL = (*STANDARD, *FOREIGN, *FOLDERS)

# As uv and pip 26 write it. The one of pip 23 imports re first, and dies of what hides that.
LAUNCHER = "import sys\nfrom attn_doctor.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main())\n"


def plant(folder: Path, names=ALL, then: str = "") -> Path:
    """Modules of these names in `folder`; returns the file that holds the names of those that were run."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder.parent / f"{folder.name}-was-run"
    marker.write_text("")
    text = f"with open({str(marker)!r}, 'a') as f: f.write(__name__ + ' of ' + __file__ + '\\n')\n{then}\n"
    for name in names:
        place = folder / name / "__init__.py" if name in FOLDERS else folder / f"{name}.py"
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
    return marker


def before_our_first_line() -> set[str]:
    """What Python itself imports for `python -m`, before the first line of the module. Nobody can save that."""
    code = "import runpy, importlib.util, sys; print(*(name.partition('.')[0] for name in sys.modules))"
    return set(
        subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
