"""A file gets a name that is longer than its file system allows.

What it is
    A file system limits the length of one name: 255 bytes on ext4, XFS, btrfs and APFS. eCryptfs, with which older Ubuntu and Mint encrypt
    a home folder, takes 143 characters. A program that names a file in its cache after a whole address exceeds this.

How it shows
    "OSError: [Errno 36] File name too long: '/home/...'", on a Mac "[Errno 63]"; git: "unable to create file ...: File name too long"; tar:
    "Cannot open: File name too long"; uv: "File name too long (os error 36)".

Why it happens
    The home folder is encrypted. Or the program used something else as a file name: the text of a prompt, an image as base64, an address
    with its whole query.

What to do
    `getconf NAME_MAX FOLDER` prints the limit of a folder. If it is below 255, move the cache or the project to a folder outside of the encrypted
    home, for example with TORCH_HOME or HF_HOME. If the name is longer than 255 bytes, no such folder helps: give the program a
    shorter name.

How to reproduce
    There is no recipe: `python -c "open('x' * 300, 'w')"` shows the failure on Linux and on a Mac.

References
    https://github.com/facebookresearch/maskrcnn-benchmark/issues/370
    https://github.com/nextcloud/desktop/issues/467 (getconf NAME_MAX prints 143 in a home folder that eCryptfs encrypts)
    https://docs.pytorch.org/docs/stable/hub.html (TORCH_HOME)
    https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables (HF_HOME)
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD566",
    slug="file-name-too-long",
    title="A file name longer than the file system allows",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    # shutil.move renames, and copies only after the system refused the rename: the message about the rename stands above.
    explains=("cross-device-link", "cutlass-submodule-missing", building.FAILED),
    signs=(
        Sign(
            pattern=r"\[Errno (?:36|63)\] File name too long(?:: '(?P<place>[^']{1,3000}))?",
            literal="File name too long",
            sample="OSError: [Errno 36] File name too long: '/home/user/.cache/torch/hub/checkpoints/a-very-long-name.pth'",
        ),
        Sign(
            pattern=r"(?:unable to create file|cannot create \w{1,20}|[Cc]annot (?:open|create|mkdir|stat)|[Ff]ailed to \w{1,20})\b.{0,1000}: File name too long\s{0,20}$",
            literal=": File name too long",
            sample="error: unable to create file csrc/composable_kernel/library/x.cpp: File name too long",
        ),
        Sign(
            pattern=r"\bCannot (?:open|mkdir|create symlink to \S{1,1000}): File name too long",
            literal=": File name too long",
            sample="tar: data/a-very-long-name.txt: Cannot open: File name too long",
        ),
        Sign(
            pattern=r"File name too long \(os error (?:36|63)\)",
            literal="File name too long (os error",
            sample="  Caused by: File name too long (os error 36)",
        ),
    ),
)
# There is no `detect`: no fact says how long a name a program will choose.

_MOST = 255  # bytes in one name on ext4, XFS, btrfs, APFS
_ENCRYPTED = 143  # the same on eCryptfs


class Long(Variant, frozen=True, kw_only=True):
    """Hold the longest name of the refused path in bytes (None if the log has no path), and the program's cache in which the file is."""

    size: int | None
    cache: Literal["torch", "huggingface", "other"] | None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    place = seen.group("place")
    size = max(len(name.encode()) for name in place.split("/")) if place else None
    cache: Literal["torch", "huggingface", "other"] | None = None
    if place:
        cache = (
            "torch"
            if "/.torch/" in place or "/.cache/torch/" in place
            else "huggingface"
            if "/.cache/huggingface/" in place
            else "other"
            if "/.cache/" in place
            else None
        )
    if size is not None and size > _MOST:
        message = f"A file name has {size} bytes, and no usual file system takes more than {_MOST}: the program used a text or a whole address as a name."
    elif size is not None and size > _ENCRYPTED:
        message = (
            f"A file name has {size} bytes. Most file systems take {_MOST}; eCryptfs, which encrypts home folders, takes {_ENCRYPTED} characters: "
            "the folder is probably encrypted."
        )
    else:
        message = f"A file name is longer than its file system allows ({_MOST} bytes; {_ENCRYPTED} characters in a home folder that eCryptfs encrypts)."
    return Hit(message=message, evidence=evidence, variant=Long(size=size, cache=cache))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    long = hit.variant if isinstance(hit.variant, Long) else Long(size=None, cache=None)
    verify = commands.check(facts)
    words = (
        "give the program a shorter name. If it got a text where it wants the path of a file (a prompt, JSON, an image as base64), write that text "
        "into a file and give the path. If the name is a whole address, download the file by hand and save it under a short name"
    )
    shorter = Fix(
        title="Use a shorter name", steps=(commands.by_hand((), words, "the program's input", "none"),), verify=verify
    )
    if long.size is not None and long.size > _MOST:
        return (shorter,)
    limit = commands.by_hand(
        ("getconf", "NAME_MAX", "."),
        "in the folder of that file: prints the longest name that the folder takes. 255 is usual; 143 is eCryptfs",
        "nothing",
        "none",
    )
    return (
        Fix(title="Use a folder on another file system", steps=(limit, *_elsewhere(long)), verify=verify),
        shorter,
    )


def _elsewhere(long: Long) -> tuple[Step, ...]:
    """Return the step that moves the cache out of the encrypted home folder; without a known cache, the step in words."""
    why = "a folder outside of the encrypted home: the program downloads into it again; any folder will do whose limit is 255"
    if long.cache == "torch":
        return (commands.variable("TORCH_HOME", "/var/tmp/torch", why),)  # noqa: S108 - a path for a command
    if long.cache == "huggingface":
        return (commands.variable("HF_HOME", "/var/tmp/huggingface", why),)  # noqa: S108
    if long.cache == "other":
        return (commands.variable("XDG_CACHE_HOME", "/var/tmp/cache", why),)  # noqa: S108
    words = (
        "if the limit is 143: clone, unpack or run the project in a folder outside of the encrypted home, for example below /var/tmp or on another disk. "
        "For a cache of torch set TORCH_HOME, for one of Hugging Face HF_HOME"
    )
    return (commands.by_hand((), words, "the place of the project", "none"),)
