"""A booted system: the public face over one design, its threads and its memory.

=> `boot()` (uvm/boot.py) builds it, `with uvm:` starts its threads and ends them. What needs no threads works before.
=> Everything that belongs to one system hangs on it; two systems in one process share nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any

from uvmfree.errors import ArgumentError, BindError, HangError, OutOfPages, UvmError
from uvmfree.machine.face import Machine
from uvmfree.param import Param
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.audit import audit
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.design import Design
from uvmfree.uvm.fork import stopped_in_children
from uvmfree.uvm.leftheld import wrested
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.parts import OBSERVER as OBSERVER
from uvmfree.uvm.parts import Parts
from uvmfree.uvm.pglist import Request, checked
from uvmfree.uvm.state import Lwp


class Uvm(Parts):
    """A system of pages, CPUs and counters.

    => `uvmexp`: the counters. `xcall`: cross-calls. `param`: what it was booted with. `physmem`: RAM.
    => `traits`: what its design says of itself. `design`: the design, for those who test one or write one.
    => `pageout`, `pagedaemon`: who waits for pages, and who frees them.
    => `machine`: the Machine that it runs on, for those who drive it. `events`: redistributions and the daemon's
       passes, with their times.
    => Any thread may call anything here, with no lock held; a Cpu belongs to the thread that plays it.

    >>> with uvmfree.boot(npages=4096, ncpus=2) as uvm, uvm.run_on(1) as cpu:
    ...     cpu.pagefree(cpu.pagealloc())
    ...     print(uvm.cached_pages(), uvm.uvmexp.free)  # what CPU 1 caches does not count as free
    ...     print(len(uvm.pglistalloc(16, alignment=16)), uvm.redistribute(1))
    (0, 1) 4095
    16 1
    """

    def __init__(self, param: Param, machine: Machine, design: type[Design[Any]], tunables: Any) -> None:
        """Boot. Use boot() instead."""
        super().__init__(param, machine, design, tunables)
        self._audit_locks = self.design.all_locks("uvm_audit")
        stopped_in_children(self)

    def __enter__(self) -> Uvm:
        """Start the threads of the system: xc threads, the pagedaemon, and idle threads if they have work."""
        self._check_open()
        if not self._started:
            self._started = True
            self._threads.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Run the queued cross-calls, end the threads, refuse further calls, let go of all pages; idempotent.

        => Whoever waits for pages gets ClosedError.
        => HangError or UvmError if a thread hung or died, or a lock was left held by a call that something broke off
           (run_on() says by what); the system is closed all the same, in a bounded time.
        => Do not close a system that a thread still plays a CPU of: its next call raises ClosedError.
        => DeadlockError on a thread of the system, as in a cross-call: it would wait for itself. Nothing has changed.
        """
        if self._closed:
            return
        self._threads.check_not_own()
        with self.machine.interrupts_held_back():
            self._close()

    def _close(self) -> None:
        self._closed = True
        try:
            left = wrested(self._mutexes())
            try:
                self._threads.end()
            finally:
                if left:
                    raise HangError(
                        f"{', '.join(left)}: not released by who took it; the system is closed all the same"
                    )
        finally:
            self.uvmexp.freeze()
            self.design.stop(self._check_open)
            self._counters.close()
            for cpu in self.design.cpus:
                cpu.forget_ram()
            self.physmem.close()

    def forked(self) -> None:
        """Refuse every call from now on; for the child of a fork, where no other thread is, and no lock is taken."""
        self._closed = self._forked = True
        self._players.forked()
        for cpu in self.design.cpus:
            cpu.stop(self._check_open)
        for part in (self.xcall, self.pageout, self._anon_maps):
            part.refuse(self._check_open)

    @property
    def cpus(self) -> Sequence[Cpu]:
        """The CPUs, by number; an entry is the object that plays the CPU now. Good for single-threaded use."""
        return tuple(self.design.cpus)

    @contextmanager
    def run_on(self, index: int, lwp: Lwp = "user") -> Iterator[Cpu]:
        """Bind the calling thread to a CPU and yield the Cpu, built by this thread so that it shares nothing.

        => One thread at a time plays a CPU: BindError if another does. An object of this CPU that was had
           before raises BindError from now on.
        => `lwp`: what kind of thread this is; a "kernel" thread may use the kernel reserve (R5).
        => Ctrl-C in the main thread waits until no call of the allocator is under way (kern/interrupt.py), where
           SIGINT has Python's own handler. What else raises in the midst of a call, as a handler of your own, may
           leave a page or a count behind, which audit() finds, or a lock, which audit() and close() name, each in a
           bounded time; other calls that need that lock hang.
        """
        self._check_index("run_on", index)
        if lwp not in ("user", "kernel", "pagedaemon"):
            raise ArgumentError(f"lwp={lwp!r}: must be 'user', 'kernel' or 'pagedaemon'")
        self._hotplug.check_attached(index)
        with self.machine.interrupts_held_back():
            self._players.enter(index)
            before = self._players.lwp()
            self._players.set_lwp(lwp)
            try:
                yield self.design.bind(index)
            finally:
                self._players.set_lwp(before)
                self._players.leave(index)

    def kick_pdaemon(self) -> None:
        """Wake the pagedaemon (uvm_kick_pdaemon)."""
        self._check_open()
        self.pageout.kick()

    def anon_memory(self, npages: int, swap_pages: int, **how: Any) -> AnonMemory:
        """Make an anon map of `npages` virtual pages with as many slots of swap; before the system starts.

        => The pagedaemon reclaims from it when memory is short. `how`: uvm/anonmaps.py. ArgumentError.
        """
        self._check_open()
        if self._started:
            raise ArgumentError("anon_memory(): maps are made before the threads of the system are started")
        return self._anon_maps.add(npages, swap_pages, **how)

    def pglistalloc(
        self,
        size: int,
        low: int = 0,
        high: int | None = None,
        alignment: int = 1,
        boundary: int = 0,
        nsegs: int = 1,
        waitok: bool = False,
        timeout_s: float | None = None,
    ) -> list[VmPage]:
        """Allocate `size` pages between frames `low` and `high` (uvm_pglistalloc, P7, R25 to R29).

        => One run if `nsegs` < `size`, or there is an `alignment` or a `boundary` (all in pages); else any pages.
        => `waitok`: for pages that need not be one run, wait for those that are missing, at most `timeout_s` in all.
        => ArgumentError names a wrong argument; OutOfPages if they are not to be had, and nothing has changed.
        => Takes every lock; none may be held. O(npages) in the worst case: caches are emptied to find a run.
        """
        self._check_open()
        request = checked(size, low, high, alignment, boundary, nsegs, end=self.physmem.end)
        free = self.uvmexp.free
        try:
            if request.contiguous or not waitok:
                return self._pglist.alloc(request)
            return self._collect(request, timeout_s)
        finally:
            self.pageout.kick_if_short(self._countable(free))

    def _collect(self, request: Request, timeout_s: float | None) -> list[VmPage]:
        """Keep what was got, wait for what is missing, and go on, at most `timeout_s` seconds in all (R29).

        => OutOfPages, or what wait() raised: all that was got has gone back then.
        """
        clock_ns = self.machine.clock_ns
        until_ns = None if timeout_s is None else clock_ns() + round(timeout_s * 1e9)
        pages: list[VmPage] = []
        try:
            while len(pages) < request.size:
                with suppress(OutOfPages):
                    pages += self._pglist.alloc_some(replace(request, size=request.size - len(pages)))
                left_s = None if until_ns is None else (until_ns - clock_ns()) / 1e9
                if len(pages) < request.size and not self.wait(left_s):
                    raise OutOfPages(f"only {len(pages)} of {request.size} pages came free within {timeout_s} s")
        except UvmError:
            self.pglistfree(pages)
            raise
        return sorted(pages, key=lambda pg: pg.pfn)

    def pglistfree(self, pages: Sequence[VmPage]) -> None:
        """Free pages that pglistalloc() returned, to the CPU that the caller plays, or CPU 0 (uvm_pglistfree).

        => DoubleFree, ForeignPage for the first page that cannot be freed; those before it are free. O(pages).
        """
        self._check_open()
        for pg in pages:
            self.pagefree(pg)

    def pagefree(self, pg: VmPage) -> None:
        """Free a page to the CPU that the caller plays; who plays none, or one that is detached, uses the lowest.

        => DoubleFree, ForeignPage: nothing has changed.
        """
        self._check_open()
        index = self._players.mine()
        if index is not None:
            try:
                self.design.cpus[index].pagefree(pg)
            except BindError:
                pass  # it is detached
            else:
                return
        self._hotplug.pagefree(pg)

    def recolor(self, ncolors: int) -> None:
        """Change the number of page colours, with pages in caches and in use (uvm_page_recolor, Q13).

        => ArgumentError unless `ncolors` is a power of two within the limits of Param. Takes every lock; O(npages).
        """
        self._check_open()
        self._hotplug.recolor(ncolors)

    def detach(self, index: int) -> None:
        """Take a CPU out of the system at run time, with pages in its cache (Q13).

        => What it has cached goes to the global list. Calls of its Cpu raise BindError from now on. O(pages cached).
        => ArgumentError for the last CPU. Takes every lock; none may be held.
        """
        self._check_index("detach", index)
        self._hotplug.detach(index)

    def attach(self, index: int) -> None:
        """Bring a detached CPU back, with an empty cache (uvm_cpu_attach, Q13); ArgumentError for one attached.

        => Takes every lock; O(CPUs), and the lists of the one that comes.
        """
        self._check_index("attach", index)
        self._hotplug.attach(index)

    def redistribute(self, cpu: int | None = None) -> int:
        """Hand the cached pages of one CPU, or of all, to the global list (P8); return how many were moved.

        => Takes the CPU's guard, then the design's shared locks; O(lists), not O(pages), where lists go by pointer.
        => ArgumentError for a CPU that there is not. A design that hands nothing back for "explicit" moves none.
        """
        self._check_open()
        if cpu is None:
            return sum(self._redistribute(index) for index in range(self.param.ncpus))
        self._check_index("redistribute", cpu)
        return self._redistribute(cpu)

    def audit(self) -> None:
        """Walk everything at rest; AuditError lists what is wrong (uvm/audit.py). Takes every lock; O(npages)."""
        self._check_open()
        audit(self._state, self.design, self._audit_locks, self._mutexes(), lambda: self._pglist.allocated)

    def _redistribute(self, index: int) -> int:
        moved = self.design.redistribute(index, "explicit")
        self.pageout.wake_waiters()
        return moved

    def _check_index(self, call: str, index: int) -> None:
        self._check_open()
        if type(index) is not int or not 0 <= index < self.param.ncpus:
            raise ArgumentError(f"{call}({index!r}): there are CPUs 0 to {self.param.ncpus - 1}")
