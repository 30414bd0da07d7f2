"""Zeroing free pages ahead of time: when it is worth it, which pages, what a page in the middle of it is."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import dirty, is_zero, take
from tests.kern.tasks import WAIT_S, await_event, begin, finish
from tests.mechanism.rig import (
    SMALL,
    Boot,
    MutexMachine,
    all_free,
    free_globally,
    free_on,
    left_alone,
    own_lock,
    rebound,
    settle,
    state,
    take_everything,
    until,
)
from tests.uvm.machines import InterposingMachine
from uvmfree.uvm.idle import IdleThreads
from uvmfree.uvm.page import UNKNOWN, ZEROS, Place, VmPage


def with_pages(uvm: uvmfree.Uvm, npages: int, index: int = 1) -> list[VmPage]:
    """Let a CPU free so many dirty pages, evenly over the colours; hold all others. Return those that are free."""
    pages = take_everything(uvm)
    for pg in pages:
        dirty(uvm, pg)
    free_on(uvm, index, pages[:npages])
    return pages[:npages]


class Watch:
    """A `runnable` callback that notes which page is being zeroed, and stops after so many pieces."""

    def __init__(self, uvm: uvmfree.Uvm, pieces: int | None = None) -> None:
        self.uvm = uvm
        self.pieces = pieces
        self.seen: list[VmPage] = []
        self.do: Callable[[VmPage], object] = lambda pg: None

    def __call__(self) -> bool:
        for pg in self.uvm.physmem:
            if pg.place is Place.ZEROING:
                if pg not in self.seen:
                    self.seen.append(pg)
                    self.do(pg)
                if self.pieces is not None:
                    self.pieces -= 1
        return self.pieces is not None and self.pieces < 0


@pytest.mark.parametrize(
    ("unknown", "zeroed"),
    [(0, 0), (1, 0), (3, 0), (4, 1), (5, 2), (6, 3), (7, 4), (8, 4), (9, 5), (20, 10), (21, 11)],
)
def test_when_it_is_armed(boot: Boot, design: str, unknown: int, zeroed: int) -> None:
    """R14: while own ZEROS < own UNKNOWN, and own UNKNOWN is not below ncolors, here 4."""
    uvm = boot(design=design)
    pages = with_pages(uvm, unknown)
    assert uvm.cpus[1].pageidlezero() == zeroed
    assert sum(pg.zeroed for pg in pages) == zeroed == uvm.cpu_stats()[1].zeroed
    assert all(is_zero(uvm, pg) is pg.zeroed for pg in pages)
    before = state(uvm)
    assert uvm.cpus[1].pageidlezero() == 0
    assert state(uvm) == before


def test_a_zero_allocation_and_a_free_arm_it_again(boot: Boot, design: str) -> None:
    """R14: after a free, or a ZERO allocation."""
    uvm = boot(design=design)
    with_pages(uvm, 20)
    held = next(pg for pg in uvm.physmem if pg.place is Place.ALLOCATED)
    cpu = uvm.cpus[1]
    assert cpu.pageidlezero() == 10
    zeroed = take(cpu, zero=True)
    assert (uvm.uvmexp.snapshot().pga_zerohit, cpu.stats().zeroed) == (1, 10)
    assert cpu.pageidlezero() == 1
    cpu.pagefree(zeroed)
    assert cpu.pageidlezero() == 0  # 10 and 10
    cpu.pagefree(held)
    assert cpu.pageidlezero() == 1
    uvm.audit()


def test_it_gives_up_if_the_lock_is_taken(boot: Boot, design: str) -> None:
    """R15: trylock; nothing is zeroed and nothing waited for. As well in the middle: the page at hand is finished."""
    machine = MutexMachine()
    uvm = boot(machine, design=design)
    with_pages(uvm, 20)
    held, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with machine.made[own_lock(design, 1)].handle("test"):
            held.set()
            await_event(enough)

    holder = begin(hold)
    await_event(held)
    assert uvm.cpus[1].pageidlezero() == 0
    enough.set()
    finish(holder)
    assert uvm.cpus[1].stats().zeroed == 0
    assert uvm.cpus[1].pageidlezero() == 10
    uvm.audit()


def test_only_the_own_pages_are_zeroed(boot: Boot, variant: dict[str, Any]) -> None:
    """R15 and P6: those on this CPU's list; no other CPU's, and in the proposal none of the global list."""
    uvm = boot(**variant, ncpus=3, npages=96)
    pages = take_everything(uvm)
    free_globally(uvm, pages[:40])
    free_on(uvm, 1, pages[40:48])
    free_on(uvm, 2, pages[48:56])
    before = [(pg.place, pg.owner) for pg in pages]
    assert uvm.cpus[2].pageidlezero() == 4
    assert {pg.pfn for pg in pages if pg.zeroed} < set(range(48, 56))
    assert [(pg.place, pg.owner) for pg in pages] == before
    assert uvm.uvmexp.zeropages == (4 if variant["design"] == "fpageqlock" else 0)
    uvm.audit()
    uvm.redistribute()
    assert uvm.uvmexp.zeropages == 4
    uvm.audit()


@pytest.mark.parametrize("nextcolor", [0, 2, 3])
def test_colours_from_nextcolor_on_and_all_freelists_of_each(boot: Boot, design: str, nextcolor: int) -> None:
    """R15: all freelists of a colour before the next colour; within a list the head first (R2)."""
    uvm = boot(design=design, nfreelists=2)
    pages = take_everything(uvm)
    own = [pg for pg in pages if pg.pfn in (*range(8, 20), *range(40, 52))]
    free_on(uvm, 1, own)
    cpu = uvm.cpus[1]
    if nextcolor:
        take(cpu, color=nextcolor - 1)
        own = [pg for pg in own if pg.place is not Place.ALLOCATED]
    watch = Watch(uvm)
    zeroed = cpu.pageidlezero(watch)
    turn = lambda pg: ((pg.color - nextcolor) % 4, pg.free_list, -pg.pfn)  # noqa: E731
    assert watch.seen == sorted(own, key=turn)[:zeroed]
    assert zeroed == 12 if not nextcolor else zeroed >= 11
    uvm.audit()


def test_a_page_in_the_middle_of_it_is_nowhere_and_not_free(boot: Boot, variant: dict[str, Any]) -> None:
    """R16: on no list, counted free by nobody, an error to free, with no lock held; then a page of ZEROS."""
    uvm = boot(**variant)
    with_pages(uvm, 8)
    free, cached = uvm.uvmexp.free, uvm.cached_pages()
    checked: list[VmPage] = []

    def check(pg: VmPage) -> None:
        assert (pg.place, pg.owner, pg.zeroed) == (Place.ZEROING, 1, False)
        gone = len(checked)  # pages that are back, zeroed
        if uvm.param.design == "fpageqlock":
            assert (uvm.uvmexp.free, uvm.uvmexp.zeropages) == (free - 1, gone)
        else:
            assert (uvm.uvmexp.free, uvm.cached_pages()[1]) == (free, cached[1] - 1)
        assert all_free(uvm) == 7
        before = state(uvm)
        for index in (0, 1):
            with pytest.raises(uvmfree.DoubleFree, match=f"page {pg.pfn:#x}.*being filled with zeros"):
                uvm.cpus[index].pagefree(pg)
        assert state(uvm) == before
        uvm.audit()
        checked.append(pg)

    watch = Watch(uvm)
    watch.do = check
    with uvm.run_on(1) as cpu:
        assert cpu.pageidlezero(watch) == 4
    assert [pg.zeroed for pg in checked] == [True] * 4
    assert (uvm.uvmexp.free, uvm.cached_pages()) == (free, cached)
    uvm.audit()


@pytest.mark.parametrize("pieces", [0, 1, 7])
def test_a_page_that_is_broken_off_goes_back_as_it_came(boot: Boot, variant: dict[str, Any], pieces: int) -> None:
    """R16: to UNKNOWN, and counted in zeroaborts; it stops as soon as something is runnable."""
    uvm = boot(**variant)
    pages = with_pages(uvm, 8)
    before = [(pg.place, pg.owner, pg.zeroed) for pg in pages]
    watch = Watch(uvm, pieces)
    assert uvm.cpus[1].pageidlezero(watch) == 0
    assert [(pg.place, pg.owner, pg.zeroed) for pg in pages] == before
    (pg,) = watch.seen
    size = uvm.param.pagesize
    assert bytes(uvm.physmem.bytes_of(pg)).count(0) == size * pieces // 8  # it stopped at once
    assert (uvm.uvmexp.snapshot().zeroaborts, uvm.cpu_stats()[1].zeroed) == (1, 0)
    uvm.audit()
    again = take(uvm.cpus[1], zero=True, use_reserve=True, color=pg.color)
    assert is_zero(uvm, again)
    assert again is pg
    uvm.audit()


def test_nothing_is_begun_if_something_is_runnable(boot: Boot, design: str) -> None:
    """R16: a busy CPU zeroes nothing and aborts nothing."""
    uvm = boot(design=design)
    with_pages(uvm, 20)
    before = state(uvm)
    assert uvm.cpus[1].pageidlezero(lambda: True) == 0
    assert state(uvm) == before


def test_a_zero_allocation_finds_the_page_and_zeroes_nothing(boot: Boot, variant: dict[str, Any]) -> None:
    """R8, R11 and R12: a zerohit; the allocation itself does not write to the page again."""
    uvm = boot(**variant)
    with_pages(uvm, 8)
    cpu = uvm.cpus[1]
    assert cpu.pageidlezero() == 4
    zeroed = [pg for pg in uvm.physmem if pg.zeroed]
    for pg in zeroed:
        assert is_zero(uvm, pg)
        uvm.physmem.bytes_of(pg)[7] = 77  # behind its back: whoever zeroes it again rubs this out
    got = [take(cpu, zero=True, use_reserve=True, color=pg.color) for pg in zeroed]
    assert {pg.pfn for pg in got} == {pg.pfn for pg in zeroed}
    assert all(uvm.physmem.bytes_of(pg)[7] == 77 for pg in got)
    stats = uvm.cpu_stats()[1]
    assert (stats.zerohit, stats.zeromiss) == (4, 0)
    late = take(cpu, zero=True, use_reserve=True)
    assert is_zero(uvm, late)
    assert uvm.cpu_stats()[1].zeromiss == 1
    uvm.audit()


def test_a_plain_allocation_takes_it_last_and_a_free_forgets_that_it_is_zero(boot: Boot, design: str) -> None:
    """R8 and R13: UNKNOWN goes out first; what comes back is UNKNOWN, whatever it was before."""
    uvm = boot(design=design, ncolors=1)
    pages = with_pages(uvm, 16)
    cpu = uvm.cpus[1]
    assert cpu.pageidlezero() == 8
    got = [take(cpu, use_reserve=True) for _ in range(15)]
    assert [is_zero(uvm, pg) for pg in got] == 8 * [False] + 7 * [True]
    assert not any(pg.zeroed for pg in got)
    free_on(uvm, 1, got)
    assert sum(pg.zeroed for pg in pages) == 1
    uvm.audit()


def test_a_new_player_in_the_middle_of_it_loses_nothing(boot: Boot, variant: dict[str, Any]) -> None:
    """R16 and R3: the page goes to whoever plays the CPU by then; the old one's object is refused from there on."""
    uvm = boot(**variant)
    pages = with_pages(uvm, 20)
    watch = Watch(uvm)
    watch.do = lambda pg: rebound(uvm, 1)
    with pytest.raises(uvmfree.BindError):
        uvm.cpus[1].pageidlezero(watch)
    assert [pg.zeroed for pg in watch.seen] == [True]
    assert {pg.place for pg in pages} <= {Place.CACHED, Place.GLOBAL}
    assert uvm.cpu_stats()[1].zeroed == 1
    uvm.audit()
    free_on(uvm, 0, uvm.pglistalloc(20, high=20))
    uvm.audit()


