"""The installed package has the name of the project that you want, and is another project.

What it is
    The name under which people know a project belongs to somebody else on PyPI. `pip install apex` brings a web framework's package and not
    NVIDIA's apex; `pip install clip` not OpenAI's CLIP; `pytorch` and `sklearn` are empty packages that only print what to install.

How it shows
    "cannot import name 'UnencryptedCookieSessionFactoryConfig' from 'pyramid.session'", below a frame of apex/__init__.py; "Failed building wheel
    for cryptacular"; "module 'clip' has no attribute 'load'"; "You tried to install "pytorch". The package named for PyTorch is "torch""; "The
    'sklearn' PyPI package is deprecated, use 'scikit-learn'".

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
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

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
    ),
)
# There is no `detect`: the facts do not show the author of a package.


class Namesake(Variant, frozen=True, kw_only=True):
    """Hold the name that was typed: "apex", "pytorch", "clip" or "sklearn"."""

    name: str


_MESSAGES = {
    "apex": "The apex of PyPI is a package for web sites: NVIDIA's apex has no release there.",
    "pytorch": "The package pytorch of PyPI installs nothing: the name of PyTorch there is torch.",
    "clip": "The clip of PyPI is another program: OpenAI's CLIP has no release there.",
    "sklearn": "The package sklearn of PyPI installs nothing: the name of scikit-learn there is scikit-learn.",
}


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    name = next((name for name in _MESSAGES if seen.group(name)), None)
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
    gone = commands.uninstall(name, why=f"removes the {name} of PyPI, which is another project")
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
