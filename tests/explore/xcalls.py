"""Scenes of cross-calls: tickets, errors that they carry, the timed wait of the xc threads, the end (P9, R30, R31).

Each call notes where it ran. When `wait` returns, that very call has run everywhere it had to, and once; what one
thread sent to a CPU ran there in the order in which it was sent; a ticket ends with an error only if the call raised.
"""

from typing import ClassVar

import uvmfree
from tests.explore.machine import NS, ExploreMachine
from tests.explore.scene import Scene
from uvmfree.errors import XcallError, XcallTimeout
from uvmfree.kern.xcall import Ticket, Xcall

PATIENCE_S = 0.5


class Call:
    """A called function, and what became of it."""

    def __init__(self, thread: int, number: int, targets: set[int], *, bad: bool = False) -> None:
        self.thread, self.number, self.targets, self.bad = thread, number, targets, bad
        self.ran: list[int] = []
        self.ticket: Ticket | None = None
        self.error = ValueError(f"call {number} of thread {thread}")


class Xcalls(Scene):
    """The xc threads of two CPUs, two senders, and a third thread that lets time pass and closes."""

    NCPUS = 2
    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("all", "one", "bad", "send", "wait"),
        ("all", "other", "bad", "send", "patient"),
        ("tick", "close", "one"),
    )

    def __init__(self) -> None:
        self.machine = ExploreMachine()
        self.xcall: Xcall[int] = Xcall(self.machine, self.NCPUS, lambda index: index, on_timer=self.on_timer)
        self.calls: list[list[Call]] = [[] for _ in self.PARTS]
        self.log: list[list[tuple[int, int]]] = [[] for _ in range(self.NCPUS)]
        self.timers = [0] * self.NCPUS
        self.closed = False

    def on_timer(self, index: int) -> None:
        self.timers[index] += 1

    def begin(self) -> None:
        self.xcall.start()

    def sent(self, thread: int, targets: set[int], *, bad: bool = False) -> Call | None:
        """Send a call, if the system is not closed."""
        call = Call(thread, len(self.calls[thread]), targets, bad=bad)

        def function(cpu: int) -> None:
            self.machine.step()
            call.ran.append(cpu)
            self.log[cpu].append((call.thread, call.number))
            self.machine.step()
            if call.bad and cpu == self.NCPUS - 1:
                raise call.error

        try:
            if targets == set(range(self.NCPUS)):
                call.ticket = self.xcall.broadcast(function)
            else:
                call.ticket = self.xcall.unicast(function, *targets)
        except uvmfree.ClosedError:
            assert self.closed
            return None
        self.calls[thread].append(call)
        return call

    def awaited(self, call: Call | None, timeout_s: float | None = None) -> None:
        """Wait for a call, and check what the ticket says."""
        if call is None:
            return
        began_ns, error = self.machine.now_ns, None
        assert call.ticket is not None
        try:
            self.xcall.wait(call.ticket, timeout_s)
        except XcallTimeout:
            assert timeout_s is not None
            assert self.machine.now_ns - began_ns >= timeout_s * NS
            return
        except XcallError as raised:
            error = raised.__cause__
        assert error is (call.error if call.bad else None), "a ticket carries another error than its call raised"
        assert sorted(call.ran) == sorted(call.targets), f"wait returned, and the call ran on CPUs {call.ran}"

    def all(self, thread: int) -> None:
        self.awaited(self.sent(thread, set(range(self.NCPUS))))

    def bad(self, thread: int) -> None:
        self.awaited(self.sent(thread, set(range(self.NCPUS)), bad=True))

    def one(self, thread: int) -> None:
        self.awaited(self.sent(thread, {0}))

    def other(self, thread: int) -> None:
        self.awaited(self.sent(thread, {1}))

    def send(self, thread: int) -> None:
        self.sent(thread, set(range(self.NCPUS)))

    def wait(self, thread: int) -> None:
        """Wait for the first call that this thread sent."""
        self.awaited(next(iter(self.calls[thread]), None))

    def patient(self, thread: int) -> None:
        self.awaited(self.sent(thread, set(range(self.NCPUS))), PATIENCE_S)

    def tick(self, thread: int) -> None:
        self.machine.advance(1.0)

    def close(self, thread: int) -> None:
        self.closed = True
        self.xcall.close()

    def end(self) -> None:
        self.closed = True
        self.xcall.close()

    def check(self) -> None:
        for calls in self.calls:
            for call in calls:
                self.awaited(call)
                assert call.ticket is not None
                assert call.ticket.pending == set()
        for cpu, ran in enumerate(self.log):
            for thread in range(len(self.calls)):
                numbers = [number for by, number in ran if by == thread]
                assert numbers == sorted(numbers), (
                    f"CPU {cpu} ran the calls of thread {thread} in the order {numbers}"
                )


class OneXcall(Xcalls):
    """One CPU and its xc thread, one sender, and a thread that lets time pass and closes: small enough to exhaust."""

    NCPUS = 1
    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("all", "bad", "send", "wait", "patient"),
        ("tick", "close", "all"),
    )
