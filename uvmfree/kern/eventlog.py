"""The event log: what a system does seldom and whoever looks at it later wants to see in time.

=> For redistributions and passes of the pagedaemon, not for pages: an entry costs about a microsecond, under a leaf
   lock of the log's own.
=> Bounded: after LIMIT entries the log counts what it drops.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from uvmfree.kern.lock import RawLock

LIMIT: Final = 20_000
"""Entries kept: at one drain of four CPUs each 10 ms, the highest rate there is by default, 50 s of them."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, from `began_ns` to `ended_ns` on the Machine's clock.

    => `what`: "redistribute" or "daemon". `cause`: why, or "". `cpu`: the CPU concerned, if one is.
    => `pages`: pages that it moved or, for the daemon, looked at.
    """

    what: str
    cause: str
    cpu: int | None
    began_ns: int
    ended_ns: int
    pages: int


class EventLog:
    """The events of one system, `uvm.events`.

    => `dropped`: events beyond the first LIMIT, which are not kept.
    => `_entries` and `dropped` are guarded by `_lock`, a leaf.

    >>> with uvmfree.boot(npages=64, ncpus=1) as uvm, uvm.run_on(0) as cpu:
    ...     cpu.pagefree(cpu.pagealloc())
    ...     uvm.redistribute()
    ...     [(event.what, event.cause, event.cpu, event.pages) for event in uvm.events.snapshot()]
    1
    [('redistribute', 'explicit', 0, 1)]
    """

    def __init__(self, raw_lock: Callable[[], RawLock], clock_ns: Callable[[], int]) -> None:
        self._lock = raw_lock()
        self._clock_ns = clock_ns
        self._entries: list[Event] = []
        self.dropped = 0

    def add(self, what: str, cause: str, cpu: int | None, began_ns: int, pages: int) -> None:
        """Note what ends now."""
        event = Event(what, cause, cpu, began_ns, self._clock_ns(), pages)
        with self._lock:
            if len(self._entries) < LIMIT:
                self._entries.append(event)
            else:
                self.dropped += 1

    def restart(self) -> None:
        """Keep what ends from now on."""
        with self._lock:
            self._entries = []
            self.dropped = 0

    def snapshot(self) -> tuple[Event, ...]:
        """Return the entries so far, in the order in which they ended; a copy, O(entries)."""
        with self._lock:
            return tuple(self._entries)
