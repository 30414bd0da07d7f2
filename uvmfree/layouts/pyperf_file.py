"""The wall times of a record as a file of pyperf, for those who compare with its tools.

`pyperf compare_to --table A.json B.json` prints them; `pyperf stats` and `pyperf hist` look at one file.

=> One benchmark for each design, one value for each repetition without lockstat, in seconds.
"""

from typing import TYPE_CHECKING, Any

from uvmfree.errors import ArgumentError
from uvmfree.measure.extras import needs
from uvmfree.measure.record import Record
from uvmfree.workload.plural import plural

if TYPE_CHECKING:
    import pyperf


def suite(record: Record) -> "pyperf.BenchmarkSuite":
    """Make the suite; ArgumentError if the record has no wall times, ExtraError without pyperf."""
    pyperf: Any = needs("pyperf", "report", "a file for pyperf")
    host, workload = record.host, record.workload
    benchmarks = []
    for design in record.designs:
        facts = {
            "name": f"{workload.name}, {plural(workload.ncpus, 'CPU')}, {design}",
            "unit": "second",
            "date": host.date,
            "python_version": host.python,
            "python_implementation": host.implementation,
            "cpu_model_name": host.cpu_model,
            "cpu_count": host.cpus,
            "platform": host.kernel,
            "gil": "on" if host.gil else "off",
            "uvmfree_version": host.uvmfree,
        }
        runs = [
            pyperf.Run([run.drive.wall_ns / 1e9], metadata=facts, collect_metadata=False)
            for run in record.timed(design)
        ]
        if runs:
            benchmarks.append(pyperf.Benchmark(runs))
    if not benchmarks:
        raise ArgumentError(f"{workload.name}: no repetition without lockstat, so pyperf has no wall times")
    return pyperf.BenchmarkSuite(benchmarks)


def content(record: Record) -> bytes:
    """Return the file's bytes."""
    import tempfile
    from pathlib import Path

    made = suite(record)
    with tempfile.TemporaryDirectory() as folder:  # pyperf writes to a file, by its name
        file = Path(folder) / "pyperf.json"
        made.dump(str(file))
        return file.read_bytes()
