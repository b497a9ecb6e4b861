"""Ill environments of uv, PDM and Poetry projects, made by these tools themselves from an index of a few small wheels."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from wheelhouse import add_source, add_wheel, numpy_files, setuptools_files, torch_files

TOOLS = ("uv", "pdm", "poetry")
SYNC = {"uv": ("uv", "sync"), "pdm": ("pdm", "sync"), "poetry": ("poetry", "sync", "-n")}
MAKE = {"uv": ("uv", "sync"), "pdm": ("pdm", "install"), "poetry": ("poetry", "install", "-n")}
SOURCES = {
    "uv": '[[tool.uv.index]]\nname = "here"\nurl = "{url}"\ndefault = true\n',
    "pdm": '[tool.pdm]\ndistribution = false\n[[tool.pdm.source]]\nname = "pypi"\nurl = "{url}"\nverify_ssl = false\n',
    "poetry": '[tool.poetry]\npackage-mode = false\n[[tool.poetry.source]]\nname = "here"\nurl = "{url}"\n',
}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def index(folder: Path) -> Iterator[str]:
    """Simple indexes (PEP 503): a NumPy 1, a NumPy 2, a torch of before NumPy 2; under cu121 this torch for CUDA. Yields an address."""
    house = folder / "house"
    wheels = [add_wheel(house, "numpy", version, numpy_files(version)) for version in ("1.26.4", "2.2.6")]
    wheels.append(add_wheel(house, "torch", "2.2.2", torch_files("2.2.2", numpy_below=2), ["numpy"]))
    small = {"wheel": None, "setuptools": setuptools_files(), "timm": None}
    wheels += [add_wheel(house, name, "99.0", files) for name, files in small.items()]
    wheels.append(add_source(house, "flash-attn", "2.8.3", "import torch\n", {"flash_attn/__init__.py": ""}))
    of_cuda = add_wheel(house, "torch", "2.2.2+cu121", torch_files("2.2.2", "12.1", numpy_below=2), ["numpy"])
    for root, listed in (("simple", wheels), ("cu121", [of_cuda])):
        for wheel in listed:
            place = folder / root / wheel.name.split("-")[0].replace("_", "-")
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(wheel, place)
    for place in (*(folder / "simple").iterdir(), *(folder / "cu121").iterdir()):
        links = "".join(f'<a href="{quote(wheel.name)}">{wheel.name}</a>\n' for wheel in sorted(place.iterdir()))
        (place / "index.html").write_text(links)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
    finally:
        server.shutdown()
        server.server_close()


class ProjectPatient:
    """A project whose lock file names a NumPy that its torch cannot use."""

    def __init__(self, tool: str, folder: Path, url: str) -> None:
        self.tool = tool
        self.folder, self.project, self.home = folder, folder / "project", folder / "home"
        self.url = url
        for place in (self.project, self.home, folder / "tmp"):
            place.mkdir(parents=True)
        (self.project / "pyproject.toml").write_text(
            '[project]\nname = "it"\nversion = "0.1"\nrequires-python = ">=3.10"\n'
            f'dependencies = ["torch==2.2.2", "numpy"]\n\n{SOURCES[tool].format(url=url)}'
        )
        self.run(*MAKE[tool])
        self.prefix = self._prefix()
        self.python = self.prefix / "bin" / "python"

    def _prefix(self) -> Path:
        if self.tool != "poetry":
            return self.project / ".venv"
        return Path(self.run("poetry", "env", "info", "-p").strip())

    def environ(self) -> dict[str, str]:
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("PIP_", "UV_", "PDM_", "POETRY_", "VIRTUAL_ENV", "CONDA_", "PYTHON"))
        }
        return {
            **kept,
            "HOME": str(self.home),
            "TMPDIR": str(self.folder / "tmp"),
            "PDM_CHECK_UPDATE": "false",
            "PIP_INDEX_URL": self.url,  # the shown versions are asked of pip or uv, which do not read Poetry's sources
            "UV_PYTHON": sys.executable,
            "UV_PYTHON_DOWNLOADS": "never",
            "SHELL": "/bin/bash",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *argv: str) -> str:
        done = subprocess.run(argv, cwd=self.project, env=self.environ(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def site(self) -> Path:
        return next((self.prefix / "lib").glob("python3*")) / "site-packages"

    def well(self) -> bool:
        code = "import torch; torch.ones(1).numpy()"
        return (
            subprocess.run(
                [str(self.python), "-c", code], cwd=self.folder, env=self.environ(), capture_output=True, check=False
            ).returncode
            == 0
        )

    def doctor(self, *argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "attn_doctor", *argv, "--target", str(self.python)]
        return subprocess.run(
            command, cwd=cwd or self.project, env=self.environ(), capture_output=True, text=True, check=False
        )

    def lock(self) -> str:
        return (self.project / f"{self.tool}.lock").read_text()

    def books(self) -> dict[str, str]:
        """All files of the project itself."""
        return {path.name: path.read_text() for path in sorted(self.project.iterdir()) if path.is_file()}
