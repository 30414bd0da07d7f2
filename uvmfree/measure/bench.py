"""The benchmark: designs side by side, interleaved, repeated, and kept raw.

=> A B A B: what drifts on the host drifts for all designs alike.
=> In virtual time repetitions differ by their seeds.
=> Page operations are tallied in virtual time: those of a run there, or those of the same work, once for each design.
   A workload that lasts some seconds on real threads is not tallied for them: virtual time takes minutes for those.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from uvmfree.kern.locktrace import Slice
from uvmfree.machine.costs import costs_for
from uvmfree.machine.face import WatchedMachine
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.counterfile import CounterFile
from uvmfree.measure.host import host
from uvmfree.measure.machine_facts import MachineFacts
from uvmfree.measure.record import Record
from uvmfree.measure.run import Run, run
from uvmfree.measure.tally import Tally
from uvmfree.measure.workloads import Workload
from uvmfree.param import Param
from uvmfree.uvm.boot import threads


def new_record(
    workload: Workload,
    param: Param,
    designs: tuple[str, ...],
    command: tuple[str, ...] = (),
    machine: MachineFacts | None = None,
    seed: int | None = None,
) -> Record:
    """Return the record of a benchmark that has yet to run, here and now; on real threads by default.

    => ParamError if there is no such machine, or it has not as many CPUs.
    """
    record = Record(
        "bench", host(), workload.facts, param, designs, command=command, seed=seed, machine=machine or MachineFacts()
    )
    machine_for(record, 0, lockstat=True)
    return record


def modes(record: Record) -> tuple[bool, ...]:
    """With lockstat, and without where the wall time tells something and lockstat would cost some of it."""
    return (True, False) if record.workload.timed and not record.machine.virtual else (True,)


def machine_for(
    record: Record, repetition: int, *, lockstat: bool, locktrace: bool = False, lockholds: bool = False
) -> WatchedMachine:
    """Make what a repetition runs on; ParamError."""
    facts, param = record.machine, record.param
    if not facts.virtual:
        return threads(lockstat=lockstat, lockdebug=param.lockdebug, locktrace=locktrace)
    return VirtualMachine(
        ncpus=record.workload.ncpus,
        costs=costs_for(facts.costs).with_figures(facts.changed, "--cost"),
        lock=facts.lock,
        seed=(record.seed or 0) + repetition,
        lockstat=lockstat,
        lockdebug=param.lockdebug,
        locktrace=locktrace,
        lockholds=lockholds,
    )


def tallied(
    workload: Workload,
    param: Param,
    design: str,
    *,
    machine: VirtualMachine | None = None,
    stop: Callable[[], bool] = lambda: False,
    repetition: int = 0,
) -> Run | None:
    """Run a workload once in virtual time, with every page operation tallied; the same each time.

    => `machine`: one that was made with lockstat and lockholds; the default costs, locks and seed without.
    => None if `stop()` became true on the way. As of run().
    """
    if machine is None:
        machine = VirtualMachine(ncpus=workload.ncpus, lockstat=True, lockholds=True)
    paced = replace(workload, load=workload.paced or workload.load)
    return run(paced, param, design, repetition, lockstat=True, stop=stop, machine=machine, holds=machine.lockholds)


def measure(
    record: Record,
    workload: Workload,
    repetitions: int,
    tick: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
    counters: CounterFile | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> Iterator[Run]:
    """Run all repetitions of all designs, interleaved, adding each to `record`; yield each run.

    => `tick(what)` is called before each run. Once `stop()` is true the run under way is dropped,
       `record.interrupted` is set, and what was measured before is kept.
    => `counters`: where runs with lockstat can be watched; the caller closes it.
    => `enough()` is asked after each repetition of all designs, and may be true before there were so many.
    """
    tallies: dict[str, Tally | None] = {}
    for repetition in range(repetitions):
        for design in record.designs:
            if design not in tallies and workload.paced is not None and not record.machine.virtual:
                tick(f"{design}, tally")
                if (once := tallied(workload, record.param, design, stop=stop)) is None:
                    record.interrupted = True
                    return
                tallies[design] = once.tally
            for lockstat in modes(record):
                tick(f"{design}, {repetition + 1} of {repetitions}")
                view = counters if lockstat else None
                if view is not None:
                    view.begin(replace(record.param, design=design))
                machine = machine_for(record, repetition, lockstat=lockstat, lockholds=record.machine.virtual)
                done = run(
                    workload,
                    record.param,
                    design,
                    repetition,
                    lockstat=lockstat,
                    stop=stop,
                    machine=machine,
                    counterfile=view,
                    holds=machine.lockholds,
                )
                if view is not None:
                    view.end()
                if done is None or stop():
                    record.interrupted = True
                    return
                if lockstat and design in tallies:
                    done = replace(done, tally=tallies[design])
                record.runs.append(done)
                yield done
        if enough():
            return


def traced(
    record: Record, workload: Workload, design: str, stop: Callable[[], bool]
) -> tuple[Run | None, tuple[Slice, ...], int]:
    """Run a design once more with every lock traced; return the run, the slices, and how many were left out.

    => The run is None if `stop()` came in between. It is slower than those of the record, and no part of it.
    """
    machine = machine_for(record, 0, lockstat=True, locktrace=True)
    assert machine.locktrace is not None
    done = run(workload, record.param, design, 0, lockstat=True, stop=stop, machine=machine)
    return done, machine.locktrace.slices(), machine.locktrace.dropped()
