"""Make the cures for a file that is not whole, or is another file: look at it, delete it, fetch it again. Pure."""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import system_tools
from attn_doctor.commands.places import Argv, Manager
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step

# Models that ultralytics downloads by their names: https://docs.ultralytics.com/models/
_OF_ULTRALYTICS = re.compile(r"(?:yolo(?:v\d|1\d|2\d|v1\d|_nas)|rtdetr-|sam_|sam2|mobile_sam|FastSAM)[\w.-]*\.pt")
_PLAIN = re.compile(r"[\w./\\:+-]{1,200}")
_GIT_LFS: dict[Manager, Argv] = dict.fromkeys(("apt-get", "dnf", "zypper", "apk", "pacman"), ("git-lfs",))
_SHOWS = "import os, sys; f = sys.argv[1]; print(os.path.getsize(f), open(f, 'rb').read(120))"


def fetched(facts: Facts, file: str | None, *, page: bool = False) -> Fix:
    """Return the fix that looks at the file, deletes it, and fetches it again. `page`: the file is a web page or another text."""
    plain = file if file and _PLAIN.fullmatch(file) and not file.startswith("-") else None
    steps: list[Step] = []
    if plain:
        steps.append(
            commands.by_hand(
                (*commands.starting(facts), "-c", _SHOWS, plain),
                "prints the size of the file and its first bytes. A whole file has the size that its page shows, and begins with PK (safetensors: with { after 8 bytes). "
                "b'<' is a web page, b'version https://git-lfs' a pointer of Git LFS",
                "nothing",
                "none",
            )
        )
        steps.append(
            commands.by_hand(
                ("del" if facts.system.os == "windows" else "rm", plain),
                "deletes the damaged file, so that it is not used again",
                "this file",
                "medium",
                risk_text="if it is your own training's only file, keep a copy",
            )
        )
    if plain and _OF_ULTRALYTICS.fullmatch(re.split(r"[\\/]", plain)[-1]):
        words = "start the command again: ultralytics downloads this file itself. If the network breaks off, download it in a browser from https://github.com/ultralytics/assets/releases"
    else:
        words = _where(page=page)
    steps.append(commands.by_hand((), words, "the file", "none"))
    return Fix(title="Fetch the file again", steps=tuple(steps), verify=commands.check(facts))


def _where(*, page: bool) -> str:
    links = (
        "download the file itself again: from Google Drive with `gdown LINK` (package gdown), from Hugging Face by a link with /resolve/ and not /blob/, from GitHub by the button Download "
        "raw file or a release"
    )
    rest = ", from a computer by a copy whose size you compare. A checkpoint of your own training that was killed while it wrote: take best.pt or an earlier one"
    return links if page else links + rest


def by_git_lfs(facts: Facts) -> Fix:
    """Return the fix that fetches the files of a clone with Git LFS, in place of their pointers.

    It installs git-lfs first.
    https://git-lfs.com, https://formulae.brew.sh/formula/git-lfs; Git for Windows contains it.
    """
    tool: tuple[Step, ...] = system_tools.packages(facts, _GIT_LFS, "the program git lfs", "adds git-lfs")
    if not tool and facts.system.os == "darwin":
        tool = (commands.by_hand(("brew", "install", "git-lfs"), "the program git lfs", "adds git-lfs"),)
    elif not tool and facts.system.os == "linux" and not isinstance(facts.system.distribution, str):
        tool = (system_tools.either(_GIT_LFS, "the program git lfs", "adds git-lfs"),)
    folder = "in the folder of the clone"
    pull = (
        commands.by_hand(
            ("git", "lfs", "install"),
            "switches Git LFS on for this user; Git for Windows contains it",
            "Git's settings of this user",
        ),
        commands.by_hand(
            ("git", "lfs", "pull"),
            f"{folder}: fetches the files themselves in place of the pointers. A repository that was downloaded as a zip is no clone: clone it with git first",
            "the files of the clone",
        ),
    )
    return Fix(title="Fetch the files with Git LFS", steps=(*tool, *pull), verify=commands.check(facts))


def cache_of_hub(facts: Facts) -> Fix:
    """Return the fix that deletes a file from torch.hub's cache, so that it is downloaded again.

    https://docs.pytorch.org/docs/stable/hub.html#where-are-my-downloaded-models-saved
    """
    step = commands.by_hand(
        (
            *commands.starting(facts),
            "-c",
            "import os, torch; folder = os.path.join(torch.hub.get_dir(), 'checkpoints'); print(folder, os.listdir(folder))",
        ),
        "shows the folder where torch.hub keeps its downloads, and the files in it",
        "nothing",
        "none",
    )
    delete = commands.by_hand(
        (),
        "delete the file of this model there, and start the program again: it downloads the file anew",
        "one file of the cache",
    )
    return Fix(title="Delete the file in torch.hub's cache", steps=(step, delete), verify=commands.check(facts))
