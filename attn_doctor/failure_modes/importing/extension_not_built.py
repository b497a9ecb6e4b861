"""A package was installed without its compiled part, or without the CUDA code of this part.

What it is
    Packages such as mmcv, detectron2, apex or GroundingDINO have a compiled part, written in C++ and CUDA: a module `_ext`, `_C`, or with a
    special name (`amp_C`). The Python files of the package are installed, and the compiled part is not. Or the part was compiled for the
    processor alone: the package is imported, and fails as soon as it gets data on the GPU.

How it shows
    "No module named 'mmcv._ext'", "cannot import name '_C' from 'detectron2'", "No module named 'amp_C'", "No module named
    'selective_scan_cuda'", "name '_C' is not defined" in GroundingDINO, "No such file or directory: '.../xformers/cpp_lib.json'",
    "Could not find module '_version_cuda' in .../torch_scatter".

Why it happens
    The package was built on a machine where its setup found no nvcc, or with its operators switched off. The setup printed this in one line
    among many. Many setups ask torch whether it sees a GPU, and compile for the processor where it sees none: in `docker build`, on the login
    node of a cluster. mmcv has a second distribution without operators, mmcv-lite, and PyPI has only sources of mmcv, no wheels. Or the program was
    started inside a checkout of the sources, which hides the installed package.

What to do
    Install the finished wheel for this torch and CUDA if there is one (for mmcv: on OpenMMLab's page). Else build the package again with
    --no-build-isolation, in the environment that has torch, on a machine with nvcc. Where no GPU is visible during the build, FORCE_CUDA=1
    makes many setups compile for CUDA (detectron2, pytorch3d, mmcv, torch-scatter).

How to reproduce
    There is no recipe: it needs a package with CUDA code. `python -m pip install mmcv-lite`, then `import mmcv.ops`, shows the failure.

References
    https://mmcv.readthedocs.io/en/latest/get_started/installation.html
    https://github.com/IDEA-Research/GroundingDINO#hammer_and_wrench-install
    https://github.com/NVIDIA/apex#installation
    https://github.com/facebookresearch/detectron2/blob/main/INSTALL.md ("Not compiled with GPU support")
    https://github.com/open-mmlab/mmdetection/issues/10841 (compiled on a node without GPU)
    https://github.com/open-mmlab/mmcv/blob/main/setup.py, https://github.com/rusty1s/pytorch_scatter/blob/master/setup.py (FORCE_CUDA)
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import absent_parts, subject, unbuilt_cures, wheel_fixes
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

# Other failure modes report torch, torchvision and flash_attn. SAM 2 since August 2024 works without its compiled part, and prints a warning.
_OTHERS = r"(?:torch|torchvision|torchaudio|flash_attn|sam2|numpy|scipy|cv2|PIL|lxml|yaml)\b"
# Compiled parts whose names do not contain the name of their package. Several packages may have the same module.
_MODULES = (
    r"selective_scan_cuda|causal_conv1d_cuda|amp_C|apex_C|fused_layer_norm_cuda|fused_weight_gradient_mlp_cuda|scaled_\w+_softmax_cuda|"
    r"MultiScaleDeformableAttention|exllama_kernels|exllamav2_kernels|exllamav2_ext|autogptq_cuda_\d+|awq_ext|awq_v2_ext|nvdiffrast_plugin|"
    r"tinycudann_bindings|libnatten|_sageattn\w*|selective_scan_cuda_(?:core|oflex|ndstate|nrow)|DCNv[34]"
)
# Compiled parts that a project keeps in a folder of its own sources: VMamba, InternImage.
# https://github.com/MzeroMiko/VMamba#installation, https://github.com/OpenGVLab/InternImage/tree/master/classification
_OF_PROJECTS = {
    "selective_scan_cuda_": ("VMamba", "kernels/selective_scan"),
    "DCNv3": ("InternImage", "classification/ops_dcnv3"),
}

# Packages that name themselves in this error, by the module's or the project's name.
_WITHOUT_CUDA = r"(?i:natten|detectron2|mmcv(?:-full)?|pytorch3d|torch[-_](?:scatter|sparse|cluster|spline[-_]conv)|groundingdino|spconv)"

MODE = FailureMode(
    code="AD325",
    slug="extension-not-built",
    title="A package without its compiled part",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=rf"(?:ModuleNotFoundError|ImportError): No module named '(?P<package>(?!{_OTHERS})[A-Za-z]\w*)(?P<part>\.(?:[\w.]+\.)?(?:_C\w*|_ext\w*|_cuda|_fused|_qattn_\w+|core_cc))'",
            literal="No module named '",
            sample="ModuleNotFoundError: No module named 'mmcv._ext'",
        ),
        Sign(
            pattern=rf"(?:ModuleNotFoundError|ImportError): No module named '(?P<module>{_MODULES})'",
            literal="No module named '",
            sample="ModuleNotFoundError: No module named 'selective_scan_cuda'",
        ),
        Sign(
            pattern=rf"ImportError: cannot import name '(?P<part>_C|_ext)' from (?:partially initialized module )?'(?P<package>sam2|(?!{_OTHERS})[A-Za-z]\w*)'"
            r"(?: \(most likely due to a circular import\))?(?: \((?P<place>[^)]{1,300})\))?",
            literal="cannot import name '_",
            sample="ImportError: cannot import name '_C' from 'detectron2' (/home/user/detectron2/detectron2/__init__.py)",
        ),
        Sign(
            pattern=rf"ImportError: cannot import name '(?P<module>{_MODULES})' from (?:partially initialized module )?'(?P<package>(?!{_OTHERS})[A-Za-z]\w*)'",
            literal="cannot import name '",
            sample="ImportError: cannot import name 'libnatten' from 'natten' (/venv/lib/python3.11/site-packages/natten/__init__.py)",
        ),
        # The package reads a list of its compiled part, or looks for the file of it: xformers, those of PyTorch Geometric.
        # https://github.com/facebookresearch/xformers/issues/804, https://github.com/rusty1s/pytorch_scatter/blob/master/torch_scatter/__init__.py
        Sign(
            pattern=r"No such file or directory: '(?P<place>[^']{0,300}[\\/](?P<package>xformers)[\\/]+(?P<part>cpp_lib\.json))'",
            literal="cpp_lib.json'",
            sample="FileNotFoundError: [Errno 2] No such file or directory: '/venv/lib/python3.10/site-packages/xformers/cpp_lib.json'",
        ),
        Sign(
            pattern=r"Could not find module '(?P<part>_\w{2,30}_(?:cpu|cuda))' in (?P<place>\S{0,300}[\\/](?P<package>(?:torch|pyg)_\w{2,20}))",
            literal="Could not find module '",
            sample="ImportError: Could not find module '_version_cpu' in /venv/lib/python3.10/site-packages/torch_scatter",
        ),
        # In the package's own words.
        Sign(
            pattern=r"(?:Error|Exception)\b.{0,20}(?P<own>(?:Failed|Unable) to (?:import (?:the )?(?:compiled |CUDA |C\+\+ )?(?:extensions?|kernels?|ops|operators|lib\w+|_C)"
            r"|load (?:the )?(?:compiled |CUDA |C\+\+ )(?:extensions?|kernels?|ops|operators))\b(?!\.so).{0,200})",
            literal=" to ",
            sample="ImportError: Failed to import libnatten. This could be due to an invalid/incomplete install.",
        ),
        Sign(
            pattern=r"(?P<own>\b(?:CUDA|C\+\+|[Cc]ustom) (?:extensions?|kernels?|ops) (?:(?:is|are|was|were|has|have) )?not (?:been )?(?:installed|compiled|built)\b.{0,120})",
            literal=" not ",
            sample="WARNING - CUDA extension not installed.",
            strength="hint",
        ),
        Sign(
            pattern=r"(?:Error|Exception)\b.{0,160}?(?P<own>[Pp]lease (?:re-?)?(?:compile|build) (?:the|it|them|this|its|CUDA|C\+\+|custom|extensions?|ops|kernels?|and install)\b.{0,120})",
            literal="lease ",
            sample="RuntimeError: DCN is not available, please compile the extension first: cd ops && python setup.py install",
        ),
        Sign(
            pattern=r"NameError: name '(?P<part>_C)' is not defined",
            literal="name '_C' is not defined",
            sample="NameError: name '_C' is not defined",
        ),
        # The import stands in a try, so that the name is missing only where it is used.
        Sign(
            pattern=rf"NameError: name '(?P<module>{_MODULES}|\w{{2,40}}_cuda_(?:core|kernels?|ext|ops))' is not defined",
            literal="NameError: name '",
            sample="NameError: name 'selective_scan_cuda_core' is not defined. Did you mean: 'selective_scan_fn'?",
        ),
        # The compiled part is there, and has no CUDA code: its own words, in csrc/ of each package.
        Sign(
            pattern=rf"(?:Error: |^)(?P<without>(?P<owner>{_WITHOUT_CUDA}) (?:is|was) not compiled with (?:CUDA|GPU))",
            literal=" not compiled with ",
            sample="RuntimeError: NATTEN is not compiled with CUDA! Please make sure you installed correctly by referring to shi-labs.com/natten.",
        ),
        Sign(
            pattern=r"(?:Error: |^)(?P<without>Not compiled with (?:GPU|CUDA) support)",
            literal="Not compiled with ",
            sample="RuntimeError: Not compiled with GPU support",
        ),
        Sign(
            pattern=r"(?P<without>(?P<operator>\b\w{2,60}): implementation for device cuda:\d+ not found)",
            literal=": implementation for device cuda:",
            sample="RuntimeError: nms_impl: implementation for device cuda:0 not found.",
        ),
        Sign(
            pattern=r"(?P<without>(?P<owner>xFormers) wasn't build with CUDA support)",
            literal="xFormers wasn't build with CUDA",
            sample="    xFormers wasn't build with CUDA support",
        ),
        Sign(
            pattern=r"\b(?P<switch>\w{0,30}\.?enable_xformers_memory_efficient_attention\()",
            literal="enable_xformers_memory_efficient_attention(",
            sample="pipe.enable_xformers_memory_efficient_attention()",
            strength="context",
        ),
        # collect_env of detectron2 and of mmcv asks the compiled part for its CUDA; it answers so if it was compiled without CUDA.
        *(
            Sign(
                pattern=pattern,
                literal=literal,
                sample=sample,
                strength="hint",
            )
            for pattern, literal, sample in (
                (
                    r"^(?P<table>CUDA compiler)\s{2,60}not available$",
                    "CUDA compiler ",
                    "CUDA compiler            not available",
                ),
                (
                    r"^(?P<table>MMCV) CUDA Compiler: not available$",
                    "MMCV CUDA Compiler: ",
                    "MMCV CUDA Compiler: not available",
                ),
            )
        ),
        *absent_parts.SIGNS,
        unbuilt_cures.MMCV_FULL,
        # Each release of NATTEN is for some releases of torch, so the same release is built again.
        Sign(
            pattern=r"^natten(?:==|\s+)(?P<release>\d[\d.]{1,20})$",
            literal="natten",
            sample="natten            0.15.1",
            strength="context",
        ),
    ),
)
# There is no `detect`: the facts list the compiled modules of flash-attn only.


class Lacking(Variant, frozen=True, kw_only=True):
    """Hold the folder of the sources that were imported.

    None: the package is in an environment, or the log does not name its folder.
    """

    folder: str | None
    of_project: tuple[str, str] | None = None  # a project that keeps the sources of this part, and their folder in it
    only_cuda: bool = False  # the part is there, and only its CUDA code is not
    package: str | None = None  # the package, if the error itself names it
    release: str | None = None  # its release, if the log shows it
    switch: str | None = (
        None  # the call by which the program asks for it: "pipe.enable_xformers_memory_efficient_attention("
    )


class NoneInPlace(Variant, frozen=True, kw_only=True):
    """Hold the package whose optional part is None: "causal-conv1d"."""

    package: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    others = tuple(m for m in seen.matches if not absent_parts.mine(m))
    if all(m.strength == "context" for m in others):
        return _none_in_place(seen)
    seen = seen._replace(matches=others)
    evidence = tuple(e for e in evidence if e.line in {m.line for m in others})
    part, module = seen.group("part"), seen.group("module")
    if all(m.strength == "context" or m.groups.get("table") for m in others):
        return _of_table(facts, seen, evidence)
    if seen.group("own") and not (part or module or seen.group("without")):
        return _in_its_own_words(facts, seen, evidence)
    if seen.group("without") and not (part or module):
        return _without_cuda(facts, seen, evidence)
    project = next((of for start, of in _OF_PROJECTS.items() if (module or "").startswith(start)), None)
    if module and project:
        return Hit(
            message=f"{module}, the compiled part of {project[0]}, is not there: it is built by itself, from the folder {project[1]} of that project.",
            evidence=evidence,
            variant=Lacking(folder=None, of_project=project),
        )
    if module and "NameError" in evidence[0].text:
        name = built_packages.of_module(re.sub(r"_+", "-", module).lower())
    else:
        name = seen.group("package") or subject.stated(facts)
    what = module or (f"{name}.{part.lstrip('.')}" if part and name and "." not in part.lstrip(".") else part)
    owner = name or (built_packages.of_module(re.sub(r"_+", "-", module).lower()) if module else None)
    whose = f"the compiled part of {owner}" if owner else "the compiled part of a package"
    place = (seen.group("place") or "").replace("\\", "/")
    inside = bool(place) and "-packages/" not in place and "(" not in place
    folder = place.rpartition("/")[0].rpartition("/")[0] if inside else None
    end = f": Python imported the sources in {folder}" if folder else ": the package was installed without it"
    return Hit(
        message=f"{what}, {whose}, is missing{end}.",
        evidence=evidence,
        confidence=Confidence.HIGH if owner else Confidence.MEDIUM,
        variant=Lacking(
            folder=folder or None,
            package=name if name in ("spconv", "sam2") else None,
            release=(seen.group("full") or seen.group("listed")) if owner == "mmcv" else None,
        ),
    )


def _none_in_place(seen: Seen) -> Hit | None:
    """Return the hit for an optional part that is absent and was called nevertheless; None if the log shows none."""
    absent = absent_parts.told(seen.matches)
    if absent is None:
        return None
    if absent.part == absent.package.replace("-", "_"):
        message = f"{absent.package} was installed without its compiled part, or without the one for this torch's device: the file is not in its folder."
        lines = tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in absent.lines)
        return Hit(message=message, evidence=lines, variant=Lacking(folder=None))
    return Hit(
        message=f"{absent.package} is not installed, or its compiled part does not load: {absent.part}, which it brings, is None, and the program needs it.",
        evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in absent.lines),
        variant=NoneInPlace(package=absent.package),
    )


def _in_its_own_words(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Return the hit for a package that says itself that its compiled part is missing. After a mere warning the program goes on."""
    name = subject.stated(facts)
    ended = any(m.strength == "proof" for m in seen.matches)
    if name is not None and re.match(_OTHERS, name.replace("-", "_")):
        return None
    whose = f"The compiled part of {name}" if name else "The compiled part of a package"
    return Hit(
        message=f"{whose} is missing: the package was installed without it, or where no CUDA toolkit was found.",
        evidence=evidence,
        confidence=Confidence.HIGH if name and ended else Confidence.MEDIUM,
        severity=None if ended else Severity.WARNING,
        variant=Lacking(folder=None),
    )


