"""A small machine for pickle's instructions that calls nothing.

Pickle is a stack language whose instructions ``REDUCE``, ``INST``, ``OBJ``, ``NEWOBJ`` and ``BUILD`` call
what the file names. Here a name stays a ``Name``, and these instructions ask a table of builders of our own
what to make of it (see ``headcast.pickles.rebuild``). Every other instruction only moves plain values.
Format: Python's ``pickletools``, protocols 0 to 5.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Any

from headcast.pickles.values import MAX_NAME, Bad, Budget, Name, Pending, Record

__all__ = ["Machine"]

MARK = object()
SCALARS = (str, bytes, int, float, bool, type(None), Name)
LARGEST_KEY = (1 << 61) - 2  # larger integers share their hash with smaller ones
MAX_MEMO_KEY = 1 << 32
LONGEST_KEY = 64
MOST_DIGITS = 4096  # bytes of one integer


class ByteReader:
    """Sequential reader of bytes; asking for more than there is is an error, not an allocation."""

    def __init__(self, data: bytes | memoryview, start: int = 0) -> None:
        self.data, self.at = memoryview(data), start

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        if count < 0 or self.at + count > len(self.data):
            raise Bad("it ends in the middle")
        self.at += count
        return bytes(self.data[self.at - count : self.at])

    def number(self, form: str) -> Any:
        """Read a number of a ``struct`` format."""
        return struct.unpack("<" + form, self.take(struct.calcsize(form)))[0]

    def line(self) -> bytes:
        """Return everything up to a line feed."""
        end, step = self.at, 4096
        while end < len(self.data):
            found = bytes(self.data[end : end + step]).find(b"\n")
            if found >= 0:
                out = bytes(self.data[self.at : end + found])
                self.at = end + found + 1
                return out
            end += step
        raise Bad("it ends in the middle")


class Machine:
    """Interpreter of one pickle's instructions.

    Args:
        reader: where to read; stands behind the pickle afterwards.
        call: ``(name, args) -> value`` for what the pickle wants called.
        persistent: ``id -> value`` for objects kept outside of the pickle.
        budget: what the file may cost.
    """

    def __init__(
        self,
        reader: ByteReader,
        call: Callable[[Name, tuple], Any],
        persistent: Callable[[Any], Any],
        budget: Budget,
    ) -> None:
        self.r, self.call, self.persistent, self.budget = reader, call, persistent, budget
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Run the instructions and return the pickled value.

        Raises:
            Bad: damaged, or asking for something that is not rebuilt.
        """
        try:
            while True:
                code = self.r.take(1)
                self.budget.spend_work(1)
                if code == b".":
                    return self.pop()
                action = ACTIONS.get(code)
                if action is None:
                    raise Bad(f"it has the unknown instruction {code!r} at byte {self.r.at - 1}")
                action(self)
        except (Bad, MemoryError, RecursionError):
            raise
        except Exception as e:  # everything here works on values that the file chose
            raise Bad(f"it makes no sense at byte {self.r.at} ({type(e).__name__})") from e

    def push(self, value: Any) -> None:
        """Push a value onto the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Pop a value from the stack; a mark is no value."""
        value = self.stack.pop()
        if value is MARK:
            raise Bad("it makes no sense: a mark stands for a value")
        return value

    def pop_mark(self) -> list[Any]:
        """Pop everything above the last mark."""
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is MARK:
                values = self.stack[i + 1 :]
                del self.stack[i:]
                return values
        raise Bad("it makes no sense: no mark")

    def remember(self, key: int) -> None:
        """Store the top of the stack in the memo."""
        value = self.stack[-1]
        if value is MARK or not 0 <= key < MAX_MEMO_KEY:
            raise Bad("it makes no sense: it remembers a mark, or under an impossible number")
        self.memo[key] = value
        if isinstance(value, Pending):
            value.memo_keys.append(key)

    def name(self, module: Any, attribute: Any) -> None:
        """Push a class or function name."""
        if not isinstance(module, str) or not isinstance(attribute, str):
            raise Bad("it names something by no text")
        if len(module) > MAX_NAME or len(attribute) > MAX_NAME:
            raise Bad("it has a name of impossible length")
        self.push(Name(module, attribute))

    def reduce(self, callee: Any, args: Any) -> None:
        """Push what our own builder makes of a call."""
        if not isinstance(callee, Name) or not isinstance(args, tuple):
            raise Bad("it calls something that has no name")
        self.budget.spend_work(len(args))
        self.push(self.call(callee, args))

    def build(self) -> None:
        """Give the object below the top its state."""
        state, target = self.pop(), self.pop()
        if isinstance(target, Pending):
            self.budget.spend_work(len(target.memo_keys))
            value = target.finish(state)
            for key in target.memo_keys:
                self.memo[key] = value
            self.push(value)
        elif isinstance(target, Record):
            target.state = state
            self.push(target)
        elif isinstance(target, dict) and isinstance(state, dict):
            self.push(target)  # attributes of an OrderedDict, such as a state dict's _metadata
        else:
            raise Bad(f"it gives a state to a {type(target).__name__}")

    def append(self, values: list[Any]) -> None:
        """Extend the list (or what stands for one) on top."""
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Record):
            target.items.extend(values)
        else:
            raise Bad(f"it appends to a {type(target).__name__}")

    def set_items(self, values: list[Any]) -> None:
        """Add keys and values to the dictionary on top."""
        target = self.stack[-1]
        entries = target.entries if isinstance(target, Record) else target
        if not isinstance(entries, dict) or len(values) % 2:
            raise Bad(f"it sets items of a {type(target).__name__}")
        for key, value in zip(values[::2], values[1::2], strict=True):
            entries[self.key(key)] = value

    def instance(self, values: list[Any]) -> None:
        """Run ``OBJ``: class and arguments above a mark."""
        self.reduce(values[0], tuple(values[1:]))

    def named_instance(self) -> None:
        """Run ``INST``: the class by its name, the arguments above a mark."""
        self.name(self.r.line().decode(), self.r.line().decode())
        callee = self.pop()
        self.reduce(callee, tuple(self.pop_mark()))

    def stack_name(self) -> None:
        """Run ``STACK_GLOBAL``: push a name from the stack."""
        attribute, module = self.pop(), self.pop()
        self.name(module, attribute)

    def new_object(self) -> None:
        """Run ``NEWOBJ``: make an object without keyword arguments."""
        args, callee = self.pop(), self.pop()
        self.reduce(callee, args)

    def new_object_ex(self) -> None:
        """Run ``NEWOBJ_EX``: keyword arguments are what model files never have."""
        keywords, args, callee = self.pop(), self.pop(), self.pop()
        if keywords:
            raise Bad("it makes an object with keyword arguments")
        self.reduce(callee, args)

    def reduce_top(self) -> None:
        """Run ``REDUCE`` on the top of the stack."""
        args, callee = self.pop(), self.pop()
        self.reduce(callee, args)

    def tuple_of(self, count: int) -> None:
        """Run ``TUPLE1`` to ``TUPLE3``."""
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def pair(self) -> None:
        """Run ``SETITEM`` on the top pair."""
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def add_items(self) -> None:
        """Run ``ADDITEMS`` of a set."""
        values = self.pop_mark()
        if not isinstance(self.stack[-1], set):
            raise Bad("it adds to what is no set")
        self.stack[-1].update(self.key(v) for v in values)

    def key(self, value: Any) -> Any:
        """Check a dictionary's key."""
        return plain_key(value, self.budget)

    def make_dict(self) -> None:
        """Run ``DICT``: a dictionary from alternating keys and values above a mark."""
        values = self.pop_mark()
        self.push({self.key(k): v for k, v in zip(values[::2], values[1::2], strict=True)})


