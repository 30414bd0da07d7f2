"""The drainer: hands all caches back when pages are short, but not more often than is useful (P10, Q11).

Two ask for it: the pagedaemon before it scans, and with `drain_retry` an allocation that has failed. Both share one
rate limit, `redistribute_min_gap_s`: a struggling system is helped by one drain, and stopped by a storm of them.

=> With `remote_drain` the caller takes each CPU's own lock itself; else each CPU's xc thread is asked to do it, as in
   the proposal, where nobody but a CPU touches its list (Q14).
=> An allocation never sleeps, and an xc thread may be the one that allocates: a retry always takes the locks itself.
"""

from typing import Any

from uvmfree.errors import ClosedError, XcallTimeout
from uvmfree.kern.xcall import Xcall
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.design import Design
from uvmfree.uvm.state import UvmState

XCALL_TIMEOUT_S = 0.25
"""How long to wait for xc threads that do not come: the longest that a waiter may sleep beside free pages."""


class Drainer:
    """Rate-limited redistribution of all CPUs of a system.

    => `rate_limited` counts what was asked for in vain. It and the time of the last drain are guarded by `_lock`, a
       leaf that is held for a comparison.
    """

    def __init__(self, state: UvmState, design: Design[Any], xcall: Xcall[Cpu]) -> None:
        self._state = state
        self._design = design
        self._xcall = xcall
        self._lock = state.machine.raw_lock()
        self._last_ns: int | None = None
        self.rate_limited = 0

    def drain(self, cause: str) -> bool:
        """Hand all caches back unless that was done a moment ago; whether it was done. No lock may be held.

        => A design that hands nothing back for this cause is not asked, and its next drain is not held off by that.
        """
        if cause not in self._design.CAUSES:
            return False
        now_ns = self._state.machine.clock_ns()
        with self._lock:
            gap_ns = self._state.param.redistribute_min_gap_s * 1e9
            if self._last_ns is not None and now_ns - self._last_ns < gap_ns:
                self.rate_limited += 1
                return False
            self._last_ns = now_ns
        if self._state.param.remote_drain or cause == "retry":
            for index in range(self._state.param.ncpus):
                self._design.redistribute(index, cause)
        else:
            try:
                ticket = self._xcall.broadcast(lambda cpu: self._hand_back(cpu.index, cause))
                self._xcall.wait(ticket, XCALL_TIMEOUT_S)
            except XcallTimeout:
                pass  # those that came have drained; the others will when they can
            except ClosedError:
                return False
        self._state.pageout.wake_waiters()
        return True

    def _hand_back(self, index: int, cause: str) -> None:
        """Do an xc thread's part; one that comes late has nobody behind it to wake the waiters (Q6)."""
        self._design.redistribute(index, cause)
        self._state.pageout.wake_waiters()
