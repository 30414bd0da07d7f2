"""A booted system with a swap file, an anon map, pageout state and a daemon put together by hand, none running.

=> CPUs 0 and 1 are for the test; CPU 2 is where the daemon and the I/O thread free pages, which then go straight to
   the global list, so that they count as free.
=> Every lock is checked (lockdebug): one taken out of order, or held where none may be, fails the test.
"""

import errno
from collections.abc import Callable
from types import TracebackType
from typing import Any

import uvmfree
from tests.kern.tasks import WAIT_S
from uvmfree.kern.eventlog import EventLog
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.anonpage import AnonState
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.pdaemon import Pagedaemon
from uvmfree.uvm.physmem import PhysMem
from uvmfree.uvm.swap import SwapFile, SwapIO
from uvmfree.uvm.uvmexp import Watermarks

PAGESIZE = 512
NCPUS = 3
MARKS = Watermarks(reserve_pagedaemon=1, reserve_kernel=5 * NCPUS, freemin=18, freetarg=24)
NPAGES = 64
USABLE = NPAGES - MARKS.reserve_kernel
"""Pages that an ordinary thread can get."""


def io_error(slot: int) -> OSError:
    return OSError(errno.EIO, f"slot {slot} is broken")


def until(true: Callable[[], object], wait_s: float = WAIT_S) -> None:
    """Let other threads run until something is true that then stays so; bounded."""
    machine = ThreadsMachine()
    give_up_ns = machine.clock_ns() + round(wait_s * 1e9)
    while not true():
        assert machine.clock_ns() < give_up_ns
        machine.sleep(50e-6)


class Rig:
    """The parts: `uvm`, `machine`, `pageout`, `daemon`, `file`, `swap`, `anons`; `cpu` is CPU 0, for one thread."""

    def __init__(
        self,
        *,
        npages: int = NPAGES,
        virtual: int = 2 * NPAGES,
        nslots: int = 2 * NPAGES,
        design: str = "percpu",
        marks: Watermarks = MARKS,
        patience_s: float = 10.0,
        wait: Callable[[float], bool] | None = None,
        physmem: Callable[[PhysMem], Any] = lambda real: real,
        machine: ThreadsMachine | None = None,
        **file: Any,
    ) -> None:
        self.machine = machine or ThreadsMachine(lockdebug=True)
        self.uvm = uvmfree.boot(self.machine, npages=npages, ncpus=NCPUS, pagesize=PAGESIZE, design=design)
        self.counters = self.machine.counters(("paging", "pdpending"))
        self.daemon_thread: int | None = None
        self.redistributions = 0
        self.pageout = Pageout(
            self.machine,
            self.counters,
            lambda: marks,
            self.free,
            lambda: self.machine.me() == self.daemon_thread,
            self.needs_scan,
        )
        self.daemon = Pagedaemon(
            self.machine,
            self.pageout,
            self.redistribute,
            EventLog(self.machine.raw_lock, self.machine.clock_ns),
            self.uvm.design.reclaiming,
            lambda: False,
        )
        self.file = SwapFile(self.machine, nslots, PAGESIZE, **file)
        self.swap = SwapIO(self.machine, self.file)
        self.anons = AnonMemory(
            self.machine,
            physmem(self.uvm.physmem),
            self.pageout,
            self.swap,
            npages=virtual,
            pagefree=self.pagefree,
            wait=wait or self.pageout.wait,
            patience_s=patience_s,
        )
        self.daemon.add_reclaimer(self.anons)

    def __enter__(self) -> "Rig":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.pageout.close()
        self.swap.close(WAIT_S)
        self.file.close()
        self.counters.close()
        self.uvm.close()

    @property
    def cpu(self) -> Cpu:
        return self.uvm.cpus[0]

    def free(self) -> int:
        return self.uvm.uvmexp.free

    def needs_scan(self) -> bool:
        return self.daemon.needs_scan()

    def redistribute(self) -> int:
        self.redistributions += 1
        return self.uvm.redistribute()

    def pagefree(self, pg: VmPage) -> None:
        self.uvm.cpus[2].pagefree(pg)
        self.uvm.redistribute(2)

    def touch(self, *indices: int, write: bool = False) -> None:
        for index in indices:
            self.anons.touch(self.cpu, index, write=write)

    def drain(self) -> int:
        """Do all writes that are queued, here and now."""
        done = 0
        while self.swap.one():
            done += 1
        return done

    def scan(self, *, io: bool = True) -> int:
        """Reclaim until there is no candidate left; with `io` do each write at once. Return the pages looked at."""
        looked = 0
        while self.anons.reclaim_one():
            looked += 1
            if io:
                self.drain()
        return looked

    def daemon_wait(self, timeout_s: float) -> bool:
        """Stand in for uvm_wait where no thread is the daemon: one pass, by hand, and its writes."""
        self.daemon.one_pass()
        self.drain()
        return True

    def state(self, index: int) -> AnonState:
        return self.anons.state(index)

    def settle(self) -> None:
        """Let go of all memory and check that every page is back, in one place."""
        self.anons.audit()
        self.anons.free_all(self.cpu)
        self.anons.audit()
        self.uvm.audit()
        self.uvm.redistribute()
        assert self.free() == self.uvm.param.npages
        assert (self.file.inuse, self.pageout.paging, self.pageout.pdpending) == (0, 0, 0)
