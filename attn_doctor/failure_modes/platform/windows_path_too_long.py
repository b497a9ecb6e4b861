"""A path inside flash-attn's source is longer than Windows allows.

What it is
    Windows programs accept paths of 260 characters unless long paths are switched on. flash-attn's source contains
    composable_kernel, whose file names alone are over 150 long, and pip unpacks it under a long temporary folder.

How it shows
    "OSError: [Errno 2] No such file or directory: 'C:/Users/.../csrc/composable_kernel/...hpp'" right after the download; git:
    "unable to create file ...: Filename too long"; pip's hint about "Windows Long Path support".

Why it happens
    LongPathsEnabled is 0, as it is by default, and TEMP is deep in the user's folder.

What to do
    Switch long paths on, or set TEMP to a short folder. For YOLO12 no build is needed at all.

How to reproduce
    `attn-doctor reproduce windows-path-too-long` judges a Windows machine with long paths off: a simulated machine, on which
    nothing is run.

References
    https://learn.microsoft.com/en-us/windows/win32/fileio/maximum-file-path-limitation
    https://pip.pypa.io/warnings/enable-long-paths
    https://github.com/Dao-AILab/flash-attention/issues/1607
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD502",
    slug="windows-path-too-long",
    title="A path longer than Windows allows",
    train=Severity.INFO,
    flash_attn=Severity.INFO,
    explains=("build-failed-unspecified", "cutlass-submodule-missing"),
    signs=(
        Sign(
            pattern=r"No such file or directory: '[A-Za-z]:[\\/][^']{30,400}composable_kernel[^']{20,400}'",
            literal="composable_kernel",
            sample="ERROR: Could not install packages due to an OSError: [Errno 2] No such file or directory: 'C:\\\\Users\\\\user\\\\AppData\\\\"
            "Local\\\\Temp\\\\pip-install-3qqihbuf\\\\flash-attn_457f\\\\csrc\\\\composable_kernel\\\\library\\\\include\\\\ck\\\\library\\\\"
            "tensor_operation_instance\\\\gpu\\\\grouped_conv.hpp'",
        ),
        Sign(
            pattern=r"Windows Long Path support",
            literal="Windows Long Path support",
            sample="HINT: This error might have occurred since this system does not have Windows Long Path support enabled.",
        ),
        Sign(
            pattern=r"unable to create file .{3,400}: Filename too long",
            literal=": Filename too long",
            sample="error: unable to create file library/src/x.cpp: Filename too long",
        ),
        Sign(
            pattern=r"(?P<ninja>Filename longer than 260 characters)",
            literal="Filename longer than 260 characters",
            sample="ninja: error: Stat(C:/Users/user/AppData/Local/Temp/pip-install-u0/x.obj): Filename longer than 260 characters",
        ),
        # A file that pip could not write, because its path is longer than 260 characters: torch's headers in the Python of the Microsoft Store.
        Sign(
            pattern=r"No such file or directory: '(?P<long>[A-Za-z]:[\\/][^']{250,600})'",
            literal="No such file or directory: '",
            sample="No such file or directory: 'C:\\Users\\someone\\AppData\\Local\\Packages\\PythonSoftwareFoundation.Python.3.11_qbz5n2kfra8p0\\LocalCache\\"
            "local-packages\\Python311\\site-packages\\torch\\include\\ATen\\ops\\_fake_quantize_learnable_per_tensor_affine_backward_cuda_dispatch_and_a_longer_name_still.h'",
        ),
        # setuptools, in the folder in which pip unpacked: the path is relative to a long folder below TEMP.
        Sign(
            pattern=r"could not create '(?P<relative>build\\[^']{110,400})': No such file or directory",
            literal="could not create 'build",
            sample="error: could not create 'build\\bdist.win-amd64\\wheel\\.\\package\\experiments\\planning\\alternative_planning\\target_spacing\\"
            "planner_of_the_baseline_with_target_spacing_for_axes.py': No such file or directory",
        ),
        Sign(
            pattern=r"\[WinError 206\]",
            literal="[WinError 206]",
            sample="FileNotFoundError: [WinError 206] The filename or extension is too long",
        ),
    ),
    recipe=Recipe(
        does="judges a Windows machine with long paths off",
        seconds=1,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(
        lambda: known(facts.system.os) == "windows",
        lambda: known(facts.toolchain.long_paths) is False,
        lambda: known(facts.flash_attention.version) is None,
    ):
        return None
    return Hit(
        message="Windows' long paths are off: flash-attn's source, whose paths exceed 260 characters, cannot be unpacked here.",
        evidence=(fact(facts, "toolchain.long_paths"),),
    )


class Ninja(Variant, frozen=True):
    """Mark the case that ninja refused the path. ninja's limit is 260 characters, even if Windows' long paths are on."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    return Hit(
        message="A path is longer than Windows allows while long paths are off.",
        evidence=evidence,
        confidence=Confidence.HIGH,
        severity=Severity.ERROR,
        variant=Ninja() if seen.group("ninja") else None,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts, "--goal", "flash-attn", "--no-trial")
    key = r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem"
    switch = commands.by_hand(
        ("reg", "add", key, "/v", "LongPathsEnabled", "/t", "REG_DWORD", "/d", "1", "/f"),
        "in an administrator's command prompt; then open a new prompt",
        "one value of the registry",
    )
    git = commands.by_hand(
        ("git", "config", "--global", "core.longpaths", "true"),
        "git has its own setting for long paths",
        "git's settings",
    )
    make = commands.by_hand(("mkdir", r"C:\t"), "a short folder to unpack in", "adds a folder", "none")
    short = commands.variable("TEMP", r"C:\t", "pip then unpacks in this folder")
    unpack = Fix(title="Unpack in a short folder", steps=(make, short), verify=verify)
    if isinstance(hit.variant, Ninja):
        return (unpack,)
    return (Fix(title="Switch long paths on", steps=(switch, git), verify=verify), unpack)
