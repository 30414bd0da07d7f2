"""One CPU of a stress run: does the steps of its program, stamps what it holds, remembers what it did last.

=> Everything here belongs to the thread that plays the CPU; others read `done`, `thread` and, when the run is over or
   hangs, the ring of the last operations.
=> A CPU that is detached under it leaves, keeps its pages, and comes back when the CPU does (Q13).
"""

from collections.abc import Callable
from typing import Any, Final

from uvmfree.errors import BindError
from uvmfree.stress.hands import Hands
from uvmfree.stress.program import KIND_BITS, KINDS, MASK, TABLE, draw
from uvmfree.stress.shared import Shared
from uvmfree.stress.stamps import Stamper
from uvmfree.uvm.cpu import Lwp

LAST: Final = 256
"""Operations of a CPU that are remembered: about a millisecond, which is what a page's last owners did. A power of
two, so that the place in the ring is a mask."""

BATCH: Final = 32
LOOK_S: Final = 0.01
"""Steps, and time, between two looks at whether the run is over: on a free-threaded interpreter a look at what all
threads share is dear, and a step that waits for pages may take seconds."""

UNDER_WAY: Final = "under way"

Operation = list[Any]
"""What a CPU did: number of the step, when in ns, the step, and its outcome: a page or index, or words."""


class Player:
    """The thread of one CPU.

    => `done`: steps. `counts`: by kind of operation. `away`: times that the CPU was detached.
    => `hands`: what it holds.
    """

    def __init__(self, shared: Shared, index: int) -> None:
        self.shared, self.index, self.hands = shared, index, Hands(shared, index)
        self.done = self.away = 0
        self.thread: int | None = None
        self.counts = [0] * len(KINDS)
        self.ring: list[Operation | None] = [None] * LAST
        # One CPU in four is a kernel thread's, which may use the kernel reserve (R5).
        self._lwp: Lwp = "kernel" if index % 4 == 1 else "user"
        self._ops = self.hands.operations()

    def play(self, steps: int | None) -> None:
        """Do the steps of the program until the run is over, or so many are done."""
        self.thread = self.shared.machine.me()
        self.hands.stamper = Stamper(self.shared.uvm)
        bits = draw(self.shared.seed, self.index)
        while not self.shared.stopped and self.done != steps:
            if rest_s := self.shared.rest_s():
                self.shared.machine.sleep(rest_s)
                continue
            try:
                with self.shared.uvm.run_on(self.index, self._lwp) as cpu:
                    self.hands.cpu = cpu
                    self._work(bits, steps)
            except BindError:
                # Detached: by the step under way, which is counted, or still.
                operation = self.ring[self.done % LAST]
                if operation is not None and operation[0] == self.done:
                    operation[3] = "the CPU was detached"
                    self.done += 1
                    self.away += 1
                self.shared.nap(0.001)

    def last(self) -> list[Operation]:
        """Return the last operations, oldest first, when the thread has ended or hangs."""
        return sorted((operation for operation in self.ring if operation is not None), key=lambda one: int(one[0]))

    def _work(self, bits: Callable[[int], int], steps: int | None) -> None:
        shared, ops, ring, counts = self.shared, self._ops, self.ring, self.counts
        clock_ns, charge, step_ns = shared.machine.clock_ns, shared.machine.charge, shared.pace.step_ns
        done, often_ns = self.done, shared.ns(LOOK_S)
        while not shared.stopped and done != steps and not shared.rest_s():
            look_ns = clock_ns() + often_ns
            for _ in range(BATCH if steps is None else min(BATCH, steps - done)):
                step, now_ns = bits(64), clock_ns()
                kind = TABLE[step & MASK]
                operation: Operation = [done, now_ns, step, UNDER_WAY]
                ring[done % LAST] = operation
                charge(step_ns)
                operation[3] = ops[kind](step >> KIND_BITS)
                counts[kind] += 1
                done += 1
                self.done = done
                if now_ns > look_ns:
                    break
