"""The depot: how much a CPU keeps follows from its credits at once, and what an idle one has goes in its time."""

from tests.conformance.steps import free_all, take
from tests.uvm.designs.depots import boot, depot_of
from tests.uvm.machines import ClockMachine


def test_an_heir_keeps_as_much_as_its_credits_and_the_others_allow() -> None:
    with boot(ncpus=2, budget=64 * 8) as uvm:
        cpu = uvm.cpus[0]
        pages = [take(cpu) for _ in range(600)]
        uvm.detach(1)
        assert depot_of(uvm).credits.of == [8, 0]
        for kept in range(uvm.cached_pages()[0] + 1, 8 * 64):
            cpu.pagefree(pages.pop())
            assert uvm.cached_pages()[0] == kept
        free_all(cpu, pages)
        uvm.audit()


def test_a_cpu_is_idle_after_two_looks_and_not_after_one() -> None:
    machine = ClockMachine()
    with boot(machine, redistribute_interval_s=1.0) as uvm:
        depot, cpu = depot_of(uvm), uvm.cpus[0]
        free_all(cpu, [take(cpu) for _ in range(100)])
        had, left = uvm.cached_pages()[0], []
        for now_s in (0.0, 0.06, 0.09, 0.11):
            machine.now_s = now_s
            depot.tick(0)
            left.append(uvm.cached_pages()[0])
        assert left == [had, had, had, 0]
