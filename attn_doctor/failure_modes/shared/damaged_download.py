"""Read from a log that a file came damaged: its hash is another one, or its end is missing. Make the cures. Pure.

pip compares each file with the hash that the index names (behind # in the address), also if the file of requirements has no hashes, and
names "the requirements file" in both cases: https://pip.pypa.io/en/stable/topics/secure-installs/, https://github.com/pypa/pip/issues/11153
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Fix, Severity
from attn_doctor.model.steps import Step, name_of

_SHA = r"(?:sha256[: ])?\s*(?P<{}>[0-9a-f]{{8,64}})"
_HASHES = "THESE PACKAGES DO NOT MATCH THE HASHES FROM"
SIGNS = (
    Sign(
        pattern=rf"(?P<unlike>{_HASHES})",
        literal=_HASHES,
        sample="ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, please update",
        strength="hint",
    ),
    Sign(
        pattern=r"^\s*(?P<of>[A-Za-z][\w.-]*?)(?:==\S+?|[<>~!]=?\S+?)? from (?P<address>https?://\S+?\.(?:whl|tar\.gz))(?:#sha256=(?P<promised>[0-9a-f]{64}))?[: ]",
        literal=" from http",
        sample="    torch==2.6.0 from https://files.pythonhosted.org/packages/37/torch-2.6.0-cp312-cp312-manylinux1_x86_64.whl#sha256="
        "9a610afe216a85a8b9bc9f8365ed561535c93e804c2a317ef7fabcc5f8df1111:",
        strength="context",
    ),
    Sign(
        pattern=r"^\s*Expected\s+(?P<more>or )?" + _SHA.format("expected"),
        literal="Expected ",
        sample="        Expected sha256 9a610afe216a85a8b9bc9f8365ed561535c93e804c2a317ef7fabcc5f8df1111",
        strength="context",
    ),
    Sign(
        pattern=r"^\s*Got\s+" + _SHA.format("got"),
        literal="Got ",
        sample="             Got        0bf6ad5fc142196eb0559a44a47b9787e97a7777df9140f74474f262aa17fe9f",
        strength="context",
    ),
    Sign(
        pattern=r"Using cached (?P<cached>\S+\.(?:whl|tar\.gz)(?!\.metadata))",
        literal="Using cached ",
        sample="  Using cached torch-2.6.0-cp312-cp312-manylinux1_x86_64.whl (766.6 MB)",
        strength="context",
    ),
    *(
        Sign(
            pattern=pattern,
            literal=literal,
            sample=sample,
            strength="context" if "address>" in pattern or "downloaded>" in pattern else "hint",
        )
        for pattern, literal, sample in (
            (r"Hash mismatch for `(?P<uv>[\w.-]+)", "Hash mismatch for `", "  ╰─▶ Hash mismatch for `torch==2.7.0+cu128`"),
            (
                r"Hash for (?P<poetry>[\w.-]+) \(\S+\) from archive \S+ not found in known hashes",
                "not found in known hashes",
                "Hash for torch (2.0.1) from archive torch-2.0.1-cp310-cp310-manylinux1_x86_64.whl not found in known hashes (was: sha256:4f7b)",
            ),
            (
                r"Invalid hashes \([^)]*\) for (?P<poetry>[\w.-]+) \(\S+\) using archive",
                "Invalid hashes (",
                "Invalid hashes (sha256:b8e4) for torch (1.13.1) using archive torch-1.13.1-cp39-cp39-manylinux1_x86_64.whl. Expected one of sha256:aa",
            ),
            (
                r"Download failed because not enough bytes were received \((?P<short>[^)]*)\)",
                "not enough bytes were received",
                "× Download failed because not enough bytes were received (512.0 MB/899.8 MB)",
            ),
            (
                r"IncompleteRead\((?P<short>\d+ bytes read, \d+ more expected)",
                "IncompleteRead(",
                "pip._vendor.urllib3.exceptions.IncompleteRead: IncompleteRead(125402112 bytes read, 82118144 more expected)",
            ),
            (r"URL: (?P<address>https?://\S+\.whl)", "URL: http", "╰─> URL: https://files.pythonhosted.org/packages/aa/torch-2.9.1-cp312-cp312-win_amd64.whl"),
            (
                r"Failed to download distribution due to network timeout\. Try increasing (?P<timeout>UV_HTTP_TIMEOUT)",
                "UV_HTTP_TIMEOUT",
                "  ╰─▶ Failed to download distribution due to network timeout. Try increasing UV_HTTP_TIMEOUT (current value: 30s).",
            ),
            (
                r"(?P<conda>ChecksumMismatchError): Conda detected a mismatch",
                "ChecksumMismatchError",
                "ChecksumMismatchError: Conda detected a mismatch between the expected content and downloaded content",
            ),
            (
                r"Wheel '(?P<of>[\w.-]+)' located at \S+pip-unpack-\S+[\\/](?P<unpacked>[\w.+-]+\.whl) is invalid",
                "pip-unpack-",
                "ERROR: Wheel 'torch' located at /home/me/pip-unpack-x1/torch-2.1.2-cp310-cp310-manylinux1_x86_64.whl is invalid.",
            ),
            (
                r"(?:Collecting|Downloading) (?P<downloaded>https?://\S+\.whl)",
                "ing http",
                "  Downloading https://download.pytorch.org/whl/cu121/torch-2.5.1%2Bcu121-cp310-cp310-win_amd64.whl (2449.4 MB)",
            ),
        )
    ),
)  # fmt: skip

# The commands that read uv.lock, and uv's sentence about a project.
_OF_LOCK = (
    Sign(
        pattern=r"(?:^|[\s>$❯→])(?P<locked>uv (?:sync|run|export)\b)",
        literal="uv ",
        sample="$ uv sync",
        strength="context",
    ),
    Sign(
        pattern=r"^help: [`'].{1,80}[`'] \(v\S+\) was (?P<locked>included because)",
        literal=" was included because ",
        sample="help: `torch` (v2.7.0+cu128) was included because `project` (v0.0.1) depends on `torch`",
        strength="context",
    ),
)
SIGNS = (*SIGNS, *_OF_LOCK)

Cause = Literal["damaged", "stale", "slow", "locked"]


class Damaged(Variant, frozen=True, kw_only=True):
    """Hold the file that came damaged.

    `cause`: "damaged"; "stale": the file is whole, and the list of hashes is for other files; "locked": uv.lock may be
    such a list; "slow": uv waited too short a time. `tool`: the installer. `address`: of the file. `cached`: the log
    shows that pip took a file from its cache.
    """

    cause: Cause
    tool: Literal["pip", "uv", "poetry", "conda"]
    package: str | None
    address: str | None
    cached: bool


def told(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for a file that came damaged; None for all other logs."""
    tool: Literal["pip", "uv", "poetry", "conda"] | None = None
    if seen.group("uv") or seen.group("timeout"):
        tool = "uv"
    elif seen.group("poetry"):
        tool = "poetry"
    elif seen.group("conda"):
        tool = "conda"
    elif seen.group("unlike") or seen.group("short") or seen.group("unpacked"):
        tool = "pip"
    if tool is None or _overcome(seen):
        return None
    address = seen.group("address") or seen.group("downloaded")
    package = seen.group("uv") or seen.group("poetry") or seen.group("of") or (name_of(address) if address else None)
    told_by = ("unlike", "uv", "poetry", "short", "timeout", "conda", "unpacked", "got")
    lines = [m for m in seen.matches if any(m.groups.get(name) for name in told_by)]
    cause = _cause(seen)
    message = {
        "damaged": f"The file of {package or 'a package'} came damaged or incomplete: its content is not what the index promises. In most cases the download "
        "broke off, and nobody tampered with it.",
        "stale": f"The downloaded file of {package or 'a package'} is what the index promises, and the hashes in the file of requirements are for other files.",
        "locked": f"The hash of the downloaded file of {package or 'a package'} is not among those in uv.lock. In most cases the lock file was made from another index, or the index renewed the "
        "file, or uv.lock lists no file for this system; a damaged download is rarer.",
        "slow": f"The download of {package or 'a package'} took longer than uv waits.",
    }[cause]
    if cause == "damaged" and seen.group("short"):
        message = f"The download of {package or 'a package'} broke off ({seen.group('short')})."
    return Hit(
        message=message,
        evidence=building.lines(lines),
        variant=Damaged(cause=cause, tool=tool, package=package, address=address, cached=seen.group("cached") is not None),
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM if tool in ("uv", "poetry") and cause in ("damaged", "locked") else Confidence.HIGH,
    )  # fmt: skip


