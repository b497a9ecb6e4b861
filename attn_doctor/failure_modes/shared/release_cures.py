"""Make the fixes for a package whose installed release does not fit the package that uses it. Pure."""

from __future__ import annotations

from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.failure_modes.shared import building, subject, torch_steps
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Install, Step
from attn_doctor.model.versions import pair

# Packages of which a newer release exists that fits a newer torch, transformers or huggingface-hub.
_MAINTAINED = frozenset(
    "transformers diffusers peft accelerate trl timm datasets sentence-transformers optimum deepspeed lightning pytorch-lightning torchao "
    "safetensors gradio speechbrain pyannote-audio gptqmodel vllm xformers ultralytics monai kornia torchmetrics bitsandbytes mmengine".split()
)
# Texts of a package's files that can be replaced where no release fits: the module is there under another name.
_RENAMED = {
    "torchvision.transforms.functional_tensor": "torchvision.transforms._functional_tensor",
    "torchvision.models.utils": "torch.hub",
}
# DETR and its relatives read the version 0.10 as 0.1. https://github.com/facebookresearch/detr/issues/401
_READS_0_10_AS_0_1 = (
    "in the file that the traceback names (util/misc.py): write  if False:  in place of  if float(torchvision.__version__[:3]) < 0.7:  wherever this "
    "condition stands: it reads torchvision 0.10 and newer as 0.1, and imports names of 2020"
)
# One line of the program is the cure where a name of torchvision is there under another name, or is not needed.
_IN_THE_PROGRAM = {
    "get_spatial_size": "in the line that the traceback names: write get_size in place of get_spatial_size, as torchvision 0.16 and newer call it",
    "_new_empty_tensor": _READS_0_10_AS_0_1,
    "_output_size": _READS_0_10_AS_0_1,
    "_NewEmptyTensorOp": _READS_0_10_AS_0_1,
}
_OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")
_NUMPY_OF_312 = (3, 12)  # the first Python for which NumPy 1.26 is the oldest release with wheels


class Needed(NamedTuple):
    """Hold a package that must change, and the releases of it that fit."""

    package: str  # "huggingface-hub"
    has: str  # "<0.26": the releases that have what is missing


def caller(facts: Facts, callee: str | None) -> str | None:
    """Return the installed package whose file imports or calls the missing name ("diffusers").

    None if the log does not name one, or if it is `callee`, the package that lacks the name.
    """
    name = facts.subject.package
    doing = facts.subject.doing in ("importing", "running")
    return name if isinstance(name, str) and doing and name not in (callee, "google") else None


def listed(facts: Facts, needed: Needed, module: str | None, name: str | None) -> tuple[Fix, ...]:
    """Return the fixes for a missing name if the table lists the releases that have it.

    In most cases: install a release of the package that has the name, or upgrade the package that uses it. For some
    names: change a line of the program. `module`, `name`: what was missing ("huggingface_hub", "cached_download"); None
    if the error does not name it.
    """
    package, has = needed
    user = caller(facts, package)
    whole = f"{module}.{name}"
    if whole in _RENAMED:
        return (_rewritten(facts, user, whole),)
    newer = (_upgraded(facts, user),) if user in _MAINTAINED else ()
    if package == "torchvision" and name in _IN_THE_PROGRAM:
        step = commands.by_hand((), _IN_THE_PROGRAM[name], "lines of the program", "none")
        return (Fix(title="Change the line in the program", steps=(step,), verify=commands.check(facts)),)
    if package == "torchvision" and has == ">=0.15,<0.16":
        return _of_beta_transforms(facts)
    if package in ("torch", "torchvision", "torchaudio"):
        older = (_flash_attn_2_7(facts),) if user == "flash-attn" and name in _OF_FLASH_ATTN_2_8 else ()
        return (*older, *_of_torch(facts, needed, user, module, newer))
    if package == "spconv":
        return _of_spconv(facts, module)
    if package == "mmcv":
        return _of_mmcv(facts, has)
    if package == "natten":
        return (_of_natten(facts, has),)
    pinned = (_pinned(facts, needed, user),)
    if package == "numpy" and has == "<1.24" and _python(facts) >= _NUMPY_OF_312:
        words = (
            f"in the code that uses it: write {name} in place of np.{name} (or np.{name}_). NumPy has releases with that name only for Python 3.11 and "
            "older"
        )
        step = commands.by_hand((), words, "the program", "none")
        return (*newer, Fix(title="Change the name in the program", steps=(step,), verify=commands.check(facts)))
    return (*newer, *pinned) if package == "transformers" and has == "<5" else (*pinned, *newer)


def _python(facts: Facts) -> tuple[int, int]:
    version = facts.interpreter.version
    return (pair(version) if isinstance(version, str) else None) or (0, 0)


def _pinned(facts: Facts, needed: Needed, user: str | None) -> Fix:
    """Return the fix that installs the release of the package that has the name. `user`: the package that uses the name."""
    package, has = needed
    reason = f"what {user} was written for" if user else "the releases that fit"
    step = commands.install(
        f"{package}{has}",
        why=f"{reason}; pip names other packages that need another {package}, if there are any",
        changes=package,
    )
    return Fix(title=f"Install {package}{has}", steps=(step,), verify=commands.check(facts))


