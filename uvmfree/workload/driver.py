"""The driver: real threads that play CPUs, started together, stopped together, and accounted for.

A workload is one body per CPU, a function that is given its Cpu and its Lane and works until it is done. The
driver binds a thread to each CPU, lets all begin at once, and joins them whatever happens.

=> The first error stops the others; it is raised with its traceback as cause. Ctrl-C stops all.
=> Nothing hangs: a body that waits does so through its Lane, which gives up when the run stops or stands still.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from uvmfree.errors import ArgumentError, HangError, UvmError
from uvmfree.machine.face import Event, Machine, Task
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.system import Uvm

STILL_S: Final = 30.0
"""How long a body may wait for another one before the run counts as hung: far above any sane wait."""

JOIN_S: Final = 10.0
"""How long a thread may take to notice that the run was stopped."""

RETRY_S: Final = 50e-6
"""Time between two tries of what may work at any moment: a wakeup of a sleeping thread takes about as long."""


class StoppedError(UvmError):
    """A run was stopped from outside before its work was done, or its time is up."""


class DriveError(UvmError):
    """A CPU's thread raised; the error is the cause."""


class Lane:
    """What one body has of the run: a place to wait, and its own accounts.

    => Written by its own thread only; read by the driver after the thread has ended. `stopped` is the exception.
    => `stall_ns`: time spent waiting for other bodies, in waits that are over; `waits_from_ns`: when the one under
       way began, or None. `failed`: allocations of a page that returned None.
    => `until_ns`: when the run ends, on the machine's clock; 0 where it ends with its work.
    """

    __slots__ = (
        *("_machine", "_run", "began_ns", "ended_ns", "failed", "index", "sleeps_on", "stall_ns", "until_ns"),
        "waits_from_ns",
    )

    def __init__(self, index: int, run: "_Run", machine: Machine) -> None:
        self.index = index
        self._run = run
        self._machine = machine
        self.stall_ns = self.failed = self.began_ns = self.ended_ns = self.until_ns = 0
        self.waits_from_ns: int | None = None
        # Read by who stops the run, without a lock: a body that has just begun to sleep looks once more by itself.
        self.sleeps_on: Event | None = None

    @property
    def stopped(self) -> bool:
        """Whether the run was stopped, or its time is up; asked now and then. A stale answer delays the stop."""
        return self._run.stopped or (self.until_ns > 0 and self._machine.clock_ns() >= self.until_ns)

    def stalled_until(self, now_ns: int) -> int:
        """Return the time spent waiting for other bodies until now.

        => To be asked in virtual time, where a body may be ahead: the wait under way begins when its clock says so.
        """
        return self.stall_ns + (0 if self.waits_from_ns is None else max(0, now_ns - self.waits_from_ns))

    def wait_until(self, ready: Callable[[], bool], event: Event | None = None) -> None:
        """Sleep until `ready()`, looked at when `event` happens, by default the run's own; the time counts as stall.

        => StoppedError if the run was stopped meanwhile, or its time is up; HangError after STILL_S seconds.
        """
        self.waits_from_ns = began_ns = self._machine.clock_ns()
        wait_s = min(STILL_S, (self.until_ns - began_ns) / 1e9) if self.until_ns else STILL_S
        is_ready = False

        def look() -> bool:
            nonlocal is_ready
            is_ready = ready()
            return is_ready or self._run.stopped

        self.sleeps_on = event or self._run.event
        try:
            looked = self.sleeps_on.sleep_until(look, wait_s)
        finally:
            self.sleeps_on = self.waits_from_ns = None
            self.stall_ns += self._machine.clock_ns() - began_ns
        if not looked and wait_s >= STILL_S:
            raise HangError(f"CPU {self.index} has waited {STILL_S:.0f} s for another CPU")
        if not is_ready:
            raise StoppedError("the run was stopped")

    def end_run(self) -> None:
        """Let the run end now, as if its time were up."""
        self._run.stop()

    def notify(self) -> None:
        """Let those who wait for the run's own event look again."""
        self._run.event.notify()

    def try_until(self, done: Callable[[], bool]) -> None:
        """Try again and again, RETRY_S apart, until `done()`: for what no event announces; the time counts as stall.

        => StoppedError, HangError as in wait_until.
        """
        began_ns = self._machine.clock_ns()
        try:
            while not done():
                if self._run.stopped:
                    raise StoppedError("the run was stopped")
                if self._machine.clock_ns() - began_ns > STILL_S * 1e9:
                    raise HangError(f"CPU {self.index} has tried for {STILL_S:.0f} s")
                self._machine.sleep(RETRY_S)
        finally:
            self.stall_ns += self._machine.clock_ns() - began_ns


