"""Cross-calls and the xc threads of a booted system, in every design."""

import pytest

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.steps import alive, by_frame, free_all, running, take
from tests.kern.tasks import WAIT_S
from tests.uvm.machines import ClockMachine

TICKS = 20
"""Intervals after which a cache has come down to what the timer leaves in it: more than any decay here takes."""


def test_a_call_is_given_the_cpu_that_it_runs_on(boot: Boot) -> None:
    """R30: on every CPU, with its object; and it may allocate and free there."""
    uvm = boot(ncpus=3, npages=128)
    seen: list[tuple[int, str]] = []

    def call(cpu: uvmfree.uvm.cpu.Cpu) -> None:
        seen.append((cpu.index, running(uvm)))
        pages = [take(cpu, zero=True) for _ in range(5)]
        free_all(cpu, pages)

    with uvm:
        uvm.xcall.wait(uvm.xcall.broadcast(call), WAIT_S)
        uvm.xcall.wait(uvm.xcall.unicast(call, 2), WAIT_S)
        uvm.audit()
        assert sorted(seen) == [(0, "xc/0"), (1, "xc/1"), (2, "xc/2"), (2, "xc/2")]
        assert [stats.frees for stats in uvm.cpu_stats()] == [5, 5, 10]


def test_calls_run_in_order_and_an_error_is_carried(boot: Boot) -> None:
    """R30 and R31: the calls after the one that raised run on the same threads."""
    uvm = boot()
    ran: list[int] = []
    with uvm:
        tickets = [uvm.xcall.unicast(lambda cpu, n=n: ran.append(n) or 1 // n, 0) for n in (2, 1, 0, 3)]
        for ticket in (tickets[0], tickets[1], tickets[3]):
            uvm.xcall.wait(ticket, WAIT_S)
        with pytest.raises(uvmfree.XcallError) as refusal:
            uvm.xcall.wait(tickets[2], WAIT_S)
        assert isinstance(refusal.value.__cause__, ZeroDivisionError)
        uvm.audit()
    assert ran == [2, 1, 0, 3]


def test_an_error_of_the_allocator_comes_through_as_it_is(boot: Boot) -> None:
    """R13 and R31: a double free on an xc thread is the cause of what xc_wait raises."""
    uvm = boot()
    pg = take(uvm.cpus[0])
    with uvm:
        ticket = uvm.xcall.broadcast(lambda cpu: cpu.pagefree(pg) if cpu.index else None)
        uvm.xcall.wait(ticket, WAIT_S)
        with pytest.raises(uvmfree.XcallError, match="CPU 1") as refusal:
            uvm.xcall.wait(uvm.xcall.unicast(lambda cpu: cpu.pagefree(pg), 1), WAIT_S)
        assert isinstance(refusal.value.__cause__, uvmfree.DoubleFree)
        uvm.audit()


def test_every_cpu_may_redistribute_itself_by_a_cross_call(boot: Boot) -> None:
    """P8: the list of a CPU is handed back from its own xc thread, as by any other."""
    uvm = boot(npages=128)
    for cpu in uvm.cpus:
        free_all(cpu, [take(cpu) for _ in range(10)])
    hoard = uvm.cached_pages()
    moved: list[int] = []
    with uvm:
        uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: moved.append(uvm.redistribute(cpu.index))), WAIT_S)
        if "explicit" in uvm.traits.causes:
            assert sorted(moved) == sorted(hoard)
            assert uvm.uvmexp.free == uvm.param.npages
            assert uvm.cached_pages() == (0, 0)
        else:
            assert moved == [0, 0]
            assert uvm.cached_pages() == hoard
        uvm.audit()


def test_an_idle_system_gets_its_cached_pages_back_by_itself(boot: Boot) -> None:
    """P9: once an interval each xc thread hands its CPU's pages back, down to what an idle cache keeps."""
    machine = ClockMachine()
    uvm = boot(machine, npages=128, redistribute_interval_s=1.0)
    traits = uvm.traits
    free_all(uvm.cpus[1], by_frame(uvm, 40 * traits.refill))
    hoard = uvm.cached_pages()
    kept = hoard if traits.idle is None else tuple(min(traits.idle, pages) for pages in hoard)
    with uvm:
        for _ in range(TICKS):
            machine.now_s += 1.0
            for _ in range(2):  # a thread looks at its timer after each call: the second has seen the first's look
                uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: None), WAIT_S)
            assert all(pages >= least for pages, least in zip(uvm.cached_pages(), kept, strict=True))
        assert uvm.cached_pages() == kept
        if traits.free == "store":
            assert uvm.uvmexp.free == uvm.param.npages - sum(kept)
        by = {cause for cause, times in uvm.redistributions().items() if times}
        assert by <= traits.causes
        assert bool(by) == (kept != hoard)
        uvm.audit()


def test_a_call_that_hangs_does_not_hang_the_end_of_the_system(boot: Boot) -> None:
    """R30: close() is bounded and names the thread; the system is closed all the same."""
    uvm = boot()
    moved = uvm.machine.event()
    begun: list[bool] = []
    go: list[bool] = []

    def hang(cpu: object) -> None:
        begun.append(True)
        moved.notify()
        moved.sleep_until(lambda: bool(go), 4 * WAIT_S)

    with uvm:
        uvm.xcall.unicast(hang, 1)
        assert moved.sleep_until(lambda: bool(begun), WAIT_S)
        try:
            with pytest.raises(uvmfree.HangError, match="xc/1"):
                uvm.xcall.close(timeout_s=0.01)
        finally:
            go.append(True)
            moved.notify()
    with pytest.raises(uvmfree.ClosedError):
        uvm.cpus[0].pagealloc()


def test_the_threads_end_with_the_block_and_may_not_be_started_twice(boot: Boot) -> None:
    uvm = boot()
    names = {"xc/0", "xc/1"}
    with uvm, uvm:
        assert set(alive(uvm)) >= names
        assert sum(name in names for name in alive(uvm)) == 2
    assert not set(alive(uvm)) & names
