"""CUDA_HOME is not the folder of a toolkit: it is a list or a file, or a folder inside the toolkit.

What it is
    CUDA_HOME has to be one folder, the one that contains bin/nvcc. Here it is a list of folders, ends in a colon or a
    line break, contains quotation marks or a ~ that the shell did not replace, ends in /bin, or names a file.

How it shows
    "FileNotFoundError: [Errno 2] No such file or directory: ':/usr/local/cuda-12.4/bin/nvcc'", '/usr/local/cuda:/bin/nvcc',
    '/usr/local/cuda/bin/bin/nvcc'; "NotADirectoryError: ... '/usr/local/cuda/bin/nvcc/bin/nvcc'".

Why it happens
    `export CUDA_HOME=$CUDA_HOME:/usr/local/cuda` was copied from an instruction for PATH. Or CUDA_HOME is empty:
    PyTorch then uses the folder above the nvcc that it finds on PATH. If that nvcc is a link or a script in
    /usr/local/bin, the folder is /usr/local, which is not a toolkit, and "cuda_runtime.h: No such file or directory"
    follows.

What to do
    `export CUDA_HOME=/usr/local/cuda`: one folder, nothing else.

How to reproduce
    `attn-doctor reproduce cuda-home-malformed` runs flash-attn's own setup.py with a colon at the end of CUDA_HOME.
    Stand-ins (parts that are not real): a torch that only looks like a CUDA build. It downloads 13 MB, and a CPU
    build of torch (200 MB) if the target's torch cannot be used.

References
    https://github.com/Dao-AILab/flash-attention/issues/264
    https://github.com/pytorch/pytorch/blob/main/torch/utils/cpp_extension.py (_find_cuda_home)
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known, present
from attn_doctor.failure_modes.recipe import (
    BUILD_TOOLS,
    INSTALL_SOURCE,
    LOOKS_LIKE_CUDA,
    Recipe,
    Source,
    Torch,
    Variable,
)
from attn_doctor.failure_modes.shared import building, toolkits
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact

# The path of nvcc that PyTorch makes from a wrong CUDA_HOME. The colon of a Windows drive does not count.
_ODD = (
    r"(?P<nvcc>(?::[^']{0,300}|[^']{2,300}[:;][^']{0,300}|~[^']{0,300}|[^']{0,300}(?:\\n|\\r|[\"$])[^']{0,300}"
    r"|[^']{0,300}/bin|[^']{0,300}/nvcc)/bin/nvcc)'"
)

MODE = FailureMode(
    code="AD107",
    slug="cuda-home-malformed",
    title="CUDA_HOME is not the folder of a toolkit",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=("nvcc-missing", "cuda-headers-incomplete", building.FAILED),
    signs=(
        Sign(
            pattern=r"(?:No such file or directory|Not a directory|\[Errno (?:2|20)\][^']{0,60}): '" + _ODD,
            literal="/bin/nvcc'",
            sample="FileNotFoundError: [Errno 2] No such file or directory: '/usr/local/cuda:/bin/nvcc'",
        ),
        # setuptools, which calls nvcc itself where there is no ninja; and the shell that ninja calls.
        Sign(
            pattern=r"(?:(?:unable to|[Cc]ould not|[Cc]annot) execute|error: command) '" + _ODD,
            literal="/bin/nvcc'",
            sample="error: command '/usr/local/cuda:/usr/local/cuda/bin/nvcc' failed with exit status 1",
        ),
        Sign(
            pattern=r"error: command '(?P<nvcc>[^']{2,300};[^']{0,300}\\+bin\\+nvcc(?:\.exe)?)'",
            literal="nvcc",
            sample=r"error: command 'C:\\CUDA\\v12.4;C:\\CUDA\\v12.4\\bin\\bin\\nvcc.exe' failed: None",
        ),
        Sign(
            pattern=r"\b(?:sh|bash|dash): (?:(?:line |行 ?|Zeile )?\d+: )?(?P<nvcc>(?::/|/[^:;'\s]{1,200}[:;]/)[^:;'\s]{0,200}/bin/nvcc): ",
            literal="/bin/nvcc: ",
            sample="/bin/sh: 1: :/usr/local/cuda-12.4/bin/nvcc: not found",
        ),
        Sign(
            pattern=r"using CUDA_HOME='(?P<home>[^':;]{2,300}[:;][^']{0,300}|:[^']{0,300}|~[^']{0,300}|[^']{1,300}/bin/?)'",
            literal="using CUDA_HOME='",
            sample="No CUDA runtime is found, using CUDA_HOME='/usr/local/cuda:/usr/local/cuda-12.4'",
            strength="hint",
        ),
        # PyTorch uses these folders as CUDA_HOME if nvcc is in their bin (/usr/local/bin). They are never a toolkit.
        Sign(
            pattern=r"using CUDA_HOME='(?P<parent>/usr/local|/opt|/)/?'",
            literal="using CUDA_HOME='/",
            sample="No CUDA runtime is found, using CUDA_HOME='/usr/local'",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="runs flash-attn's own setup.py with a colon at the end of CUDA_HOME",
        of=(Torch(cuda="12.8"), BUILD_TOOLS, Source(), Variable(name="CUDA_HOME", value="/usr/local/cuda:")),
        run=(INSTALL_SOURCE,),
        shows="No such file or directory: '/usr/local/cuda:/bin/nvcc'",
        seconds=20,
        stands_in=(LOOKS_LIKE_CUDA,),
    ),
)

# Problems that the probe names if a part of the toolkit is missing. The value of CUDA_HOME itself is correct.
_INCOMPLETE = ("no bin/nvcc", "not executable")
_HEADERLESS = "no include/cuda_runtime.h"


def detect(facts: Facts) -> Hit | None:
    chain = facts.toolchain
    if not every(
        lambda: known(chain.cuda_home_problem) is not None,
        lambda: _set_by_hand(facts) or building.setup_would_run(facts),
        lambda: _set_by_hand(facts) or not any(text in present(chain.cuda_home_problem) for text in _INCOMPLETE),
    ):
        return None
    building_it = building.setup_would_run(facts)
    if building_it and any(text in str(chain.cuda_home_problem) for text in _INCOMPLETE):
        return None  # reported by nvcc-missing
    value = known(chain.cuda_home)
    if value is None:
        return None  # empty counts as unset: see cuda-home-unset
    guessed = chain.cuda_home_by == "nvcc on PATH"
    if _HEADERLESS in str(chain.cuda_home_problem) and not guessed:
        return None
    how = "PyTorch uses the folder above the nvcc on PATH as CUDA_HOME" if guessed else f"{chain.cuda_home_by} is set"
    return Hit(
        message=f"{how}, {value!r}, and that is not the folder of a toolkit: it {chain.cuda_home_problem}.",
        evidence=(fact(facts, "toolchain.cuda_home"), fact(facts, "toolchain.cuda_home_problem")),
        severity=None
        if building_it
        else Severity.INFO,  # nothing needs CUDA_HOME then: a CPU build of torch never reads it
    )


def _set_by_hand(facts: Facts) -> bool:
    """Return whether the folder of the toolkit comes from the variable CUDA_HOME or CUDA_PATH, and not from PATH or a usual folder."""
    return known(facts.toolchain.cuda_home_by) in ("CUDA_HOME", "CUDA_PATH")


class Value(Variant, frozen=True, kw_only=True):
    """Hold the value of CUDA_HOME, as an error shows it."""

    value: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = tuple(m for m in seen.matches if m.strength == "proof")
    if proofs:
        path = proofs[0].groups["nvcc"]
        return Hit(
            message=f"The build looked for nvcc in {path!r}: so CUDA_HOME is not the folder of one toolkit.",
            evidence=building.lines(proofs),
            variant=Value(value=re.sub(r"(?:/|\\+)bin(?:/|\\+)nvcc(?:\.exe)?$", "", path)),
        )
    home = seen.group("home")
    if home:
        message = f"CUDA_HOME was {home!r}, which is not the folder of one toolkit."
        return Hit(message=message, evidence=evidence, variant=Value(value=home))
    header = any(log.of("cuda-headers-incomplete") for log in seen.logs)
    parent = seen.group("parent")
    if not header:
        return None
    return Hit(
        message=f"PyTorch used {parent} as the CUDA toolkit, because nvcc is in its folder bin, which is on PATH; the CUDA headers are in another folder.",
        evidence=evidence,
        variant=Value(value=parent or ""),
        confidence=Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = building.verify(facts)
    kits = facts.toolchain.toolkits if isinstance(facts.toolchain.toolkits, tuple) else ()
    folder = next((kit.root for kit in kits if kit.missing_headers == ()), None) or _folder_meant(facts, hit)
    if (
        folder == facts.toolchain.cuda_home and facts.toolchain.cuda_home_problem == "does not exist"
    ):  # CUDA_HOME names one folder, and this folder does not exist
        unset = commands.variable(
            "CUDA_HOME",
            None,
            "it names a folder that does not exist; without it PyTorch looks for a toolkit in the usual places",
        )
        return (Fix(title="Unset CUDA_HOME", steps=(unset,), verify=verify), *toolkits.cures(facts))
    value = hit.variant.value if isinstance(hit.variant, Value) else None
    usual = None if value is None else _USUAL.get(value.rstrip("/") or "/")
    if folder is None and usual is not None and facts.system.os != "windows":
        why = (
            f"the usual folder of the toolkit, with include/cuda_runtime.h: the nvcc in {str(value).rstrip('/')}/bin is a link or a script "
            "that calls the real nvcc. If this folder does not exist, find / -name cuda_runtime.h shows the right one"
        )
        step = commands.variable("CUDA_HOME", usual, why)
        return (Fix(title=f"Set CUDA_HOME to {usual}", steps=(step,), verify=verify),)
    if folder is None:
        look = commands.by_hand(
            ("sh", "-c", 'readlink -f "$(command -v nvcc)"'),
            "shows where nvcc is, for example /opt/cuda/bin/nvcc: set CUDA_HOME to the folder above bin, /opt/cuda",
            "nothing",
            "none",
        )
        return (Fix(title="Set CUDA_HOME to the folder of the toolkit", steps=(look,), verify=verify),)
    step = commands.variable("CUDA_HOME", folder, "one folder, the one that contains bin/nvcc")
    return (Fix(title=f"Set CUDA_HOME to {folder}", steps=(step,), verify=verify),)


def _folder_meant(facts: Facts, hit: Hit) -> str | None:
    """Return the folder that the wrong value means: the last absolute path of a list, without quotes, bin and nvcc. None if the value contains no absolute path."""
    value = hit.variant.value if isinstance(hit.variant, Value) else facts.toolchain.cuda_home
    if not isinstance(value, str) or facts.toolchain.cuda_home_by == "nvcc on PATH":
        return None
    parts = (
        value.replace("\\\\", "\\").split(";")
        if facts.system.os == "windows" or re.match(r"[A-Za-z]:\\", value)
        else re.split(r"[:;]", value)
    )
    named = [_root(part) for part in parts]
    whole = [part for part in named if re.match(r"(?:/|[A-Za-z]:[\\/])\S", part) and part not in _NO_TOOLKIT]
    return whole[-1] if whole else None


def _root(text: str) -> str:
    text = re.sub(r"\\[nr](?=[\"'\s]*$)", "", text.strip()).strip("\"' \n\r").rstrip("/\\")
    return re.sub(r"(?:[/\\]bin)?[/\\]nvcc(?:\.exe)?$|[/\\]bin$", "", text)


# The folder above the bin in which nvcc was found -> the folder of the toolkit: NVIDIA's packages and images, Arch Linux, Debian's own package.
# https://docs.nvidia.com/cuda/cuda-installation-guide-linux/, https://archlinux.org/packages/extra/x86_64/cuda/
# https://packages.debian.org/bookworm/amd64/nvidia-cuda-dev/filelist
_USUAL = {"/usr/local": "/usr/local/cuda", "/opt": "/opt/cuda", "/": "/usr"}
_NO_TOOLKIT = ("/usr", "/usr/local", "/opt", "/bin", "/usr/bin", "/usr/local/bin", "/")