Body = Callable[[Cpu, Lane], None]
"""What one CPU does in a run."""


@dataclass(frozen=True, slots=True)
class Drive:
    """What a run took: times in nanoseconds; `stall_ns` and `failed` per CPU.

    => `wall_ns` from the first body's beginning to the last one's end. `interrupted`: Ctrl-C ended it early.
    """

    wall_ns: int
    stall_ns: tuple[int, ...]
    failed: tuple[int, ...]
    interrupted: bool


class _Run:
    """The state that the threads of a run share."""

    def __init__(self, machine: Machine, bodies: int) -> None:
        self.stopped = False  # only ever goes from False to True; read without a lock: a stale answer delays the stop
        self.event = machine.event()
        self.lanes = [Lane(index, self, machine) for index in range(bodies)]
        self.lock = machine.raw_lock()
        self.to_start = bodies + 1  # guarded by lock
        self.first_error: tuple[int, BaseException] | None = None  # guarded by lock

    def arrive(self) -> None:
        """Note that one more thread is ready to begin."""
        with self.lock:
            self.to_start -= 1
        self.event.notify()

    def stop(self) -> None:
        """Let every body end soon, also one that sleeps."""
        self.stopped = True
        for lane in self.lanes:
            if (event := lane.sleeps_on) is not None:
                event.notify()

    def fail(self, index: int, error: BaseException) -> None:
        """Note an error and stop the run; the first one stays."""
        with self.lock:
            if self.first_error is None:
                self.first_error = (index, error)
        self.stop()


def drive(
    uvm: Uvm, bodies: Sequence[Body], stop: Callable[[], bool] = lambda: False, *, seconds: float | None = None
) -> Drive:
    """Run one body on each CPU, from CPU 0 on, to their ends, or for so many seconds of the machine's clock.

    => DriveError if a body raised; the others were stopped and joined, and the cause has the traceback.
    => ArgumentError for no bodies, or more than CPUs.
    => Ctrl-C, or `stop()` once it is true, stops the bodies, joins them, and returns with `interrupted` set.
    """
    if not 1 <= len(bodies) <= uvm.param.ncpus:
        raise ArgumentError(f"{len(bodies)} bodies: there are CPUs for 1 to {uvm.param.ncpus}")
    machine = uvm.machine
    run = _Run(machine, len(bodies))
    lanes = run.lanes

    def thread(lane: Lane, body: Body) -> None:
        try:
            with uvm.run_on(lane.index) as cpu:
                run.arrive()
                lane.wait_until(lambda: not run.to_start)
                lane.stall_ns = 0
                lane.began_ns = machine.clock_ns()
                if seconds is not None:
                    lane.until_ns = lane.began_ns + round(seconds * 1e9)
                try:
                    body(cpu, lane)
                finally:
                    lane.ended_ns = machine.clock_ns()
        except StoppedError:
            return
        except BaseException as error:  # noqa: BLE001  # raised by drive(), as the cause of a DriveError
            run.fail(lane.index, error)

    def player(lane: Lane, body: Body) -> Callable[[], None]:
        # Not a partial: each switch of strands copies the stack, and calls from C lie on it.
        return lambda: thread(lane, body)

    tasks: list[Task] = []
    interrupted = False
    try:
        for lane, body in zip(lanes, bodies, strict=True):
            tasks.append(machine.spawn(f"cpu/{lane.index}", player(lane, body), lane.index))
        run.arrive()  # the last to arrive: nothing begins before this thread is here to stop it
        interrupted = not machine.wait_for(tasks, stop)
    except KeyboardInterrupt:
        interrupted = True
    run.stop()
    late = [task.name for task in tasks if not task.join(JOIN_S)]
    if run.first_error is not None:
        index, error = run.first_error
        raise DriveError(f"CPU {index} stopped the run: {type(error).__name__}: {error}") from error
    if late:
        raise HangError(f"{', '.join(late)} did not end within {JOIN_S:.0f} s of being stopped")
    return Drive(
        wall_ns=max(lane.ended_ns for lane in lanes) - min(lane.began_ns for lane in lanes),
        stall_ns=tuple(lane.stall_ns for lane in lanes),
        failed=tuple(lane.failed for lane in lanes),
        interrupted=interrupted,
    )
