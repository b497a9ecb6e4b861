"""Recognise a torchvision whose library for images (image.so, on Windows image.pyd) was not loaded, and make the fix for it. Pure.

torchvision warns when the library does not load ("Failed to load image Python extension"), and fails only when a program reads an image:
https://github.com/pytorch/vision/issues/7146 (conda on a Mac), https://github.com/pytorch/vision/issues/8889 (a conda package that asks for another libjpeg),
https://github.com/Comfy-Org/ComfyUI/issues/2775 (an old torchvision beside a new torch), https://github.com/open-ce/open-ce/issues/221 (compiled without libjpeg).
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

SIGNS = (
    Sign(
        pattern=r"No such operator image::(?P<image>\w{4,40})",
        literal="No such operator image::",
        sample="RuntimeError: No such operator image::decode_jpeg",
    ),
    Sign(
        pattern=r"'_OpNamespace' (?:'image' )?object has no attribute '(?P<image_too>(?:de|en)code_\w{3,12}|(?:read|write)_file)'",
        literal="'_OpNamespace' ",
        sample="AttributeError: '_OpNamespace' 'image' object has no attribute 'decode_image'",
    ),
    Sign(
        pattern=r"torchvision not compiled with (?P<without>lib(?:jpeg|png)\w*) support",
        literal="torchvision not compiled with ",
        sample="RuntimeError: decodeJPEG: torchvision not compiled with libjpeg support",
    ),
)


def message(said: dict[str, str]) -> str | None:
    """Return what happened; None if none of SIGNS matched. `said`: the named groups of the matches."""
    if "without" in said:
        return f"torchvision was compiled without {said['without']}, and does not read such images."
    operator = said.get("image") or said.get("image_too")
    if operator is None:
        return None
    return (
        f"torchvision has no operator {operator}: its library for images was not loaded. It was built for another torch, or libjpeg or libpng, which it needs, "
        "is not there."
    )


def pillow(facts: Facts) -> Fix:
    """Return the fix that reads images with Pillow, in place of torchvision's library."""
    words = (
        "in the program: torchvision.transforms.functional.pil_to_tensor(PIL.Image.open(path)) in place of torchvision.io.read_image(path) or decode_image: Pillow "
        "reads the image"
    )
    step = commands.by_hand((), words, "the program", "none")
    return Fix(title="Read images with Pillow", steps=(step,), verify=commands.check(facts))
