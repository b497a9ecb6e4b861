"""Make the variables for the first import of a stranger's code: without credentials, and with an empty home folder.

This is no sandbox: the code runs as the user, and can read every file of the user. But the usual places, such as ~/.ssh, are
empty for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

# Only these are passed on: which other variable holds a secret, nobody can list.
_KEPT = re.compile(
    r"PATH|LD_(?:LIBRARY_PATH|PRELOAD)|DYLD_\w+|LANG|LANGUAGE|LC_\w+|TZ|TERM|COLUMNS|NO_COLOR|TMP|TEMP|TMPDIR|SHELL|SYSTEMROOT|COMSPEC|PATHEXT"
    r"|NUMBER_OF_PROCESSORS|PROCESSOR_\w+|VIRTUAL_ENV|CONDA_PREFIX|USER|USERNAME|LOGNAME|CUDA\w*|NVIDIA_\w+|NVCC_\w+|HIP_\w+|HSA_\w+|ROCR?_\w+|ZE_\w+|ONEAPI_\w+"
    r"|OMP_\w+|GOMP_\w+|KMP_\w+|MKL_\w+|OPENBLAS_\w+|MALLOC_\w+|TORCH\w*|PYTORCH_\w+|TRITON_\w+|FLASH_ATT\w+|NCCL_\w+|XFORMERS_\w+|YOLO_\w+"
    r"|PYTHON(?:PATH|NOUSERSITE|UTF8|IOENCODING|DONTWRITEBYTECODE|HASHSEED|WARNINGS|SAFEPATH|PLATLIBDIR)|ATTN_DOCTOR_\w+",
    re.IGNORECASE,
)
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|AUTH", re.IGNORECASE)
_LOGIN = re.compile(r"://[^/\s@]+@")  # https://user:password@host
# Folders below the home, or in place of it, on Linux and macOS and on Windows.
_FOLDERS = {
    "HOME": "",
    "XDG_CONFIG_HOME": ".config",
    "XDG_CACHE_HOME": ".cache",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
    "USERPROFILE": "",
    "APPDATA": "AppData/Roaming",
    "LOCALAPPDATA": "AppData/Local",
}


def cleared(environ: Mapping[str, str], home: Path, user_site: Sequence[str] = ()) -> dict[str, str]:
    """Return the variables for a first import, and make the folders of its home.

    `home`: an empty folder, which is deleted afterwards. `user_site`: the folders of the target's user site, from which the code
    can still import (the last folder is that of its programs).
    """
    made = {
        name: value
        for name, value in environ.items()
        if _KEPT.fullmatch(name) and not _SECRET.search(name) and not _LOGIN.search(value)
    }
    for name, below in _FOLDERS.items():
        folder = home / below
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made[name] = str(folder)
    if user_site:
        made["PYTHONUSERBASE"] = environ.get("PYTHONUSERBASE") or str(Path(user_site[-1]).parent)
    return made
