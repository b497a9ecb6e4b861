"""Report a variable or folder that makes an import fail: attn-doctor repeated the import without it, and the import worked."""

from __future__ import annotations

from collections.abc import Iterator

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.model.facts import Facts, Fault
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried

# Failures that such an import may show, and that disappear without the variable.
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
    """Return the hit for the first module whose import failed and worked when attn-doctor repeated it without one of `names`.

    `names`: "PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "user site". If the import worked only without several settings together, the
    first of them must be in `names`. None if there is no such module, or if no import was tried.
    """
    for path, module, fault, without in _tried_again(facts):
        left_out = without.split(" and ")
        if left_out[0] not in names:
            continue
        named = f"the {without}" if without == "user site" else without
        died = message(fault) if fault else "it fails"
        return Hit(
            message=f"Importing {module} fails with {named} ({died}) and works without {named}: because of {named}, other files are found before the files of the environment.",
            evidence=(fact(facts, path, f"importing {module}: {died}"), *_value(facts, left_out)),
            certainty=Certainty.OBSERVED,
            severity=Severity.ERROR,
            explains=CONSEQUENCES,
        )
    return None


def cure(facts: Facts, names: tuple[str, ...]) -> Fix | None:
    """Return the fix that unsets the settings without which an import worked; None if `stands_in_front` finds none in `names`.

    It installs nothing: what else is wrong shows when the environment is examined again.
    """
    for _, _, _, without in _tried_again(facts):
        left_out = without.split(" and ")
        if left_out[0] in names:
            why = "attn-doctor repeated the import without this setting, and the import worked"
            steps = tuple(
                commands.variable("PYTHONNOUSERSITE", "1", why)
                if name == "user site"
                else commands.variable(name, None, why)
                for name in left_out
            )
            return Fix(title=f"Leave {' and '.join(left_out)} out", steps=steps, verify=commands.check(facts))
    return None


def _tried_again(facts: Facts) -> Iterator[tuple[str, str, Fault | None, str]]:
    """Yield, for each repeated import that worked: (path of the fact, module, its first fault, the settings without which it worked).

    Example of the settings: "PYTHONPATH", "PYTHONPATH and user site".
    """
    if isinstance(facts.torch.works_without, str):
        yield "torch.importable", "torch", facts.torch.fault, facts.torch.works_without
    for index, attempt in enumerate(tried(facts)):
        if isinstance(attempt.works_without, str):
            yield f"imports.{index}.ok", attempt.module, attempt.fault, attempt.works_without


def _value(facts: Facts, names: list[str]) -> Iterator[Evidence]:
    for index, variable in enumerate(facts.environment if isinstance(facts.environment, tuple) else ()):
        if variable.name in names:
            yield fact(facts, f"environment.{index}.value", f"{variable.name}={variable.value}")
