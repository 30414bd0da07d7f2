"""The faults of a stress run: what is done to a system to see it survive, each by name, each on a thread of its own.

    xcall       a cross-call that raises: its ticket must carry the error to who waits, its thread must live on (R31)
    stall       a CPU that stands still for 100 ms: inside its own lock, between a list and its counter, outside
    swapwrite   swap that is full, and writes that fail, by halves too: the page stays, dirty and counted (R22)
    exhaustion  all memory taken for a second or two, then given back
    storm       redistributions, kicks and cross-calls as fast as they go (P10, Q11)
    hotplug     a CPU that is detached and attached again under its thread; pages that change colours (Q13)

=> What injected and survived mean: stress/fault.py.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from uvmfree.errors import ArgumentError, BindError, OutOfPages, XcallError
from uvmfree.stress.fault import Fault
from uvmfree.stress.shared import Shared, StressError
from uvmfree.stress.stamps import EXHAUSTION, Held, Stamper
from uvmfree.uvm.cpu import Cpu


class InjectedError(Exception):
    """What a cross-call raises on purpose."""


class InjectedExit(BaseException):
    """The same, of the kind that `except Exception` lets pass."""


class XcallFault(Fault):
    """A cross-call that raises."""

    name = "xcall"
    pause_s = (0.005, 0.03)

    def inject(self, shared: Shared) -> bool:
        """Send it to one CPU or to all, wait for it, and send another that must still run."""
        xcall, ncpus = shared.uvm.xcall, shared.uvm.param.ncpus
        to = self._bits(8) % (ncpus + 1)
        raised = (InjectedError if self._bits(1) else InjectedExit)(f"injected, {self.injected + 1}")

        def function(cpu: Cpu) -> None:
            raise raised

        where = "all CPUs" if to == ncpus else f"CPU {to}"
        try:
            ticket = xcall.broadcast(function) if to == ncpus else xcall.unicast(function, to)
        except ArgumentError:
            return False  # the CPU is detached
        self.note(shared, f"{type(raised).__name__} on {where}")
        try:
            shared.xc_wait(ticket)
        except XcallError as error:
            if error.__cause__ is not raised:
                raise StressError(
                    f"xc_wait() raised {error!r}, not the error of the call on {where} (R31)"
                ) from error
        else:
            raise StressError(f"a cross-call raised on {where}, and xc_wait() did not (R31)")
        after: list[int] = []
        shared.xc_wait(xcall.broadcast(lambda cpu: after.append(cpu.index)))
        return True


class StallFault(Fault):
    """A CPU that stands still, wherever it is with its locks when it happens.

    => Needs a machine with a lockwatch: its hooks hold the CPU's thread up where it takes or drops a lock.
    => `inside`, `outside`: stalls with the CPU's own lock held, and without any.
    """

    name = "stall"
    pause_s = (0.3, 0.6)

    STALL_S: Final = 0.1
    ARMED_S: Final = 0.5
    """How long to wait for the CPU to come by: it may be detached, or asleep."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = self.outside = 0

    def details(self) -> dict[str, int]:
        """Where the CPU was."""
        return {"inside": self.inside, "outside": self.outside}

    def inject(self, shared: Shared) -> bool:
        """Hold one CPU up at the next lock that it takes, or drops."""
        watch = shared.watch
        index, how = self._bits(8) % len(shared.players), self._bits(8) % 3
        player = shared.players[index]
        design = shared.uvm.design
        shared_locks = design.shared_locks if how == 2 else ()
        taken = shared_locks or (design.guard(index), *design.shared_locks)
        names = dict.fromkeys(mutex.name for mutex in taken)
        mutexes = [mutex for name in names for mutex in watch.named(name)]
        hook = "on_taken" if how == 0 else "on_dropped"
        struck = shared.machine.raw_lock()  # whoever gets it is stalled, once
        held: list[tuple[str, ...]] = []

        def stall() -> None:
            if shared.machine.me() == player.thread and struck.acquire(False):
                held.append(watch.held_by(shared.machine.me()))
                shared.machine.sleep(shared.ns(self.STALL_S) / 1e9)
                held.append(())  # it is over

        before = [getattr(mutex, hook) for mutex in mutexes]
        for mutex in mutexes:
            setattr(mutex, hook, stall)
        try:
            until_ns = shared.machine.clock_ns() + shared.ns(self.ARMED_S)
            while not held and not shared.stopped and shared.machine.clock_ns() < until_ns:
                shared.look()
        finally:
            for mutex, hooked in zip(mutexes, before, strict=True):
                setattr(mutex, hook, hooked)
        if struck.acquire(False):
            return False  # nobody came by, and nobody will be stalled now
        shared.machine.sleep(shared.ns(self.STALL_S) / 1e9)
        while len(held) < 2:  # it began a moment ago, and may be late
            shared.look()
        self.note(shared, f"CPU {index} stood still with {', '.join(held[0]) or 'no lock'} held")
        if held[0]:
            self.inside += 1
        else:
            self.outside += 1
        return True