def _cause(seen: Seen) -> Cause:
    promised, got = seen.group("promised"), seen.group("got")
    if promised is not None and got is not None and promised.startswith(got):
        return "stale"
    if seen.group("timeout"):
        return "slow"
    return "locked" if seen.group("uv") is not None and seen.group("locked") is not None else "damaged"


def _overcome(seen: Seen) -> bool:
    """Return whether the log shows an installation that ended well after the error."""
    last = max((m.line for m in seen.matches if {"unlike", "uv", "poetry", "short"} & m.groups.keys()), default=0)
    return any(m.line > last for log in seen.logs for m in log.about("installation ended well"))


def fixes(facts: Facts, found: Damaged) -> tuple[Fix, ...]:
    if found.cause == "stale":
        return (_hashes_again(facts),)
    if found.tool == "uv":
        return _by_uv(facts, found)
    if found.tool == "poetry":
        return (_by_poetry(facts, found),)
    if found.tool == "conda":
        clean = commands.by_hand(
            ("conda", "clean", "--packages", "--tarballs", "--yes"), "removes the damaged file from conda's cache; then install again", "conda's cache", "none"
        )  # fmt: skip
        return (Fix(title="Empty conda's cache, and download again", steps=(clean,), verify=building.verify(facts)),)
    again, whole = _again(facts), _whole(facts, found)
    made = (again, *whole) if found.cached or not whole else (*whole, again)
    return made if places.container(facts) != places.BUILD else (again,)


