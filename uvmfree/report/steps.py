"""What a step of `explain` says: what was done, which locks that took, what moved, in plain sentences.

=> The words follow from what was seen (measure/explain.py): where pages stood before and after, which locks were
   taken by whom, what the design counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from uvmfree.measure.explain import Step, Taken, Where
from uvmfree.uvm.page import Place
from uvmfree.workload.plural import plural

LOCKS_SHOWN: Final = 8
"""Holds that a line tells one by one; more are counted."""

USED: Final = Where(Place.ALLOCATED, None)


def sentences(step: Step) -> str:
    """Return the step in plain sentences."""
    act = step.act
    if act.kind == "wait":
        said = [f"{_duration(act.seconds)} passes, and no CPU does anything."]
    elif len(act.cpus) == 1 and act.pages == 1:
        said = _alloc(step, act.cpus[0]) if act.kind == "alloc" else _free(step, act.cpus[0])
    else:
        said = _many(step)
    if step.atomics:
        one = len(act.cpus) == 1
        said.append(
            f"{'It makes' if one else 'They make'} {plural(step.atomics, 'atomic update')} of words that CPUs share."
        )
    said += _waits(step)
    said += _handed_back(step)
    return " ".join(said)


def locks(step: Step) -> Iterator[str]:
    """Yield a line for each CPU that took locks, and one for the threads of the system that took the design's.

    => `a > b`: b was taken with a held; `a > (b, c)`: b, and then c. More than LOCKS_SHOWN holds of a thread are
       counted.
    """
    told: dict[str, list[Taken]] = {}
    for one in step.taken:
        if one.kind != "other" or one.thread.startswith("CPU "):
            told.setdefault(one.thread, []).append(one)
    threads = {thread: f"{thread}: {_in_order(taken)}" for thread, taken in told.items()}
    yield from (line for thread, line in sorted(threads.items()) if thread.startswith("CPU "))
    if others := [line for thread, line in sorted(threads.items()) if not thread.startswith("CPU ")]:
        yield "; ".join(others)


def _in_order(taken: list[Taken]) -> str:
    if len(taken) > LOCKS_SHOWN:
        return ", ".join(f"{name} {_times(n)}" for name, n in Counter(one.lock for one in taken).items())
    return ", ".join(_nested(taken))


def _nested(taken: list[Taken]) -> Iterator[str]:
    """Yield each lock with those that were taken with it held."""
    while taken:
        first, *rest = taken
        inside = rest[: next((at for at, one in enumerate(rest) if one.depth <= first.depth), len(rest))]
        within = [*_nested(inside)]
        said = f"({', '.join(within)})" if len(within) > 1 else "".join(within)
        yield f"{first.lock} {first.held_ns:,} ns" + (f" > {said}" if said else "")
        taken = rest[len(inside) :]


def owned(standing: Counter[Where], ncpus: int) -> list[int]:
    """Return the pages on each CPU's list."""
    return [sum(n for where, n in standing.items() if where.owner == index) for index in range(ncpus)]


def elsewhere(standing: Counter[Where]) -> dict[str, int]:
    """Return the pages of the shared store, of caches that CPUs share, and those in use."""
    return {
        "shared store": sum(n for where, n in standing.items() if where.place is Place.GLOBAL),
        "shared cache": standing[Where(Place.CACHED, None)],
        "in use": standing[USED],
    }


def _alloc(step: Step, cpu: int) -> list[str]:
    """Say where one CPU got one page, or why it got none."""
    own = sum(n for where, n in step.was.items() if where.owner == cpu)
    source = next((then for then, now in step.moves if now == USED), None)
    if source is not None and source.owner == cpu:
        has = f"its list of {plural(own, 'page')} has one"
    elif not step.lists:
        has = "CPUs have no lists here"
    elif own:
        has = f"its list of {plural(own, 'page')} has none {'of the next colour' if step.by_color else 'for it'}"
    else:
        has = "its list is empty"
    taken = _shared(step, cpu)
    takes = f"it takes {_then(taken)}" if taken else "it takes no shared lock"
    if step.failed:
        return [f"CPU {cpu} allocates and gets no page: {has}; {takes}.", *_guards(step, cpu), *_why_none(step, cpu)]
    others, said = Counter(step.moves), []
    for where in {then for then, _ in step.moves if then.owner != cpu and then != USED}:
        handed = others.pop((where, USED), 0)
        kept = sum(others.pop(move, 0) for move in list(others) if move[0] == where and move[1].owner == cpu)
        if handed + kept > 1:
            said.append(f"moves {handed + kept} pages from {_place(where, cpu)}: {handed} handed out, {kept} kept")
        elif handed:
            said.append(f"gets one page from {_place(where, cpu)}")
        elif kept:
            said.append(f"moves one page from {_place(where, cpu)} to its list")
    got = f"{takes}{', and ' if said else ''}{' and '.join(said)}" if not taken else " and ".join([takes, *said])
    others.pop((source or USED, USED), 0)
    return [f"CPU {cpu} allocates: {has}; {got}.", *_guards(step, cpu), *_went(others, cpu)]


