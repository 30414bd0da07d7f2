"""Locks as a caller takes them in virtual time: what taking one costs is charged here, behind acquire and release.

    acquire   the caller's work before it; wait by the policy; the transfer of the lock's line, or a locked operation
    release   the work under the lock: hold, pages that the guarded list says were touched, lines of data that came
              with the lock; the store that drops it; the caller's work after it

=> A CPU's own lock that nobody else wants is taken without a look at the heap within the quantum: no data is torn,
   because one strand runs at a time. Whoever comes from elsewhere is granted it at max(its clock, `free_at`).
=> Closures, because each local hit comes this way twice.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final

from uvmfree.kern.lockrank import Kind
from uvmfree.machine.costs import CHARGES, LOOKS, OTHER, OUTSIDE_TIME, Costs
from uvmfree.machine.virtual.fifo import CLOSED, Fifo
from uvmfree.machine.virtual.jitter import ByCpu, Jitter
from uvmfree.machine.virtual.lines import Lines
from uvmfree.machine.virtual.policies import Sleep
from uvmfree.machine.virtual.scheduler import Scheduler


class Taken:
    """A lock as one caller takes it: the face of `threading.Lock`.

    => `freed_ns()`: when this caller last gave it back. The clock after a release is later: others may have run.
    """

    __slots__ = ("acquire", "freed_ns", "lock", "release")

    def __init__(
        self, lock: Fifo, acquire: Callable[..., bool], release: Callable[[], None], freed_ns: Callable[[], int]
    ) -> None:
        self.lock, self.acquire, self.release, self.freed_ns = lock, acquire, release, freed_ns

    def locked(self) -> bool:
        """Whether anybody holds the lock, in the order of events."""
        return self.lock.holder is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()


class Prices:
    """What the callers of the locks of one machine pay."""

    def __init__(self, scheduler: Scheduler, costs: Costs, jitter: Jitter, lines: Lines) -> None:
        self._scheduler, self._costs, self._jitter, self._lines = scheduler, costs, jitter, lines

    def taken(self, lock: Fifo, kind: Kind, caller: str, home: int | None, *, alone: bool = False) -> Taken:
        """Make the access of one caller to a lock of a kind; `home`: the CPU whose own it is.

        => `alone`: no other strand has started, so nobody wants the lock, and no CPU's own is seen to be held.
        """
        scheduler, ns = self._scheduler, self._costs.ns
        if caller == LOOKS:
            return _looked(scheduler, lock)
        if caller in OUTSIDE_TIME:
            return _outside_time(scheduler, lock)
        charge = CHARGES.get((kind, caller), OTHER)
        key = f"{lock.name}/{caller}"
        acquire_ns, release_ns = ns("lock_acquire"), ns("lock_release")
        if kind == "off":
            acquire_ns, release_ns = ns("off_enter"), ns("off_leave")
        hold = self._jitter.costs(ns(charge.hold), f"{key}/hold", release_ns) if charge.own else None
        acquire = _acquire(scheduler, lock, self._lines.moves, self._jitter.costs(ns(charge.before), key), acquire_ns)
        if isinstance(lock, Sleep):
            acquire = lock.seen(acquire)
        if kind == "off":
            acquire = _from_elsewhere(scheduler, home, acquire, ns("rendezvous"))
        if alone and home == scheduler.cpu and hold is not None:
            return _own_alone(scheduler, lock, home, self._lines.moves, acquire_ns, hold)
        if home is not None and hold is not None:
            return _own(scheduler, lock, home, acquire, acquire_ns, hold)
        release = _release(
            scheduler,
            lock,
            self._lines,
            hold_ns=release_ns + ns(charge.hold),
            page_ns=ns(charge.per_page),
            item_ns=ns(charge.per_item),
            lines=ns(charge.lines),
            after=self._jitter.costs(ns(charge.after), f"{key}/after") if charge.after else None,
        )
        return Taken(lock, acquire, *release)


def _from_elsewhere(
    scheduler: Scheduler, home: int | None, acquire_any: Callable[..., bool], rendezvous_ns: int
) -> Callable[..., bool]:
    """A lock here, and none in a kernel: who comes from another CPU has that one stand still, by a cross-call."""

    def acquire(blocking: bool = True, timeout: float = -1) -> bool:
        if scheduler.cpu != home:
            scheduler.now += rendezvous_ns
        return acquire_any(blocking)

    return acquire


def _own(
    scheduler: Scheduler,
    lock: Fifo,
    home: int,
    acquire_any: Callable[..., bool],
    acquire_ns: int,
    hold: ByCpu,
) -> Taken:
    """A CPU's own lock, as its player takes it; `hold`: the work under it, and the store that drops it."""

    def acquire(blocking: bool = True, timeout: float = -1) -> bool:
        if lock.open_to == scheduler.cpu and scheduler.now <= scheduler.limit:
            lock.open_to = CLOSED
            lock.holder = scheduler.current
            scheduler.now += acquire_ns
            return True
        return acquire_any(blocking)

    freed_ns = 0

    def release() -> None:
        nonlocal freed_ns
        scheduler.now = lock.free_at = freed_ns = scheduler.now + hold[scheduler.cpu]()
        lock.holder = None
        if lock.crowd:
            lock.released()
        elif scheduler.cpu == home:
            lock.open_to = home

    return Taken(lock, acquire, release, lambda: freed_ns)


