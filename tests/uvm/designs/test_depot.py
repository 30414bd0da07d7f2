"""The depot: how often it takes the shared lock, what it keeps, who lends; nothing fails beside free pages."""

from contextlib import closing
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take, take_all
from tests.kern.tasks import begin, finish
from tests.mechanism.rig import ReleaseMachine, one_pass
from tests.uvm.designs.depots import EXCHANGE, boot, depot_of, locks, operations
from tests.uvm.machines import ClockMachine
from uvmfree.errors import AuditError, ParamError
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.designs.depot import Depot
from uvmfree.uvm.page import UNKNOWN, ZEROS, VmPage


def saw(uvm: uvmfree.Uvm, pages: int, phase: int, teeth: int) -> float:
    """Allocate and free so many pages in turn, begun `phase` pages in; return locks per operation."""
    cpu = uvm.cpus[0]
    held = [take(cpu) for _ in range(phase)]
    was, done = locks(uvm), operations(uvm)
    for _ in range(teeth):
        tooth = [take(cpu) for _ in range(pages)]
        free_all(cpu, tooth)
    rate = (locks(uvm) - was) / (operations(uvm) - done)
    free_all(cpu, held)
    return rate


def test_a_local_hit_takes_its_own_lock_and_touches_nothing_shared() -> None:
    """P4 and P5: no shared lock, no other CPU's, and no atomic operation; counted, not argued."""
    with boot(lockstat=True) as uvm:
        cpu = uvm.cpus[0]
        free_all(cpu, [take(cpu) for _ in range(300)])
        before, atomics = {each.name: each.acquired for each in uvm.lockstat()}, cpu.stats().atomics
        for _ in range(5):
            free_all(cpu, [take(cpu) for _ in range(40)])
        after = {each.name: each.acquired - before[each.name] for each in uvm.lockstat()}
        assert {name: count for name, count in after.items() if name.startswith("uvm_cpu") and count} == {
            "uvm_cpu[0]": 5 * 80
        }
        assert after["uvm_fpageqlock"] == 0
        assert cpu.stats().atomics == atomics


PHASES = [*range(0, 1024, 160)]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("pages", [384, 511, 512, 513, 640, 896, 1023, 1024, 1025, 1152, 1409])
def test_no_saw_takes_the_lock_more_than_once_in_an_exchange(pages: int) -> None:
    """Whatever its height and phase: what is exchanged is half of what a CPU keeps."""
    for phase in PHASES:
        with boot(lockstat=True) as uvm:
            assert saw(uvm, pages, phase, 6) <= 1 / EXCHANGE + 1 / (12 * pages)
            assert max(uvm.cached_pages()) <= 2 * EXCHANGE
            uvm.audit()


@pytest.mark.sampled(1)
@pytest.mark.parametrize("pages", range(384, 1410, 93))
def test_no_saw_from_any_phase(pages: int) -> None:
    for phase in range(0, 1024, 93):
        with boot(lockstat=True) as uvm:
            assert saw(uvm, pages, phase, 6) <= 1 / EXCHANGE + 1 / (12 * pages), phase


@pytest.mark.parametrize("seed", range(4))
def test_no_load_at_all_takes_the_lock_more_than_once_in_an_exchange(seed: int) -> None:
    """The bound, for the worst that a player of the game finds: it turns wherever the CPU has just exchanged."""
    with boot(lockstat=True, npages=8192) as uvm:
        cpu, held, turns = uvm.cpus[0], list[VmPage](), [1, -1, 0, 2][seed]
        store = depot_of(uvm).store
        free_all(cpu, [take(cpu) for _ in range(700)])
        was, done, direction = locks(uvm), operations(uvm), 1
        for _ in range(40 * EXCHANGE):
            before = store.items_touched
            if direction > 0 or not held:
                held.append(take(cpu))
            else:
                cpu.pagefree(held.pop())
            if store.items_touched != before and (turns == 1 or (turns == 2 and len(held) % 2)):
                direction = -direction
            elif turns == -1 and len(held) in (0, 900):
                direction = 1 if not held else -1
            elif turns == 0 and len(held) > 3000:
                direction = -1
        assert locks(uvm) - was <= (operations(uvm) - done) / EXCHANGE + 1


def test_handoff_takes_the_lock_once_in_an_exchange_on_each_side() -> None:
    with boot(lockstat=True) as uvm:
        giver, taker = uvm.cpus
        was = locks(uvm)
        for _ in range(256):
            free_all(taker, [take(giver) for _ in range(32)])
        assert (locks(uvm) - was) / operations(uvm) <= 1 / EXCHANGE
        assert sum(uvm.cached_pages()) <= 4 * EXCHANGE
        uvm.audit()


