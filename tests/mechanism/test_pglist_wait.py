"""Contiguous and ranged allocation while others are at work: waiting for pages that are missing, and many threads."""

import threading

import pytest

import uvmfree
from tests.kern.tasks import WAIT_S, begin, finish
from tests.mechanism.rig import (
    SMALL,
    VARIANTS,
    Boot,
    all_free,
    free_globally,
    free_on,
    own_lock,
    rebound,
    settle,
    take_everything,
    until,
)
from tests.uvm.machines import InterposingMachine
from uvmfree.uvm.page import Place, VmPage

RESERVES = 11
"""Pages that pglistalloc leaves alone on 2 CPUs: 5 each for the kernel, 1 for the pagedaemon."""


def frames(pages: list[VmPage]) -> list[int]:
    return [pg.pfn for pg in pages]


@pytest.mark.parametrize("high", [None, 64])
def test_waiting_keeps_what_was_got(boot: Boot, design: str, high: int | None) -> None:
    """R29: any pages, and may wait: it takes what there is, waits, goes on, until it has all."""
    uvm = boot(design=design, npages=96)
    pages = take_everything(uvm)
    got: list[VmPage] = []
    with uvm:
        asking = begin(lambda: got.extend(uvm.pglistalloc(20, nsegs=20, high=high, waitok=True, timeout_s=WAIT_S)))
        for step in range(4):
            free_globally(uvm, pages[step * 5 : step * 5 + 5] if step else pages[-RESERVES:] + pages[:5])
            until(lambda: all_free(uvm) == RESERVES)
            uvm.audit()
        finish(asking)
        assert frames(got) == frames(pages[:20]) if high else len(got) == 20
        assert uvm.pageout.sleeps > 0
        assert all_free(uvm) == RESERVES
        uvm.audit()


def test_waiting_in_vain_gives_all_back(boot: Boot, design: str) -> None:
    """R29 and R27: when the time is up every page that was got is free again."""
    uvm = boot(design=design)
    held = take_everything(uvm)
    free_globally(uvm, held[:20])
    with uvm:
        with pytest.raises(uvmfree.OutOfPages, match=r"only 9 of 30 pages came free within 0\.02 s"):
            uvm.pglistalloc(30, nsegs=30, waitok=True, timeout_s=0.02)
        assert {pg.pfn for pg in uvm.physmem if pg.place is not Place.ALLOCATED} == set(frames(held[:20]))
        uvm.audit()
        assert uvm.pageout.waiters == 0


def test_waiting_is_an_error_where_nobody_would_wake(boot: Boot, design: str) -> None:
    """R29 and R18: before the pagedaemon is started; what was got is given back."""
    uvm = boot(design=design)
    held = take_everything(uvm)
    free_globally(uvm, held[:20])
    with pytest.raises(uvmfree.HangError, match="the pagedaemon was not started"):
        uvm.pglistalloc(30, nsegs=30, waitok=True)
    assert all_free(uvm) == 20
    uvm.audit()


def test_a_run_is_not_waited_for(boot: Boot, design: str) -> None:
    """R29: simple and waitok. A run that is not there is refused at once, waitok or not."""
    uvm = boot(design=design)
    free_on(uvm, 1, take_everything(uvm)[::2])
    with uvm, pytest.raises(uvmfree.OutOfPages, match="R26"):
        uvm.pglistalloc(4, waitok=True)
    assert uvm.pageout.sleeps == 0


def test_the_end_of_the_system_ends_the_waiting(boot: Boot, design: str) -> None:
    """R29: ClosedError, not a hang."""
    uvm = boot(design=design)
    held = take_everything(uvm)
    free_globally(uvm, held[:20])
    with uvm:
        asking = begin(lambda: uvm.pglistalloc(30, nsegs=30, waitok=True, timeout_s=WAIT_S))
        until(lambda: uvm.pageout.sleeps)
    with pytest.raises(uvmfree.ClosedError):
        finish(asking)


def test_requests_from_many_threads_never_share_a_page(boot: Boot) -> None:
    """R28 and R3: while CPUs allocate and free, each run has its frames for itself."""
    for name, variant in VARIANTS.items():
        uvm = boot(**variant, npages=96, ncpus=3)
        over = threading.Event()

        def work(index: int, uvm: uvmfree.Uvm = uvm, over: threading.Event = over) -> None:
            with uvm.run_on(index) as cpu:
                while not over.is_set():
                    pages = [pg for pg in (cpu.pagealloc() for _ in range(7)) if pg is not None]
                    for pg in pages:
                        stamp(uvm, pg, index)
                    for pg in pages:
                        assert unstamped(uvm, pg) == (pg.pfn, index)
                        cpu.pagefree(pg)

        workers = [begin(lambda index=index: work(index)) for index in (1, 2)]  # type: ignore[misc]
        got = 0
        try:
            for size in 15 * (2, 4, 8):
                try:
                    run = uvm.pglistalloc(size, alignment=size)
                except uvmfree.OutOfPages:
                    continue
                for pg in run:
                    stamp(uvm, pg, 99)
                assert [unstamped(uvm, pg) for pg in run] == [(run[0].pfn + n, 99) for n in range(size)]
                uvm.pglistfree(run)
                got += 1
        finally:
            over.set()
            finish(*workers)
        assert got, name
        settle(uvm)


def stamp(uvm: uvmfree.Uvm, pg: VmPage, who: int) -> None:
    uvm.physmem.bytes_of(pg)[:2] = bytes((pg.pfn, who))


def unstamped(uvm: uvmfree.Uvm, pg: VmPage) -> tuple[int, int]:
    first, second = uvm.physmem.bytes_of(pg)[:2]
    return first, second


@pytest.mark.parametrize("how", ["taken over", "detached"])
def test_a_thread_that_plays_no_cpu_frees_though_its_cpu_is_taken_away(design: str, how: str) -> None:
    """R3 and R29: what cannot be had is given back by such a thread; a player that comes then is no error of it."""
    machine = InterposingMachine()
    uvm = uvmfree.boot(machine, **SMALL | {"design": design})
    pages = uvm.pglistalloc(8)
    machine.then = lambda: rebound(uvm, 0) if how == "taken over" else uvm.detach(0)
    machine.at = own_lock(design, 0)
    uvm.pglistfree(pages)
    assert all_free(uvm) == 64
    uvm.audit()
    settle(uvm)
    uvm.close()
