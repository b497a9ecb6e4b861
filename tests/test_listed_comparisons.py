"""A text that the code compares with a listed field is on the field's list: mypy checks `==`, but neither `in (...)` nor a typo there."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import attn_doctor

PACKAGE = Path(attn_doctor.__file__).parent
SOURCES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_bytes()) for path in sorted(PACKAGE.rglob("*.py"))}


def literal(node: ast.AST) -> frozenset[str]:
    """Return the texts of `Literal["a", "b"]`; nothing for any other expression."""
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
        return frozenset(
            one.value for one in ast.walk(node.slice) if isinstance(one, ast.Constant) and isinstance(one.value, str)
        )
    return frozenset()


def listed() -> dict[str, frozenset[str]]:
    """Return field -> the texts of all its lists, for each name that no class gives to a field without a list."""
    named = {
        node.targets[0].id: literal(node.value)
        for tree in SOURCES.values()
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and literal(node.value)
    }
    found: dict[str, set[frozenset[str]]] = defaultdict(set)
    for tree in SOURCES.values():
        for record in ast.walk(tree):
            if isinstance(record, ast.ClassDef):
                for field in record.body:
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                        parts = list(ast.walk(field.annotation))
                        texts = [literal(one) or named.get(getattr(one, "id", ""), frozenset()) for one in parts]
                        found[field.target.id].add(frozenset().union(*texts))
    return {name: frozenset().union(*lists) for name, lists in found.items() if frozenset() not in lists}


def compared(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Yield line, field and text of each `x.field in ("a", "b")`, `not in`, `==` and `!=`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute):
            right = node.comparators[0]
            for one in right.elts if isinstance(right, (ast.Tuple, ast.Set, ast.List)) else [right]:
                if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value:
                    if isinstance(node.ops[0], (ast.In, ast.NotIn)) and one is right:
                        continue  # a part of a text
                    yield node.lineno, node.left.attr, one.value


def test_every_compared_text_is_on_the_list_of_its_field():
    lists = listed()
    wrong, seen = [], 0
    for path, tree in SOURCES.items():
        for line, field, text in compared(tree):
            if field in lists:
                seen += 1
                if text not in lists[field]:
                    wrong.append(f"{path}:{line}: {field} is never {text!r}")
    assert not wrong
    assert seen > 10


def test_a_typo_in_a_group_is_seen():
    assert listed()["status"] == {"ok", "wrong", "other-kernel", "ruled-out", "failed", "timeout", "out-of-memory"}
    assert list(compared(ast.parse('a.status in ("ok", "timeuot")'))) == [(1, "status", "ok"), (1, "status", "timeuot")]
    assert list(compared(ast.parse('x.status not in {"failde"}'))) == [(1, "status", "failde")]
