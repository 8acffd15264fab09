"""What reading opens and makes: mapped files, inflated and fetched bytes. Records say where; what is open is kept here.

Handles cannot be pickled and take memory, so no record holds one. A record is the key to its handle, which goes when
the record does, or earlier when it is given back.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

K = TypeVar("K")
V = TypeVar("V")


class _Slot(Generic[V]):
    """Room for one handle, with a lock so that it is made once."""

    __slots__ = ("lock", "value")

    def __init__(self) -> None:
        self.lock = Lock()
        self.value: V | None = None


class Handles(Generic[K, V]):
    """Handles of one kind in this process, one a record.

    >>> class Record:
    ...     pass
    >>> handles, record = Handles(), Record()
    >>> handles.get(record, lambda: "open"), handles.get(record, lambda: "opened again")
    ('open', 'open')
    >>> handles.drop(record), handles.there(record) is None
    (None, True)
    """

    def __init__(self) -> None:
        self._slots: WeakKeyDictionary[K, _Slot[V]] = WeakKeyDictionary()
        self._lock = Lock()

    def get(self, record: K, make: Callable[[], V]) -> V:
        """The handle of a record, made where there is none; threads that ask at once get the same."""
        with self._lock:
            slot = self._slots.get(record)
            if slot is None:
                slot = self._slots[record] = _Slot()
        with slot.lock:
            if slot.value is None:
                slot.value = make()
            return slot.value

    def there(self, record: K) -> V | None:
        """The handle if there is one."""
        with self._lock:
            slot = self._slots.get(record)
        return None if slot is None else slot.value

    def drop(self, record: K) -> None:
        """Forget the handle; it is made anew when it is asked for again."""
        with self._lock:
            self._slots.pop(record, None)
