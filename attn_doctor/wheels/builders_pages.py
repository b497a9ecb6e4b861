"""Read the pages on which other people list the FlashAttention wheels that they built: find files that the table does not have. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from attn_doctor.knowledge import community_wheels
from attn_doctor.knowledge.community_wheels import CommunityWheel
from attn_doctor.knowledge.wheel_key import Candidate, Key

# flash_attn-2.8.3+cu130torch2.11-cp312-cp312-win_amd64.whl, ...+cu128torch2.7.0cxx11abiFALSE-..., flash_attn_3-3.0.0+cu128torch2.10gite2743ab-cp39-abi3-...
_NAME = re.compile(
    r"(?P<package>flash_attn(?:_3)?)-(?P<release>\d+(?:\.\d+)+(?:\.?post\d+)?)\+cu(?P<major>\d\d)(?P<minor>\d)torch(?P<torch>\d+\.\d+(?:\.\d+)?)"
    r"(?:git\w+?)?(?:cxx11abi(?:TRUE|FALSE))?-(?P<tags>cp3\d+-(?:cp3\d+t?|abi3))-(?P<platform>[\w.]+)\.whl"
)


class BuildersPage(NamedTuple):
    """Hold the page of one builder, and the address that returns this page as JSON."""

    builder: str
    page: str
    address: str


def pages() -> tuple[BuildersPage, ...]:
    """Return the pages of all builders in the table of community wheels, each page once."""
    found = {row.page: row.builder for row in community_wheels.rows()}
    return tuple(BuildersPage(builder, page, _address(page)) for page, builder in found.items())


def _address(page: str) -> str:
    """Return the address of the page as JSON: of GitHub (its newest 20 releases) or of Hugging Face.

    https://docs.github.com/en/rest/releases/releases, https://huggingface.co/docs/hub/api
    """
    owner, name = urlsplit(page).path.strip("/").split("/")[:2]
    if urlsplit(page).hostname == "github.com":
        return f"https://api.github.com/repos/{owner}/{name}/releases?per_page=20"
    return f"https://huggingface.co/api/models/{owner}/{name}"


def newer(content: Any, of: BuildersPage, key: Key, seen: dt.datetime) -> tuple[tuple[Candidate, ...], int]:
    """Return (for each release the best of the files that the table lacks, how many files the table lacks).

    The number also counts files for other machines. `content`: the page as JSON. `seen`: when it was read.
    Raises KeyError, TypeError or AttributeError if the page has another form.
    """
    known = {wheel.filename for wheel in community_wheels.community() if wheel.builder == of.builder}
    listed = [wheel for tag, name, url in _files(content, of) if (wheel := _wheel(of.builder, tag, name, url))]
    new = [wheel for wheel in listed if wheel.filename not in known]
    found = community_wheels.candidates(key, among=new)
    where = f"seen on its page on {seen:%Y-%m-%d}"
    return tuple(msgspec.structs.replace(c, source=f"{c.source}, {where}") for c in found), len(new)


def _files(content: Any, of: BuildersPage) -> Iterator[tuple[str, str, str]]:
    """Yield tag, name and address of each file. Only addresses of the builder's own page are taken."""
    if isinstance(content, dict):  # Hugging Face
        for entry in content["siblings"]:
            yield "", entry["rfilename"], f"{of.page}/resolve/main/{quote(entry['rfilename'])}"
        return
    for release in content:
        for asset in release["assets"]:
            if asset["browser_download_url"].startswith(f"{of.page}/download/"):
                yield release["tag_name"], asset["name"], asset["browser_download_url"]


def _wheel(builder: str, tag: str, name: str, url: str) -> CommunityWheel | None:
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return CommunityWheel(
        builder=builder,
        package=match["package"],
        release=match["release"],
        tag=tag,
        cuda=f"{match['major']}.{match['minor']}",
        torch=match["torch"],
        python=community_wheels.python_of(match["tags"]),
        platform=match["platform"],
        filename=name,
        url=url,
        listed=True,
    )
