"""A program uses a name of transformers that this release of transformers does not have.

What it is
    transformers renamed functions and classes that have to do with flash-attn, or removed them. Programs that contain a copy of a model's
    code use the old names. Nothing is wrong with flash-attn.

How it shows
    "NameError: name 'is_flash_attn_available' is not defined. Did you mean: 'is_flash_attn_2_available'?"; "cannot import name
    'is_flash_attn_available' from 'transformers.utils'"; "cannot import name 'LlamaFlashAttention2' from
    'transformers.models.llama.modeling_llama'"; "cannot import name 'LLAMA_ATTENTION_CLASSES'".

Why it happens
    transformers 4.35 renamed is_flash_attn_available to is_flash_attn_2_available, and 4.38 removed the old name. transformers 4.48 has one
    class of attention for each model: LlamaFlashAttention2, LlamaSdpaAttention and the tables ..._ATTENTION_CLASSES are gone.

What to do
    Change the name in the program, or take a newer version of the program. Or install the transformers that the program was written for;
    its requirements file may name it.

How to reproduce
    There is no recipe: it takes transformers. `python -c "from transformers.utils import is_flash_attn_available"` shows it.

References
    https://github.com/huggingface/transformers/pull/26785
    https://github.com/huggingface/transformers/pull/35235
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step

_OLD = "is_flash_attn_available"
_GONE = r"[A-Z]\w{1,30}(?:FlashAttention2|SdpaAttention)|[A-Z][A-Z0-9_]{1,30}_ATTENTION_CLASSES"

MODE = FailureMode(
    code="AD328",
    slug="transformers-names-changed",
    title="A program written for another transformers",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=rf"(?:NameError: name|cannot import name) '(?P<name>{_OLD})'",
            literal=_OLD,
            sample="ImportError: cannot import name 'is_flash_attn_available' from 'transformers.utils' (/v/site-packages/transformers/utils/__init__.py)",
        ),
        Sign(
            pattern=rf"cannot import name '(?P<name>{_GONE})' from 'transformers\.",
            literal="from 'transformers.",
            sample="ImportError: cannot import name 'LlamaFlashAttention2' from 'transformers.models.llama.modeling_llama' (/v/modeling_llama.py)",
        ),
    ),
)
# There is no `detect`: no fact says which names a program uses.


class Renamed(Variant, frozen=True, kw_only=True):
    """Hold the name that the program uses, and that transformers no longer has: "is_flash_attn_available"."""

    name: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    name = seen.group("name") or ""
    now = (
        "is named is_flash_attn_2_available since transformers 4.35"
        if name == _OLD
        else "was removed in transformers 4.48"
    )
    return Hit(
        message=f"The program uses {name}, which {now}: it was written for an older transformers. Nothing is wrong with flash-attn.",
        evidence=evidence,
        variant=Renamed(name=name),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    name = hit.variant.name if isinstance(hit.variant, Renamed) else _OLD
    verify = commands.check(facts)
    last = "4.38" if name == _OLD else "4.48"
    older = commands.install(
        f"transformers<{last}",
        why="the last releases with that name; other packages there may need a newer one, which pip then prints",
        changes="transformers",
        risk="medium",
    )
    back = Fix(title=f"Install a transformers older than {last}", steps=(older,), verify=verify)
    if name != _OLD:
        return (back,)
    words = "in the folder of the program's sources: replaces the old name in each of its files"
    step: Step
    if facts.system.os == "windows":
        step = commands.by_hand(
            (), f"replace {_OLD} by is_flash_attn_2_available in the files of the program", "the program"
        )
    else:
        line = f"grep -rlw --include='*.py' {_OLD} . | xargs -r sed -i 's/\\b{_OLD}\\b/is_flash_attn_2_available/g'"
        step = commands.by_hand(("sh", "-c", line), words, "the program")
    return (Fix(title="Change the name in the program", steps=(step,), verify=verify), back)
