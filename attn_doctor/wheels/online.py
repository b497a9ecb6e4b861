"""Fetch the release pages, the PyPI entry and the file sizes of flash-attn and of the people who build its wheels.

All connections to the internet are opened here, by `open_address`: with --online, and by `quarantine` for a wheel that the user
names. Pages are stored in the user's cache, so that a machine that is offline later can use them. Nothing about this machine is
sent: the requests are the same for everybody.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from attn_doctor.errors import NotExamined
from attn_doctor.knowledge import flash_attention, wheels
from attn_doctor.knowledge.finder import judge
from attn_doctor.knowledge.tables import knowledge_date
from attn_doctor.knowledge.wheel_key import Candidate, Key
from attn_doctor.knowledge.wheels import Wheel
from attn_doctor.model.versions import parse
from attn_doctor.system.agent import AGENT
from attn_doctor.system.cache_folder import cache_folder
from attn_doctor.wheels import builders_pages
from attn_doctor.wheels.builders_pages import BuildersPage

RELEASES = "https://api.github.com/repos/Dao-AILab/flash-attention/releases?per_page=20"
REGISTRY = "https://pypi.org/pypi/flash-attn/json"
_PATIENCE = 15.0  # seconds
_FRESH = dt.timedelta(hours=6)
_LARGEST = 32 << 20  # at most so many bytes of a server's answer are read
_WHEEL = re.compile(
    r"flash_attn-(?P<release>[\w.]+)\+(?P<cuda>cu\d+)torch(?P<torch>[\d.]+)cxx11abi(?P<abi>TRUE|FALSE)"
    r"-cp(?P<major>\d)(?P<minor>\d+t?)-[^-]+-(?P<platform>\w+)\.whl"
)
Say = Callable[[str], None]


class NotReached(NotExamined):
    """Report that a page could not be fetched. The text is a phrase with the reason."""


class Page(NamedTuple):
    """Hold a page, decoded from JSON."""

    content: Any
    fetched: dt.datetime  # UTC
    stale: str | None = None  # why an old page of the cache was used


Read = Callable[[Page, Key], tuple[list[Candidate], list[str]]]


def newer_wheels(key: Key, say: Say) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    """Return (wheels that the tables lack, judged for this key; notes about the pages).

    The pages are those of flash-attn's authors, and of every builder of its wheels in the table. A page that cannot be read is a
    note and no error. `say` gets a sentence before each page.
    """
    found: list[Candidate] = []
    notes: list[str] = []
    official: list[tuple[str, str, Read]] = [
        (RELEASES, "the release page of flash-attn", _of_releases),
        (REGISTRY, "the PyPI page of flash-attn", _of_registry),
    ]
    others: list[tuple[str, str, Read]] = [
        (one.address, f"the page of {one.builder}", partial(_of_builder, one)) for one in builders_pages.pages()
    ]
    for url, what, read in (*official, *others):
        say(f"asking {what}")
        try:
            page = fetch(url)
            candidates, said = read(page, key)
        except NotReached as error:
            notes.append(f"{what} could not be asked ({error}): only the tables of {knowledge_date()} were used")
            continue
        except (KeyError, TypeError, AttributeError) as error:
            notes.append(f"{what} answered something that cannot be read ({error!r})")
            continue
        found += candidates
        notes += said
        when = f"{page.fetched:%Y-%m-%d %H:%M} UTC"
        notes.append(f"{what} was asked at {when}" + (f"; now it cannot be: {page.stale}" if page.stale else ""))
    return tuple(found), tuple(notes)


def _of_releases(page: Page, key: Key) -> tuple[list[Candidate], list[str]]:
    known = {wheel.filename for wheel in wheels.official()}
    names = {asset["name"]: asset["browser_download_url"] for release in page.content for asset in release["assets"]}
    new = {name: url for name, url in names.items() if name.endswith(".whl") and name not in known}
    judged = [_candidate(name, url, key, page) for name, url in new.items()]
    made = [candidate for candidate in judged if candidate is not None]
    those = "one wheel there is" if len(new) == 1 else f"{len(new)} wheels there are"
    return made, [f"{those} newer than the tables"] if new else []


def _of_builder(one: BuildersPage, page: Page, key: Key) -> tuple[list[Candidate], list[str]]:
    found, unlisted = builders_pages.newer(page.content, one, key, page.fetched)
    those = "one wheel is" if unlisted == 1 else f"{unlisted} wheels are"
    return list(found), [f"{those} on the page of {one.builder} and not in the table"] if unlisted else []


def _candidate(name: str, url: str, key: Key, page: Page) -> Candidate | None:
    match = _WHEEL.fullmatch(name)
    if match is None:
        return None
    abi = match["abi"] == "TRUE"
    wheel = Wheel(
        release=match["release"],
        cuda=match["cuda"],
        torch=match["torch"],
        cxx11_abi=abi,
        really=abi,
        python=f"{match['major']}.{match['minor']}",
        platform=match["platform"],
        grounds="by hand",
    )
    fits, reasons = judge(wheel, key)
    return Candidate(
        release=wheel.release,
        filename=name,
        url=url,
        source=f"official, seen on the release page on {page.fetched:%Y-%m-%d}",
        fits=fits,
        reasons=reasons,
        kind="official",
    )


def _of_registry(page: Page, key: Key) -> tuple[list[Candidate], list[str]]:  # noqa: ARG001 - read as the others are
    newest = parse(flash_attention.latest().release)
    later = [
        text
        for text in page.content["releases"]
        if (v := parse(text)) and newest and v > newest and not v.is_prerelease
    ]
    return [], [f"PyPI has flash-attn {', '.join(later)}, which the tables do not have"] if later else []


def sizes(urls: Iterable[str]) -> dict[str, int]:
    """Ask the servers for the size of each file. Return address -> size in bytes, without files of unknown size."""
    found = {}
    for url in urls:
        request = urllib.request.Request(url, method="HEAD", headers=HEADERS)  # noqa: S310 - https alone, see open_address
        try:
            with open_address(request) as answer:
                found[url] = int(answer.headers["Content-Length"])
        except (NotReached, TypeError, ValueError):
            continue
    return found


def fetch(url: str) -> Page:
    """Return a page: from the cache if it was fetched in the last six hours, else from the network, else from the older cache.

    Raises NotReached if the network does not give it and the cache does not have it.
    """
    now = dt.datetime.now(dt.timezone.utc)
    cached = _cached(url)
    if cached and now - cached.fetched < _FRESH:
        return cached
    try:
        with open_address(urllib.request.Request(url, headers=HEADERS)) as answer:  # noqa: S310 - https alone, see open_address
            content = json.loads(answer.read(_LARGEST))
    except (NotReached, ValueError) as error:
        if cached:
            return cached._replace(stale=str(error))
        raise NotReached(str(error)) from error
    _keep(url, content, now)
    return Page(content, now)


HEADERS = {"User-Agent": AGENT, "Accept": "application/json"}


def open_address(request: urllib.request.Request) -> Any:
    """Open a connection through the proxies and certificates of the environment.

    Raises NotReached if the address is not https, or if the server does not answer, or answers with an error.
    """
    if request.type != "https":
        raise NotReached("not an https address")
    try:
        # An opener of our own: that of urlopen keeps the proxies that were set at its first use, for as long as the process lives.
        return urllib.request.build_opener().open(request, timeout=_PATIENCE)
    except urllib.error.HTTPError as error:
        raise NotReached(f"it answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise NotReached(_words(error.reason)) from error
    except (OSError, ValueError) as error:  # a timeout while reading; a proxy that is not an address
        raise NotReached(_words(error)) from error


def _words(reason: object) -> str:
    proxies = urllib.request.getproxies()
    through = " through the proxy that HTTPS_PROXY names" if "https" in proxies else ""
    text = (reason.strerror or str(reason)) if isinstance(reason, OSError) else str(reason)
    if "CERTIFICATE" in text:
        return f"its certificate is not trusted{through}: set SSL_CERT_FILE to your own certificate file"
    if "Name or service" in text or "name resolution" in text or "getaddrinfo" in text:
        return f"its name cannot be resolved{through}: is there a network here?"
    if isinstance(reason, TimeoutError) or "timed out" in text:
        return f"no answer in {_PATIENCE:.0f} s{through}"
    return f"{text}{through}"


def _place(url: str) -> Path:
    return cache_folder() / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"


def _cached(url: str) -> Page | None:
    try:
        kept = json.loads(_place(url).read_bytes())
        return Page(kept["content"], dt.datetime.fromisoformat(kept["fetched"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(url: str, content: Any, when: dt.datetime) -> None:
    """Write a page to the cache. A failure raises nothing."""
    place = _place(url)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"content": content, "fetched": when.isoformat()}), encoding="utf-8")
        temporary.replace(place)
    except OSError:
        return


def total(urls: Sequence[str], have: dict[str, int]) -> int | None:
    """Return the sum of the files' sizes in bytes; None if one size is unknown. `have`: what `sizes` returned."""
    found = [have.get(url) for url in urls]
    return sum(n for n in found if n is not None) if all(n is not None for n in found) else None