_INSTALL = re.compile(r"(?P<program>.*\bpip[\d.]*(?:\.exe)?) (?P<verb>install|download) (?P<rest>[^\"'|&;<>]+)$")


def _again(facts: Facts) -> Fix:
    """Return the fix that downloads again without pip's cache, with many tries and long waits.

    https://pip.pypa.io/en/stable/cli/pip/ (--no-cache-dir, --retries, --timeout); pip 25.2 and newer go on where a download broke off:
    --resume-retries (25.1), which 25.2 does by default: https://pip.pypa.io/en/stable/news/
    """
    command = facts.subject.command
    typed = _INSTALL.match(command) if isinstance(command, str) else None
    options = ("--no-cache-dir", "--retries", "20", "--timeout", "120")
    newer = commands.install(
        "pip", upgrade=True, why="pip 25.2 and newer go on where a download broke off", changes="pip"
    )
    if typed is None:
        words = f"install again in the same way, with these options of pip: {' '.join(options)}. A program that installs by itself takes them as PIP_NO_CACHE_DIR=1, PIP_RETRIES=20 and PIP_DEFAULT_TIMEOUT=120"
        step = commands.by_hand((), words, "the packages")
    else:
        argv = (*typed["program"].split(), typed["verb"], *options, *typed["rest"].split())
        step = commands.by_hand(
            argv, "your command, without the file in pip's cache, with more tries and longer waits", "the packages"
        )
    return Fix(title="Download again, without pip's cache", steps=(newer, step), verify=building.verify(facts))


def _whole(facts: Facts, found: Damaged) -> tuple[Fix, ...]:
    """Return the fix that downloads the file by curl, which goes on where it broke off, and installs it; empty if its address is not known.

    https://curl.se/docs/manpage.html (-C -); Windows 10 and newer have curl.exe.
    """
    if found.address is None or not found.address.endswith(".whl"):
        return ()
    file = found.address.rpartition("/")[2].replace("%2B", "+")
    windows = facts.system.os == "windows" or "-win_" in file
    curl = "curl.exe" if windows else "curl"
    get = commands.by_hand(
        (curl, "-L", "-C", "-", "--retry", "20", "-o", file, found.address),
        "goes on where it broke off: repeat this line until it ends without an error. A browser does it too",
        "a file, here",
        "none",
    )
    put = commands.install(
        f"./{file}",
        why="the whole file; then repeat what failed: pip finds the package installed",
        changes=f"adds {found.package or 'the package'}",
    )
    return (Fix(title="Download the file by itself, and install it", steps=(get, put), verify=building.verify(facts)),)


