"""A wheel could not be downloaded, or came damaged.

What it is
    flash-attn's setup.py first asks GitHub for a wheel that fits. The machine cannot reach GitHub, or the downloaded
    file is not a wheel. Or a large file of any package (torch, cuDNN) broke off before its end, or is damaged in the cache.

How it shows
    After the line "Guessing wheel URL: https://github.com/..." comes "error: <urlopen error [Errno -2] Name or
    service not known>", "Connection timed out", "Remote end closed connection without response"; or no line follows
    at all. pip's "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", also without a single hash in that file; "not enough
    bytes were received"; "IncompleteRead"; uv's "Hash mismatch for"; Poetry's "not found in known hashes"; conda's "ChecksumMismatchError".
    If a file that you downloaded yourself is a web page or is incomplete: "Wheel 'flash-attn' located at ...
    is invalid".

Why it happens
    A firewall, no internet on the compute node, or a proxy. flash-attn up to 2.5.8 ends there. Later releases begin
    to compile instead, for hours and without output, so that a network failure looks like a slow build.

    Beware: the traceback of HTTP 404 or urlopen at the end of a failed *build* is not the cause. setup.py compiles
    while it handles that error; the cause is above the traceback.

    pip compares each file with the hash that the index names. If a download of 2 GB breaks off shortly before its end, the hash is another one,
    and pip warns of tampering. If the hash that it got is the one in the address, the file is whole, and the hashes in the file of requirements
    are for other files.

What to do
    For a damaged file: download again without the cache, or by curl or a browser, which go on where they broke off, and install the file.
    Download the wheel on a machine that reaches GitHub, copy it to this machine and install the file. Or set
    HTTPS_PROXY. `attn-doctor wheels` names the file.

How to reproduce
    `attn-doctor reproduce wheel-download-failed` runs the setup.py of flash-attn 2.5.8 without a network. Stand-ins
    (parts that are not real): a torch that only looks like a CUDA build. It downloads 13 MB, and a CPU build of torch
    (200 MB) if the target's torch cannot be used.

References
    https://github.com/Dao-AILab/flash-attention/issues/559
    https://github.com/Dao-AILab/flash-attention/pull/963
    https://github.com/pytorch/pytorch/issues/104598
    https://github.com/pytorch/pytorch/issues/110847
    https://github.com/astral-sh/uv/issues/16310
    https://github.com/python-poetry/poetry/issues/6151
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import (
    BUILD_TOOLS,
    INSTALL_SOURCE,
    LOOKS_LIKE_CUDA,
    Network,
    Recipe,
    Source,
    StubToolkit,
    Torch,
    Variable,
)
from attn_doctor.failure_modes.shared import damaged_download, package_cures, subject, wheel_fixes
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD202",
    slug="wheel-download-failed",
    title="The wheel could not be downloaded",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=("build-failed-unspecified", "no-matching-distribution"),
    signs=(
        *damaged_download.SIGNS,
        Sign(
            pattern=r"urlopen error (?!.*CERTIFICATE)(?P<why>[^>]*)>?",
            literal="urlopen error",
            sample="error: <urlopen error [Errno -2] Name or service not known>",
            strength="hint",
        ),
        Sign(
            pattern=r"error: Remote end closed connection without response",
            literal="Remote end closed connection",
            sample="error: Remote end closed connection without response",
        ),
        *(
            Sign(pattern=pattern, literal=literal, sample=sample)
            for pattern, literal, sample in (
                (
                    r"unable to access 'https://github\.com/[^']{0,200}flash-attention[^']{0,80}': (?P<why>[^;]{1,120})",
                    "unable to access 'https://github.com/",
                    "fatal: unable to access 'https://github.com/Dao-AILab/flash-attention.git/': Could not resolve host: github.com",
                ),
                (
                    r"Failed to (?:download|fetch):? `?https://github\.com/\S{0,200}flash_attn",
                    "https://github.com/",
                    "  cause: Failed to fetch: https://github.com/Dao-AILab/flash-attention/releases/download/v2.8.3/flash_attn-2.8.3.whl",
                ),
                (
                    r"Failed to connect to (?P<why>\S*github\S*) while fetching \S{0,300}flash_attn",
                    " while fetching https://github",
                    (
                        "× Failed to connect to github.com while fetching https://github.com/Dao-AILab/flash-attention/releases/"
                        "download/v2.8.3/flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp313-cp313-linux_x86_64.whl"
                    ),
                ),
                (
                    r"host='\w{0,20}\.?github\S{0,40}', port=\d+\): Max retries exceeded with url: \S{0,300}flash",
                    "Max retries exceeded with url",
                    (
                        "ERROR: Could not install packages due to an OSError: HTTPSConnectionPool(host='github.com', port=443): Max retries "
                        "exceeded with url: /Dao-AILab/flash-attention/releases/download/v2.8.3/flash_attn-2.8.3.whl"
                    ),
                ),
            )
        ),
        Sign(
            pattern=r"after connection broken by .{0,600}github.{0,600}flash_attn",
            literal="after connection broken by ",
            sample="WARNING: Retrying (Retry(total=4)) after connection broken by 'NameResolutionError(\"HTTPSConnection(host='github.com',"
            " port=443): Failed to resolve 'github.com'\")': /Dao-AILab/flash-attention/releases/download/v2.8.3/flash_attn-2.8.3.whl",
            strength="hint",
        ),
        Sign(
            pattern=r"Wheel '[^']{1,80}' located at \S{1,400} is invalid",
            literal=" located at ",
            sample="ERROR: Wheel 'flash-attn' located at /tmp/flash_attn-2.8.3-cp311-cp311-linux_x86_64.whl is invalid.",
        ),
        # A clone without Git LFS, or of a repository whose quota is used up, has a small text file in the place of the wheel.
        *(
            Sign(pattern=rf"(?P<lfs>{literal})", literal=literal, sample=sample, strength="context")
            for literal, sample in (
                (
                    "over its data quota",
                    "batch response: This repository is over its data quota. Account responsible for LFS bandwidth",
                ),
                ("git-lfs", "version https://git-lfs.github.com/spec/v1"),
                (
                    "smudge filter lfs failed",
                    "error: external filter 'git-lfs filter-process' failed, fatal: wheel: smudge filter lfs failed",
                ),
            )
        ),
        Sign(
            pattern=r"Precompiled wheel not found\. Building from source",
            literal="Precompiled wheel not found",
            sample="Precompiled wheel not found. Building from source...",
            strength="context",
        ),
        Sign(
            pattern=r"Guessing wheel URL:\s*(?P<url>\S+)",
            literal="Guessing wheel URL",
            sample="Guessing wheel URL:  https://github.com/Dao-AILab/flash-attention/releases/download/v2.8.3/flash_attn-2.8.3.whl",
            strength="hint",
        ),
        *(
            Sign(pattern=literal, literal=literal, sample=sample, strength="context")
            for literal, sample in (
                ("running build", "running build_ext"),
                ("building 'flash_attn_2_cuda'", "building 'flash_attn_2_cuda' extension"),
                (
                    "During handling of the above exception",
                    "During handling of the above exception, another exception occurred:",
                ),
                ("Successfully installed ", "Successfully installed flash-attn-2.8.3"),
            )
        ),
        # The temporary environments in which uv and pip build in isolation: they have the newest torch, not the user's torch.
        *(
            Sign(pattern=rf"{literal}[\w.]{{4,}}(?P<isolated>/)", literal=literal, sample=sample, strength="context")
            for literal, sample in (
                (
                    "/builds-v0/.tmp",
                    'DEBUG   File "/home/user/.cache/uv/builds-v0/.tmpYBpv2X/lib/python3.11/site.py", line 3, in run',
                ),
                (
                    "/pip-build-env-",
                    '  File "/tmp/pip-build-env-7p2xk0a1/overlay/lib/python3.11/site.py", line 3, in run',
                ),
            )
        ),
    ),
    recipe=Recipe(
        does="runs the setup.py of flash-attn 2.5.8 without a network",
        of=(
            Torch(cuda="12.8"),
            BUILD_TOOLS,
            Source(release="2.5.8"),
            StubToolkit(version="12.8"),
            Network(kind="none"),
            Variable(name="CUDA_HOME", value="{toolkit}"),
        ),
        run=(INSTALL_SOURCE,),
        shows="urlopen error",
        seconds=25,
        stands_in=(LOOKS_LIKE_CUDA,),
    ),
)
# There is no `detect`: attn-doctor does not use the network unless the user asks for it.


class Wanted(Variant, frozen=True, kw_only=True):
    """Hold the address of the file that setup.py tried to download; None if no line of the log has the whole address.

    `isolated`: the file is for the torch in the temporary environment of an isolated build, which may differ from the user's
    torch.
    """

    url: str | None
    isolated: bool = False
    lfs: bool = False  # the file is a pointer of Git LFS


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if (damaged := damaged_download.told(facts, seen)) is not None:
        return damaged
    proofs = [m for m in seen.matches if m.strength == "proof"]
    fatal = proofs or [m for m in seen.matches if m.strength == "hint" and _ended_it(m, seen)] or _asked_for_ever(seen)
    if not fatal:
        return None
    lfs = seen.group("lfs") is not None
    wanted = Wanted(url=_address(seen), isolated=any("isolated" in m.groups for m in seen.matches), lfs=lfs)
    if any("is invalid" in m.text for m in proofs):
        message = "The downloaded file is not a wheel: it is incomplete, or a web page."
        if lfs:
            message = "The file is not a wheel but a pointer of Git LFS: Git did not download its content."
        return _observed(message, fatal, wanted)
    why = next((m.groups["why"] for m in fatal if m.groups.get("why")), None)
    if why is None and not proofs and all("Guessing wheel URL" in m.text for m in fatal):
        return _observed("setup.py asked GitHub for a wheel, and no answer came.", fatal, wanted, Confidence.MEDIUM)
    message = f"{subject.words(facts)}'s wheel could not be downloaded from GitHub" + (
        f": {why.rstrip('.')}." if why else "."
    )
    return _observed(message, fatal, wanted)


def _observed(message: str, matches: list[Match], wanted: Wanted, confidence: Confidence = Confidence.HIGH) -> Hit:
    evidence = tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in matches[:4])
    return Hit(message=message, evidence=evidence, variant=wanted, confidence=confidence)


_WHEEL = re.compile(r"https://github\.com/[\w./%+-]+/\w+-[\w.%+-]+\.whl")


def _address(seen: Seen) -> str | None:
    """Return the address of the wheel, as setup.py, pip or uv print it; None if no line has the whole address."""
    texts = [m.groups.get("url", m.text) for m in seen.matches]
    return next((found[0] for text in texts if (found := _WHEEL.search(text))), None)


def _ended_it(match: Match, seen: Seen) -> bool:
    """Return whether an error ended the installation: no build began after it, and nothing was installed after it."""
    if "connection broken" in match.text:
        return not any(m.strength == "context" and "nstalled " in m.text and m.line > match.line for m in seen.matches)
    built = any(m.text.startswith(("Precompiled wheel not found", "running build", "building '")) for m in seen.matches)
    handled = any(m.text.startswith("During handling") and m.line > match.line for m in seen.matches)
    return not built and ("error: <urlopen error" in match.text or ("URLError" in match.text and not handled))


def _asked_for_ever(seen: Seen) -> list[Match]:
    """Return the line "Guessing wheel URL" in a list, if a log ends with it: urlretrieve still waits, without a time limit. Else empty."""
    asked: list[Match] = []
    for log in seen.logs:
        rest = [line for line in log.tail if not line.startswith("[exit code")]
        last = next((n for n, line in enumerate(reversed(rest)) if "Guessing wheel URL" in line), None)
        if last is not None and not any(
            " " in line for line in rest[len(rest) - last :]
        ):  # a long URL may be broken into several lines
            asked.extend(m for m in seen.matches if m.file == log.file and "Guessing wheel URL" in m.text)
    return asked[-1:]


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, damaged_download.Damaged):
        return damaged_download.fixes(facts, hit.variant)
    asked = hit.variant.url if isinstance(hit.variant, Wanted) else None
    if not subject.is_flash_attn(facts) and subject.package(facts) is not None:
        isolated = isinstance(hit.variant, Wanted) and hit.variant.isolated
        return _of_another(facts, subject.words(facts), None if isolated else asked, build_first=isolated)
    windows = facts.system.os == "windows"
    if windows or (isinstance(hit.variant, Wanted) and hit.variant.lfs):
        return _from_elsewhere(facts, lfs=isinstance(hit.variant, Wanted) and hit.variant.lfs)
    fitting = wheel_fixes.fitting(facts)
    url = asked or (fitting.url if fitting else None)
    why, changes = "installs the file that you copied; do not rename it", "adds flash-attn"
    steps: list[Step] = []
    if url is None:
        name_it = (
            "names the wheel that fits: download it on a machine that reaches GitHub, and copy it into this folder"
        )
        steps.append(commands.by_hand(("attn-doctor", "wheels"), name_it, "nothing", "none"))
    else:
        fetch = "on a machine that reaches GitHub; then copy the file here"
        steps.append(commands.by_hand(("curl", "-L", "-O", url), fetch, "a file, there", "none", takes="about 250 MB"))
    install = _of_file(subject.FLASH_ATTN, url, why, changes)
    steps.append(commands.by_hand(commands.rendered(facts, install).argv, why, changes))
    verify = commands.check(facts, "--goal", "flash-attn", "--no-trial")
    return (Fix(title="Copy the wheel from another machine", steps=tuple(steps), verify=verify),)


def _from_elsewhere(facts: Facts, *, lfs: bool) -> tuple[Fix, ...]:
    """Return the fixes for a flash-attn wheel that could not be downloaded: wheels of other people, also for Windows, and the real file behind a Git LFS pointer.

    flash-attn's authors publish wheels for Linux only: https://github.com/Dao-AILab/flash-attention/releases
    """
    verify = commands.check(facts, "--goal", "flash-attn", "--no-trial")
    none = "flash-attn's authors have no wheel for Windows: " if facts.system.os == "windows" else ""
    look = commands.by_hand(
        ("attn-doctor", "wheels", "--online"),
        f"{none}this lists the wheels of others that fit this torch, CUDA and Python, with their addresses; install one by its address",
        "nothing",
        "none",
    )
    made = [Fix(title="Take a wheel from another source", steps=(look,), verify=verify)]
    if lfs:
        pull = commands.by_hand(
            ("git", "lfs", "pull"),
            "in the folder of the clone, after `git lfs install`: downloads the content. If it says that the quota is used up, only the owner of the "
            "repository can change that",
            "the files of the clone",
            "none",
        )
        made.append(Fix(title="Download the content that Git LFS keeps", steps=(pull,), verify=verify))
    return tuple(made)


def _of_file(name: str, url: str | None, why: str, changes: str) -> Step:
    """Return the step that installs the copied file: by the file name in its address; without one, any wheel of the package in this folder."""
    if url is None:
        return commands.install(name, no_deps=True, from_folder=".", why=why, changes=changes)
    return commands.install("./" + url.rpartition("/")[2].replace("%2B", "+"), no_deps=True, why=why, changes=changes)


def _of_another(facts: Facts, name: str, url: str | None, *, build_first: bool) -> tuple[Fix, ...]:
    """Return the fixes for a package other than flash-attn: copy its wheel, or compile it if its setup.py has a variable for that.

    `build_first`: compile first, because it is not known which wheel fits the user's torch.
    """
    row = built_packages.row_of(name)
    where = f" from {row.url}" if row is not None and row.url and "{" not in row.url else ""
    words = (
        f"download {name}'s wheel for this torch, CUDA and Python{where} on a machine that reaches it, and copy it here"
    )
    fetch = "on a machine that reaches GitHub; then copy the file here"
    carry = (
        commands.by_hand(("curl", "-L", "-O", url), fetch, "a file, there", "none")
        if url
        else commands.by_hand((), words, "nothing")
    )
    why, changes = "installs the file that you copied; do not rename it", f"adds {name}"
    put = commands.by_hand(commands.rendered(facts, _of_file(name, url, why, changes)).argv, why, changes)
    made = [Fix(title="Copy the wheel from another machine", steps=(carry, put), verify=subject.verify(facts))]
    forced = package_cures.forcing(facts, "the setup compiles and downloads no wheel")
    if forced:
        steps = (
            *((package_cures.tools(facts),) if build_first else ()),
            *forced,
            package_cures.fewer_jobs(facts),
            package_cures.build(facts, "compiles here, and downloads no wheel", forced=True),
        )
        made.append(Fix(title=f"Build {name} here", steps=steps, verify=subject.verify(facts)))
    return tuple(reversed(made) if build_first else made)
