"""The rules of time and want in the plainest way: timers, kicks, waiters, the pagedaemon (R17 to R22, P9, P10).

=> Whoever is woken by a call runs right after it, to its end; time passes when the test lets it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from uvmfree.param import Param


class PageoutModel(ABC):
    """What of a model is not about pages; they are added by Model."""

    CAUSES: ClassVar[tuple[str, ...]] = ()  # for which caches are handed back

    def __init__(self, param: Param) -> None:
        self.param = param
        self.attached = set(range(param.ncpus))
        self.playing: int | None = None  # the CPU that the test plays
        self.now_ns = 0
        # In which order those did it, of whom something was due at one moment: no rule says.
        self.in_order: Callable[[int, Sequence[str]], Sequence[str]] = lambda now_ns, due: due
        self.drained_ns: int | None = None  # when all caches were handed back for want of pages
        self.rate_limited = 0
        self.paging = self.pdpending = 0
        self.waiters: list[int] = []  # since when each sleeps
        self.slept_ns: list[int] = []
        self.kicked = False
        self.kicks = self.sleeps = self.timeouts = self.wakeups = self.pdwoke = self.pdrevs = 0

    # What is said elsewhere.

    @abstractmethod
    def free_count(self) -> int:
        """Return what uvmexp.free must be (R3)."""

    @abstractmethod
    def cached(self, cpu: int) -> int:
        """Return how many pages stand on this CPU's lists only."""

    @abstractmethod
    def redistribute(self, cpu: int, cause: str = "explicit") -> int:
        """Hand back what one CPU has cached (P8); return how many pages."""

    def timer(self, cpu: int) -> None:  # noqa: B027 - a design without caches does nothing then
        """Do what the xc thread of a CPU does once an interval (P9)."""

    @abstractmethod
    def idle(self, cpu: int) -> int:
        """Do what an idle CPU does (R14, R15)."""

    # Watermarks.

    @property
    def reserve_kernel(self) -> int:
        return 5 * len(self.attached)  # R24

    @property
    def freemin(self) -> int:
        low, high = (128 << 10) // self.param.pagesize, (1 << 20) // self.param.pagesize
        per_cpu = min(max(self.param.npages // 200, low), high)
        return max(per_cpu * len(self.attached), self.reserve_kernel + 1)

    @property
    def freetarg(self) -> int:
        return max(self.freemin * 4 // 3, self.freemin + 1)

    def countable(self, free: int) -> int:
        """Q3: with `count_cached`, what is in the caches by now counts too."""
        return free + sum(map(self.cached, self.attached)) if self.param.count_cached else free

    def is_short(self, free: int) -> bool:
        """R17."""
        return self.countable(free) + self.paging < self.freemin

    # Those who wait, and those who wake them.

    def kick(self) -> None:
        self.kicks += 1
        self.kicked = True

    def kick_if_short(self, free: int) -> None:
        """R4: by a count of the global list from before the allocation."""
        if self.is_short(free):
            self.kick()

    def begin_wait(self) -> None:
        """R18."""
        self.sleeps += 1
        self.waiters.append(self.now_ns)
        self.kicked = True

    def wait(self, timeout_ns: int) -> bool:
        """R18: from the test's own thread; whether it was woken in time."""
        until_ns = self.now_ns + timeout_ns
        self.begin_wait()
        if timeout_ns:
            self.daemon()
            while self.waiters and (due_ns := self.next_tick()) <= until_ns:
                self.tick(due_ns)
            if not self.waiters:
                return True
            self.now_ns = until_ns
        self.waiters.pop()
        self.timeouts += 1
        return False

    def wake(self) -> None:
        self.wakeups += bool(self.waiters)
        self.slept_ns += [self.now_ns - since for since in self.waiters]
        self.waiters.clear()

    def wake_waiters(self) -> None:
        """R22: if there are pages above the kernel reserve."""
        if self.countable(self.free_count()) > self.reserve_kernel:
            self.wake()

    def start(self, npages: int) -> None:
        """R22."""
        self.paging += npages
        self.pdpending += 1

    def done(self, npages: int) -> None:
        """R22."""
        self.paging -= npages
        self.pdpending -= 1
        if self.countable(self.free_count()) > self.reserve_kernel:
            self.wake()
        else:
            self.kicked = True

    def drain(self, cause: str) -> bool:
        """P10, Q11: hand all caches back, unless that was done a moment ago."""
        if cause not in self.CAUSES:
            return False
        gap_ns = round(self.param.redistribute_min_gap_s * 1e9)
        if self.drained_ns is not None and self.now_ns - self.drained_ns < gap_ns:
            self.rate_limited += 1
            return False
        self.drained_ns = self.now_ns
        # Who takes the locks visits all CPUs; a call goes to those that are there.
        taken = self.param.remote_drain or cause == "retry"
        for cpu in range(self.param.ncpus) if taken else sorted(self.attached):
            self.redistribute(cpu, cause)
        self.wake_waiters()
        return True

    def daemon(self) -> None:
        """R19 to R21: pass after pass until it sleeps."""
        while self.kicked or (self.waiters and self.paging == 0):
            self.kicked = False
            self.pdwoke += 1
            if self.short_of_target():
                self.drain("pressure")
            self.pdrevs += self.short_of_target()
            if self.countable(self.free_count()) > self.reserve_kernel or self.paging == 0:
                self.wake()

    def short_of_target(self) -> bool:
        return self.countable(self.free_count()) + self.paging < self.freetarg

    # Time.

    def advance(self, npassed_ns: int) -> None:
        until_ns = self.now_ns + npassed_ns
        while (due_ns := self.next_tick()) <= until_ns:
            self.tick(due_ns)
        self.now_ns = until_ns

    def intervals(self) -> tuple[int, int | None]:
        """Return how often xc threads and idle threads look, in ns."""
        idle_ns = round(self.param.idle_interval_s * 1e9) if self.param.idlezero else None
        return round(self.param.redistribute_interval_s * 1e9), idle_ns

    def next_tick(self) -> int:
        return min((self.now_ns // every + 1) * every for every in self.intervals() if every)

    def tick(self, now_ns: int) -> None:
        """Do what is due at one moment, in whatever order; the daemon is woken by it, and so comes last."""
        self.now_ns = now_ns
        kinds = zip(("xc", "idle"), self.intervals(), strict=True)
        due = [f"{kind}/{cpu}" for kind, ns in kinds if ns and now_ns % ns == 0 for cpu in range(self.param.ncpus)]
        for name in self.in_order(now_ns, due):
            kind, cpu = name.split("/")
            if kind == "xc":
                self.timer(int(cpu))
                self.wake_waiters()
            elif int(cpu) in self.attached - {self.playing}:
                self.idle(int(cpu))
        self.daemon()
