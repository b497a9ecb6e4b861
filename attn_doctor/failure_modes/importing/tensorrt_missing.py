"""TensorRT, or its bindings for this Python, are not installed.

What it is
    An export to TensorRT, and a program that runs an engine, import the Python package `tensorrt` and load the library
    libnvinfer. Neither comes with torch or with ultralytics.

How it shows
    "ModuleNotFoundError: No module named 'tensorrt'" (also 'tensorrt_bindings', 'tensorrt_libs'), "ImportError:
    libnvinfer.so.8: cannot open shared object file", "FileNotFoundError: Could not find: nvinfer_10.dll. Is it on your
    PATH?".

Why it happens
    TensorRT was never installed in this environment; or, on a Jetson, it belongs to JetPack's own Python, and a virtual
    environment or conda does not see it; or the package of another release of TensorRT is there than the library.

What to do
    On a PC or a server: `pip install tensorrt-cu12` for a torch of CUDA 12, `tensorrt-cu13` for one of CUDA 13. On a
    Jetson: the packages of JetPack (`sudo apt-get install python3-libnvinfer`), and an environment that sees them
    (`python3 -m venv --system-site-packages`), with the Python of JetPack.

How to reproduce
    There is no recipe: the package is only needed where there is an NVIDIA GPU. `python -c "import tensorrt"` shows it.

References
    https://docs.nvidia.com/deeplearning/tensorrt/latest/installing-tensorrt/installing.html
    https://docs.ultralytics.com/guides/nvidia-jetson/
    https://pypi.org/project/tensorrt-cu12/
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD336",
    slug="tensorrt-missing",
    title="TensorRT is not installed for this Python",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("requirements-missing", "ultralytics-autoupdate-failed", "no-matching-distribution", building.FAILED),
    signs=(
        Sign(
            pattern=r"No module named '(?P<module>tensorrt|tensorrt_bindings|tensorrt_libs)(?:\.[\w.]{1,80})?'",
            literal="No module named 'tensorrt",
            sample="ModuleNotFoundError: No module named 'tensorrt'",
        ),
        Sign(
            pattern=r"^(?!.*onnxruntime).*(?P<library>lib(?:nvinfer|nvonnxparser|nvparsers)\w*\.so[.\d]*): cannot open shared object file",
            literal=": cannot open shared object file",
            sample="ImportError: libnvinfer.so.8: cannot open shared object file: No such file or directory",
        ),
        # Printed by TensorRT's setup.py, https://pypi.org/project/tensorrt-cu12/#files. On a Jetson, JetPack installs TensorRT.
        Sign(
            pattern=r"(?P<tegra>TensorRT) does not (?:currently )?(?:build|support|provide|have) wheels for (?:Tegra|Jetson)",
            literal="TensorRT does not ",
            sample="RuntimeError: TensorRT does not currently build wheels for Tegra systems",
        ),
        Sign(
            pattern=r"Could not find: (?P<library>nvinfer\w*\.dll)",
            literal="Could not find: nvinfer",
            sample="FileNotFoundError: Could not find: nvinfer_10.dll. Is it on your PATH?",
        ),
        # Its archives on PyPI only install the wheels of NVIDIA's index, and stop where there is none.
        Sign(
            pattern=r"TensorRT currently only builds wheels for (?P<platforms>\w{3,20}(?: and \w{3,20})?)",
            literal="only builds wheels for ",
            sample="RuntimeError: TensorRT currently only builds wheels for Linux and Windows",
        ),
        Sign(
            pattern=r"(?:satisfies the requirement|No matching distribution found for) (?P<part>tensorrt(?:[_-]cu\d\d)?[_-](?:libs|bindings)==[\w.]{1,30})",
            literal="tensorrt",
            sample="ERROR: No matching distribution found for tensorrt_libs==8.6.1",
        ),
        Sign(
            pattern=r"(?P<box>is only a placeholder project on PyPI\.org)",
            literal="only a placeholder project",
            sample="The package you are trying to install is only a placeholder project on PyPI.org repository.",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<placeholder>nvidia[-_]tensorrt)(?![\w-]*cu)",
            literal="tensorrt",
            sample="Collecting nvidia-tensorrt",
            strength="context",
        ),
    ),
)
# There is no `detect`: most environments do not need TensorRT.


class Lacks(Variant, frozen=True, kw_only=True):
    """Hold what is missing: the package for Python, the library, or the TensorRT of JetPack, where pip tried to install another one."""

    what: Literal["package", "library", "jetpack"]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    library, platforms, part = seen.group("library"), seen.group("platforms"), seen.group("part")
    if seen.group("tegra"):
        return Hit(
            message="PyPI has no TensorRT wheels for a Jetson: JetPack installs TensorRT for the system's Python, and this Python does not see it.",
            evidence=building.lines([m for m in seen.matches if "tegra" in m.groups]),
            variant=Lacks(what="jetpack"),
        )
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs and (seen.group("box") is None or seen.group("placeholder") is None):
        return None
    if library is None and (platforms or part or not proofs):
        why = (
            f"its setup says that there are wheels only for {platforms}"
            if platforms
            else f"NVIDIA's index has no {part} for this Python or this system"
            if part
            else "nvidia-tensorrt on PyPI is an empty package, and tensorrt is its name today"
        )
        return Hit(
            message=f"This release of TensorRT cannot be installed by pip here: {why}.",
            evidence=building.lines(proofs or list(seen.matches)),
            variant=Lacks(what="package"),
        )
    if not places.jetson(facts) and all("export failure" in m.text for m in seen.matches):
        return None  # ultralytics' own sentence about an export: requirements-missing
    return Hit(
        message=f"The library {library} of TensorRT is not found: TensorRT is not installed, or another release of it is."
        if library
        else "The package tensorrt is there without its compiled part for this Python: it was made for another Python."
        if any("No module named 'tensorrt.tensorrt'" in m.text for m in proofs)
        else "The package tensorrt is not installed for this Python.",
        evidence=building.lines(proofs),
        variant=Lacks(what="library" if library else "package"),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = (*commands.starting(facts), "-c", "import tensorrt; print(tensorrt.__version__)")
    if facts.system.os == "darwin":
        other = commands.by_hand(
            (), "export with format=coreml: TensorRT exists for NVIDIA GPUs only", "the export", "none"
        )
        return (Fix(title="Use another format", steps=(other,), verify=verify),)
    jetpack = isinstance(hit.variant, Lacks) and hit.variant.what == "jetpack"
    if (jetpack or places.jetson(facts)) and not places.container(facts):
        return (_of_jetpack(facts, verify),)
    if jetpack or places.jetson(facts):
        image = commands.by_hand(
            ("docker", "pull", "ultralytics/ultralytics:latest-jetson-jetpack6"),
            "on the Jetson, outside the container: this image contains JetPack 6's TensorRT (for JetPack 5: latest-jetson-jetpack5); start it with --runtime nvidia",
            "adds an image",
            "none",
            takes="several GB",
        )
        return (Fix(title="Use a container image that contains TensorRT", steps=(image,), verify=verify),)
    major = facts.torch.cuda.partition(".")[0] if isinstance(facts.torch.cuda, str) else "12"
    package = f"tensorrt-cu{major}" if major in ("11", "12", "13") else "tensorrt-cu12"
    words = "brings the package and its libraries" + (
        ""
        if isinstance(facts.torch.cuda, str)
        else "; -cu12 is for a torch of CUDA 12, -cu13 for one of CUDA 13 (torch.version.cuda)"
    )
    get = commands.install(package, why=words, changes=f"adds {package}", takes="3 GB", upgrade=True)
    return (Fix(title="Install TensorRT", steps=(get,), verify=verify),)


def _of_jetpack(facts: Facts, verify: tuple[str, ...]) -> Fix:
    """Return the fix for a Jetson: JetPack's own TensorRT, which only JetPack's Python has."""
    get = commands.by_hand(
        places.as_root(facts, "apt-get", "install", "-y", "tensorrt", "python3-libnvinfer", "python3-libnvinfer-dev"),
        "JetPack's TensorRT with its bindings for the system's own Python (3.10 in JetPack 6, 3.8 in JetPack 5, 3.6 in JetPack 4); pip has none for a Jetson",
        "packages of JetPack",
    )
    own = facts.interpreter.kind == "venv" and isinstance(facts.interpreter.prefix, str)
    folder = str(facts.interpreter.prefix) if own else "PATH_OF_YOUR_ENVIRONMENT"
    see = commands.by_hand(
        ("python3", "-m", "venv", "--system-site-packages", "--upgrade", folder),
        "only if you use a virtual environment: it then sees the system's packages. An environment of conda, or of another Python, cannot: make one with python3 -m venv",
        "the environment",
    )
    return Fix(title="Install JetPack's TensorRT, and let the environment see it", steps=(get, see), verify=verify)