def _of_table(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Return the hit for the table of detectron2 or mmcv beside a torch for CUDA; None where torch has no CUDA, or is not named."""
    if not isinstance(facts.torch.cuda, str):
        return None
    name = "mmcv" if seen.group("table") == "MMCV" else "detectron2"
    return Hit(
        message=f"The compiled part of {name} has no CUDA code: it was compiled where no nvcc was found, or no GPU was visible. It fails with data on the GPU.",
        evidence=tuple(e for e in evidence if "not available" in e.text),
        variant=Lacking(folder=None, only_cuda=True, package=name),
        severity=Severity.WARNING,
    )


def _without_cuda(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    """Return the hit for a package that was compiled for the processor alone."""
    owner = seen.group("owner")
    name = re.sub(r"_", "-", owner).lower() if owner else "mmcv" if seen.group("operator") else subject.stated(facts)
    whose = f"The compiled part of {name}" if name else "The compiled part of a package"
    reason = (
        "it does not load beside this torch, or was compiled without CUDA (`python -m xformers.info` says which)"
        if name == "xformers"
        else "it was compiled where no nvcc was found, or no GPU was visible"
    )
    return Hit(
        message=f"{whose} has no CUDA code that runs here: {reason}. It fails with data on the GPU."
        if name == "xformers"
        else f"{whose} has no CUDA code: {reason}. It fails with data on the GPU.",
        evidence=evidence,
        confidence=Confidence.HIGH if name else Confidence.MEDIUM,
        variant=Lacking(
            folder=None,
            only_cuda=True,
            package=name,
            release=seen.group("release") if name == "natten" else None,
            switch=seen.group("switch") if name == "xformers" else None,
        ),
        # None of its kernels was built, so what xformers says of the GPU or of the dtype beside that changes nothing.
        explains=(*MODE.explains, "gpu-arch-unsupported-by-flash-attn") if name == "xformers" else None,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, NoneInPlace):
        return unbuilt_cures.brought(facts, hit.variant.package)
    if not isinstance(hit.variant, Lacking):
        return (unbuilt_cures.of_any_package(facts),)
    if hit.variant.of_project is not None:
        return unbuilt_cures.of_project(facts, *hit.variant.of_project)
    if hit.variant.only_cuda:
        made = unbuilt_cures.with_cuda(facts, hit.variant.package, hit.variant.release)
        return made if hit.variant.switch is None else unbuilt_cures.not_asked_for(facts, hit.variant.switch, made)
    if hit.variant.release is not None and hit.variant.folder is None:
        return (unbuilt_cures.mmcv_full(facts, hit.variant.release),)
    if hit.variant.package == "sam2":
        return unbuilt_cures.sam2(facts, hit.variant.folder)
    if hit.variant.package == "spconv":
        return (unbuilt_cures.spconv(facts),)
    made = wheel_fixes.fixes(facts, "it has no compiled part")
    folder = hit.variant.folder
    if folder is None:
        return unbuilt_cures.named(facts, made)
    words = (
        f"compiles the missing part in the folder of the sources, {folder}. It needs an nvcc of the same CUDA version as the installed torch (`nvcc --version`), "
        "and some minutes. Or, if a release of the package is installed, start the program from another folder"
    )
    argv = (*commands.starting(facts), "-m", "pip", "install", "--no-build-isolation", "-e", folder)
    step = commands.by_hand(argv, words, "the package in that folder", "medium")
    return (Fix(title="Build the package in its folder", steps=(step,), verify=subject.verify(facts)),)