def test_pages_move_and_colours_change_in_the_middle_of_it(boot: Boot, variant: dict[str, Any]) -> None:
    """R16, R28 and R1: redistribution, recolouring and a ranged allocation leave the page at hand alone."""
    uvm = boot(**variant)
    with_pages(uvm, 20)

    def meanwhile(pg: VmPage) -> None:
        uvm.redistribute()
        uvm.recolor(8)
        uvm.pglistalloc(13, nsegs=13)
        uvm.audit()
        assert (pg.place, pg.color) == (Place.ZEROING, pg.pfn & 7)

    watch = Watch(uvm)
    watch.do = meanwhile
    with uvm.run_on(1) as cpu:
        assert cpu.pageidlezero(watch) == 1
        uvm.audit()
        (pg,) = watch.seen
        assert take(cpu, zero=True, use_reserve=True, color=pg.color) is pg
    uvm.audit()


def test_idle_threads_zero_the_pages_of_idle_cpus_only(boot: Boot, design: str) -> None:
    """R14 and R16: a CPU that somebody plays is left alone, one that nobody plays or that sleeps is not."""
    uvm = boot(design=design, npages=96, ncpus=3, idlezero=True, idle_interval_s=0.001)
    pages = take_everything(uvm)
    for pg in pages:
        dirty(uvm, pg)
    with uvm:
        with uvm.run_on(1) as cpu, uvm.run_on(2):
            for pg in pages[:20]:
                cpu.pagefree(pg)
            for round_ in range(3):  # CPU 0 is looked after, again and again, and CPU 1 is not
                free_on(uvm, 0, pages[40 + 16 * round_ : 56 + 16 * round_])
                until(lambda: uvm.cpu_stats()[0].zeroed >= 8 * (round_ + 1))  # noqa: B023 (called at once)
            assert uvm.cpu_stats()[1].zeroed == 0
            taken = take(cpu, zero=True, use_reserve=True)
            assert is_zero(uvm, taken)
        until(lambda: uvm.cpu_stats()[1].zeroed >= 9)
        assert uvm.cpu_stats()[2].zeroed == 0
        uvm.audit()


