"""The pagedaemon: a thread that keeps free memory at its target.

=> It sleeps while there is nothing to do (R19). Each pass first has the CPU caches handed back if memory is short
   (P10), at most once in `redistribute_min_gap_s`; then, if it is still short, it scans for pages to reclaim (R20);
   then it wakes the waiters (R21).
=> It is given what it reclaims from: a Reclaimer. Without one there is nothing but the caches.

Source: uvm_pageout, uvmpd_scan in sys/uvm/uvm_pdaemon.c of NetBSD 9; the proposal, P10.
"""

from collections.abc import Callable
from typing import Protocol

from uvmfree.errors import ClosedError
from uvmfree.kern.eventlog import EventLog
from uvmfree.machine.face import Machine
from uvmfree.uvm.pageout import Pageout


class Reclaimer(Protocol):
    """Something that pages can be reclaimed from."""

    def needs_scan(self) -> bool:
        """Whether the replacement policy wants a scan though memory is not short; asked without a lock."""

    def reclaim_one(self) -> bool:
        """Look at one page: free it, or start to write it out; False if there is no candidate left.

        => The daemon dies of what this raises; not of a ClosedError while the system closes.
        """


class Pagedaemon:
    """The daemon of one system.

    => `redistribute()` hands all CPU caches back, and returns the pages moved. Called by the daemon only.
    => `reclaiming(True)` is called where a pass begins that finds memory short, `reclaiming(False)` where it ends.
       `closing()`: whether the system is being closed.
    => `pdwoke`, `pdrevs`, `pdscans`: wakeups, passes that scanned, pages looked at. Written by the daemon only;
       read by others as plain integers, which may be a moment old.

    >>> with uvmfree.boot(npages=64, ncpus=1) as uvm:
    ...     woken = uvm.wait(timeout_s=60)  # by a pass of the daemon, which finds memory enough and scans nothing
    ...     print(woken, uvm.pagedaemon.pdwoke > 0, uvm.pagedaemon.pdrevs, uvm.pagedaemon.pdscans)
    True True 0 0
    """

    def __init__(
        self,
        machine: Machine,
        pageout: Pageout,
        redistribute: Callable[[], int],
        events: EventLog,
        reclaiming: Callable[[bool], None],
        closing: Callable[[], bool],
    ) -> None:
        self._machine = machine
        self._pageout = pageout
        self._redistribute = redistribute
        self._events = events
        self._reclaiming = reclaiming
        self._closing = closing
        self._reclaimers: tuple[Reclaimer, ...] = ()  # replaced whole before the daemon is started, then only read
        self.pdwoke = self.pdrevs = self.pdscans = 0

    def add_reclaimer(self, reclaimer: Reclaimer) -> None:
        """Let the daemon reclaim from this too."""
        self._reclaimers = (*self._reclaimers, reclaimer)

    def needs_scan(self) -> bool:
        """Whether anything that it reclaims from wants a scan though memory is not short (R17); without a lock."""
        return any(one.needs_scan() for one in self._reclaimers)

    def run(self) -> None:
        """Be the pagedaemon until the system closes; a pass that is under way then is broken off where it is."""
        try:
            while self._pageout.daemon_sleep():
                self.pdwoke += 1
                self.one_pass()
        except BaseException as error:
            if isinstance(error, ClosedError) and self._closing():
                return
            self._pageout.daemon_died(error)
            raise

    def one_pass(self) -> None:
        """Free memory if it is short, then wake whoever waits for it."""
        began_ns, scanned = self._machine.clock_ns(), self.pdscans
        if short := self._short_of_target():
            self._reclaiming(True)
            self._redistribute()
        if self._short_of_target() or self.needs_scan():
            self._scan()
        if short:
            self._reclaiming(False)
        self._pageout.daemon_pass_over()
        self._events.add("daemon", "", None, began_ns, self.pdscans - scanned)

    def _short_of_target(self) -> bool:
        return self._pageout.free() + self._pageout.paging < self._pageout.marks().freetarg

    def _scan(self) -> None:
        """Reclaim until there is four times the target, or nothing left to reclaim (uvmpd_scan, R20)."""
        self.pdrevs += 1
        for reclaimer in self._reclaimers:
            while self._pageout.free() + self._pageout.paging < 4 * self._pageout.marks().freetarg:
                self.pdscans += 1
                if not reclaimer.reclaim_one():
                    break
