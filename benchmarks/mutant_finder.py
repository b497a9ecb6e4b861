"""Finds the mutants of a file: each changes one condition, comparison, number, result or argument."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
# Numbers that `reproduce` only says before it begins: about how long it takes, and how much it downloads. They are not changed.
WORDS = {"Recipe": ("seconds", "downloads"), "Packages": ("megabytes",)}


@dataclass(frozen=True)
class Mutant:
    path: Path  # below the root
    line: int
    end_line: int
    start: int  # bytes of the file
    end: int
    new: str
    what: str


class Finder(ast.NodeVisitor):
    """Collects every mutant of a file."""

    def __init__(self, path: Path, source: bytes) -> None:
        self.path, self.source, self.found = path, source, list[Mutant]()
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.optional = ""  # what stands for nothing, where the function being read returns something

    def span(self, node: ast.AST) -> tuple[int, int]:
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.source[start:end].decode()

    def add(self, node: ast.AST, new: str, what: str, span: tuple[int, int] | None = None) -> None:
        start, end = span or self.span(node)
        self.found.append(Mutant(self.path, node.lineno, node.end_lineno, start, end, new, what))

    def condition(self, test: ast.expr) -> None:
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return  # dropping the `not` is the same change
        if isinstance(test, ast.Name) and test.id == "TYPE_CHECKING":
            return
        self.add(test, f"(not ({self.text(test)}))", f"not ({self.text(test)})")

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self.condition(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        if not isinstance(node.test, ast.Constant):
            self.condition(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.condition(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.condition(test)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Change one `and` to `or`, or the other way round; brackets keep the order of evaluation."""
        new = "or" if isinstance(node.op, ast.And) else "and"
        for index in range(1, len(node.values)):
            last, first = node.values[index - 1], node.values[index]
            before, after = self.bracketed(node.values[:index]), self.bracketed(node.values[index:])
            old = "and" if new == "or" else "or"
            self.add(
                node,
                f"(({before}) {new} ({after}))",
                f"{self.text(last)} {old} -> {new} {self.text(first)}",
            )
        self.generic_visit(node)

    def bracketed(self, values: list[ast.expr]) -> str:
        """Return these operands as they stand; brackets around the first or the last are no part of a node, so each gets its own."""
        word = "and" if isinstance(self.parent_of(values), ast.And) else "or"
        return f" {word} ".join(f"({self.text(value)})" for value in values)

    def parent_of(self, values: list[ast.expr]) -> ast.boolop:
        return self.operators[id(values[0])]

    def visit_Compare(self, node: ast.Compare) -> None:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            between = self.span(left)[1], self.span(right)[0]
            old = self.source[slice(*between)].decode()
            bare = old.strip("() \n\t")
            if bare in {"<", "<=", ">", ">=", "==", "!=", "in", "not in", "is", "is not"}:
                new = COMPARISONS[type(operator)]
                self.add(node, old.replace(bare, new), f"{self.text(node)}: {bare} -> {new}", between)
            left = right
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self.add(node, f"({self.text(node.operand)})", f"{self.text(node)}: without not")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "Sign":
            return  # a table of patterns, each with its own sample
        if isinstance(node.func, ast.Name) and node.func.id in NAMES:
            new = NAMES[node.func.id]
            self.add(node.func, new, f"{self.text(node)}: {node.func.id} -> {new}")
        arguments = sorted([*node.args, *node.keywords], key=lambda one: (one.lineno, one.col_offset))
        for before, one in zip([None, *arguments], arguments, strict=False):
            if isinstance(one, ast.keyword) and one.arg is not None and not self.is_text(one.value):
                start, end = self.span(one)
                start = self.span(before)[1] if before is not None else start
                tail = self.source[end:].lstrip()
                comma = before is None and tail.startswith(b",")
                end = end + self.source[end:].index(b",") + 1 if comma else end
                if before is None or self.source[start : self.span(one)[0]].strip() == b",":
                    self.add(one, "", f"{self.text(node.func)}(...): without {self.text(one)}", (start, end))
        words = WORDS.get(node.func.id, ()) if isinstance(node.func, ast.Name) else ()
        for child in ast.iter_child_nodes(node):
            if not (isinstance(child, ast.keyword) and child.arg in words):
                self.visit(child)

    def visit_Constant(self, node: ast.Constant) -> None:
        if type(node.value) is int:
            step = 1 if (node.lineno + node.col_offset) % 2 else -1
            self.add(node, f"({node.value + step})", f"{node.value} -> {node.value + step}")

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave messages alone."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name == "__repr__":
            return
        outer, self.optional = self.optional, self.nothing(node.returns)
        for one in [node.args, *node.body]:
            self.visit(one)
        self.optional = outer

    def nothing(self, returns: ast.expr | None) -> str:
        text = self.text(returns) if returns is not None else ""
        if "None" in text:
            return "None"
        return {"t": "()", "l": "[]", "s": '""' if text == "str" else "", "d": "{}"}.get(text[:1].lower(), "") if (
            text == "str" or text.startswith(("tuple[", "list[", "dict["))
        ) else ""  # fmt: skip

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and self.optional and self.text(node.value) != self.optional:
            self.add(node.value, self.optional, f"return {self.optional} for {self.text(node.value)}")
        self.generic_visit(node)

    @staticmethod
    def is_text(value: ast.expr) -> bool:
        return isinstance(value, ast.JoinedStr) or (isinstance(value, ast.Constant) and isinstance(value.value, str))

    def all(self) -> list[Mutant]:
        tree = ast.parse(self.source)
        self.operators = {
            id(value): node.op for node in ast.walk(tree) if isinstance(node, ast.BoolOp) for value in node.values
        }
        self.visit(tree)
        return [one for one in self.found if self.compiles(one)]

    def compiles(self, one: Mutant) -> bool:
        try:
            compile(changed(self.source, one), str(self.path), "exec")
        except (SyntaxError, ValueError):
            return False
        return True


def changed(source: bytes, mutant: Mutant) -> bytes:
    return source[: mutant.start] + mutant.new.encode() + source[mutant.end :]