def plain_key(key: Any, budget: Budget) -> Any:
    """Refuse keys that are costly to hash or may collide: they could be made to cost a lifetime."""
    if is_plain(key):
        return key
    if type(key) is tuple and len(key) <= LONGEST_KEY and all(map(is_plain, key)):
        budget.tuple_keys -= 1
        budget.spend_work(len(key))
        if budget.tuple_keys < 0:
            raise Bad("it has too many tuples as keys")
        return key
    raise Bad(f"it uses a {type(key).__name__} as a key, or an impossible one")


def is_plain(key: Any) -> bool:
    """Whether a value's hash is cheap and cannot be made to collide."""
    return type(key) in SCALARS and (type(key) is not int or abs(key) <= LARGEST_KEY)


def read_long(data: bytes) -> int:
    """Read a little-endian integer."""
    if len(data) > MOST_DIGITS:
        raise Bad("it has an integer of impossible length")
    return int.from_bytes(data, "little", signed=True)


def parse_integer(text: bytes) -> int | bool:
    """Parse protocol 0's integers; ``00`` and ``01`` are false and true."""
    return {b"00": False, b"01": True}.get(text) if text in (b"00", b"01") else int(text.rstrip(b"L"))  # type: ignore[return-value]


def parse_quoted(text: bytes) -> str:
    """Parse protocol 0's strings: quotes and escapes; bytes as Latin-1, as of Python 2."""
    text = text.strip()
    if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
        raise Bad("it has a string without quotes")
    return codecs.escape_decode(text[1:-1])[0].decode("latin-1")  # type: ignore[attr-defined]