def test_an_exchange_touches_units_and_not_pages() -> None:
    """At most 32 items in a hold: a unit is one."""
    with boot() as uvm:
        cpu, store = uvm.cpus[0], depot_of(uvm).store
        items, pages = store.items_touched, store.pages_touched
        held = [take(cpu)]
        assert store.items_touched - items == 16
        held += [take(cpu) for _ in range(2 * EXCHANGE)]
        assert store.items_touched - items == 3 * 16
        free_all(cpu, held)
        assert store.items_touched - items == 5 * 16
        assert store.pages_touched == pages


def test_a_run_that_cpus_have_pages_of_is_had_all_the_same() -> None:
    """P7: then everything is stopped."""
    with boot(npages=1024) as uvm:
        pages = take_all(uvm.cpus[0], use_reserve=True)
        free_all(uvm.cpus[1], sorted(pages, key=lambda pg: pg.pfn)[512:])
        assert [pg.pfn for pg in uvm.pglistalloc(256, low=768)] == [*range(768, 1024)]
        uvm.audit()


def test_one_atomic_operation_for_an_exchange() -> None:
    with boot() as uvm:
        cpu = uvm.cpus[0]
        was = cpu.stats().atomics
        held = [take(cpu) for _ in range(EXCHANGE)]
        assert cpu.stats().atomics - was == 1
        take(cpu)
        assert cpu.stats().atomics - was == 2
        free_all(cpu, held)


def test_what_a_cpu_freed_last_stays_with_it() -> None:
    """R2: the cold half goes."""
    with boot() as uvm:
        cpu = uvm.cpus[0]
        pages = [take(cpu) for _ in range(2 * EXCHANGE)]
        free_all(cpu, pages)
        assert uvm.cached_pages()[0] == EXCHANGE
        assert {pg.owner for pg in pages[EXCHANGE:]} == {0}
        assert {pg.owner for pg in pages[:EXCHANGE]} == {None}


def test_all_caches_together_keep_no_more_than_the_budget() -> None:
    with boot(ncpus=8, npages=16384, budget=1024) as uvm:
        pages = {cpu.index: [take(cpu) for _ in range(1500)] for cpu in uvm.cpus}
        for index, held in pages.items():
            for at, pg in enumerate(held):
                uvm.cpus[index].pagefree(pg)
                if at % 50 == 0:
                    assert sum(uvm.cached_pages()) <= 1024
            uvm.audit()


def test_a_cpu_that_works_borrows_from_those_that_are_idle() -> None:
    machine = ClockMachine()
    with boot(machine, ncpus=4, budget=64 * 16) as uvm:
        depot = depot_of(uvm)
        assert depot.credits.of == [4, 4, 4, 4]
        lists = [[take(cpu) for _ in range(200)] for cpu in uvm.cpus]
        for cpu, held in zip(uvm.cpus, lists, strict=True):
            free_all(cpu, held)
        for index in range(4):
            depot.credits.idle_ns(index)
        machine.now_s += 0.03
        held = [take(uvm.cpus[0]) for _ in range(900)]
        assert depot.credits.of == [16, 0, 0, 0]
        assert uvm.cached_pages()[1:] == (0, 0, 0), "the pages came with the credits"
        free_all(uvm.cpus[0], held)
        uvm.audit()


def test_pages_that_came_with_credits_count_against_them() -> None:
    machine = ClockMachine()
    with boot(machine, ncpus=2, budget=64 * 8, npages=2048) as uvm:
        works, idle = uvm.cpus
        held = uvm.pglistalloc(500, nsegs=500)
        free_all(idle, [take(idle) for _ in range(250)])
        was = uvm.cached_pages()[1]
        depot_of(uvm).credits.idle_ns(1)
        machine.now_s += 0.03
        held.append(take(works))
        assert uvm.cached_pages() == (was - 1, 0)
        for pg in held:
            works.pagefree(pg)
            assert uvm.cached_pages()[0] <= 8 * 64


def test_who_holds_its_lock_is_not_waited_for() -> None:
    """A second CPU's lock is only tried for: who waited could deadlock with who borrows the other way."""
    with boot(ClockMachine(lockdebug=False), ncpus=2, budget=64 * 8, npages=2048) as uvm:
        depot = depot_of(uvm)
        depot.credits.of[:] = [0, 8]
        uvm.cpus[0].allow(0)  # type: ignore[attr-defined]
        with depot.guarding(1):
            take(uvm.cpus[0])
        assert depot.credits.of == [0, 8]
        take(uvm.cpus[0])
        assert depot.credits.of == [4, 4]


