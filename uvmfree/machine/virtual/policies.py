"""Lock policies: who gets a lock next, and when. One class each.

A holder's critical section runs at once, without a switch, so a lock that is free in the order of events may still be
held in virtual time: until `free_at`. Who comes before that waits as its policy says:

    fifo     a CPU's own lock: in the order of arrival, at the moment of the release
    mcs      the same for a shared lock: each spins on a line of its own, so that a hand-off takes as long for any
             number of spinners
    ticket   in the order of arrival; each further spinner delays a hand-off, since all fetch the line
    ttas     who looks first after the release: NetBSD's spin mutex with its exponential backoff
    sleep    who comes first; who waits long sleeps, and whoever wakes it pays: Python's lock

=> `wait()`: the running strand came at its clock and found the lock taken; returns when it is granted, the clock then
   being the moment of the grant. The transfer of the lock's line comes on top, for all policies (virtual/locks.py).
=> `released()`: the running strand has dropped the lock, and `crowd` strands wait off the heap.
=> Source: Mellor-Crummey and Scott 1991; Boyd-Wickizer et al. 2012; of ttas see virtual/ttas.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from uvmfree.machine.costs import Costs
from uvmfree.machine.virtual.fifo import Fifo
from uvmfree.machine.virtual.scheduler import Scheduler
from uvmfree.machine.virtual.strands import Strand
from uvmfree.machine.virtual.ttas import Ttas


class Mcs(Fifo):
    """A queue of spinners, each on its own line.

    => A hand-off is three transfers, one after the other: the holder reads who comes next, which that one has stored
       into the holder's node; it stores into the node on which that one spins; that one reads it.
    """

    handed_lines = 2

    __slots__ = ()


class Ticket(Fifo):
    """A ticket lock: all spin on one line, which each of them fetches at each hand-off.

    => `_grants`: when those that came before are granted. They are as many as will have come after the running
       strand when it is granted, if the crowd is steady.
    """

    __slots__ = ("_grants", "_spinner_ns")

    def __init__(self, scheduler: Scheduler, name: str, costs: Costs) -> None:
        super().__init__(scheduler, name, costs)
        self._spinner_ns = costs.ns("ticket_spinner")
        self._grants: deque[int] = deque()

    def wait(self) -> None:
        """Wait for the turn."""
        scheduler, grants = self.scheduler, self._grants
        while grants and grants[0] <= scheduler.now:
            grants.popleft()
        others = len(grants) + self.crowd
        super().wait()
        scheduler.now += others * self._spinner_ns
        grants.append(scheduler.now)


class Sleep(Fifo):
    """Python's lock: a waiter that would wait long sleeps; waking it costs who drops the lock, and it may be late.

    => Who comes while a woken sleeper is on its way takes the lock before it.
    => Who finds the lock held in virtual time, though its holder has dropped it in the order of events, is woken by
       that one, too, which then comes later to its next shared step.
    """

    __slots__ = ("_spin_ns", "_took", "_wake_ns", "_wakeup_ns")

    def __init__(self, scheduler: Scheduler, name: str, costs: Costs) -> None:
        super().__init__(scheduler, name, costs)
        self._spin_ns, self._wake_ns = costs.ns("sleep_spin"), costs.ns("sleep_wake")
        self._wakeup_ns = costs.ns("wakeup")
        self._took: Strand | None = None

    def seen(self, acquire: Callable[..., bool]) -> Callable[..., bool]:
        """Remember who takes the lock this way: it is to wake others."""

        def taken(blocking: bool = True, timeout: float = -1) -> bool:
            took = acquire(blocking)
            if took:
                self._took = self.scheduler.current
            return took

        return taken

    def wait(self) -> None:
        """Spin for a while, then sleep, until the lock is free."""
        scheduler = self.scheduler
        while self.holder is not None or self.free_at > scheduler.now:
            if self.holder is not None:
                self._queue_up()
            elif self.free_at - scheduler.now <= self._spin_ns:
                scheduler.now = self.free_at
            else:
                if self._took is not None:
                    scheduler.delay(self._took, self._wake_ns)
                scheduler.park(self, self.free_at + self._wakeup_ns)

    def released(self) -> None:
        """Wake who has slept longest."""
        self.crowd -= 1
        self.scheduler.wake(self.queue.popleft(), self.free_at + self._wakeup_ns)
        self.scheduler.now += self._wake_ns


POLICIES: Final[dict[str, type[Fifo]]] = {"ttas": Ttas, "ticket": Ticket, "mcs": Mcs, "sleep": Sleep}
"""What a shared lock may be."""
