"""`uvmfree explain`: where pages go in a design, step by step, in a terminal or as text."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from uvmfree.cli.options import set_option, trace_option
from uvmfree.cli.running import Interrupted, first_signal_asks, reading
from uvmfree.cli.terminal import say, width
from uvmfree.cli.values import Number, Whole
from uvmfree.cli.virtual import strands
from uvmfree.errors import ArgumentError

if TYPE_CHECKING:
    from uvmfree.cli.running import Asked
    from uvmfree.measure.explain import Step
    from uvmfree.param import Param
    from uvmfree.workload.story import Act

COSTS, SEED = "xeon-2s", 1
"""What virtual time passes by: the same steps each time."""

NPAGES, NPAGES_MAX = 2048, 65536

_GIVEN: Final = {
    "npages": "--npages",
    "ncpus": "--cpus",
    "design": "DESIGN",
    "lockstat": "nothing: locks are always traced here",
    "lockdebug": "nothing: locks are traced here, not checked",
}


@click.command(short_help="Show step by step where pages go in a design.")
@click.argument("design")
@click.option("--step", "by_key", is_flag=True, help="Wait for a key after each step: Enter goes on, q ends.")
@click.option("--speed", type=Number(0.05, 50), default=0.4, show_default=True, metavar="N", help="Steps a second.")
@trace_option("Play the first events of a trace, not the story.")
@click.option("--cpus", type=Whole(1, 64), metavar="N", default=4, show_default=True, help="Simulated CPUs.")
@click.option("--steps", type=Whole(1, 10_000), metavar="N", help="End after N. Default: 40 of a trace.")
@click.option(
    "--npages",
    type=Whole(1024, NPAGES_MAX),
    metavar="N",
    help=f"Pages of RAM. Default: {NPAGES}, or {NPAGES_MAX} for a design whose caches depend on RAM.",
)
@set_option
@click.option("--json", "as_json", is_flag=True, help="Print one document of all steps.")
def explain(
    design: str,
    by_key: bool,
    speed: float,
    trace_file: str | None,
    cpus: int,
    steps: int | None,
    npages: int | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show where pages go in DESIGN: a CPU's own list, the shared store, in use; and which locks that takes.

    Plays a short story on a small machine in virtual time: a hit, a miss, a race, a burst that is freed elsewhere,
    idle CPUs, and memory that runs out. On a terminal each step is a picture; in a pipe it is a paragraph.
    """
    from uvmfree.measure.explain import Stage
    from uvmfree.measure.host import host
    from uvmfree.measure.settings import check_used, parse_settings
    from uvmfree.param import Param
    from uvmfree.report.stepframe import LEGEND, plain

    tunables = parse_settings(settings, given=_GIVEN, designs=(design,))
    check_used(settings, (design,))
    param = Param(design=design, npages=npages or NPAGES, ncpus=cpus, **tunables)
    if npages is None:
        param = _as_measured(param)
    drawn = not as_json and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if by_key and drawn and not sys.stdin.isatty():
        raise ArgumentError("--step: stdin is no terminal, so that no key will come")
    acts = _acts(trace_file, cpus, steps)
    strands()
    with first_signal_asks() as asked:
        stage = Stage(param, COSTS, SEED)
        name = stage.uvm.design.name
        label = ", ".join([name, *(setting.removeprefix(f"{name}.") for setting in settings)])
        named = f"{label}: {stage.uvm.design.summary}"
        with contextlib.closing(stage.play(acts)) as played:
            if as_json:
                _print_document(param, stage.uvm.design.summary, played, asked)
            elif drawn:
                _draw(
                    f"{named}; {param.npages:,} pages", played, len(acts), cpus, None if by_key else 1 / speed, asked
                )
            else:
                machine = f"{cpus} CPUs, {param.npages:,} pages, virtual time (costs {COSTS}), {host().interpreter}"
                say(f"{named}. {machine}. {LEGEND}")
                for step in played:
                    click.echo("")
                    for line in plain(step, cpus, width()):
                        click.echo(line)
                    _end_if(asked)


def _as_measured(param: Param) -> Param:
    """Return the settings with as much RAM as benchmarks have, if how the design caches depends on RAM."""
    from dataclasses import replace

    from uvmfree.uvm.designs import traits_of

    large = replace(param, npages=NPAGES_MAX)
    return param if traits_of(param) == traits_of(large) else large


def _acts(trace_file: str | None, cpus: int, steps: int | None) -> list[Act]:
    """Return what is to be played; ArgumentError, TraceError."""
    from uvmfree.workload.story import NCPUS, STORY, of_trace
    from uvmfree.workload.trace import read_trace

    if trace_file is None:
        if cpus < NCPUS:
            raise ArgumentError(f"--cpus {cpus}: the story plays on {NCPUS} CPUs or more")
        return list(STORY[:steps])
    with reading(trace_file) as tick:
        return list(of_trace(read_trace(trace_file, tick=tick), cpus, steps or 40))


def _print_document(param: Param, summary: str, played: Iterator[Step], asked: Asked) -> None:
    """Print all steps, once all are known."""
    steps = []
    for step in played:
        steps.append(step.document())
        _end_if(asked)
    document = {"design": param.design, "summary": summary, "npages": param.npages, "ncpus": param.ncpus}
    click.echo(json.dumps(document | {"costs": COSTS, "seed": SEED, "steps": steps}, indent=1))


def _draw(named: str, played: Iterator[Step], steps: int, cpus: int, pause_s: float | None, asked: Asked) -> None:
    """Show one step after the other in place, each for `pause_s`, or until a key is pressed."""
    from rich.live import Live

    from uvmfree.cli.keys import pressed
    from uvmfree.report.stepframe import NESTED, frame
    from uvmfree.report.text import paragraph

    with pressed(asked) as key, Live(auto_refresh=False, vertical_overflow="crop") as live:
        for step in played:
            keys = f"[{'' if pause_s is None else 'space: step by step, '}Enter: next, q: end]"
            head = [*paragraph(named, width()), *paragraph(f"{keys} {NESTED}", width()), ""]
            lines = frame(step, steps, cpus, width(), live.console.height - len(head))
            live.update(_coloured([*head, *lines]), refresh=True)
            came = key(pause_s)
            _end_if(asked)
            if came in ("q", "\x1b", "\x04"):
                return
            if came == " " and pause_s is not None:
                pause_s = None


def _coloured(lines: list[str]) -> Any:
    """Return lines as rich draws them: what came green, what went red."""
    from rich.text import Text

    text = Text("\n".join(lines))
    text.highlight_regex(r"(?m)\++$", "green")
    text.highlight_regex(r"(?m)-+$", "red")
    text.highlight_regex(r"(?m)^Step .*$", "bold")
    return text


def _end_if(asked: Asked) -> None:
    if asked():
        raise Interrupted(asked.number)
