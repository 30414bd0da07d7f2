"""One measured run: a workload on a freshly booted system, its raw records, and the figures derived from them.

On real threads each repetition runs twice: with lockstat, for everything that is counted, and without, for the wall
time; RAM is populated before the clock starts. In virtual time a run has both, since counting takes none, and its
page operations are tallied too (measure/counting.py). The system is audited after the clock has stopped: a run that
broke an invariant gives no figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from uvmfree.kern.eventlog import Event
from uvmfree.kern.lockholds import LockHolds
from uvmfree.kern.lockrank import PAGE_LOCKS
from uvmfree.kern.lockstat import LockStat
from uvmfree.machine.face import Machine
from uvmfree.measure.counterfile import CounterFile
from uvmfree.measure.counting import NOT_THE_RUN, Counts, counted_boot
from uvmfree.measure.machine_facts import VIRTUAL
from uvmfree.measure.mark import Mark
from uvmfree.measure.observer import Seen, watch
from uvmfree.measure.samples import Samples
from uvmfree.measure.tally import Tally, TallyFigures, figures_of
from uvmfree.measure.waiters import by_whom
from uvmfree.measure.workloads import Workload, check_fits
from uvmfree.param import Param
from uvmfree.uvm.anonpage import AnonStats
from uvmfree.uvm.boot import boot
from uvmfree.uvm.designs import find
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.uvmexp import CpuStats, UvmExpSnapshot
from uvmfree.workload.driver import Drive, drive


@dataclass(frozen=True, slots=True)
class Run:
    """The raw records of one run, from the end of its warm-up on.

    => `uvmexp`: the counters, and how things are at the end. `ranged_pages`: pages handed out by pglistalloc.
       `redistributions`: those that moved pages, by cause. `anons`: what was paged, if anything could be. `counts`:
       what the workload asked for and counted, and `false_oom`: accesses that got no page, and CPUs that could get
       none at the end.
    => `samples`: counters over time, with lockstat. `events`: redistributions and the daemon's passes, as many as
       were kept (kern/eventlog.py); times on the clock of `samples.began_ns`.
    => `locks`: one record per lock and caller, without those that only watch; empty if lockstat was off.
    => `tally`: what was counted of each page operation, of this run in virtual time. On real threads it is that of
       the same work in virtual time, the same for all repetitions: counting there would be what is measured.
    """

    design: str
    repetition: int
    lockstat: bool
    drive: Drive
    cpus: tuple[CpuStats, ...]
    locks: tuple[LockStat, ...]
    seen: Seen
    uvmexp: UvmExpSnapshot
    ranged_pages: int
    redistributions: dict[str, int]
    waits: Waits
    anons: AnonStats | None
    counts: dict[str, int]
    samples: Samples | None = None
    events: tuple[Event, ...] = ()
    events_dropped: int = 0
    tally: Tally | None = None


@dataclass(frozen=True, slots=True)
class Waits:
    """What uvm_wait() saw: sleeps for pages, those that timed out, how often all were woken, times in ns.

    => `sleep_hist[b]`: sleeps s that ended by a wakeup, with s.bit_length() == b, in ns.
    """

    sleeps: int
    timeouts: int
    wakeups: int
    kicks: int
    sleep_ns_total: int
    sleep_ns_max: int
    sleep_hist: tuple[int, ...]

    @classmethod
    def of(cls, pageout: Pageout) -> Waits:
        """Take down what a system has counted; at rest."""
        return cls(
            sleeps=pageout.sleeps,
            timeouts=pageout.timeouts,
            wakeups=pageout.wakeups,
            kicks=pageout.kicks,
            sleep_ns_total=pageout.sleep_ns_total,
            sleep_ns_max=pageout.sleep_ns_max,
            sleep_hist=tuple(pageout.sleep_hist),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures(TallyFigures):
    """What a run with lockstat says about a design; times in the unit that ends the name.

    => `page_operations`: pages that the workload asked to allocate and to free, each page of a contiguous request
       counted: what every `_per_op` is divided by, and the same for all designs. Where a run has a length in time
       instead, and in records that do not tell, those done. `page_operations_done`: those that were met.
    => `local_hit_percent`: allocations of a page that the own list served, of those asked for, or else those met.
    => `failed_allocs`: allocations of a page that found none; one that is tried again and fails counts again.
    => `runs_asked`, `runs_met`, `runs_failed`: requests of order > 0; `runs_pages`: pages of those met. None where
       the workload has no such requests, or its record does not tell.
    => `shared_locks_per_op`: acquisitions of locks that all CPUs share. `atomics_per_op`: atomic updates of shared
       counters.
    => `moved_per_op`: pages put on or taken off the global list.
    => `wait_share_percent`: time that the players, who run the workload, waited for page locks, of the time that they
       were not stalled; `longest_wait_us`: of theirs. `kernel_wait_ms`: kernel threads' waits for page locks.
    => `contended_percent`: acquisitions of page locks that found the lock held; by players and kernel threads.
    => From `redistributed_timer` on: what happened when pages were short. `wait_longest_ms`: the longest sleep in
       uvm_wait. `beside_free_longest_ms`: the longest that somebody was seen to wait while pages were free.
    => From `faults` on: of an anon map, None where there was none.
    => `stranded_pages_max` and others as in measure/observer.py; what is of the tally as in measure/tally.py.
    """

    page_operations: int
    page_operations_done: int
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
    redistributed_timer: int
    redistributed_pressure: int
    redistributed_retry: int
    redistributed_pglistalloc: int
    redistributions_rate_limited: int
    daemon_wakeups: int
    waits: int
    wait_timeouts: int
    wait_total_ms: float
    wait_longest_ms: float
    beside_free_longest_ms: float
    faults: int | None = None
    faults_per_s: float | None = None
    pageins: int | None = None
    pageouts: int | None = None
    runs_asked: int | None = None
    runs_met: int | None = None
    runs_failed: int | None = None
    runs_pages: int | None = None
    false_oom: int | None = None
    kernel_wait_ms: float = 0.0


def run(
    workload: Workload,
    param: Param,
    design: str,
    repetition: int,
    *,
    lockstat: bool,
    stop: Callable[[], bool],
    machine: Machine | None = None,
    counterfile: CounterFile | None = None,
    holds: LockHolds | None = None,
) -> Run | None:
    """Boot a system, warm it up as the workload says, run that once, audit, and return the records.

    => `machine`: what it runs on, with lockstat as asked for; real threads by default. `counterfile`: with lockstat,
       where others can see what is observed; the caller closes it. `holds`: of that machine, if the run's page
       operations are to be tallied; it must run one strand at a time.
    => ArgumentError if the workload does not fit; DriveError, AuditError if something broke.
    => None if `stop()` became true on the way; all threads are joined.
    """
    check_fits(workload, param.npages, param.pagesize)
    tunables = asdict(param) | {"design": design, "ncpus": workload.ncpus, "lockstat": lockstat}
    tunables["own"] = param.own_of(find(design).name)
    counts = None if holds is None else Counts(holds)
    if machine is None or counts is None:
        uvm = boot(machine, **tunables)
    else:
        uvm = counted_boot(machine, Param.of(tunables), counts)
    load = workload.load(uvm)
    with uvm:
        if uvm.machine.name != VIRTUAL:  # whose clock does not see page faults of the host
            uvm.physmem.populate()
        for warming in workload.warm_up:
            if drive(uvm, warming(uvm).bodies, stop).interrupted:
                return None
        mark = Mark(uvm, counts)
        if lockstat:
            with watch(uvm, counterfile) as observation:
                drove = drive(uvm, load.bodies, stop)
            seen, samples = observation.seen, observation.samples.samples()
        else:
            drove, seen, samples = drive(uvm, load.bodies, stop), Seen(), None
        uvm.audit()
        if drove.interrupted:
            return None
        snapshot, redistributions = mark.uvmexp(), mark.redistributions()
        waits, cpus, ranged_pages = Waits.of(uvm.pageout), mark.cpus(), mark.ranged_pages()
        anons = load.anons.stats() if load.anons is not None else None
        locks = uvm.lockstat(by_caller=True) if lockstat else ()
        asked, events = workload.asked() | load.counts(), uvm.events.snapshot()
        tally = None if counts is None else counts.end(uvm)
        false_oom = load.settle()
        if load.anons is not None:
            asked["false_oom"] = asked.get("out_of_pages", 0) + false_oom
        load.release()
        uvm.audit()
        return Run(
            design=design,
            repetition=repetition,
            lockstat=lockstat,
            drive=drove,
            cpus=cpus,
            locks=tuple(record for record in locks if record.caller not in NOT_THE_RUN and record.name != "xcall"),
            seen=seen,
            uvmexp=snapshot,
            ranged_pages=ranged_pages,
            redistributions=redistributions,
            waits=waits,
            anons=anons,
            counts=asked,
            samples=samples,
            events=events,
            events_dropped=uvm.events.dropped,
            tally=tally,
        )


def figures(record: Run) -> Figures:
    """Derive the figures of one run."""
    cpus, drove, locks = record.cpus, record.drive, record.locks
    allocs = sum(cpu.allocs for cpu in cpus)
    done = allocs + record.ranged_pages + sum(cpu.frees for cpu in cpus)
    redistributed, anons, counts = record.redistributions, record.anons, record.counts
    operations = counts.get("page_operations", done)
    shared = sum(lock.acquired for lock in locks if lock.kind == "shared")
    pagelocks = [lock for lock in locks if lock.kind in PAGE_LOCKS]
    acquired = sum(lock.acquired for lock in pagelocks)
    of_players, of_kernel = by_whom(pagelocks, redistributed["retry"])
    thread_ns = drove.wall_ns * len(drove.stall_ns)
    return Figures(
        **asdict(figures_of(record.tally)),
        page_operations=operations,
        page_operations_done=done,
        local_hit_percent=_percent(sum(cpu.cpuhit for cpu in cpus), counts.get("allocations", allocs)),
        shared_locks_per_op=_ratio(shared, operations),
        atomics_per_op=_ratio(sum(cpu.atomics for cpu in cpus), operations),
        wait_share_percent=_percent(sum(lock.wait_ns_total for lock in of_players), thread_ns - sum(drove.stall_ns)),
        contended_percent=_percent(sum(lock.contended for lock in pagelocks), acquired),
        longest_wait_us=max((lock.wait_ns_max for lock in of_players), default=0) / 1e3,
        stranded_pages_max=record.seen.stranded_pages_max,
        moved_per_op=_ratio(sum(cpu.filled + cpu.drained for cpu in cpus), operations),
        lag_pages_max=record.seen.lag_pages_max,
        gap_pages_max=record.seen.gap_pages_max,
        # What finds no page in a map is a fault, and counted there.
        failed_allocs=anons.fltnoram if anons else sum(drove.failed),
        stall_percent=_percent(sum(drove.stall_ns), thread_ns),
        wall_ms=drove.wall_ns / 1e6,
        redistributed_timer=redistributed["timer"],
        redistributed_pressure=redistributed["pressure"],
        redistributed_retry=redistributed["retry"],
        redistributed_pglistalloc=redistributed["pglistalloc"],
        redistributions_rate_limited=redistributed["rate-limited"],
        daemon_wakeups=record.uvmexp.pdwoke,
        waits=record.waits.sleeps,
        wait_timeouts=record.waits.timeouts,
        wait_total_ms=record.waits.sleep_ns_total / 1e6,
        wait_longest_ms=record.waits.sleep_ns_max / 1e6,
        beside_free_longest_ms=record.seen.beside_free_ns_max / 1e6,
        faults=anons.faults if anons else None,
        faults_per_s=anons.faults / drove.wall_ns * 1e9 if anons else None,
        pageins=anons.pgswapin if anons else None,
        pageouts=anons.pgswapout if anons else None,
        runs_asked=counts.get("runs_asked"),
        runs_met=counts.get("runs_met"),
        runs_failed=counts.get("runs_failed"),
        runs_pages=counts.get("runs_pages"),
        false_oom=counts.get("false_oom"),
        kernel_wait_ms=sum(lock.wait_ns_total for lock in of_kernel) / 1e6,
    )


def locks_of(records: Iterable[Run]) -> list[LockStat]:
    """Collect the lock records of several runs."""
    return [lock for record in records for lock in record.locks]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _percent(part: float, whole: float) -> float:
    return 100 * _ratio(part, whole)
