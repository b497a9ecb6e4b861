"""A wheel is downloaded into a folder of its own, and its digest is remembered."""

from __future__ import annotations

import hashlib
import re
import stat
import urllib.error
import urllib.request

import pytest

from attn_doctor.errors import Refused
from attn_doctor.wheels import quarantine
from attn_doctor.wheels.online import NotReached

# --- fetching


class Answer:
    def __init__(self, *blocks: bytes | Exception) -> None:
        self.blocks = list(blocks)

    def __enter__(self):
        return self

    def __exit__(self, *ended):
        return None

    def geturl(self) -> str:
        return "https://host/"

    def read(self, size: int) -> bytes:
        block = self.blocks.pop(0) if self.blocks else b""
        if isinstance(block, Exception):
            raise block
        return block


@pytest.fixture
def web(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    answers = []
    monkeypatch.setattr(urllib.request.OpenerDirector, "open", lambda *_, **__: answers.pop(0))
    return answers, tmp_path / "cache" / "attn-doctor" / "quarantine"


def test_a_wheel_is_fetched_under_its_own_name_into_a_folder_of_the_user(web):
    answers, folder = web
    answers.append(Answer(b"one", b"two"))
    url = "https://host/releases/v1/flash_attn-1%2Bcu128torch2.8-cp312-cp312-win_amd64.whl?x=1"
    found = quarantine.fetch(url, lambda _: None)
    path = found.path
    assert path.parent.parent == folder
    assert path.name == "flash_attn-1+cu128torch2.8-cp312-cp312-win_amd64.whl"
    assert path.read_bytes() == b"onetwo"
    assert found.sha256 == hashlib.sha256(b"onetwo").hexdigest() == quarantine.sha256(path)
    assert found.changed is None
    assert {stat.S_IMODE(place.stat().st_mode) for place in (folder, path.parent)} == {0o700}
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert quarantine.held(url) == found
    path.write_bytes(b"other")
    assert quarantine.held(url) is None
    path.unlink()
    assert quarantine.held(url) is None
    assert quarantine.held("https://host/releases/v2/x-1-py3-none-any.whl") is None


def test_another_file_from_the_same_address_is_told(web):
    answers, folder = web
    url = "https://host/a-1-py3-none-any.whl"
    answers += [Answer(b"one"), Answer(b"one"), Answer(b"two"), Answer(b"one")]
    first, same, other, again = (quarantine.fetch(url, lambda _: None) for _ in range(4))
    assert (first.changed, same.changed, again.changed) == (None, None, None)
    one, two = (hashlib.sha256(content).hexdigest() for content in (b"one", b"two"))
    assert other.changed.startswith(f"its address gave another file before: SHA-256 {one} on 20")
    assert f", now {two}; if its builder says that it was replaced, take its line out of {folder}" in other.changed
    ledger = folder / "digests.jsonl"
    assert stat.S_IMODE(ledger.stat().st_mode) == 0o600
    ledger.write_text("torn {\n[1]\n" + ledger.read_text())
    assert quarantine.held(url).sha256 == one


@pytest.mark.parametrize("url", ["https://host/", "https://host/a.tar.gz", "https://host/a%00b.whl"])
def test_an_address_of_no_wheel_is_refused(web, url):
    with pytest.raises(Refused, match="is not the address of a wheel"):
        quarantine.fetch(url, lambda _: None)


def test_only_https_is_fetched(web):
    with pytest.raises(NotReached, match="not an https address"):
        quarantine.fetch("http://host/a-1-py3-none-any.whl", lambda _: None)


def test_nothing_is_left_of_a_file_that_was_not_read_to_its_end(web, monkeypatch):
    answers, folder = web
    answers.append(Answer(b"one", OSError("reset")))
    with pytest.raises(NotReached, match=re.escape("was not read to its end (reset)")):
        quarantine.fetch("https://host/a-1-py3-none-any.whl", lambda _: None)
    monkeypatch.setattr(quarantine, "_LARGEST", 4)
    answers.append(Answer(b"one", b"two"))
    with pytest.raises(NotReached, match="it is larger than"):
        quarantine.fetch("https://host/a-1-py3-none-any.whl", lambda _: None)
    monkeypatch.setattr(quarantine, "_LONGEST", -1.0)
    answers.append(Answer(b"one"))
    with pytest.raises(NotReached, match="not read to its end after"):
        quarantine.fetch("https://host/a-1-py3-none-any.whl", lambda _: None)
    assert [path for path in folder.rglob("*") if path.is_file()] == []
