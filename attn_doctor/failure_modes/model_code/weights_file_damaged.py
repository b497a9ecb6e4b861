"""A weights file is not whole, or is no weights file.

What it is
    A file with the name of a model cannot be read: a part of it is missing, bytes in it are wrong, or it is another kind of file: a web
    page, a pointer of Git LFS, an error message of a server. torch and ultralytics are well.

How it shows
    "PytorchStreamReader failed reading zip archive: failed finding central directory", "invalid header or archive is corrupted",
    "unexpected EOF, expected 10176 more bytes. The file might be corrupted", "UnpicklingError: invalid load key, 'v'" (Git LFS) or '<' (a
    page), "Weights only load failed" with "Unsupported operand 118" or 60, "EOFError: Ran out of input" (an empty file), "pickle data was
    truncated", "is not a loadable checkpoint", 'invalid hash value (expected "9d1f5f7a"', safetensors: "Error while deserializing header".

Why it happens
    A download was interrupted, or the disk was full. A link of Google Drive, GitHub or Hugging Face led to a page and not to the file. A
    repository was cloned without Git LFS: then the file has three lines of text. A training was killed while it wrote the file.

What to do
    Look at the size and the first bytes of the file, delete it, and fetch it again. Git LFS: `git lfs install`, then `git lfs pull` in the
    clone. Google Drive: `gdown`. Files that ultralytics, torch.hub or Hugging Face fetch themselves: delete the file in their cache.

How to reproduce
    There is no recipe: cut a copy of a model, and load it:
    `head -c 1000000 yolo12n.pt > part.pt; yolo predict model=part.pt`.

References
    https://github.com/pytorch/pytorch/issues/31620
    https://github.com/hhj1897/face_parsing/issues/3
    https://github.com/CompVis/stable-diffusion/issues/93
    https://github.com/codefuse-ai/MFTCoder/issues/20
    https://docs.github.com/repositories/working-with-files/managing-large-files/collaboration-with-git-large-file-storage
    https://docs.ultralytics.com/models/
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, file_again
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

_LOADS = r"torch[\\/](?:serialization|hub|jit[\\/]\w+)\.py|torch\.(?:jit\.)?load\(|ultralytics[\\/]nn[\\/]tasks\.py|torch_safe_load|_open_zipfile_reader|load_state_dict_from_url"
_FILE = r"[\w./\\:~+-]{1,200}"

MODE = FailureMode(
    code="AD650",
    slug="weights-file-damaged",
    title="A weights file is damaged, or is no weights file",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="model",
    explains=("model-not-built",),
    signs=(
        # caffe2/serialize/inline_container.cc. "failed locating file" is left out: such a file is whole, and of another kind (TorchScript).
        Sign(
            pattern=r"PytorchStreamReader (?P<how>failed reading (?:zip archive|file)).{0,120}",
            literal="PytorchStreamReader failed reading ",
            sample="RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory",
        ),
        *(
            Sign(pattern=words, literal=words, sample=f"RuntimeError: {words}")
            for words in ("failed finding central directory", "invalid header or archive is corrupted")
        ),
        # torch/serialization.py
        Sign(
            pattern=r"unexpected EOF, expected \d+ more bytes\. The file might be corrupted",
            literal="The file might be corrupted",
            sample="RuntimeError: unexpected EOF, expected 10176 more bytes. The file might be corrupted.",
        ),
        Sign(
            pattern=r"Invalid magic number; corrupt file\?",
            literal="Invalid magic number; corrupt file",
            sample="RuntimeError: Invalid magic number; corrupt file?",
        ),
        Sign(
            pattern=r"pickle data was truncated",
            literal="pickle data was truncated",
            sample="_pickle.UnpicklingError: pickle data was truncated",
        ),
        Sign(
            pattern=rf"(?P<named>{_FILE}\.\w{{1,12}})? ?is not a loadable checkpoint",
            literal="is not a loadable checkpoint",
            sample="TypeError: ERROR best.pt is not a loadable checkpoint: the file is empty, truncated or corrupted (EOFError: Ran out of input).",
        ),
        Sign(
            pattern=r"UnpicklingError: invalid load key, '(?P<key>\\?[^']{1,6})'",
            literal="invalid load key, '",
            sample="_pickle.UnpicklingError: invalid load key, 'v'.",
            strength="hint",
        ),
        # torch.load with weights_only=True names the first byte by its number.
        Sign(
            pattern=r"Unsupported operand (?P<byte>10|13|32|60|118|123)\b",
            literal="Unsupported operand ",
            sample="Unsupported operand 118",
        ),
        Sign(
            pattern=r"EOFError: (?P<empty>Ran out of input)",
            literal="EOFError: Ran out of input",
            sample="EOFError: Ran out of input",
            strength="hint",
        ),
        Sign(
            pattern=r"OSError: \[Errno 22\] (?P<short>Invalid argument)\s*$",
            literal="[Errno 22]",
            sample="OSError: [Errno 22] Invalid argument",
            strength="hint",
        ),
        Sign(
            pattern=r"Error while deserializing header: (?P<safetensors>\w[\w ]{2,60})",
            literal="Error while deserializing header",
            sample="safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge",
        ),
        Sign(
            pattern=r"(?P<lfs>cloned a repository without having git-lfs installed|version https://git-lfs\.github\.com/spec)",
            literal="git-lfs",
            sample="OSError: You seem to have cloned a repository without having git-lfs installed. Please install git-lfs and run `git lfs install`",
        ),
        # torch/hub.py: download_url_to_file compares the name of the file with its contents.
        Sign(
            pattern=r"invalid hash value \(expected \"(?P<hash>\w+)\"",
            literal="invalid hash value (expected",
            sample='RuntimeError: invalid hash value (expected "9d1f5f7a", got "e3b0c44298fc1c14")',
        ),
        *(
            Sign(
                pattern=rf"(?P<loads>{_LOADS})",
                literal=literal,
                sample=sample,
                strength="context",
            )
            for literal, sample in (
                (
                    "serialization.py",
                    '  File "/v/lib/python3.11/site-packages/torch/serialization.py", line 777, in load',
                ),
                ("load(", "    ckpt = torch.load(path, map_location='cpu')"),
                ("torch_safe_load", "  in torch_safe_load"),
                ("load_state_dict_from_url", "    state = load_state_dict_from_url(url)"),
            )
        ),
        *(
            Sign(
                pattern=rf"(?:(?:weights|model|ckpt|checkpoint|path)[ =]['\"\[]{{0,2}}|(?:YOLO|load|torch_load)\(\W?|\bload_\w{{2,20}}\(['\"][^'\"]{{1,200}}['\"], ['\"]|checkpoint file for .{{1,80}} at ')(?P<typed>{_FILE}\.{ending})\b",
                literal=f".{ending}",
                sample=f"$ yolo predict model=best.{ending} source=bus.jpg",
                strength="context",
            )
            for ending in ("pt", "pth", "ckpt", "bin", "safetensors")
        ),
        Sign(
            pattern=rf"Downloading: ?\"?(?P<url>https?://[^\s\"]+)\"? to (?P<cached>{_FILE})",
            literal="Downloading: ",
            sample='Downloading: "https://download.pytorch.org/models/resnet50-0676ba61.pth" to /root/.cache/torch/hub/checkpoints/resnet50-0676ba61.pth',
            strength="context",
        ),
    ),
)
# There is no `detect`: no fact says that a file of weights is not whole.

_NEAR = 12  # lines from the frame that loads a file to the error
_PAGE, _POINTER, _JSON = ("<", "60"), ("v", "118"), ("{", "123")
_WORDS: dict[str, str] = {
    "lfs": "it is a pointer of Git LFS, three lines of text: the repository was cloned without Git LFS, and the file itself is missing",
    "page": "it is a web page: the link led to a page about the file, and not to the file",
    "message": "it is a text: the server sent an error message in place of the file",
    "empty": "it is empty: its download, or the program that wrote it, was interrupted",
    "damaged": "a part of it is missing or wrong: its download was interrupted, or the program that wrote it",
}


class Damaged(Variant, frozen=True, kw_only=True):
    """Hold what the file is, its name if the log has it, and what fetches it.

    "lfs": a pointer of Git LFS. "page": a web page. "message": another text, an error message of the server. "empty":
    it has no bytes. "damaged": a part is missing or wrong.
    """

    kind: Literal["lfs", "page", "message", "empty", "damaged"]
    file: str | None = None
    hub: bool = False  # torch.hub fetches it
    safetensors: bool = False


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    counted = [m for m in seen.matches if m.strength == "proof" or (m.strength == "hint" and _counts(seen, m))]
    if not counted or (seen.group("lfs") and any(_of_a_wheel(m) for log in seen.logs for m in log.matches)):
        return None
    file = _name(seen, counted[0])
    kind = _kind(seen, counted)
    return Hit(
        message=f"The weights file{f' {file}' if file else ''} cannot be read: {_WORDS[kind]}.",
        evidence=building.lines(tuple(counted[:3])),
        variant=Damaged(
            kind=kind,
            file=file,
            hub=any("hash" in m.groups or "cached" in m.groups for m in seen.matches),
            safetensors=any("safetensors" in m.groups for m in counted),
        ),
        confidence=Confidence.HIGH if any(m.strength == "proof" or _surely(m) for m in counted) else Confidence.MEDIUM,
    )


def _of_a_wheel(match: Match) -> bool:
    """Return whether an installer found a wheel damaged: then the pointer of Git LFS is in its place, and no weights file is."""
    return match.slug == "wheel-download-failed" and match.strength == "proof" and ".whl" in match.text


def _surely(match: Match) -> bool:
    return match.groups.get("key") in (*_PAGE, *_POINTER)


def _counts(seen: Seen, match: Match) -> bool:
    """Return whether a weaker sign is about a file of weights: a frame that loads one is above."""
    return _surely(match) or any(
        "loads" in m.groups and m.file == match.file and 0 <= match.line - m.line <= _NEAR for m in seen.matches
    )


def _kind(seen: Seen, counted: list[Match]) -> Literal["lfs", "page", "message", "empty", "damaged"]:
    first = {m.groups.get("key") or m.groups.get("byte") for m in counted}
    if seen.group("lfs") or first & set(_POINTER):
        return "lfs"
    if first & set(_PAGE):
        return "page"
    if first & set(_JSON):
        return "message"
    return (
        "empty"
        if seen.group("empty") and all("empty" in m.groups or "Ran out" in m.text for m in counted)
        else "damaged"
    )


def _name(seen: Seen, error: Match) -> str | None:
    """Return the name of the file: from the error, or what the command or the traceback above it loads."""
    named = seen.group("named")
    if named:
        return named
    above = [m for m in seen.matches if m.file == error.file and m.line <= error.line]
    cached = [m.groups["cached"] for m in above if "cached" in m.groups]
    typed = [m.groups["typed"] for m in above if "typed" in m.groups]
    found = cached[-1:] or typed[-1:]
    return found[0] if found and re.search(r"\.\w+$", found[0]) else None


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    made = hit.variant if isinstance(hit.variant, Damaged) else Damaged(kind="damaged")
    if made.kind == "lfs":
        return (file_again.by_git_lfs(facts), file_again.fetched(facts, made.file))
    if made.hub and made.file is None:
        return (file_again.cache_of_hub(facts),)
    again = file_again.fetched(facts, made.file, page=made.kind in ("page", "message"))
    more = (file_again.cache_of_hub(facts),) if made.hub else ()
    lfs = (file_again.by_git_lfs(facts),) if made.safetensors else ()
    return (again, *more, *lfs)
