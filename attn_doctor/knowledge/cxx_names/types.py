"""Read types, template arguments and values in mangled names. Pure."""

from __future__ import annotations

from attn_doctor.knowledge.cxx_names.cursor import DEEPEST, Cursor, Unreadable
from attn_doctor.knowledge.cxx_names.nodes import (
    Array,
    Auto,
    Expand,
    Function,
    Literal,
    Member,
    Name,
    Node,
    Pack,
    Parameter,
    Pointer,
    Qualified,
    Scope,
    Template,
    Text,
    text,
)

_BUILTIN = {
    "v": "void", "w": "wchar_t", "b": "bool", "c": "char", "a": "signed char", "h": "unsigned char", "s": "short",
    "t": "unsigned short", "i": "int", "j": "unsigned int", "l": "long", "m": "unsigned long", "x": "long long",
    "y": "unsigned long long", "n": "__int128", "o": "unsigned __int128", "f": "float", "d": "double",
    "e": "long double", "g": "__float128", "z": "...",
}  # fmt: skip
_BUILTIN_D = {
    "d": "decimal64", "e": "decimal128", "f": "decimal32", "h": "_Float16", "i": "char32_t", "s": "char16_t",
    "u": "char8_t", "a": "auto", "c": "decltype(auto)", "n": "decltype(nullptr)",
}  # fmt: skip
OPERATORS = {
    "nw": "new", "na": "new[]", "dl": "delete", "da": "delete[]", "ps": "+", "ng": "-", "ad": "&", "de": "*",
    "co": "~", "pl": "+", "mi": "-", "ml": "*", "dv": "/", "rm": "%", "an": "&", "or": "|", "eo": "^", "aS": "=",
    "pL": "+=", "mI": "-=", "mL": "*=", "dV": "/=", "rM": "%=", "aN": "&=", "oR": "|=", "eO": "^=", "ls": "<<",
    "rs": ">>", "lS": "<<=", "rS": ">>=", "eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">=",
    "ss": "<=>", "nt": "!", "aa": "&&", "oo": "||", "pp": "++", "mm": "--", "cm": ",", "pm": "->*", "pt": "->",
    "cl": "()", "ix": "[]", "qu": "?",
}  # fmt: skip
_UNARY = ("ps", "ng", "ad", "de", "co", "nt", "pp", "mm")