def utf8(data: bytes) -> str:
    """Decode text; lone surrogates as Python writes them."""
    return data.decode("utf-8", "surrogatepass")


def out_of_band(_: Machine) -> None:
    """Refuse what needs the program that wrote the file."""
    raise Bad("it needs buffers or extensions that are not in the file")


ACTIONS: dict[bytes, Callable[[Machine], Any]] = {
    b"\x80": lambda m: m.r.take(1),
    b"\x95": lambda m: m.r.take(8),
    b"(": lambda m: m.push(MARK),
    b"0": lambda m: m.stack.pop(),
    b"1": lambda m: m.pop_mark(),
    b"2": lambda m: (m.push(m.pop()), m.push(m.stack[-1])),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": lambda m: m.push(parse_integer(m.r.line())),
    b"L": lambda m: m.push(int(m.r.line().rstrip(b"L"))),
    b"J": lambda m: m.push(m.r.number("i")),
    b"K": lambda m: m.push(m.r.number("B")),
    b"M": lambda m: m.push(m.r.number("H")),
    b"\x8a": lambda m: m.push(read_long(m.r.take(m.r.number("B")))),
    b"\x8b": lambda m: m.push(read_long(m.r.take(m.r.number("i")))),
    b"F": lambda m: m.push(float(m.r.line())),
    b"G": lambda m: m.push(struct.unpack(">d", m.r.take(8))[0]),
    b"S": lambda m: m.push(parse_quoted(m.r.line())),
    b"T": lambda m: m.push(m.r.take(m.r.number("i")).decode("latin-1")),
    b"U": lambda m: m.push(m.r.take(m.r.number("B")).decode("latin-1")),
    b"V": lambda m: m.push(m.r.line().decode("raw-unicode-escape")),
    b"X": lambda m: m.push(utf8(m.r.take(m.r.number("I")))),
    b"\x8c": lambda m: m.push(utf8(m.r.take(m.r.number("B")))),
    b"\x8d": lambda m: m.push(utf8(m.r.take(m.r.number("Q")))),
    b"B": lambda m: m.push(m.r.take(m.r.number("I"))),
    b"C": lambda m: m.push(m.r.take(m.r.number("B"))),
    b"\x8e": lambda m: m.push(m.r.take(m.r.number("Q"))),
    b"\x96": lambda m: m.push(m.r.take(m.r.number("Q"))),
    b"]": lambda m: m.push([]),
    b")": lambda m: m.push(()),
    b"}": lambda m: m.push({}),
    b"\x8f": lambda m: m.push(set()),
    b"l": lambda m: m.push(m.pop_mark()),
    b"t": lambda m: m.push(tuple(m.pop_mark())),
    b"d": Machine.make_dict,
    b"\x91": lambda m: m.push(frozenset(map(m.key, m.pop_mark()))),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.pop_mark()),
    b"s": Machine.pair,
    b"u": lambda m: m.set_items(m.pop_mark()),
    b"\x90": Machine.add_items,
    b"g": lambda m: m.push(m.memo[int(m.r.line())]),
    b"h": lambda m: m.push(m.memo[m.r.number("B")]),
    b"j": lambda m: m.push(m.memo[m.r.number("I")]),
    b"p": lambda m: m.remember(int(m.r.line())),
    b"q": lambda m: m.remember(m.r.number("B")),
    b"r": lambda m: m.remember(m.r.number("I")),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"c": lambda m: m.name(m.r.line().decode(), m.r.line().decode()),
    b"\x93": Machine.stack_name,
    b"R": Machine.reduce_top,
    b"i": Machine.named_instance,
    b"o": lambda m: m.instance(m.pop_mark()),
    b"\x81": Machine.new_object,
    b"\x92": Machine.new_object_ex,
    b"b": Machine.build,
    b"P": lambda m: m.push(m.persistent(m.r.line().decode())),
    b"Q": lambda m: m.push(m.persistent(m.pop())),
    b"\x97": out_of_band,
    b"\x98": out_of_band,
    b"\x82": out_of_band,
    b"\x83": out_of_band,
    b"\x84": out_of_band,
}
"""What each instruction does; those that would call something end in ``Machine.reduce`` or ``build``."""
