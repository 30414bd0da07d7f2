"""The depot: whom it takes from first, how much moves, which page of a unit goes out, who counts as idle."""

import pytest

import uvmfree
from tests.conformance.steps import free_all, take, take_all
from tests.uvm.designs.depots import boot, depot_of
from tests.uvm.machines import ClockMachine
from uvmfree.errors import AuditError
from uvmfree.uvm.page import VmPage


def test_what_is_nowhere_else_is_taken_from_the_next_cpu_that_has_any() -> None:
    """And not always from the first: that one would pay for all others."""
    with boot(ClockMachine(), npages=512, ncpus=3, budget=64 * 6) as uvm:
        held = [take(uvm.cpus[0]) for _ in range(150)]
        held += take_all(uvm.cpus[2], use_reserve=True)
        free_all(uvm.cpus[0], held[:40])
        free_all(uvm.cpus[2], held[40:80])
        assert uvm.cached_pages() == (40, 0, 40)
        take(uvm.cpus[1])
        assert uvm.cached_pages() == (40, 31, 8)


@pytest.mark.parametrize("start", range(8))
def test_of_a_unit_the_page_of_the_next_colour_goes_out_first(start: int) -> None:
    """Colours follow each other in a circle: after the last one comes the first."""
    with boot(npages=64, ncpus=1, unit=2, exchange=1, budget=4) as uvm:
        pg = uvm.cpus[0].pagealloc(color=start)
        assert pg is not None
        (other,) = (one for one in uvm.physmem if one.owner == 0)
        assert (pg.color - start) % 8 < (other.color - start) % 8


def most_kept(uvm: uvmfree.Uvm, index: int, pages: list[VmPage]) -> int:
    """Free pages on a CPU; return how many it had cached at most meanwhile."""
    kept = 0
    for pg in pages:
        uvm.cpus[index].pagefree(pg)
        kept = max(kept, uvm.cached_pages()[index])
    return kept


def test_what_an_exchange_brings_counts_towards_what_a_cpu_keeps() -> None:
    with boot(ncpus=1, budget=128) as uvm:
        held = [take(uvm.cpus[0]) for _ in range(129)]
        assert uvm.cached_pages() == (63,)
        assert most_kept(uvm, 0, held) == 127
        uvm.audit()


def test_an_heir_of_more_credits_than_it_can_use_keeps_no_more_than_it_can_exchange() -> None:
    with boot(ncpus=2, budget=64 * 4, exchange=2) as uvm:
        held = [take(uvm.cpus[0]) for _ in range(300)]
        uvm.detach(1)
        assert depot_of(uvm).credits.of == [4, 0]
        assert most_kept(uvm, 0, held) == 127


def test_who_lends_keeps_all_that_its_other_credits_allow() -> None:
    machine = ClockMachine()
    with boot(machine, ncpus=2, budget=64 * 8) as uvm:
        depot, (cpu, _) = depot_of(uvm), uvm.cpus
        uvm.detach(1)
        held = [take(cpu) for _ in range(600)]
        while uvm.cached_pages()[0] < 500:
            cpu.pagefree(held.pop())
        uvm.attach(1)
        assert depot.credits.of == [8, 0]
        taken = take(uvm.cpus[1])
        assert depot.credits.of == [4, 4]
        assert uvm.cpus[1].stats().cpumiss == 1, "it was another CPU's a moment ago (R11)"
        assert uvm.cached_pages() == (256, 500 - 256 - 1)
        assert most_kept(uvm, 1, [*held[:90], taken]) == 255, "what came with the credits counts, too"
        free_all(cpu, held[90:])
        uvm.audit()


def test_who_misses_is_not_idle() -> None:
    machine = ClockMachine()
    with boot(machine, ncpus=1, unit=1, exchange=1, budget=2) as uvm:
        credits, cpu = depot_of(uvm).credits, uvm.cpus[0]
        idle = [credits.idle_ns(0)]
        machine.now_s += 1
        take(cpu)
        assert (cpu.stats().cpuhit, cpu.stats().cpumiss) == (0, 1)
        idle.append(credits.idle_ns(0))
        machine.now_s += 1
        idle.append(credits.idle_ns(0))
        assert idle == [0, 0, 10**9]


def test_an_empty_cache_takes_no_lock_to_be_handed_back() -> None:
    class Counting(ClockMachine):
        """A clock by hand, and locks that count."""

        def __init__(self) -> None:
            super().__init__()
            self.lockstat = True

    machine = Counting()
    with boot(machine, lockstat=True, redistribute_interval_s=1.0) as uvm:
        depot_of(uvm).tick(0)
        machine.now_s += 60
        depot_of(uvm).tick(0)
        assert [one for one in uvm.lockstat(by_caller=True) if one.caller == "uvm_redistribute"] == []


def test_the_audit_finds_a_cpu_that_keeps_more_than_its_credits_allow() -> None:
    with boot(ncpus=2, budget=64 * 2) as uvm:
        cpu = uvm.cpus[0]
        held = [take(cpu) for _ in range(100)]
        depot_of(uvm).cpus[0].allow(4096)
        free_all(cpu, held)
        kept = uvm.cached_pages()[0]
        while kept > 65:
            take(cpu)
            kept -= 1
        with pytest.raises(AuditError, match="CPU 0 caches 65 pages, its credits allow 64"):
            uvm.audit()
        take(cpu)
        uvm.audit()


@pytest.mark.parametrize(("ncpus", "pages"), [(1, 1024), (4, 4096), (64, 64 * 128)])
def test_the_budget_is_4096_pages_or_128_a_cpu_and_no_more_than_they_can_use(ncpus: int, pages: int) -> None:
    with uvmfree.boot(npages=4096, ncpus=ncpus, design="depot") as uvm:
        assert 64 * sum(depot_of(uvm).credits.of) == pages
