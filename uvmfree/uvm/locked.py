"""The locks of a design: made by the ranks that it declares, taken in that order, and what they are called for.

=> Every CPU has a *guard*: its own lock, of kind `cpu` or `off`, or, in a design without those, the first shared one.
=> Outer locks are the guards, inner ones the shared locks that are no guards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar

from uvmfree.kern.lock import LockHandle
from uvmfree.kern.lockrank import UVM_CPU, UVM_FPAGEQLOCK, LockRank
from uvmfree.kern.mutex import Mutex
from uvmfree.uvm.state import UvmState


class Locked:
    """What has the locks of a design.

    => `locks[rank]`: those of a rank. `cpu_locks`: one for each CPU, or none. `shared_locks`: all others, in order.
    """

    LOCKS: ClassVar[tuple[LockRank, ...]] = (UVM_CPU, UVM_FPAGEQLOCK)

    def __init__(self, state: UvmState) -> None:
        """Make them."""
        self.state = state
        self.locks = {rank: self._mutexes(rank) for rank in self.LOCKS}
        self.cpu_locks = tuple(mutex for rank in self.LOCKS if rank.kind != "shared" for mutex in self.locks[rank])
        self.shared_locks = tuple(mutex for rank in self.LOCKS if rank.kind == "shared" for mutex in self.locks[rank])

    def how_many(self, rank: LockRank) -> int:
        """Return how many locks there are of a shared rank of the design's own; one has no number."""
        return 1

    def guard(self, index: int) -> Mutex:
        """Return the lock that guards a CPU's part."""
        return self.cpu_locks[index] if self.cpu_locks else self.shared_locks[0]

    def all_locks(self, caller: str) -> list[LockHandle]:
        """Make handles of all locks that stop everything, in lock order."""
        return [mutex.handle(caller) for mutex in (*self.cpu_locks, *self.shared_locks)]

    def _mutexes(self, rank: LockRank) -> tuple[Mutex, ...]:
        """Make the locks of a rank: one for each CPU, or as many as the design wants."""
        make, count = self.state.machine.mutex, self.how_many(rank)
        if rank.kind != "shared":
            return tuple(make(rank, index) for index in range(self.state.param.ncpus))
        return (make(rank),) if count == 1 else tuple(make(rank, index) for index in range(count))

    def outer_and_inner(self, caller: str) -> tuple[list[LockHandle], list[LockHandle]]:
        """Make handles of each CPU's guard, and of the shared locks that are taken after it."""
        guards, shared = [mutex.handle(caller) for mutex in self.cpu_locks], self.shared_locks
        if guards:
            return guards, [mutex.handle(caller) for mutex in shared]
        return [shared[0].handle(caller)] * self.state.param.ncpus, [mutex.handle(caller) for mutex in shared[1:]]


def held(handles: Iterable[LockHandle]) -> ExitStack:
    """Take locks in their order, and return what releases them: `with held(locks):`."""
    with ExitStack() as stack:
        for handle in handles:
            stack.enter_context(handle)
        return stack.pop_all()


@contextmanager
def tried(handle: LockHandle) -> Iterator[bool]:
    """Try for a lock, and give it back at the end if it was got: `with tried(lock) as got:`."""
    got = handle.try_acquire()
    try:
        yield got
    finally:
        if got:
            handle.release()
