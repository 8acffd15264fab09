"""The less common operations of the pickle machine, one small function each, in a table by opcode."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Any

from remap.formats.pickles.inert import add_items, call
from remap.formats.pickles.state import ENTRY, OBJECT, MachineState
from remap.formats.tree import Foreign, Span

MAX_INTEGER_BYTES = 256
_ITEM = 16
"""Bytes of an item of a list, the room that lists keep for more included."""


def _sized(width: int) -> Callable[[MachineState, int], tuple[int, int]]:
    def span(machine: MachineState, pos: int) -> tuple[int, int]:
        start = pos + width
        stop = start + int.from_bytes(machine.data[pos:start], "little")
        if stop > len(machine.data):
            raise IndexError("data ends behind the file")
        return start, stop

    return span


Handler = Callable[[MachineState, int], int]


def _unknown(machine: MachineState, pos: int) -> int:
    raise ValueError(f"byte {machine.data[pos - 1]:#04x} at {pos - 1} is no supported pickle operation")


COLD: list[Handler] = [_unknown] * 256


def _op(code: int) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        COLD[code] = handler
        return handler

    return register


def _constant(code: int, make: Callable[[], Any], cost: int = 0) -> None:
    def handler(machine: MachineState, pos: int) -> int:
        machine.charge(cost)
        machine.stack.append(make())
        return pos

    COLD[code] = handler


def _fixed(code: int, layout: str) -> None:
    unpack = struct.Struct(layout)

    def handler(machine: MachineState, pos: int) -> int:
        machine.stack.append(unpack.unpack_from(machine.data, pos)[0])
        return pos + unpack.size

    COLD[code] = handler


def _counted(code: int, width: int, make: Callable[[MachineState, int, int], Any]) -> None:
    measure = _sized(width)

    def handler(machine: MachineState, pos: int) -> int:
        start, stop = measure(machine, pos)
        machine.stack.append(make(machine, start, stop))
        return stop

    COLD[code] = handler


def _line_value(code: int, make: Callable[[MachineState, bytes], Any]) -> None:
    def handler(machine: MachineState, pos: int) -> int:
        line, pos = machine.line(pos)
        machine.stack.append(make(machine, line))
        return pos

    COLD[code] = handler


def _text(machine: MachineState, start: int, stop: int) -> str:
    return machine.text(start, stop)


def _old_text(machine: MachineState, start: int, stop: int) -> Any:
    """A Python 2 ``str``: short ones are names, long ones the bytes of an array."""
    return Span(start, stop) if stop - start > 4096 else str(machine.data[start:stop], "latin-1")


def _integer(machine: MachineState, start: int, stop: int) -> int:
    if stop - start > MAX_INTEGER_BYTES:
        raise ValueError(f"whole number of {stop - start} bytes")
    return int.from_bytes(machine.data[start:stop], "little", signed=True)


def _decimal(machine: MachineState, line: bytes) -> Any:
    if line in (b"00", b"01"):
        return line == b"01"
    if len(line) > MAX_INTEGER_BYTES:
        raise ValueError(f"whole number of {len(line)} digits")
    return int(line.rstrip(b"L"))


_constant(0x4E, lambda: None)  # NONE
_constant(0x88, lambda: True)  # NEWTRUE
for _code, _make in ((0x7D, dict), (0x5D, list), (0x8F, list)):
    _constant(_code, _make, OBJECT)  # EMPTY_DICT, EMPTY_LIST, EMPTY_SET
_fixed(0x4A, "<i")  # BININT
_fixed(0x47, ">d")  # BINFLOAT
for _code, _width in ((0x8C, 1), (0x8D, 8)):  # SHORT_BINUNICODE, BINUNICODE8
    _counted(_code, _width, _text)
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
def _proto(machine: MachineState, pos: int) -> int:
    if machine.data[pos] > 5:
        raise ValueError(f"pickle protocol {machine.data[pos]}")
    return pos + 1


@_op(0x95)
def _frame(machine: MachineState, pos: int) -> int:
    return pos + 8


@_op(0x70)
def _put(machine: MachineState, pos: int) -> int:
    line, pos = machine.line(pos)
    machine.memo[int(line)] = machine.stack[-1]
    machine.charge(ENTRY)
    return pos


@_op(0x30)
def _pop(machine: MachineState, pos: int) -> int:
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.stack.pop()
    return pos


@_op(0x31)
def _pop_mark(machine: MachineState, pos: int) -> int:
    machine.since_mark()
    return pos


@_op(0x32)
def _dup(machine: MachineState, pos: int) -> int:
    machine.stack.append(machine.stack[-1])
    return pos


@_op(0x87)
def _tuple3(machine: MachineState, pos: int) -> int:
    stack = machine.stack
    stack[-3:] = [(stack[-3], stack[-2], stack[-1])]
    machine.charge(ENTRY)
    return pos


@_op(0x6C)
@_op(0x91)
def _list(machine: MachineState, pos: int) -> int:  # LIST, FROZENSET
    items = machine.since_mark()
    machine.charge(ENTRY)
    machine.stack.append(items)
    return pos


@_op(0x64)
def _dict(machine: MachineState, pos: int) -> int:
    items = machine.since_mark()
    made: dict[Any, Any] = {}
    machine.charge(ENTRY + ENTRY * len(items) // 2)
    add_items(made, items)
    machine.stack.append(made)
    return pos


@_op(0x61)
def _append(machine: MachineState, pos: int) -> int:
    item = machine.stack.pop()
    machine.charge(_ITEM)
    if type(machine.stack[-1]) is list:
        machine.stack[-1].append(item)
    return pos


@_op(0x65)
@_op(0x90)
def _appends(machine: MachineState, pos: int) -> int:  # APPENDS, ADDITEMS
    items = machine.since_mark()
    if type(machine.stack[-1]) is list:
        machine.stack[-1].extend(items)
    return pos


@_op(0x73)
def _set_item(machine: MachineState, pos: int) -> int:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.charge(ENTRY)
    add_items(machine.stack[-1], [key, value])
    return pos


@_op(0x75)
def _set_items(machine: MachineState, pos: int) -> int:
    items = machine.since_mark()
    machine.charge(ENTRY * len(items) // 2)
    add_items(machine.stack[-1], items)
    return pos


@_op(0x63)
def _global(machine: MachineState, pos: int) -> int:
    module, pos = machine.line(pos)
    name, pos = machine.line(pos)
    machine.stack.append(machine.find(str(module, "utf-8"), str(name, "utf-8")))
    machine.charge(OBJECT)
    return pos


@_op(0x93)
def _stack_global(machine: MachineState, pos: int) -> int:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise TypeError("a global whose name is no text")
    machine.stack.append(machine.find(module, name))
    machine.charge(OBJECT + len(module) + len(name))
    return pos


def _put_result(machine: MachineState, made: Any) -> None:
    machine.charge(OBJECT + (ENTRY * len(made) if type(made) is dict else 0))
    machine.stack[-1] = made


@_op(0x81)
def _new_object(machine: MachineState, pos: int) -> int:
    args = machine.stack.pop()
    _put_result(machine, call(machine.stack[-1], args))
    return pos


@_op(0x92)
def _new_object_ex(machine: MachineState, pos: int) -> int:
    machine.stack.pop()
    return _new_object(machine, pos)


@_op(0x6F)
def _object(machine: MachineState, pos: int) -> int:
    function, *args = machine.since_mark()
    machine.stack.append(None)
    _put_result(machine, call(function, tuple(args)))
    return pos


@_op(0x69)
def _instance(machine: MachineState, pos: int) -> int:
    args = tuple(machine.since_mark())
    pos = _global(machine, pos)
    _put_result(machine, call(machine.stack[-1], args))
    return pos


@_op(0x62)
def _build(machine: MachineState, pos: int) -> int:
    state = machine.stack.pop()
    if isinstance(machine.stack[-1], Foreign):
        machine.stack[-1].state = state
    return pos
