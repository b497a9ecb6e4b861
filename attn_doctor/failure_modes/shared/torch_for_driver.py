"""Make the fixes that install a torch which the present NVIDIA driver can run. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.shared import old_torch_steps, torch_install, torch_steps
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import gpu, pytorch, torch_choice
from attn_doctor.knowledge.torch_choice import Choice
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Fix


def fixes(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes that install a torch that the present driver can run; none if the driver is not known.

    On a Jetson: NVIDIA's torch for its JetPack, unless it is installed.
    """
    if places.jetson(facts):
        return (
            ()
            if _of_nvidia(facts)
            else torch_steps.newest(facts, "Install NVIDIA's torch for this JetPack", reinstall=True)
        )
    found = torch_install.choice(facts)
    if not machine_of(facts).knows_driver:
        return ()
    if not isinstance(found, Choice) or found.cuda is None:
        old = old_torch_steps.for_driver(facts)
        title = f"Install a torch for CUDA {old.cuda}" if old else ""
        return (Fix(title=title, steps=old_torch_steps.steps(facts, old), verify=commands.check(facts)),) if old else ()
    unknown = isinstance(facts.torch.version, Unknown) and not found.pinned
    return torch_steps.kept_or_newest(facts, "Install a torch for CUDA {cuda}", reinstall=unknown)


def _of_nvidia(facts: Facts) -> bool:
    """Return whether the torch in the log is NVIDIA's own, which fits its JetPack."""
    return isinstance(facts.torch.version, str) and ".nv" in facts.torch.version


def needed_all_the_same(facts: Facts) -> bool:
    """Return whether this torch has no code for any known GPU, so that a newer driver does not help.

    False also if that is not known.
    """
    archs, cuda, version = facts.torch.archs, facts.torch.cuda, facts.torch.version
    if not isinstance(cuda, str):
        return False
    if isinstance(archs, Unknown) and isinstance(version, str) and not torch_choice.by_others(version):
        archs = pytorch.archs(version, cuda)  # a log names only the build; the tables list its architectures
    if not isinstance(archs, tuple) or not archs:
        return False
    cards = machine_of(facts).capabilities
    judged = [gpu.runs(archs, card, cuda=cuda) for card in cards]
    return bool(judged) and all(isinstance(answer, Answer) and not answer.yes for answer in judged)
