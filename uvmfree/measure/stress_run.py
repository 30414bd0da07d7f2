"""What came of stressing one design; part of a record."""

from dataclasses import dataclass, field

from uvmfree.kern.eventlog import Event
from uvmfree.kern.lockstat import LockStat
from uvmfree.measure.observer import Seen
from uvmfree.measure.samples import Samples
from uvmfree.uvm.anonpage import AnonStats
from uvmfree.uvm.uvmexp import UvmExpSnapshot


@dataclass(slots=True)
class StressRun:
    """What came of one design.

    => `command`: what runs it again. `operations`: by kind. `failed`: allocations that returned None, accesses and
       runs without pages, and how often a CPU was detached under its thread. `faults`: by name, how often injected
       and survived.
    => `seen`: maxima of what was observed; None if the run hung. `uvmexp`, `anons`: counters when the CPUs had
       stopped; None, and empty, if it did not come to that.
    => `rss_kib_early`, `rss_kib_end`, `rss_kib_max`: the process's memory after a tenth of the time, at the end, at
       most; the end is taken when garbage was collected; in KiB, 0 where the system does not tell.
    => `samples`, `events`: counters over time, redistributions and the daemon's passes, as in measure/run.py.
    => `lockstat`: whether its locks counted. `locks`: one record per lock and caller, without the observer's, as they
       were when the CPUs had stopped; empty if lockstat was off, or if it did not come to that.
    => `machine`: the words for what it ran on, unless on the host's threads: then `wall_s` and all other times are
       virtual, and `digest` is one number for the whole run. `host_s`: how long it took by the host's clock.
    => `errors`: one line for each; `report`: lines for the terminal, and `file` where the whole report is.
    """

    design: str
    command: str = ""
    wall_s: float = 0.0
    operations: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    faults: dict[str, dict[str, int]] = field(default_factory=dict)
    seen: Seen | None = None
    uvmexp: UvmExpSnapshot | None = None
    anons: tuple[AnonStats, ...] = ()
    rss_kib_early: int = 0
    rss_kib_end: int = 0
    rss_kib_max: int = 0
    hung: bool = False
    interrupted: bool = False
    errors: tuple[str, ...] = ()
    report: tuple[str, ...] = ()
    file: str | None = None
    samples: Samples | None = None
    events: tuple[Event, ...] = ()
    events_dropped: int = 0
    lockstat: bool = False
    locks: tuple[LockStat, ...] = ()
    machine: str = ""
    digest: str = ""
    host_s: float = 0.0

    @property
    def steps(self) -> int:
        """Operations of all kinds."""
        return sum(self.operations.values())

    @property
    def steps_per_s(self) -> float:
        """Operations per second."""
        return self.steps / self.wall_s if self.wall_s else 0.0

    def figures(self) -> dict[str, float]:
        """Return what follows from the rest."""
        return {"operations": self.steps, "operations_per_s": self.steps_per_s, "errors": len(self.errors)}
