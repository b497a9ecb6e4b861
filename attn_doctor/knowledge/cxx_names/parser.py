"""Demangle C++ names of the Itanium ABI, as c++filt writes them. Pure.

A name that cannot be read is returned unchanged. This is own code, because nothing else fits: c++filt is often not installed,
__cxa_demangle would load a library of the examined machine into the doctor, and the pure Python demangler on PyPI fails on a
quarter of torch's exports. Grammar: https://itanium-cxx-abi.github.io/cxx-abi/abi.html#mangling
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from attn_doctor.knowledge.cxx_names.cursor import Unreadable
from attn_doctor.knowledge.cxx_names.nodes import (
    Function,
    Name,
    Node,
    Qualified,
    Scope,
    Template,
    Text,
    last_word,
    settled,
    text,
)
from attn_doctor.knowledge.cxx_names.types import OPERATORS, Types

_STRING = "std::basic_string<char, std::char_traits<char>, std::allocator<char> >"
# Letter -> the text alone, the name of its constructor, the text before its constructor
_ABBREVIATIONS = {
    "a": ("std::allocator", "allocator", "std::allocator"),
    "b": ("std::basic_string", "basic_string", "std::basic_string"),
    "s": ("std::string", "basic_string", _STRING),
    "i": ("std::istream", "basic_istream", "std::basic_istream<char, std::char_traits<char> >"),
    "o": ("std::ostream", "basic_ostream", "std::basic_ostream<char, std::char_traits<char> >"),
    "d": ("std::iostream", "basic_iostream", "std::basic_iostream<char, std::char_traits<char> >"),
}
_SPECIAL = {
    "TV": "vtable for ", "TT": "VTT for ", "TI": "typeinfo for ", "TS": "typeinfo name for ",
}  # fmt: skip
_SPECIAL_NAMES = {"GV": "guard variable for ", "TH": "TLS init function for ", "TW": "TLS wrapper function for "}


@functools.lru_cache(maxsize=4096)
def demangle(name: str) -> str:
    """Return the readable form of a mangled name; the name itself if it is not mangled or cannot be read."""
    base, dot, clone = name.partition(".")
    if not base.startswith("_Z"):
        return name
    try:
        reader = _Reader(base[2:])
        shown = text(reader.encoding())
        if reader.rest:
            return name
    except (Unreadable, IndexError, RecursionError, ValueError):
        return name
    return f"{shown} [clone {dot}{clone}]" if clone else shown


class _Reader(Types):
    """Parse the grammar of functions and names."""

    def encoding(self) -> Node:
        code = self.peek(2)
        if code in _SPECIAL:
            self.at += 2
            return Text(_SPECIAL[code] + text(self.type()))
        if code in _SPECIAL_NAMES:
            self.at += 2
            return Text(_SPECIAL_NAMES[code] + text(self.name()))
        if code in ("Th", "Tv"):
            self.at += 1
            kind = self.offset()
            return Text(f"{kind} thunk to " + text(self.encoding()))
        if code == "TC":
            self.at += 2
            derived = self.type()
            self.number()
            self.need("_")
            return Text(f"construction vtable for {text(self.type())}-in-{text(derived)}")
        if code == "GT":
            self.at += 2
            clone = {"t": "transaction", "n": "non-transaction"}.get(self.next())
            if clone is None:
                raise Unreadable(self.rest)
            return Text(f"{clone} clone for " + text(self.encoding()))
        if code == "GR":
            self.at += 2
            name = text(self.name())
            return Text(f"reference temporary #{self.ordinal()} for {name}")
        return self.function()

    def offset(self) -> str:
        kind = "non-virtual" if self.next() == "h" else "virtual"
        self.number()
        self.need("_")
        if kind == "virtual":
            self.number()
            self.need("_")
        return kind

    def function(self) -> Node:
        name, qualifiers = self.name_of_function()
        if self.at == len(self.source) or self.peek() in ("E", "."):
            return Qualified(name, qualifiers) if qualifiers else name
        returns: Node | None = None
        if isinstance(name, Template) or (isinstance(name, Scope) and isinstance(name.inner, Template)):
            word = last_word(name)
            if not word.constructs:
                returns = self.type()
        parameters = self.parameters(lambda: self.at == len(self.source) or self.peek() in ("E", "."))
        return Function(returns, parameters, qualifiers, name)

    def parameters(self, ended: Callable[[], bool]) -> list[Node]:
        items = []
        while not ended():
            items.append(self.type())
        return [] if len(items) == 1 and text(items[0]) == "void" else items

    def name(self) -> Node:
        return self.name_of_function()[0]

    def name_of_function(self, *, binds: bool = True) -> tuple[Node, str]:
        """Read a name, and its qualifiers (" const") if it is a member function.

        `binds`: T_, T0_ ... in the rest of the mangled name are the template arguments of this name.
        """
        if self.take("N"):
            return self.nested(binds=binds)
        if self.take("Z"):
            return self.local()
        if self.peek() == "S" and self.peek(2) != "St":
            name = self.substitution()
        else:
            name = self.unscoped()
            if self.peek() == "I":
                self.learn(name)
        if self.peek() == "I":
            name = Template(name, self.template_arguments(binds=binds))
        return name, ""

    def unscoped(self) -> Node:
        if self.take("St"):
            return Scope(Text("std"), self.unqualified(None))
        return self.unqualified(None)

    def nested(self, *, binds: bool) -> tuple[Node, str]:
        qualifiers = self.qualifiers()
        if self.take("R"):
            qualifiers += " &"
        elif self.take("O"):
            qualifiers += " &&"
        name: Node | None = None
        while not self.take("E"):
            code = self.peek()
            if code == "S" and self.peek(2) != "St":
                name = self.substitution()
                continue
            if code == "I" and name is not None:
                name = Template(name, self.template_arguments(binds=binds))
            elif code == "T":
                name = self.template_parameter()
            elif code == "D" and self.peek(2) in ("Dt", "DT"):
                name = self.type()
                continue
            elif self.take("St"):
                name = Scope(Text("std"), self.unqualified(None))
            elif self.take("M"):
                continue  # a data member whose initialiser holds the lambda that follows
            else:
                inner = self.unqualified(name)
                name = inner if name is None else Scope(name, inner)
            if self.peek() != "E":
                self.learn(name)
        if name is None:
            raise Unreadable(self.rest)
        return name, qualifiers

    def local(self) -> tuple[Node, str]:
        kept = self.arguments
        outer = self.encoding()
        self.need("E")
        if isinstance(outer, Function):
            outer = Function(None, outer.parameters, outer.qualifiers, outer.name)
        if self.take("s"):
            self.discriminator()
            return Scope(outer, Text("string literal")), ""
        if self.take("d"):
            place = 1 if self.take("_") else self.number() + 2
            if place > 1:
                self.need("_")
            return Scope(Scope(outer, Text(f"{{default arg#{place}}}")), self.name()), ""
        if not self.arguments:
            self.arguments = kept
        inner, qualifiers = self.name_of_function()
        self.discriminator()
        return Scope(outer, inner), qualifiers

    def discriminator(self) -> None:
        if self.take("__"):
            self.number()
            self.need("_")
        elif self.peek() == "_" and self.peek(2)[1:].isdigit():
            self.at += 2

    def unqualified(self, scope: Node | None) -> Node:
        code = self.peek()
        node: Node
        if code.isdigit():
            node = self.source_name()
        elif code == "L":
            self.at += 1  # internal linkage
            node = self.unqualified(scope)
        elif (code in "CD" and self.peek(2)[1:].isdigit()) or self.peek(2) == "CI":
            self.next(3 if self.peek(2) == "CI" else 2)
            if scope is None:
                raise Unreadable(self.rest)
            word = last_word(scope)
            node = Name(("~" if code == "D" else "") + word.constructor, constructs=True)
        elif self.take("Ul"):
            node = self.lambda_name()
        elif self.take("Ut"):
            node = Name(f"{{unnamed type#{self.ordinal() + 1}}}")
        elif self.take("cv"):
            node = Name("operator " + text(self.type()), constructs=True)
        elif self.take("li"):
            node = Name('operator"" ' + text(self.source_name()))
        else:
            word_ = OPERATORS[self.next(2)] if self.peek(2) in OPERATORS else ""
            if not word_:
                raise Unreadable(self.rest)
            node = Name(f"operator {word_}" if word_[0].isalpha() else f"operator{word_}")
        while self.take("B"):
            word = last_word(node)
            node = Name(f"{text(node)}[abi:{text(self.source_name())}]", constructs=word.constructs)
        return node

    def source_name(self) -> Node:
        name = self.next(self.number())
        return Name("(anonymous namespace)" if name.startswith("_GLOBAL__N") else name)

    def lambda_name(self) -> Node:
        kept, self.arguments = self.arguments, None
        parameters = self.parameters(lambda: self.peek() == "E")
        self.need("E")
        self.arguments = kept
        return Name(f"{{lambda({', '.join(text(p) for p in parameters)})#{self.ordinal() + 1}}}")

    def substitution(self) -> Node:
        self.need("S")
        code = self.peek()
        if code in _ABBREVIATIONS:
            self.at += 1
            alone, constructor, whole = _ABBREVIATIONS[code]
            # Before its own constructor or destructor c++filt writes the class in full.
            shown = whole if self.peek() in ("C", "D") and self.peek(2)[1:].isdigit() else alone
            return Name(shown, constructor=constructor)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        value = -1
        while self.peek() != "_":
            value = max(value, 0) * 36 + digits.index(self.next())
        self.at += 1
        node = self.known[value + 1]
        # An "auto" in a generic lambda is replaced by the type of the call.
        return settled(node, self.arguments) if self.arguments else node
