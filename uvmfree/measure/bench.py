"""The benchmark: designs side by side, interleaved, repeated, and kept raw.

=> A B A B: what drifts on the host drifts for all designs alike.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from uvmfree.kern.locktrace import Slice
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.measure.counterfile import CounterFile
from uvmfree.measure.host import host
from uvmfree.measure.record import Record
from uvmfree.measure.run import Run, run
from uvmfree.measure.workloads import Workload
from uvmfree.param import Param


def new_record(workload: Workload, param: Param, designs: tuple[str, ...], command: tuple[str, ...] = ()) -> Record:
    """Return the record of a benchmark that has yet to run, here and now."""
    return Record("bench", host(), workload.facts, param, designs, command=command)


def modes(workload: Workload) -> tuple[bool, ...]:
    """With lockstat, and without where the wall time tells something."""
    return (True, False) if workload.facts.timed else (True,)


def measure(
    record: Record,
    workload: Workload,
    repetitions: int,
    tick: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
    counters: CounterFile | None = None,
) -> Iterator[Run]:
    """Run all repetitions of all designs, interleaved, adding each to `record`; yield each run.

    => `tick(what)` is called before each run. Once `stop()` is true the run under way is dropped,
       `record.interrupted` is set, and what was measured before is kept.
    => `counters`: where runs with lockstat can be watched; the caller closes it.
    """
    for repetition in range(repetitions):
        for design in record.designs:
            for lockstat in modes(workload):
                tick(f"{design}, {repetition + 1} of {repetitions}")
                view = counters if lockstat else None
                if view is not None:
                    view.begin(replace(record.param, design=design))
                done = run(workload, record.param, design, repetition, lockstat=lockstat, stop=stop, counterfile=view)
                if view is not None:
                    view.end()
                if done is None or stop():
                    record.interrupted = True
                    return
                record.runs.append(done)
                yield done


def traced(
    record: Record, workload: Workload, design: str, stop: Callable[[], bool]
) -> tuple[Run | None, tuple[Slice, ...], int]:
    """Run a design once more with every lock traced; return the run, the slices, and how many were left out.

    => The run is None if `stop()` came in between. It is slower than those of the record, and no part of it.
    """
    machine = ThreadsMachine(lockstat=True, lockdebug=record.param.lockdebug, locktrace=True)
    assert machine.locktrace is not None
    done = run(workload, record.param, design, 0, lockstat=True, stop=stop, machine=machine)
    return done, machine.locktrace.slices(), machine.locktrace.dropped()