class SwapwriteFault(Fault):
    """Writes to swap that fail: the odd one, all for a while, and by halves.

    => The error is raised where swap writes, and what is half written really is: no device of the host takes part.
    => `failed`: writes that failed. Written by the I/O thread, which is the only one to write to swap.
    => `broken`: all writes fail; one reference, stored by the fault's thread.
    """

    name = "swapwrite"
    pause_s = (0.5, 1.0)

    BROKEN_S: Final = 0.2

    def __init__(self) -> None:
        super().__init__()
        self.failed = 0
        self.broken = self.over = False
        self._writes = 0
        self._half = False

    def details(self) -> dict[str, int]:
        """Each write that failed, in and between those times."""
        return {"writes": self.failed}

    def anon_memory(self) -> Mapping[str, Any]:
        """Have the map write through this fault."""
        return {"pwrite": self.pwrite}

    def pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        """Be pwrite(2) on a bad day; called by the I/O thread."""
        if self._half:
            self._half = False
            raise self._failure()
        self._writes += 1
        if self.over or not (self.broken or self._writes % 16 == 0):
            return os.pwrite(fd, data, offset)
        if self._writes % 2 == 0:
            self._half = True  # a page that is half written, and then no further
            return os.pwrite(fd, data[: len(data) // 2], offset)
        raise self._failure()

    def _failure(self) -> OSError:
        self.failed += 1
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def inject(self, shared: Shared) -> bool:
        """Let all writes fail for a while."""
        before = self.failed
        self.note(shared, "all writes fail")
        self.broken = True
        shared.nap(self.BROKEN_S)
        self.broken = False
        self.tell(shared, f"{self.failed - before} writes failed")
        return True

    def heal(self) -> None:
        """Let no write fail any more: the pages have to be had back."""
        self.over = True

    def finish(self, shared: Shared) -> None:
        """Check that the map has counted each write that failed (R22)."""
        counted = shared.anons[0].stats().swap_write_errors
        if counted != self.failed:
            raise StressError(f"{self.failed} writes to swap failed, the map counts {counted}")


class ExhaustionFault(Fault):
    """All memory taken, down to the reserves, and held for a while: the others wait, page out, and fail."""

    name = "exhaustion"
    pause_s = (3.0, 6.0)

    HELD_S: Final = (1.0, 2.0)

    def inject(self, shared: Shared) -> bool:
        """Take whatever there is or becomes free, hold it, check it, and free it."""
        uvm, stamper = shared.uvm, Stamper(shared.uvm)
        low, high = self.HELD_S
        held_s = low + (high - low) * self._bits(16) / (1 << 16)
        until_ns = shared.machine.clock_ns() + shared.brief_ns(held_s)
        taken: list[Held] = []
        self.note(shared, f"all memory is taken for {held_s:.1f} s")
        try:
            over = False
            while not over and shared.machine.clock_ns() < until_ns:
                want = max(1, uvm.uvmexp.free // 2)
                try:
                    run = uvm.pglistalloc(want, nsegs=want)
                except OutOfPages:
                    shared.machine.sleep(shared.brief_ns(0.005) / 1e9)
                    over = shared.stopped
                    continue
                for pg in run:
                    stamper.stamp(pg, EXHAUSTION, len(taken))
                    taken.append((pg, len(taken)))
                over = shared.stopped
        finally:
            self.tell(shared, f"{len(taken)} of {uvm.param.npages} pages were taken; they go back")
            for pg, version in taken:
                stamper.check(pg, EXHAUSTION, version)
                uvm.pagefree(pg)
        return True


class StormFault(Fault):
    """Redistributions without a rate limit, from several threads at once."""

    name = "storm"
    pause_s = (0.05, 0.2)

    def inject(self, shared: Shared) -> bool:
        """Hand all caches back, kick, and have every xc thread do so too, as fast as it goes."""
        uvm = shared.uvm
        if rest_s := shared.rest_s():
            shared.machine.sleep(rest_s)
        until_ns = shared.machine.clock_ns() + shared.brief_ns((10 + self._bits(5)) / 1000)
        rounds = 0
        while not shared.stopped and shared.machine.clock_ns() < until_ns:
            ticket = uvm.xcall.broadcast(lambda cpu: uvm.redistribute(cpu.index))
            uvm.redistribute()
            uvm.kick_pdaemon()
            shared.xc_wait(ticket)
            rounds += 1
        self.note(shared, f"{rounds} rounds")
        return True


class HotplugFault(Fault):
    """A CPU taken away and brought back, with a thread at work on it, and pages recoloured while it is gone."""

    name = "hotplug"
    pause_s = (0.02, 0.1)

    def inject(self, shared: Shared) -> bool:
        """Detach one CPU, change the colours or not, attach it again; with one CPU only recolour."""
        uvm, index = shared.uvm, self._bits(8) % shared.uvm.param.ncpus
        ncolors = 1 << self._bits(8) % 5
        if uvm.param.ncpus == 1:
            self.note(shared, f"{ncolors} colours")
            uvm.recolor(ncolors)
            return True
        with self._detached(shared, index):
            if self._bits(2) == 0:
                uvm.recolor(ncolors)
            shared.nap(self._bits(5) / 1000)
        return True

    @contextmanager
    def _detached(self, shared: Shared, index: int) -> Iterator[None]:
        self.note(shared, f"CPU {index} detached")
        shared.uvm.detach(index)
        try:
            self._refused(shared, index)
            yield
        finally:
            shared.uvm.attach(index)

    def _refused(self, shared: Shared, index: int) -> None:
        try:
            shared.uvm.cpus[index].pagealloc()
        except BindError:
            return
        raise StressError(f"CPU {index} is detached, and allocates (Q13)")


FAULTS: Final[dict[str, type[Fault]]] = {
    kind.name: kind for kind in (XcallFault, StallFault, SwapwriteFault, ExhaustionFault, StormFault, HotplugFault)
}
"""All faults, by name."""


def parse_faults(text: str) -> tuple[str, ...]:
    """Return the names in a list such as `stall,storm`, in the order of FAULTS; `all` and `none` stand alone.

    => ArgumentError names what is no fault, and those that there are.
    """
    named = [name.strip() for name in text.split(",")]
    if named == ["all"]:
        return tuple(FAULTS)
    if named == ["none"]:
        return ()
    for at, name in enumerate(named):
        if name in FAULTS and name in named[:at]:
            raise ArgumentError(f"--faults {text}: {name} is given twice")
        if name not in FAULTS:
            alone = " stands alone;" if name in ("all", "none") else " is no fault;"
            raise ArgumentError(f"--faults {text}: {name!r}{alone} give all, none, or some of {','.join(FAULTS)}")
    return tuple(name for name in FAULTS if name in named)
