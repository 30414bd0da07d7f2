"""What the parts of one system share, and the words in which a caller asks for a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from uvmfree.kern.eventlog import EventLog
from uvmfree.machine.face import Machine
from uvmfree.machine.words import CounterPage
from uvmfree.param import Param
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.physmem import PhysMem
from uvmfree.uvm.uvmexp import UvmExp

Strat = Literal["normal", "only", "fallback"]
"""Which freelists may serve a request (R10): UVM_PGA_STRAT_NORMAL, _ONLY, _FALLBACK."""

Lwp = Literal["user", "kernel", "pagedaemon"]
"""What kind of thread asks: a kernel thread may use the kernel reserve (R5), the pagedaemon also its own (R6)."""


@dataclass(frozen=True, slots=True)
class UvmState:
    """What the parts of one system share; every reference is fixed at boot.

    => `tunables`: those of the design, an instance of its Tunables.
    => `lwp_of()` tells what kind of thread is calling; off the hot path.
    => `pageout`: who waits for pages. `countable(n)`: what counts as free when n pages are on the global list (Q3).
       `relieve()` hands all caches back because an allocation failed, if that was
       not done a moment ago; whether it did.
    => `check_open()`: ClosedError if the system was closed; who asks with a lock of the design held may go on.
    => `uvmexp.marks` is replaced whole when a CPU comes or goes; a reader sees the old ones or the new.
    """

    param: Param
    tunables: Any
    machine: Machine
    physmem: PhysMem
    counters: CounterPage
    uvmexp: UvmExp
    pageout: Pageout
    events: EventLog
    lwp_of: Callable[[], Lwp]
    countable: Callable[[int], int]
    relieve: Callable[[], bool]
    check_open: Callable[[], None]
