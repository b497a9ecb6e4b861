"""Recognise a program that calls flash-attn by its name: to remove the package would end it with an ImportError, so its own switch comes first. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

SIGNS = (
    # CMT, StreamPETR and their kin import flash_attn at the top of attention.py, and choose the class in the configuration.
    # https://github.com/junjie18/CMT/issues/9, https://github.com/exiawsh/StreamPETR/issues/42
    Sign(
        pattern=r"File \"(?P<petr>[^\"\n]{0,200}?/?projects)/mmdet3d_plugin/[^\"\n]{1,120}(?:attention|petr_transformer)\.py\"",
        literal="mmdet3d_plugin/",
        sample='  File "/code/StreamPETR/projects/mmdet3d_plugin/models/utils/attention.py", line 74, in forward',
        strength="context",
    ),
    # The line of a program's own code. ultralytics and its forks import flash_attn in a `try`: there the package can go.
    Sign(
        pattern=r"^\s*(?:[\w., ]{1,60} = |return |[\w.]{1,40}\()?(?P<calls>flash_attn_(?:\w{1,40}_)?func)\(",
        literal="flash_attn_",
        sample="    output = flash_attn_varlen_kvpacked_func(",
        strength="context",
    ),
    Sign(
        pattern=r"[\\/](?P<library>transformers|transformers_modules)[\\/]\w",
        literal="ransformers",
        sample='  File "/v/lib/python3.10/site-packages/transformers/models/llama/modeling_llama.py", line 525, in forward',
        strength="context",
    ),
    Sign(
        pattern=r"[\\/](?P<library>ultralytics)[\\/]nn[\\/]",
        literal="ultralytics",
        sample='  File "/v/lib/python3.10/site-packages/ultralytics/nn/modules/block.py", line 1200, in forward',
        strength="context",
    ),
)


def of(seen: Seen) -> str | None:
    """Return who calls flash-attn: "transformers", "code" (the program's own code), or the folder "…/projects" of such a detector; None if not known."""
    if (folder := seen.group("petr")) is not None:
        return folder
    libraries = {m.groups["library"] for m in seen.matches if "library" in m.groups}
    if "ultralytics" in libraries:
        return None
    if libraries:
        return "transformers"
    return "code" if seen.group("calls") else None


def fixes(facts: Facts, caller: str) -> tuple[Fix, ...]:
    """Return the fix: the switch of the program that calls flash-attn."""
    verify = commands.check(facts)
    if caller == "transformers":
        # https://huggingface.co/docs/transformers/attention_interface
        words = (
            'give the call of from_pretrained that loads the model the argument attn_implementation="sdpa" in place of "flash_attention_2" (a program may name it --attn_implementation '
            "or use_flash_attn; transformers before 4.36: leave use_flash_attention_2=True out). flash-attn can stay installed"
        )
        step = commands.by_hand((), words, "the settings of the program", "none")
        return (Fix(title="Let transformers use PyTorch's own attention", steps=(step,), verify=verify),)
    if caller != "code":
        line = f"grep -rl PETRMultiheadFlashAttention {commands.quoted((caller + '/configs',))} | xargs -r sed -i 's/PETRMultiheadFlashAttention/PETRMultiheadAttention/g'"
        step = commands.by_hand(
            ("sh", "-c", line),
            "the same attention by torch.nn.MultiheadAttention, which runs on every GPU and needs more memory; flash-attn stays installed, because the code imports it",
            "the configuration files of the project",
        )
        return (Fix(title="Choose the attention without flash-attn", steps=(step,), verify=verify),)
    windows = facts.system.os == "windows"
    look = commands.by_hand(
        ("findstr", "/s", "/n", "/i", "flash", "*.py", "*.yaml", "*.json")
        if windows
        else (
            "grep",
            "-rniE",
            "flash_?-?attn|flash_?attention",
            "--include=*.py",
            "--include=*.y*ml",
            "--include=*.json",
            ".",
        ),
        "in the folder of the program: shows the option or the class that chooses flash-attn (use_flash_attn, attn_type, a class with Flash in its name). Choose the other one",
        "nothing",
        "none",
    )
    own = commands.by_hand(
        (),
        "if there is no other: replace the call by torch.nn.functional.scaled_dot_product_attention (torch 2.0 and newer; it takes batch, heads, length, width, flash-attn takes "
        "batch, length, heads, width). Do not remove flash-attn while the code imports it",
        "the code of the program",
    )
    return (Fix(title="Switch flash-attn off in the program", steps=(look, own), verify=verify),)
