"""What the threads of a stress run share: the system, pages on their way from one to another, and the end of it all.

=> `trays` and `loose` are deques: appended to and popped from by several threads, each operation whole (that is what
   collections.deque promises). What is taken from one is the taker's alone.
=> `stopped` only ever goes from False to True, and is polled; a stale value costs a step more.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from uvmfree.errors import BindError, ClosedError, UvmError, XcallTimeout
from uvmfree.kern.lockwatch import LockWatch
from uvmfree.kern.xcall import Ticket
from uvmfree.stress.counted_time import LEAST, TimeThatCounts
from uvmfree.stress.stamps import LOOSE, XCALL, Held, Stamper
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.system import Uvm

NAP_S: Final = 0.02
"""How often a sleeping thread of the run looks whether it is over."""

LOOK_S: Final = 0.0001
"""How often a thread looks that waits for what no event announces."""

STEP_S: Final = 0.001
"""How long who waits for a step of a CPU sleeps at first; then twice as long each time: that CPU sleeps itself."""

TICKET_S: Final = 10.0
TICKET_CPUS: Final = 8
"""How long a cross-call may take: a hundred times the longest stall; with more CPUs longer, as each xc thread has to
have its turn. So much time that counts: what the threads had a processor for (stress/counted_time.py)."""

TICKET_LOOK_S: Final = 0.5
"""How often who waits for one asks what counted of its time."""

STARVED_STEPS_S: Final = 100.0
"""Steps of a CPU in a second, on average, below which threads wait for their turns for most of the time: a hundredth
of what one does that has a processor to itself."""


BURST_S: Final = 0.2
"""How long all CPUs are at work together between two rests, in a run that has rests: some thousand steps of each."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How dense a run is, and what the host's time does not give a machine of another time.

    => `rate`: how many times as much happens in a second as on threads. All times that the parts of a run state are
       those of threads; Shared makes them the machine's.
    => `busy`: the share of the time in which CPUs are at work, all together; they rest in between.
    => `step_ns`: a CPU's own work for each step. `preempts`: threads are held up at their locks
       (stress/preempt.py).
    => `processor_ns()`: the processor time that the threads got, all together, where processors are the host's.
    """

    rate: float = 1.0
    busy: float = 1.0
    step_ns: int = 0
    preempts: bool = False
    processor_ns: Callable[[], int] | None = None


AS_THREADS: Final = Pace()


class StressError(UvmError):
    """Something answered otherwise than its contract says; names it."""


class Plays(Protocol):
    """A CPU's thread, as far as others look at it.

    => `done`: steps; written by its thread, read by others as one integer that may be a moment old.
    => `thread`: which one it is, or None before it runs; stored once.
    """

    index: int
    done: int
    thread: int | None


class Shared:
    """One run's common state; made before the system starts.

    => `anons`: the anon maps that all CPUs access. `players`: by CPU; complete before any thread starts.
       `watch`: the locks of the system.
    => A Reclaimer: the pagedaemon takes pages off `loose`.
    => Times are those of threads, and become the machine's in `nap()`, `look()` and `ns()` (Pace).
    """

    def __init__(
        self, uvm: Uvm, watch: LockWatch, seed: int, anons: Sequence[AnonMemory], pace: Pace = AS_THREADS
    ) -> None:
        self.uvm, self.watch = uvm, watch
        self.machine = uvm.machine
        self.seed, self.pace = seed, pace
        self.anons = tuple(anons)
        self.players: list[Plays] = []
        self.trays: tuple[deque[Held], ...] = tuple(deque() for _ in range(uvm.param.ncpus))
        self.loose: deque[Held] = deque()
        self.stopped = False
        self.began_ns = self.machine.clock_ns()  # stored once more when the CPUs begin, before their threads
        self.ticket_s = TICKET_S * max(1.0, uvm.param.ncpus / TICKET_CPUS) / self.pace.rate
        self._nap_ns, self._look_s = self.ns(NAP_S), LOOK_S / pace.rate
        self._lock = uvm.machine.raw_lock()  # a leaf
        self._failures: list[tuple[str, BaseException]] = []  # guarded by it
        uvm.pagedaemon.add_reclaimer(self)

    def fail(self, who: str, error: BaseException) -> None:
        """Note what went wrong, and stop the run."""
        with self._lock:
            self._failures.append((who, error))
        self.stopped = True

    def failures(self) -> tuple[tuple[str, BaseException], ...]:
        """Return what went wrong so far: who, and the error; the first one is the cause of the others, mostly."""
        with self._lock:
            return tuple(self._failures)

    def nap(self, seconds: float) -> bool:
        """Sleep for a time, or until the run is over; whether it is."""
        machine, nap_ns = self.machine, self._nap_ns
        until_ns = machine.clock_ns() + self.ns(seconds)
        while not self.stopped and (left_ns := until_ns - machine.clock_ns()) > 0:
            machine.sleep(min(nap_ns, left_ns) / 1e9)
        return self.stopped

    def ns(self, seconds: float) -> int:
        """Return how long a time of threads is on this machine, in nanoseconds."""
        return round(seconds * 1e9 / self.pace.rate)

    def brief_ns(self, seconds: float) -> int:
        """Return the same for what CPUs cannot rest in: memory that is short, a step, a storm."""
        return round(self.ns(seconds) * self.pace.busy)

    def time_that_counts(self, least: float = LEAST, turn_ns: int | None = None) -> TimeThatCounts:
        """Return what adds up the time in which the threads could do something, from now on."""
        return TimeThatCounts(self.machine.clock_ns, self.pace.processor_ns, least, turn_ns)

    def xc_wait(self, ticket: Ticket) -> None:
        """Wait for a cross-call; XcallTimeout if its threads had processors for so long, and did not run it.

        => What hangs while nobody uses a processor is for the watchdog to tell.
        """
        wait = self.uvm.xcall.wait
        if self.pace.processor_ns is None:
            wait(ticket, self.ticket_s)
            return
        time = self.time_that_counts(least=0.0)
        while True:
            try:
                wait(ticket, TICKET_LOOK_S)
            except XcallTimeout:
                if time.ns() >= self.ticket_s * 1e9:
                    left = f"{len(ticket.pending)} of {ticket.ncpus} CPUs"
                    raise XcallTimeout(
                        f"a cross-call has not run on {left} after {self.ticket_s:g} s of processor time"
                    ) from None
            else:
                return

    def look(self) -> None:
        """Sleep until it is time to look again at what no event announces."""
        self.machine.sleep(self._look_s)

    def rest_s(self) -> float:
        """Return how long the CPUs are to rest now."""
        if self.pace.busy == 1:
            return 0.0
        burst_ns = self.ns(BURST_S * self.pace.busy)
        period_ns = round(burst_ns / self.pace.busy)
        into_ns = (self.machine.clock_ns() - self.began_ns) % period_ns
        return 0.0 if into_ns < burst_ns else (period_ns - into_ns) / 1e9

    def all_go_on(self) -> bool:
        """Wait until every CPU has done a step more; False if the run is over first. For whoever disturbed them."""
        for player, before in [(player, player.done) for player in self.players]:
            nap_s = STEP_S
            while player.done == before:
                if self.nap(nap_s):
                    return False
                nap_s = min(2 * nap_s, NAP_S)
        return True

    def starved(self) -> bool:
        """Whether CPUs get so little done that what takes long is late; what hangs is found at the end."""
        began_s = (self.machine.clock_ns() - self.began_ns) / 1e9
        return sum(player.done for player in self.players) < STARVED_STEPS_S * self.pace.rate * began_s * len(
            self.players
        )

    def needs_scan(self) -> bool:
        """Whether the daemon should scan though memory is not short: no."""
        return False

    def reclaim_one(self) -> bool:
        """Let the daemon free a page that was left to it; False if there is none."""
        try:
            pg, version = self.loose.popleft()
        except IndexError:
            return False
        try:
            Stamper(self.uvm).check(pg, LOOSE, version)
            self.uvm.pagefree(pg)
        except ClosedError:  # after a failure, which ends a run with such pages left
            raise
        except UvmError as error:
            self.fail("a page that was left to the pagedaemon", error)  # who calls may be the daemon, and die of it
            raise
        return True

    def called(self, cpu: Cpu) -> None:
        """Be a cross-call: allocate and free on an xc thread, whoever plays the CPU."""
        stamper, held = Stamper(self.uvm), None
        try:
            pg = cpu.pagealloc(zero=True)
            if pg is not None:
                held = (pg, 0)
                stamper.check_zero(pg)
                stamper.stamp(pg, XCALL, 0)
                stamper.check(pg, XCALL, 0)
                cpu.pagefree(pg)
        except BindError:  # the CPU was detached, or taken over, meanwhile
            if held is not None:
                stamper.stamp(held[0], LOOSE, 0)
                self.loose.append(held)
