"""Sort nodes into kinds, because only nodes of one kind are compared. Pure.

Example: an A100 among H100 is no outlier, but a machine of another kind.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from attn_doctor.fleet.flat import Difference
from attn_doctor.fleet.reading import Read

LEAST = 3  # nodes of a kind: of two that differ neither is the majority
_PARTITION = "partition"  # the label of a scheduler that says of which part of the cluster a node is
_WITHOUT_GPU = 4  # nodes without a GPU are a kind if they are at least one in so many: else they are nodes that lost it
NO_GPU = "no GPU"


def kinds(nodes: Sequence[Read]) -> dict[str, list[Read]]:
    """Return the nodes with a report, by the name of their kind, the largest kind first.

    A kind is a GPU model, an architecture and a partition, with at least three nodes. Nodes without a known GPU are a kind only if
    they are at least a quarter of all nodes. Any other node is added to the kind of its partition, or if its partition has none, to
    any kind, from which it differs in the fewest facts. If there is no kind, all nodes are compared with each other.
    """
    groups: dict[tuple[str, str, str], list[Read]] = defaultdict(list)
    for node in nodes:
        groups[(node.model, node.machine, dict(node.labels).get(_PARTITION, ""))].append(node)
    large = {key: found for key, found in groups.items() if _is_large(key, found, len(nodes))}
    if not large:
        return {_name(("", "", ""), groups, nodes): list(nodes)} if nodes else {}
    typical = {key: set(Counter(node.delta for node in found).most_common(1)[0][0]) for key, found in large.items()}
    for key, found in groups.items():
        if key in large:
            continue
        for node in found:
            large[_nearest(node, key, large, typical)].append(node)
    ordered = sorted(large.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return {_name(key, large, nodes): found for key, found in ordered}


def _is_large(key: tuple[str, str, str], found: Sequence[Read], all_nodes: int) -> bool:
    return len(found) >= LEAST and (bool(key[0]) or len(found) * _WITHOUT_GPU >= all_nodes)


def _nearest(
    node: Read,
    key: tuple[str, str, str],
    large: dict[tuple[str, str, str], list[Read]],
    typical: dict[tuple[str, str, str], set[Difference]],
) -> tuple[str, str, str]:
    mine = set(node.delta)

    def distance(other: tuple[str, str, str]) -> tuple[bool, int, int, tuple[str, str, str]]:
        return other[2] != key[2], len(mine ^ typical[other]), -len(large[other]), other

    return min(large, key=distance)


def _name(key: tuple[str, str, str], groups: dict[tuple[str, str, str], list[Read]], nodes: Sequence[Read]) -> str:
    """Return the name of a kind: its GPU; with the architecture or the partition, if another kind has the same GPU."""
    model, machine, partition = key
    if not any(key):
        models = Counter(node.model for node in nodes)
        return (models.most_common(1)[0][0] or NO_GPU) if len(models) == 1 else "all machines"
    same = [other for other in groups if other[0] == model]
    parts = [model or NO_GPU]
    if len({other[1] for other in same}) > 1:
        parts.append(machine or "unknown architecture")
    if len({other[2] for other in same}) > 1:
        parts.append(f"partition {partition or 'none'}")
    return ", ".join(parts)
