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


def free_text(annotation: ast.AST) -> bool:
    """Return whether a field may hold a text that is on no list: `str | None`, but neither `int` nor `tuple[str, ...]`."""
    if isinstance(annotation, ast.BinOp):
        return free_text(annotation.left) or free_text(annotation.right)
    if isinstance(annotation, ast.Subscript):
        return ast.unparse(annotation.value) == "Stated" and free_text(annotation.slice)
    return ast.unparse(annotation) in ("str", "Text", "object", "Any")


def fields(record: ast.ClassDef) -> Iterator[tuple[str, ast.AST]]:
    """Yield the name and the type of each field and property of a class."""
    for part in record.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            yield part.target.id, part.annotation
        elif isinstance(part, ast.FunctionDef) and part.returns and part.decorator_list:
            yield part.name, part.returns  # a property


def listed() -> dict[str, frozenset[str]]:
    """Return field -> the texts of all its lists, for each name that no class gives to a field of free text."""
    named: dict[str, frozenset[str]] = {}  # two modules may give one name to two lists
    for tree in SOURCES.values():
        for node in ast.walk(tree):  # also below `if TYPE_CHECKING`
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and literal(node.value):
                name = node.targets[0].id
                named[name] = named.get(name, frozenset()) | literal(node.value)
    found: dict[str, set[frozenset[str]]] = defaultdict(set)
    free: set[str] = set()
    for tree in SOURCES.values():
        for record in ast.walk(tree):
            if isinstance(record, ast.ClassDef):
                for field, annotation in fields(record):
                    texts = [
                        literal(one) or named.get(getattr(one, "id", ""), frozenset()) for one in ast.walk(annotation)
                    ]
                    found[field].add(frozenset().union(*texts))
                    free |= {field} if free_text(annotation) else set()
    together = {name: frozenset().union(*lists) for name, lists in found.items() if name not in free}
    return {name: texts for name, texts in together.items() if texts}


def compared(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Yield line, field and text of each `x.field in ("a", "b")`, `not in`, `==`, `!=`, `{"a": 1}[x.field]` and `{"a": 1}.get(x.field)`."""
    for node in ast.walk(tree):
        table, key = None, None
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
        ):
            table, key = node.func.value, node.args[0]
        elif isinstance(node, ast.Subscript):
            table, key = node.value, node.slice
        if isinstance(table, ast.Dict) and isinstance(key, ast.Attribute):
            for one in table.keys:
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    yield node.lineno, key.attr, one.value
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
    assert seen > 400


def test_a_typo_in_a_group_is_seen():
    assert listed()["status"] == {"ok", "wrong", "other-kernel", "ruled-out", "failed", "timeout", "out-of-memory"}
    assert list(compared(ast.parse('a.status in ("ok", "timeuot")'))) == [(1, "status", "ok"), (1, "status", "timeuot")]
    assert list(compared(ast.parse('x.status not in {"failde"}'))) == [(1, "status", "failde")]
    assert list(compared(ast.parse('{"ok": 1, "failde": 2}.get(x.status)'))) == [
        (1, "status", "ok"),
        (1, "status", "failde"),
    ]
    assert list(compared(ast.parse('{"failde": 2}[x.status]'))) == [(1, "status", "failde")]


def test_the_names_that_are_compared_most_are_checked():
    assert {"os", "kind", "wheels"} <= listed().keys()
