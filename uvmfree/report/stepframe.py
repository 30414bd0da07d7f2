"""How a step of `explain` looks: a paragraph for a pipe, and the lines of a frame for a terminal, with bars of pages.

=> A bar is `#` for pages that were there before and are now, `+` for those that came, `-` for those that went.
=> A frame that is too high for its terminal has one line for all CPUs without a page.
=> ASCII, and no escape codes: what draws a frame colours it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from uvmfree.measure.explain import Step
from uvmfree.report.steps import elsewhere, locks, owned, sentences
from uvmfree.report.text import paragraph
from uvmfree.uvm.page import Place
from uvmfree.workload.plural import plural

NESTED: Final = "a > b: b was taken with a held."
LEGEND: Final = (
    f"Locks stand in the order in which they were taken, with how long each was held; {NESTED} "
    "Hits, misses and atomic updates are as the design counts them."
)

_INDENT: Final = "    "
_LABEL: Final = 14
_COUNT: Final = 16


def plain(step: Step, ncpus: int, width: int) -> Iterator[str]:
    """Yield the lines of a step as a paragraph."""
    scene = f"{step.act.scene}. " if step.act.scene else ""
    yield from paragraph(f"{step.number}. {scene}{sentences(step)}", width, _INDENT)
    for line in locks(step):
        yield from paragraph(f"{_INDENT}{line}", width, _INDENT * 2)
    lists = ", ".join(f"{n:,}" for n in owned(step.standing, ncpus))
    others = "; ".join(f"{name} {now:,}" for name, _, now in _elsewhere(step))
    yield from paragraph(f"{_INDENT}pages: on the lists {lists}; {others}", width, _INDENT * 2)


def frame(step: Step, steps: int, ncpus: int, width: int, height: int = 1000) -> list[str]:
    """Return the lines of a step as a picture: lists and store as bars, then what happened; what may be long last."""
    room = width - _LABEL - _COUNT
    was, now = owned(step.was, ncpus), owned(step.standing, ncpus)
    unit = _unit(max(*was, *now, 1), room)
    store_unit = _unit(sum(step.standing.values()), room)
    signs = f"# stays, + comes, - goes; a sign is {unit:,} on a CPU's list, {store_unit:,} elsewhere"
    if sum(now) and any(where.owner is not None and where.place is Place.GLOBAL for where in step.standing):
        signs += "; what is on a list is in the shared store, too"
    head = f"Step {step.number} of {steps}{': ' if step.act.scene else ''}{step.act.scene}"
    lists = [_bar(f"CPU {index} list", was[index], now[index], unit) for index in range(ncpus)]
    said = [
        *(_bar(name, before, pages, store_unit) for name, before, pages in _elsewhere(step)),
        *paragraph(signs, width),
        "",
        *paragraph(sentences(step), width),
        *(text for line in locks(step) for text in paragraph(line, width, _INDENT)),
    ]
    if 1 + len(lists) + len(said) > height:
        lists = [bar for bar, pages in zip(lists, zip(was, now, strict=True), strict=True) if any(pages)]
        if empty := ncpus - len(lists):
            lists.append(_bar(plural(empty, "empty list"), 0, 0, unit))
    return [head, *lists, *said]


def _elsewhere(step: Step) -> Iterator[tuple[str, int, int]]:
    """Yield where pages are beside the lists of CPUs, and how many were and are there; no cache that nobody uses."""
    was, now = elsewhere(step.was), elsewhere(step.standing)
    yield from ((name, was[name], n) for name, n in now.items() if n or was[name] or name != "shared cache")


def _unit(pages: int, room: int) -> int:
    """Return how many pages a sign stands for: a power of two, so that a bar keeps its length for a while."""
    unit = 1
    while pages > unit * room:
        unit *= 2
    return unit


def _bar(label: str, was: int, now: int, unit: int) -> str:
    change = f"{now - was:+,}" if now != was else ""
    stay, end_was, end_now = (-(-pages // unit) for pages in (min(was, now), was, now))
    if was != now and end_was == end_now:  # less than a sign of difference still shows
        stay -= 1
    signs = "#" * stay + "+" * (end_now - stay if now > was else 0) + "-" * (end_was - stay if was > now else 0)
    return f"{label:<{_LABEL}}{now:>7,}{change:>8} {signs}".rstrip()
