"""`wheels --online`: the pages of people who build wheels, played by a local server, for files that the table does not have."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from internet import Internet

from attn_doctor.knowledge import community_wheels
from attn_doctor.wheels import builders_pages, online

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the server needs a certificate")
MJUN = "https://github.com/mjun0812/flash-attention-prebuild-wheels/releases"
MJUN_API = "https://api.github.com/repos/mjun0812/flash-attention-prebuild-wheels/releases?per_page=20"
KING_API = "https://api.github.com/repos/kingbri1/flash-attention/releases?per_page=20"
FACE_API = "https://huggingface.co/api/models/lldacing/flash-attention-windows-wheel"
FACE = "https://huggingface.co/lldacing/flash-attention-windows-wheel"
# No table has a file for torch 2.19.
NEW = "flash_attn-2.8.3+cu132torch2.19-cp312-cp312-win_amd64.whl"
KEY = "--torch 2.19.0+cu132 --python 3.12 --platform win_amd64 --gpu 8.9".split()


@pytest.fixture
def net():
    with Internet() as made:
        made.pages[online.RELEASES] = b"[]"
        made.pages[online.REGISTRY] = b'{"releases": {}}'
        for address in (MJUN_API, KING_API):
            made.pages[address] = b"[]"
        made.pages[FACE_API] = b'{"siblings": []}'
        yield made


def wheels(net: Internet, tmp_path, *argv: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **net.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "attn_doctor", "wheels", *argv]
    return subprocess.run(command, capture_output=True, text=True, env=environ, cwd=tmp_path, check=False)


def release(tag: str, *names: str, page: str = MJUN) -> dict:
    return {
        "tag_name": tag,
        "assets": [
            {"name": n, "browser_download_url": f"{page}/download/{tag}/{n.replace('+', '%2B')}"} for n in names
        ],
    }


def test_a_file_that_only_the_page_of_its_builder_has_is_named(net, tmp_path):
    assert wheels(net, tmp_path, *KEY).returncode == 1
    assert net.asked == []  # never by default
    other = "flash_attn-2.8.3+cu132torch2.19-cp311-cp311-win_amd64.whl"
    old = next(w.filename for w in community_wheels.community() if w.builder == "mjun0812")
    net.pages[MJUN_API] = json.dumps([release("v9.9.1", NEW, other, old, "notes.txt"), release("v9.9.0", old)]).encode()
    done = wheels(net, tmp_path, *KEY, "--online", "--json", "-")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert net.asked == [online.RELEASES, online.REGISTRY, MJUN_API, KING_API, FACE_API]
    assert (found["fits"], found["official"]) == (True, False)
    first = found["candidates"][0]
    assert (first["filename"], first["kind"], first["builder"], first["listed"]) == (NEW, "community", "mjun0812", True)
    assert first["url"] == f"{MJUN}/download/v9.9.1/{NEW.replace('+', '%2B')}"
    assert first["source"].startswith("built by mjun0812, unsigned, seen on its page on 20")
    assert "2 wheels are on the page of mjun0812 and not in the table" in found["notes"]
    assert any(note.startswith("the page of kingbri1 was asked at ") for note in found["notes"])
    again = wheels(net, tmp_path, *KEY, "--online", "--json", "-")
    assert json.loads(again.stdout)["candidates"][0] == first
    assert len(net.asked) == 5  # the answers of the last hours are kept


def test_the_list_of_hugging_face_is_read_too(net, tmp_path):
    name = "flash_attn-2.9.0+cu132torch2.19.0cxx11abiFALSE-cp312-cp312-win_amd64.whl"
    net.pages[FACE_API] = json.dumps({"siblings": [{"rfilename": "README.md"}, {"rfilename": name}]}).encode()
    found = json.loads(wheels(net, tmp_path, *KEY, "--online", "--json", "-").stdout)
    first = found["candidates"][0]
    assert (first["filename"], first["fits"]) == (name, True)
    assert first["url"] == f"{FACE}/resolve/main/{name.replace('+', '%2B')}"


def test_pages_that_cannot_be_read_are_named_and_the_table_answers(net, tmp_path):
    del net.pages[MJUN_API]
    net.pages[KING_API] = b'{"message": "API rate limit exceeded"}'
    net.pages[FACE_API] = b"<html>"
    here = "--torch 2.8.0+cu128 --python 3.12 --platform win_amd64 --gpu 8.9".split()
    done = wheels(net, tmp_path, *here, "--online", "--json", "-")
    found = json.loads(done.stdout)
    assert (done.returncode, found["candidates"][0]["filename"]) == (
        0,
        "flash_attn-2.8.3+cu128torch2.8-cp312-cp312-win_amd64.whl",
    )
    notes = "\n".join(found["notes"])
    assert "the page of mjun0812 could not be asked (it answered 404 Not Found)" in notes
    assert "the page of kingbri1 answered something that cannot be read" in notes
    assert "the page of lldacing could not be asked" in notes


def test_an_address_that_leads_away_from_the_builders_page_is_not_taken():
    page = next(one for one in builders_pages.pages() if one.builder == "mjun0812")
    assert page.address == MJUN_API
    content = [release("v9.9.1", NEW, page="https://github.com/somebody/else/releases")]
    assert list(builders_pages._files(content, page)) == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (NEW, ("flash_attn", "2.8.3", "13.2", "2.19", "3.12", "win_amd64")),
        ("flash_attn-2.7.4.post1+cu128torch2.7.0cxx11abiFALSE-cp311-cp311-win_amd64.whl", ("flash_attn", "2.7.4.post1", "12.8", "2.7.0", "3.11", "win_amd64")),
        ("flash_attn_3-3.0.0+cu128torch2.10gite2743ab-cp39-abi3-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
         ("flash_attn_3", "3.0.0", "12.8", "2.10", "abi3", "manylinux_2_24_x86_64.manylinux_2_28_x86_64")),
        ("flash_attn-2.8.3+cu130torch2.11-cp313-cp313t-linux_x86_64.whl", ("flash_attn", "2.8.3", "13.0", "2.11", "3.13t", "linux_x86_64")),
        ("flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl", None),  # an official name: no minor of CUDA
        ("flash_attn-2.8.3.tar.gz", None),
        ("../flash_attn-2.8.3+cu130torch2.11-cp313-cp313-linux_x86_64.whl", None),
    ],
)  # fmt: skip
def test_a_name_tells_its_key(name, parts):
    made = builders_pages._wheel("x", "v1", name, "u")
    assert (made and (made.package, made.release, made.cuda, made.torch, made.python, made.platform)) == parts