def _free(step: Step, cpu: int) -> list[str]:
    """Say where one page went that one CPU freed."""
    if not step.done:
        return [f"CPU {cpu} would free a page of an allocation that failed here."]
    to = next((now for then, now in step.moves if then == USED), USED)
    others = Counter({move: n for move, n in step.moves.items() if move != (USED, to)})
    taken = _shared(step, cpu)
    takes = f"it takes {_then(taken)}" if taken else "it takes no shared lock"
    return [
        f"CPU {cpu} frees a page, which goes to {_place(to, cpu)}; {takes}.",
        *_guards(step, cpu),
        *_went(others, cpu),
    ]


def _many(step: Step) -> list[str]:
    """Say what came of many operations, or of those of several CPUs at once."""
    act = step.act
    who = _and(f"CPU {cpu}" for cpu in act.cpus)
    one = len(act.cpus) == 1
    verb = {"alloc": "allocate", "free": "free"}[act.kind] + ("s" if one else "")
    said = [f"{who} {verb} {plural(step.done, 'page')}{'' if one else ' at once'}"]
    if act.kind == "alloc":
        said[0] += f": {plural(step.hits, 'hit')}, {step.misses:,} miss{'' if step.misses == 1 else 'es'}"
    if step.failed:
        said[0] += "; then there is none"
    said[0] += "."
    for cpu in act.cpus:
        counts = Counter(_shared(step, cpu))
        it = "It" if one else f"CPU {cpu}"
        taken = _and(f"{lock} {_times(n)}" for lock, n in counts.items())
        said.append(f"{it} takes {taken}." if taken else f"{it} takes no shared lock.")
        said += _guards(step, cpu)
    return [
        *said,
        *_went(step.moves, act.cpus[0] if one else None),
        *(_why_none(step, act.cpus[0]) if step.failed else ()),
    ]


def _why_none(step: Step, cpu: int) -> Iterator[str]:
    """Say where pages are though an allocation failed."""
    there = step.standing if step.done else step.was
    if 0 < (store := elsewhere(there)["shared store"]) <= step.reserve:
        yield f"The {plural(store, 'page')} in the shared store {_are(store)} the kernel's reserve."
    beyond = [(where, n) for where, n in there.items() if where.place is Place.CACHED and where.owner != cpu]
    if beyond:
        yield f"Beyond its reach: {_and(f'{n:,} on {_place(where, cpu)}' for where, n in beyond)}."


def _guards(step: Step, cpu: int) -> Iterator[str]:
    """Say which other CPUs' own locks a CPU took."""
    mine = [one for one in step.taken if one.thread == f"CPU {cpu}"]
    others = dict.fromkeys(one.lock for one in mine if one.cpu not in (None, cpu))
    if others:
        yield f"CPU {cpu} also takes {_and(others)}."


def _waits(step: Step) -> Iterator[str]:
    """Say who waited for whom, of CPUs that acted at once."""
    for one in step.taken:
        if one.waited_ns and one.thread.startswith("CPU ") and len(step.act.cpus) > 1:
            yield f"{one.thread} waits {one.waited_ns:,} ns for {one.lock}."


def _handed_back(step: Step) -> Iterator[str]:
    """Say what moved by no CPU's act, and why."""
    back = [event for event in step.events if event.what == "redistribute"]
    for cause in dict.fromkeys(event.cause for event in back):
        lists = _and(f"{event.pages:,} from the list of CPU {event.cpu}" for event in back if event.cause == cause)
        pages = "Pages" if step.act.kind == "wait" else "Meanwhile pages"
        yield f"{pages} go back to the shared store ({cause}): {lists}."
    if step.act.kind == "wait":
        known = {event.cpu for event in back}
        yield from _went(Counter({move: n for move, n in step.moves.items() if move[0].owner not in known}), None)
        if not step.moves:
            yield "No page moves."


def _went(moves: Counter[tuple[Where, Where]], cpu: int | None) -> Iterator[str]:
    """Say what went where, in one sentence."""
    said = ""
    for (then, now), n in moves.most_common():
        said += f", {n:,}" if said else f"{plural(n, 'page')} {_are(n, 'go')}"
        said += f" from {_place(then, cpu)} to {_place(now, cpu)}"
    if said:
        yield f"{said}."


def _place(where: Where, cpu: int | None) -> str:
    """Name a place, as seen by a CPU."""
    if where.place is Place.ALLOCATED:
        return "use"
    its = "its list" if where.owner is not None and where.owner == cpu else f"the list of CPU {where.owner}"
    if where.place is Place.GLOBAL:
        return "the shared store" if where.owner is None else f"the shared store and {its}"
    if where.place is Place.ZEROING:
        return "idle zeroing"
    return "a shared cache" if where.owner is None else its


def _shared(step: Step, cpu: int) -> list[str]:
    """Return the shared locks that a CPU took, in order."""
    return [one.lock for one in step.taken if one.thread == f"CPU {cpu}" and one.kind == "shared"]


def _then(names: Sequence[str]) -> str:
    """Name locks in order; one that is taken several times in a row is counted."""
    runs = [(name, len(list(run))) for name, run in groupby(names)]
    return ", then ".join(name if n == 1 else f"{name} {_times(n)}" for name, n in runs)


def _and(names: Iterable[str]) -> str:
    *first, last = list(names) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n:,} times")


def _are(n: int, verb: str = "are") -> str:
    return verb if n != 1 else {"are": "is"}.get(verb, f"{verb}es")


def _duration(seconds: float) -> str:
    return "A second" if seconds == 1 else f"A time of {seconds * 1000:g} ms"
