"""The script that dates symbols, against a package index of a few small wheels on this machine."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from extensions import build, library, references

SCRIPT = Path(__file__).parent.parent / "scripts" / "refresh_torch_symbols.py"
OLD = "_ZN3c106detail14torchCheckFailEPKcS2_jRKSs"
NEW = "_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"


class Ranged(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, parts of files too: http.server by itself knows only whole ones."""

    def do_GET(self):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if wanted is None or not path.is_file():
            super().do_GET()
            return
        first, last = int(wanted[1]), int(wanted[2])
        data = path.read_bytes()[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *ignored):
        pass


@pytest.fixture
def index(tmp_path):
    """The address of a package index in tmp_path/index."""
    (tmp_path / "index").mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *given: Ranged(*given, directory=str(tmp_path / "index"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def offer(folder: Path, project: str, names: dict[str, dict[str, Path]]) -> None:
    """Put wheels on the index: file name -> member -> file."""
    (folder / project).mkdir()
    links = []
    for name, members in names.items():
        with zipfile.ZipFile(folder / project / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, path in members.items():
                archive.write(path, member)
        links.append(f'<a href="{name}#sha256={"0" * 64}">{name}</a>')
    (folder / project / "index.html").write_text("<html>" + "\n".join(links) + "</html>")


def test_names_are_dated_by_the_wheels_that_export_them(tmp_path, index):
    made = tmp_path / "made"
    always = "_ZN3c106alwaysEv"
    exported = {
        "2.0.1": ["_ZN3c104goneEv", OLD, always],
        "2.1.0": [OLD, always],
        "2.2.0": ["_ZN3c104backEv", "_ZN3c104goneEv", NEW, always],
    }
    wheels = {}
    for version, names in exported.items():
        core = library(made / version / "libc10.so", *names)
        rest = library(made / version / "libtorch_cpu.so", "_ZN2at4usedEv" if version == "2.1.0" else "_ZN2at6unusedEv")
        members = {"torch/lib/libc10.so": core, "torch/lib/libtorch_cpu.so": rest}
        wheels[f"torch-{version}-cp311-cp311-manylinux1_x86_64.whl"] = members
    # Neither of these counts: an older release of a minor, another machine.
    wheels["torch-2.0.0-cp311-cp311-manylinux1_x86_64.whl"] = {"torch/lib/libc10.so": core}
    wheels["torch-2.3.0-cp311-none-macosx_11_0_arm64.whl"] = {"torch/lib/libc10.so": core}
    offer(tmp_path / "index", "torch", wheels)
    user = build(made / "_C.so", references(["_ZN2at4usedEv", "_ZNSt6vectorIiE4pushEv"]))
    for project in ("torchvision", "torchaudio", "xformers", "vllm-flash-attn", "fbgemm-gpu", "torchao", "torchcodec"):
        name = f"{project.replace('-', '_')}-3.0-cp311-cp311-manylinux1_x86_64.whl"
        offer(tmp_path / "index", project, {name: {"pkg/_C.so": user}} if project == "torchvision" else {})
    output = tmp_path / "table.json"
    command = [sys.executable, str(SCRIPT), "--index", index, "--cache", str(tmp_path / "cache")]
    command += ["--date", "2026-11-20", "--output", str(output)]
    for _ in range(2):  # the second time from the cache
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        table = json.loads(output.read_text())
        assert table["checked"] == "2026-11-20"
        assert [w["torch"] for w in table["wheels"]] == ["2.0", "2.1", "2.2"]
        assert table["wheels"][0]["wheel"] == "torch-2.0.1-cp311-cp311-manylinux1_x86_64.whl"
        assert table["wheels"][0]["sha256"] == "0" * 64
        # What every minor has, in one ABI or the other, tells nothing; what nobody asks for outside libc10 neither.
        assert table["symbols"] == {
            "2.0-2.0 2.2-2.2": ["c10::gone()"],
            "2.1-2.1": ["at::used()"],
            "2.2-2.2": ["c10::back()"],
        }
    assert "MiB" not in done.stderr, "nothing was read again"
