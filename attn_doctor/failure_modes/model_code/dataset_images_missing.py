"""A folder of images that the data set's YAML file names is not there.

What it is
    Ultralytics reads `path`, `train` and `val` of the file that `data=` names, and a folder that they lead to does not exist. Training
    stops before its first epoch. torch and the GPU have no part in it.

How it shows
    "Dataset 'data.yaml' images not found, missing path '/home/user/datasets/animals/images/val'", mostly behind
    "RuntimeError: Dataset 'data.yaml' error"; "Error loading data from".

Why it happens
    A relative `path` is looked for in the current folder, and then in the datasets folder of Ultralytics' settings, not beside the YAML
    file. Without `path` the others begin at the YAML file. Archives that were unpacked twice have the folder within itself, and
    YAML files of Roboflow begin with `../train/images`.

What to do
    Write the whole folder into `path`, and `train` and `val` as they lie below it: `path: /home/user/animals`, `train: images/train`,
    `val: images/val`.

How to reproduce
    There is no recipe: it would take a torch and an ultralytics. `yolo train data=FILE`, where FILE names a folder that is not there,
    shows it.

References
    https://docs.ultralytics.com/datasets/detect/
    https://github.com/ultralytics/ultralytics/issues/18323
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD608",
    slug="dataset-images-missing",
    title="The images of the data set are not where its YAML file says",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"Dataset '(?P<file>[^']{1,300})' images not found.{0,6}, missing paths? \[?'(?P<folder>[^']{1,300})'",
            literal="images not found",
            sample="Dataset 'rabbits.yaml' images not found, missing path '/home/user/datasets/rabbits/images/val'",
        ),
        Sign(
            pattern=r"(?:train|val): Error loading data from (?P<folder>[^\r\n]{1,300}?)\s*$",
            literal="Error loading data from",
            sample="FileNotFoundError: train: Error loading data from /home/user/datasets/rabbits/images/train",
        ),
    ),
)
# There is no `detect`: no fact says which data set will be asked for.


class Where(Variant, frozen=True, kw_only=True):
    """Name the YAML file, where the log does, and the folder that is not there."""

    file: str | None
    folder: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    folder, file = seen.group("folder"), seen.group("file")
    if folder is None:
        return None
    return Hit(
        message=f"The folder of images {folder} is not there{f', and {file} names it' if file else ''}.",
        evidence=building.lines(seen.matches),
        variant=Where(file=file, folder=folder),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if not isinstance(hit.variant, Where):
        return ()
    file = hit.variant.file or "the file that data= names"
    words = (
        f"in {file}, write the whole folder of the data set as path:, and train: and val: as they lie below it, so that together they "
        "name the folders that hold the images; a relative path: begins at the current folder or at datasets_dir (yolo settings)"
    )
    edit = commands.by_hand((), words, "the YAML file of the data set", "none")
    return (Fix(title="Name the folders that hold the images", steps=(edit,), verify=commands.check(facts)),)