class Types(Cursor):
    """Read the parts of a mangled name from types to template arguments, literals and expressions; `parser` adds the names."""

    def qualifiers(self) -> str:
        found = [word for code, word in (("r", " restrict"), ("V", " volatile"), ("K", " const")) if self.take(code)]
        return "".join(reversed(found))

    def type(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable("too deep")
        node = self.any_type()
        self.depth -= 1
        return node

    def any_type(self) -> Node:
        code = self.peek()
        if code in _BUILTIN:
            self.at += 1
            return Text(_BUILTIN[code])
        if code in ("r", "V", "K"):
            qualifiers = self.qualifiers()
            return self.learn(Qualified(self.type(), qualifiers))
        if code in ("P", "R", "O"):
            self.at += 1
            return self.learn(Pointer(self.type(), {"P": "*", "R": "&", "O": "&&"}[code]))
        if code == "F":
            return self.learn(self.function_type(""))
        if self.take("A"):
            size = (
                "" if self.peek() == "_" else str(self.number()) if self.peek().isdigit() else text(self.expression())
            )
            self.need("_")
            return self.learn(Array(self.type(), size))
        if self.take("M"):
            owner = self.type()
            return self.learn(Member(owner, self.type()))
        if code == "T":
            node = self.learn(self.template_parameter())
            if self.peek() == "I":
                node = self.learn(Template(node, self.template_arguments(binds=False)))
            return node
        if code == "S" and self.peek(2) != "St":
            node = self.substitution()
            if self.peek() == "I":
                node = self.learn(Template(node, self.template_arguments(binds=False)))
            return node
        if code == "D":
            return self.type_with_d()
        if self.take("u"):
            return self.learn(self.source_name())
        if self.take("U"):
            name = text(self.source_name())
            return self.learn(Qualified(self.type(), f" {name}"))
        return self.learn(self.name_of_function(binds=False)[0])

    def type_with_d(self) -> Node:
        code = self.peek(2)[1:]
        if code in _BUILTIN_D:
            self.at += 2
            return Text(_BUILTIN_D[code])
        if self.take("Dp"):
            return self.learn(Expand(self.type()))
        if code in "tT":
            self.at += 2
            node = self.expression()
            self.need("E")
            return self.learn(Text(f"decltype ({text(node)})"))
        if self.take("Dv"):
            size = self.number()
            self.need("_")
            return self.learn(Text(f"{text(self.type())} __vector({size})"))
        if self.take("Do"):
            return self.learn(self.function_type(" noexcept"))
        raise Unreadable(self.rest)

    def function_type(self, suffix: str) -> Node:
        self.need("F")
        self.take("Y")
        returns = self.type()
        items = []
        while self.peek() != "E" and self.peek(2) not in ("RE", "OE"):
            items.append(self.type())
        qualifiers = " &" if self.take("R") else " &&" if self.take("O") else ""
        self.need("E")
        if len(items) == 1 and text(items[0]) == "void":
            items = []
        return Function(returns, items, qualifiers + suffix, None)

    def template_parameter(self) -> Node:
        self.need("T")
        number = self.ordinal()
        if self.arguments is None:
            return Auto(number)
        node = self.arguments[number]
        return Parameter(node.items) if isinstance(node, Pack) else node

    def template_arguments(self, *, binds: bool) -> list[Node]:
        self.need("I")
        items: list[Node] = []
        if binds:
            self.arguments = items
        while not self.take("E"):
            items.append(self.template_argument())
        return items

    def template_argument(self) -> Node:
        if self.peek() == "L":
            return self.literal()
        if self.take("J"):
            return Pack(self.until("E", self.template_argument))
        if self.take("X"):
            node = self.expression()
            self.need("E")
            return node
        if self.take("Tn"):  # a value with an explicit type
            self.type()
            return self.template_argument()
        return self.type()

    def literal(self) -> Node:
        self.need("L")
        if self.take("_Z"):
            kept = self.arguments
            node = self.encoding()
            self.arguments = kept
            self.need("E")
            return node
        kind = text(self.type())
        end = self.source.index("E", self.at)
        value = self.next(end - self.at)
        self.need("E")
        return Literal(kind, "-" + value[1:] if value.startswith("n") else value)

    def expression(self) -> Node:
        code = self.peek(2)
        if self.peek() == "L":
            return self.literal()
        if self.peek() == "T":
            return self.template_parameter()
        if self.take("sr"):
            return self.scoped_name()
        if self.take("sZ"):
            packed = self.expression()
            return Text(str(len(packed.items))) if isinstance(packed, Parameter) else Text(f"sizeof...({text(packed)})")
        if self.take("st"):
            return Text(f"sizeof ({text(self.type())})")
        if self.take("sp"):
            return Expand(self.expression())
        if self.take("fp"):
            self.qualifiers()
            return Text(f"{{parm#{self.ordinal() + 1}}}")
        if self.take("cl"):
            called, *given = self.until("E", self.expression)
            return Text(f"({text(called)})({', '.join(text(g) for g in given)})")
        if self.take("cv"):
            kind = self.type()
            return Text(f"({text(kind)})({text(self.expression())})")
        if self.take("dt"):
            owner = self.expression()
            return Text(f"({text(owner)}).({text(self.expression())})")
        if code in _UNARY:
            self.at += 2
            return Text(OPERATORS[code] + _operand(self.expression()))
        if code in OPERATORS:
            self.at += 2
            left = text(self.expression())
            right = text(self.expression())
            return Text(f"({left}){OPERATORS[code]}({right})")
        name = self.unqualified(None)
        return Template(name, self.template_arguments(binds=False)) if self.peek() == "I" else name

    def scoped_name(self) -> Node:
        self.take("N")
        owner = self.type()
        name = self.unqualified(owner)
        if self.peek() == "I":
            name = Template(name, self.template_arguments(binds=False))
        return Scope(owner, name)


def _operand(node: Node) -> str:
    """Return the text of an operand: a name as it is, anything else in parentheses.

    A function in a scope is written by its name alone.
    """
    if isinstance(node, Function) and isinstance(node.name, Scope):
        node = node.name
    return text(node) if isinstance(node, (Name, Scope)) else f"({text(node)})"
