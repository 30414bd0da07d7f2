"""The record: what a command measured, raw, with all that is needed to understand it later; one JSON document.

=> The dataclasses are the schema (docs/records.md): Record here, Run in measure/run.py, Host in measure/host.py, and
   what those are made of. Reading checks every value (measure/decode.py), and whether all fit together
   (measure/shape.py).
=> Raw values per repetition are the record; medians and figures are made from them by whoever reads it. `figures`
   and `not_measurable` in the file are for other programs, and are not read back.
=> Versions 1 to 4 are read too; a newer version is refused.
"""

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from uvmfree.errors import RecordError
from uvmfree.measure.decode import decode, shown
from uvmfree.measure.facts import WorkloadFacts
from uvmfree.measure.host import Host
from uvmfree.measure.machine_facts import MachineFacts
from uvmfree.measure.run import Figures, Run, figures
from uvmfree.measure.shape import check_shape
from uvmfree.measure.stress_run import StressRun
from uvmfree.param import NCPUS_MAX, Param

SCHEMA: Final = "uvmfree.record"
VERSION: Final = 5

THREAD_TIMES: Final = frozenset(
    {
        "wait_share_percent",
        "contended_percent",
        "longest_wait_us",
        "kernel_wait_ms",
        "stall_percent",
        "wait_total_ms",
        "wait_longest_ms",
        "beside_free_longest_ms",
        "wall_ms",
        "wall_lockstat_ms",
        "faults_per_s",
    }
)
"""Figures of how threads ran beside each other. With the GIL they take turns, and these are artefacts of the switch
interval: 0 for a short hold, 72 % for a long loop. The record keeps them; nothing that is shown to a reader does."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over all repetitions."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return median, minimum and maximum."""
    return Spread(statistics.median(values), min(values), max(values))


@dataclass(slots=True)
class Record:
    """What was measured; `runs` grows while it is being measured, so that an interrupted one keeps what it had.

    => `kind`: "bench" or "stress". `command`: what was typed. `seed`: of what was random, if anything was.
    => `stress`: one entry for each design, instead of `runs`; `seconds` and `faults` are what it was asked for.
    => `param`: the tunables; `design`, `ncpus` and `lockstat` are those of each run.
    => `machine`: what the CPUs were; with a virtual one each run has counts and times, and its seed is
       `seed + repetition`.
    """

    kind: str
    host: Host
    workload: WorkloadFacts
    param: Param
    designs: tuple[str, ...]
    runs: list[Run] = field(default_factory=list)
    interrupted: bool = False
    command: tuple[str, ...] = ()
    seed: int | None = None
    seconds: float | None = None
    faults: tuple[str, ...] = ()
    stress: list[StressRun] = field(default_factory=list)
    machine: MachineFacts = field(default_factory=MachineFacts)

    @property
    def threads_run_at_once(self) -> bool:
        """Whether THREAD_TIMES say something: waits, shares of time, and times of runs beside each other."""
        return self.machine.virtual or not self.host.gil

    @property
    def processors(self) -> int:
        """How many CPUs could run at once: in virtual time all that there can be."""
        return NCPUS_MAX if self.machine.virtual else len(self.host.affinity)

    @property
    def machine_words(self) -> str:
        """What it ran on, in a few words, with the seeds of the runs."""
        if not self.machine.virtual or self.seed is None:
            return self.machine.words
        last = max((run.repetition for run in self.runs), default=0)
        seeds = f"seeds {self.seed} to {self.seed + last}" if last else f"seed {self.seed}"
        return f"{self.machine.words}, {seeds}"

    @property
    def not_measurable(self) -> tuple[str, ...]:
        """The figures that say nothing on this interpreter: kept, and marked."""
        return () if self.threads_run_at_once else tuple(sorted(THREAD_TIMES))

    def counted(self, design: str) -> list[Run]:
        """The runs of a design with lockstat."""
        return [run for run in self.runs if run.design == design and run.lockstat]

    def timed(self, design: str) -> list[Run]:
        """The runs of a design whose wall time counts: those without lockstat; all in virtual time."""
        return [run for run in self.runs if run.design == design and (self.machine.virtual or not run.lockstat)]

    def values(self, design: str) -> dict[str, list[float]]:
        """All repetitions of each figure of a design that applies, by its name; empty without runs.

        => `wall_ms` is that of the runs without lockstat, `wall_lockstat_ms` that of those with it.
        """
        counted = [figures(run) for run in self.counted(design)]
        columns = {one.name: [getattr(row, one.name) for row in counted] for one in fields(Figures)}
        found = {name: column for name, column in columns.items() if column and None not in column}
        if counted:
            walls = found.pop("wall_ms")
            if self.workload.timed and not self.machine.virtual:
                found["wall_lockstat_ms"] = walls
        if self.workload.timed and (timed := self.timed(design)):
            found["wall_ms"] = [run.drive.wall_ns / 1e6 for run in timed]
        return found

    def summary(self, design: str) -> dict[str, Spread]:
        """Median, minimum and maximum of each figure of values()."""
        return {name: spread(column) for name, column in self.values(design).items()}

    def false_oom(self) -> int:
        """How often an access, or a CPU at the end of a run, found no memory while there was some."""
        return sum(run.counts.get("false_oom", 0) for run in self.runs)

    def document(self) -> dict[str, Any]:
        """Return the record as plain values for JSON."""
        document: dict[str, Any] = {"schema": SCHEMA, "version": VERSION}
        document |= {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("runs", "stress")}
        for name in ("host", "workload", "param", "machine"):
            document[name] = asdict(document[name])
        document["not_measurable"] = self.not_measurable
        document["runs"] = [
            asdict(run) | {"figures": asdict(figures(run)) if run.lockstat else None} for run in self.runs
        ]
        document["stress"] = [asdict(run) | {"figures": run.figures()} for run in self.stress]
        return document