def test_the_cpu_of_a_player_that_sleeps_is_idle(boot: Boot, design: str) -> None:
    """R16 and R18: while its thread is in uvm_wait() nothing is runnable there."""
    uvm = boot(design=design, idlezero=True, idle_interval_s=0.001, redistribute_min_gap_s=3600)
    pages = take_everything(uvm)
    with uvm:
        pages = left_alone(uvm, pages)  # nobody wakes a sleeper, nor drains a cache

        def player() -> None:
            with uvm.run_on(1) as cpu:
                for pg in pages[:8]:
                    cpu.pagefree(pg)
                assert cpu.stats().zeroed == 0
                assert uvm.wait(WAIT_S)
                assert cpu.stats().zeroed >= 4

        asleep = begin(player)
        until(lambda: uvm.cpu_stats()[1].zeroed >= 4)
        uvm.pageout.done(1)
        finish(asleep)
        uvm.audit()


def test_an_idle_thread_stops_in_the_middle_of_a_page(boot: Boot, design: str) -> None:
    """R16: as soon as something is runnable; the page goes back."""
    uvm = boot(design=design)
    with_pages(uvm, 20)
    looks: list[int] = []

    def busy(index: int) -> bool:
        looks.append(index)
        return len(looks) > 5

    idle = IdleThreads(uvm.machine, 1, lambda index: uvm.cpus[1], busy, 0.001)
    idle.start()
    until(lambda: uvm.cpu_stats()[1].zeroaborts)
    assert idle.close(WAIT_S) == []
    assert uvm.cpu_stats()[1].zeroed == 0
    uvm.audit()


