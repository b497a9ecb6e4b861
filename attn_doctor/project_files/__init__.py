"""Read the files in which a project lists its packages, and make facts of the environment that they would install.

The files: requirements.txt, pyproject.toml, environment.yml, lock files of uv, poetry and PDM, and Dockerfiles.
"""

from collections.abc import Iterable

from attn_doctor.model.project_file import ProjectFile
from attn_doctor.project_files.facts import as_facts
from attn_doctor.project_files.in_file import in_files
from attn_doctor.project_files.pasted import apart
from attn_doctor.project_files.read import MOST, might_be_one, read


def asks_for_flash_attn(files: Iterable[ProjectFile]) -> bool:
    """Return whether one of these files requests flash-attn."""
    return any(file.wish(name) for file in files for name in ("flash-attn", "flash-attn-3", "flash-attn-4"))


__all__ = ["MOST", "apart", "as_facts", "asks_for_flash_attn", "in_files", "might_be_one", "read"]
