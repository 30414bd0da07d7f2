"""Where counting begins: a run has the counts of what came after its warm-up, and its maxima are from then on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import pytest

import uvmfree
from tests.workload.perf_lines import line, read
from uvmfree.machine.face import Machine
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.bench import measure, new_record, traced
from uvmfree.measure.counting import NOT_THE_RUN, Counts, counted_boot
from uvmfree.measure.machine_facts import VIRTUAL, MachineFacts
from uvmfree.measure.mark import LEVELS, Mark
from uvmfree.measure.run import Run, run
from uvmfree.measure.scale import Case, Traffic, measured
from uvmfree.measure.tally import histogram
from uvmfree.measure.workloads import Workload, by_name, from_trace
from uvmfree.param import Param
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.system import Uvm
from uvmfree.workload import pressure, synthetic
from uvmfree.workload.driver import Lane, drive
from uvmfree.workload.load import Load

NCPUS = 4


def measured_load(uvm: Uvm) -> Load:
    return pressure.forkexit(uvm, 1)


def warming(uvm: Uvm) -> Load:
    return pressure.forkexit(uvm, 2)


WORKLOAD = replace(by_name("forkexit", ncpus=NCPUS), load=measured_load)


def param_of(design: str) -> Param:
    return Param(npages=4096, ncpus=NCPUS, design=design, lockstat=True)


def once(workload: Workload, design: str) -> Run:
    machine = VirtualMachine(ncpus=NCPUS, lockstat=True, lockholds=True)
    done = run(
        workload,
        param_of(design),
        design,
        0,
        lockstat=True,
        stop=lambda: False,
        machine=machine,
        holds=machine.lockholds,
    )
    assert done is not None
    return done


def total(uvm: Uvm) -> dict[str, int]:
    """Everything that a system counts, since its boot."""
    locks = [lock for lock in uvm.lockstat(by_caller=True) if lock.caller not in NOT_THE_RUN and lock.name != "xcall"]
    found = {
        f"{lock.name} {lock.caller} {name}": getattr(lock, name)
        for lock in locks
        for name in ("acquired", "contended", "wait_ns_total", "hold_ns_total", "hold_samples")
    }
    for lock in locks:
        found |= {f"{lock.name} {lock.caller} {bucket}": times for bucket, times in enumerate(lock.wait_hist)}
    for cpu in uvm.cpu_stats():
        found |= {f"{cpu.index} {name}": value for name, value in values(cpu).items()}
    return found | values(uvm.uvmexp.snapshot()) | uvm.redistributions() | {"sleeps": uvm.pageout.sleeps}


def values(counters: Any) -> dict[str, int]:
    return {name: getattr(counters, name) for name in counters.__slots__ if name not in LEVELS}


def of(done: Run) -> dict[str, int]:
    """The same of a run, which has a mark."""
    found = {
        f"{lock.name} {lock.caller} {name}": getattr(lock, name)
        for lock in done.locks
        for name in ("acquired", "contended", "wait_ns_total", "hold_ns_total", "hold_samples")
    }
    for lock in done.locks:
        found |= {f"{lock.name} {lock.caller} {bucket}": times for bucket, times in enumerate(lock.wait_hist)}
    for cpu in done.cpus:
        found |= {f"{cpu.index} {name}": value for name, value in values(cpu).items()}
    return found | values(done.uvmexp) | done.redistributions | {"sleeps": done.waits.sleeps}


@pytest.mark.sampled(3, batons=2)
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_run_has_the_counts_of_what_came_after_the_warm_up(design: str) -> None:
    """The same two loads, one after the other, on a system that nobody marks: what the second one added."""
    machine = VirtualMachine(ncpus=NCPUS, lockstat=True, lockholds=True)
    assert machine.lockholds is not None
    counts = Counts(machine.lockholds)
    uvm = counted_boot(machine, param_of(design), counts)
    load = measured_load(uvm)
    with uvm:
        assert not drive(uvm, warming(uvm).bodies).interrupted
        before, holds = total(uvm), {(one.rank.name, one.caller): one.items for one in machine.lockholds.snapshot()}
        drove = drive(uvm, load.bodies)
        added = {name: value - before.get(name, 0) for name, value in total(uvm).items()}
        touched = {(one.rank.name, one.caller): one.items for one in machine.lockholds.snapshot()}
    marked = once(replace(WORKLOAD, warm_up=(warming,)), design)
    assert {name: value for name, value in added.items() if value} == {
        name: value for name, value in of(marked).items() if value
    }
    assert marked.drive == drove
    assert marked.tally is not None
    assert {(one.lock, one.caller): one.items for one in marked.tally.held} == {
        which: histogram(items - holds[which])
        for which, items in touched.items()
        if items != holds[which] and which[1] not in NOT_THE_RUN
    }
    # What is asked for is of the second load alone; it is freed again.
    pages = pressure.BURST_PAGES * NCPUS
    assert (marked.tally.operations, marked.tally.allocations) == (2 * pages, pages)


def test_a_run_is_warm_after_a_warm_up_and_cold_without() -> None:
    cold, warm = (once(replace(WORKLOAD, warm_up=played), "percpu") for played in ((), (warming,) * 2))
    assert sum(cpu.allocs for cpu in cold.cpus) == sum(cpu.allocs for cpu in warm.cpus)
    assert sum(cpu.cpuhit for cpu in warm.cpus) > sum(cpu.cpuhit for cpu in cold.cpus)
    assert cold.tally is not None
    assert warm.tally is not None
    assert cold.tally.parked[0] < warm.tally.parked[0]  # what the warm-up parked is parked still


def test_nothing_that_is_shown_over_time_is_of_the_warm_up() -> None:
    played: list[int] = []

    def late(uvm: Uvm) -> Load:
        def body(cpu: Cpu, lane: Lane) -> None:
            for pg in [cpu.pagealloc() for _ in range(40)]:
                assert pg is not None
                cpu.pagefree(pg)
            uvm.redistribute(cpu.index)
            uvm.wait(0.003)
            played.append(uvm.machine.clock_ns())

        return Load(uvm, [body] * NCPUS)

    done = once(replace(WORKLOAD, warm_up=(late,)), "percpu")
    assert len(played) == NCPUS
    assert done.samples is not None
    assert done.samples.began_ns >= max(played)
    assert all(event.began_ns >= max(played) for event in done.events)
    assert (done.redistributions["explicit"], done.waits.sleeps, done.waits.sleep_ns_max) == (0, 0, 0)
    assert done.counts == WORKLOAD.asked()


def test_a_longest_wait_of_the_warm_up_is_forgotten() -> None:
    """Nobody waits in what counts: one CPU works there."""

    def alone(uvm: Uvm) -> Load:
        return Load(uvm, [lambda cpu, lane: synthetic.pingpong(1, 32)[0](cpu, lane)])

    done = once(replace(WORKLOAD, load=alone, warm_up=(warming,)), "fpageqlock")
    assert max(lock.wait_ns_max for lock in once(replace(WORKLOAD, load=warming), "fpageqlock").locks) > 0
    assert {lock.name: lock.wait_ns_max for lock in done.locks if lock.wait_ns_max} == {}


def trace_lines() -> str:
    """2 CPUs, 24 pages, of which 3 are never freed."""
    allocs = [line("alloc", hex(100 + page), cpu=page % 2, us=25 * page) for page in range(24)]
    return "".join(allocs + [line("free", hex(100 + page), cpu=page % 2, us=1000 + page) for page in range(21)])


@pytest.mark.parametrize("copies", [1, 3])
def test_a_trace_is_played_so_often_before_it_counts(tmp_path: Any, copies: int) -> None:
    """Each time with what it leaves behind freed at its end, or memory would fill up."""
    trace = read(tmp_path, trace_lines())
    workload = from_trace(trace, copies=copies, gaps=True, warm_up=2)
    seen: list[tuple[int, int]] = []

    @contextmanager
    def booted() -> Iterator[Uvm]:
        machine: Machine = VirtualMachine(ncpus=workload.ncpus)
        with uvmfree.boot(machine=machine, npages=2048, ncpus=workload.ncpus, design="percpu") as uvm:
            yield uvm

    with booted() as uvm:
        for warm in workload.warm_up:
            drive(uvm, warm(uvm).bodies)
            cpus = uvm.cpu_stats()
            seen.append((sum(cpu.allocs for cpu in cpus), sum(cpu.frees for cpu in cpus)))
    assert seen == [(24 * copies, 24 * copies), (48 * copies, 48 * copies)]
    assert workload.page_operations == (24 + 21) * copies


def test_a_timeline_begins_where_counting_does(tmp_path: Any) -> None:
    facts = MachineFacts(VIRTUAL, "xeon-2s", lock="ttas", copies=1, warm_up=2)
    workload = from_trace(read(tmp_path, trace_lines()), gaps=True, warm_up=facts.warm_up)
    record = new_record(workload, Param(npages=2048, ncpus=2), ("fpageqlock",), (), facts, 1)
    done, slices, dropped = traced(record, workload, "fpageqlock", lambda: False)
    assert done is not None
    assert done.samples is not None
    (counted,) = measure(record, workload, 1, lambda what: None)
    held = [each for each in slices if each.held and each.caller in ("uvm_pagealloc", "uvm_pagefree")]
    assert len(held) == sum(
        lock.acquired for lock in counted.locks if lock.caller in ("uvm_pagealloc", "uvm_pagefree")
    )
    assert min(each.began_ns for each in slices) >= done.samples.began_ns
    assert dropped == 0


def test_a_point_of_a_curve_has_the_failures_of_what_was_counted() -> None:
    """Each CPU fails once before it does anything else."""

    class Failing(Traffic):
        def load(self, uvm: Uvm, machine: VirtualMachine, seed: int) -> Load:
            load = Traffic.load(self, uvm, machine, seed)

            def failing(body: Any) -> Any:
                def begun(cpu: Cpu, lane: Lane) -> None:
                    lane.failed += 1
                    body(cpu, lane)

                return begun

            return Load(uvm, [failing(body) for body in load.bodies])

    found = measured(Case("percpu", 2, Failing("pingpong")))
    assert found is not None
    assert found.failed == 0


@pytest.mark.whole
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_cause_that_never_came_counts_none(design: str) -> None:
    with uvmfree.boot(VirtualMachine(ncpus=2), npages=1024, ncpus=2, design=design) as uvm:
        causes = Mark(uvm).redistributions()
        assert set(causes) >= uvm.traits.causes
        assert not any(causes.values())


def test_levels_are_as_they_are_and_all_else_is_what_came_since() -> None:
    """Nothing happens since: with pages zeroed, in caches and in use, a system that counted all kinds of things."""
    with uvmfree.boot(VirtualMachine(ncpus=2), npages=256, ncpus=2, ncolors=2, design="percpu") as uvm:
        for cpu in uvm.cpus:
            pages = [cpu.pagealloc() for _ in range(40)]
            for pg in pages[cpu.index + 1 :]:
                assert pg is not None
                cpu.pagefree(pg)
            cpu.pageidlezero()
        uvm.redistribute(0)
        mark, now, cpus = Mark(uvm), uvm.uvmexp.snapshot(), uvm.cpu_stats()
        marked: list[Any] = [mark.uvmexp(), *mark.cpus()]
        plain: list[Any] = [now, *cpus]
        levels = {"pagesize", "npages", "ncolors", "free", "zeropages", "freemin", "freetarg", "index", "cached"}
        levels |= {"reserve_kernel", "reserve_pagedaemon", "paging", "pdpending", "waiters"}
        for here, there in zip(marked, plain, strict=True):
            expected = {name: value if name in levels else 0 for name, value in asdict(there).items()}
            assert asdict(here) == expected
        assert now.zeropages > 0
        assert cpus[1].cached > 0
