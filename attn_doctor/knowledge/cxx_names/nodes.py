"""Define the parts of a C++ name that `demangle` reads, and write them as text. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple, Union


class Text(NamedTuple):
    """Hold a text that needs no further work: a builtin type, an expression."""

    shown: str


class Name(NamedTuple):
    """Describe one word of a qualified name."""

    shown: str
    constructs: bool = False  # a constructor, a destructor or a conversion: it has no return type
    constructor: str = ""  # the name of the class's constructor, if it differs from `shown`


class Scope(NamedTuple):
    outer: Node
    inner: Node


class Template(NamedTuple):
    name: Node
    arguments: list[Node]


class Pack(NamedTuple):
    """Describe several template arguments in the place of one parameter."""

    items: list[Node]


class Parameter(NamedTuple):
    """Describe the use of a parameter pack: all items of the pack, or one item inside an expansion."""

    items: list[Node]


class Auto(NamedTuple):
    """Describe a parameter of a generic lambda, by its position."""

    number: int


class Expand(NamedTuple):
    """Describe a pattern that is repeated for each item of the packs in it."""

    pattern: Node


class Qualified(NamedTuple):
    """Describe a node with qualifiers after it, such as " const"."""

    inner: Node
    qualifiers: str


class Pointer(NamedTuple):
    inner: Node
    symbol: str  # "*", "&" or "&&"


class Member(NamedTuple):
    """Describe a pointer to a member of a class."""

    owner: Node
    inner: Node


class Array(NamedTuple):
    inner: Node
    size: str


class Function(NamedTuple):
    """Describe a function type; with a name, a function."""

    returns: Node | None
    parameters: list[Node]
    qualifiers: str
    name: Node | None


class Literal(NamedTuple):
    type_name: str
    value: str


Node = Union[  # noqa: UP007 - evaluated at run time, where the classes refer to it by name
    Text, Name, Scope, Template, Pack, Parameter, Auto, Expand, Qualified, Pointer, Member, Array, Function, Literal
]

_SUFFIXES = {"int": "", "unsigned int": "u", "long": "l", "unsigned long": "ul", "long long": "ll"}
_SUFFIXES["unsigned long long"] = "ull"


def settled(node: Any, arguments: list[Node]) -> Any:
    """Return the node with each Auto replaced by its argument."""
    if isinstance(node, Auto):
        return arguments[node.number] if node.number < len(arguments) else node
    if isinstance(node, list):
        return [settled(part, arguments) for part in node]
    if isinstance(node, tuple):
        return type(node)(*(settled(part, arguments) for part in node))
    return node


class Word(NamedTuple):
    """Hold the last word of a name: "C" of "A::B<int>::C". A constructor or destructor repeats the word of its class."""

    constructor: str
    constructs: bool  # see Name


def last_word(node: Node) -> Word:
    """Return the last word of a name, without template arguments and ABI tags."""
    if isinstance(node, Scope):
        return last_word(node.inner)
    if isinstance(node, Template):
        return last_word(node.name)
    if isinstance(node, Name):
        # [abi:cxx11] belongs to the class, not to its constructor's name
        return Word(node.constructor or node.shown.partition("[abi:")[0], node.constructs)
    return Word(text(node), constructs=False)


def text(node: Node, index: int | None = None) -> str:
    """Return the node as text. `index`: the item of a pack to use, inside an expansion."""
    left, right = _halves(node, index)
    return left + right


def _halves(node: Node, index: int | None) -> tuple[str, str]:
    """Return the two texts of a type around the name that is declared with it: "int (*" and ")(float)"."""
    if isinstance(node, (Text, Name)):
        return node.shown, ""
    if isinstance(node, Auto):
        return f"auto:{node.number + 1}", ""
    if isinstance(node, Scope):
        return f"{text(node.outer, index)}::{text(node.inner, index)}", ""
    if isinstance(node, Template):
        return _template(node, index), ""
    if isinstance(node, Pack) or (isinstance(node, Parameter) and index is None):
        return _list(node.items, None), ""
    if isinstance(node, Parameter):
        return _halves(node.items[index], None) if index is not None else ("", "")
    if isinstance(node, Expand):
        return _expanded(node, index), ""
    if isinstance(node, Literal):
        return _literal(node), ""
    if isinstance(node, Qualified):
        return _qualified(node, index)
    if isinstance(node, Array):
        left, right = _halves(node.inner, index)
        return left, f" [{node.size}]{right}"
    if isinstance(node, Function):
        return _function(node, index)
    return _pointer(node, index)


def _template(node: Template, index: int | None) -> str:
    inside = _list(node.arguments, index)
    name = text(node.name, index)
    opening = " <" if name.endswith("<") else "<"  # operator<
    return f"{name}{opening}{inside}{' >' if inside.endswith('>') else '>'}"


def _list(items: list[Node], index: int | None) -> str:
    return ", ".join(shown for shown in (text(item, index) for item in items) if shown)


def _expanded(node: Expand, index: int | None) -> str:
    lengths = [len(parameter.items) for parameter in _parameters(node.pattern)]
    if not lengths:
        return text(node.pattern, index) + "..."
    return ", ".join(text(node.pattern, number) for number in range(min(lengths)))


def _parameters(node: object) -> list[Parameter]:
    """Return the parameter packs over which an expansion iterates. Packs of an expansion inside it are left out."""
    if isinstance(node, Parameter):
        return [node]
    if isinstance(node, (tuple, list)) and not isinstance(node, Expand):
        return [parameter for part in node for parameter in _parameters(part)]
    return []


def _literal(node: Literal) -> str:
    if node.type_name == "bool" and node.value in ("0", "1"):
        return "true" if node.value == "1" else "false"
    if node.type_name in _SUFFIXES:
        return node.value + _SUFFIXES[node.type_name]
    return f"({node.type_name}){node.value}"


def _qualified(node: Qualified, index: int | None) -> tuple[str, str]:
    inner = _plain(node.inner, index)
    left, right = _halves(inner, index)
    if isinstance(inner, Function):
        return left, right + node.qualifiers
    already = isinstance(inner, Qualified) and node.qualifiers in inner.qualifiers
    return (left if already else left + node.qualifiers), right


def _function(node: Function, index: int | None) -> tuple[str, str]:
    given = f"({_list(node.parameters, index)}){node.qualifiers}"
    before, behind = _halves(node.returns, index) if node.returns else ("", "")
    space = " " if node.returns else ""
    if node.name is None:
        return before + space, given + behind
    return f"{before}{space}{text(node.name, index)}{given}", behind


def _pointer(node: Pointer | Member, index: int | None) -> tuple[str, str]:
    inner = _plain(node.inner, index)
    if isinstance(node, Member):
        symbol = f"{text(node.owner, index)}::*"
    else:
        symbol = node.symbol
        if symbol != "*" and isinstance(inner, Pointer) and inner.symbol != "*":
            # a reference to a reference: only && to && stays &&
            symbol = "&&" if symbol == inner.symbol == "&&" else "&"
            inner = _plain(inner.inner, index)
    left, right = _halves(inner, index)
    bare = _plain(inner.inner, index) if isinstance(inner, Qualified) else inner
    if isinstance(bare, Function):
        return f"{left}({symbol}", f"){right}"
    if isinstance(bare, Array):
        return f"{left} ({symbol}", f"){right}"
    return left + (f" {symbol}" if isinstance(node, Member) else symbol), right


def _plain(node: Node, index: int | None) -> Node:
    """Return the item of a pack for this index; a node that is no pack is returned unchanged."""
    return node.items[index] if isinstance(node, Parameter) and index is not None else node
