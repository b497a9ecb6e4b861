"""Report a variable or folder that keeps a module from importing: without it, the module was seen to import."""

from __future__ import annotations

from collections.abc import Iterator

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.model.facts import Facts, Fault
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried

# Other failures that such an import may show: without the variable none of them is there.
CONSEQUENCES = (
    "abi-mismatch-cxx11",
    "abi-mismatch-torch-version",
    "cuda-init-error",
    "environment-pollution",
    "flash-attn-stub-namespace",
    "glibcxx-too-old",
    "illegal-instruction",
    "import-hang",
    "ld-library-path-shadowing",
    "libcudart-missing",
    "libgl-missing",
    "mkl-does-not-fit",
    "model-not-built",
    "no-kernel-image",
    "numpy-abi",
    "numpy-missing-or-old",
    "requirements-missing",
    "segfault",
    "torch-install-broken",
    "torch-missing",
    "torchvision-mismatch",
    "transformers-flash-attn-2-not-installed",
    "triton-missing",
    "triton-version-mismatch",
    "ultralytics-broken",
    "yolo12-flash-not-used",
)


def stands_in_front(facts: Facts, names: tuple[str, ...]) -> Hit | None:
    """Return the finding that a module imports once one of `names` is left out ("PYTHONPATH", "LD_LIBRARY_PATH", "user site").

    Where only several of them together helped, the first of them decides whose finding it is.
    """
    for path, module, fault, without in _tried_again(facts):
        left_out = without.split(" and ")
        if left_out[0] not in names:
            continue
        named = f"the {without}" if without == "user site" else without
        died = message(fault) if fault else "it fails"
        return Hit(
            message=f"{module} imports without {named}, and not with it ({died}): {named} puts something in front of the environment.",
            evidence=(fact(facts, path, f"importing {module}: {died}"), *_value(facts, left_out)),
            certainty=Certainty.OBSERVED,
            severity=Severity.ERROR,
            explains=CONSEQUENCES,
        )
    return None


def cure(facts: Facts, names: tuple[str, ...]) -> Fix | None:
    """Return the fix that leaves out the harmful variables and then examines again: nothing is installed before that."""
    for _, _, _, without in _tried_again(facts):
        left_out = without.split(" and ")
        if left_out[0] in names:
            why = "with it left out the import was seen to work"
            steps = tuple(
                commands.variable("PYTHONNOUSERSITE", "1", why)
                if name == "user site"
                else commands.variable(name, None, why)
                for name in left_out
            )
            return Fix(title=f"Leave {' and '.join(left_out)} out", steps=steps, verify=commands.check(facts))
    return None


def _tried_again(facts: Facts) -> Iterator[tuple[str, str, Fault | None, str]]:
    """Yield (path of the fact, module, how it failed, what was left out when it worked)."""
    if isinstance(facts.torch.works_without, str):
        yield "torch.importable", "torch", facts.torch.fault, facts.torch.works_without
    for index, attempt in enumerate(tried(facts)):
        if isinstance(attempt.works_without, str):
            yield f"imports.{index}.ok", attempt.module, attempt.fault, attempt.works_without


def _value(facts: Facts, names: list[str]) -> Iterator[Evidence]:
    for index, variable in enumerate(facts.environment if isinstance(facts.environment, tuple) else ()):
        if variable.name in names:
            yield fact(facts, f"environment.{index}.value", f"{variable.name}={variable.value}")
