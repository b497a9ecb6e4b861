"""Say what is asked of every node of a fleet."""

from __future__ import annotations

from typing import NamedTuple


class Asked(NamedTuple):
    """Hold what each node is asked to do. `nodes`: only these, by the scheduler's names; empty: all of them."""

    check: tuple[str, ...] = ()  # arguments for `attn-doctor check` on each node: ("--no-trial",)
    target_from: str | None = None  # the scheduler's label that holds the path of the node's target Python
    deadline: float = 300.0  # seconds for one node
    nodes: tuple[str, ...] = ()

    @property
    def tries(self) -> bool:
        """Return whether the check runs a model, for which it needs the GPU to itself."""
        return not {"--no-trial", "--static"} & set(self.check)