def test_a_cpu_without_any_credit_keeps_no_page_and_works_all_the_same() -> None:
    with boot(ncpus=2, budget=64, npages=256) as uvm:
        depot = depot_of(uvm)
        depot.credits.of[:] = [0, 1]
        uvm.cpus[0].allow(0)  # type: ignore[attr-defined]
        with depot.guarding(1):
            pages = [take(uvm.cpus[0]) for _ in range(40)]
            free_all(uvm.cpus[0], pages)
        assert uvm.cached_pages() == (0, 0)
        uvm.audit()


def test_what_an_idle_cpu_has_goes_back_and_what_a_working_one_has_does_not() -> None:
    machine = ClockMachine()
    with boot(machine, redistribute_interval_s=1.0) as uvm:
        depot, (idle, works) = depot_of(uvm), uvm.cpus
        assert depot.tick_s() == 0.05
        for cpu in (idle, works):
            free_all(cpu, [take(cpu) for _ in range(100)])
            depot.tick(cpu.index)
        for _ in range(2):
            machine.now_s += 0.051
            works.pagefree(take(works))
            for index in (0, 1):
                depot.tick(index)
        assert [pages > 0 for pages in uvm.cached_pages()] == [False, True]
        assert uvm.redistributions()["timer"] == 1
        assert uvm.uvmexp.free + sum(uvm.cached_pages()) == uvm.param.npages


def steal_all(uvm: uvmfree.Uvm, thief: Cpu, **how: Any) -> list[VmPage]:
    """Have CPU 1 cache pages, take what the depot has, and then what CPU 1 had."""
    free_all(uvm.cpus[1], [take(uvm.cpus[1]) for _ in range(300)])
    return take_all(thief, use_reserve=True, **how)


@pytest.mark.parametrize("zero", [False, True])
def test_no_allocation_fails_while_another_cpu_has_a_page(zero: bool) -> None:
    with boot(npages=1024) as uvm:
        assert len(steal_all(uvm, uvm.cpus[0], zero=zero)) == 1024 - 1
        assert uvm.cached_pages() == (0, 0)
        uvm.audit()


def test_a_page_of_a_cpu_whose_lock_is_held_is_waited_for_with_no_lock_held() -> None:
    """The trylock fails, and the allocation does not: it looks again with everything stopped."""
    with boot(npages=1024, redistribute_min_gap_s=3600) as uvm:
        depot, thief = depot_of(uvm), uvm.cpus[0]
        held = list(iter(lambda: thief.pagealloc() if uvm.uvmexp.free > 10 else None, None))
        one_pass(uvm)  # the daemon has drained, and does not again: what CPU 1 caches now, it keeps
        free_all(uvm.cpus[1], [held.pop() for _ in range(300)])
        held += list(iter(lambda: thief.pagealloc() if uvm.uvmexp.free > 10 else None, None))
        others, tried = depot._others, list[int]()
        depot._others = [uvm.design.guard(index).handle("busy") for index in (0, 1)]
        depot._others[1].try_acquire = lambda: bool(tried.append(1))
        kicks = uvm.pageout.kicks
        take(thief)
        depot._others = others
        assert tried
        assert uvm.pageout.kicks == kicks + 1  # R4: memory was short, wherever the page came from
        assert held
        uvm.audit()


def test_only_freelists_that_are_asked_for_are_stolen() -> None:
    with boot(npages=1024, nfreelists=2) as uvm:
        thief = uvm.cpus[0]
        pages = steal_all(uvm, thief, strat="only", free_list=1)
        assert {pg.free_list for pg in pages} == {1}
        assert thief.stats().filled == len(pages)  # it fetched and stole nothing that it did not ask for
        # The reserve's page may be of either freelist: that goes by what the daemon has brought back by then.
        assert 512 - uvm.uvmexp.reserve_pagedaemon <= len(pages) <= 512


def test_the_reserve_stays_in_the_depot() -> None:
    """R6: what an exchange takes lies above it."""
    with boot(npages=600) as uvm:
        take(uvm.cpus[0])
        assert uvm.uvmexp.free >= uvm.uvmexp.reserve_kernel


