"""Options that several commands have, each stated once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from uvmfree.cli.values import AnyNumber, OneOf, Whole

ENDING = ("pingpong", "handoff", "forkexit")
"""Synthetic workloads: they have no time of their own between two operations."""

WORKLOADS = ("trace", *ENDING, "pressure")
"""Those of measure/workloads.py, spelled out, so that `--help` need not load it."""

Option = Callable[[Any], Any]

set_option: Option = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a tunable (see Param); may be repeated."
)

pressure_seconds_option: Option = click.option(
    "--seconds", type=AnyNumber(), metavar="S", help="How long --workload pressure runs, 0.01 to 3600. Default: 2."
)

repetitions_option: Option = click.option(
    "--repetitions", type=Whole(1), metavar="N", default=5, show_default=True, help="Runs of each design."
)

vmstat_option: Option = click.option(
    "--vmstat", is_flag=True, help="Print the counters of each design's last run as `vmstat -s` does."
)

unpacked_option: Option = click.option(
    "--unpacked-mib",
    "unpacked_max_bytes",
    type=Whole(1, 1 << 24),
    callback=lambda context, option, mib: mib and mib << 20,
    metavar="N",
    help="A packed trace may unpack to N MiB. Default: 16, or 256 times its size if that is more.",
)


def designs_option(metavar: str = "NAME") -> Option:
    """Let designs be named, given as `designs`."""
    return click.option(
        "--design",
        "designs",
        multiple=True,
        metavar=metavar,
        help="Take this design; may be repeated. Default: fpageqlock, percpu, depot.",
    )


def workload_option(names: tuple[str, ...], said: str, **how: Any) -> Option:
    """Let one of some workloads be named, given as `workload`, or with `multiple` as `workloads`."""
    name = "workloads" if how.get("multiple") else "workload"
    return click.option("--workload", name, type=OneOf(names), help=said, **how)


def trace_option(said: str) -> Option:
    """Let a trace be named, given as `trace_file`."""
    return click.option("--trace", "trace_file", metavar="FILE", help=said)


def scheduler_option(said: str) -> Option:
    """Let work be spread."""
    return click.option("--scheduler", metavar="ADDRESS", help=f"{said}, as tcp://host:8786.")


def json_option(said: str) -> Option:
    """Let a document be written, given as `json_file`."""
    return click.option(
        "--json", "json_file", metavar="FILE", help=f"{said}; '-' is stdout, and nothing else is printed there."
    )