def _hashes_again(facts: Facts) -> Fix:
    """Return the fix that renews the hashes in a file of requirements, which are those of other files.

    https://pip-tools.readthedocs.io/en/stable/ (--generate-hashes)
    """
    words = (
        "write the hashes again, with the tool that made the file: pip-compile --generate-hashes, or uv pip compile --generate-hashes. They have to contain "
        "the files for this system too. If the version did not change and nobody renewed the file, ask its author before you trust it"
    )
    step = commands.by_hand((), words, "the file of requirements", "none")
    return Fix(title="Renew the hashes in the file of requirements", steps=(step,), verify=building.verify(facts))


def _by_uv(facts: Facts, found: Damaged) -> tuple[Fix, ...]:
    """Return the fixes for uv: wait longer for a file, empty the cache, or lock the package again.

    If the download was slow, or the package is not known: only the first.
    https://docs.astral.sh/uv/reference/cli/#uv-cache-clean, https://docs.astral.sh/uv/reference/environment/
    """
    verify, name = building.verify(facts), found.package
    wait = commands.variable("UV_HTTP_TIMEOUT", "600", "seconds that uv waits for a file: PyTorch's have 2 GB and more")
    if found.cause == "slow" or name is None:
        again = commands.by_hand(
            (), "then repeat your command in this shell: uv keeps the files that are complete", "nothing", "none"
        )
        return (Fix(title="Give uv more time for a file", steps=(wait, again), verify=verify),)
    clean = commands.by_hand(
        ("uv", "cache", "clean", name),
        "removes the damaged file from uv's cache; then repeat your command in this shell",
        "uv's cache",
        "none",
    )
    made = Fix(title="Empty uv's cache, and download again", steps=(wait, clean), verify=verify)
    lock = commands.by_hand(
        ("uv", "lock", "--refresh-package", name, "--upgrade-package", name),
        f"if the same hash comes again, uv.lock has the hashes of other files of {name} (the index renewed them, or lists none for this system): reads them again",
        "uv.lock",
    )
    locked = Fix(title=f"Lock {name} again", steps=(lock,), verify=verify)
    if found.cause == "locked":
        steps = (
            msgspec.structs.replace(
                lock, why=f"reads the hashes of {name} again, from the index that the project names for it"
            ),
            commands.by_hand(("uv", "sync"), "then installs", "the environment of this project"),
        )
        return (msgspec.structs.replace(locked, steps=steps), made)
    return (made, locked)


def _by_poetry(facts: Facts, found: Damaged) -> Fix:
    """Return the fix for Poetry: empty its cache, and download again.

    https://python-poetry.org/docs/cli/#cache, https://github.com/python-poetry/poetry/issues/6151
    """
    name = found.package or "the package"
    gone = "removes the damaged file: `poetry cache clear` leaves the folder artifacts"
    empty = (
        commands.by_hand((), f"delete the folder artifacts in the folder that `poetry config cache-dir` prints: {gone}", "Poetry's cache", "none")
        if facts.system.os == "windows"
        else commands.by_hand(("sh", "-c", 'rm -rf "$(poetry config cache-dir)/artifacts"'), gone, "Poetry's cache", "none")
    )  # fmt: skip
    again = commands.by_hand(("poetry", "install"), "downloads again", "the environment of this project")
    words = f"if the same hash comes again, poetry.lock has the hashes of other files: run `poetry update {name}`"
    steps: tuple[Step, ...] = (empty, again, commands.by_hand((), words, "poetry.lock", "none"))
    return Fix(title="Empty Poetry's cache, and download again", steps=steps, verify=building.verify(facts))
