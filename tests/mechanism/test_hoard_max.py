"""A bound on the caches (hoard_max): how full a cache gets, what spills, and what may come between."""

from typing import Any

import uvmfree
from tests.conformance.steps import take
from tests.kern.tasks import begin, finish
from tests.mechanism.rig import SMALL, Boot, ReleaseMachine, free_on, settle, take_everything
from uvmfree.uvm.page import Place, VmPage


def test_a_bounded_cache_is_never_fuller_than_its_bound_and_keeps_the_warm_half(boot: Boot) -> None:
    """Q2 and R2: beyond hoard_max the coldest half of each list spills; what was freed last stays."""
    uvm = boot(design="percpu", hoard_max=10, ncolors=1)
    pages = take_everything(uvm)
    cpu = uvm.cpus[1]
    for number, pg in enumerate(pages):
        cpu.pagefree(pg)
        cached = uvm.cached_pages()[1]
        assert cached <= 10
        assert [each.place for each in pages[number + 1 - cached : number + 1]] == [Place.CACHED] * cached
        assert all(each.place is Place.GLOBAL for each in pages[: number + 1 - cached])
    stats = uvm.cpu_stats()[1]
    assert (stats.frees, stats.cached, stats.drained) == (64, cached, 64 - cached)
    assert uvm.uvmexp.free == stats.drained
    uvm.audit()
    assert [take(cpu) for _ in range(cached)] == pages[::-1][:cached]
    uvm.audit()


def test_a_spill_takes_each_lock_once_and_wakes_who_waits(boot: Boot) -> None:
    """Q2 and R18: one short hold of the global lock for all that spills; its pages are to be had."""
    uvm = boot(design="percpu", hoard_max=20, lockstat=True)
    pages = take_everything(uvm)
    free_on(uvm, 1, pages[:20])
    before = {record.name: record.acquired for record in uvm.lockstat()}
    atomics = uvm.cpu_stats()[1].atomics
    uvm.cpus[1].pagefree(pages[20])
    after = {record.name: record.acquired for record in uvm.lockstat()}
    assert after["uvm_fpageqlock"] == before["uvm_fpageqlock"] + 1
    assert after["uvm_cpu[1]"] == before["uvm_cpu[1]"] + 1
    assert uvm.cpu_stats()[1].atomics == atomics + 1
    assert uvm.uvmexp.free == 21 - uvm.cached_pages()[1] >= 10
    uvm.audit()


def test_a_bound_holds_for_what_a_miss_fetches_too(boot: Boot) -> None:
    """Q2 and Q15: a batch for one colour or freelist is no reason to hoard those of the others."""
    uvm = boot(design="percpu", hoard_max=8, refill=8, search="colour", nfreelists=2, npages=256)
    cpu = uvm.cpus[0]
    for number in range(60):
        how: dict[str, Any] = {"color": 0} if number % 2 else {"strat": "only", "free_list": number // 2 % 2}
        take(cpu, **how)
        assert uvm.cached_pages()[0] <= 8
    uvm.audit()


def test_the_first_free_of_all_spills_if_misses_have_filled_the_cache(boot: Boot) -> None:
    """Q2: a miss asks anew when to look at the bound."""
    uvm = boot(design="percpu", hoard_max=8, refill=8, nfreelists=2, npages=256)
    cpu = uvm.cpus[0]
    pages = [take(cpu, strat="only", free_list=row) for row in range(2)]
    assert uvm.cached_pages()[0] == 8
    cpu.pagefree(pages[0])
    assert uvm.cached_pages()[0] <= 8
    uvm.audit()


def test_pages_that_are_taken_the_moment_they_have_spilled_are_counted_all_the_same() -> None:
    """R3 and Q2: another CPU takes from the very list that spilled, before the counters have followed."""
    machine = ReleaseMachine()
    uvm = uvmfree.boot(machine, **SMALL | {"design": "percpu", "hoard_max": 20})
    pages = take_everything(uvm)
    free_on(uvm, 1, pages[:20])
    taken: list[VmPage] = []

    def meanwhile() -> None:
        with uvm.run_on(0, lwp="kernel") as cpu:
            taken.extend(take(cpu) for _ in range(5))

    machine.at, machine.then = "uvm_fpageqlock", lambda: finish(begin(meanwhile))
    free_on(uvm, 1, pages[20:21])
    assert len(taken) == 5
    uvm.audit()
    free_on(uvm, 0, taken + pages[21:])
    settle(uvm)
    uvm.close()


def test_nobody_finds_a_cache_fuller_than_its_bound_whoever_frees() -> None:
    """Q2: a free and its spill are one hold; else each thread that frees there would have a page more in between."""
    machine = ReleaseMachine()
    uvm = uvmfree.boot(machine, **SMALL | {"design": "percpu", "hoard_max": 4})
    pages = take_everything(uvm)
    free_on(uvm, 1, pages[:4])
    found: list[int] = []

    def another_free() -> None:
        found.append(uvm.cached_pages()[1])
        finish(begin(lambda: uvm.cpus[1].pagefree(pages[5])))
        found.append(uvm.cached_pages()[1])

    machine.at, machine.then = "uvm_cpu[1]", another_free
    uvm.cpus[1].pagefree(pages[4])
    assert found == [1, 2]
    uvm.audit()
    free_on(uvm, 1, pages[6:])
    settle(uvm)
    uvm.close()
