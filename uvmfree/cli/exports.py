"""The options by which a command hands on what it measures: as a record, to pyperf, to Perfetto, to `uvmfree top`."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from uvmfree.cli.output import check_writable, write_json, write_whole
from uvmfree.cli.status import BAD_INPUT, READER_GONE
from uvmfree.errors import ArgumentError, OutputError

if TYPE_CHECKING:
    from uvmfree.kern.eventlog import Event
    from uvmfree.kern.locktrace import Slice
    from uvmfree.layouts.perfetto import Timeline
    from uvmfree.measure.counterfile import CounterFile
    from uvmfree.measure.machine_facts import MachineFacts
    from uvmfree.measure.record import Record
    from uvmfree.measure.samples import Samples
    from uvmfree.measure.workloads import Workload


def export_options(*, pyperf: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command --json, --perfetto, --counters and, if asked for, --pyperf.

    => It is called with an Exports as `exports`.
    """
    return lambda command: _with_pyperf(_with_exports(command)) if pyperf else _with_exports(command)


def _with_pyperf(command: Callable[..., Any]) -> Callable[..., Any]:
    option = click.option(
        "--pyperf", "pyperf_file", metavar="FILE", help="Write wall times for `pyperf compare_to` here."
    )
    return option(command)


def _with_exports(command: Callable[..., Any]) -> Callable[..., Any]:
    @click.option(
        "--json",
        "json_file",
        metavar="FILE",
        help="Write the record here; '-' is stdout, with no tables.",
    )
    @click.option(
        "--perfetto",
        "perfetto_file",
        metavar="FILE",
        help="Write a timeline for ui.perfetto.dev here, of a run of each design with every lock traced.",
    )
    @click.option(
        "--counters", "counter_file", metavar="FILE", help="Keep live counters here, for `uvmfree top FILE`."
    )
    @functools.wraps(command)
    def with_exports(
        *,
        json_file: str | None,
        perfetto_file: str | None,
        counter_file: str | None,
        pyperf_file: str | None = None,
        **rest: Any,
    ) -> Any:
        exports = Exports(json_file, pyperf_file, perfetto_file, counter_file)
        exports.check()
        with exports.open():
            return command(exports=exports, **rest)

    return with_exports


class Exports:
    """What is to be written where; None for what is not.

    => `counters`: what keeps the live counters, while open() lasts.
    """

    def __init__(
        self, json_file: str | None, pyperf_file: str | None, perfetto_file: str | None, counter_file: str | None
    ) -> None:
        self.json_file = json_file
        self.pyperf_file = pyperf_file
        self.perfetto_file = perfetto_file
        self.counter_file = counter_file
        self.counters: CounterFile | None = None
        self._problems: list[str] = []
        self._reader_gone = False

    def check(self) -> None:
        """Refuse what could not be written before anything is measured: ArgumentError, ExtraError."""
        from uvmfree.measure.extras import needs

        files = {"--pyperf": self.pyperf_file, "--perfetto": self.perfetto_file, "--counters": self.counter_file}
        for option, file in files.items():
            if file == "-":
                raise ArgumentError(f"{option} -: must be a file")
        check_writable(("--json", self.json_file), *files.items())
        check_writable(("--counters", self.counter_file), regular=True)
        if self.pyperf_file is not None:
            needs("pyperf", "report", "--pyperf")
        if self.perfetto_file is not None:
            needs("perfetto", "trace", "--perfetto")

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Do a command's work in a `with` block, which may write; at its end say what could not be written.

        => The work comes first: a disk that is full takes neither what is printed nor the other files with it.
        """
        from uvmfree.measure.counterfile import CounterFile

        if self.counter_file is not None:
            self.counters = CounterFile(self.counter_file)
        try:
            yield
        finally:
            if self.counters is not None:
                self.counters.close()
                if self.counters.problem is not None:
                    self._problems.append(self.counters.problem)
            for problem in self._problems:
                click.echo(f"uvmfree: {problem}", err=True)
        if self._problems:
            sys.exit(BAD_INPUT)
        if self._reader_gone:
            sys.exit(READER_GONE)

    def check_fits(self, workload: Workload, machine: MachineFacts) -> None:
        """Refuse what the workload, or the machine, does not give: ArgumentError."""
        if machine.virtual and self.pyperf_file is not None:
            raise ArgumentError(
                "--pyperf: a virtual machine takes no time of the host, which is what pyperf compares"
            )
        self.check_watched(virtual=machine.virtual)
        if self.pyperf_file is not None and not workload.facts.timed:
            raise ArgumentError(
                f"--pyperf: {workload.name} runs for a fixed time, so there are no wall times to compare"
            )

    def check_watched(self, *, virtual: bool) -> None:
        """Refuse to show a virtual machine to `uvmfree top`, whose seconds are the host's: ArgumentError."""
        if virtual and self.counter_file is not None:
            raise ArgumentError(
                "--counters: virtual time passes too unevenly to be watched; --json keeps the samples"
            )

    def write(self, record: Record) -> None:
        """Write what is in the record, as far as it came."""
        if self.json_file is not None:
            with self._told_at_the_end():
                write_json("--json", self.json_file, record.document())
        if self.pyperf_file is not None and any(not run.lockstat for run in record.runs):
            from uvmfree.layouts.pyperf_file import content

            with self._told_at_the_end():
                write_whole("--pyperf", self.pyperf_file, content(record))

    def write_timeline(self, record: Record, workload: Workload, stop: Callable[[], bool]) -> None:
        """Run each design once more, traced, and write the timeline; nothing if `stop()` comes in between."""
        if (timeline := self.timeline()) is None:
            return
        from uvmfree.measure.bench import traced

        for design in record.designs:
            run, slices, dropped = traced(record, workload, design, stop)
            if run is None:
                return
            virtual = f" ({record.machine.words}, seed {record.seed})" if record.machine.virtual else ""
            timeline.keeper(design + virtual)(slices, dropped)
            timeline.add(design + virtual, run.events, run.samples, run.events_dropped)
        self.write_out(timeline)

    def write_out(self, timeline: TimelineFile) -> None:
        """Write a finished timeline."""
        with self._told_at_the_end():
            timeline.write()

    @contextlib.contextmanager
    def _told_at_the_end(self) -> Iterator[None]:
        try:
            yield
        except ArgumentError as error:
            self._problems.append(str(error))
        except OutputError:
            self._reader_gone = True

    def timeline(self) -> TimelineFile | None:
        """Return what collects the timeline, if one is asked for."""
        return None if self.perfetto_file is None else TimelineFile(self.perfetto_file)


class TimelineFile:
    """The timelines of several runs, until they are written to one file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._slices: dict[str, tuple[tuple[Slice, ...], int]] = {}
        self._timelines: list[Timeline] = []

    def keeper(self, name: str) -> Callable[[tuple[Slice, ...], int], None]:
        """Return what takes the slices of a run, and how many were left out."""

        def keep(slices: tuple[Slice, ...], dropped: int) -> None:
            self._slices[name] = (slices, dropped)

        return keep

    def add(self, name: str, events: tuple[Event, ...], samples: Samples | None, events_dropped: int) -> None:
        """Add a run; what its keeper did not get is not shown."""
        from uvmfree.layouts.perfetto import Timeline

        slices, dropped = self._slices.get(name, ((), 0))
        self._timelines.append(Timeline(name, slices, events, samples, dropped + events_dropped))

    def write(self) -> None:
        """Write them all."""
        import io

        from uvmfree.layouts.perfetto import write

        file = io.BytesIO()
        write(file, self._timelines)
        write_whole("--perfetto", self._file, file.getvalue())
