"""Read the project files of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attn_doctor.errors import NotExamined
from attn_doctor.model.project_file import ProjectFile
from attn_doctor.project_files.read import might_be_one, read

_LARGEST = 1 << 20  # bytes: a larger lock file takes more than a second to read; `diagnose FILE` reads it
_MOST_FILES = 20


def files_in(folder: Path) -> Iterator[ProjectFile]:
    """Yield the record of each project file in a folder, in the order of their names, at most twenty.

    A file that cannot be read, or is larger than 1 MB, is left out.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return
    for name in [n for n in names if might_be_one("", n)][:_MOST_FILES]:
        path = folder / name
        try:
            if (
                path.is_file()
                and path.stat().st_size <= _LARGEST
                and (found := read(path.read_text("utf-8", "replace"), name))
            ):
                yield found
        except (OSError, NotExamined):
            continue  # `check` is not asked about this file; `diagnose FILE` says what is wrong with it
