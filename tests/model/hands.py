"""Whose a page is: every thread's hands, and one table that knows which page is in whose.

=> Whoever gets a page fills it with a stamp. So a page that has two holders is found when the second one gets it, one
   that somebody else wrote to when it is given up, and one that comes out as zero though nobody zeroed it at once.
=> Threads hand pages to each other by trays. A page on a tray is still the giver's, until it is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import uvmfree
from uvmfree.kern.xcall import Ticket
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.anonpage import AnonState
from uvmfree.uvm.cpu import Cpu, Lwp
from uvmfree.uvm.page import VmPage

STAMPS = 250


@dataclass
class Books:
    """What those who used a system know: pages held, pages being paged out, and allocations that succeeded."""

    held: int
    allocs: int
    paging: int = 0


class Table:
    """What all who use one system share.

    => `holders[pfn]`: whose the page is, and its stamp; None if it is nobody's. Written by its holder only: that
       there is just one is what is under test.
    => `called`: pages that cross-calls have allocated and freed. `away`: CPUs that are detached; written by the one
       thread that detaches. `in_flight`: pageouts that were begun, by their pages; likewise.
    """

    def __init__(self, uvm: uvmfree.Uvm, nthreads: int) -> None:
        self.uvm = uvm
        self.holders: list[tuple[Hands, int] | None] = [None] * uvm.param.npages
        self.hands = [Hands(self, me) for me in range(nthreads)]
        self.anons: AnonMemory | None = None
        self.impatient: tuple[type[Exception], ...] = ()  # what a fault may end with, besides
        self.called: deque[int] = deque()
        self.tickets: deque[Ticket] = deque()
        self.away: set[int] = set()
        self.in_flight: list[int] = []

    def map(self) -> AnonMemory:
        """Return the anon map; there is one where an operation is about it."""
        assert self.anons is not None
        return self.anons

    def held(self) -> set[int]:
        """Return all pages that are somebody's; at rest."""
        return {pfn for pfn, holder in enumerate(self.holders) if holder is not None}

    def books(self) -> Books:
        """Count what is held and what was allocated; when all threads have ended and the daemon sleeps."""
        books = Books(len(self.held()), sum(hands.allocs for hands in self.hands) + len(self.called))
        if self.anons is not None:
            states = [self.anons.state(index) for index in range(self.anons.npages)]
            stats = self.anons.stats()
            books.paging = states.count(AnonState.PAGEOUT)
            books.held += stats.resident - books.paging
            books.allocs += stats.flt_przero + stats.pgswapin
            self.anons.audit()
        return books

    def give_all_back(self) -> None:
        """Free all pages that are held, whoever holds them, and all of the anon map."""
        for hands in self.hands:
            hands.take()
            while (pg := hands.gives(0)) is not None:
                self.uvm.pagefree(pg)
        if self.anons is not None:
            self.anons.free_all(self.uvm.cpus[0])

    def call(self, cpu: Cpu) -> None:
        """Be a cross-call: allocate and free a page on an xc thread, whoever plays the CPU."""
        with suppress(uvmfree.BindError):  # detached, or taken over, meanwhile
            pg = cpu.pagealloc()
            if pg is not None:
                try:
                    cpu.pagefree(pg)
                except uvmfree.BindError:
                    self.uvm.pagefree(pg)
                self.called.append(pg.pfn)

    def is_zero(self, pg: VmPage) -> bool:
        return bytes(self.uvm.physmem.bytes_of(pg)) == bytes(self.uvm.param.pagesize)

    def filled(self, stamp: int) -> bytes:
        return bytes([stamp]) * self.uvm.param.pagesize


class Hands:
    """One thread's: what it holds, oldest first, and which CPU it plays.

    => `cpu`: the object by which it plays CPU `me`: `played`, or if that is None whichever plays the CPU now.
    => `allocs`: calls of pagealloc() that succeeded.
    """

    def __init__(self, table: Table, me: int) -> None:
        self.table, self.uvm, self.me = table, table.uvm, me
        self.lwp: Lwp = "user"
        self.held: deque[VmPage] = deque()
        self.tray: deque[VmPage] = deque()
        self.allocs = 0
        self.played: Cpu | None = None
        self._stamp = 0

    @property
    def cpu(self) -> Cpu:
        return self.played if self.played is not None else self.uvm.cpus[self.me]

    @contextmanager
    def playing(self, cpu: Cpu | None = None) -> Iterator[Cpu]:
        """Play the CPU from now on by one object: that which is given, or a new one."""
        if cpu is None:
            with self.uvm.run_on(self.me, lwp=self.lwp) as cpu, self.playing(cpu):
                yield cpu
            return
        before, self.played = self.played, cpu
        try:
            yield cpu
        finally:
            self.played = before

    def took(self, pages: list[VmPage]) -> None:
        """Have pages that came from the system; nobody else may."""
        for pg in pages:
            other = self.table.holders[pg.pfn]
            assert other is None, f"thread {self.me} was given {pg!r}, which thread {other[0].me} holds"  # type: ignore[index]
            assert pg.place is uvmfree.Place.ALLOCATED, f"thread {self.me} was given {pg!r}"
            self._stamp = self._stamp % STAMPS + 1
            self.table.holders[pg.pfn] = self, self._stamp
            self.uvm.physmem.bytes_of(pg)[:] = self.table.filled(self._stamp)
            self.held.append(pg)

    def gives(self, at: int) -> VmPage | None:
        """Give up one of the pages in hand, counted round from the oldest, if there is one."""
        if not self.held:
            return None
        at %= len(self.held)
        pg = self.held[at]
        del self.held[at]
        self._check(pg)
        self.table.holders[pg.pfn] = None
        return pg

    @contextmanager
    def unless_refused(self, pages: list[VmPage]) -> Iterator[None]:
        """Free pages that were given up; those that a call refuses are in hand again."""
        try:
            yield
        except Exception:
            self.took([pg for pg in pages if pg.place is uvmfree.Place.ALLOCATED])
            raise

    def hand(self, to: Hands) -> None:
        """Put the oldest page on another thread's tray."""
        to.tray.append(self.held.popleft())

    def take(self) -> None:
        """Take in hand what stands on the tray."""
        while self.tray:
            pg = self.tray.popleft()
            self.table.holders[pg.pfn] = self, self._check(pg)
            self.held.append(pg)

    def _check(self, pg: VmPage) -> int:
        holder = self.table.holders[pg.pfn]
        assert holder is not None, f"thread {self.me} holds {pg!r}, which is nobody's"
        stamp = holder[1]
        found = bytes(self.uvm.physmem.bytes_of(pg)) == self.table.filled(stamp)
        assert found, f"somebody wrote to {pg!r}, which thread {holder[0].me} holds"
        return stamp