@pytest.mark.timeout(30)
def test_an_idle_thread_survives_a_player_that_comes_at_the_wrong_moment(design: str) -> None:
    """R16: the CPU is taken over between the look whether it is idle and the trylock."""
    machine = InterposingMachine()
    over = threading.Event()
    tunables = SMALL | {"design": design, "idlezero": True, "idle_interval_s": 0.001}
    uvm = uvmfree.boot(machine, **tunables)
    pages = take_everything(uvm)
    with uvm:

        def take_over() -> None:
            rebound(uvm, 0)
            over.set()

        machine.then = take_over
        machine.at = own_lock(design, 0)
        await_event(over)
        free_on(uvm, 0, pages[:20])
        until(lambda: uvm.cpu_stats()[0].zeroed >= 8)  # the thread is still there
        uvm.audit()


def test_everything_comes_back_after_much_zeroing(boot: Boot, variant: dict[str, Any]) -> None:
    """R3 and R16: in the end no page is missing, and the queues are what the counters say."""
    uvm = boot(**variant, nfreelists=2)
    pages = take_everything(uvm)
    for index, cpu in enumerate(uvm.cpus):
        free_on(uvm, index, pages[index::2])
        cpu.pageidlezero(Watch(uvm, 20))
        cpu.pageidlezero()
    uvm.audit()
    settle(uvm)
    assert uvm.uvmexp.zeropages == sum(pg.zeroed for pg in uvm.physmem) > 0
    assert {pg.on.queue for pg in uvm.physmem if not isinstance(pg.on, str)} == {UNKNOWN, ZEROS}
