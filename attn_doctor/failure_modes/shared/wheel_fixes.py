"""Give the two fixes for an installed flash-attn that does not fit, and the ABI that it should have. Pure.

The fixes are the wheel that fits, and doing without flash-attn.
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Unsure, present
from attn_doctor.failure_modes.shared.fact_queries import holds
from attn_doctor.knowledge import finder, pytorch
from attn_doctor.knowledge.wheel_key import Candidate, key_of
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step


def torch_abi(facts: Facts) -> bool:
    """Say whether torch has the new C++ ABI: by its own answer, or by the table of its releases where it was not asked."""
    if isinstance(facts.torch.cxx11_abi, bool):
        return facts.torch.cxx11_abi
    cuda = facts.torch.cuda if isinstance(facts.torch.cuda, str) else None
    return holds(pytorch.cxx11_abi(present(facts.torch.version), cuda))


def torch_abi_or_none(facts: Facts) -> bool | None:
    try:
        return torch_abi(facts)
    except Unsure:
        return None


def fixes(facts: Facts, because: str) -> tuple[Fix, ...]:
    """Return the fixes. `because`: why the installed one has to go, for the step that removes it."""
    made = []
    wheel = fitting(facts)
    if wheel is not None:
        steps = (*_removal(facts, because), _installation(facts, wheel))
        made.append(Fix(title="Install the flash-attn wheel that fits", steps=steps, verify=_verify(facts)))
    elif isinstance(facts.torch.version, Unknown):
        made.append(look_it_up(facts))
    removal = _removal(facts, f"{because}, and PyTorch's own fused attention needs no package")
    if removal:
        made.append(Fix(title="Do without flash-attn", steps=removal, verify=commands.check(facts)))
    return tuple(made)


def fitting(facts: Facts) -> Candidate | None:
    """Return the best official wheel of which every part is known to agree with this machine; None where there is none."""
    best = finder.find(key_of(facts)).candidates[:1]
    return best[0] if best and best[0].fits and best[0].filename else None


def look_it_up(facts: Facts) -> Fix:
    """Return the fix for a machine of which too little is known: how to find the finished wheel."""
    step = commands.by_hand(
        ("attn-doctor", "wheels"),
        "names the wheel for the torch, CUDA, Python and C++ ABI there: install the address that it prints with --force-reinstall",
        "nothing",
        "none",
    )
    return Fix(title="Take the flash-attn wheel that fits", steps=(step,), verify=_verify(facts))


def _installation(facts: Facts, wheel: Candidate) -> Step:
    return commands.install(
        wheel.url,
        why="built for this torch, CUDA, Python and C++ ABI: nothing is compiled",
        changes=f"flash-attn {wheel.release}",
        takes="about 250 MB",
    )


def _removal(facts: Facts, because: str) -> tuple[Step, ...]:
    if facts.flash_attention.version is None:
        return ()
    return (commands.uninstall("flash-attn", why=because),)


def _verify(facts: Facts) -> tuple[str, ...]:
    return commands.check(facts, "--goal", "flash-attn", "--no-trial")
