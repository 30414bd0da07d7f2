"""Holds on a machine that tells when a lock was given back: all are measured, so that totals can be subtracted."""

import itertools
from typing import Any

from uvmfree.kern.lockexact import ExactHandle
from uvmfree.kern.lockstat import HOLD_SAMPLE


class Timed:
    """A lock that charges its work when it is given back, and the clock that it is charged to."""

    def __init__(self) -> None:
        self.now_ns = self.freed_ns = self.work_ns = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return True

    def release(self) -> None:
        self.now_ns = self.freed_ns = self.now_ns + self.work_ns
        self.now_ns += 5  # what the caller does next is none of the hold

    def locked(self) -> bool:
        return False


def test_what_was_held_between_two_looks_is_the_sum_of_the_holds() -> None:
    """The first is a thousand times as long as the others: scaled up it would be all that is seen."""
    lock: Any = Timed()
    handle = ExactHandle(lock, "uvm_fpageqlock", "uvm_pagealloc", lambda: lock.now_ns, lambda: lock.freed_ns)
    seen = []
    for hold_ns in (10_000, *range(1, 3 * HOLD_SAMPLE)):
        lock.work_ns = hold_ns
        handle.acquire()
        handle.release()
        seen.append(handle.snapshot())
    held_ns = [after.hold_ns_total - before.hold_ns_total for before, after in itertools.pairwise(seen)]
    assert held_ns == list(range(1, 3 * HOLD_SAMPLE))
    assert [each.acquired for each in seen] == [each.hold_samples for each in seen] == list(range(1, len(seen) + 1))
