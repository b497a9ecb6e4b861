"""Make the steps that install a wheel from a page of links whose address contains torch and its CUDA: mmcv, torch-scatter, natten. Pure."""

from __future__ import annotations

from attn_doctor.failure_modes.shared import asked_of_torch, torch_asked
from attn_doctor.failure_modes.shared.torch_facts import text
from attn_doctor.knowledge import built_packages, pytorch
from attn_doctor.knowledge.rows import BuiltPackage
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.steps import Install, Step
from attn_doctor.model.versions import pair

_MMCV_2 = (
    3,
    7,
)  # the oldest Python of mmcv 2; with an older one it is mmcv-full 1.x. https://pypi.org/project/mmcv/2.0.0/


def torch_of(facts: Facts) -> tuple[str, str | None]:
    """Return the version of torch, and its build ("cu126"; None if not known).

    A version on Linux without a build counts as PyPI's build.
    """
    cuda, torch = facts.torch.cuda, str(facts.torch.version)
    if isinstance(cuda, Unknown) and "+" not in torch and facts.system.os == "linux":
        cuda = pytorch.pypi_cuda(torch)
    return torch, pytorch.flavour(cuda) if isinstance(cuda, str) else None


def requirement(facts: Facts, name: str) -> str:
    """Return what pip is asked for: the package, and "mmcv-full<2" for mmcv on a Python that mmcv 2 does not support."""
    python = pair(text(facts.interpreter.version) or "")
    return "mmcv-full<2" if name == "mmcv" and python is not None and python < _MMCV_2 else name


def steps(facts: Facts, name: str, row: BuiltPackage, *, again: bool) -> tuple[Step, ...]:
    """Return the steps that install the wheel. If the page has none, pip builds the sources from PyPI. Empty without a torch, or if no release is for it.

    `again`: the package is installed and does not fit.
    """
    if facts.torch.version is None:
        return ()
    known, of = isinstance(facts.torch.version, str), torch_asked.example_up_to(row.torch_last)
    torch = torch_of(facts) if known else (of.torch, of.flavour)
    page, exact = built_packages.wheel_index(row, *torch), built_packages.pinned(row, *torch)
    if page is None or (row.pins and (exact is None or not known)):
        return ()
    step = Install(
        requirements=(exact or requirement(facts, name),),
        find_links=page,
        no_build_isolation=not row.only_wheels,
        only_binary=row.only_wheels,
        reinstall=again,
        no_deps=again,
        no_cache=again,
        why=f"{name}'s wheel for this torch and CUDA"
        + ("" if row.only_wheels else "; if that page has no such wheel, pip compiles it"),
        changes=f"adds {name}",
    )
    if known:
        return (step,)
    filled = torch_asked.filled_in(facts, step, of)
    if filled is not None:
        return filled
    if asked_of_torch.able(facts):
        return (_asked(facts, name, row, step),)
    return torch_asked.steps(facts, step, of, "the address contains torch and CUDA: write the installed versions")


def _asked(facts: Facts, name: str, row: BuiltPackage, line: Install) -> Step:
    """Return the one line that asks the installed torch for its release and CUDA, and installs the wheel from the page for both.

    An mmcv that is installed keeps its major release, whose name is mmcv-full below 2: a program for the one does not run with the other.
    """
    kept = name == "mmcv" and line.reinstall and line.requirements == (name,)
    url = str(row.url).replace("{flavour}", "=F").replace("{minor}", "=M")
    asked = "v, c = torch.__version__.split('.'), torch.version.cuda; f = 'cu' + c.replace('.', '') if c else 'cpu'"
    if kept:
        asked += "; n = 'mmcv-full' if mmcv.__version__ < '2' else 'mmcv'"
    words = [
        *(("'--force-reinstall'", "'--no-deps'", "'--no-cache-dir'") if line.reinstall else ()),
        *(("'--no-build-isolation'",) if line.no_build_isolation else ()),
        *(
            ("'--only-binary'", "n" if kept else f"'{name if line.requirements == (name,) else 'mmcv-full'}'")
            if line.only_binary
            else ()
        ),
        "n" if kept else f"'{line.requirements[0]}'",
        "'--find-links'",
        f"'{url}'.replace('=F', f).replace('=M', v[0] + '.' + v[1])",
    ]
    last = (
        f" Its authors made wheels up to torch {row.torch_last}: for a newer torch take the next fix."
        if row.torch_last
        else ""
    )
    else_ = "nothing is compiled" if row.only_wheels else "if that page has none, pip compiles it"
    why = f"asks the installed torch for its release and its CUDA, and takes the wheel of {name} for both from its authors' page: {else_}.{last}"
    return asked_of_torch.install(
        facts,
        asked,
        ", ".join(words),
        why=why,
        changes=line.changes,
        imports="torch, mmcv" if kept else "torch",
    )
