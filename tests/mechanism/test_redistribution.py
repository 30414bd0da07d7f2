"""Handing cached pages back: by the timer, under pressure, on failure; and the options of the caches."""

import threading
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take
from tests.kern.tasks import WAIT_S, begin, finish
from tests.mechanism.rig import SMALL, Boot, free_on, settle, take_everything, until
from tests.uvm.machines import ClockMachine, CounterMachine
from uvmfree.uvm.page import Place, VmPage

CAUSES = {"timer", "pressure", "explicit", "retry", "pglistalloc", "rate-limited"}


def causes(uvm: uvmfree.Uvm) -> dict[str, int]:
    """Return the causes that were counted at all."""
    counted = uvm.redistributions()
    assert set(counted) == CAUSES
    return {cause: count for cause, count in counted.items() if count}


def look_up(uvm: uvmfree.Uvm) -> None:
    """Let every xc thread look at its timer, and wait until it has."""
    for _ in range(2):  # a thread looks after each call: the second has seen the first's look
        uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: None), WAIT_S)


def hoarded(uvm: uvmfree.Uvm, left: int) -> list[VmPage]:
    """Let CPU 0 hold all pages in its cache but so many, which are on the global list; none is allocated."""
    pages = take_everything(uvm)
    free_on(uvm, 1, pages[:left])
    uvm.redistribute(1)
    free_on(uvm, 0, pages[left:])
    return pages[left:]


def test_the_timer_waits_its_turn_unless_the_system_is_struggling() -> None:
    """P9: handed back if that was (a) not done recently or (b) at once, if memory is short (R17); counted."""
    machine = ClockMachine(now_s=100.0)
    with uvmfree.boot(machine, **SMALL | {"redistribute_interval_s": 1.0, "design": "percpu"}) as uvm:
        held = take_everything(uvm)
        free_on(uvm, 0, held[:50])
        uvm.redistribute(0)
        free_on(uvm, 0, held[50:])
        look_up(uvm)
        machine.now_s = 100.9
        look_up(uvm)
        assert uvm.cached_pages() == (14, 0)
        assert causes(uvm) == {"explicit": 1}
        machine.now_s = 101.95  # the timer's turn, 1.95 s after the last time
        look_up(uvm)
        assert (uvm.cached_pages(), causes(uvm)) == ((0, 0), {"explicit": 1, "timer": 1})
        uvm.audit()
        # Memory is short now, and pages went back a moment ago.
        short = uvm.pglistalloc(50, nsegs=50)
        free_on(uvm, 1, short[:1])
        machine.now_s = 102.5
        uvm.redistribute(1)
        free_on(uvm, 1, short[1:])
        assert uvm.pageout.is_short(uvm.uvmexp.free)
        machine.now_s = 103.0
        look_up(uvm)
        assert uvm.cached_pages() == (0, 0)
        assert causes(uvm)["timer"] == 2
        settle(uvm)


def test_the_timer_leaves_alone_what_was_done_recently_if_there_is_enough() -> None:
    """P9: the case beside the one before, with memory to spare."""
    machine = ClockMachine(now_s=100.0)
    with uvmfree.boot(machine, **SMALL | {"redistribute_interval_s": 1.0, "design": "percpu"}) as uvm:
        look_up(uvm)
        free_on(uvm, 1, [take(uvm.cpus[1])])
        machine.now_s = 100.5
        uvm.redistribute(1)
        free_on(uvm, 1, [take(uvm.cpus[1]) for _ in range(30)])
        machine.now_s = 101.0
        look_up(uvm)
        assert uvm.cached_pages() == (0, 30)
        assert not uvm.pageout.is_short(uvm.uvmexp.free)
        assert causes(uvm) == {"explicit": 1}
        uvm.audit()


