"""torch is installed but does not import.

What it is
    `import torch` raises, exits, hangs or crashes; or what is imported under that name is not torch at all.

How it shows
    "cannot import name 'einsum' from 'torch' (unknown location)", "module 'torch' has no attribute 'cuda'", "libcudnn.so.9:
    cannot open shared object file", a segmentation fault, or no answer at all.

Why it happens
    An installation or removal that was cut short; `--no-deps`, so that the nvidia-* packages are missing; a folder or file named
    torch that stands in front; libraries of another CUDA on LD_LIBRARY_PATH.

What to do
    Remove torch and what is left of it, and install it again with its requirements. If a file of your own is called torch.py,
    rename it.

How to reproduce
    `attn-doctor reproduce torch-install-broken` imports torch where a folder without code has that name. It downloads
    nothing.

References
    https://github.com/oobabooga/text-generation-webui/issues/4344
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.facts import Facts
from attn_doctor.failure_modes.asking import index_options, message, version
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, known
from attn_doctor.failure_modes.recipe import File, Recipe
from attn_doctor.findings import Certainty, Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD213",
    slug="torch-install-broken",
    title="torch does not import",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    blocks=(
        "eager",
        "sdpa",
        "sdpa-math",
        "sdpa-efficient",
        "sdpa-flash",
        "sdpa-cudnn",
        "flash-attn-2",
        "flash-attn-3",
        "flash-attn-4",
        "xformers",
        "flex",
        "compile",
    ),
    explains=(
        "yolo12-flash-not-used",
        "torchvision-mismatch",
        "abi-mismatch-torch-version",
        "transformers-flash-attn-2-not-installed",
    ),
    signs=(
        Sign(
            pattern=r"cannot import name '\w+' from '?(?:partially initialized module )?'?torch'? \(unknown location\)",
            literal="(unknown location)",
            sample="ImportError: cannot import name 'einsum' from 'torch' (unknown location)",
        ),
        Sign(
            pattern=r"module 'torch' has no attribute '(?P<name>\w+)'",
            literal="module 'torch' has no attribute",
            sample="AttributeError: module 'torch' has no attribute '__version__'",
        ),
        Sign(
            pattern=r"ImportError: (?P<library>lib(?:cudnn|cublas|cusparse|cufft|curand|cusolver|nccl|nvrtc|nvToolsExt|cupti)\S*): "
            r"cannot open shared object file",
            literal="cannot open shared object",
            sample="ImportError: libcudnn.so.9: cannot open shared object file: No such file or directory",
        ),
        Sign(
            pattern=r"ValueError: lib\w+\.so\.\*\[0-9\] not found in the system path",
            literal="not found in the system path",
            sample="ValueError: libcublas.so.*[0-9] not found in the system path ['', '/usr/lib/python311.zip']",
        ),
        Sign(
            pattern=r'Error loading "(?P<library>[^"]{1,300}torch[\\/]{1,2}lib[\\/]{1,2}[^"]{1,80})"',
            literal='Error loading "',
            sample='OSError: [WinError 126] The specified module could not be found. Error loading "C:\\v\\Lib\\site-packages\\torch\\lib'
            '\\fbgemm.dll" or one of its dependencies.',
        ),
    ),
    recipe=Recipe(
        does="imports torch where a folder without code has that name",
        of=(File(path="{site}/torch/README"),),
        run=(("{python}", "-c", "import torch; torch.__version__"),),
        shows="has no attribute '__version__'",
    ),
)


def detect(facts: Facts) -> Hit | None:
    torch = facts.torch
    if torch.importable is False and torch.fault is not None:
        fault = torch.fault
        if fault.type == "ModuleNotFoundError" and known(torch.version) is None:
            return None  # simply not installed
        how = {
            "signal": f"importing it is killed by {fault.signal}",
            "timeout": f"importing it gives no answer in {fault.seconds or 0:.0f} s",
            "vanished": "importing it hangs, and cannot even be killed",
            "exited": f"importing it ends the process with exit code {fault.exit_code}",
        }.get(fault.kind, message(fault))
        where = f" (at {fault.where})" if fault.where and fault.where != "torch" else ""
        name = f"torch {torch.version}" if isinstance(torch.version, str) else "torch"
        return Hit(
            message=f"{name} does not import: {how}{where}.",
            evidence=(fact(facts, "torch.importable", f"import torch: {message(fault)}"), _place(facts)),
            certainty=Certainty.OBSERVED,
        )
    if isinstance(torch.version, str) and isinstance(torch.cuda, str) is False and torch.cuda is not None:
        known(torch.cuda)  # torch/version.py is not there: what that means the import shows
    return None


def _place(facts: Facts) -> Evidence:
    place = facts.torch.location
    return fact(
        facts,
        "torch.location",
        f"it would come from {place}" if isinstance(place, str) else "there is no torch package there",
    )


def fixes(facts: Facts, evidence: tuple[Evidence, ...]) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    here = facts.interpreter.shadowed_here
    made = []
    if isinstance(here, tuple) and any(name.split(".")[0].rstrip("/") == "torch" for name in here):
        step = commands.by_hand(
            (), "rename it: it hides the real torch from everything that is started here", "a file of yours"
        )
        made.append(Fix(title="Rename your own torch.py", steps=(step,), verify=verify))
    names = _requirements(facts)
    again = commands.reinstall(
        facts,
        *names,
        why="whole copies of them, whatever is left of the old ones",
        changes="torch and torchvision, the versions of now",
        risk="low: the versions stay as they were",
        takes="up to 1 GB",
    )
    everything = commands.install(
        facts,
        "--force-reinstall",
        *names,
        why="whole copies of torch, torchvision and all libraries that they need",
        changes="torch, torchvision, nvidia-* and whatever else they need",
        risk="low: torch stays as it was, what it needs may become newer",
        takes="up to 5 GB",
    )
    afresh = [
        Fix(title="Install torch afresh", steps=again, verify=verify),
        Fix(title="Install torch and all that it needs afresh", steps=(everything,), verify=verify),
    ]
    lost = facts.torch.fault is not None and "cannot open shared object" in message(facts.torch.fault)
    return (*made, *(reversed(afresh) if lost else afresh))


def _requirements(facts: Facts) -> tuple[str, ...]:
    """The same torch and torchvision again, from the index of their flavour where the registry's default is another."""
    have = facts.torch.version
    if not isinstance(have, str):
        return ("torch", "torchvision")
    vision = version(facts, "torchvision") if isinstance(facts.packages.distributions, tuple) else None
    names = [f"torch=={have.partition('+')[0]}"]
    if vision:
        names.append(f"torchvision=={vision.partition('+')[0]}")
    return (*names, *index_options(have))
