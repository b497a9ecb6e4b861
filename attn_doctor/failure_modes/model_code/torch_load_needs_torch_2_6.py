"""transformers refuses to load a .bin file with a torch before 2.6.

What it is
    torch.load before 2.6 could run code from a file even with weights_only=True (CVE-2025-32434). Since release 4.52, transformers does not
    load .bin and .pt files with such a torch. Files in safetensors are not concerned.

How it shows
    "ValueError: Due to a serious vulnerability issue in `torch.load`, even with `weights_only=True`, we now require users to upgrade torch to
    at least v2.6 in order to use the function."

Why it happens
    The model exists only as pytorch_model.bin, or the program asks for this file, or a checkpoint of a training (optimizer.pt,
    scheduler.pt) is resumed, and torch is older than 2.6.

What to do
    Install torch 2.6 or newer, with the torchvision that belongs to it. If torch has to stay: take the model in safetensors
    (use_safetensors=True), or transformers below 4.52.

How to reproduce
    There is no recipe: it needs a torch before 2.6 and a model as .bin.

References
    https://nvd.nist.gov/vuln/detail/CVE-2025-32434
    https://github.com/huggingface/transformers/issues/38464
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity

MODE = FailureMode(
    code="AD614",
    slug="torch-load-needs-torch-2-6",
    title="transformers does not load this file with a torch before 2.6",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    says="transformers does not load .bin and .pt files with a torch before 2.6, whose torch.load can run code from a file (CVE-2025-32434).",
    signs=(
        Sign(
            pattern=r"require users to upgrade torch to at least v2\.6",
            literal="upgrade torch to at least v",
            sample="ValueError: Due to a serious vulnerability issue in `torch.load`, even with `weights_only=True`, we now require users to upgrade torch "
            "to at least v2.6 in order to use the function.",
        ),
        Sign(
            pattern=r"Due to a serious vulnerability issue in `torch\.load`",
            literal="Due to a serious vulnerability issue in",
            sample="ValueError: Due to a serious vulnerability issue in `torch.load`, even with `weights_only=True`,",
        ),
    ),
)
# There is no `detect`: most models are files in safetensors.


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    safe = commands.by_hand(
        (),
        "write use_safetensors=True in from_pretrained(...), where the model has a file model.safetensors on its page; the installed torch then stays",
        "your program",
        "none",
    )
    older = commands.install(
        "transformers<4.52",
        why="loads .bin files with an old torch: only for files that you trust",
        changes="transformers",
    )
    return (
        *torch_steps.newest(facts, "Install torch 2.6 or newer", why="torch 2.6 was the first without this fault"),
        Fix(title="Take the model in safetensors", steps=(safe,), verify=verify),
        Fix(title="Install an older transformers", steps=(older,), verify=verify),
    )
