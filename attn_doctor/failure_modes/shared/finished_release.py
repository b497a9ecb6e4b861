"""Make the fix for a general package from PyPI that was compiled because this release has no wheel for this Python. Pure."""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name

from attn_doctor import commands
from attn_doctor.failure_modes.shared import subject
from attn_doctor.knowledge import built_packages
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.requirements import read_requirement

# The wheels of a package that is compiled against torch are for one torch each: its own failure modes and tables choose among them.
# llama-cpp-python has no wheel on PyPI at all: https://pypi.org/project/llama-cpp-python/#files
_AGAINST_TORCH = re.compile(
    r"torch|flash|cuda|triton|xformers|apex|deepspeed|mamba|causal|vllm|transformer|bitsandbytes|natten|spconv|detectron|mmcv|gptq|"
    r"exllama|llama|gguf|whisper|awq|gsplat|sgl|pointnet|minkowski",
    re.IGNORECASE,
)


def fixes(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix that installs a release with a finished wheel for this Python: the release that failed, or a newer one.

    Empty for a package that the typed command does not name, for a build from a checkout or a repository, for a package that is
    compiled against torch, and for facts without a log. Example: pandas 1.5.3 has no wheel for Python 3.12, pandas 2.1.1 has one.
    """
    name = subject.package(facts)
    if (
        facts.grade != "stated"
        or name is None
        or built_packages.row_of(name) is not None
        or _AGAINST_TORCH.search(name)
    ):
        return ()
    typed = next(
        (
            one
            for one in map(read_requirement, subject.installed_by_command(facts))
            if one and canonicalize_name(one.name) == name
        ),
        None,
    )
    if typed is None or typed.url or _forbids_wheels(facts):
        return ()
    release = subject.release(facts)
    step = commands.install(
        f"{name}>={release}" if release else name,
        only_binary=True,
        why="takes the newest release that has a finished wheel for this Python, and compiles nothing; if it says that there is none, use an older Python",
        changes=f"{name}, to a release with a wheel",
    )
    return (
        Fix(title=f"Install a {name} that has a wheel for this Python", steps=(step,), verify=subject.verify(facts)),
    )


def _forbids_wheels(facts: Facts) -> bool:
    """Return whether the user asked for a build from source: `--no-binary`."""
    return isinstance(facts.subject.command, str) and "--no-binary" in facts.subject.command
