"""The depot hands back: an idle CPU's pages without waiting for it, and whatever it is in short holds."""

from collections import Counter

from tests.conformance.steps import free_all, take
from tests.kern.tasks import WAIT_S
from tests.uvm.designs.depots import EXCHANGE, boot, depot_of, locks
from tests.uvm.machines import ClockMachine
from uvmfree.machine.threads import ThreadsMachine


def test_a_cpu_whose_lock_is_held_is_not_idle_and_not_waited_for() -> None:
    """It works again: whoever waited for it, with a lock that is not fair, would wait for as long as it works."""
    machine = ClockMachine()
    with boot(machine, redistribute_interval_s=1.0) as uvm:
        depot, cpu = depot_of(uvm), uvm.cpus[0]
        free_all(cpu, [take(cpu) for _ in range(100)])
        depot.tick(0)
        machine.now_s += 0.2
        cached = uvm.cached_pages()
        with depot.guarding(0):
            ticking = machine.spawn("ticking", lambda: depot.tick(0))
            assert ticking.join(WAIT_S)
        assert uvm.cached_pages() == cached
        depot.tick(0)
        assert uvm.cached_pages() == (0, 0)
        assert uvm.redistributions()["timer"] == 1


def test_what_is_handed_back_at_once_touches_at_most_32_items_in_a_hold() -> None:
    """Whole units are an item each; the pages of one that is poured are one each: 62 with those of two freelists."""
    machine = ThreadsMachine(lockholds=True)
    assert machine.lockholds is not None
    with boot(machine, nfreelists=2) as uvm:
        cpu = uvm.cpus[0]
        few = [take(cpu, strat="only", free_list=1) for _ in range(32)]
        held = [take(cpu) for _ in range(3 * EXCHANGE)]
        uvm.redistribute()
        uvm.cpus[1].pagefree(few.pop())
        assert uvm.redistribute() == 1, "so that one that is not whole is on top, to be poured into"
        was, atomics = machine.lockholds.snapshot(), cpu.stats().atomics
        free_all(cpu, held[:992] + few)
        assert uvm.redistribute() == 992 + 31
        (before,), (after,) = (
            [one.items for one in each if one.caller == "uvm_redistribute" and one.items]
            for each in (was, machine.lockholds.snapshot())
        )
        assert Counter(after) - Counter(before) == {31: 2}
        assert cpu.stats().atomics - atomics == 2
        uvm.audit()


def test_pages_that_are_no_whole_unit_go_on_top_of_whole_ones_in_the_same_hold() -> None:
    with boot(lockstat=True) as uvm:
        held = [take(uvm.cpus[0]) for _ in range(3 * EXCHANGE)]
        free_all(uvm.cpus[0], held[: 992 + 31])
        was = locks(uvm)
        assert uvm.redistribute() == 992 + 31
        assert locks(uvm) - was == 1