def test_zeroed_pages_come_in_units_of_their_own() -> None:
    with boot(npages=1024, ncpus=1) as uvm:
        cpu = uvm.cpus[0]
        free_all(cpu, [take(cpu) for _ in range(400)])
        done = cpu.pageidlezero()
        uvm.redistribute()
        assert uvm.uvmexp.zeropages == done > 100
        assert {stand.queue for stand in depot_of(uvm).lists()} == {UNKNOWN, ZEROS}
        assert all(take(cpu, zero=True).zeroed for _ in range(done))
        assert cpu.stats().zerohit > 0
        assert uvm.uvmexp.zeropages == 0
        uvm.audit()


def test_credits_of_a_cpu_that_goes_are_lent_by_its_heir() -> None:
    with boot(ncpus=3, budget=64 * 9) as uvm:
        depot = depot_of(uvm)
        uvm.detach(1)
        assert depot.credits.of == [6, 0, 3]
        uvm.attach(1)
        take(uvm.cpus[1])
        assert depot.credits.of[1] > 0
        uvm.audit()


def test_an_heir_keeps_as_many_pages_as_its_new_credits_allow() -> None:
    with boot(budget=8 * 64) as uvm:
        pages = uvm.pglistalloc(511, nsegs=511)
        assert [depot_of(uvm).most(index) for index in (0, 1)] == [256, 256]
        uvm.detach(1)
        free_all(uvm.cpus[0], pages)
        assert uvm.cached_pages()[0] == depot_of(uvm).most(0) - 1 == 511
        uvm.audit()


def test_the_audit_finds_a_credit_that_was_made_and_a_cpu_that_keeps_too_much() -> None:
    with boot() as uvm:
        depot = depot_of(uvm)
        free_all(uvm.cpus[0], [take(uvm.cpus[0]) for _ in range(600)])
        depot.credits.of[:] = [1, 16]
        with pytest.raises(AuditError, match=r"credits \[1, 16\], 32 were dealt out") as found:
            uvm.audit()
        assert "its credits allow 64" in found.value.findings[1]
        depot.credits.of[:] = [16, 16]


@pytest.mark.parametrize(
    ("name", "value"), [("unit", 0), ("exchange", 0), ("exchange", 1.5), ("budget", 63), ("spare_s", 0)]
)
def test_a_tunable_that_cannot_be_is_refused(name: str, value: object) -> None:
    with pytest.raises(ParamError, match=name):
        boot(**{name: value})


def test_nobody_finds_a_cpu_with_more_than_its_credits_allow_whoever_frees_there() -> None:
    """A seed of stress found it: a fault's thread and the player had both freed, and both were yet to make room."""
    machine = ReleaseMachine()
    with boot(machine, unit=2, exchange=2) as uvm:
        cpu = uvm.cpus[0]
        pages = [take(cpu) for _ in range(20)]
        while uvm.cached_pages()[0] < 7:
            cpu.pagefree(pages.pop())

        def another_free() -> None:
            machine.at, machine.then = "uvm_cpu[0]", uvm.audit
            finish(begin(lambda: uvm.pagefree(pages[0])))

        machine.at, machine.then = "uvm_cpu[0]", another_free
        cpu.pagefree(pages[-1])
        assert pages[0].owner == 0
        assert not machine.at, "somebody looked"
        uvm.audit()


def test_where_nothing_is_left_a_cpu_that_is_detached_is_looked_for_in_vain() -> None:
    """The last look, with everything stopped, goes over all CPUs: one that has no lists any more has nothing."""
    with boot(npages=64) as uvm:
        uvm.detach(1)
        cpu = uvm.cpus[0]
        held = take_all(cpu)
        assert cpu.pagealloc() is None
        assert uvm.uvmexp.free == uvm.uvmexp.reserve_kernel
        free_all(cpu, held)
        uvm.audit()


def test_a_page_that_was_another_cpus_is_no_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is on the CPU's own list for a moment, and had to be stolen for that (R11)."""
    stolen, steal = [False], Depot.steal

    def seen(depot: Depot, cpu: Any, want: Any) -> bool:
        stolen.append(steal(depot, cpu, want))
        return stolen[-1]

    monkeypatch.setattr(Depot, "steal", seen)
    with closing(boot(ClockMachine(), npages=1024)) as uvm:  # no thread drains a CPU, and none is idle
        cpu = uvm.cpus[0]
        free_all(uvm.cpus[1], [take(uvm.cpus[1]) for _ in range(300)])
        while not stolen[-1]:
            before = uvm.cpu_stats()[0]
            take(cpu, use_reserve=True)
        after = uvm.cpu_stats()[0]
        assert (after.cpuhit - before.cpuhit, after.cpumiss - before.cpumiss) == (0, 1)
