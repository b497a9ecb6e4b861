"""Give torch a RUN line of its own in a Dockerfile, before the line that builds a package which imports torch in its setup.py. Pure."""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.shared import subject
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import torch_choice
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix


def before(facts: Facts, built: Fix) -> Fix:
    """Return the fix `built` with a new title, and with a first RUN line that installs the torch of the log and its torchvision; unchanged if the log names no release of torch."""
    version = facts.torch.version
    if not isinstance(version, str):
        return built
    same = torch_choice.same(version, "torchvision")
    step = commands.install(
        *same,
        index_url=torch_choice.index_of_build(version, machine_of(facts)),
        why=f"a RUN line of its own, before the line that installs {subject.words(facts)}: pip asks each setup.py of one command before it installs any of its packages",
        changes="torch",
    )
    return msgspec.structs.replace(
        built, title="Install torch in a RUN line of its own, before that package", steps=(step, *built.steps)
    )
