"""Cross-calls: run a function on the thread that is bound to a CPU (R30, R31), and that thread's timed wait (P9).

One xc thread per CPU takes calls from its queue in order. The proposal gives it a second job: its wait for
work gets a timeout (`cv_wait` in `xc_thread` becomes `cv_timedwait`), and when the time is up it calls
`on_timer`, by which the allocator hands the CPU's cached pages back.

=> One lock (rank XCALL) guards the queues and the tickets; it is dropped before a called function runs, so a
   function may take page locks and may itself send cross-calls.
=> A call that raises ends its ticket, never the thread.
=> `close()` runs what is queued, wakes everybody, and waits for the threads, each for a bounded time.

Source: xcall(9); sys/kern/subr_xcall.c of NetBSD 9, functions xc_broadcast, xc_unicast, xc_wait, xc_thread.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from uvmfree.errors import ArgumentError, ClosedError, HangError, XcallError, XcallTimeout
from uvmfree.kern.lock import LockHandle
from uvmfree.kern.lockrank import XCALL
from uvmfree.kern.tasks import Task, Threads

C = TypeVar("C")
"""What a called function is given: the CPU that it runs on."""

CLOSE_TIMEOUT_S = 5.0
"""How long close() waits for one xc thread: far longer than any sane call, short enough for a test run."""


class Ticket:
    """One cross-call in flight, for `Xcall.wait`.

    => `ncpus`: on how many CPUs it runs. `pending`: those on which it has still to. `error`, `error_cpu`: the first
       error and where, or None.
    => Fields are guarded by the xcall lock.

    >>> with uvmfree.boot(npages=64, ncpus=2) as uvm:
    ...     ticket = uvm.xcall.unicast(lambda cpu: 1 // 0, 1)
    ...     try:
    ...         uvm.xcall.wait(ticket, timeout_s=60)
    ...     except uvmfree.XcallError as error:
    ...         print(error)
    a cross-call raised ZeroDivisionError('integer division or modulo by zero') on CPU 1
    >>> ticket.ncpus, ticket.pending, ticket.error_cpu, ticket.error
    (1, set(), 1, ZeroDivisionError('integer division or modulo by zero'))
    """

    __slots__ = ("error", "error_cpu", "ncpus", "pending")

    def __init__(self, targets: Iterable[int]) -> None:
        self.pending = set(targets)
        self.ncpus = len(self.pending)
        self.error: BaseException | None = None
        self.error_cpu: int | None = None


class Xcall(Generic[C]):
    """The xc threads of a system, one bound to each CPU: `uvm.xcall`.

    >>> with uvmfree.boot(npages=64, ncpus=2) as uvm:
    ...     ran = set()
    ...     ticket = uvm.xcall.broadcast(lambda cpu: ran.add(cpu.index))
    ...     uvm.xcall.wait(ticket, timeout_s=60)
    ...     sorted(ran)
    [0, 1]

    => Calls of one CPU run in the order in which they were queued (R30).
    => `cpu_of(i)` gives the object that a function called on CPU i receives.
    => `on_start()` runs first on each thread.
    => `on_timer(i)`, if given, runs on CPU i's thread every `interval_s` seconds, between calls.
    """

    def __init__(
        self,
        machine: Threads,
        ncpus: int,
        cpu_of: Callable[[int], C],
        *,
        on_timer: Callable[[int], None] | None = None,
        interval_s: float = 1.0,
        on_start: Callable[[], None] = lambda: None,
    ) -> None:
        self._machine = machine
        self._on_start = on_start
        self._cpu_of = cpu_of
        self._on_timer = on_timer
        self._interval_s = interval_s
        self.mutex = machine.mutex(XCALL)
        self._handle = self.mutex.handle("xc_broadcast")
        self._done = machine.condvar()
        self._work = [machine.condvar() for _ in range(ncpus)]
        # All below is guarded by it.
        self._queues: list[deque[tuple[Callable[[C], object], Ticket]]] = [deque() for _ in range(ncpus)]
        self._running_ticket: list[Ticket | None] = [None] * ncpus
        self._awaited: list[Ticket | None] = [None] * ncpus  # what each xc thread itself waits for
        self._offline: frozenset[int] = frozenset()
        self._closing = False
        self._running: dict[int, int] = {}  # thread -> the CPU whose calls it runs
        self.timer_errors: list[BaseException] = []
        self._tasks: Sequence[Task] = ()

    def start(self) -> None:
        """Start the threads; calls queued before run now."""
        self._tasks = [
            self._machine.spawn(f"xc/{index}", lambda index=index: self._xc_thread(index), index)  # type: ignore[misc]
            for index in range(len(self._queues))
        ]

    def broadcast(self, function: Callable[[C], object]) -> Ticket:
        """Queue `function(cpu)` on every CPU that is online; return the ticket (xc_broadcast).

        => Waits for nothing. ClosedError if the system was closed. Takes the xcall lock. O(ncpus).
        """
        return self._send(function, None)

    def unicast(self, function: Callable[[C], object], cpu_index: int) -> Ticket:
        """Queue `function(cpu)` on one CPU; return the ticket (xc_unicast).

        => ArgumentError if there is no such CPU; else as broadcast().
        """
        if not 0 <= cpu_index < len(self._queues):
            raise ArgumentError(f"cpu_index={cpu_index}: there are CPUs 0 to {len(self._queues) - 1}")
        return self._send(function, cpu_index)

    def set_online(self, index: int, online: bool) -> None:
        """Let a CPU take calls or not; those that it has been sent already it will still run."""
        with self._handle:
            self._offline = self._offline - {index} if online else self._offline | {index}

    def wait(self, ticket: Ticket, timeout_s: float | None = None) -> None:
        """Return when this very call has run everywhere it had to (xc_wait).

        => XcallError if it raised anywhere, with the first error as cause; XcallTimeout after `timeout_s`.
        => ClosedError if the system was closed before the call could run.
        => An xc thread may not wait for a call that it has to run itself, nor for one that waits, by way of however
           many others, for this thread: XcallError, never a hang.
        """
        deadline_ns = None if timeout_s is None else self._machine.clock_ns() + round(timeout_s * 1e9)
        with self._handle:
            own_cpu = self._running.get(self._machine.me())
            if own_cpu is None:
                self._wait(ticket, timeout_s, deadline_ns)
            else:
                self._refuse_circle(own_cpu, ticket)
                self._awaited[own_cpu] = ticket
                try:
                    self._wait(ticket, timeout_s, deadline_ns)
                finally:
                    self._awaited[own_cpu] = None
        if isinstance(ticket.error, ClosedError):
            raise ticket.error
        if ticket.error is not None:
            raise XcallError(f"a cross-call raised {ticket.error!r} on CPU {ticket.error_cpu}") from ticket.error

    def refuse(self, refuse: Callable[[], object]) -> None:
        """Have every call raise by `refuse` from now on, without a lock; for the child of a fork."""
        self._handle.refuse(refuse)

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Run what is queued, then end the threads; idempotent.

        => HangError names the threads that did not end within `timeout_s` seconds, each given that long; the
           calls that they have not ended by then end with ClosedError.
        """
        with self._handle:
            self._closing = True
            for work in self._work:
                work.broadcast()
        hung = [task.name for task in self._tasks if not task.join(timeout_s)]
        with self._handle:
            closed = ClosedError("the system was closed before the call had run")
            for index, queue in enumerate(self._queues):
                left = [ticket for _, ticket in queue]
                queue.clear()
                if (running := self._running_ticket[index]) is not None:
                    left.append(running)
                for ticket in left:
                    self._finish(ticket, index, closed)
        died = [task for task in self._tasks if task.name not in hung and task.error is not None]
        self._tasks = [task for task in self._tasks if task.name in hung]
        if hung:
            raise HangError(f"{', '.join(hung)} did not end within {timeout_s} s")
        if died:
            raise XcallError(f"{died[0].name} died of {died[0].error!r}") from died[0].error
        if self.timer_errors:
            error = self.timer_errors.pop()
            raise XcallError(f"the timer of an xc thread raised {error!r}") from error

    def _wait(self, ticket: Ticket, timeout_s: float | None, deadline_ns: int | None) -> None:
        """Sleep until a call has run everywhere, or the time is up; with the lock held."""
        while ticket.pending:
            left_s = None
            if deadline_ns is not None:
                left_s = (deadline_ns - self._machine.clock_ns()) / 1e9
                if left_s <= 0:
                    left = f"{len(ticket.pending)} of {ticket.ncpus} CPUs"
                    raise XcallTimeout(f"a cross-call has not run on {left} after {timeout_s} s")
            self._done.wait(self._handle, left_s)

    def _refuse_circle(self, own_cpu: int, ticket: Ticket) -> None:
        """Raise if a call can run only after an xc thread's wait for it has ended; with the lock held.

        => Looked for when a wait begins: a ticket's CPUs only become fewer, so that no circle closes later.
        """
        if own_cpu in ticket.pending:
            raise XcallError(f"the xc thread of CPU {own_cpu} waits for a call that it has to run itself")
        reached: set[int] = set()
        front = set(ticket.pending)
        while front:
            reached |= front
            awaited = [self._awaited[index] for index in front]
            front = set().union(*(other.pending for other in awaited if other is not None)) - reached
        if own_cpu in reached:
            raise XcallError(f"the xc thread of CPU {own_cpu} waits for a call that waits for this thread in turn")

    def _send(self, function: Callable[[C], object], only: int | None) -> Ticket:
        with self._handle:
            if self._closing:
                raise ClosedError("a cross-call was sent to a closed system")
            if only in self._offline:
                raise ArgumentError(f"cpu_index={only}: CPU {only} is detached")
            targets = set(range(len(self._queues))) - self._offline if only is None else {only}
            ticket = Ticket(targets)
            for index in sorted(ticket.pending):
                self._queues[index].append((function, ticket))
                self._work[index].signal()
        return ticket

    def _finish(self, ticket: Ticket, index: int, error: BaseException | None) -> None:
        """Note that a call has run on one CPU; with the lock held."""
        if error is not None and ticket.error is None:
            ticket.error, ticket.error_cpu = error, index
        ticket.pending.discard(index)
        if not ticket.pending:
            self._done.broadcast()

    def _xc_thread(self, index: int) -> None:
        """Run the calls of one CPU in order, and its timer, until the system closes (xc_thread)."""
        self._on_start()
        handle = self.mutex.handle("xc_thread")
        with handle:
            self._running[self._machine.me()] = index
        due_ns = self._timer_due_ns()
        while self._await_work(index, due_ns, handle):
            with handle:
                call = self._queues[index].popleft() if self._queues[index] else None
                self._running_ticket[index] = None if call is None else call[1]
            if call is not None:
                function, ticket = call
                error = self._call(function, index)
                with handle:
                    self._running_ticket[index] = None
                    self._finish(ticket, index, error)
            if due_ns is not None and self._machine.clock_ns() >= due_ns:
                self._timer(index, handle)
                due_ns = self._timer_due_ns()
        with handle:
            del self._running[self._machine.me()]

    def _timer_due_ns(self) -> int | None:
        return None if self._on_timer is None else self._machine.clock_ns() + round(self._interval_s * 1e9)

    def _await_work(self, index: int, due_ns: int | None, handle: LockHandle) -> bool:
        """Sleep until there is a call, the timer is due, or the system closes with nothing left to run (False)."""
        with handle:
            while not self._queues[index]:
                if self._closing:
                    return False
                left_s = None if due_ns is None else (due_ns - self._machine.clock_ns()) / 1e9
                if left_s is not None and left_s <= 0:
                    break
                self._work[index].wait(handle, left_s)
        return True

    def _call(self, function: Callable[[C], object], index: int) -> BaseException | None:
        try:
            function(self._cpu_of(index))
        except BaseException as error:  # noqa: BLE001  # carried by the ticket to xc_wait (R31)
            return error
        return None

    def _timer(self, index: int, handle: LockHandle) -> None:
        assert self._on_timer is not None
        try:
            self._on_timer(index)
        except BaseException as error:  # noqa: BLE001  # raised by close(): the first job goes on (P9)
            with handle:
                self.timer_errors.append(error)
