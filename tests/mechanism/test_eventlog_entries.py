"""The event log of a system, entry by entry, on a set clock: what, why, where, when, how many pages."""

import uvmfree
from tests.conformance.steps import free_all, take, take_all
from tests.mechanism.rig import SMALL
from tests.uvm.machines import ClockMachine
from uvmfree.kern.eventlog import Event


class TickingMachine(ClockMachine):
    """A clock that goes on by a nanosecond each time it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 1000

    def clock_ns(self) -> int:
        self.now_ns += 1
        return self.now_ns


def entries(uvm: uvmfree.Uvm) -> list[tuple[str, str, int | None, int]]:
    return [(event.what, event.cause, event.cpu, event.pages) for event in uvm.events.snapshot()]


def test_each_event_says_what_was_done() -> None:
    """P7, P8 and P10: one entry for each CPU whose cache moved, one for a run that took pages out of caches."""
    uvm = uvmfree.boot(ClockMachine(), **SMALL | {"design": "percpu", "ncolors": 1})
    pages = [take(uvm.cpus[1]) for _ in range(9)]
    free_all(uvm.cpus[1], pages)
    uvm.redistribute(1)
    uvm.redistribute(1)
    free_all(uvm.cpus[0], [take(uvm.cpus[0]) for _ in range(3)])
    low = pages[-1].pfn
    assert uvm.pglistalloc(1, low=low, high=low + 1) == pages[-1:]
    uvm.pglistfree(uvm.pglistalloc(2, nsegs=2))
    assert entries(uvm) == [("redistribute", "explicit", 1, 9), ("redistribute", "pglistalloc", None, 1)]
    assert {(event.began_ns, event.ended_ns) for event in uvm.events.snapshot()} == {(100 * 10**9,) * 2}
    uvm.close()


def test_a_pass_of_the_daemon_says_how_many_pages_it_looked_at() -> None:
    """R20: in that pass, not in all."""

    class Nothing:
        def needs_scan(self) -> bool:
            return False

        def reclaim_one(self) -> bool:
            return False

    uvm = uvmfree.boot(ClockMachine(), **SMALL | {"design": "percpu", "remote_drain": True})
    uvm.pagedaemon.add_reclaimer(Nothing())
    uvm.pagedaemon.one_pass()
    take_all(uvm.cpus[0])
    uvm.pagedaemon.one_pass()
    uvm.pagedaemon.one_pass()
    assert entries(uvm) == [("daemon", "", None, 0), ("daemon", "", None, 1), ("daemon", "", None, 1)]
    uvm.close()


def test_an_event_begins_before_it_ends() -> None:
    """P8: its time is from before the locks to after them."""
    uvm = uvmfree.boot(TickingMachine(), **SMALL | {"design": "percpu", "ncolors": 1, "remote_drain": True})
    free_all(uvm.cpus[1], [take(uvm.cpus[1]) for _ in range(9)])
    uvm.redistribute(1)
    free_all(uvm.cpus[1], [take(uvm.cpus[1]) for _ in range(9)])
    low = next(pg.pfn for pg in uvm.physmem if pg.owner == 1)
    uvm.pglistalloc(1, low=low, high=low + 1)
    uvm.pagedaemon.one_pass()
    events: tuple[Event, ...] = uvm.events.snapshot()
    assert len(events) == 3
    for event in events:
        assert 1000 < event.began_ns < event.ended_ns <= uvm.machine.clock_ns()
    uvm.close()


def test_a_run_out_of_one_cache_is_one_event_of_all_its_pages() -> None:
    uvm = uvmfree.boot(ClockMachine(), **SMALL | {"design": "percpu", "ncolors": 1})
    free_all(uvm.cpus[1], [take(uvm.cpus[1]) for _ in range(4)])
    pfns = sorted(pg.pfn for pg in uvm.physmem if pg.owner == 1)
    uvm.pglistalloc(4, low=pfns[0], high=pfns[-1] + 1, nsegs=1)
    assert entries(uvm) == [("redistribute", "pglistalloc", None, 4)]
    uvm.close()
