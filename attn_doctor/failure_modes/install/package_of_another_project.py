"""The installed package has the name of the project that you want, and is another project.

What it is
    The name under which people know a project belongs to somebody else on PyPI. `pip install apex` brings a web framework's package and not
    NVIDIA's apex; `pip install clip` not OpenAI's CLIP; `pytorch` and `sklearn` are empty packages that only print what to install.

How it shows
    "cannot import name 'UnencryptedCookieSessionFactoryConfig' from 'pyramid.session'", below a frame of apex/__init__.py; "Failed building wheel
    for cryptacular"; "module 'clip' has no attribute 'load'"; "You tried to install "pytorch". The package named for PyTorch is "torch""; "The
    'sklearn' PyPI package is deprecated, use 'scikit-learn'". Empty packages: "Successfully installed pytorch3d-0.0.1", and then "No module named 'pytorch3d'"; "The
    package you are trying to install is only a placeholder project on PyPI.org" (nvidia-dali).

Why it happens
    The project that you want is not on PyPI, or has another name there. pip installs the package that has the typed name.

What to do
    apex and clip: remove the package, and install the project from its repository on GitHub. pytorch: install torch. sklearn: install
    scikit-learn.

How to reproduce
    There is no recipe: it installs a stranger's package. `python -m pip download --no-deps apex` shows what PyPI has under that name.

References
    https://github.com/NVIDIA/apex/issues/1063
    https://github.com/openai/CLIP/issues/180
    https://pypi.org/project/pytorch/
    https://pypi.org/project/sklearn/
    https://github.com/facebookresearch/pytorch3d/issues/1348 (0.0.1 is empty, and for every system)
    https://github.com/NVIDIA/DALI/issues/4165
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, package_cures, torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD231",
    slug="package-of-another-project",
    title="A package of the same name, from another project",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=r"cannot import name '(?P<apex>UnencryptedCookieSessionFactoryConfig)'",
            literal="UnencryptedCookieSessionFactoryConfig",
            sample="ImportError: cannot import name 'UnencryptedCookieSessionFactoryConfig' from 'pyramid.session' (unknown location)",
        ),
        # A package that only PyPI's apex and a few web programs require.
        Sign(
            pattern=r"(?:Failed building wheel for|Failed to build|Could not build wheels for) (?P<apex>cryptacular|velruse)\b",
            literal="uild",
            sample="ERROR: Failed building wheel for cryptacular",
        ),
        Sign(
            pattern=r"You tried to install \"(?P<pytorch>pytorch)\"",
            literal="You tried to install",
            sample='Exception: You tried to install "pytorch". The package named for PyTorch is "torch"',
        ),
        Sign(
            pattern=r"module '(?P<clip>clip)' has no attribute '(?:load|tokenize|available_models)'",
            literal="module 'clip'",
            sample="AttributeError: module 'clip' has no attribute 'load'",
        ),
        Sign(
            pattern=r"The '(?P<sklearn>sklearn)' PyPI package is deprecated",
            literal="'sklearn' PyPI package",
            sample="The 'sklearn' PyPI package is deprecated, use 'scikit-learn' rather than 'sklearn' for pip commands.",
        ),
        Sign(
            pattern=r"(?P<pytorch3d>pytorch3d)(?:-|==)0\.0\.1(?![\w.]*\d)",
            literal="pytorch3d",
            sample="Successfully installed pytorch3d-0.0.1",
        ),
        Sign(
            pattern=r"(?P<box>is only a placeholder project on PyPI\.org)",
            literal="only a placeholder project",
            sample="The package you are trying to install is only a placeholder project on PyPI.org repository.",
            strength="hint",
        ),
        Sign(
            pattern=r"(?:Collecting|pip install (?:\S+ ){0,6}?|Downloading |Using cached )\s?(?P<nvidia>nvidia[-_](?!pyindex)[\w-]{2,40}?)(?=-\d|[=<>~! ]|$)",
            literal="nvidia",
            sample="Collecting nvidia-dali-cuda110",
            strength="context",
        ),
    ),
)
# There is no `detect`: the facts do not show the author of a package.


class Namesake(Variant, frozen=True, kw_only=True):
    """Hold the name that was typed: "apex", "pytorch", "clip", "sklearn", "pytorch3d"; or a package of NVIDIA, "nvidia-dali-cuda110"."""

    name: str


_MESSAGES = {
    "apex": "The apex of PyPI is a package for web sites: NVIDIA's apex has no release there.",
    "pytorch": "The package pytorch of PyPI installs nothing: the name of PyTorch there is torch.",
    "clip": "The clip of PyPI is another program: OpenAI's CLIP has no release there.",
    "sklearn": "The package sklearn of PyPI installs nothing: the name of scikit-learn there is scikit-learn.",
    "pytorch3d": "PyPI has no wheel of pytorch3d for this machine, so pip took pytorch3d 0.0.1, an empty package with that name: pytorch3d has to be built from its repository.",
}


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    name, nvidia = next((name for name in _MESSAGES if seen.group(name)), None), seen.group("nvidia")
    if name is None and seen.group("box") and nvidia and "tensorrt" not in nvidia:
        package = nvidia.replace("_", "-").lower()
        message = f"The {package} of PyPI is an empty package: NVIDIA has it on an index of its own."
        return Hit(message=message, evidence=evidence, variant=Namesake(name=package))
    return None if name is None else Hit(message=_MESSAGES[name], evidence=evidence, variant=Namesake(name=name))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if not isinstance(hit.variant, Namesake):
        return tuple(fix for name in _MESSAGES for fix in _of(facts, name)[:1])
    return _of(facts, hit.variant.name)


def _of(facts: Facts, name: str) -> tuple[Fix, ...]:
    """Return the fixes for one of the names in `_MESSAGES`, the best first."""
    verify = commands.check(facts)
    if name == "pytorch":
        return torch_steps.newest(facts, "Install PyTorch by its name, torch")
    if name == "sklearn":
        why = "the package that contains the module sklearn; where a requirements file names sklearn, change it there"
        step = commands.install("scikit-learn", why=why, changes="adds scikit-learn")
        return (Fix(title="Install scikit-learn", steps=(step,), verify=verify),)
    if name.startswith("nvidia-"):
        # https://docs.nvidia.com/deeplearning/dali/user-guide/docs/installation.html, https://pypi.nvidia.com
        get = commands.by_hand(
            (*commands.starting(facts), "-m", "pip", "install", "--extra-index-url", "https://pypi.nvidia.com", "--upgrade", name),
            "NVIDIA's index has its wheels, for Linux; a name with cuda110 or cuda120 has to be that of your CUDA major version",
            f"adds {name}",
        )  # fmt: skip
        return (Fix(title="Install it from NVIDIA's index", steps=(get,), verify=verify),)
    gone = commands.uninstall(name, why=f"removes the {name} of PyPI, which is another project")
    if name == "pytorch3d":
        return (_pytorch3d(facts, gone),)
    if name == "clip":
        get = commands.install(
            "clip @ git+https://github.com/openai/CLIP.git", why="OpenAI's own repository", changes="clip"
        )
        return (Fix(title="Install OpenAI's CLIP", steps=(gone, get), verify=verify),)
    get = commands.install(
        "apex @ git+https://github.com/NVIDIA/apex.git",
        why="NVIDIA's own repository, without its compiled parts, which needs no nvcc. If the program asks for amp_C or fused_layer_norm_cuda: set "
        "APEX_CPP_EXT=1 and APEX_CUDA_EXT=1 and repeat this with --force-reinstall",
        changes="apex",
        no_build_isolation=True,
        no_cache=True,
        takes="minutes",
    )
    small = commands.install(
        "setuptools", "wheel", "packaging", "ninja", why="its setup imports them", changes="adds small packages"
    )
    without = Fix(title="Do without apex", steps=(gone,), verify=verify)
    return (Fix(title="Install NVIDIA's apex", steps=(gone, small, get), verify=verify), without)


def _pytorch3d(facts: Facts, gone: Step) -> Fix:
    """Return the fix that builds pytorch3d from its repository: https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md."""
    own = package_cures.from_source(facts, "pytorch3d")
    mac: tuple[Step, ...] = ()
    if facts.system.os == "darwin":
        why = "Apple's clang; with an older target than that of Python the build stops"
        target = "11.0" if facts.system.machine == "arm64" else "10.14"
        mac = (
            commands.variable("CC", "clang", why),
            commands.variable("CXX", "clang++", why),
            commands.variable("MACOSX_DEPLOYMENT_TARGET", target, why),
        )
    return Fix(title="Build pytorch3d from its own repository", steps=(gone, *mac, *own.steps), verify=own.verify)
