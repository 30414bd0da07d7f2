"""The options by which a command hands on what it measures: as a record, to pyperf, to Perfetto, to `uvmfree top`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from uvmfree.cli.output import check_writable, write_json, write_whole
from uvmfree.errors import ArgumentError

if TYPE_CHECKING:
    from uvmfree.measure.record import Record
    from uvmfree.measure.workloads import Workload


def export_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --json, --pyperf, --perfetto and --counters; it is called with an Exports as `exports`."""

    @click.option(
        "--json",
        "json_file",
        metavar="FILE",
        help="Write the record here; '-' is stdout, with no tables.",
    )
    @click.option("--pyperf", "pyperf_file", metavar="FILE", help="Write wall times for `pyperf compare_to` here.")
    @click.option(
        "--perfetto",
        "perfetto_file",
        metavar="FILE",
        help="Write a timeline for ui.perfetto.dev here, of one more run of each design, with every lock traced.",
    )
    @click.option(
        "--counters", "counter_file", metavar="FILE", help="Keep live counters here, for `uvmfree top FILE`."
    )
    @functools.wraps(command)
    def with_exports(
        *,
        json_file: str | None,
        pyperf_file: str | None,
        perfetto_file: str | None,
        counter_file: str | None,
        **rest: Any,
    ) -> Any:
        exports = Exports(json_file, pyperf_file, perfetto_file, counter_file)
        exports.check()
        return command(exports=exports, **rest)

    return with_exports


class Exports:
    """What is to be written where; None for what is not."""

    def __init__(
        self, json_file: str | None, pyperf_file: str | None, perfetto_file: str | None, counter_file: str | None
    ) -> None:
        self.json_file = json_file
        self.pyperf_file = pyperf_file
        self.perfetto_file = perfetto_file
        self.counter_file = counter_file

    def check(self) -> None:
        """Refuse what could not be written before anything is measured: ArgumentError, ExtraError."""
        from uvmfree.measure.extras import needs

        check_writable("--json", self.json_file)
        for option, file in (
            ("--pyperf", self.pyperf_file),
            ("--perfetto", self.perfetto_file),
            ("--counters", self.counter_file),
        ):
            if file == "-":
                raise ArgumentError(f"{option} -: must be a file")
            check_writable(option, file)
        if self.pyperf_file is not None:
            needs("pyperf", "report", "--pyperf")
        if self.perfetto_file is not None:
            needs("perfetto", "trace", "--perfetto")

    def check_fits(self, workload: Workload) -> None:
        """Refuse what the workload does not give: ArgumentError."""
        if self.pyperf_file is not None and not workload.facts.timed:
            raise ArgumentError(
                f"--pyperf: {workload.name} runs for a fixed time, so there are no wall times to compare"
            )

    def write(self, record: Record) -> None:
        """Write what is in the record, as far as it came."""
        if self.json_file is not None:
            write_json("--json", self.json_file, record.document())
        if self.pyperf_file is not None and any(not run.lockstat for run in record.runs):
            from uvmfree.report.pyperf_file import content

            write_whole("--pyperf", self.pyperf_file, content(record))

    def write_timeline(self, record: Record, workload: Workload, stop: Callable[[], bool]) -> None:
        """Run each design once more, traced, and write the timeline; nothing if `stop()` comes in between."""
        if self.perfetto_file is None:
            return
        import io

        from uvmfree.measure.bench import traced
        from uvmfree.report.perfetto import Timeline, write

        timelines = []
        for design in record.designs:
            run, slices, dropped = traced(record, workload, design, stop)
            if run is None:
                return
            timelines.append(Timeline(design, slices, run.events, run.samples, dropped + run.events_dropped))
        file = io.BytesIO()
        write(file, timelines)
        write_whole("--perfetto", self.perfetto_file, file.getvalue())
