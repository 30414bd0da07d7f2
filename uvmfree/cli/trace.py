"""`uvmfree trace`: a look at recorded page traffic."""

from __future__ import annotations

import json

import click


@click.group()
def trace() -> None:
    """Look at recorded page traffic."""


@trace.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def info(file: str, as_json: bool) -> None:
    """Print what a trace holds: allocations, frees, and what Linux itself did. FILE '-' reads stdin."""
    from dataclasses import asdict

    from uvmfree.workload.trace import read_trace

    read = read_trace(file)
    counts = read.counts
    if as_json:
        document = {"name": read.name, "ncpus": read.ncpus, "tasks": len(read.tasks)}
        document |= asdict(counts) | {"linux_moved_per_op": counts.linux_moved_per_op}
        click.echo(json.dumps(document, indent=2))
        return
    moved, per_op = counts.linux_moved, counts.linux_moved_per_op
    rows = (
        ("CPUs, tasks", f"{read.ncpus}, {len(read.tasks):,}"),
        ("duration, s", f"{counts.duration_s:.3f}"),
        ("mm_page_alloc (order > 0)", f"{counts.allocs:,} ({counts.allocs_high_order:,})"),
        ("... with __GFP_ZERO", f"{counts.allocs_zero:,}"),
        ("mm_page_free of a page allocated in the trace", f"{counts.frees:,}"),
        ("... on another CPU than its allocation", f"{counts.frees_other_cpu:,}"),
        ("mm_page_free of an unknown page", f"{counts.frees_unknown:,}"),
        ("live allocations: peak / at end", f"{counts.live_peak:,} / {counts.live_end:,}"),
        ("pages moved under Linux's zone lock", "not recorded" if moved is None else f"{moved:,}"),
        ("... per page operation (alloc + known free)", "not recorded" if per_op is None else f"{per_op:.3f}"),
    )
    click.echo(read.name)
    for label, value in rows:
        click.echo(f"  {label:<46}{value:>20}")