def _of_natten(facts: Facts, has: str) -> Fix:
    """Return the fix that compiles an old release of NATTEN against the installed torch, after its build tools are installed.

    `has`: the releases that have the name, "<0.20". https://natten.org/install/#0175
    """
    tools = commands.install(
        "setuptools", "wheel", "packaging", "cmake", "ninja", why="its setup needs them", changes="the build tools"
    )
    step = commands.install(
        f"natten{has}",
        why="0.20 removed these names. It is compiled against the installed torch, which takes nvcc and half an hour; https://natten.org/install/#0175 lists the finished wheels of "
        "0.17.5 for Linux, each for one torch",
        changes="natten",
        no_build_isolation=True,
        takes="up to an hour",
    )
    return Fix(title=f"Install natten{has}", steps=(tools, step), verify=commands.check(facts))


def _upgraded(facts: Facts, user: str | None, *beside: str) -> Fix:
    """Return the fix that upgrades the package that uses the name, and the packages `beside` it."""
    names = tuple(dict.fromkeys((*((user,) if user else ()), *beside)))
    step = commands.install(
        *names,
        upgrade=True,
        why="their newest releases fit together" if len(names) > 1 else "its newest release uses the newer names",
        changes=" and ".join(names),
    )
    return Fix(title=f"Upgrade {' and '.join(names)}", steps=(step,), verify=commands.check(facts))


def _of_torch(
    facts: Facts, needed: Needed, user: str | None, module: str | None, newer: tuple[Fix, ...]
) -> tuple[Fix, ...]:
    """Return the fixes for a name of torch: a newer torch, or a newer release of the package that uses a name which torch lost."""
    package, has = needed
    if has.startswith(">="):
        why = f"{package} {has.removeprefix('>=')} and newer have this name"
        if user == "flash-attn":
            why += "; install flash-attn again after it, because it is compiled for one torch"
        made = torch_steps.newest(facts, "Install a newer torch", why=why)
        older = (_without(facts),) if user == "torchao" else ()
        return (*older, *made)
    if newer:
        return newer
    if module is not None and "elastic" in module:
        return (_upgraded(facts, "deepspeed"),)  # the only package that imports this
    if has.startswith("<") and module is None and package == "torch":
        words = f"remove the argument from the call that the traceback names: torch has no such argument any more; or install torch{has}"
        step = commands.by_hand((), words, "one line of the program", "none")
        return (Fix(title="Remove the argument from the call", steps=(step,), verify=commands.check(facts)),)
    if package == "torchaudio":
        steps = torch_steps.release(facts, "2.8.0", "the last torch whose torchaudio has this name", None)
        return (Fix(title="Install the torch before 2.9", steps=steps, verify=commands.check(facts)),) if steps else ()
    if user == "apex":
        step = commands.install(
            "apex @ git+https://github.com/NVIDIA/apex.git",
            reinstall=True,
            no_deps=True,
            no_build_isolation=True,
            no_cache=True,
            why="its newest sources are for newer releases of torch",
            changes="apex",
        )
        return (Fix(title="Install the newest apex", steps=(step,), verify=commands.check(facts)),)
    words = (
        f"install a newer release of {user or 'the package or program that uses this name'}; or, in its file that the traceback names: torch._six.inf is "
        "torch.inf now, string_classes is str, and container_abcs is collections.abc"
    )
    step = commands.by_hand((), words, user or "the program", "low")
    return (Fix(title="Take a newer release of what uses this name", steps=(step,), verify=commands.check(facts)),)


# rotary.py and layer_norm.py use them since 2.8.0, beside its wheels for torch 2.4 and 2.5: https://github.com/Dao-AILab/flash-attention/issues/2037
_OF_FLASH_ATTN_2_8 = ("wrap_triton", "triton_op")


