"""The benchmark: designs side by side, interleaved, repeated, and kept raw.

=> A B A B: what drifts on the host drifts for all designs alike.
"""

from collections.abc import Callable, Iterator

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
) -> Iterator[Run]:
    """Run all repetitions of all designs, interleaved, adding each to `record`; yield each run.

    => `tick(what)` is called before each run. Once `stop()` is true the run under way is dropped,
       `record.interrupted` is set, and what was measured before is kept.
    """
    for repetition in range(repetitions):
        for design in record.designs:
            for lockstat in modes(workload):
                tick(f"{design}, {repetition + 1} of {repetitions}")
                done = run(workload, record.param, design, repetition, lockstat=lockstat, stop=stop)
                if done is None or stop():
                    record.interrupted = True
                    return
                record.runs.append(done)
                yield done
