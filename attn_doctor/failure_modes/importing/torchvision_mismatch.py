"""torchvision was built for another torch.

What it is
    torchvision's compiled operators are built for one torch release and one build of it (CPU or CUDA). With another torch they do
    not load, and Ultralytics does not work without them.

How it shows
    "RuntimeError: operator torchvision::nms does not exist", "partially initialized module 'torchvision' has no attribute
    'extension'", "Couldn't load custom C++ ops", "No such operator image::decode_jpeg", "'_OpNamespace' 'image' object has no attribute
    'decode_image'", or "Could not run 'torchvision::nms' with arguments from the 'CUDA' backend".
    torchvision does not print why its library does not load; attn-doctor loads the library itself and shows the reason.
    Ultralytics compares the versions first: "torchvision==0.20 is incompatible with torch==2.9", and in the next line
    "Run 'pip install torchvision==0.24' to fix torchvision".

Why it happens
    torch was replaced and torchvision was not, for example because another package required another torch. Or one of the two came
    from the CPU index and the other from the CUDA index.

What to do
    Install the torchvision release for this torch, from the same index as torch.

How to reproduce
    `attn-doctor reproduce torchvision-mismatch` imports a torchvision of another release than torch. It downloads 35 MB, and
    a CPU build of torch (200 MB) where the target's will not do.

References
    https://github.com/pytorch/vision#installation
    https://github.com/ultralytics/ultralytics/issues/7713
    https://github.com/ultralytics/ultralytics/blob/main/ultralytics/utils/checks.py
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known, present
from attn_doctor.failure_modes.recipe import Packages, Recipe, Torch
from attn_doctor.failure_modes.shared import (
    builds_of_torch,
    torch_here,
    torch_steps,
    torchvision_cures,
    torchvision_images,
)
from attn_doctor.failure_modes.shared.fact_queries import (
    attempt_evidence,
    holds,
    message,
    package_evidence,
    torch_installed,
    version,
)
from attn_doctor.knowledge import pytorch
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import BinaryCause, Facts, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.versions import before_release, local

MODE = FailureMode(
    code="AD313",
    slug="torchvision-mismatch",
    title="torchvision built for another torch",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(
        "transformers-flash-attn-2-not-installed",
        "ultralytics-broken",
        "name-of-another-release",
    ),
    signs=(
        Sign(
            pattern=r"operator torchvision::\w+ does not exist",
            literal="operator torchvision::",
            sample="RuntimeError: operator torchvision::nms does not exist",
        ),
        Sign(
            pattern=r"No such operator torchvision::\w+",
            literal="operator torchvision::",
            sample="RuntimeError: No such operator torchvision::nms",
        ),
        Sign(
            pattern=r"torch\.library\.register_fake\(\"torchvision::",
            literal="register_fake(",
            sample='    @torch.library.register_fake("torchvision::nms")',
        ),
        Sign(
            pattern=r"module 'torchvision' has no attribute 'extension'",
            literal="module 'torchvision' has no",
            sample="AttributeError: partially initialized module 'torchvision' has no attribute 'extension' (most likely due to a "
            "circular import)",
        ),
        Sign(
            pattern=r"Couldn't load custom C\+\+ ops",
            literal="load custom C++ ops",
            sample="RuntimeError: Couldn't load custom C++ ops. This can happen if your PyTorch and torchvision versions are "
            "incompatible",
        ),
        Sign(
            pattern=r"Could not load this library: \S*torchvision/_C",
            literal="Could not load this library:",
            sample="OSError: Could not load this library: /venv/lib/python3.11/site-packages/torchvision/_C.so",
        ),
        Sign(
            pattern=r"torchvision/(?P<part>\w+)\.\S{1,60}: undefined symbol: (?P<symbol>\w+)",
            literal="undefined symbol: ",
            sample="UserWarning: Failed to load image Python extension: '/venv/lib/python3.11/site-packages/torchvision/image.so: undefined "
            "symbol: _ZN3c1017RegisterOperatorsD1Ev'",
        ),
        # A library of a torch for ROCm: torch here is another build. Where libc10_cuda.so is missing: torch-cpu-build.
        Sign(
            pattern=r"Failed to load image Python extension: '?lib(?:c10|torch)_(?P<of_rocm>hip)\w*\.so: cannot open",
            literal="_hip.so: cannot open",
            sample="UserWarning: Failed to load image Python extension: 'libc10_hip.so: cannot open shared object file: No such file or directory'If you don't plan on",
        ),
        *torchvision_images.SIGNS,
        Sign(
            pattern=r"Could not run '(?P<lacks>torchvision::\w+)' with arguments from the '(?:CUDA|HIP)' backend",
            literal="Could not run 'torchvision::",
            sample="NotImplementedError: Could not run 'torchvision::nms' with arguments from the 'CUDA' backend.",
        ),
        # Three lines of ultralytics/utils/checks.py (check_torchvision). They are the same in 8.1.0, 8.2.0, 8.3.63 and 8.4.190;
        # on Windows there is no emoji between "WARNING" and "torchvision".
        Sign(
            pattern=r"torchvision==(?P<torchvision>\d[\w.+]*) is incompatible with torch==(?P<torch>\d[\w+]*(?:\.\w{1,20}){0,4})",
            literal=" is incompatible with torch==",
            sample="WARNING ⚠️ torchvision==0.20 is incompatible with torch==2.9.",
        ),
        Sign(
            pattern=r"Run 'pip install torchvision==(?P<wanted>\d[\w.]*)' to fix torchvision",
            literal="to fix torchvision",
            sample="Run 'pip install torchvision==0.24' to fix torchvision or 'pip install -U torch torchvision' to update both.",
        ),
        # torchvision/extension.py (_check_cuda_version)
        Sign(
            pattern=r"PyTorch and torchvision were compiled with different CUDA (?:major )?versions\. PyTorch has CUDA [Vv]ersion ?=? ?(?P<torch_cuda>[\d.]+\d) and torchvision",
            literal="PyTorch and torchvision were compiled with different CUDA",
            sample="RuntimeError: Detected that PyTorch and torchvision were compiled with different CUDA versions. PyTorch has CUDA Version=12.1 and torchvision has",
        ),
        # torch.hub imports the torchvision of the repository that it has downloaded, and not the installed one.
        Sign(
            pattern=r"[\\/]hub[\\/](?P<hub>pytorch_vision_\w[\w.-]*)[\\/]torchvision[\\/]",
            literal="pytorch_vision_",
            sample='  File "/home/me/.cache/torch/hub/pytorch_vision_v0.10.0/torchvision/extension.py", line 60, in _has_ops',
            strength="context",
        ),
        Sign(
            pattern=r"For a full compatibility table see (?:PyTorch|https://github\.com/pytorch/vision)",
            literal="For a full compatibility table see",
            sample="For a full compatibility table see https://github.com/pytorch/vision#installation",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="imports a torchvision of another release than torch",
        of=(
            Torch(),
            Packages(requirements=("torchvision!={pair}",), megabytes=10, options=("--no-deps",)),
            Packages(requirements=("pillow",), megabytes=25),
        ),
        run=(("{python}", "-c", "import torchvision"),),
        shows="torchvision",
        seconds=15,
    ),
)


class OfRelease(Variant, frozen=True, kw_only=True):
    """Hold the release of torch, as a log names it, for which torchvision is needed: "2.9"."""

    torch: str


class OfHub(Variant, frozen=True, kw_only=True):
    """Hold the folder into which torch.hub downloaded the sources of torchvision."""

    folder: str


class WithoutImages(Variant, frozen=True, kw_only=True):
    """Mark the case that the library of torchvision which reads images was not loaded."""


class WithoutCuda(Variant, frozen=True, kw_only=True):
    """Mark the case that an operator of torchvision does not run on the GPU, while torch does: a CPU build, or one for another torch."""


# attn-doctor loads the library of torchvision first; it imports torchvision itself only if a file differs from RECORD.
CHECKED = "checked:torchvision"
_OF_ANOTHER_TORCH: tuple[BinaryCause, ...] = ("torch-version", "cxx11-abi", "cuda-flavour", "not-linked", "library")


def detect(facts: Facts) -> Hit | None:
    have = version(facts, "torchvision")
    if have is None or not torch_installed(facts):
        return None
    torch = present(facts.torch.version)
    if facts.torch.importable is False or facts.torch.fault is not None:
        return None  # importing torch itself fails, and so importing torchvision fails
    if _of_the_cpu(facts, have):
        return Hit(
            message=f"torchvision {have} is a CPU build, and torch {torch} is a CUDA build: torchvision's operators cannot use CUDA tensors.",
            evidence=(package_evidence(facts, "torchvision"), fact(facts, "torch.version")),
        )
    if (other := builds_of_torch.of_pypi(facts, have, torch)) is not None:
        return Hit(message=other, evidence=(package_evidence(facts, "torchvision"), fact(facts, "torch.version")))
    said = (
        next((i for i in facts.imports if i.module == "torchvision"), None)
        if isinstance(facts.imports, tuple)
        else None
    )
    if said is not None and said.ok is True:
        return None
    if said is not None and said.ok is False and said.fault is not None:
        builds = builds_of_torch.differing(facts, have, said.fault.traceback or message(said.fault))
        return Hit(
            message=f"torchvision {have} cannot be imported: its files are not those that were installed."
            if said.failed == CHECKED
            else f"torchvision {have} does not fit torch {torch}: its library does not load{builds}.",
            evidence=(
                attempt_evidence(facts, "torchvision"),
                *_loader(facts, said.fault.traceback or message(said.fault)),
                package_evidence(facts, "torchvision"),
            ),
            certainty=Certainty.OBSERVED,
        )
    for index, binary in enumerate(facts.binaries if isinstance(facts.binaries, tuple) else ()):
        if said is None and binary.module.startswith("torchvision._C") and binary.cause in _OF_ANOTHER_TORCH:
            return Hit(
                message=f"torchvision {have} does not fit torch {torch}: {'; '.join(binary.because[:1])}"
                f"{builds_of_torch.differing(facts, have, '; '.join(binary.because))}.",
                evidence=(fact(facts, f"binaries.{index}.because", "; ".join(binary.because)),),
            )
    flavours = builds_of_torch.flavour(have), builds_of_torch.flavour(torch)
    of_another_build = None not in flavours and flavours[0] != flavours[1]
    if not of_another_build and before_release(have):
        return None  # compiled or published between two releases: its number does not say for which torch
    if every(lambda: not of_another_build, lambda: holds(pytorch.torchvision_fits(torch, have))):
        return None
    # Whoever has a nightly or a compiled torch often compiles torchvision too, and its number is then that of the sources.
    may_fit = not of_another_build and before_release(torch) and ".nv" not in torch
    return Hit(
        message=f"torchvision {have} was released for another torch, and {torch} is no release: they fit only if torchvision was compiled for it."
        if may_fit
        else f"torchvision {have} was built for another torch than {torch}.",
        evidence=(package_evidence(facts, "torchvision"), fact(facts, "torch.version")),
        severity=Severity.INFO if may_fit else None,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    said = seen.captured()
    if not any(m.strength != "context" for m in seen.matches):
        return None
    if "hub" in said:
        message = f"torch.hub imported the torchvision in its folder {said['hub']}, and the compiled part of the installed torchvision does not fit these old sources."
        return Hit(message=message, evidence=evidence, variant=OfHub(folder=said["hub"]))
    if not {"torch", "symbol"} & said.keys() and (images := torchvision_images.message(said)) is not None:
        return Hit(message=images, evidence=evidence, variant=WithoutImages())
    torch = said.get("torch")
    message = "The installed torchvision was built for another torch than the installed torch."
    if "of_rocm" in said:
        message = "The installed torchvision is a build for ROCm, and the installed torch is not: torchvision's compiled operators do not load."
    elif torch is not None:
        message = f"torchvision {said['torchvision']} is not the release for torch {torch}: Ultralytics reports it."
    elif "lacks" in said:
        message = f"The installed torchvision has no {said['lacks']} for the GPU: it is a CPU build, or was built for another torch. torch itself uses the GPU."
    return Hit(
        message=message,
        evidence=evidence,
        variant=OfRelease(torch=torch) if torch is not None else WithoutCuda() if "lacks" in said else None,
        confidence=Confidence.HIGH if any(m.strength == "proof" for m in seen.matches) else Confidence.LOW,
    )


def _of_the_cpu(facts: Facts, torchvision: str) -> bool:
    """Return whether torchvision is a CPU build beside a CUDA torch.

    Such a torchvision loads. A call with a CUDA tensor fails: "Could not run 'torchvision::nms' ... 'CUDA' backend".
    """
    return local(torchvision) == "cpu" and isinstance(facts.torch.cuda, str)


def _loader(facts: Facts, text: str) -> tuple[Evidence, ...]:
    """Return the line of the traceback in which the dynamic loader names a library or a symbol, as evidence; empty if there is none."""
    for line in text.splitlines():
        if ".so" in line and ("cannot open" in line or "undefined symbol" in line):
            return (fact(facts, "imports", f"the loader says: {line.strip()}"),)
    return ()


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, OfHub):
        return (torchvision_cures.installed_models(facts),)
    if isinstance(hit.variant, WithoutImages):
        both, pillow = torchvision_cures.together(facts), torchvision_images.pillow(facts)
        # The index of the packages depends on the system, and Pillow does not.
        return (pillow, *both) if isinstance(facts.system.os, Unknown) else (*both, pillow)
    stated = hit.variant.torch if isinstance(hit.variant, OfRelease) else None
    if stated is not None and isinstance(facts.torch.version, Unknown):
        return torchvision_cures.for_release(facts, stated)
    if isinstance(hit.variant, WithoutCuda) and isinstance(facts.torch.version, Unknown):
        kept, both = torchvision_cures.kept(facts), torchvision_cures.together(facts)
        return both if torch_steps.another_image(facts) is not None else (kept, *both)
    torch = present(facts.torch.version)
    wanted = known(pytorch.torchvision_for(torch))
    step = torch_here.vision(facts)
    if step is None:
        return ()
    gone = torchvision_cures.without_pips(facts)
    return (
        Fix(title=torchvision_cures.title(facts, wanted, torch), steps=(*gone, step), verify=commands.check(facts)),
    )


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes if the version of torch is not known.

    They are: keep torch and install its torchvision, which changes less; or install torch and torchvision from one index.
    """
    both = torchvision_cures.together(facts)
    return both if torch_steps.another_image(facts) is not None else (torchvision_cures.kept(facts), *both)
