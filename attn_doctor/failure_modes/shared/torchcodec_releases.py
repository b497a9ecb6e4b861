"""Choose the torchcodec for a torch, and make the fixes that install it and FFmpeg. Pure.

torchcodec requires no torch by its metadata, so pip installs the newest one beside any torch.
https://github.com/meta-pytorch/torchcodec#installing-torchcodec has the table of releases. https://pypi.org/project/torchcodec/#files has the systems
of each: Linux on x86-64 from 0.0.1 on, a Mac with an Apple chip from 0.1, Windows from 0.7, Linux on ARM from 0.11. PyPI's wheels for Linux need the
libraries of CUDA 13 (libcudart.so.13 among their NEEDED entries): on ARM from 0.12 on at the latest, on x86-64 from 0.14 on.
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.knowledge import torch_names
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

TABLE = "https://github.com/meta-pytorch/torchcodec#compatibility-with-torch-versions"
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
_OF_WINDOWS, _OF_ARM = (2, 8), (2, 11)  # the first torch for which torchcodec has wheels there


def requirement(facts: Facts, *, without_cuda: bool = False) -> str | None:
    """Return the requirement of the torchcodec for the installed torch, "torchcodec==0.7.*"; None if torch is not known, or is too old for any.

    `without_cuda`: the log shows that the libraries of CUDA 13 are missing.
    """
    version = pair(facts.torch.version) if isinstance(facts.torch.version, str) else None
    if version is None:
        return None
    if version >= _ANY:
        return "torchcodec==0.13.*" if _without_cuda_13(facts, without_cuda) else "torchcodec>=0.12"
    found = _FOR.get(version)
    return None if found is None else f"torchcodec=={found}" if found.count(".") > 1 else f"torchcodec=={found}.*"


def _without_cuda_13(facts: Facts, told: bool) -> bool:
    """Return whether the torch under Linux is no build for CUDA 13, whose libraries PyPI's newest torchcodec loads. `told`: the log shows it."""
    cuda = facts.torch.cuda
    other = cuda is None or (isinstance(cuda, str) and not cuda.startswith("13"))
    return facts.system.os not in ("windows", "darwin") and (told or (other and facts.system.os == "linux"))


def _has_wheels(facts: Facts) -> bool:
    """Return whether any torchcodec for the installed torch has a wheel for this system; True if torch is not known."""
    version = pair(facts.torch.version) if isinstance(facts.torch.version, str) else None
    arm = places.architecture(facts) == "aarch64"
    if facts.system.os == "darwin":
        return arm or not isinstance(facts.system.machine, str)
    if version is None:
        return True
    return version >= (_OF_WINDOWS if facts.system.os == "windows" else _OF_ARM if arm else (2, 4))


def install(facts: Facts, *, afresh: bool = False, without_cuda: bool = False) -> tuple[Fix, ...]:
    """Return three fixes for a torchcodec that is missing, or made for another torch.

    Install the torchcodec for this torch; install FFmpeg; do without torchcodec for sound files. `afresh`: a torchcodec
    for another torch is installed. `without_cuda`: as in `requirement`.
    """
    return (
        Fix(
            title="Install the torchcodec for this torch",
            steps=_steps(facts, afresh=afresh, without_cuda=without_cuda),
            verify=_verify(facts),
        ),
        ffmpeg(facts),
        _soundfile(facts),
    )


def _steps(facts: Facts, *, afresh: bool, without_cuda: bool) -> tuple[Step, ...]:
    wanted = requirement(facts, without_cuda=without_cuda)
    if not _has_wheels(facts):
        words = (
            f"no torchcodec for torch {facts.torch.version} has a wheel for this system. There are wheels for Linux on x86-64 (torch 2.4 and newer), a Mac with an Apple chip "
            f"(2.5), Windows (2.8) and Linux on ARM (2.11): install such a torch, or do without torchcodec. The table: {TABLE}"
        )
        return (commands.by_hand((), words, "torch, or nothing", "none"),)
    if wanted is None:
        look = commands.by_hand(
            (*commands.starting(facts), "-c", "import torch; print(torch.__version__, torch.version.cuda)"),
            f"torchcodec 0.12 and newer are for torch 2.11 and newer, 0.10 for torch 2.10, 0.9 for 2.9, 0.7 for 2.8, 0.5 for 2.7; the whole table: {TABLE}",
            "nothing",
            "none",
        )
        get = commands.install(
            "torchcodec",
            upgrade=afresh,
            why="the newest one, for torch 2.11 and newer, under Linux with CUDA 13; for an older torch write its release: torchcodec==0.9.* for torch 2.9; for a newer torch without "
            "CUDA 13: torchcodec==0.13.*",
            changes="torchcodec",
        )
        return look, get
    if wanted == "torchcodec==0.13.*" and places.architecture(facts) == "aarch64":
        return (
            commands.install(
                "torchcodec",
                index_url=torch_names.index_of("cpu"),
                reinstall=afresh,
                no_deps=True,
                why=f"the build for CPUs, which fits torch {facts.torch.version}: the one of PyPI needs CUDA 13",
                changes="torchcodec",
            ),
        )
    why = f"the torchcodec for torch {facts.torch.version}"
    if wanted == "torchcodec==0.13.*":
        why += ": from 0.14 on, PyPI's torchcodec for Linux needs CUDA 13"
    # A build for CUDA, "0.9.1+cu126", counts as the release 0.9.1 for pip, which would keep it.
    return (commands.install(wanted, why=why, changes="torchcodec", reinstall=without_cuda, no_deps=without_cuda),)


def _verify(facts: Facts) -> tuple[str, ...]:
    """Return the command that loads torchcodec. From 0.16 on it is imported without FFmpeg, and `ffmpeg_major_version` is None then."""
    program = "import torchcodec; assert getattr(torchcodec, 'ffmpeg_major_version', 1), 'FFmpeg is not found'"
    return (*commands.starting(facts), "-c", program)


def ffmpeg(facts: Facts) -> Fix:
    """Return the fix that installs FFmpeg's libraries, which torchcodec loads: FFmpeg 4 to 7, 8 from torchcodec 0.9 on, 9 from 0.16 on.

    A static `ffmpeg.exe` has no libraries, and torchcodec does not find it: https://github.com/meta-pytorch/torchcodec#installing-torchcodec
    """
    verify = _verify(facts)
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
        title="Do without torchcodec", steps=(get, use), verify=(*commands.starting(facts), "-c", "import soundfile")
    )