@pytest.mark.parametrize("remote", [False, True], ids=["xc threads", "remote"])
def test_under_pressure_the_daemon_has_all_caches_handed_back(remote: bool) -> None:
    """P10 and Q14: each by its own CPU's xc thread, or by the daemon that takes the locks itself; O(buckets)."""
    machine = CounterMachine()
    by: list[str] = []
    with uvmfree.boot(machine, **SMALL | {"remote_drain": remote, "design": "percpu"}) as uvm:
        pages = take_everything(uvm)
        free_on(uvm, 0, pages[:30])
        free_on(uvm, 1, pages[30:])
        machine.before_add = lambda name, n: by.append(threading.current_thread().name)
        uvm.kick_pdaemon()
        until(lambda: uvm.uvmexp.free == 64)
        assert sorted(by) == (["pagedaemon"] * 2 if remote else ["xc/0", "xc/1"])
        assert causes(uvm) == {"pressure": 2}
        settle(uvm)


def test_pressure_is_felt_on_the_global_path_without_anybody_asking(boot: Boot) -> None:
    """P10 and R4: an allocation that finds the global list short kicks the daemon, which drains the caches."""
    with boot(design="percpu") as uvm, uvm.run_on(1) as cpu:
        hoarded(uvm, left=15)
        take(cpu)
        until(lambda: uvm.cached_pages() == (0, 0))
        until(lambda: uvm.uvmexp.free == 63)
        assert causes(uvm)["pressure"] == 1
        uvm.audit()


def test_memory_that_is_not_short_is_left_in_the_caches(boot: Boot) -> None:
    """P10 and R20: a kick alone hands nothing back if there is enough."""
    with boot(design="percpu") as uvm:
        hoarded(uvm, left=uvm.uvmexp.freetarg)
        before = uvm.cached_pages()
        uvm.kick_pdaemon()
        until(lambda: uvm.pagedaemon.pdwoke == 1)
        assert uvm.wait(WAIT_S)  # one more pass, from its beginning to its end
        assert uvm.cached_pages() == before
        assert causes(uvm) == {"explicit": 1}


@pytest.mark.parametrize("remote", [False, True], ids=["xc threads", "remote"])
def test_under_pressure_not_more_often_than_is_useful(remote: bool) -> None:
    """P10 and Q11: within redistribute_min_gap_s of the last time it is not done, and that is counted."""
    machine = ClockMachine(now_s=100.0)
    tunables = SMALL | {"redistribute_min_gap_s": 0.5, "remote_drain": remote, "design": "percpu"}
    with uvmfree.boot(machine, **tunables) as uvm:
        pages = hoarded(uvm, left=0)
        uvm.kick_pdaemon()
        until(lambda: uvm.uvmexp.free == 64)
        assert [pg.place for pg in pages] == [Place.GLOBAL] * 64
        pages = hoarded(uvm, left=0)
        machine.now_s = 100.49
        for passes in (1, 2, 3):
            uvm.kick_pdaemon()
            until(lambda: causes(uvm).get("rate-limited") == passes)  # noqa: B023 (called at once)
        assert uvm.cached_pages() == (64, 0)
        machine.now_s = 100.5
        uvm.kick_pdaemon()
        until(lambda: uvm.uvmexp.free == 64)
        assert causes(uvm) == {"pressure": 2, "rate-limited": 3}
        settle(uvm)


def test_an_xc_thread_that_does_not_come_holds_up_neither_the_others_nor_the_daemon(boot: Boot) -> None:
    """Q14: the caches of the CPUs that answer are drained at once, the late one's when it comes."""
    go = threading.Event()
    with boot(design="percpu") as uvm:
        pages = take_everything(uvm)
        free_on(uvm, 0, pages[:32])
        free_on(uvm, 1, pages[32:])
        uvm.xcall.unicast(lambda cpu: go.wait(WAIT_S), 1)
        try:
            uvm.kick_pdaemon()
            until(lambda: uvm.uvmexp.free == 32)
            until(lambda: uvm.pagedaemon.pdwoke and uvm.pageout.wait(WAIT_S))  # the daemon goes on with its passes
            assert uvm.cached_pages() == (0, 32)
        finally:
            go.set()
        until(lambda: uvm.uvmexp.free == 64)
        settle(uvm)


