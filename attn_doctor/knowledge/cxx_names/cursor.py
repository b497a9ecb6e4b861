"""Store the position in a mangled name, and the earlier parts that the grammar can refer to. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from attn_doctor.knowledge.cxx_names.nodes import Node

DEEPEST = 200  # nested types; the deepest in torch 2.15 is about 60


class Unreadable(ValueError):
    """Report that the name breaks the grammar, or uses a rare part of it that is not supported here."""


class Cursor(ABC):
    """Read one mangled name from left to right. Subclasses add the parts of the grammar."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.known: list[Node] = []  # the nodes that S_, S0_ ... refer to
        self.arguments: list[Node] | None = []  # the nodes that T_, T0_ ... refer to; None inside a generic lambda
        self.depth = 0

    @abstractmethod
    def encoding(self) -> Node:
        """Read a whole function or object: its name, its qualifiers and its parameters."""

    @abstractmethod
    def name_of_function(self, *, binds: bool = True) -> tuple[Node, str]:
        """Read a name, and its qualifiers (" const") if it is a member function.

        `binds`: T_, T0_ ... in the rest of the mangled name are the template arguments of this name.
        """

    @abstractmethod
    def unqualified(self, scope: Node | None) -> Node:
        """Read one word of a qualified name."""

    @abstractmethod
    def source_name(self) -> Node:
        """Read an identifier with its length in front."""

    @abstractmethod
    def substitution(self) -> Node:
        """Read S_, St, Ss: a reference to an earlier part, or to a well-known name."""

    @property
    def rest(self) -> str:
        return self.source[self.at :]

    def take(self, expected: str) -> bool:
        """Read this text if it comes next, and return whether it did."""
        if self.source.startswith(expected, self.at):
            self.at += len(expected)
            return True
        return False

    def need(self, expected: str) -> None:
        """Read this text. Raises Unreadable if it does not come next."""
        if not self.take(expected):
            raise Unreadable(self.rest)

    def peek(self, length: int = 1) -> str:
        """Return the next characters without reading them; fewer at the end of the name."""
        return self.source[self.at : self.at + length]

    def next(self, length: int = 1) -> str:
        """Read `length` characters, and return them. Raises Unreadable if the name ends before."""
        taken = self.peek(length)
        if len(taken) < length:
            raise Unreadable(taken)
        self.at += length
        return taken

    def number(self) -> int:
        """Read a decimal number; an "n" in front makes it negative. Raises ValueError if there is no digit."""
        negative = self.take("n")
        start = self.at
        while self.peek().isdigit():
            self.at += 1
        value = int(self.source[start : self.at])
        return -value if negative else value

    def ordinal(self) -> int:
        """Read a number that is written as one less: "_" is 0, "0_" is 1, "1_" is 2."""
        if self.take("_"):
            return 0
        value = self.number() + 1
        self.need("_")
        return value

    def until(self, end: str, read: Callable[[], Node]) -> list[Node]:
        """Call `read` again and again until the text `end` comes next, and return what it read."""
        items = []
        while not self.take(end):
            items.append(read())
        return items

    def learn(self, node: Node) -> Node:
        """Store a node to which the rest of the name can refer (S_, S0_ ...), and return it."""
        self.known.append(node)
        return node