def load(file: str) -> Record:
    """Read a record from a file, or with '-' from stdin; RecordError says in one line why it is none."""
    return of_document(read_document(file), file)


def read_document(file: str) -> Any:
    """Read a JSON document from a file, or with '-' from stdin; RecordError."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise RecordError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecordError(f"{file}: is not text, so no record") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if text.strip() and (error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated string")):
            raise RecordError(
                f"{file}: breaks off in line {error.lineno}; it was not written or copied whole"
            ) from None
        raise RecordError(f"{file}: is no JSON document: line {error.lineno}: {error.msg}") from None
    except ValueError:  # the only other one that the reader of JSON raises
        raise RecordError(f"{file}: is no record: it has a whole number of thousands of digits") from None
    except RecursionError:
        raise RecordError(f"{file}: is nested too deeply to be a record") from None


def of_document(document: Any, where: str) -> Record:
    """Make a record of plain values; `where` is what an error names. RecordError."""
    if not isinstance(document, dict) or "schema" not in document:
        raise RecordError(f"{where}: is no uvmfree record: it has no schema")
    version = document.get("version")
    schema = document["schema"]
    reader = _READERS.get((schema, version)) if type(schema) is str and type(version) is int else None
    if reader is None:
        if schema == SCHEMA and type(version) is int and version > VERSION:
            raise RecordError(
                f"{where}: is of version {shown(version)}; this uvmfree reads up to {VERSION}, use a newer one"
            )
        raise RecordError(f"{where}: is no uvmfree record: schema {shown(schema)}, version {shown(version)}")
    record = decode(Record, reader(document), where)
    check_shape(record, where)
    return record


_RUNS: Final = ("runs", "stress")
_KINDS: Final = {"uvm_fpageqlock": "shared", "uvm_cpu": "cpu"}


def _version_5(document: dict[str, Any]) -> dict[str, Any]:
    left_out = ("schema", "version", "not_measurable")
    plain = {name: value for name, value in document.items() if name not in left_out}
    for name in _RUNS:
        if isinstance(plain.get(name), list):
            plain[name] = [_without_figures(run) for run in plain[name]]
    return plain


def _version_4(document: dict[str, Any]) -> dict[str, Any]:
    """Read what had the tunables of percpu among those of the system."""
    plain = _version_5(document)
    if isinstance(param := plain.get("param"), dict):
        moved = [[f"percpu.{name}", param[name]] for name in ("refill", "hoard_max", "search") if name in param]
        own = param["own"] if isinstance(param.get("own"), list) else []
        kept = {name: value for name, value in param.items() if f"percpu.{name}" not in dict(moved)}
        plain["param"] = kept | {"own": own + moved}
    return plain


def _version_3(document: dict[str, Any]) -> dict[str, Any]:
    """Read what had no tallies in its runs, and did not tell of which kind a lock is: its name tells."""
    plain = _version_4(document)
    for name in _RUNS:
        for run in plain[name] if isinstance(plain.get(name), list) else ():
            if isinstance(run, dict) and isinstance(run.get("locks"), list):
                run["locks"] = [_with_kind(lock) for lock in run["locks"]]
    return plain


def _with_kind(lock: Any) -> Any:
    if not isinstance(lock, dict) or not isinstance(lock.get("name"), str):
        return lock
    return {"kind": _KINDS.get(lock["name"].partition("[")[0], "other")} | lock


def _version_2(document: dict[str, Any]) -> dict[str, Any]:
    """Read what had no field for what is not measurable, and took failed runs for failed allocations."""
    unknown = {name: value for name, value in document.items() if name == "not_measurable"}
    return _version_3(document) | unknown


def _version_1(document: dict[str, Any]) -> dict[str, Any]:
    """Read what `bench --json` wrote at first: without samples and events, and the designs only in the runs."""
    plain = _version_2(document) | {"kind": "bench"}
    runs = plain["runs"] if isinstance(plain.get("runs"), list) else []
    named = (run["design"] for run in runs if isinstance(run, dict) and isinstance(run.get("design"), str))
    plain["designs"] = list(dict.fromkeys(named))
    return plain


def _without_figures(run: Any) -> Any:
    return {name: value for name, value in run.items() if name != "figures"} if isinstance(run, dict) else run


_READERS: Final[dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]] = {
    (SCHEMA, VERSION): _version_5,
    (SCHEMA, 4): _version_4,
    (SCHEMA, 3): _version_3,
    (SCHEMA, 2): _version_2,
    ("uvmfree.bench", 1): _version_1,
}
"""What turns a document of a schema and version into the fields of a Record."""
