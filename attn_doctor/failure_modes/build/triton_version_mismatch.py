"""triton has another version than torch, or the code that uses triton, was written for.

What it is
    Each torch is made for one release of triton. triton's language and internal modules change between releases.

How it shows
    "triton.compiler.errors.CompilationError", "dot() got an unexpected keyword argument 'trans_b'", "cannot import name 'triton_key'
    from 'triton.compiler.compiler'", "module 'triton' has no attribute ...", "No module named 'triton.ops'".

Why it happens
    Another package installed its own triton, or torch was upgraded and triton was not. flash_attn_triton.py of
    flash-attn 1.x and early 2.x works only with one old preview of triton.

What to do
    Install torch and triton in one command, so that pip chooses two releases that fit together. If an old
    flash_attn_triton is the reason, use flash-attn's CUDA path, or SDPA.

How to reproduce
    `attn-doctor reproduce triton-version-mismatch` imports a module of triton that newer releases do not have. It downloads
    200 MB.

References
    https://github.com/Dao-AILab/flash-attention/issues/757
    https://github.com/pytorch/pytorch/blob/main/.ci/docker/triton_version.txt
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known, present
from attn_doctor.failure_modes.recipe import Packages, Recipe
from attn_doctor.failure_modes.shared import torch_asked, torch_steps
from attn_doctor.failure_modes.shared.fact_queries import cuda_build, package_evidence, version
from attn_doctor.failure_modes.shared.torch_facts import distribution
from attn_doctor.knowledge import pytorch
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Install
from attn_doctor.model.versions import before_release, local, pair

MODE = FailureMode(
    code="AD119",
    slug="triton-version-mismatch",
    title="triton and torch do not fit together",
    train=Severity.WARNING,
    flash_attn=Severity.ERROR,
    blocks=("compile", "flex"),
    signs=(
        Sign(
            pattern=r"triton\.compiler\.(?:errors\.|code_generator\.)?(?:CompilationError|UnsupportedLanguageConstruct)",
            literal="triton.compiler.",
            sample="triton.compiler.errors.CompilationError: at 114:24:",
        ),
        Sign(
            pattern=r"\bdot\(\) got an unexpected keyword argument '(?P<name>\w+)'",
            literal="dot() got an unexpected keyword",
            sample="TypeError: dot() got an unexpected keyword argument 'trans_b'",
        ),
        Sign(
            pattern=r"cannot import name '(?P<name>\w+)' from '(?P<module>triton[\w.]*)'",
            literal="' from 'triton",
            sample="ImportError: cannot import name 'triton_key' from 'triton.compiler.compiler' (/v/triton/compiler/compiler.py)",
        ),
        Sign(
            pattern=r"module '(?P<module>triton[\w.]*)' has no attribute '(?P<name>\w+)'",
            literal="module 'triton",
            sample="AttributeError: module 'triton.language' has no attribute 'libdevice'",
        ),
        Sign(
            pattern=r"No module named '(?P<module>triton\.ops[\w.]*)'",
            literal="No module named 'triton.ops",
            sample="ModuleNotFoundError: No module named 'triton.ops'",
        ),
    ),
    recipe=Recipe(
        does="imports a module of triton that newer releases do not have",
        of=(Packages(requirements=("triton",), megabytes=200),),
        run=(("{python}", "-c", "import triton.ops.matmul"),),
        shows="No module named 'triton.ops'",
        seconds=20,
    ),
)


def detect(facts: Facts) -> Hit | None:
    have = version(facts, "triton")
    if have is None or not (
        _listed(facts) or every(lambda: cuda_build(facts), lambda: known(facts.system.os) == "linux")
    ):
        return None
    fits = pytorch.triton_fits(present(facts.torch.version), have)
    if isinstance(fits, Unknown) or fits.yes:
        return None  # the table does not list this torch, so its triton is not known
    return Hit(
        message=f"{fits.why[0].upper()}{fits.why[1:]}.",
        evidence=(package_evidence(facts, "triton"), fact(facts, "torch.version")),
    )


def _listed(facts: Facts) -> bool:
    """Return whether pip installed both in a stated environment, where torch's CUDA may be unknown: PyPI's triton is for Linux, where torch requires one release of it."""
    torch, triton = distribution(facts, "torch"), distribution(facts, "triton")
    if facts.grade != "stated" or facts.system.os in ("windows", "darwin") or facts.torch.cuda is None:
        return False
    if torch is None or triton is None or "conda" in (torch.installer, triton.installer):
        return False
    number = torch.version if isinstance(torch.version, str) else ""
    return not before_release(number) and (local(number) or "cu").startswith("cu")


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    name, module = seen.group("name"), seen.group("module")
    if not name and not module:
        return Hit(
            message="triton could not compile a kernel: the kernel was written for another release of triton, or the kernel has a bug.",
            evidence=evidence,
            confidence=Confidence.MEDIUM,
        )
    if name and module:
        message = f"{module} has no {name}: the code that calls {name} was written for another release of triton."
    else:
        message = "The code that uses triton was written for another release than the installed triton."
    return Hit(message=message, evidence=evidence)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    torch = facts.torch.version if isinstance(facts.torch.version, str) else None
    row = pytorch.release(torch) if torch else Unknown("")
    if isinstance(row, Unknown):
        return ()
    # PyPI's triton is only for Linux. The Windows build is another project, with the same minor versions: github.com/woct0rdho/triton-windows
    minor = pair(row.triton.removeprefix("triton").lstrip("=~"))
    on_windows = facts.system.os == "windows" and minor is not None
    wanted = f"triton-windows=={minor[0]}.{minor[1]}.*" if on_windows and minor else row.triton
    step = commands.install(wanted, why=f"the triton that torch {row.latest} was released with", changes="triton")
    return (Fix(title="Install the triton that torch asks for", steps=(step,), verify=commands.check(facts)),)


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a machine whose versions are not known.

    Install torch and its triton together, or the triton for the installed torch; on Windows only the second. On Linux
    the metadata of torch names its triton, and pip installs that. On Windows torch names no triton.
    """
    of = torch_asked.example(facts)
    row = pytorch.release(of.torch)
    triton = "3.2" if isinstance(row, Unknown) else _minor(row.triton)
    windows = facts.system.os == "windows"
    line = Install(
        requirements=(f"triton-windows=={triton}.*" if windows else f"triton=={triton}.*",),
        why="the triton that was made for the installed torch",
        changes="triton",
    )
    steps = torch_asked.steps(
        facts, line, of, "3.1 is for torch 2.5, 3.2 for 2.6, 3.3 for 2.7, 3.4 for 2.8, 3.5 for 2.9, and so on"
    )
    kept = Fix(
        title="Install the triton that was made for the installed torch", steps=steps, verify=commands.check(facts)
    )
    if windows:
        return (kept,)
    both = torch_steps.newest(
        facts,
        "Install torch and its triton together",
        why="in one command, so that pip installs the triton that this torch asks for",
        beside=("triton",),
    )
    return (*both, kept)


def _minor(requirement: str) -> str:
    """Return the minor version in a requirement of torch: "3.2" for "triton==3.2.0"."""
    return ".".join(requirement.removeprefix("triton").lstrip("=~").split(".")[:2])
