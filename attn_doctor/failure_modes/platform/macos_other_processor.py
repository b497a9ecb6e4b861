"""A library is for the other processor of a Mac: Intel's (x86_64) in a Python for Apple silicon (arm64), or the reverse.

What it is
    A process of macOS has one architecture, and all its libraries must have the code for it. On Apple silicon Rosetta translates whole programs
    for Intel, so a Python for x86_64 runs there, and can load libraries for x86_64 only.

How it shows
    "ImportError: dlopen(.../torch/_C.cpython-311-darwin.so, 0x0002): tried: '...' (mach-o file, but is an incompatible architecture (have 'arm64', need
    'x86_64'))". Before macOS 12: "no suitable image found. Did find: ...: mach-o, but wrong architecture".

Why it happens
    A Python for Intel that stayed after a move to a new Mac, or that a Terminal with "Open using Rosetta" or an Anaconda for Intel installed; a
    folder of packages that was copied or mounted from a Mac with the other processor; a pip of the other Python with --target.

What to do
    On Apple silicon use a Python for arm64, in a new environment: torch has had no wheels for Macs with Intel since 2.3. If the Python is the
    right one, install the package again with its own pip.

How to reproduce
    There is no recipe: it takes a Mac. On Apple silicon: `arch -x86_64 /usr/bin/python3 -c "import torch"` with a torch for arm64 on PYTHONPATH.

References
    https://github.com/RWKV/rwkv.cpp/issues/59
    https://github.com/carson-katri/dream-textures/issues/346
    https://support.apple.com/102527
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands.installers import chosen
from attn_doctor.failure_modes.mode import EVERY_BACKEND, FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import torch_here
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence, message, text_of
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Fault
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried

_SAID = r"incompatible architecture \(have \(?'?(?P<have>[\w,]+)'?\)?, need \(?'?(?P<need>[\w,]+)'?"
# A module -> the distribution that contains it.
_DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}

MODE = FailureMode(
    code="AD511",
    slug="macos-other-processor",
    title="A library is for the other processor of a Mac",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("torch-install-broken", "torchvision-mismatch", "ultralytics-broken"),
    signs=(
        Sign(
            pattern=_SAID,
            literal="incompatible architecture (have ",
            sample="ImportError: dlopen(/opt/env/lib/python3.11/site-packages/torch/_C.cpython-311-darwin.so, 0x0002): tried: '/opt/env/lib/python3.11/"
            "site-packages/torch/_C.cpython-311-darwin.so' (mach-o file, but is an incompatible architecture (have 'arm64', need 'x86_64'))",
        ),
        Sign(
            pattern=r"mach-o, but wrong architecture",
            literal="mach-o, but wrong architecture",
            sample="\t/opt/env/lib/python3.8/site-packages/torch/lib/libtorch_python.dylib: mach-o, but wrong architecture",
        ),
    ),
)


class Meets(Variant, frozen=True, kw_only=True):
    """Hold two processors: the library's and the process's. Both are None if the message does not name them.

    `package`: the library's package.
    """

    have: str | None = None
    need: str | None = None
    package: str | None = None


def detect(facts: Facts) -> Hit | None:
    fault = facts.torch.fault
    if fault is not None and (meets := _meets(fault)) is not None:
        return _hit(meets, "torch", fact(facts, "torch.importable", f"import torch: {message(fault)}"))
    for attempt in tried(facts):
        if attempt.fault is not None and (meets := _meets(attempt.fault)) is not None:
            return _hit(meets, attempt.module, attempt_evidence(facts, attempt.module))
    return None


def _meets(fault: Fault) -> Meets | None:
    text = text_of(fault)
    found = re.search(_SAID, text)
    if found is None and "mach-o, but wrong architecture" not in text:
        return None
    place = re.search(r"site-packages/(\w+)", text)
    package = place[1] if place else None
    return Meets(have=found["have"], need=found["need"], package=package) if found else Meets(package=package)


def _hit(meets: Meets, module: str, seen: Evidence) -> Hit:
    return Hit(
        message=_words(meets, f"Importing {module} fails: "),
        evidence=(seen,),
        variant=meets,
        certainty=Certainty.OBSERVED,
        blocks=EVERY_BACKEND if module == "torch" else None,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    place = next((found for m in seen.matches if (found := re.search(r"site-packages/(\w+)", m.text))), None)
    meets = Meets(have=seen.group("have"), need=seen.group("need"), package=place[1] if place else None)
    return Hit(message=_words(meets, ""), evidence=evidence, variant=meets, confidence=Confidence.HIGH)


def _words(meets: Meets, before: str) -> str:
    whose = f"a library of {meets.package}" if meets.package else "a library"
    both = f"{meets.have}, and the Python that loads it for {meets.need}" if meets.have and meets.need else None
    text = f"{before}{whose} is for {both or 'another processor than the Python that loads it'}."
    return text[:1].upper() + text[1:] if not before else text


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    meets = hit.variant if isinstance(hit.variant, Meets) else Meets()
    intel = isinstance(facts.cpu.model, str) and "Intel" in facts.cpu.model
    native = meets.need is not None and meets.need.startswith("arm64")
    again = _again(facts, meets)
    if native or intel:
        return (again,)
    return _native_python(facts), again


def _native_python(facts: Facts) -> Fix:
    """Return the fix for a Python that Rosetta translates: use a Python for Apple silicon."""
    version = facts.interpreter.version
    minor = ".".join(version.split(".")[:2]) if isinstance(version, str) else "3.12"
    look = commands.by_hand(
        (*commands.starting(facts), "-c", "import platform; print(platform.machine())"),
        "if it prints x86_64 on a Mac with Apple silicon, Rosetta translates this Python",
        "nothing",
        "none",
    )
    why = f"a new environment with a Python {minor} for Apple silicon; this one stays"
    stays = "a new environment"
    tool = chosen(facts)[0]
    if tool in ("conda", "mamba", "micromamba"):
        make = commands.by_hand(
            (tool, "create", "--yes", "--name", "arm64", "--platform", "osx-arm64", f"python={minor}"),
            why,
            stays,
            "none",
        )
        start = commands.by_hand((tool, "activate", "arm64"), "repeat the installation in it", "this shell alone", "none")  # fmt: skip
    else:
        # https://docs.astral.sh/uv/concepts/python-versions/#requesting-a-version
        make = commands.by_hand(
            ("uv", "venv", "--seed", "--python", f"cpython-{minor}-macos-aarch64-none", ".venv-arm64"),
            f"{why} (https://docs.astral.sh/uv/ says how to get uv)",
            stays,
            "none",
        )
        start = commands.by_hand(("sh", "-c", ". .venv-arm64/bin/activate"), "repeat the installation in it", "this shell alone", "none")  # fmt: skip
    return Fix(title="Use a Python for Apple silicon", steps=(look, make, start), verify=commands.check(facts))


def _again(facts: Facts, meets: Meets) -> Fix:
    """Return the fix for a package that another Python installed: install it again with this Python."""
    package = meets.package or "torch"
    name = _DISTRIBUTIONS.get(package, package.replace("_", "-"))
    steps = torch_here.again(facts, only_torch=True) if package == "torch" else ()
    steps = steps or commands.reinstall(
        name,
        why="pip of this Python takes the wheel for its own processor",
        changes=f"the files of {name}",
    )
    return Fix(title=f"Install {name} again with this Python", steps=steps, verify=commands.check(facts))
