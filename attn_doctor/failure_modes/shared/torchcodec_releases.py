"""Choose the torchcodec for a torch, and make the fixes that install it and FFmpeg. Pure.

torchcodec requires no torch by its metadata, so pip installs the newest one beside any torch.
https://github.com/meta-pytorch/torchcodec#installing-torchcodec has the table of releases.
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

TABLE = "https://github.com/meta-pytorch/torchcodec#installing-torchcodec"
# torch -> the newest torchcodec for it. From 2.11 on: 0.12 and newer fit every torch.
_FOR = {
    (2, 4): "0.0.3",
    (2, 5): "0.1",
    (2, 6): "0.2",
    (2, 7): "0.5",
    (2, 8): "0.7",
    (2, 9): "0.9",
    (2, 10): "0.10",
}
_ANY = (2, 11)


def requirement(facts: Facts) -> str | None:
    """Return the requirement of the torchcodec for the installed torch, "torchcodec==0.7.*"; None if torch is not known, or is too old for any."""
    version = pair(facts.torch.version) if isinstance(facts.torch.version, str) else None
    if version is None:
        return None
    if version >= _ANY:
        return "torchcodec>=0.12"
    found = _FOR.get(version)
    return None if found is None else f"torchcodec=={found}" if found.count(".") > 1 else f"torchcodec=={found}.*"


def install(facts: Facts, *, afresh: bool = False) -> tuple[Fix, ...]:
    """Return the fixes for a torchcodec that is missing or, if `afresh`, made for another torch."""
    verify = (*commands.starting(facts), "-c", "import torchcodec")
    wanted = requirement(facts)
    steps: tuple[Step, ...]
    if wanted is None:
        look = commands.by_hand(
            (*commands.starting(facts), "-c", "import torch; print(torch.__version__)"),
            f"torchcodec 0.12 and newer are for torch 2.11 and newer, 0.10 for torch 2.10, 0.9 for 2.9, 0.7 for 2.8, 0.5 for 2.7; the whole table: {TABLE}",
            "nothing",
            "none",
        )
        get = commands.install(
            "torchcodec",
            upgrade=afresh,
            why="the newest one, for torch 2.11 and newer; for an older torch write its release: torchcodec==0.9.* for torch 2.9",
            changes="torchcodec",
        )
        steps = (look, get)
    else:
        get = commands.install(wanted, why=f"the torchcodec for torch {facts.torch.version}", changes="torchcodec")
        steps = (get,)
    return (
        Fix(title="Install the torchcodec for this torch", steps=steps, verify=verify),
        ffmpeg(facts),
        _soundfile(facts),
    )


def ffmpeg(facts: Facts) -> Fix:
    """Return the fix that installs FFmpeg's libraries, which torchcodec loads; FFmpeg 4 to 7, and 8 with torchcodec 0.9 and newer.

    A static `ffmpeg.exe` has no libraries, and torchcodec does not find it: https://github.com/meta-pytorch/torchcodec#installing-torchcodec
    """
    verify = (*commands.starting(facts), "-c", "import torchcodec")
    conda = facts.interpreter.kind == "conda"
    if conda or facts.system.os == "windows":
        words = (
            "in the environment of conda from which the program starts: FFmpeg's libraries, which torchcodec loads"
            if conda
            else 'needs conda. Without conda: download a build of FFmpeg 7 with "shared" in its name (https://www.gyan.dev/ffmpeg/builds/), and put its folder bin into PATH; '
            "a build without shared has no libraries"
        )
        step = commands.by_hand(("conda", "install", "-y", "-c", "conda-forge", "ffmpeg<8"), words, "adds ffmpeg")
    elif facts.system.os == "darwin":
        step = commands.by_hand(
            ("brew", "install", "ffmpeg@7"), "FFmpeg's libraries, which torchcodec loads", "adds ffmpeg"
        )
        path = commands.variable(
            "DYLD_FALLBACK_LIBRARY_PATH",
            "/opt/homebrew/opt/ffmpeg@7/lib",
            "lets the program find them; on a Mac with an Intel processor: /usr/local/opt/ffmpeg@7/lib",
        )
        return Fix(title="Install FFmpeg", steps=(step, path), verify=verify)
    else:
        step = commands.by_hand(
            places.as_root(facts, "apt-get", "install", "-y", "ffmpeg"),
            "FFmpeg's libraries, which torchcodec loads (Debian, Ubuntu; Fedora: dnf install -y ffmpeg-free; in an image: in its Dockerfile)",
            "adds ffmpeg",
        )
    return Fix(title="Install FFmpeg", steps=(step,), verify=verify)


def _soundfile(facts: Facts) -> Fix:
    """Return the way round torchcodec for sound files. https://docs.pytorch.org/audio/main/torchaudio.html (2.9 moved load and save to torchcodec)."""
    get = commands.install(
        "soundfile", why="reads and writes sound files without torchcodec and FFmpeg", changes="adds soundfile"
    )
    use = commands.by_hand(
        (),
        "in the program: soundfile.read(path) in place of torchaudio.load, soundfile.write(path, samples.T.numpy(), rate) in place of torchaudio.save; "
        "or install torch and torchaudio 2.8, which do without torchcodec",
        "the program",
        "none",
    )
    return Fix(
        title="Or do without torchcodec", steps=(get, use), verify=(*commands.starting(facts), "-c", "import soundfile")
    )
