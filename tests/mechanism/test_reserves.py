"""The reserves: what is kept for the kernel and for the pagedaemon, when all CPUs want the last pages at once."""

import threading
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take, take_all
from tests.kern.tasks import begin, finish
from tests.mechanism.rig import Boot, free_globally, free_on, played, settle, take_everything, until
from uvmfree.uvm.cpu import Lwp
from uvmfree.uvm.page import VmPage

HOWS: list[dict[str, Any]] = [{}, {"zero": True}, {"color": 3}, {"strat": "fallback"}]


@pytest.mark.parametrize("how", HOWS, ids=str)
@pytest.mark.parametrize(
    ("lwp", "use_reserve", "left"),
    [
        ("user", False, 10),
        ("user", True, 1),
        ("kernel", False, 1),
        ("kernel", True, 1),
        ("pagedaemon", False, 0),
        ("pagedaemon", True, 0),
    ],
)
def test_who_may_go_how_far(
    boot: Boot, variant: dict[str, Any], how: dict[str, Any], lwp: Any, use_reserve: bool, left: int
) -> None:
    """R5 and R6: an ordinary thread stops at reserve_kernel; a kernel thread, or one with USERESERVE, goes on."""
    uvm = boot(**variant)
    marks = uvm.uvmexp.marks
    assert (marks.reserve_kernel, marks.reserve_pagedaemon) == (10, 1)
    with played(uvm, 1, lwp) as cpu:
        pages = take_all(cpu, use_reserve=use_reserve, **how)
        assert (len(pages), uvm.uvmexp.free) == (64 - left, left)
        free_all(cpu, pages)
    settle(uvm)


def test_one_after_the_other_down_to_the_last_page(boot: Boot, variant: dict[str, Any]) -> None:
    """R5 and R6: each takes what the one before had to leave."""
    uvm = boot(**variant)
    pages: list[VmPage] = []
    for lwp, left in (("user", 10), ("kernel", 1), ("user", 1), ("pagedaemon", 0), ("pagedaemon", 0)):
        with played(uvm, 0, lwp) as cpu:
            pages += take_all(cpu)
            assert uvm.uvmexp.free == left
    assert len(pages) == 64
    free_on(uvm, 1, pages)
    settle(uvm)


def test_a_thread_is_what_it_is_only_while_it_plays(boot: Boot, design: str) -> None:
    """R5: the privilege ends with the block, whatever ends it."""
    uvm = boot(design=design)
    held = take_everything(uvm)
    free_globally(uvm, held[:10])

    def broken_off() -> None:
        with uvm.run_on(1, lwp="kernel") as cpu:
            take(cpu)
            raise KeyError

    with pytest.raises(KeyError):
        broken_off()
    assert uvm.cpus[1].pagealloc() is None
    with pytest.raises(uvmfree.ArgumentError, match="lwp='idle'"), uvm.run_on(1, lwp="idle"):  # type: ignore[arg-type]
        pass
    uvm.audit()


def test_xc_threads_are_kernel_threads(boot: Boot, design: str) -> None:
    """R5 and R30: they have USERESERVE implied."""
    uvm = boot(design=design)
    held = take_everything(uvm)
    free_globally(uvm, held[:10])
    got: list[VmPage | None] = []
    with uvm:
        uvm.xcall.wait(uvm.xcall.unicast(lambda cpu: got.extend([cpu.pagealloc(), cpu.pagealloc()]), 1), 10)
        assert None not in got
        uvm.audit()


def test_a_refill_leaves_the_kernel_reserve_alone(boot: Boot) -> None:
    """R6 and Q15: a cache hoards nothing of it, for whomever it is."""
    lwps: tuple[Lwp, ...] = ("user", "kernel", "pagedaemon")
    for lwp in lwps:
        uvm = boot(design="percpu", refill=64)
        with played(uvm, 0, lwp) as cpu:
            pg = take(cpu)
            assert (uvm.uvmexp.free, uvm.cached_pages()) == (10, (53, 0))
            cpu.pagefree(pg)
        settle(uvm)


