"""The virtual machine as the state machines use one: nothing costs time, which passes when the test lets it pass."""

from collections import defaultdict
from collections.abc import Sequence

from uvmfree.errors import HangError
from uvmfree.kern.lock import RawLock
from uvmfree.machine.costs import COUNTS, SETS, costs_for
from uvmfree.machine.virtual.events import VirtualRawLock
from uvmfree.machine.virtual.machine import VirtualMachine

FREE_OF_COST = {name: 0 for name in SETS["xeon-2s"] if name not in COUNTS}


class NotedLock(VirtualRawLock):
    """A lock that writes down on whom it was too slow; whoever waits for a time waits for such a lock.

    => Of those whose time is up at one moment the test's own strand is the last, as on a TurnsMachine.
    """

    __slots__ = ("_machine",)

    def __init__(self, machine: "VirtualTurns") -> None:
        super().__init__(machine.scheduler, 0)
        self._machine = machine

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        got = super().acquire(blocking, timeout)
        if blocking and not got:
            self._machine.time_is_up()
        return got


class VirtualTurns(VirtualMachine):
    """A virtual machine with what a test asks of a TurnsMachine."""

    trouble = ""  # a deadlock is raised

    def __init__(self) -> None:
        two_sockets = {
            "socket_cores": 2,
            "complex_cores": 2,
            "core_threads": 2,
        }  # of two CPUs each, as on a TurnsMachine
        free = costs_for("xeon-2s", **FREE_OF_COST, **two_sockets, jitter_percent=0, other_lines=0)
        self._ran_out: defaultdict[int, list[str]] = defaultdict(list)  # a moment -> whose time was up then
        super().__init__(ncpus=8, costs=free, lock="mcs", lockdebug=True, check=True)

    def raw_lock(self) -> RawLock:
        return NotedLock(self)

    def time_is_up(self) -> None:
        """Note that the running strand has waited as long as it wanted to."""
        if self.scheduler.current is self.scheduler.main:
            self.sleep(0)
        self._ran_out[self.now_ns].append(self.scheduler.current.name)

    def in_order(self, now_ns: int, due: Sequence[str]) -> Sequence[str]:
        """Return in which order those ran, of whom something was due at that moment; all of them did."""
        ran = [name for name in self._ran_out[now_ns] if name.startswith(("xc/", "idle/"))]
        assert sorted(ran) == sorted(due), f"at {now_ns} ns {ran} ran, and {due} should have"
        return ran

    @property
    def now_ns(self) -> int:
        return self.clock_ns()

    def settle(self) -> None:
        """Let all others run until they sleep."""
        steps = -1
        # Whoever is ready now runs before this strand does again; a step more says that somebody was woken.
        while self.scheduler.number != steps + 1:
            steps = self.scheduler.number
            self.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let time pass; whoever sleeps until a moment in between, or the last one, wakes at that moment."""
        self.sleep(seconds)
        self.settle()

    def give_up(self) -> None:
        """End every strand that is left."""
        self.scheduler.abandon(HangError("the test is over"))
        try:
            self.sleep(0)
        except HangError:
            self.settle()
