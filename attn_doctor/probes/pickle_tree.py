"""Read a pickle as a tree of plain values, to find the names in it.

Nothing that the pickle names is imported, called or built.

A pickle is a program for a stack machine (https://docs.python.org/3/library/pickletools.html). Loading it runs code that it
names. Here the same instructions make inert records instead: a class is its name, and an object of it is a `Thing`. The number of
instructions is limited, and so is the memory: the size of the pickle and one record for each instruction.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable, Iterator

MOST = 1_000_000  # a pickle with more instructions is not read; YOLO12x, the largest YOLO12, has 130,000
_LONGEST_LINE = 4096  # bytes in a line of an old opcode that ends at a line break: int() of a longer line takes minutes


class NoPickle(ValueError):
    """Report bytes that cannot be read as a pickle. The text is the reason: "a line of its pickle has no end"."""


class Thing:
    """Stand for an object of the pickle: the name of its class, its items (or pairs, for a dictionary), and its state."""

    __slots__ = ("args", "items", "kind", "state")

    def __init__(self, kind: str, args: object = ()) -> None:
        self.kind, self.args = kind, args
        self.items: list[object] = []
        self.state: object = None

    def entries(self) -> dict[str, object]:
        """Return the pairs of a dictionary whose keys are strings."""
        pairs = (item for item in self.items if isinstance(item, tuple) and len(item) == 2)
        return {key: value for key, value in pairs if isinstance(key, str)}


class PickleStream(io.BytesIO):
    """Hold the bytes of pickles, one after the other. Reading a line without an end in 4,096 bytes raises NoPickle."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(_LONGEST_LINE if size is None or size < 0 else size)
        if not line.endswith(b"\n"):
            raise NoPickle("a line of its pickle has no end")
        return line


def read(data: PickleStream, most: int = MOST) -> tuple[object, frozenset[str]]:
    """Return the value of the pickle at the stream's position, and the full names of the classes and functions in it.

    Afterwards the position is behind the end of the pickle. Raises NoPickle if the bytes are no pickle, or exceed a limit.
    """
    machine = _Machine(most)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            machine.step(opcode, argument)
        return machine.stack[-1], frozenset(machine.globals)
    except NoPickle:
        raise
    except (ValueError, IndexError, KeyError, TypeError, struct.error, OverflowError) as error:
        raise NoPickle(f"its pickle ends early, or is none ({type(error).__name__})") from error


def things(root: object) -> Iterator[Thing]:
    """Yield every object below a value, each once."""
    waiting, seen = [root], set[int]()
    while waiting:
        value = waiting.pop()
        if not isinstance(value, Thing | tuple) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Thing):
            yield value
            waiting += [value.args, value.state, *value.items]
        else:
            waiting += value


def _word(value: object) -> str:
    """Return a name if the value is a text, else a placeholder.

    str() of other values could run for ever: a tuple can contain the next tuple twice, and so on for many levels.
    """
    return value if isinstance(value, str) else "?"


