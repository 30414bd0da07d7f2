"""One measured run: a workload on a freshly booted system, its raw records, and the figures derived from them.

Each repetition runs twice: with lockstat, for everything that is counted, and without, for the wall time. RAM is
populated before the clock starts, and the system is audited after it has stopped: a run that broke an invariant
gives no figures.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from uvmfree.kern.lockrank import UVM_FPAGEQLOCK
from uvmfree.kern.lockstat import LockStat
from uvmfree.measure.observer import Seen, watch
from uvmfree.measure.workloads import Workload, check_fits
from uvmfree.param import Param
from uvmfree.uvm.boot import boot
from uvmfree.uvm.system import OBSERVER
from uvmfree.uvm.uvmexp import CpuStats
from uvmfree.workload.driver import Drive, drive

_NOT_THE_RUN = frozenset({OBSERVER, "uvm_audit", "uvm_cpu_attach"})
"""Callers whose acquisitions are not the workload's."""


@dataclass(frozen=True, slots=True)
class Run:
    """The raw records of one run.

    => `locks`: one record per lock and caller, without those that only watch; empty if lockstat was off.
    """

    design: str
    repetition: int
    lockstat: bool
    drive: Drive
    cpus: tuple[CpuStats, ...]
    locks: tuple[LockStat, ...]
    seen: Seen


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run with lockstat says about a design; times in the unit that ends the name.

    => `page_operations`: successful allocations and frees. `failed_allocs`: those that found no page.
    => `local_hit_percent`: allocations that the own list served.
    => `shared_locks_per_op`: acquisitions of uvm_fpageqlock per page operation.
    => `atomics_per_op`: atomic updates of shared counters per page operation.
    => `wait_share_percent`: time spent waiting for page locks, of the time that the threads were not stalled.
    => `contended_percent`: acquisitions of page locks that found the lock held.
    => `moved_per_op`: pages put on or taken off the global list per page operation.
    => The rest as in measure/observer.py.
    """

    page_operations: int
    local_hit_percent: float
    shared_locks_per_op: float
    atomics_per_op: float
    wait_share_percent: float
    contended_percent: float
    longest_wait_us: float
    stranded_pages_max: int
    moved_per_op: float
    lag_pages_max: int
    gap_pages_max: int
    failed_allocs: int
    stall_percent: float
    wall_ms: float


def run(
    workload: Workload, param: Param, design: str, repetition: int, *, lockstat: bool, stop: Callable[[], bool]
) -> Run | None:
    """Boot a system, run the workload once, audit, and return the records.

    => ArgumentError if the workload does not fit; DriveError, AuditError if something broke.
    => None if `stop()` became true on the way; all threads are joined.
    """
    check_fits(workload, param.npages, param.pagesize)
    tunables = asdict(param) | {"design": design, "ncpus": workload.ncpus, "lockstat": lockstat}
    with boot(**tunables) as uvm:
        uvm.physmem.populate()
        bodies = workload.bodies(uvm)
        if lockstat:
            with watch(uvm) as seen:
                drove = drive(uvm, bodies, stop)
        else:
            drove, seen = drive(uvm, bodies, stop), Seen()
        uvm.audit()
        if drove.interrupted:
            return None
        locks = uvm.lockstat(by_caller=True) if lockstat else ()
        return Run(
            design=design,
            repetition=repetition,
            lockstat=lockstat,
            drive=drove,
            cpus=uvm.cpu_stats(),
            locks=tuple(record for record in locks if record.caller not in _NOT_THE_RUN and record.name != "xcall"),
            seen=seen,
        )


def figures(record: Run) -> Figures:
    """Derive the figures of one run."""
    cpus, drove, locks = record.cpus, record.drive, record.locks
    allocs = sum(cpu.allocs for cpu in cpus)
    operations = allocs + sum(cpu.frees for cpu in cpus)
    shared = sum(lock.acquired for lock in locks if lock.name == UVM_FPAGEQLOCK.name)
    acquired = sum(lock.acquired for lock in locks)
    thread_ns = drove.wall_ns * len(drove.stall_ns)
    return Figures(
        page_operations=operations,
        local_hit_percent=_percent(sum(cpu.cpuhit for cpu in cpus), allocs),
        shared_locks_per_op=_ratio(shared, operations),
        atomics_per_op=_ratio(sum(cpu.atomics for cpu in cpus), operations),
        wait_share_percent=_percent(sum(lock.wait_ns_total for lock in locks), thread_ns - sum(drove.stall_ns)),
        contended_percent=_percent(sum(lock.contended for lock in locks), acquired),
        longest_wait_us=max((lock.wait_ns_max for lock in locks), default=0) / 1e3,
        stranded_pages_max=record.seen.stranded_pages_max,
        moved_per_op=_ratio(sum(cpu.filled + cpu.drained for cpu in cpus), operations),
        lag_pages_max=record.seen.lag_pages_max,
        gap_pages_max=record.seen.gap_pages_max,
        failed_allocs=sum(drove.failed),
        stall_percent=_percent(sum(drove.stall_ns), thread_ns),
        wall_ms=drove.wall_ns / 1e6,
    )


def locks_of(records: Iterable[Run]) -> list[LockStat]:
    """Collect the lock records of several runs."""
    return [lock for record in records for lock in record.locks]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _percent(part: float, whole: float) -> float:
    return 100 * _ratio(part, whole)
