"""A depot CPU whose cache is full of one freelist's pages, and who asks for those of another."""

from typing import Any

from tests.conformance.steps import free_all, take, take_all
from tests.uvm.designs.depots import boot, locks

FULL = 15
"""Pages that a CPU keeps at rest with these: two credits for two units of four pages each, less one."""
FEW: dict[str, Any] = {"npages": 256, "nfreelists": 2, "unit": 4, "exchange": 2, "budget": 32}


def test_what_is_stolen_fits_beside_the_pages_of_other_freelists() -> None:
    """The bound holds whatever is stolen: one page goes out, and none is kept."""
    with boot(**FEW) as uvm:
        thief, other = uvm.cpus
        of_one = take_all(other, strat="only", free_list=1, use_reserve=True)
        free_all(other, of_one[:8])
        free_all(thief, uvm.pglistalloc(FULL, nsegs=FULL))
        assert uvm.cached_pages() == (FULL, 8)
        stolen = take(thief, strat="only", free_list=1)
        uvm.audit()
        assert uvm.cached_pages() == (FULL, 7)
        free_all(other, [stolen, *of_one[8:]])


def test_a_cache_full_of_other_freelists_makes_each_allocation_an_exchange() -> None:
    """What the bound on locks leaves out: there is room for the page that is asked for, and for no other."""
    with boot(**FEW, lockstat=True) as uvm:
        cpu = uvm.cpus[0]
        free_all(cpu, uvm.pglistalloc(FULL, nsegs=FULL))
        was = locks(uvm)
        held = [take(cpu, strat="only", free_list=1) for _ in range(20)]
        assert (locks(uvm) - was, uvm.cached_pages()[0]) == (20, FULL)
        free_all(uvm.cpus[1], held)


def test_a_freelist_that_has_run_out_is_asked_first_all_the_same() -> None:
    """R10, and the other thing that the bound leaves out: each allocation falls back, though the cache has pages."""
    with boot(**FEW, lockstat=True) as uvm:
        cpu = uvm.cpus[0]
        held = take_all(cpu, strat="only", free_list=0)
        free_all(cpu, [take(cpu) for _ in range(10)])
        was = locks(uvm)
        for _ in range(20):
            cpu.pagefree(take(cpu))
        assert locks(uvm) - was == 20
        free_all(uvm.cpus[1], held)
