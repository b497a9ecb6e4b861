"""Wheels: pages of the release page and the registry, played at the one place that opens a connection; and parts of the answer."""

from __future__ import annotations

import datetime as dt
import io
import json
import urllib.error
import urllib.request
from email.message import Message

import msgspec
import pytest
from whole_machines import RTX_4090, changed

from attn_doctor.errors import Refused
from attn_doctor.knowledge import flash_attention
from attn_doctor.knowledge.wheel_key import Candidate
from attn_doctor.model.facts import Unknown
from attn_doctor.model.trials import Trial
from attn_doctor.wheels import builders_pages, online
from attn_doctor.wheels.answer import Wanted, _abi_of, _cuda_of, _merged, answer, key_for

HERE = {"torch": "2.8.0", "python": "3.12", "platform": "linux_x86_64", "glibc": "2.35", "gpus": ("8.9",)}
KEY = answer(Wanted(**HERE), None).key
NEW = "flash_attn-9.9.0+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"


class Answer(io.BytesIO):
    def __init__(self, content: bytes, **headers: str) -> None:
        super().__init__(content)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def web(tmp_path, monkeypatch):
    """Address -> content or exception; the cache is empty, and no proxy is named."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    pages = {
        one.address: b'{"siblings": []}' if "huggingface" in one.address else b"[]" for one in builders_pages.pages()
    }
    asked = []

    def urlopen(request, timeout):
        asked.append((request.get_method(), request.full_url, request.headers["User-agent"], timeout))
        found = pages[request.full_url]
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, Answer) else Answer(found)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", lambda _, request, timeout: urlopen(request, timeout))
    return pages, asked


def test_both_pages_are_asked_and_read(web):
    pages, asked = web
    pages[online.RELEASES] = json.dumps(
        [
            {
                "assets": [
                    {"name": NEW, "browser_download_url": "https://h/a.whl"},
                    {"name": "odd.whl", "browser_download_url": ""},
                ]
            }
        ]
    ).encode()
    pages[online.REGISTRY] = json.dumps({"releases": {"9.9.0": [], "9.9.1rc1": [], "2.8.0": [], "junk": []}}).encode()
    said = []
    found, notes = online.newer_wheels(KEY, said.append)
    (only,) = found
    assert (only.release, only.filename, only.url) == ("9.9.0", NEW, "https://h/a.whl")
    assert only.fits is not False
    assert only.source.startswith("official, seen on the release page on 20")
    assert notes[0] == "2 wheels there are newer than the tables"
    assert notes[1].startswith("the release page of flash-attn was asked at ")
    assert notes[2] == "PyPI has flash-attn 9.9.0, which the tables do not have"
    assert len(notes) == 7
    assert said[:3] == [
        "asking the release page of flash-attn",
        "asking the PyPI page of flash-attn",
        "asking the page of mjun0812",
    ]
    assert [(method, url, timeout) for method, url, _, timeout in asked[:2]] == [
        ("GET", online.RELEASES, 15.0),
        ("GET", online.REGISTRY, 15.0),
    ]
    assert len(asked) == 5
    assert asked[0][2].startswith("attn-doctor/")
    online.newer_wheels(KEY, said.append)
    assert len(asked) == 5  # the second time, the cache is fresh


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (NEW, ("9.9.0", "cu12", "2.8", True, "3.12", "linux_x86_64")),
        (NEW.replace("TRUE", "FALSE").replace("cp312", "cp313t"), ("9.9.0", "cu12", "2.8", False, "3.13t", "linux_x86_64")),
    ],
)  # fmt: skip
def test_what_the_name_of_a_wheel_says(name, parts):
    match = online._WHEEL.fullmatch(name)
    assert match is not None
    found = (
        match["release"],
        match["cuda"],
        match["torch"],
        match["abi"] == "TRUE",
        f"{match['major']}.{match['minor']}",
        match["platform"],
    )
    assert found == parts
    page = online.Page([], dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc))
    fitting = online._candidate(name, "u", msgspec.structs.replace(KEY, python=parts[4], cxx11_abi=parts[3]), page)
    other = online._candidate(name, "u", msgspec.structs.replace(KEY, python="3.9", cxx11_abi=parts[3]), page)
    wrong_abi = online._candidate(
        name, "u", msgspec.structs.replace(KEY, python=parts[4], cxx11_abi=not parts[3]), page
    )
    assert fitting is not None
    assert fitting.source == "official, seen on the release page on 2026-01-02"
    assert (fitting.fits, other.fits, wrong_abi.fits) == (None if fitting.fits is None else True, False, False)
    assert online._candidate("zork.whl", "u", KEY, page) is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (urllib.error.HTTPError("u", 403, "rate limit", Message(), None), "it answered 403 rate limit"),
        (urllib.error.URLError(OSError(111, "Connection refused")), "Connection refused"),
        (
            urllib.error.URLError("[SSL: CERTIFICATE_VERIFY_FAILED]"),
            "its certificate is not trusted: set SSL_CERT_FILE",
        ),
        (urllib.error.URLError(OSError(-2, "Name or service not known")), "its name cannot be resolved: is there"),
        (urllib.error.URLError("Temporary failure in name resolution"), "its name cannot be resolved: is there"),
        (urllib.error.URLError("getaddrinfo failed"), "its name cannot be resolved: is there"),
        (TimeoutError(), "no answer in 15 s"),
        (urllib.error.URLError("the read timed out"), "no answer in 15 s"),
        (ValueError("odd port"), "odd port"),
        (OSError("no words"), "no words"),
    ],
)
def test_why_a_page_was_not_reached(web, monkeypatch, error, words):
    pages, _ = web
    pages[online.RELEASES] = error
    pages[online.REGISTRY] = b"not json"
    _, notes = online.newer_wheels(KEY, lambda _: None)
    assert notes[0].startswith(f"the release page of flash-attn could not be asked ({words}")
    assert "were used" in notes[1]
    if "answered" not in words:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
        assert " through the proxy that HTTPS_PROXY names" in online.newer_wheels(KEY, lambda _: None)[1][0]


def test_a_page_of_another_shape_is_told(web):
    pages, _ = web
    for content in (b'[{"assets": [{}]}]', b'{"a": 1}', b"[1]"):
        pages[online.RELEASES], pages[online.REGISTRY] = content, b"{}"
        found, notes = online.newer_wheels(KEY, lambda _: None)
        assert found == ()
        assert all("answered something that cannot be read" in note for note in notes[:2])
        assert all("was asked at" in note for note in notes[2:])
        assert len(notes) == 5
        online._place(online.RELEASES).unlink()


def test_an_old_page_is_used_and_named_where_the_network_is_gone(web):
    pages, asked = web
    now = dt.datetime.now(dt.timezone.utc)
    online._keep(online.REGISTRY, {"releases": {}}, now - dt.timedelta(hours=5))
    assert online.fetch(online.REGISTRY).stale is None
    assert asked == []
    online._keep(online.REGISTRY, {"releases": {}}, now - dt.timedelta(hours=7))
    online._keep(online.RELEASES, [], now - dt.timedelta(hours=7))
    pages[online.REGISTRY] = urllib.error.URLError("gone")
    pages[online.RELEASES] = b"[]"
    assert online.fetch(online.REGISTRY).stale == "gone"
    _, notes = online.newer_wheels(KEY, lambda _: None)
    assert [note.endswith("; now it cannot be: gone") for note in notes] == [False, True, False, False, False]
    assert json.loads(online._place(online.RELEASES).read_text())["content"] == []
    assert online._place("a") != online._place("b")


def test_the_cache_is_where_the_user_says_or_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert online._place("u").parent == tmp_path / "x" / "attn-doctor"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert online._place("u").parent == tmp_path / ".cache" / "attn-doctor"
    (tmp_path / ".cache").write_text("a file")  # that cannot be written is no error
    online._keep("u", [], dt.datetime.now(dt.timezone.utc))
    assert online._cached("u") is None


def test_sizes_are_asked_without_their_content(web):
    pages, asked = web
    pages |= {
        "https://h/a": Answer(b"", Content_Length="7"),
        "https://h/b": urllib.error.URLError("gone"),
        "https://h/c": Answer(b"", Content_Length="x"),
        "https://h/e": Answer(b"", Content_Length="3"),
    }
    pages["https://h/d"] = Answer(b"")
    have = online.sizes(["https://h/a", "https://h/b", "https://h/c", "http://h/d", "https://h/e"])
    assert have == {"https://h/a": 7, "https://h/e": 3}
    assert {method for method, *_ in asked} == {"HEAD"}
    assert all(url != "http://h/d" for _, url, *_ in asked)  # no connection that anybody may read
    assert online.total(["https://h/a", "https://h/e"], have) == 10
    assert online.total(["https://h/a", "https://h/b"], have) is None
    assert online.total([], have) == 0


# -- parts of the answer


@pytest.mark.parametrize(
    ("torch", "platform", "cuda"),
    [
        ("2.8.0+cu126", "linux_x86_64", "12.6"),
        ("2.8.0+cu128", Unknown("x"), "12.8"),
        ("2.8.0+cpu", "linux_x86_64", None),
        ("9.9.0+cu159", "linux_x86_64", "15.9"),
        ("2.8.0", "linux_x86_64", "12.8"),
        ("2.8.0", Unknown("x"), "12.8"),
        ("2.8.0", "win_amd64", None),
    ],
)
def test_the_cuda_of_a_named_torch(torch, platform, cuda):
    assert _cuda_of(torch, platform) == cuda


@pytest.mark.parametrize("torch", ["2.8.0+mine", "2.8.0+cu12x", "2.8.0+xpu9"])
def test_a_torch_of_somebody_elses_tells_no_cuda(torch):
    found = _cuda_of(torch, "linux_x86_64")
    assert isinstance(found, Unknown)
    assert torch in found.why


@pytest.mark.parametrize(("torch", "abi"), [("2.8.0", True), ("2.4.0", False)])
@pytest.mark.parametrize("unknown", [(), ("cuda",), ("platform",), ("cuda", "platform")])
def test_the_abi_of_a_torch(torch, abi, unknown):
    key = msgspec.structs.replace(KEY, torch=torch, **dict.fromkeys(unknown, Unknown("x")))
    assert _abi_of(key) is abi


@pytest.mark.parametrize(
    ("platform", "glibc"),
    [
        ("manylinux_2_28_x86_64", "2.28"),
        ("manylinux_2_17_x86_64", "2.17"),
        ("musllinux_1_2_x86_64", None),
        ("win_amd64", None),
    ],
)
def test_the_glibc_that_a_platform_promises(platform, glibc):
    key, sources = key_for(Wanted(**{**HERE, "platform": platform, "glibc": None}), None)
    assert key.glibc == glibc
    assert sources["glibc"] == "the command line"
    assert Wanted(**{**HERE, "platform": platform, "glibc": None}).whole is bool(glibc or platform)


def test_a_key_is_whole_with_all_of_its_parts_alone():
    assert Wanted(**HERE).whole
    for name in HERE:
        assert not Wanted(**{**HERE, name: () if name == "gpus" else None}).whole, name


def test_where_each_part_of_a_key_comes_from():
    key, sources = key_for(Wanted(torch="2.8.0+cu126", abi=False), RTX_4090)
    assert (key.torch, key.cuda, key.cxx11_abi) == ("2.8.0+cu126", "12.6", False)
    assert (sources["torch"], sources["cxx11_abi"], sources["python"]) == (
        "the command line",
        "the command line",
        "the target",
    )
    assert sources["cuda"] == "its local version"
    _, sources = key_for(Wanted(torch="2.8.0"), RTX_4090)
    assert sources["cuda"] == "PyPI's build of this torch"
    assert sources["cxx11_abi"].startswith("the table")
    key, sources = key_for(Wanted(cuda="13.0"), RTX_4090)
    assert (key.cuda, sources["cuda"], sources["torch"]) == ("13.0", "the command line", "the target")
    assert sources["cxx11_abi"] == "the target"
    key, sources = key_for(Wanted(), changed(RTX_4090, torch__cxx11_abi=Unknown("x")))
    assert sources["cxx11_abi"].startswith("the table")
    key, sources = key_for(Wanted(python="3.12"), None)
    assert isinstance(key.torch, Unknown)
    assert key.python == "3.12"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"torch": "two"}, "--torch 'two' is not a version"),
        ({"cuda": "13"}, "--cuda '13' is not a version"),
        ({"python": "3"}, "--python '3' is not a version"),
        ({"glibc": "x"}, "--glibc 'x' is not a version"),
        ({"platform": "a b"}, "--platform 'a b' is not a platform tag"),
        ({"platform": "musllinux_1_2_x86_64"}, "has no glibc, but --glibc 2.35 is given"),
        ({"release": "x"}, "--release 'x' is not a version"),
    ],
)
def test_a_key_that_is_none(values, words):
    with pytest.raises(Refused, match=words):
        answer(Wanted(**{**HERE, **values}), None)


def candidate(filename: str | None, fits: bool | None) -> Candidate:
    return Candidate(release="2.8.3", filename=filename, url="", source="", fits=fits, reasons=(), kind="official")


def test_seen_wheels_are_merged_into_their_lists():
    ours = [candidate(None, True), candidate("a", True), candidate("b", False)]
    assert _merged(ours, ()) == tuple(ours)
    seen = [candidate("b", None), candidate("c", False), candidate("d", True)]
    assert [(c.filename, c.fits) for c in _merged(ours, seen)] == [
        ("d", True),
        (None, True),
        ("a", True),
        ("b", None),
        ("c", False),
    ]


def row(**values) -> Trial:
    given = {"backend": "sdpa-flash", "status": "ok", "dtype": "float16", "attention_share": 0.254, "device": "cuda:0"}
    return Trial(**{**given, **values})


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row()], "In the trial of YOLO12 attention on cuda:0, attention takes 25 % of"),
        ([row(attention_share=None), row(model="yolo12n")], "In the trial of yolo12n on cuda:0, attention takes 25 %"),
        ([row(backend="eager")], None),
        ([row(status="failed")], None),
        ([row(attention_share=None)], None),
    ],
)
def test_what_flash_attn_could_gain(rows, words):
    notes = [note for note in answer(Wanted(**HERE), None, rows).notes if note.startswith("In the trial")]
    assert [note[: len(words or "")] for note in notes] == ([words] if words else [])


def test_notes_on_what_no_table_knows():
    assert answer(Wanted(**HERE), None).notes == ()
    newer = answer(Wanted(**{**HERE, "torch": "9.9.0", "release": "9.9.9"}), None).notes
    assert len(newer) == 2
    assert all(note.endswith(". The table may be too old: a wheel may still fit.") for note in newer)
    nobody = answer(Wanted(), changed(RTX_4090, graphics__gpus=())).notes
    assert any(note.startswith("There is no NVIDIA GPU here: ") for note in nobody)


def test_names_that_setup_py_would_ask_for():
    made = answer(Wanted(**HERE), None)
    assert [asked.release for asked in made.asked] == [row.release for row in flash_attention.releases()][
        : len(made.asked)
    ]
    assert {asked.exists for asked in made.asked} <= {True, False, None}
    one = answer(Wanted(**{**HERE, "release": "2.8.3"}), None)
    assert [asked.release for asked in one.asked] == ["2.8.3"]
    assert one.asked[0].exists is True
    assert one.asked[0].filename == "flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"
    for name in ("python", "torch", "platform"):
        assert answer(Wanted(**{**HERE, name: None}), None).asked == ()


def test_the_nearest_torch_and_a_build_are_looked_for_where_nothing_fits():
    newest = "2.15.0"  # no release has a wheel for it
    none = answer(Wanted(**{**HERE, "torch": newest}), None)
    assert none.nearest is not None
    assert none.nearest_why is None
    assert none.build is None  # of another machine
    fits = answer(Wanted(**HERE), None)
    assert (fits.nearest, fits.nearest_why, fits.build) == (None, None, None)
    named = answer(Wanted(**{**HERE, "torch": newest, "release": "2.8.3"}), None)
    assert (named.nearest, named.nearest_why) == (None, None)
    here = changed(RTX_4090, torch__version=f"{newest}+cu130", torch__cuda="13.0")
    assert answer(Wanted(), here).build is not None
    assert answer(Wanted(torch=newest), here).build is None