def test_by_default_a_failure_is_a_failure(boot: Boot) -> None:
    """Q5: pages on another CPU are as good as none."""
    uvm = boot(design="percpu")
    hoarded(uvm, left=10)
    assert uvm.cpus[1].pagealloc() is None
    assert causes(uvm) == {"explicit": 1}


@pytest.mark.parametrize("how", [{}, {"zero": True}, {"color": 3}, {"strat": "only"}], ids=str)
def test_drain_retry_finds_what_lies_in_other_caches(how: dict[str, Any]) -> None:
    """Q5: on a failure all caches are drained, at most once in redistribute_min_gap_s, and it is tried once more."""
    machine = ClockMachine(now_s=100.0)
    uvm = uvmfree.boot(machine, **SMALL | {"redistribute_min_gap_s": 0.5, "drain_retry": True, "design": "percpu"})
    hoarded(uvm, left=10)
    with uvm.run_on(1) as cpu:
        pg = take(cpu, **how)
        assert how.get("color") in (None, pg.color)
        assert causes(uvm) == {"explicit": 1, "retry": 1}
        uvm.audit()
        taken = [pg, *iter(cpu.pagealloc, None)]
        assert len(taken) == 54
        assert causes(uvm) == {"explicit": 1, "retry": 1, "rate-limited": 1}
        free_on(uvm, 0, taken)
        assert cpu.pagealloc(**how) is None  # it was done a moment ago
        machine.now_s = 100.5
        free_on(uvm, 0, [take(cpu, **how)])
    assert causes(uvm) == {"explicit": 1, "retry": 2, "rate-limited": 2}
    settle(uvm)
    uvm.close()


@pytest.mark.parametrize("lwp", ["user", "kernel", "pagedaemon"])
def test_drain_retry_serves_every_kind_of_thread(boot: Boot, lwp: Any) -> None:
    """Q5: an allocation never sleeps, so whoever it is takes the locks itself."""
    uvm = boot(design="percpu", drain_retry=True)
    held = take_everything(uvm)
    free_on(uvm, 0, held[:20])
    with uvm.run_on(1, lwp=lwp) as cpu:
        free_on(uvm, 0, [take(cpu)])
    assert causes(uvm)["retry"] == 1


def test_drain_retry_from_an_xc_thread(boot: Boot) -> None:
    """Q5 and R30: which may not wait for a cross-call that it has to run itself."""
    with boot(design="percpu", drain_retry=True) as uvm:
        held = take_everything(uvm)
        free_on(uvm, 0, held[:20])
        got: list[VmPage] = []
        uvm.xcall.wait(uvm.xcall.unicast(lambda cpu: got.append(take(cpu)), 1), WAIT_S)
        free_on(uvm, 0, got)
        uvm.audit()


def test_searching_by_colour_misses_fewer_colours(boot: Boot) -> None:
    """Q9: a cache with a single colour, and an allocator that goes round the colours."""
    misses = {}
    for search in ("local", "colour"):
        uvm = boot(design="percpu", search=search)
        cpu = uvm.cpus[0]
        free_all(cpu, [take(cpu, color=1) for _ in range(12)])
        before, free = uvm.cpu_stats()[0], uvm.uvmexp.free
        for _ in range(24):
            take(cpu)
        misses[search] = uvm.cpu_stats()[0].colormiss - before.colormiss
        assert uvm.uvmexp.free == free - (12 if search == "local" else 18)
        uvm.audit()
    assert misses == {"local": 12, "colour": 0}


def test_searching_by_colour_asks_the_cache_then_the_global_list_in_each_colour(boot: Boot) -> None:
    """Q9, R9 and R8: own list before the global one within a colour; a freelist outermost all the same."""
    uvm = boot(design="percpu", search="colour", nfreelists=2)
    cpu = uvm.cpus[0]
    pages = take_everything(uvm)
    frame = {pg.pfn: pg for pg in pages}
    free_on(uvm, 1, [frame[pfn] for pfn in (41, 34, 45, 2, 3)])
    uvm.redistribute(1)
    free_on(uvm, 0, [frame[pfn] for pfn in (33, 38, 7, 43)])
    got = [take(cpu, use_reserve=True, color=1).pfn for _ in range(8)]
    # Colour 1: own 33, global 45, 41. Colour 2: own 38, global 34. Colour 3: own 43. Freelist 1: global 2, own 7.
    assert got == [33, 45, 41, 38, 34, 43, 2, 7]
    assert cpu.pagealloc(use_reserve=True) is None
    uvm.audit()


