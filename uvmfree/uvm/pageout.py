"""Pageout state under a lock of its own, uvm_pageout_lock (P2): who waits for pages, what is being paged out.

Today uvm_fpageqlock guards this too. Split off, it is taken when memory is short and hardly ever otherwise. It is a
leaf: whoever kicks the daemon, waits, or finishes a pageout has dropped the page locks first.

=> `free` here is what decides whether memory is short: uvmexp.free, and with `count_cached` also what the CPU caches
   hold (Q3). It is read without a lock and re-checked all the time (P1).
=> No wakeup is lost. A waiter is counted, and the daemon told, under the lock that it sleeps on; the daemon does not
   sleep while there are waiters and nothing is being paged out (R19), and each of its passes ends by waking them if
   there is memory or no more to hope for (R21).

Source: uvm_wait, uvm_kick_pdaemon, uvm_pageout_start, uvm_pageout_done in sys/uvm/uvm_pdaemon.c of NetBSD 9.
"""

from collections.abc import Callable
from typing import Final

from uvmfree.errors import ClosedError, DeadlockError, HangError
from uvmfree.kern.lockrank import UVM_PAGEOUT_LOCK
from uvmfree.machine.face import Machine
from uvmfree.machine.words import CounterPage
from uvmfree.uvm.uvmexp import Watermarks

WAIT_BUCKETS: Final = 40
"""Histogram of sleeps: bucket b counts sleeps w with w.bit_length() == b, in nanoseconds."""


