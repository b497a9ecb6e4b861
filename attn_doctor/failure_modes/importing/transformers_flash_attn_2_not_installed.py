"""transformers was told to use flash-attn, but importing flash_attn fails in this Python.

What it is
    A program asks transformers for attn_implementation="flash_attention_2". transformers looks for flash_attn in the Python
    environment that runs it. It stops if flash_attn is missing or too old, or if there is no usable GPU.

How it shows
    "FlashAttention2 has been toggled on, but it cannot be used due to the following error: the package flash_attn seems to be
    not installed" (transformers 5: "the package for FlashAttention2 doesn't seem to be installed"); "This modeling file
    requires the following packages that were not found in your environment: flash_attn".

Why it happens
    flash-attn is in another environment, or was never installed, or its installation failed. transformers also prints "not
    installed" if flash-attn is installed and importing it fails: the lines above show the reason, or `python -c "import flash_attn"`
    shows it.

What to do
    Set attn_implementation="sdpa": PyTorch's own fused attention needs no package. Or install the flash-attn wheel that fits.

How to reproduce
    `attn-doctor reproduce transformers-flash-attn-2-not-installed` makes a tiny model of transformers that asks for
    flash_attention_2 where flash-attn is not installed. It downloads 25 MB, and a CPU build of torch (200 MB) where the
    target's will not do.

References
    https://huggingface.co/docs/transformers/perf_infer_gpu_one
    https://github.com/Dao-AILab/flash-attention/issues/990
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Packages, Recipe, Torch
from attn_doctor.failure_modes.shared import wheel_fixes, wheel_without_compiling
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD310",
    slug="transformers-flash-attn-2-not-installed",
    title="transformers finds no flash-attn",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"the package for FlashAttention ?\d doesn't seem to be installed",
            literal="the package for FlashAttention",
            sample="ImportError: FlashAttention2 has been toggled on, but it cannot be used due to the following error: the package for "
            "FlashAttention2 doesn't seem to be installed.",
        ),
        Sign(
            pattern=r"cannot be used due to the following error: Flash ?Attention ?\d requires at least version",
            literal=" requires at least version",
            sample="ImportError: FlashAttention2 has been toggled on, but it cannot be used due to the following error: FlashAttention2 "
            "requires at least version `2.3.3`.",
        ),
        Sign(
            pattern=r"the package flash_attn(?:_?[23])? seems to be not installed",
            literal="the package flash_attn",
            sample="ImportError: FlashAttention2 has been toggled on, but it cannot be used due to the following error: the package "
            "flash_attn seems to be not installed.",
        ),
        # The check of the imports in a model's own file, which attn_implementation does not change.
        # https://github.com/huggingface/transformers/blob/main/src/transformers/dynamic_module_utils.py (check_imports)
        Sign(
            pattern=r"requires the following packages that were not found in your environment:.{0,120}\b(?P<imported>flash_attn)",
            literal="not found in your environment:",
            sample="ImportError: This modeling file requires the following packages that were not found in your environment: "
            "flash_attn. Run `pip install flash_attn`",
        ),
        Sign(
            pattern=r"Flash Attention 2(?:\.0)? is not available\.? ?(?!on CPU)(?:Please refer|$)|FlashAttention2? is not available\.? Please",
            literal=" is not available",
            sample="ImportError: Flash Attention 2 is not available. Please refer to the documentation of https://github.com/Dao-AILab/"
            "flash-attention for installing it.",
        ),
        Sign(
            pattern=r"(?P<raised>Error: |^\s*)?No module named '?flash_attn'?(?![\w.'])",
            literal="No module named",
            sample="ModuleNotFoundError: No module named 'flash_attn'",
        ),
    ),
    recipe=Recipe(
        does="makes a tiny model of transformers that asks for flash_attention_2 where flash-attn is not installed",
        of=(Torch(), Packages(requirements=("transformers",), megabytes=25)),
        run=(
            (
                "{python}",
                "-c",
                "import transformers as t; t.AutoModelForCausalLM.from_config(t.LlamaConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=8), attn_implementation='flash_attention_2')",
            ),
        ),
        shows="FlashAttention ?2",
        seconds=30,
    ),
)
# There is no `detect`: a missing flash-attn is a failure only if a program needs it, and the facts do not show what programs need.


class Imported(Variant, frozen=True):
    """Mark the case that the file of a model imports flash_attn, so that transformers loads nothing without it."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    asked = any("No module named" not in m.text for m in seen.matches)
    if not asked and not any("raised" in m.groups for m in seen.matches):
        return Hit(
            message="A program prints that flash_attn is not installed, and continues.",
            evidence=evidence,
            severity=Severity.INFO,
        )
    if seen.group("imported"):
        return Hit(
            message="The model's own file imports flash_attn, and flash_attn is not installed in the Python that ran: transformers checks that before it "
            "loads the model, whatever attention is chosen.",
            evidence=evidence,
            variant=Imported(),
        )
    message = (
        "transformers was told to use flash_attention_2, and found no flash_attn that imports."
        if asked
        else "A program imports flash_attn, and flash_attn is not installed in the Python environment of the program."
    )
    return Hit(
        message=message,
        evidence=evidence,
        confidence=Confidence.HIGH if asked else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Imported):
        return _of_the_models_file(facts)
    step = commands.by_hand(
        (),
        'write attn_implementation="sdpa" in the call that loads the model',
        "the program that loads the model",
        "none",
    )
    use = Fix(title="Use PyTorch's own fused attention", steps=(step,), verify=commands.check(facts))
    because = "transformers did not accept the flash-attn that is installed"
    wheel = wheel_fixes.flash_attn_fixes(facts, because) if wheel_fixes.fitting(facts) else ()
    return (use, *wheel[:1])


def _of_the_models_file(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a model whose file imports flash_attn: a wheel of it, or the import taken out.

    https://huggingface.co/microsoft/Florence-2-base/discussions/4
    """
    wheel = wheel_without_compiling.fixes(facts) or (wheel_fixes.look_it_up(facts),)
    words = (
        "where the program loads the model: write `from unittest.mock import patch` and `from transformers.dynamic_module_utils import get_imports`, then load "
        'it inside `with patch("transformers.dynamic_module_utils.get_imports", lambda file: [name for name in get_imports(file) if name != '
        '"flash_attn"]):`, with attn_implementation="sdpa". A node of ComfyUI may have a newer version that does so'
    )
    without = commands.by_hand((), words, "the program that loads the model", "none")
    plain = Fix(title="Load the model without that import", steps=(without,), verify=commands.check(facts))
    return (plain,) if facts.system.os == "darwin" else (*wheel[:1], plain)
