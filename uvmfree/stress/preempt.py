"""Preemption: a CPU's thread that is held up for a moment where it has just taken or just dropped a lock.

In virtual time a thread goes on from one shared step to the next as if nothing could come between. So a wakeup that
is sent between a release and what follows would never be seen; an interrupt, or another thread of the CPU, makes it
so.

=> For machines on which one strand runs at a time: all draw from one stream, in the order in which they run.
=> Where it strikes is a function of the seed. Needs a lockwatch, whose hooks it uses (kern/lockwatch.py).
"""

from typing import Final

from uvmfree.kern.lockwatch import LockWatch
from uvmfree.machine.face import Machine
from uvmfree.stress.program import draw

ONE_IN_LOG2: Final = 5
"""One lock operation in 32 is held up."""

NS_LOG2: Final = 13
"""For up to 8 us: longer than most of what others do meanwhile, shorter than a wakeup and what follows it."""


def preempt(machine: Machine, watch: LockWatch, seed: int) -> None:
    """Hold up who takes and drops the mutexes that there are, now and then."""
    bits, sleep = draw(seed, "preempt"), machine.sleep

    def hook() -> None:
        if not bits(ONE_IN_LOG2):
            sleep(bits(NS_LOG2) / 1e9)

    for mutex in watch.watched():
        mutex.on_taken = mutex.on_dropped = hook