class Pageout:
    """Waiters, pageouts in flight, and the state of the daemon's sleep.

    Guarded by uvm_pageout_lock, all of it. wake_waiters() alone first looks at `waiters` without it: one that it
    misses counts itself later, and tells the daemon, whose next pass wakes it. `paging` and `pdpending` are words of
    the counter page: written plainly under the lock, read without it.

    => `marks()`: the watermarks now. `free()`: what counts as free now.
    => `needs_scan()` is the page replacement policy's own wish for a scan (R17); asked without a lock.
    => `waiters`, `paging`: threads that sleep in uvm_wait, pages on their way to swap. `kicks`, `wakeups`: of the
       daemon, and of waiters; `sleeps`, `timeouts`: of waiters, those that ran out of time. `sleep_ns_total`, `_max`.

    >>> with uvmfree.boot(npages=64, ncpus=1) as uvm:
    ...     uvm.kick_pdaemon()
    ...     print(uvm.wait(timeout_s=60), uvm.pageout.waiters, uvm.pageout.paging, uvm.pageout.sleeps)
    True 0 0 1
    """

    def __init__(
        self,
        machine: Machine,
        counters: CounterPage,
        marks: Callable[[], Watermarks],
        free: Callable[[], int],
        is_pagedaemon: Callable[[], bool],
        needs_scan: Callable[[], bool],
    ) -> None:
        self._machine = machine
        self.marks = marks
        self.free = free
        self._is_pagedaemon = is_pagedaemon
        self._needs_scan = needs_scan
        self._words = counters.unlocked()
        self._paging, self._pdpending = counters.slot("paging"), counters.slot("pdpending")
        self.mutex = machine.mutex(UVM_PAGEOUT_LOCK)
        self._wait_handle = self.mutex.handle("uvm_wait")
        self._kick_handle = self.mutex.handle("uvm_kick_pdaemon")
        self._done_handle = self.mutex.handle("uvm_pageout_done")
        self._daemon_handle = self.mutex.handle("uvm_pageout")
        self._pages = machine.condvar()  # waiters sleep here
        self._daemon = machine.condvar()  # the daemon sleeps here
        self.arrived = machine.event()  # happens after each pageout, for those who wait until nothing is on its way
        self._kicked = False
        self._daemon_waits = False  # in wait(), where a kick does not reach it
        self._round = 0  # goes up with every wakeup of the waiters
        self._closed = False
        self._died: BaseException | None = None
        self.waiters = 0
        self.restart()

    def restart(self) -> None:
        """Count sleeps, kicks and wakeups from now on; at rest, or in virtual time."""
        self.kicks = self.wakeups = self.sleeps = self.timeouts = 0
        self.sleep_ns_total = self.sleep_ns_max = 0
        self.sleep_hist = [0] * WAIT_BUCKETS

    @property
    def paging(self) -> int:
        """Pages on their way to the swap file; an unlocked read."""
        return self._words[self._paging]

    @property
    def pdpending(self) -> int:
        """Pageout requests in flight; an unlocked read (exact, unlike in the kernel: R23)."""
        return self._words[self._pdpending]

    def is_short(self, free: int) -> bool:
        """Whether the daemon should be woken, with so many pages free (R17)."""
        marks, available = self.marks(), free + self.paging
        return available < marks.freemin or (available < marks.freetarg and self._needs_scan())

    def kick_if_short(self, free: int) -> None:
        """Wake the daemon if memory is short (uvm_kick_pdaemon, R4); no page lock may be held."""
        if self.is_short(free):
            self.kick()

    def kick(self) -> None:
        """Wake the daemon."""
        with self._kick_handle:
            self.kicks += 1
            self._kicked = True
            self._daemon.signal()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Sleep until pages may be had; the caller then tries again (uvm_wait, R18).

        => False if `timeout_s` ran out. ClosedError if the system is closed meanwhile.
        => DeadlockError if the pagedaemon itself waits with nothing being paged out; what is being paged out wakes it
           when the last of it is done. HangError if the daemon has died.
        """
        began_ns = self._machine.clock_ns()
        with self._wait_handle:
            self._check_alive()
            if self._is_pagedaemon():
                if self.paging == 0:
                    raise DeadlockError("the pagedaemon waits for pages, and nothing is being paged out")
                self._daemon_waits = True
            self.waiters += 1
            self.sleeps += 1
            self._kicked = True
            self._daemon.signal()
            round_before = self._round
            while round_before == self._round:
                left_s = None
                if timeout_s is not None:
                    left_s = timeout_s - (self._machine.clock_ns() - began_ns) / 1e9
                    if left_s <= 0:
                        self.waiters -= 1
                        self.timeouts += 1
                        self._daemon_waits = self._daemon_waits and not self._is_pagedaemon()
                        return False
                self._pages.wait(self._wait_handle, left_s)
            slept_ns = self._machine.clock_ns() - began_ns
            self.sleep_ns_total += slept_ns
            self.sleep_ns_max = max(self.sleep_ns_max, slept_ns)
            self.sleep_hist[min(slept_ns.bit_length(), WAIT_BUCKETS - 1)] += 1
            self._check_alive()
        return True

    def wake_waiters(self) -> None:
        """Wake all waiters, if there are any and pages above the kernel reserve; after pages became free."""
        if self.waiters and self.free() > self.marks().reserve_kernel:
            with self._done_handle:
                self._wake()

    def start(self, npages: int) -> None:
        """Note that so many pages are on their way out (uvm_pageout_start, R22)."""
        with self._daemon_handle:
            self._words[self._paging] += npages
            self._words[self._pdpending] += 1

    def done(self, npages: int) -> None:
        """Note that they have arrived and are free, or failed (uvm_pageout_done, R22)."""
        with self._done_handle:
            self._words[self._paging] -= npages
            self._words[self._pdpending] -= 1
            if self.free() <= self.marks().reserve_kernel:
                self._kicked = True
                self._daemon.signal()
                if self._daemon_waits and self.paging == 0:
                    self._wake()  # nothing else would
            else:
                self._wake()
        self.arrived.notify()

    def daemon_sleep(self) -> bool:
        """Let the daemon sleep until it is needed (R19); False when the system closes."""
        with self._daemon_handle:
            while not self._closed and not self._kicked and (self.waiters == 0 or self.paging > 0):
                self._daemon.wait(self._daemon_handle)
            self._kicked = False
            return not self._closed

    def daemon_pass_over(self) -> None:
        """Wake the waiters at the end of a pass if there is memory, or no more to hope for (R21)."""
        with self._daemon_handle:
            if self.waiters and (self.free() > self.marks().reserve_kernel or self.paging == 0):
                self._wake()

    def daemon_died(self, error: BaseException) -> None:
        """Let every waiter, now and later, know that no daemon will free pages for it."""
        with self._daemon_handle:
            self._died = error
            self._wake()

    def refuse(self, refuse: Callable[[], object]) -> None:
        """Have every call raise by `refuse` from now on, without a lock; for the child of a fork."""
        for handle in (self._wait_handle, self._kick_handle, self._done_handle, self._daemon_handle):
            handle.refuse(refuse)

    def close(self) -> None:
        """Wake the daemon so that it ends, and all waiters, who get ClosedError; idempotent."""
        with self._daemon_handle:
            self._closed = True
            self._daemon.broadcast()
            self._wake()

    @property
    def daemon_rests(self) -> bool:
        """Whether the pagedaemon sleeps and nobody has asked for it; exact with `mutex` held."""
        return self._daemon.awaited and not self._kicked

    def _wake(self) -> None:
        """Wake all waiters; with the lock held."""
        if self.waiters:
            self.wakeups += 1
        self.waiters = 0
        self._daemon_waits = False
        self._round += 1
        self._pages.broadcast()

    def _check_alive(self) -> None:
        if self._closed:
            raise ClosedError("the system was closed while a thread waited for pages")
        if self._died is not None:
            raise HangError(f"the pagedaemon died of {self._died!r}; no pages will be freed") from self._died
