from __future__ import annotations

from collections.abc import Callable, Iterator

from attn_doctor.fleet.engines.asked import Asked
from attn_doctor.model.fleet import NodeAnswer


def answers(where: str, asked: Asked, say: Callable[[str], None]) -> Iterator[NodeAnswer]:
    raise NotImplementedError