def _own_alone(
    scheduler: Scheduler, lock: Fifo, home: int, moves: list[list[int]], acquire_ns: int, hold: ByCpu
) -> Taken:
    """A CPU's own lock, as the one strand that there is takes it while it acts as that CPU."""
    held_ns = hold[home]

    def acquire(blocking: bool = True, timeout: float = -1) -> bool:
        if lock.cpu == home:
            scheduler.now += acquire_ns
        else:
            scheduler.now += moves[lock.cpu][home]
            lock.cpu = home
        return True

    def release() -> None:
        scheduler.now += held_ns()

    return Taken(lock, acquire, release, lambda: scheduler.now)


def _acquire(
    scheduler: Scheduler, lock: Fifo, moves: list[list[int]], before: ByCpu, acquire_ns: int
) -> Callable[..., bool]:
    """Make the acquisition of any lock, in the order of events."""
    spun, handed_lines = lock if lock.spins else None, lock.handed_lines
    tried_ns = -1  # when it was tried in vain: whoever goes on to wait has done the work before it

    def acquire(blocking: bool = True, timeout: float = -1) -> bool:
        nonlocal tried_ns
        cpu = scheduler.cpu
        if scheduler.now != tried_ns:
            scheduler.now += before[cpu]()
        tried_ns = -1
        if scheduler.now > scheduler.head and scheduler.sync(spun if blocking else None):
            pass  # granted
        elif lock.holder is not None or lock.free_at > scheduler.now:
            if not blocking:
                tried_ns = scheduler.now
                return False
            lock.wait()
            if handed_lines:
                scheduler.now += handed_lines * moves[lock.cpu][cpu]
        lock.holder = scheduler.current
        lock.open_to = CLOSED
        lock.since = now = scheduler.now
        lock.move = move = moves[lock.cpu][cpu]
        scheduler.now = now + (move or acquire_ns)
        if cpu >= 0:
            lock.cpu = cpu
        return True

    return acquire


def _release(
    scheduler: Scheduler,
    lock: Fifo,
    pages: Lines,
    *,
    hold_ns: int,
    page_ns: int,
    item_ns: int,
    lines: int,
    after: ByCpu | None,
) -> tuple[Callable[[], None], Callable[[], int]]:
    """Make the release, and what tells when it was; without a list that tells what was touched it was one page."""
    freed_ns = 0

    def release() -> None:
        nonlocal freed_ns
        guarded = lock.guarded
        touched_ns = page_ns if guarded is None else pages.touched(guarded, page_ns, item_ns)
        scheduler.now = lock.free_at = freed_ns = scheduler.now + hold_ns + lines * lock.move + touched_ns
        lock.holder = None
        if lock.crowd:
            lock.released()
        if after is not None:
            scheduler.now += after[scheduler.cpu]()

    return release, lambda: freed_ns


LOOK_NS: Final = 1000
"""How long until somebody who looks, and found a strand inside, looks again; each time twice as long."""


def _looked(scheduler: Scheduler, lock: Fifo) -> Taken:
    """Make the access of somebody who only looks, at a moment at which no strand is inside: it takes nothing.

    => What is guarded is in order then, though in virtual time the lock is held until `free_at`.
    """

    def acquire(blocking: bool = True, timeout: float = -1) -> bool:
        if scheduler.now > scheduler.head:
            scheduler.sync()
        nap_ns = LOOK_NS
        while lock.holder is not None:
            if not blocking:
                return False
            scheduler.sleep(nap_ns)
            nap_ns *= 2
        return True

    return Taken(lock, acquire, lambda: None, lambda: scheduler.now)


def _outside_time(scheduler: Scheduler, lock: Fifo) -> Taken:
    """Make the access of somebody who stands outside of time: nobody waits for it longer, no line moves."""

    def acquire(blocking: bool = True, timeout: float = -1) -> bool:
        if scheduler.now > scheduler.head:
            scheduler.sync()
        if lock.holder is not None or lock.free_at > scheduler.now:
            if not blocking:
                return False
            lock.wait()
        lock.holder = scheduler.current
        lock.open_to = CLOSED
        lock.since = scheduler.now
        lock.move = 0
        return True

    return Taken(lock, acquire, lock.drop, lambda: scheduler.now)