class _Machine:
    """Follow the instructions of a pickle on a stack of inert records.

    A method without an underscore is the handler of an instruction.
    """

    def __init__(self, most: int) -> None:
        self._left = most
        self.stack: list[object] = []
        self.globals: set[str] = set()
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        self._left -= 1
        if self._left < 0:
            raise NoPickle("its pickle has too many instructions to be one of a YOLO model")
        handler = _HANDLERS.get(opcode.name)
        if handler is not None:
            handler(self, argument)
            return
        taken = len(opcode.stack_before)
        if taken:
            self._need(taken)
            del self.stack[-taken:]
        self.stack += [argument if isinstance(argument, str | int | float) else None] * len(opcode.stack_after)

    def _need(self, count: int) -> None:
        if len(self.stack) - (self._marks[-1] if self._marks else 0) < count:
            raise NoPickle("its pickle takes more values from the stack than the stack has")

    def _pop(self) -> object:
        self._need(1)
        return self.stack.pop()

    def _to_mark(self) -> list[object]:
        start = self._marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def _named(self, module: object, name: object) -> None:
        made = f"{_word(module)}.{_word(name)}"
        self.globals.add(made)
        self.stack.append(made)

    def mark(self, _: object) -> None:
        self._marks.append(len(self.stack))

    def pop_mark(self, _: object) -> None:
        self._to_mark()

    def pop(self, _: object) -> None:
        if self._marks and self._marks[-1] == len(self.stack):
            self._marks.pop()
        else:
            self._pop()

    def duplicate(self, _: object) -> None:
        self.stack.append(self.stack[-1])

    def put(self, argument: object) -> None:
        self._memo[int(str(argument))] = self.stack[-1]

    def memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def get(self, argument: object) -> None:
        self.stack.append(self._memo[int(str(argument))])

    def named(self, argument: object) -> None:
        module, _, name = str(argument).partition(" ")
        self._named(module, name)

    def stack_named(self, _: object) -> None:
        name, module = self._pop(), self._pop()
        self._named(module, name)

    def called(self, _: object) -> None:
        args, function = self._pop(), self._pop()
        first = args[0] if isinstance(args, tuple) and args else None
        again = _word(function) in ("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__")
        self.stack.append(Thing(_word(first if again else function), args))

    def called_with_keywords(self, _: object) -> None:
        self._pop()
        self.called(None)

    def made_of_marked(self, _: object) -> None:
        kind, *args = self._to_mark()
        self.stack.append(Thing(_word(kind), tuple(args)))

    def made_of_name(self, argument: object) -> None:
        args = tuple(self._to_mark())
        self.named(argument)
        self.stack.append(Thing(_word(self._pop()), args))

    def state(self, _: object) -> None:
        state = self._pop()
        owner = self.stack[-1]
        if isinstance(owner, Thing):
            owner.state = state

    def _add(self, values: list[object]) -> None:
        owner = self.stack[-1]
        if isinstance(owner, Thing):
            owner.items += values

    def append(self, _: object) -> None:
        self._add([self._pop()])

    def append_marked(self, _: object) -> None:
        self._add(self._to_mark())

    def set_item(self, _: object) -> None:
        value, key = self._pop(), self._pop()
        self._add([(key, value)])

    def set_marked(self, _: object) -> None:
        flat = self._to_mark()
        self._add(list(zip(flat[::2], flat[1::2], strict=True)))

    def tuple_marked(self, _: object) -> None:
        self.stack.append(tuple(self._to_mark()))

    def container(self, kind: str, *, marked: bool = False) -> None:
        made = Thing(kind)
        if marked:
            values = self._to_mark()
            made.items = list(zip(values[::2], values[1::2], strict=True)) if kind == "dict" else values
        self.stack.append(made)

    def tuple_of(self, count: int) -> None:
        self._need(count)
        taken = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.stack.append(taken)


_HANDLERS: dict[str, Callable[[_Machine, object], None]] = {
    "STOP": lambda *_: None,  # the value stays
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.duplicate,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": _Machine.memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "GLOBAL": _Machine.named,
    "STACK_GLOBAL": _Machine.stack_named,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _Machine.called),
    "NEWOBJ_EX": _Machine.called_with_keywords,
    "OBJ": _Machine.made_of_marked,
    "INST": _Machine.made_of_name,
    "BUILD": _Machine.state,
    "APPEND": _Machine.append,
    **dict.fromkeys(("APPENDS", "ADDITEMS"), _Machine.append_marked),
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_marked,
    "TUPLE": _Machine.tuple_marked,
    "EMPTY_TUPLE": lambda machine, _: machine.tuple_of(0),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "EMPTY_DICT": lambda machine, _: machine.container("dict"),
    "EMPTY_LIST": lambda machine, _: machine.container("list"),
    "EMPTY_SET": lambda machine, _: machine.container("set"),
    "DICT": lambda machine, _: machine.container("dict", marked=True),
    "LIST": lambda machine, _: machine.container("list", marked=True),
    "FROZENSET": lambda machine, _: machine.container("set", marked=True),
}