def test_a_cache_knows_no_reserve(boot: Boot) -> None:
    """Q7: an ordinary thread may have from its cache what the reserve should keep; today it may not."""
    for design, got in (("percpu", 10), ("fpageqlock", 0)):
        uvm = boot(design=design)
        held = take_everything(uvm)
        free_on(uvm, 0, held[:10])
        with played(uvm, 0, "user") as cpu:
            assert len(take_all(cpu)) == got


def test_the_daemon_may_go_without_beside_cached_pages(boot: Boot) -> None:
    """Q7: what another CPU has cached does not serve it, unless a failure drains the caches (Q5)."""
    for drain_retry in (False, True):
        uvm = boot(design="percpu", drain_retry=drain_retry)
        held = take_everything(uvm)
        free_on(uvm, 0, held[:10])
        with played(uvm, 1, "pagedaemon") as cpu:
            assert (cpu.pagealloc() is not None) is drain_retry


@pytest.mark.parametrize("kernel", [False, True], ids=["users", "users and kernel"])
def test_the_daemon_finds_a_page_as_long_as_one_is_on_the_global_list(
    boot: Boot, variant: dict[str, Any], kernel: bool
) -> None:
    """R6 and Q7: three CPUs take all they can get, over and over; the fourth plays the pagedaemon and never fails.

    => Of 1 + 20 pages that are kept, ordinary threads leave 20 and kernel threads 1: the daemon's.
    """
    uvm = boot(**variant, ncpus=4, npages=128, pagesize=1 << 15, redistribute_min_gap_s=3600)
    reserve = uvm.uvmexp.reserve_kernel
    over = threading.Event()
    # What the daemon got when no ordinary thread could get more than what the daemon itself had just handed back.
    tight = [0]

    def hammer(index: int) -> None:
        lwp: Lwp = "kernel" if kernel and index == 1 else "user"
        with uvm.run_on(index, lwp=lwp) as cpu:
            while not over.is_set():
                before = tight[0]
                pages = list(iter(cpu.pagealloc, None))
                until(lambda: tight[0] > before or over.is_set())  # noqa: B023 (called at once)
                free_all(cpu, pages)
                uvm.redistribute(index)

    hammers = [begin(lambda index=index: hammer(index)) for index in (1, 2, 3)]  # type: ignore[misc]
    try:
        with uvm.run_on(0, lwp="pagedaemon") as cpu:
            while tight[0] < 30:
                free = uvm.uvmexp.free
                pg = cpu.pagealloc()
                assert pg is not None
                tight[0] += free <= reserve + uvm.traits.refill
                cpu.pagefree(pg)
                uvm.redistribute(0)
    finally:
        over.set()
        finish(*hammers)
    uvm.audit()
    settle(uvm)


def test_kernel_threads_on_all_cpus_leave_the_daemon_its_page(boot: Boot, variant: dict[str, Any]) -> None:
    """R6: whatever the race, exactly one page is left; and it is the daemon's to take."""
    for _ in range(5):
        uvm = boot(**variant, ncpus=4, npages=64)
        go = threading.Barrier(4)
        got: list[list[VmPage]] = [[], [], [], []]

        def grab(
            index: int,
            uvm: uvmfree.Uvm = uvm,
            go: threading.Barrier = go,
            got: list[list[VmPage]] = got,
        ) -> None:
            with uvm.run_on(index, lwp="kernel") as cpu:
                go.wait(10)
                got[index] = take_all(cpu)

        finish(*[begin(lambda index=index: grab(index)) for index in range(4)])  # type: ignore[misc]
        uvm.audit()
        assert uvm.uvmexp.free + sum(uvm.cached_pages()) == 64 - sum(map(len, got))
        assert uvm.uvmexp.free >= 1
        uvm.redistribute()
        with uvm.run_on(2, lwp="pagedaemon") as cpu:
            got[2].append(take(cpu))
        for pages in got:
            free_on(uvm, 3, pages)
        settle(uvm)
