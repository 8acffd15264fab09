"""A pickle machine that builds plain data and inert stand-ins; it imports nothing and calls nothing a pickle names.

Opcodes: https://docs.python.org/3/library/pickletools.html
"""

from __future__ import annotations

import codecs
import mmap
import struct
from collections.abc import Callable
from typing import Any

from remap.checkpoint.tree import Foreign, Global, Span

MAX_OPCODES = 20_000_000
MAX_INTEGER_BYTES = 256
_KEY_TYPES = frozenset((str, bool, type(None), Foreign, Global))
_MAX_KEY = 1 << 60
_U32 = struct.Struct("<I")


class PickleError(Exception):
    """A pickle that is damaged, hostile, or beyond a limit; readers say of which file."""


class Constructor:
    """A function of this package that stands for an allowed global: the only thing a pickle can have called."""

    __slots__ = ("call", "name")

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name = name
        self.call = call


class Machine:
    """Runs one pickle.

    Args:
        data: Bytes that hold it.
        find: From module and name to a :class:`Constructor`, a :class:`Global` or a plain value.
        persist: From a persistent id to a value.
        start: Where it begins.

    After :meth:`run`, :attr:`end` is the position behind the pickle.
    """

    def __init__(
        self,
        data: bytes | mmap.mmap,
        find: Callable[[str, str], Any],
        persist: Callable[[Any], Any],
        start: int = 0,
    ) -> None:
        self.data = data
        self.find = find
        self.persist = persist
        self.end = start
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value that the pickle describes.

        Raises:
            PickleError: It is damaged, or goes beyond a limit.
        """
        try:
            return self._loop()
        except (IndexError, KeyError, TypeError, ValueError, OverflowError, AttributeError, struct.error) as error:
            raise PickleError(f"damaged pickle ({type(error).__name__}: {error})") from error
        except (MemoryError, RecursionError) as error:
            raise PickleError("pickle takes more memory than there is") from error

    def _loop(self) -> Any:
        # A checkpoint of 100,000 tensors has four million opcodes: the common ones are handled here, by frequency.
        data, stack, marks, memo, pos = self.data, self.stack, self.marks, self.memo, self.end
        push, pop, mark, unmark = stack.append, stack.pop, marks.append, marks.pop
        cold, persist, u32 = COLD, self.persist, _U32.unpack_from
        for _ in range(MAX_OPCODES):
            op = data[pos]
            pos += 1
            if op == 0x72:  # LONG_BINPUT
                memo[u32(data, pos)[0]] = stack[-1]
                pos += 4
            elif op == 0x4B:  # BININT1
                push(data[pos])
                pos += 1
            elif op == 0x68:  # BINGET
                push(memo[data[pos]])
                pos += 1
            elif op == 0x58:  # BINUNICODE
                start = pos + 4
                pos = start + u32(data, pos)[0]
                push(str(data[start:pos], "utf-8", "surrogatepass"))
            elif op == 0x28:  # MARK
                mark(len(stack))
            elif op == 0x86:  # TUPLE2
                last = pop()
                stack[-1] = (stack[-1], last)
            elif op == 0x52:  # REDUCE
                args = pop()
                function = stack[-1]
                stack[-1] = function.call(*args) if type(function) is Constructor else call(function, args)
            elif op == 0x74:  # TUPLE
                start = unmark()
                items = tuple(stack[start:])
                del stack[start:]
                push(items)
            elif op == 0x6A:  # LONG_BINGET
                push(memo[u32(data, pos)[0]])
                pos += 4
            elif op == 0x51:  # BINPERSID
                stack[-1] = persist(stack[-1])
            elif op == 0x89:  # NEWFALSE
                push(False)
            elif op == 0x29:  # EMPTY_TUPLE
                push(())
            elif op == 0x85:  # TUPLE1
                stack[-1] = (stack[-1],)
            elif op == 0x4D:  # BININT2
                push(data[pos] | data[pos + 1] << 8)
                pos += 2
            elif op == 0x71:  # BINPUT
                memo[data[pos]] = stack[-1]
                pos += 1
            elif op == 0x94:  # MEMOIZE
                memo[len(memo)] = stack[-1]
            elif op == 0x2E:  # STOP
                self.end = pos
                return pop()
            else:
                self.end = pos
                pos = cold[op](self, pos)
        raise PickleError(f"pickle of more than {MAX_OPCODES} operations")

    def _text(self, start: int, stop: int) -> str:
        if stop > len(self.data):
            raise IndexError("text ends behind the file")
        return str(self.data[start:stop], "utf-8", "surrogatepass")

    def _line(self, pos: int) -> tuple[bytes, int]:
        end = self.data.find(b"\n", pos)
        if end < 0:
            raise IndexError("line without an end")
        return self.data[pos:end], end + 1

    def _since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items


def call(function: Any, args: Any) -> Any:
    """What stands for ``function(*args)``: a value of ours, or an inert :class:`Foreign`."""
    if type(args) is not tuple:
        raise TypeError("arguments are no tuple")
    if type(function) is Constructor:
        return function.call(*args)
    if type(function) is Global:
        return Foreign(function.name, args)
    if type(function) is Foreign:
        return Foreign(f"result of {function.name}", args)
    raise TypeError("call of something that is no function")


def add_items(target: Any, items: list[Any]) -> None:
    """Put ``[key, value, key, value ...]`` into a dict, or beside an inert object."""
    entries = target.entries if type(target) is Foreign else target
    if type(entries) is not dict:
        return
    before = len(entries)
    for index in range(0, len(items), 2):
        entries[_key(items[index])] = items[index + 1]
    if len(entries) - before != len(items) // 2:
        raise ValueError("a key occurs twice in one dict")


def _key(key: Any) -> Any:
    """A key that hashes in constant time and without recursion; others are stood in for: they name no tensor."""
    if type(key) in _KEY_TYPES or (type(key) is int and abs(key) < _MAX_KEY):
        return key
    return Foreign(f"{type(key).__name__} as key")


def _sized(width: int) -> Callable[[Machine, int], tuple[int, int]]:
    def span(machine: Machine, pos: int) -> tuple[int, int]:
        start = pos + width
        stop = start + int.from_bytes(machine.data[pos:start], "little")
        if stop > len(machine.data):
            raise IndexError("data ends behind the file")
        return start, stop

    return span


Handler = Callable[[Machine, int], int]


def _unknown(machine: Machine, pos: int) -> int:
    raise ValueError(f"byte {machine.data[pos - 1]:#04x} at {pos - 1} is no supported pickle operation")


COLD: list[Handler] = [_unknown] * 256


def _op(code: int) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        COLD[code] = handler
        return handler

    return register


def _constant(code: int, make: Callable[[], Any]) -> None:
    def handler(machine: Machine, pos: int) -> int:
        machine.stack.append(make())
        return pos

    COLD[code] = handler


def _fixed(code: int, layout: str) -> None:
    unpack = struct.Struct(layout)

    def handler(machine: Machine, pos: int) -> int:
        machine.stack.append(unpack.unpack_from(machine.data, pos)[0])
        return pos + unpack.size

    COLD[code] = handler


def _counted(code: int, width: int, make: Callable[[Machine, int, int], Any]) -> None:
    measure = _sized(width)

    def handler(machine: Machine, pos: int) -> int:
        start, stop = measure(machine, pos)
        machine.stack.append(make(machine, start, stop))
        return stop

    COLD[code] = handler


def _line_value(code: int, make: Callable[[Machine, bytes], Any]) -> None:
    def handler(machine: Machine, pos: int) -> int:
        line, pos = machine._line(pos)
        machine.stack.append(make(machine, line))
        return pos

    COLD[code] = handler


def _old_text(machine: Machine, start: int, stop: int) -> Any:
    """A Python 2 ``str``: short ones are names, long ones the bytes of an array."""
    return Span(start, stop) if stop - start > 4096 else str(machine.data[start:stop], "latin-1")


def _integer(machine: Machine, start: int, stop: int) -> int:
    if stop - start > MAX_INTEGER_BYTES:
        raise ValueError(f"whole number of {stop - start} bytes")
    return int.from_bytes(machine.data[start:stop], "little", signed=True)


def _decimal(machine: Machine, line: bytes) -> Any:
    if line in (b"00", b"01"):
        return line == b"01"
    if len(line) > MAX_INTEGER_BYTES:
        raise ValueError(f"whole number of {len(line)} digits")
    return int(line.rstrip(b"L"))


for _code, _make in ((0x4E, lambda: None), (0x88, lambda: True), (0x7D, dict), (0x5D, list), (0x8F, list)):
    _constant(_code, _make)  # NONE, NEWTRUE, EMPTY_DICT, EMPTY_LIST, EMPTY_SET
_fixed(0x4A, "<i")  # BININT
_fixed(0x47, ">d")  # BINFLOAT
for _code, _width in ((0x8C, 1), (0x8D, 8)):  # SHORT_BINUNICODE, BINUNICODE8
    _counted(_code, _width, Machine._text)
for _code, _width in ((0x43, 1), (0x42, 4), (0x8E, 8), (0x96, 8)):  # BINBYTES of three widths, BYTEARRAY8
    _counted(_code, _width, lambda machine, start, stop: Span(start, stop))
for _code, _width in ((0x55, 1), (0x54, 4)):  # SHORT_BINSTRING, BINSTRING
    _counted(_code, _width, _old_text)
for _code, _width in ((0x8A, 1), (0x8B, 4)):  # LONG1, LONG4
    _counted(_code, _width, _integer)
_line_value(0x49, _decimal)  # INT
_line_value(0x4C, _decimal)  # LONG
_line_value(0x46, lambda machine, line: float(line))  # FLOAT
_line_value(0x53, lambda machine, line: codecs.escape_decode(line[1:-1])[0].decode("latin-1"))  # STRING
_line_value(0x56, lambda machine, line: line.decode("raw-unicode-escape"))  # UNICODE
_line_value(0x50, lambda machine, line: machine.persist(line.decode("latin-1")))  # PERSID
_line_value(0x67, lambda machine, line: machine.memo[int(line)])  # GET


@_op(0x80)
def _proto(machine: Machine, pos: int) -> int:
    if machine.data[pos] > 5:
        raise ValueError(f"pickle protocol {machine.data[pos]}")
    return pos + 1


@_op(0x95)
def _frame(machine: Machine, pos: int) -> int:
    return pos + 8


@_op(0x70)
def _put(machine: Machine, pos: int) -> int:
    line, pos = machine._line(pos)
    machine.memo[int(line)] = machine.stack[-1]
    return pos


@_op(0x30)
def _pop(machine: Machine, pos: int) -> int:
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.stack.pop()
    return pos


@_op(0x31)
def _pop_mark(machine: Machine, pos: int) -> int:
    machine._since_mark()
    return pos


@_op(0x32)
def _dup(machine: Machine, pos: int) -> int:
    machine.stack.append(machine.stack[-1])
    return pos


@_op(0x87)
def _tuple3(machine: Machine, pos: int) -> int:
    stack = machine.stack
    stack[-3:] = [(stack[-3], stack[-2], stack[-1])]
    return pos


@_op(0x6C)
@_op(0x91)
def _list(machine: Machine, pos: int) -> int:  # LIST, FROZENSET
    items = machine._since_mark()
    machine.stack.append(items)
    return pos


@_op(0x64)
def _dict(machine: Machine, pos: int) -> int:
    items = machine._since_mark()
    made: dict[Any, Any] = {}
    add_items(made, items)
    machine.stack.append(made)
    return pos


@_op(0x61)
def _append(machine: Machine, pos: int) -> int:
    item = machine.stack.pop()
    if type(machine.stack[-1]) is list:
        machine.stack[-1].append(item)
    return pos


@_op(0x65)
@_op(0x90)
def _appends(machine: Machine, pos: int) -> int:  # APPENDS, ADDITEMS
    items = machine._since_mark()
    if type(machine.stack[-1]) is list:
        machine.stack[-1].extend(items)
    return pos


@_op(0x73)
def _set_item(machine: Machine, pos: int) -> int:
    value, key = machine.stack.pop(), machine.stack.pop()
    add_items(machine.stack[-1], [key, value])
    return pos


@_op(0x75)
def _set_items(machine: Machine, pos: int) -> int:
    items = machine._since_mark()
    add_items(machine.stack[-1], items)
    return pos


@_op(0x63)
def _global(machine: Machine, pos: int) -> int:
    module, pos = machine._line(pos)
    name, pos = machine._line(pos)
    machine.stack.append(machine.find(str(module, "utf-8"), str(name, "utf-8")))
    return pos


@_op(0x93)
def _stack_global(machine: Machine, pos: int) -> int:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise TypeError("a global whose name is no text")
    machine.stack.append(machine.find(module, name))
    return pos


@_op(0x81)
def _new_object(machine: Machine, pos: int) -> int:
    args = machine.stack.pop()
    machine.stack[-1] = call(machine.stack[-1], args)
    return pos


@_op(0x92)
def _new_object_ex(machine: Machine, pos: int) -> int:
    machine.stack.pop()
    return _new_object(machine, pos)


@_op(0x6F)
def _object(machine: Machine, pos: int) -> int:
    function, *args = machine._since_mark()
    machine.stack.append(call(function, tuple(args)))
    return pos


@_op(0x69)
def _instance(machine: Machine, pos: int) -> int:
    args = tuple(machine._since_mark())
    pos = _global(machine, pos)
    machine.stack[-1] = call(machine.stack[-1], args)
    return pos


@_op(0x62)
def _build(machine: Machine, pos: int) -> int:
    state = machine.stack.pop()
    if type(machine.stack[-1]) is Foreign:
        machine.stack[-1].state = state
    return pos