@pytest.mark.parametrize("counting", [False, True], ids=["", "count_cached"])
def test_counting_cached_pages_stops_needless_kicks(boot: Boot, counting: bool) -> None:
    """Q3 and R4: with plenty of pages in caches, a short global list wakes the daemon for nothing."""
    uvm = boot(design="percpu", count_cached=counting)
    hoarded(uvm, left=15)
    with uvm.run_on(1) as cpu:
        for _ in range(5):
            take(cpu)
    assert uvm.pageout.kicks == (0 if counting else 5)
    uvm.audit()


def test_counted_or_not_a_system_without_pages_is_short(boot: Boot) -> None:
    """Q3: what counts as free when both lists are nearly empty."""
    uvm = boot(design="percpu", count_cached=True)
    held = take_everything(uvm)
    free_on(uvm, 0, held[:15])
    with uvm.run_on(1) as cpu:
        assert cpu.pagealloc() is None
    assert uvm.pageout.kicks == 1
    uvm.audit()


def test_an_error_on_the_timer_is_loud_at_the_end(boot: Boot) -> None:
    """P9 and R31: the xc thread goes on with its first job, and close() says what happened to the other."""
    machine = ClockMachine(now_s=100.0)
    uvm = boot(machine, design="percpu", redistribute_interval_s=1.0)

    class Broken:
        def needs_scan(self) -> bool:
            if threading.current_thread().name == "xc/1":
                raise ZeroDivisionError("a policy that is broken")
            return False

        def reclaim_one(self) -> bool:
            return False

    uvm.pagedaemon.add_reclaimer(Broken())

    def run() -> None:
        with uvm:
            look_up(uvm)
            pages = take_everything(uvm)
            machine.now_s = 100.5
            free_on(uvm, 1, pages[:17])
            uvm.redistribute(1)  # done recently, and 17 pages are few: it will ask whether memory is short
            free_on(uvm, 1, pages[17:])
            machine.now_s = 101.0
            look_up(uvm)
            assert uvm.cached_pages() == (0, 47)
            uvm.audit()

    with pytest.raises(uvmfree.XcallError, match="the timer of an xc thread raised") as refusal:
        run()
    assert isinstance(refusal.value.__cause__, ZeroDivisionError)


def test_the_causes_may_be_read_while_the_first_of_each_is_counted() -> None:
    """P1 and P8: by somebody without a lock, while other threads redistribute."""
    over = threading.Event()
    systems = [uvmfree.boot(**SMALL | {"design": "percpu", "ncpus": 8}) for _ in range(40)]
    now = [systems[0]]

    def read() -> None:
        while not over.is_set():
            assert set(now[0].redistributions()) == CAUSES

    reader = begin(read)
    try:
        for uvm in systems:
            now[0] = uvm
            for index in range(8):
                free_on(uvm, index, [take(uvm.cpus[index])])
                uvm.redistribute(index)
            assert causes(uvm) == {"explicit": 8}
    finally:
        over.set()
        finish(reader)
        for uvm in systems:
            uvm.audit()
            uvm.close()


def test_today_there_is_nothing_to_hand_back(boot: Boot) -> None:
    """P8: in the design of today every free page is on the global list, and no cause is ever counted."""
    with boot(design="fpageqlock", redistribute_interval_s=0.001) as uvm:
        pages = take_everything(uvm)
        free_on(uvm, 1, pages)
        uvm.kick_pdaemon()
        assert uvm.redistribute() == 0
        look_up(uvm)
        assert (uvm.uvmexp.free, uvm.cached_pages(), causes(uvm)) == (64, (0, 0), {})
        uvm.audit()