def _of_beta_transforms(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a program that uses what only torchvision 0.15 had: RT-DETR's first code, D-FINE's relatives of that time.

    https://github.com/lyuwenyu/RT-DETR/issues/416
    """
    verify = commands.check(facts)
    words = (
        "RT-DETR: use its folder rtdetrv2_pytorch, which is written for newer releases too. Another program: in its files, torchvision.tv_tensors is "
        "what torchvision.datapoints was, and disable_beta_transforms_warning() is not needed"
    )
    step = commands.by_hand((), words, "the program", "none")
    newer = Fix(title="Use code for the newer torchvision", steps=(step,), verify=verify)
    steps = torch_steps.release(facts, "2.0.1", "torch 2.0.1 belongs to torchvision 0.15.2, which has this name", None)
    old = Fix(title="Install torchvision 0.15.2 and its torch", steps=steps, verify=verify)
    return (old, newer) if any(isinstance(step, Install) for step in steps) else (newer, old)


def _flash_attn_2_7(facts: Facts) -> Fix:
    why = "the last release without this name, for torch 2.2 to 2.6; its setup.py downloads the wheel for this torch if there is one"
    step = building.build(facts, why, release="2.7.4.post1")
    return Fix(title="Install flash-attn 2.7.4.post1", steps=(step,), verify=subject.verify(facts))


def _without(facts: Facts) -> Fix:
    step = commands.uninstall(
        "torchao", why="programs import torchao only if it is installed, and it is newer than this torch"
    )
    return Fix(title="Remove torchao", steps=(step,), verify=commands.check(facts))


def _of_mmcv(facts: Facts, has: str) -> tuple[Fix, ...]:
    """Return the fix for a program that needs other releases of mmcv. mmcv 1.x with operators has the name mmcv-full. `has`: "<2".

    https://mmcv.readthedocs.io/en/latest/get_started/installation.html
    """
    verify = commands.check(facts)
    name = "mmcv-full" if has == "<2" else "mmcv"
    gone = commands.uninstall("mmcv", "mmcv-lite", "mmcv-full", why="these packages write into the same folder")
    tool = commands.install(
        "openmim", "setuptools<81", why="finds the finished wheel for the installed torch", changes="adds openmim"
    )
    argv = (*commands.starting(facts), "-m", "mim", "install", f"{name}{has}")
    why = "takes OpenMMLab's wheel for the installed torch and CUDA; if there is none, pip compiles, which takes minutes to an hour and needs nvcc"
    get = commands.by_hand(argv, why, name)
    steps: tuple[Step, ...] = (gone, tool, get)
    return (Fix(title=f"Install {name}{has}", steps=steps, verify=verify),)


def _of_spconv(facts: Facts, module: str | None) -> tuple[Fix, ...]:
    """Return the fix for a program that was written for spconv 1, which PyPI does not have: take the names of spconv 2.

    They are in another module.
    https://github.com/traveller59/spconv/issues/654, https://github.com/traveller59/spconv/blob/master/docs/USAGE.md
    """
    words = (
        "in the files that the traceback names: write `import spconv.pytorch as spconv` in place of `import spconv`, and `from spconv.pytorch import NAME` in place of "
        "`from spconv import NAME`. Weights that spconv 1 saved have another order of axes: newer releases of OpenPCDet convert them"
    )
    if module == "spconv.utils":
        words = (
            "in the file that the traceback names: spconv 2 has no VoxelGenerator. Write `from spconv.pytorch.utils import PointToVoxel`, which takes other arguments; or take a newer release of the "
            "program: OpenPCDet and mmdetection3d support spconv 2"
        )
    step = commands.by_hand((), words, "the program", "none")
    return (Fix(title="Take the names of spconv 2", steps=(step,), verify=commands.check(facts)),)


def _rewritten(facts: Facts, user: str | None, old: str) -> Fix:
    """Return the fix that replaces the name of a module in all files of the package that imports it.

    `user`: that package; None if not known: then basicsr is the example. `old`: a key of _RENAMED.
    """
    new, of = _RENAMED[old], user or "basicsr"
    program = (
        f"import pathlib, importlib.util as u; a, b = '{old}', '{new}'; "
        f"[p.write_text(t.replace(a, b), 'utf-8') for p in pathlib.Path(u.find_spec('{of.replace('-', '_')}').submodule_search_locations[0]).rglob('*.py') "
        "if a in (t := p.read_text('utf-8'))]"
    )
    why = f"writes {new} in place of {old} in the files of the installed {of}, of which no newer release exists"
    if user is None:
        why += "; if another package imports it, write its name in place of basicsr"
    step = commands.by_hand((*commands.starting(facts), "-c", program), why, f"the files of {of}")
    return Fix(title=f"Change the name in {of}", steps=(step,), verify=subject.verify(facts))


def unlisted(facts: Facts, module: str, name: str) -> tuple[Fix, ...]:
    """Return the fixes for a missing name that the table does not list: it may be too new or too old for the installed release.

    `module`, `name`: "transformers.models.bert", "BertPooler".
    """
    root = module.partition(".")[0].replace("_", "-")
    user, verify = caller(facts, root), commands.check(facts)
    if root in ("torch", "torchvision", "torchaudio"):
        if user is None or user not in _MAINTAINED:
            return torch_steps.newest(
                facts,
                "Install a newer torch",
                why=f"newer releases have more names; if {name} is an old name, take an older one",
            )
        return (_upgraded(facts, user),)
    if user is not None and user != root:
        return (_upgraded(facts, user, root),)
    step = commands.install(
        root,
        upgrade=True,
        why=f"newer releases have more names. If the newest one lacks {name} too, the program was written for an older {root}, which its requirements file names",
        changes=root,
    )
    return (Fix(title=f"Upgrade {root}", steps=(step,), verify=verify),)


def one_opencv(facts: Facts) -> Fix:
    """Return the fix that removes the four OpenCV packages, which share a folder, and installs one of them.

    https://pypi.org/project/opencv-python/ ("you should always use only one of them")
    """
    gone = commands.uninstall(*_OPENCV, why="each of them writes into the folder cv2")
    get = commands.install(
        "opencv-python",
        why="one OpenCV alone; on a server without a display opencv-python-headless",
        changes="opencv-python",
    )
    return Fix(
        title="Install one OpenCV package", steps=(gone, get), verify=(*commands.starting(facts), "-c", "import cv2")
    )
