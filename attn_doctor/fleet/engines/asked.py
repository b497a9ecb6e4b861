"""Define the request to all nodes of a fleet."""

from __future__ import annotations

from typing import NamedTuple


class Asked(NamedTuple):
    """Hold the request to each node. `nodes`: check only these, by the names that the scheduler gives them; empty: all nodes."""

    check: tuple[str, ...] = ()  # arguments for `attn-doctor check` on each node: ("--no-trial",)
    target_from: str | None = None  # the scheduler's label that holds the path of the node's target Python
    deadline: float = 300.0  # seconds for one node
    nodes: tuple[str, ...] = ()

    @property
    def tries(self) -> bool:
        """Return whether the check runs a model. Then it needs a GPU that nobody else uses."""
        return not {"--no-trial", "--static"} & set(self.check)
