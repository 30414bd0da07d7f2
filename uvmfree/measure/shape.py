"""What the types of a record's fields do not say: which columns are of one length, which names have to be there.

=> For records that are read: what is measured here has this shape. RecordError names the place and what it should be.
"""

from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from uvmfree.errors import RecordError
from uvmfree.kern.lockstat import WAIT_BUCKETS, LockStat
from uvmfree.measure.decode import shown
from uvmfree.measure.machine_facts import THREADS, VIRTUAL
from uvmfree.measure.observer import Seen
from uvmfree.measure.printable import printable
from uvmfree.measure.run import Run
from uvmfree.measure.samples import Samples
from uvmfree.measure.stress_run import StressRun
from uvmfree.measure.tally import STRANDED_AFTER_S, Tally
from uvmfree.uvm import pageout

if TYPE_CHECKING:
    from uvmfree.measure.record import Record

CAUSES: Final = ("timer", "pressure", "retry", "pglistalloc", "rate-limited")
"""Of those that Uvm.redistributions() has, whatever the design, what figures are made from."""

TOLD: Final = ("injected", "survived")
"""What is counted of every fault, whichever it is."""


def check_shape(record: "Record", where: str) -> None:
    """Refuse a record whose parts do not fit together."""
    if record.kind not in ("bench", "stress"):
        raise RecordError(f"{where}.kind: must be bench or stress, is {shown(record.kind)}")
    if record.machine.kind not in (THREADS, VIRTUAL):
        raise RecordError(f"{where}.machine.kind: must be {THREADS} or {VIRTUAL}, is {shown(record.machine.kind)}")
    for number, run in enumerate(record.runs):
        at = f"{where}.runs[{number}]"
        _run(run, at)
        _either(run, record.designs, at)
    for number, stressed in enumerate(record.stress):
        at = f"{where}.stress[{number}]"
        _stressed(stressed, at)
        _either(stressed, record.designs, at)
    if record.kind == "stress" and record.seconds is None:
        raise RecordError(f"{where}.seconds: must be a number, is None")


def _run(run: Run, where: str) -> None:
    if run.drive.wall_ns < 1:
        raise RecordError(f"{where}.drive.wall_ns: must be 1 or more, is {run.drive.wall_ns}")
    _length(run.waits.sleep_hist, pageout.WAIT_BUCKETS, f"{where}.waits.sleep_hist")
    _length(run.drive.failed, len(run.drive.stall_ns), f"{where}.drive.failed")
    for cause in CAUSES:
        if cause not in run.redistributions:
            raise RecordError(f"{where}.redistributions: has no {cause!r}")
    if run.tally is not None:
        _tally(run.tally, f"{where}.tally")


def _tally(tally: Tally, where: str) -> None:
    _length(tally.stranded_pages, len(STRANDED_AFTER_S), f"{where}.stranded_pages")
    if tally.parked_every < 1:
        raise RecordError(f"{where}.parked_every: must be 1 or more, is {tally.parked_every}")
    _histogram(tally.reuse_pages, f"{where}.reuse_pages")
    for number, held in enumerate(tally.held):
        _histogram(held.items, f"{where}.held[{number}].items")
        _histogram(held.pages, f"{where}.held[{number}].pages")


def _histogram(rows: Sequence[Sequence[int]], where: str) -> None:
    for number, row in enumerate(rows):
        _length(row, 2, f"{where}[{number}]")
        if row[1] < 1:
            raise RecordError(f"{where}[{number}]: must count 1 or more, counts {row[1]}")
    values = [row[0] for row in rows]
    if any(one >= other for one, other in pairwise(values)):
        raise RecordError(f"{where}: its values must ascend")


def _stressed(run: StressRun, where: str) -> None:
    for name, fault in run.faults.items():
        for told in TOLD:
            if told not in fault:
                raise RecordError(f"{where}.faults.{printable(name)}: has no {told!r}")


def _either(run: Run | StressRun, designs: Sequence[str], where: str) -> None:
    if run.design not in designs:
        known = printable(", ".join(designs)) or "none"
        raise RecordError(f"{where}.design: must be one of {known}, is {shown(run.design)}")
    if run.seen is not None:
        _seen(run.seen, f"{where}.seen")
    if run.samples is not None:
        _samples(run.samples, f"{where}.samples")
    for number, lock in enumerate(run.locks):
        _lock(lock, f"{where}.locks[{number}]")


def _seen(seen: Seen, where: str) -> None:
    _length(seen.beside_free_hist, pageout.WAIT_BUCKETS, f"{where}.beside_free_hist")


def _lock(lock: LockStat, where: str) -> None:
    _length(lock.wait_hist, WAIT_BUCKETS, f"{where}.wait_hist")


def _samples(samples: Samples, where: str) -> None:
    rows = len(samples.t_ns)
    for name in (one.name for one in fields(Samples) if one.name not in ("began_ns", "cached")):
        _length(getattr(samples, name), rows, f"{where}.{name}")
    for cpu, column in enumerate(samples.cached):
        _length(column, rows, f"{where}.cached[{cpu}]")


def _length(column: Sequence[Any], length: int, where: str) -> None:
    if len(column) != length:
        raise RecordError(f"{where}: must have {length} entries, has {len(column)}")
