"""A package uses a name that the installed release of another package does not have.

What it is
    Two packages that were released at different times. One imports a function, a class or a module of the other, which the other release has
    not yet, or no longer. Nothing is damaged, and no CUDA is concerned.

How it shows
    "cannot import name 'cached_download' from 'huggingface_hub'"; "module 'torch' has no attribute 'xpu'"; "No module named
    'torchvision.transforms.functional_tensor'"; "`np.Inf` was removed in the NumPy 2.0 release"; "module 'PIL.Image' has no attribute
    'ANTIALIAS'"; "Descriptors cannot be created directly"; "tokenizers>=0.11.1,<0.14 is required for a normal functioning of this module, but
    found tokenizers==0.19.1"; "MMCV==2.2.0 is used but incompatible. Please install mmcv>=2.0.0rc4, <2.2.0".

Why it happens
    A requirements file without versions takes the newest release of everything, and a part of it is years old. Or one package was upgraded
    alone.

What to do
    Install the release that has the name, or a newer release of the package that uses it. Where the name is torch's, that is a newer torch.

How to reproduce
    There is no recipe: each case takes two packages. `python -c "from huggingface_hub import cached_download"` shows one with huggingface-hub
    0.26 and newer.

References
    https://github.com/huggingface/huggingface_hub/releases/tag/v0.26.0
    https://github.com/XPixelGroup/BasicSR/issues/649
    https://numpy.org/doc/stable/numpy_2_0_migration_guide.html
    https://protobuf.dev/support/migration/
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, release_cures, release_names
from attn_doctor.failure_modes.shared.release_cures import Needed
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

# Packages that are released often and use each other's names. Other failure modes report flash_attn, triton and torchvision's operators.
_OFTEN = (
    r"(?:transformers|diffusers|peft|accelerate|huggingface_hub|tokenizers|trl|timm|datasets|sentence_transformers|optimum|mmcv|mmengine|mmdet|"
    r"torchmetrics|pytorch_lightning|lightning|torchaudio|torchvision|torch|open_clip|torch_geometric|kornia|gradio|gradio_client|pydantic|vllm)"
)
_NOT_THESE = r"(?!_C|_ext|is_flash_attn|\w+FlashAttention2'|\w+SdpaAttention'|[A-Z0-9_]+_ATTENTION_CLASSES')"
_RANGE = r"(?P<range>(?:[<>=!~]=?\s?[\w.*]{1,40}(?:,\s?)?){1,8})"

MODE = FailureMode(
    code="AD341",
    slug="name-of-another-release",
    title="A package written for another release of a package that it uses",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED,),
    signs=(
        *(
            Sign(pattern=form.pattern, literal=form.literal, sample=form.sample)
            for row in release_names.ROWS
            for form in release_names.forms(row)
        ),
        *(
            Sign(pattern=form.pattern, literal=form.literal, sample=form.sample)
            for form in map(release_names.keyword_form, release_names.KEYWORDS)
        ),
        # transformers 4.48 and newer, which then works without torch: https://github.com/huggingface/transformers/blob/main/src/transformers/utils/import_utils.py
        Sign(
            pattern=r"Disabling PyTorch because PyTorch >= ?(?P<torch_floor>\d\.\d{1,2}) is required but found (?P<torch_found>\d+(?:\.\d+){1,3}(?:\+(?:cu\d{2,3}|cpu|rocm[\d.]{1,5}))?)",
            literal="Disabling PyTorch because",
            sample="Disabling PyTorch because PyTorch >= 2.4 is required but found 2.2.2+cu121",
        ),
        Sign(
            pattern=r"`np\.(?P<numpy>\w+)` was removed in the NumPy 2\.0 release",
            literal="was removed in the NumPy 2.0 release",
            sample="AttributeError: `np.float_` was removed in the NumPy 2.0 release. Use `np.float64` instead.",
        ),
        Sign(
            pattern=r"TypeError: (?P<protobuf>Descriptors cannot (?:not )?be created directly)",
            literal="be created directly",
            sample="TypeError: Descriptors cannot not be created directly.",
        ),
        Sign(
            pattern=r"'MessageFactory' object has no attribute '(?P<prototype>GetPrototype)'",
            literal="'GetPrototype'",
            sample="AttributeError: 'MessageFactory' object has no attribute 'GetPrototype'",
        ),
        Sign(
            pattern=r"incompatible Protobuf Gencode/Runtime versions when loading \S+ gencode (?P<gencode>[\d.]+?) runtime (?P<runtime>[\d.]+\d)",
            literal="Protobuf Gencode/Runtime",
            sample="VersionError: Detected incompatible Protobuf Gencode/Runtime versions when loading onnx/onnx.proto: gencode 6.31.1 runtime 5.29.5.",
        ),
        Sign(
            pattern=r"'FreeTypeFont' object has no attribute '(?P<font>getsize)'",
            literal="'FreeTypeFont' object",
            sample="AttributeError: 'FreeTypeFont' object has no attribute 'getsize'",
        ),
        Sign(
            pattern=r"'\w{1,40}Model' object has no attribute '(?P<mask>get_head_mask)'",
            literal="'get_head_mask'",
            sample="AttributeError: 'BertModel' object has no attribute 'get_head_mask'",
        ),
        Sign(
            pattern=r"module 'cv2\.dnn' has no attribute '(?P<opencv>DictValue)'|module 'cv2' has no attribute '(?P<opencv_too>gapi_wip_gst_GStreamerPipeline)'",
            literal="module 'cv2",
            sample="AttributeError: module 'cv2.dnn' has no attribute 'DictValue'",
        ),
        # transformers, tokenizers and accelerate check what they require: https://github.com/huggingface/transformers/blob/main/src/transformers/utils/versions.py
        Sign(
            pattern=rf"(?P<wanted>[A-Za-z][\w.-]{{0,60}}){_RANGE} is required for a normal functioning of this module, but found (?P<found>[\w.-]{{1,60}}==\d\w{{0,20}}(?:[.+]\d\w{{0,20}}){{0,8}})",
            literal="is required for a normal functioning of this module",
            sample="ImportError: huggingface-hub>=0.34.0,<1.0 is required for a normal functioning of this module, but found huggingface-hub==1.1.2.",
        ),
        Sign(
            pattern=rf"(?P<mm>MM\w{{2,20}}|mm\w{{2,20}})==(?P<have>\S+) is used but incompatible\. Please install (?P<wanted>mm[\w-]{{2,20}}){_RANGE}",
            literal="is used but incompatible. Please install",
            sample="AssertionError: MMCV==2.2.0 is used but incompatible. Please install mmcv>=2.0.0rc4, <2.2.0.",
        ),
        Sign(
            pattern=r"Found an incompatible version of (?P<wanted>[\w-]+)\. Found version (?P<have>[\w.+]+), but only versions (?:above|newer than) (?P<floor>\d[\w.]*?)(?= are|$)",
            literal="Found an incompatible version of ",
            sample="ImportError: Found an incompatible version of auto-gptq. Found version 0.4.2, but only versions above 0.4.99 are supported",
        ),
        # A name that the table lacks. The file of the module shows that it was installed.
        Sign(
            pattern=rf"cannot import name '{_NOT_THESE}(?P<unknown>\w+)' from '(?P<module>{_OFTEN}(?:\.[\w.]+)?)' \([^)]*-packages[\\/]",
            literal="-packages",
            sample="ImportError: cannot import name 'EncoderDecoderCache' from 'transformers' (/v/lib/python3.10/site-packages/transformers/__init__.py)",
            strength="hint",
        ),
    ),
)
# There is no `detect`: no fact says which names a package uses.


class Lost(Variant, frozen=True, kw_only=True):
    """Hold what must change (`needed`: the package and its releases that fit), and the name that was missing in `module`."""

    needed: Needed
    name: str | None = None
    module: str | None = None


class Unlisted(Variant, frozen=True, kw_only=True):
    """Hold a missing name that shared/release_names.py does not list, and the module that lacks it."""

    name: str
    module: str


class Opencv(Variant, frozen=True):
    """Mark the files of two OpenCV packages in one folder."""


# The error that names no release -> the package, its releases that fit, and the message.
_FIXED = {
    "protobuf": ("protobuf", "<3.21", "The installed protobuf is newer than the code that protoc made for a package."),
    "prototype": ("protobuf", "<6", "A package uses GetPrototype, which protobuf 6 no longer has."),
    "font": ("pillow", "<10", "The program uses getsize of a font, which Pillow 10 no longer has."),
    "mask": ("transformers", "<5", "The program uses get_head_mask of a model, which transformers 5 no longer has."),
}


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    for group, (package, has, message) in _FIXED.items():
        if seen.group(group):
            return Hit(message=message, evidence=evidence, variant=Lost(needed=Needed(package, has)))
    if seen.group("opencv") or seen.group("opencv_too"):
        message = (
            "The files of two OpenCV packages are mixed in the folder cv2: each of the four packages writes into it."
        )
        return Hit(message=message, evidence=evidence, variant=Opencv())
    if (numpy := seen.group("numpy")) is not None:
        message = f"The code uses np.{numpy}, which NumPy 2.0 removed: it was written for NumPy 1."
        return Hit(message=message, evidence=evidence, variant=Lost(needed=Needed("numpy", "<2"), name=numpy))
    if (gencode := seen.group("gencode")) is not None:
        message = f"A package contains code that protoc {gencode} made, and the installed protobuf is {seen.group('runtime')}: it must not be older."
        return Hit(message=message, evidence=evidence, variant=Lost(needed=Needed("protobuf", f">={gencode}")))
    if (wanted := seen.group("wanted")) is not None:
        return _demanded(seen, evidence, wanted)
    if (floor := seen.group("torch_floor")) is not None:
        message = f"This transformers needs torch {floor} or newer, and switches torch {seen.group('torch_found')} off."
        return Hit(message=message, evidence=evidence, variant=Lost(needed=Needed("torch", f">={floor}")))
    if seen.group("keyword") is not None:
        return _argument(facts, seen, evidence)
    module, name = seen.group("of") or seen.group("of_it"), seen.group("moved") or seen.group("lacks")
    if module is not None and name is not None:
        return _listed(facts, seen, evidence, module, name)
    module, name = seen.group("module"), seen.group("unknown")
    if module is None or name is None:
        return None
    message = (
        f"{_user(facts)} imports {name} from {module}, and the installed {module.partition('.')[0]} has no such name: the "
        "releases do not fit together."
    )
    return Hit(
        message=message,
        evidence=evidence,
        variant=Unlisted(name=name, module=module),
        confidence=Confidence.MEDIUM,
    )


def _argument(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    row = next((row for m in seen.matches if "keyword" in m.groups and (row := release_names.keyword_of(m.text))), None)
    if row is None:
        return None
    message = (
        f"{_user(facts)} passes {row.argument} to {row.function}, which only {row.package}{row.has} takes: it was written for another {row.package} "
        "than the installed one."
    )
    return Hit(message=message, evidence=evidence, variant=Lost(needed=Needed(row.package, row.has), name=row.argument))


def _demanded(seen: Seen, evidence: tuple[Evidence, ...], wanted: str) -> Hit:
    """Return the hit for an error that names the releases which a package accepts: "tokenizers>=0.14,<0.19 is required".

    `wanted`: the package of which another release is installed, "tokenizers".
    """
    floor, have = seen.group("floor"), seen.group("have") or (seen.group("found") or "").partition("==")[2]
    has = f">{floor}" if floor else re.sub(r"\s", "", seen.group("range") or "").rstrip(".,")
    message = f"{wanted} {have} is installed, and the package that was imported takes only {wanted}{has}."
    return Hit(message=message, evidence=evidence, variant=Lost(needed=Needed(wanted.lower(), has)))


def _listed(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...], module: str, name: str) -> Hit | None:
    whole = any("No module named" in m.text for m in seen.matches if m.strength == "proof")
    row = release_names.row_of(module, name, whole=whole)
    if row is None:
        return None
    has = f"{row.package}{row.has}"
    message = (
        f"{_user(facts)} uses {module}.{name}, which only {has} has: it was written for another {row.package} than the "
        "installed one."
    )
    needed = Needed(row.package, row.has)
    return Hit(message=message, evidence=evidence, variant=Lost(needed=needed, name=name, module=module))


def _user(facts: Facts) -> str:
    return release_cures.caller(facts, None) or "The program"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Opencv):
        return (release_cures.one_opencv(facts),)
    if isinstance(hit.variant, Unlisted):
        return release_cures.unlisted(facts, hit.variant.module, hit.variant.name)
    if isinstance(hit.variant, Lost):
        return release_cures.listed(facts, hit.variant.needed, hit.variant.module, hit.variant.name)
    return _examples(facts)


def _examples(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for the page, where the packages are not known, with examples."""
    newer = commands.by_hand(
        (*commands.starting(facts), "-m", "pip", "install", "--upgrade", "diffusers"),
        "diffusers is an example: write the package whose file, in the traceback, imports the name",
        "that package",
    )
    older = commands.by_hand(
        (*commands.starting(facts), "-m", "pip", "install", "huggingface-hub<0.26"),
        "an example: huggingface-hub 0.26 removed cached_download. `attn-doctor diagnose LOG` names the package and the release for your error",
        "that package",
    )
    verify = commands.check(facts)
    return (
        Fix(title="Upgrade the package that uses the name", steps=(newer,), verify=verify),
        Fix(title="Install a release that has the name", steps=(older,), verify=verify),
    )
