"""What was measured, where, and what to bear in mind when reading it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from uvmfree.report.page.content import Group, Section, Table
from uvmfree.report.page.numbers import listed
from uvmfree.report.page.settings import Source, changed

REPETITIONS_FEW: Final = 5
"""Fewer repetitions than these are pointed out."""


def measured(sources: Sequence[Source]) -> Section:
    """Write the section."""
    rows = [
        (
            str(source.number),
            source.name,
            source.record.workload.name,
            str(source.record.workload.ncpus),
            source.record.host.interpreter,
            "on" if source.record.host.gil else "off",
            "virtual" if source.record.machine.virtual else str(len(source.record.host.affinity)),
            str(_repetitions(source)),
            source.record.host.date[:10],
            "interrupted" if source.record.interrupted else "whole",
        )
        for source in sources
    ]
    columns = ("", "record", "workload", "CPUs", "interpreter", "GIL", "processors", "repetitions", "date", "state")
    overview = Table("The records", columns, rows, 1, wide=True)
    facts = [_facts(source) for source in sources]
    common = [fact for fact in facts[0] if len(sources) > 1 and all(fact in each for each in facts)]
    own = [
        Table(f"Record {source.number}", ("", ""), [fact for fact in each if fact not in common], 1, wide=True)
        for source, each in zip(sources, facts, strict=True)
    ]
    shared = [Table("All records", ("", ""), common, 1, wide=True)] if common else []
    details = Group([], "All facts of each record", unfolded=len(sources) == 1, tables=[*shared, *own])
    words = [
        "A CPU is a simulated one: a thread plays it, or it is virtual. Processors are those of the host that the "
        "process could use."
    ]
    return Section("measured", "What was measured", words, [Group([], tables=[overview]), details])


def _repetitions(source: Source) -> int:
    return min((len(source.record.counted(design)) for design in source.record.designs), default=0)


def _facts(source: Source) -> list[tuple[str, str]]:
    record, host = source.record, source.record.host
    facts = [
        ("file", source.name),
        ("kind", record.kind),
        ("command", shlex.join(record.command) or "not recorded"),
        ("seed", "none" if record.seed is None else str(record.seed)),
        ("date", host.date),
        (
            "workload",
            record.workload.name + (f"; skipped: {record.workload.skipped}" if record.workload.skipped else ""),
        ),
        ("CPUs", f"{record.workload.ncpus}, " + ("virtual" if record.machine.virtual else "one thread each")),
        ("machine", record.machine_words),
        ("RAM", f"{record.param.npages:,} pages of {record.param.pagesize:,} bytes"),
        ("designs", ", ".join(record.designs)),
        (
            "runs",
            "; ".join(
                f"{design}: {len(record.counted(design))} in virtual time"
                if record.machine.virtual
                else f"{design}: {len(record.counted(design))} with lockstat, {len(record.timed(design))} without"
                for design in record.designs
            )
            if record.kind == "bench"
            else f"{record.seconds:g} s of each design, faults: {', '.join(record.faults) or 'none'}",
        ),
        (
            "tunables not at their defaults",
            ", ".join(f"{name}={value}" for name, value in changed(record.param)) or "none",
        ),
        (
            "interpreter",
            f"{host.interpreter}; a thread keeps the GIL for {1e3 * host.switch_interval_s:g} ms"
            if host.gil
            else host.interpreter,
        ),
        ("processors", f"{host.cpu_model}; {len(host.affinity)} of {host.cpus} to use"),
        ("kernel", host.kernel),
        ("uvmfree, atomics", f"{host.uvmfree}, {host.atomics}"),
    ]
    if record.interrupted:
        facts.insert(
            0, ("interrupted", "this record is not whole: it was broken off, and has what was measured before")
        )
    return facts


def caveats(sources: Sequence[Source]) -> Iterator[str]:
    """Yield what a reader has to bear in mind, a sentence or two each."""
    records = [(source.number, source.record) for source in sources]
    if virtual := [number for number, record in records if record.machine.virtual]:
        yield (
            f"{_records(virtual, len(records))}: times are virtual. They follow from a table of costs, not from a "
            "clock, and tell how the designs compare if the costs are right."
        )
    if gil := [number for number, record in records if not record.threads_run_at_once]:
        yield (
            f"{_records(gil, len(records))}: the GIL is on, so one thread runs at a time. What is counted holds; "
            "how long locks were waited for, and how fast a design is, say nothing then and are left out."
        )
    if crowded := [
        number
        for number, record in records
        if record.threads_run_at_once and record.workload.ncpus > record.processors
    ]:
        yield (
            f"{_records(crowded, len(records))}: more threads than processors. Waits include being switched out with "
            "a lock held."
        )
    if broken := [number for number, record in records if record.interrupted]:
        yield f"{_records(broken, len(records))}: interrupted. What was measured until then is here."
    if few := [each.number for each in sources if each.record.runs and _repetitions(each) < REPETITIONS_FEW]:
        yield f"{_records(few, len(records))}: fewer than {REPETITIONS_FEW} repetitions; spreads mean little."
    hosts = [record.host for _, record in records if not record.machine.virtual]
    if len({(host.cpu_model, host.kernel, host.affinity) for host in hosts}) > 1:
        yield "The records come from different hosts: times compare only within one host."
    benched = any(record.runs and not record.machine.virtual for _, record in records)
    yield (
        "Gaps, stranded pages and everything over time are samples, some milliseconds apart: what happened between "
        "two of them was not seen."
        + (" All but throughput was measured with lockstat on, which slows every lock down." if benched else "")
    )


def _records(numbers: Sequence[int], all_of_them: int) -> str:
    if len(numbers) == all_of_them:
        return "All records" if all_of_them > 1 else "This record"
    return f"Record{'s' * (len(numbers) > 1)} {listed(_runs(numbers))}"


def _runs(numbers: Sequence[int]) -> list[str]:
    """Write numbers that follow each other as one: 1 to 4."""
    runs: list[list[int]] = []
    for each in numbers:
        if runs and runs[-1][-1] == each - 1:
            runs[-1].append(each)
        else:
            runs.append([each])
    return [f"{run[0]} to {run[-1]}" if len(run) > 2 else listed([str(each) for each in run]) for run in runs]
