"""A lock that is granted in the order of arrival: a CPU's own, and what the policies of shared locks begin from.

=> A circle of holders who wait for each other is found when it closes: `refuse_circle`.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from uvmfree.errors import DeadlockError
from uvmfree.kern.lockholds import Touched
from uvmfree.machine.costs import Costs
from uvmfree.machine.virtual.scheduler import Scheduler
from uvmfree.machine.virtual.strands import Strand

CLOSED: Final = -2
"""Of `open_to`: nobody may take the lock the short way."""


class Fifo:
    """A lock that is granted in the order of arrival.

    => `holder`: who has it. `free_at`: when it was, or will be, dropped last. `crowd`: how many wait off the heap.
    => `cpu`: who took it last, or -1: where its line is. `move`: what its last transfer took.
    => `open_to`: the CPU that may take it without a look at the heap, or CLOSED. `guarded`: the list that it guards.
    """

    spins: bool = False
    handed_lines: int = 0  # transfers of a hand-off to who has waited, beside that of the lock's line

    __slots__ = (
        "cpu",
        "crowd",
        "free_at",
        "guarded",
        "holder",
        "move",
        "name",
        "open_to",
        "queue",
        "scheduler",
        "since",
    )

    def __init__(self, scheduler: Scheduler, name: str, costs: Costs) -> None:
        self.scheduler, self.name = scheduler, name
        self.holder: Strand | None = None
        self.free_at = self.move = self.crowd = self.since = 0
        self.cpu = -1
        self.open_to = CLOSED
        self.guarded: Touched | None = None
        self.queue: deque[Strand] = deque()

    @property
    def waited_for(self) -> str:
        """How a report of a deadlock names it."""
        return f"{self.name}, held by {self.holder.name}" if self.holder else self.name

    def wait(self) -> None:
        """Wait for the lock."""
        if self.holder is None:
            self.scheduler.now = self.free_at
        else:
            self._queue_up()

    def released(self) -> None:
        """Give the lock to who came first."""
        self.crowd -= 1
        self.holder = self.queue.popleft()
        self.scheduler.wake(self.holder, self.scheduler.now)

    def _queue_up(self) -> None:
        me = self.scheduler.current
        self.refuse_circle(me)
        self.queue.append(me)
        self.crowd += 1
        self.park(me)

    def park(self, me: Strand) -> None:
        """Let the running strand wait until the lock is given to it, or an error that was sent to it is raised."""
        try:
            self.scheduler.park(self)
        except BaseException:
            self.give_up(me)
            raise

    def give_up(self, me: Strand) -> None:
        """Let a strand that an error was sent to wait no longer, nor have the lock."""
        if me in self.queue:
            self.queue.remove(me)
            self.crowd -= 1
        elif self.holder is me:
            self.drop()

    def drop(self) -> None:
        """Drop the lock at the running strand's clock, at no cost."""
        self.free_at = self.scheduler.now
        self.holder = None
        if self.crowd:
            self.released()

    def refuse_circle(self, me: Strand) -> None:
        """DeadlockError if the holder waits, through whatever locks, for the running strand."""
        said: list[str] = []
        waiter, lock = me, self
        while isinstance(lock, Fifo) and lock.holder is not None:
            said.append(f"{waiter.name} waits for {lock.waited_for}")
            waiter = lock.holder
            if waiter is me:
                raise DeadlockError(f"deadlock at {self.scheduler.now} ns: {'; '.join(said)}")
            lock = waiter.awaits
