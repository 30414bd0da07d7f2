"""How long the sleeps for pages were: total, longest and histogram, of sleeps whose lengths are made up."""

from typing import cast

import pytest

from uvmfree.kern.lock import LockHandle
from uvmfree.kern.mutex import Condvar
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.uvmexp import Watermarks

MARKS = Watermarks(reserve_pagedaemon=1, reserve_kernel=5, freemin=10, freetarg=14)


class Scripted(ThreadsMachine):
    """A machine on which each sleep for pages takes so long, and ends by a pass of the daemon."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 5_000_000_000
        self.lengths_ns: list[int] = []
        self.pageout: Pageout | None = None

    def clock_ns(self) -> int:
        return self.now_ns

    def condvar(self) -> Condvar:
        machine, plain = self, super().condvar()

        class Timed(type(plain)):  # type: ignore[misc]
            def wait(self, handle: LockHandle, timeout_s: float | None = None) -> bool:
                machine.now_ns += machine.lengths_ns.pop(0)
                handle.release()
                cast("Pageout", machine.pageout).daemon_pass_over()
                handle.acquire()
                return True

        return cast("Condvar", Timed(ThreadsMachine().raw_lock))


@pytest.mark.parametrize("lengths_ns", [(700, 3_000_000, 1), (5, 4), (4, 5), (1 << 60,)])
def test_lengths_are_added_up_and_the_longest_is_kept(lengths_ns: tuple[int, ...]) -> None:
    machine = Scripted()
    counters = machine.counters(("paging", "pdpending"))
    pageout = machine.pageout = Pageout(machine, counters, lambda: MARKS, lambda: 100, *[lambda: False] * 2)
    machine.lengths_ns = list(lengths_ns)
    for _ in lengths_ns:
        assert pageout.wait()
    assert (pageout.sleeps, pageout.timeouts, pageout.waiters) == (len(lengths_ns), 0, 0)
    assert (pageout.sleep_ns_total, pageout.sleep_ns_max) == (sum(lengths_ns), max(lengths_ns))
    last = len(pageout.sleep_hist) - 1
    for bucket, count in enumerate(pageout.sleep_hist):
        assert count == sum(min(len(f"{length:b}"), last) == bucket for length in lengths_ns)
