"""Loads in virtual time, where nobody polls: who is to be told is told, and work outside takes its time."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvmfree
from tests.workload.perf_lines import line, read
from uvmfree.workload.driver import drive
from uvmfree.workload.replay_plan import plan
from uvmfree.workload.shortage import shortage
from uvmfree.workload.synthetic import PARCEL_PAGES, PARCELS_MAX, handoff
from uvmfree.workload.thinking import Thinking, thinking

S = 1_000_000_000


def test_work_outside_comes_after_each_operation() -> None:
    did: list[object] = []
    cpu: Any = SimpleNamespace(pagealloc=lambda zero: did.append(zero), pagefree=did.append)
    thinker = Thinking(cpu, did.append, 700)
    thinker.pagealloc(zero=True)
    thinker.pagealloc()
    thinker.pagefree("a page")  # type: ignore[arg-type]
    assert did == [True, 700, False, 700, "a page", 700]


def test_pages_that_are_handed_over_are_all_taken_whoever_waits_for_whom() -> None:
    """The allocating CPU is slow and then fast: the other one waits for it, and then it for the other one."""
    pages = (2 * PARCELS_MAX + 1) * PARCEL_PAGES + 1
    for slow in (0, 1):
        machine = uvmfree.VirtualMachine(ncpus=2)
        bodies = handoff(2, pages, machine.event)
        with uvmfree.boot(machine, npages=2048, ncpus=2) as uvm:
            both = [
                thinking([body], machine.charge, 5000 if cpu == slow else 1)[0] for cpu, body in enumerate(bodies)
            ]
            done = drive(uvm, both)
            assert (done.failed, done.stall_ns[1 - slow] > done.stall_ns[slow]) == ((0, 0), True)
            assert [stats.frees for stats in uvm.cpu_stats()] == [0, pages]
            assert done.wall_ns < S, "a sleeper that nobody wakes looks again after 30 s"


def test_who_frees_a_page_of_another_cpu_hears_at_once_that_it_is_there(tmp_path: Path) -> None:
    """And not when the other one has ended its epoch, a millisecond later."""
    events = [("alloc", "0x10", 0, 0), ("alloc", "0x11", 0, 50), ("free", "0x11", 1, 51), ("alloc", "0x12", 0, 1000)]
    lines = [line(kind, pfn, cpu=cpu, us=us) for kind, pfn, cpu, us in events]
    machine = uvmfree.VirtualMachine(ncpus=2)
    uvm = uvmfree.boot(machine, npages=64, ncpus=2)
    load = shortage(uvm, plan(read(tmp_path, "".join(lines))))
    slow = load.bodies[0]

    def late(cpu: Any, lane: Any) -> None:
        """Have each allocation of CPU 0 take 400 us."""
        slow(_Late(cpu, machine), lane)  # type: ignore[arg-type]

    with uvm:
        done = drive(uvm, [late, load.bodies[1]])
        assert done.failed == (0, 0)
        assert 600_000 < done.stall_ns[1] < 1_000_000
        load.release()


class _Late:
    """A CPU whose allocations take long."""

    def __init__(self, cpu: Any, machine: uvmfree.VirtualMachine) -> None:
        self._cpu, self._machine, self.pagefree = cpu, machine, cpu.pagefree

    def pagealloc(self, zero: bool = False) -> Any:
        self._machine.charge(400_000)
        return self._cpu.pagealloc(zero)


def test_a_trace_of_runs_alone_is_played_in_little_memory(tmp_path: Path) -> None:
    made = plan(read(tmp_path, line("alloc", "0x10", order=2) + line("free", "0x10", order=2, us=1)))
    uvm = uvmfree.boot(npages=64, ncpus=1)
    load = shortage(uvm, made)
    assert load.anons is not None
    assert load.anons.npages == 1
    with uvm:
        drive(uvm, load.bodies)
        assert load.counts()["runs_met"] == 1


def test_what_is_freed_at_the_end_of_a_plan_that_loops_is_freed_when_the_trace_ended(tmp_path: Path) -> None:
    """And not by its clock, which need not begin at 0."""
    lines = [
        line("alloc", "0x10", cpu=0, us=5_000),
        line("alloc", "0x11", cpu=0, us=5_030),
        line("free", "0x11", cpu=0, us=5_100),
    ]
    trace = read(tmp_path, "".join(lines))
    (program,) = plan(trace, loop=True).programs
    assert list(program.gaps_ns) == [0, 30_000, 70_000, 0]
    assert trace.time_ns[0] > 0


def test_a_trace_of_as_many_cpus_as_a_system_has_is_taken_and_tasks_of_more_are_dealt_out(tmp_path: Path) -> None:
    most = uvmfree.param.NCPUS_MAX
    lines = [line("alloc", hex(16 + cpu), cpu=cpu, us=cpu) for cpu in range(most + 1)]
    assert len(plan(read(tmp_path, "".join(lines[:most]))).programs) == most
    beyond = read(tmp_path, "".join(lines))
    assert (beyond.ncpus, len(plan(beyond, by="task").programs)) == (most + 1, most)
