"""The place in a mangled name, and the memory that the grammar needs: what was named before. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from attn_doctor.knowledge.cxx_names.nodes import Node

DEEPEST = 200  # nested types; the deepest in torch 2.15 is about 60


class Unreadable(ValueError):
    """The name breaks the grammar, or uses a corner of it that is not read here."""


class Cursor(ABC):
    """Reads one mangled name from left to right. The parts of the grammar are in the classes made from it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.known: list[Node] = []  # what S_, S0_ ... stand for
        self.arguments: list[Node] | None = []  # what T_, T0_ ... stand for; None inside a generic lambda
        self.depth = 0

    @abstractmethod
    def encoding(self) -> Node:
        """A function or an object with all that belongs to it."""

    @abstractmethod
    def name_of_function(self, *, binds: bool = True) -> tuple[Node, str]:
        """A name and the qualifiers of the member function that it names. `binds`: T_ means its template arguments."""

    @abstractmethod
    def unqualified(self, scope: Node | None) -> Node:
        """One word of a qualified name."""

    @abstractmethod
    def source_name(self) -> Node:
        """An identifier with its length in front."""

    @abstractmethod
    def substitution(self) -> Node:
        """S_, St, Ss: something named before, or well known."""

    @property
    def rest(self) -> str:
        return self.source[self.at :]

    def take(self, wanted: str) -> bool:
        if self.source.startswith(wanted, self.at):
            self.at += len(wanted)
            return True
        return False

    def need(self, wanted: str) -> None:
        if not self.take(wanted):
            raise Unreadable(self.rest)

    def peek(self, length: int = 1) -> str:
        return self.source[self.at : self.at + length]

    def next(self, length: int = 1) -> str:
        taken = self.peek(length)
        if len(taken) < length:
            raise Unreadable(taken)
        self.at += length
        return taken

    def number(self) -> int:
        negative = self.take("n")
        start = self.at
        while self.peek().isdigit():
            self.at += 1
        value = int(self.source[start : self.at])
        return -value if negative else value

    def ordinal(self) -> int:
        """A number that is one less than it says: "_" is 0, "0_" is 1, "1_" is 2."""
        if self.take("_"):
            return 0
        value = self.number() + 1
        self.need("_")
        return value

    def until(self, end: str, read: Callable[[], Node]) -> list[Node]:
        items = []
        while not self.take(end):
            items.append(read())
        return items

    def learn(self, node: Node) -> Node:
        self.known.append(node)
        return node
