"""The page sets of Linux: what of them is not in the contract, and not counted in tests/designs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import by_frame, free_all, take
from tests.kern.tasks import WAIT_S
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.param import Param
from uvmfree.uvm.designs.linux_pageset import LinuxTunables, Sizes
from uvmfree.uvm.designs.linux_pcp import LinuxPcpCpu
from uvmfree.uvm.designs.linux_zone import BELOW_HIGH, RECLAIM_ACTIVE

Boot = Callable[..., uvmfree.Uvm]

BATCH, HIGH_MIN, HIGH_MAX = 15, 256, 4096
"""Of 256 MiB for two CPUs."""


@pytest.fixture
def boot() -> Iterator[Boot]:
    """Boot systems of 256 MiB in virtual time; each is audited and closed."""
    with ExitStack() as stack:

        def boot(**tunables: Any) -> uvmfree.Uvm:
            told = {"npages": 65_536, "ncpus": 2, "lockstat": True} | tunables
            machine = VirtualMachine(ncpus=told["ncpus"], lockstat=True)
            uvm = stack.enter_context(uvmfree.boot(machine, design="linux_pcp", **told))
            stack.callback(uvm.audit)
            return uvm

        yield boot


def own(uvm: uvmfree.Uvm, index: int = 0) -> LinuxPcpCpu:
    cpu = uvm.cpus[index]
    assert isinstance(cpu, LinuxPcpCpu)
    return cpu


def holds(uvm: uvmfree.Uvm, caller: str) -> int:
    """Return how often the zone was locked by a caller."""
    return sum(
        lock.acquired
        for lock in uvm.lockstat(by_caller=True)
        if (lock.name, lock.caller) == ("uvm_fpageqlock", caller)
    )


def a_second(uvm: uvmfree.Uvm) -> None:
    uvm.machine.sleep(1.001)


@pytest.mark.parametrize(
    ("npages", "ncpus", "sizes"),
    [
        (65_536, 2, (15, 256, 4096)),  # 256 MiB
        (2 << 20, 2, (63, 256, 131_072)),  # 8 GiB
        (33 << 20, 224, (63, 256, 19_309)),  # a node of 132 GiB
        (96, 4, (1, 32, 32)),  # an eighth of memory is less than a share of the watermark
    ],
)
def test_sizes_follow_from_memory_and_cpus(npages: int, ncpus: int, sizes: tuple[int, int, int]) -> None:
    """zone_batchsize(), zone_highsize(); low is freemin, at most 256 pages a CPU."""
    param = Param(npages=npages, ncpus=ncpus)
    found = Sizes.of(param, LinuxTunables())
    low = uvmfree.uvm.uvmexp.tune(npages, ncpus, 4096).freemin // ncpus
    assert (found.batch, found.high_max) == (sizes[0], sizes[2])
    assert found.high_min == max(low, 4 * found.batch) == max(sizes[1], low)
    assert found.chunk == found.batch
    before = Sizes.of(param, LinuxTunables(autotune=False, spill_chunk=0))
    assert before.high_max == before.high_min == found.high_min
    assert before.chunk > npages


@pytest.mark.parametrize(
    ("tunables", "said"),
    [
        ({"scale_max": 7}, "scale_max=7: must be from 0 to 6"),
        ({"scale_max": 1.0}, "scale_max=1.0: must be a whole number"),
        ({"spill_chunk": -1}, "spill_chunk=-1: must be from 0 to 67108864"),
        ({"autotune": 1}, "autotune=1: must be True or False"),
        ({"decay": None}, "decay=None: must be True or False"),
        ({"linux_pcp.hoard_max": 8}, "no tunable is called hoard_max"),
    ],
    ids=str,
)
def test_a_bad_tunable_is_named_with_its_limit(tunables: dict[str, Any], said: str) -> None:
    with pytest.raises(uvmfree.ParamError) as refusal:
        uvmfree.boot(design="linux_pcp", **tunables)
    assert str(refusal.value).startswith(said)


def test_the_gate_is_before_the_set(boot: Boot) -> None:
    """Below min an ordinary caller may not have even what its own CPU caches; a drain gives that back to all."""
    uvm = boot(redistribute_min_gap_s=3600)
    pages = uvm.pglistalloc(65_536 - 11, nsegs=65_536)
    while own(uvm).pagealloc() is not None:
        pass  # the last failure was a drain, and the next is far away
    free_all(own(uvm), pages[:4])
    assert (uvm.uvmexp.free <= uvm.uvmexp.reserve_kernel, uvm.cached_pages()[0]) == (True, 4)
    assert own(uvm).pagealloc() is None
    assert take(own(uvm), use_reserve=True) is pages[3]


def test_misses_in_a_row_double_the_batch_and_frees_halve_that(boot: Boot) -> None:
    uvm = boot()
    cpu, filled = own(uvm), 0
    batches: list[int] = []
    while len(batches) < 8:
        take(cpu)
        if cpu.stats().filled != filled:
            batches.append(cpu.stats().filled - filled)
            filled += batches[-1]
    assert batches == [BATCH << factor for factor in (0, 1, 2, 3, 4, 5, 5, 5)]
    held = [take(cpu) for _ in range(cpu.pages)]
    for pg in held[:3]:
        cpu.pagefree(pg)
    assert cpu.alloc_factor == 5 >> 3


def test_a_batch_leaves_one_page_above_the_reserve(boot: Boot) -> None:
    uvm = boot(redistribute_min_gap_s=3600)
    reserve = uvm.uvmexp.reserve_kernel
    uvm.pglistalloc(65_536 - reserve - 5, nsegs=65_536)
    cpu = own(uvm)
    take(cpu)
    assert (cpu.stats().filled, uvm.uvmexp.free) == (4, reserve + 1)
    taken = [take(cpu) for _ in range(3)]
    assert cpu.stats().filled == 4
    free_all(cpu, taken)


def test_a_batch_leaves_room_for_another_in_the_set(boot: Boot) -> None:
    """While memory is short no set grows: then a batch that has doubled five times is more than fits."""
    uvm = boot()
    cpu = own(uvm)
    cpu.high, cpu.alloc_factor = HIGH_MIN, 5
    uvm.design.store.flag(BELOW_HIGH, True)
    take(cpu)
    assert cpu.stats().filled == HIGH_MIN - BATCH


@pytest.mark.parametrize(("chunk", "each"), [(None, BATCH), (0, 480), (32, 32)])
def test_a_full_set_spills_the_coldest_so_many_to_a_hold(boot: Boot, chunk: int | None, each: int) -> None:
    uvm = boot(spill_chunk=chunk)
    cpu = own(uvm)
    pages = by_frame(uvm, 6000)
    uvm.redistribute()
    cpu.high = HIGH_MIN
    drained = cpu.stats().drained
    before = holds(uvm, "uvm_pagefree")
    spills = []
    for pg in pages:
        cpu.pagefree(pg)
        if cpu.stats().drained != drained:
            spills.append((cpu.stats().drained - drained, holds(uvm, "uvm_pagefree") - before))
            drained, before = cpu.stats().drained, holds(uvm, "uvm_pagefree")
    assert spills, "nothing spilled"
    assert all(held == -(-pages // each) for pages, held in spills), spills
    assert max(pages for pages, _ in spills) == BATCH << 5
    kept = cpu.pages
    assert [pg for pg in pages if pg.owner == 0] == pages[-kept:]


def test_a_spill_leaves_a_batch_in_the_set(boot: Boot) -> None:
    """Though as many pages were freed in a row as it holds."""
    uvm = boot()
    *pages, last = by_frame(uvm, HIGH_MIN)
    free_all(own(uvm), pages)
    assert uvm.cached_pages()[0] == HIGH_MIN - 1
    own(uvm).pagefree(last)
    assert uvm.cached_pages()[0] == BATCH


def test_a_spill_begins_with_the_freelist_that_was_freed_to(boot: Boot) -> None:
    uvm = boot(nfreelists=2)
    cpu = own(uvm)
    ones, twos = ([take(cpu, strat="only", free_list=row) for _ in range(HIGH_MIN)] for row in (0, 1))
    uvm.redistribute()
    free_all(cpu, [*ones[: HIGH_MIN - BATCH - 1], *twos[:BATCH]])
    cpu.high, cpu.free_count = HIGH_MIN, 0
    cpu.pagefree(twos[BATCH])
    assert [pg for pg in (*ones, *twos) if pg.place is uvmfree.Place.GLOBAL] == twos[:BATCH]


def test_a_set_that_grew_shrinks_by_an_eighth_a_second(boot: Boot) -> None:
    """From an eighth of memory to high_min in some twenty seconds; then it keeps that."""
    uvm = boot()
    cpu = own(uvm)
    for _ in range(3):
        free_all(cpu, [take(cpu) for _ in range(20_000)])
    assert cpu.high == HIGH_MAX
    seconds, high = 0, cpu.high
    while cpu.high > HIGH_MIN:
        pages = cpu.pages
        a_second(uvm)
        seconds += 1
        assert cpu.high == max(pages - 480, high - high // 8, HIGH_MIN)
        assert cpu.pages == min(pages, cpu.high)
        high = cpu.high
    assert 18 <= seconds <= 22
    a_second(uvm)
    assert (cpu.pages, uvm.redistributions()["decay"] > 10) == (HIGH_MIN, True)


def test_without_decay_a_set_keeps_its_pages(boot: Boot) -> None:
    uvm = boot(decay=False)
    cpu = own(uvm)
    free_all(cpu, [take(cpu) for _ in range(3000)])
    before = cpu.pages, cpu.high
    a_second(uvm)
    assert (cpu.pages, cpu.high) == before
    assert uvm.traits.idle is None


def test_short_memory_shrinks_the_sets(boot: Boot) -> None:
    """An allocation that finds the zone below its high watermark says so; frees then spill until it is above."""
    uvm = boot()
    cpu, high = own(uvm), uvm.uvmexp.freetarg
    free_all(cpu, [take(cpu) for _ in range(3000)])
    held = uvm.pglistalloc(uvm.uvmexp.free - high, nsegs=65_536)
    assert (cpu.high > 1000, uvm.uvmexp.free) == (True, high)
    take(cpu)
    assert uvm.design.store.flags.load("flags") == BELOW_HIGH
    grown, pages = cpu.high, cpu.pages
    cpu.pagefree(held[0])
    assert cpu.high == max(grown - max(cpu.free_count, BATCH), HIGH_MIN)
    assert cpu.pages < pages or pages < HIGH_MIN
    assert uvm.uvmexp.free > high
    assert uvm.design.store.flags.load("flags") == 0


def test_while_the_daemon_is_at_work_a_set_is_small(boot: Boot) -> None:
    """Four batches; and it is told that it begins, and that it ends."""
    uvm = boot()
    cpu, said = own(uvm), []
    free_all(cpu, [take(cpu) for _ in range(3000)])
    assert cpu.pages > 4 * BATCH
    uvm.design.reclaiming(True)
    while cpu.pages >= 4 * BATCH:
        before = cpu.pages
        cpu.pagefree(take(cpu))
        assert cpu.pages < before
    assert cpu.high < 3000
    uvm.design.reclaiming(False)

    def look() -> bool:
        said.append(uvm.design.store.flags.load("flags") & RECLAIM_ACTIVE)
        return False

    class Reclaimer:
        needs_scan = staticmethod(lambda: False)
        reclaim_one = staticmethod(look)

    uvm.pagedaemon.add_reclaimer(Reclaimer())
    held = uvm.pglistalloc(uvm.uvmexp.free - 20, nsegs=65_536)
    uvm.pagedaemon.one_pass()
    assert set(said) == {RECLAIM_ACTIVE}
    assert not uvm.design.store.flags.load("flags") & RECLAIM_ACTIVE
    uvm.pglistfree(held)


def test_whoever_finds_the_set_locked_goes_past_it(boot: Boot) -> None:
    """One page each way, counted; neither call waits, neither touches the set."""
    uvm = boot()
    cpu = own(uvm)
    held = [take(cpu) for _ in range(4)]
    cached, before = uvm.cached_pages(), cpu.stats()
    with uvm.design.guarding(0):
        first = take(cpu, zero=True)
        cpu.pagefree(held[0])
        cpu.pagefree(first)
        with pytest.raises(uvmfree.DoubleFree):
            cpu.pagefree(first)
        with pytest.raises(uvmfree.ForeignPage):
            cpu.pagefree(None)  # type: ignore[arg-type]
    assert uvm.cached_pages() == cached
    stats = cpu.stats()
    assert (stats.allocs, stats.frees) == (before.allocs + 1, before.frees + 2)
    assert (stats.cpumiss, stats.zeromiss) == (before.cpumiss + 1, before.zeromiss + 1)
    assert (stats.filled, stats.drained) == (before.filled + 1, before.drained + 2)
    assert (held[0].owner, uvm.uvmexp.free) == (None, 65_536 - 3 - sum(cached))


def test_past_the_set_a_page_is_of_the_colour_or_it_is_not(boot: Boot) -> None:
    uvm = boot(npages=1024, ncolors=2)
    cpu, pages = own(uvm), uvm.pglistalloc(1024, nsegs=1024)
    uvm.pglistfree([pg for pg in pages if pg.color == 1])
    uvm.redistribute()
    before = cpu.stats()
    with uvm.design.guarding(0):
        assert [take(cpu, color=color).color for color in (0, 1, 0)] == [1, 1, 1]
    stats = cpu.stats()
    assert (stats.colorhit - before.colorhit, stats.colormiss - before.colormiss) == (1, 2)
    uvm.pglistfree([pg for pg in pages if pg.color == 0])


def test_past_the_set_the_reserves_are_asked(boot: Boot) -> None:
    uvm = boot(redistribute_min_gap_s=3600)
    uvm.pglistalloc(65_536 - 11, nsegs=65_536)
    while own(uvm, 1).pagealloc() is not None:
        pass
    kicks = uvm.pageout.kicks
    with uvm.design.guarding(0):
        assert own(uvm).pagealloc() is None
        assert take(own(uvm), use_reserve=True).owner is None
    assert uvm.pageout.kicks == kicks + 2


def test_past_the_set_a_stopped_cpu_is_refused(boot: Boot) -> None:
    uvm = boot()
    cpu, pg = own(uvm), take(own(uvm))
    uvm.detach(0)
    with uvm.design.guarding(0), pytest.raises(uvmfree.BindError, match="CPU 0 is detached"):
        cpu.pagealloc()
    with pytest.raises(uvmfree.BindError):
        cpu.pagefree(pg)
    uvm.attach(0)
    assert own(uvm).high == HIGH_MIN


def test_a_drain_takes_both_locks_anew_for_each_of_its_chunks(boot: Boot) -> None:
    uvm = boot()
    cpu = own(uvm)
    for _ in range(3):
        free_all(cpu, [take(cpu) for _ in range(20_000)])
    pages, high, before = cpu.pages, cpu.high, holds(uvm, "uvm_redistribute")
    assert uvm.redistribute() == pages > 3000
    assert holds(uvm, "uvm_redistribute") - before == -(-pages // 480)
    assert (cpu.pages, cpu.high) == (0, high)
    before = holds(uvm, "uvm_redistribute")
    assert uvm.redistribute() == 0
    assert holds(uvm, "uvm_redistribute") == before


def test_an_allocation_that_fails_drains_every_cpu_once(boot: Boot) -> None:
    """Whatever drain_retry says; what the pagedaemon did just now does not hold it off."""
    uvm = boot(ncpus=3, redistribute_min_gap_s=3600)
    pages = uvm.pglistalloc(65_536, nsegs=65_536)
    for index in (0, 1):
        free_all(own(uvm, index), pages[100 * index : 100 * index + 100])
    assert (uvm.cached_pages(), uvm.uvmexp.free) == ((100, 100, 0), 0)
    uvm.pagedaemon.one_pass()
    assert take(own(uvm, 2)).owner is None
    assert uvm.redistributions()["retry"] == 2
    assert uvm.cached_pages()[:2] == (0, 0)
    uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: None), WAIT_S)


def test_a_spill_ends_where_somebody_takes_the_cpu_over(boot: Boot) -> None:
    uvm = boot()
    cpu, pages = own(uvm), by_frame(uvm, 6000)
    free_all(cpu, pages)
    with uvm.run_on(0) as taken:
        cached = taken.cached()
        cpu._spill_rest(480, 0)
        assert taken.cached() == cached


@pytest.mark.parametrize("free", [False, True])
def test_a_call_that_gets_the_lock_of_a_stopped_cpu_gives_it_back(boot: Boot, free: bool) -> None:
    """It looked for the lock before the CPU went, and tried it after: nobody else would ever get it."""
    uvm = boot()
    cpu, pg = own(uvm), take(own(uvm))
    tries = cpu._try_put if free else cpu._try_get

    def late() -> bool:
        uvm.detach(0)
        return tries()

    cpu._try_put = cpu._try_get = late
    with pytest.raises(uvmfree.BindError, match="CPU 0 is detached"):
        cpu.pagefree(pg) if free else cpu.pagealloc()
    uvm.attach(0)
    own(uvm).pagefree(pg)
