"""A pickle machine that builds plain data and inert stand-ins; it imports nothing and calls nothing a pickle names.

Opcodes: https://docs.python.org/3/library/pickletools.html
"""

from __future__ import annotations

import struct
from typing import Any

from remap.formats.pickles.inert import Constructor, call
from remap.formats.pickles.opcodes import COLD
from remap.formats.pickles.state import ENTRY, OBJECT, MachineState, PickleError

MAX_OPCODES = 20_000_000
MAX_STACK = 4_000_000
"""Values that wait to be put into something: Python itself puts them there by the thousand."""
ROUND = 4096
"""Operations after which the limits are looked at."""
_TUPLE = 150
"""Bytes that one takes, until its tensors are counted."""
_U32 = struct.Struct("<I")


class Machine(MachineState):
    """Runs one pickle.

    After :meth:`run`, :attr:`end` is the position behind the pickle.
    """

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
        for _ in range(0, MAX_OPCODES, ROUND):
            spent = -ENTRY * len(memo)
            for _ in range(ROUND):
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
                    spent += _TUPLE
                elif op == 0x52:  # REDUCE
                    args = pop()
                    function = stack[-1]
                    made = function.call(*args) if type(function) is Constructor else call(function, args)
                    stack[-1] = made
                    spent += OBJECT
                    if type(made) is dict:  # a copy of what may be large
                        self.charge(ENTRY * len(made))
                elif op == 0x74:  # TUPLE
                    start = unmark()
                    items = tuple(stack[start:])
                    del stack[start:]
                    push(items)
                    spent += _TUPLE
                elif op == 0x6A:  # LONG_BINGET
                    push(memo[u32(data, pos)[0]])
                    pos += 4
                elif op == 0x51:  # BINPERSID
                    stack[-1] = persist(stack[-1])
                    spent += OBJECT
                elif op == 0x89:  # NEWFALSE
                    push(False)
                elif op == 0x29:  # EMPTY_TUPLE
                    push(())
                elif op == 0x85:  # TUPLE1
                    stack[-1] = (stack[-1],)
                    spent += _TUPLE
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
            self.charge(spent + ENTRY * len(memo))
            if len(stack) > MAX_STACK:
                raise PickleError(f"pickle of more than {MAX_STACK} values at once")
        raise PickleError(f"pickle of more than {MAX_OPCODES} operations")
