"""Run `attn-doctor check` on many machines through the scheduler of the cluster.

Other packages call only `answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, get_args

from attn_doctor.errors import Refused
from attn_doctor.fleet.engines.asked import Asked
from attn_doctor.model.fleet import NodeAnswer

__all__ = ["SPELLINGS", "Asked", "Engine", "answers", "named"]

Engine = Literal["ray", "slurm", "kubernetes", "ssh"]
SPELLINGS = (
    "ray[:ADDRESS], slurm[:PARTITION], kubernetes[:NAMESPACE][@IMAGE], or ssh:HOSTS (names with commas between them, ranges "
    "such as gpu[01-04], or @FILE with a host a line)"
)


def answers(on: str, asked: Asked, say: Callable[[str], None]) -> Iterator[NodeAnswer]:
    """Yield the answer of each node of the engine `on`, as soon as it comes. The order is that of the answers.

    `on`: one of SPELLINGS, "slurm:gpu". `say` gets sentences about the progress. A node without a report has an answer too: how its
    check ended. Raises Refused for another spelling, a missing extra, and a scheduler without such nodes; NotExamined for a missing
    program, and for a scheduler that does not answer.
    """
    engine, rest = named(on)
    if engine == "ray":
        from attn_doctor.fleet.engines.ray import answers as begun
    elif engine == "slurm":
        from attn_doctor.fleet.engines.slurm import answers as begun
    elif engine == "kubernetes":
        from attn_doctor.fleet.engines.kubernetes import answers as begun
    elif engine == "ssh":
        from attn_doctor.fleet.engines.ssh import answers as begun
    else:
        raise Refused(f"--on {on}: no such engine; it is one of {SPELLINGS}")
    return begun(rest, asked, say)


def named(on: str) -> tuple[Engine | None, str]:
    """Return the engine of a spelling, and the text after its colon: ("slurm", "gpu") for "slurm:gpu". The engine is None for an unknown word."""
    word, _, rest = on.partition(":")
    engine: Engine | None = next((one for one in get_args(Engine) if one == word), None)
    return engine, rest
