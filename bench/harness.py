"""What the bench scripts share: claims and their records, interleaved repetitions, the table, the JSON file.

A script measures one claim, or a few that come from the same run. Run it as `./run python bench/NAME.py`, with
`--smoke` for a run of a few seconds that shows only that it works, and `--json FILE` for the records. bench/all.py
runs them all.

=> Each value is taken in at least five repetitions, A B A B, so that a machine that slows down slows both. The
   median is what counts; the least and the greatest are printed beside it.
=> `holds` is True or False where the claim was judged, None where it was not: on an interpreter that it does not
   speak of, or in a smoke run, unless it is a count that does not depend on how long the run is.
=> Exit code 1 if a judged claim does not hold, 2 for a wrong argument, 130 on Ctrl-C. So a smoke run never fails
   because the machine was slow.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from uvmfree.errors import ArgumentError, ParamError
from uvmfree.kern.collector import collector_off
from uvmfree.measure.host import gil_enabled
from uvmfree.uvm.system import Uvm
from uvmfree.workload.driver import Body, Drive, drive

TRACES: Final = Path(__file__).resolve().parent / "traces"
"""The recorded traces; their README tells where they come from."""

REPETITIONS: Final = 7
"""Five would do; with seven, one bad repetition on each side of the median still leaves five."""


SHORT: Final = ("id", "claim", "measured", "bound", "unit", "holds")
"""The fields of a JSON record."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was found out about one claim; the fields up to `holds` are the JSON record, all of them with --values.

    => `measured` is the median of `values`, one of each repetition; `low` and `high` are their extremes.
    """

    id: str
    claim: str
    measured: float | None
    bound: float | None
    unit: str
    holds: bool | None
    at_least: bool
    low: float | None
    high: float | None
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim: what is measured and where the bound is, an upper one unless `at_least`; no bound, no judgement."""

    id: str
    claim: str
    unit: str
    bound: float | None
    at_least: bool = False

    def record(self, values: Sequence[float], *, judged: bool) -> Record:
        """Make the record of the measured values; `judged` tells whether the claim speaks of this run."""
        measured = statistics.median(values)
        holds: bool | None = None
        if judged and self.bound is not None:
            holds = measured >= self.bound if self.at_least else measured <= self.bound
        low, high = min(values), max(values)
        return Record(
            self.id, self.claim, measured, self.bound, self.unit, holds, self.at_least, low, high, tuple(values)
        )

    def unmeasured(self) -> Record:
        """Make the record of a claim that cannot be measured here."""
        return Record(self.id, self.claim, None, self.bound, self.unit, None, self.at_least, None, None)


def host() -> str:
    """Return one line about where and when this runs."""
    build = "free-threaded build" if sysconfig.get_config_var("Py_GIL_DISABLED") else "GIL build"
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.python_implementation()} {platform.python_version()} "
        f"({build}, GIL {'on' if gil_enabled() else 'off'}), {len(os.sched_getaffinity(0))} CPUs, "
        f"{platform.system()} {platform.release()}, load {os.getloadavg()[0]:.2f}"
    )


@contextmanager
def no_gc() -> Iterator[None]:
    """Keep the garbage collector out of what is timed: a pass over all pages would land on whoever runs."""
    gc.collect()
    with collector_off():
        yield


def interleaved(
    measures: Mapping[str, Callable[[], float]], repetitions: int, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Take every measure once in each repetition, in order; return the values by name.

    => `warm_up`: take each once before, and throw that value away.
    """
    values: dict[str, list[float]] = {name: [] for name in measures}
    for repetition in range(-1 if warm_up else 0, repetitions):
        if sys.stderr.isatty():
            print(f"\r\033[Krepetition {repetition + 1} of {repetitions} ", end="", file=sys.stderr, flush=True)
        for name, measure in measures.items():
            value = measure()
            if repetition >= 0:
                values[name].append(value)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return values


def alternating(measures: Mapping[str, Callable[[], float]], slices: int) -> dict[str, float]:
    """Take every measure that many times, in turn and there and back (A B B A); return the median of each.

    => For differences of a few percent: what disturbs one slice does not count, what drifts drifts for all alike.
    """
    taken: dict[str, list[float]] = {name: [] for name in measures}
    order = list(measures)
    for _ in range(slices):
        for name in order:
            taken[name].append(measures[name]())
        order.reverse()
    return {name: statistics.median(values) for name, values in taken.items()}


def driven(uvm: Uvm, bodies: Sequence[Body]) -> Drive:
    """Run bodies on the CPUs of a system; Ctrl-C ends the script, and a run that lacked pages proves nothing."""
    done = drive(uvm, bodies)
    if done.interrupted:
        raise KeyboardInterrupt
    if any(done.failed):
        raise RuntimeError(f"{sum(done.failed)} allocations failed; the system is too small for the workload")
    return done


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return median and extremes, as `12 [11-14]`."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):,.{digits}f} [{low:,.{digits}f}-{high:,.{digits}f}]"


def main(doc: str, bench: Callable[[bool], list[Record]]) -> int:
    """Read the arguments, call `bench(smoke)`, print and write its records; return the exit code."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a run of a few seconds that judges no timing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the records to FILE")
    parser.add_argument("--values", action="store_true", help="in FILE, the value of each repetition, too")
    args = parser.parse_args()
    file: Path | None = args.json
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        parser.error(f"--json {file}: not a file in a folder that exists")
    print(host())
    try:
        records = bench(args.smoke)
    except (ArgumentError, ParamError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(table(records))
    if file is not None:
        write(file, records, values=args.values)
    return int(any(record.holds is False for record in records))


def table(records: Sequence[Record]) -> str:
    """Lay the records out: a head, then two lines for each, what was found and the claim in words."""
    head = f"{'claim':<30} {'measured [min-max]':<34} {'bound':<12} holds"
    lines = [head, "-" * len(head)]
    for record in records:
        measured = "not measured"
        if record.measured is not None and record.low is not None and record.high is not None:
            measured = f"{_short(record.measured)} [{_short(record.low)}-{_short(record.high)}]"
        bound = "none"
        if record.bound is not None:
            bound = f"{'>=' if record.at_least else '<='} {_short(record.bound)}"
        holds = {True: "yes", False: "NO", None: "not judged"}[record.holds]
        lines += [f"{record.id:<30} {measured:<34} {bound:<12} {holds}", f"    {record.claim}; {record.unit}"]
    return "\n".join(lines)


def write(file: Path, records: Sequence[Record], *, values: bool = False) -> None:
    """Write the records as a JSON list; a reader sees the old file or the whole new one."""
    listed = [asdict(record) for record in records]
    if not values:
        listed = [{name: one[name] for name in SHORT} for one in listed]
    write_json(file, listed)


def write_json(file: Path, document: object) -> None:
    """Write a document whole, beside its place, and rename it."""
    beside = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        beside.write_text(json.dumps(document, indent=2) + "\n")
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
