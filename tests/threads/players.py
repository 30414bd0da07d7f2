"""What carries a program out: a player for each CPU, and the desk over which they hand pages to each other.

The operations, each a tuple that begins with its name:

    alloc n how             n pages, with the options HOW[how] of tests/threads/programs.py
    free n, hand n cpu      the n oldest pages in hand are freed, or put on the tray of another CPU
    take                    takes in hand what stands on the own tray
    churn n times           n pages are allocated, freed, and handed back, so often
    redistribute cpu        of a CPU, or of all (None)
    run n scattered wait    uvm_pglistalloc(); runfree frees the oldest such run
    zero n pieces           n pages are allocated and freed, then zeroed ahead of time until so many pieces are done
    touch page n write      accesses n pages of the anon map; discard page forgets one
    call                    a cross-call that allocates and frees on every CPU
    kick, wait              wakes the daemon; sleeps for pages, 1 ms at most

The conductor has a thread of its own and plays no CPU. The last CPU is played by nobody, and he takes it out:

    recolor ncolors; detach, attach; bind (another thread plays the last CPU for a moment); audit

=> Every page that is held is in one of the players' lists, a tray, or the anon map; `Desk.books()` counts them.
=> Whoever gets a page writes to it, so that one which comes out as zero though nobody zeroed it shows.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import Any

import uvmfree
from tests.kern.tasks import WAIT_S
from tests.threads.truth import Books
from uvmfree.kern.xcall import Ticket
from uvmfree.uvm.allocator import Cpu
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.anonpage import AnonState
from uvmfree.uvm.page import VmPage


class Desk:
    """What the players of one run share.

    => `stuck`: writes to swap do not end before go_on().
    """

    def __init__(self, uvm: uvmfree.Uvm, *, stuck: bool) -> None:
        self.uvm = uvm
        ncpus = uvm.param.ncpus
        self.anons: AnonMemory | None = None
        self.trays: list[deque[VmPage]] = [deque() for _ in range(ncpus)]
        self.held: list[deque[VmPage]] = [deque() for _ in range(ncpus)]
        self.runs: list[deque[list[VmPage]]] = [deque() for _ in range(ncpus)]
        self.allocs, self.frees = [0] * ncpus, [0] * ncpus  # by player; each written by its own thread
        self.ranged = [0] * ncpus
        self.called: deque[int] = deque()  # pages that cross-calls allocated and freed
        self.tickets: deque[Ticket] = deque()
        self._gate = threading.Event()
        if not stuck:
            self._gate.set()

    def fail(self, slot: int) -> OSError | None:
        """Let a write to swap wait at the gate; none fails."""
        assert self._gate.wait(WAIT_S)
        return None

    def go_on(self) -> None:
        self._gate.set()

    def books(self) -> Books:
        """Count what is held, and what the players did; when all have ended and the daemon sleeps."""
        mine = sum(map(len, (*self.trays, *self.held))) + sum(len(run) for runs in self.runs for run in runs)
        books = Books(
            held=mine, allocs=sum(self.allocs) + len(self.called), frees=sum(self.frees) + len(self.called),
            ranged=sum(self.ranged),
        )  # fmt: skip
        if self.anons is not None:
            states = [self.anons.state(index) for index in range(self.anons.npages)]
            stats = self.anons.stats()
            books.paging = states.count(AnonState.PAGEOUT)
            books.held += stats.resident - books.paging
            books.allocs += stats.flt_przero + stats.pgswapin
            books.frees += stats.flt_przero + stats.pgswapin - stats.resident
            self.anons.audit()
        return books

    def give_all_back(self) -> None:
        """Free all pages that are held, whoever holds them."""
        for index, (tray, held, runs) in enumerate(zip(self.trays, self.held, self.runs, strict=True)):
            for pages in (tray, held, *runs):
                self.frees[index] += len(pages)
                for pg in pages:
                    self.uvm.cpus[index].pagefree(pg)
            for each in (tray, held, runs):
                each.clear()
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

    def conduct(self, ops: tuple[tuple[Any, ...], ...]) -> None:
        """Be the conductor."""
        last, attached = self.uvm.param.ncpus - 1, True
        for name, *arguments in ops:
            match name:
                case "recolor":
                    self.uvm.recolor(*arguments)
                case "detach" if attached:
                    self.uvm.detach(last)
                    attached = False
                case "attach" if not attached:
                    self.uvm.attach(last)
                    attached = True
                case "bind" if attached:
                    with self.uvm.run_on(last) as cpu:
                        self.call(cpu)
                case "audit":
                    self.uvm.audit()


class Player:
    """One thread on one CPU."""

    def __init__(self, desk: Desk, cpu: Cpu) -> None:
        self.desk, self.uvm, self.cpu, self.me = desk, desk.uvm, cpu, cpu.index
        self.held, self.runs, self.tray = desk.held[self.me], desk.runs[self.me], desk.trays[self.me]

    def play(self, ops: tuple[tuple[Any, ...], ...], how: dict[str, dict[str, Any]]) -> None:
        for name, *arguments in ops:
            if name == "alloc":
                self.alloc(arguments[0], **how[arguments[1]])
            else:
                getattr(self, name)(*arguments)

    def alloc(self, n: int, *, zero: bool = False, **options: Any) -> None:
        for _ in range(n):
            pg = self.cpu.pagealloc(zero, **options)
            if pg is not None:
                self.desk.allocs[self.me] += 1
                if zero:
                    assert not any(self.uvm.physmem.bytes_of(pg)), f"{pg!r} came out as zero and is not"
                self.uvm.physmem.bytes_of(pg)[-1] = 1
                self.held.append(pg)

    def free(self, n: int) -> None:
        for _ in range(min(n, len(self.held))):
            self.cpu.pagefree(self.held.popleft())
            self.desk.frees[self.me] += 1

    def cycle(self, n: int) -> None:
        before = len(self.held)
        self.alloc(n)
        self.held.rotate(len(self.held) - before)  # free just those
        self.free(len(self.held) - before)

    def churn(self, n: int, times: int) -> None:
        for _ in range(times):
            self.cycle(n)
            self.uvm.redistribute(self.me)

    def hand(self, n: int, to: int) -> None:
        for _ in range(min(n, len(self.held))):
            self.desk.trays[to].append(self.held.popleft())

    def take(self) -> None:
        while self.tray:
            self.held.append(self.tray.popleft())

    def redistribute(self, cpu: int | None) -> None:
        self.uvm.redistribute(cpu)

    def run(self, n: int, scattered: bool, wait: bool) -> None:
        try:
            run = self.uvm.pglistalloc(n, nsegs=n if scattered else 1, waitok=wait, timeout_s=0.001)
        except uvmfree.OutOfPages:
            return
        self.desk.ranged[self.me] += n
        self.runs.append(run)

    def runfree(self) -> None:
        if self.runs:
            run = self.runs.popleft()
            self.uvm.pglistfree(run)
            self.desk.frees[self.me] += len(run)

    def zero(self, n: int, pieces: int) -> None:
        self.cycle(n)
        left = iter(range(pieces))
        self.cpu.pageidlezero(lambda: next(left, None) is None)

    def touch(self, index: int, n: int, write: bool) -> None:
        assert self.desk.anons is not None
        for each in range(index, index + n):
            try:
                self.desk.anons.touch(self.cpu, each % self.desk.anons.npages, write=write)
            except (uvmfree.OutOfPages, uvmfree.HangError):
                # No page came free, or a write to swap did not end, in the time that the map has: close() says if a
                # thread hung or died.
                break

    def discard(self, index: int) -> None:
        assert self.desk.anons is not None
        try:
            self.desk.anons.discard(self.cpu, index)
        except uvmfree.HangError:
            return  # as above

    def call(self) -> None:
        self.desk.tickets.append(self.uvm.xcall.broadcast(self.desk.call))

    def kick(self) -> None:
        self.uvm.kick_pdaemon()

    def wait(self) -> None:
        self.uvm.wait(0.001)
