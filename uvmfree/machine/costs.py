"""The costs of a virtual machine: a table of named figures, each with its source or the word *assumed*.

=> A set is a name and its figures; `costs_for()` takes one and lays others over it: a TOML file, single figures.
=> Times are nanoseconds, `*_lines` numbers of cache lines, the rest counts. None may be negative.
=> ParamError, in one line, for what is unknown, missing or out of range.
=> A design has no line about time in it. CHARGES says what each lock costs each of its callers, by these names.

The sources: *c2c* is nviennot/core-to-core-latency; *LLFree* its evaluation (USENIX ATC 2023); *page_bench01* Jesper
Brouer's benchmark of Linux's page allocator; *Boyd-Wickizer* "Non-scalable locks are dangerous" (2012).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from uvmfree.errors import ParamError
from uvmfree.kern.lockrank import Kind

VALUE_MAX: Final = 1_000_000_000
"""No figure is larger: a second, or what would make a run of a thousand steps last one."""

MISSING_MAX: Final = 12
"""Of the costs that a file lacks so many are named."""

COUNTS: Final = frozenset(
    [
        "sockets",
        "socket_cores",
        "complex_cores",
        "core_threads",
        "backoff_min",
        "backoff_max",
        "global_lines",
        "splice_lines",
        "other_lines",
        "jitter_percent",
        "cold_after_pages",
    ]
)
"""Figures that are no times."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One cost and where it is from; a source that begins with *assumed* is none."""

    value: float
    source: str

    @property
    def assumed(self) -> bool:
        """Whether nobody measured it."""
        return self.source.startswith("assumed")


@dataclass(frozen=True, slots=True)
class Charge:
    """What taking a lock once costs a caller, as names of costs; an empty name costs nothing.

    => `before`, `after`: its own work outside of the lock. `hold`, `per_page`, `lines`: under it; pages as told by
       the lists that the lock guards, or one. `per_item`: for each chunk that is moved by pointer.
    => `own`: the work under the lock is on the caller's own lines, and varies as its other work does.
    """

    before: str = ""
    hold: str = ""
    per_page: str = ""
    per_item: str = ""
    lines: str = ""
    after: str = ""
    own: bool = False


_CACHED: Final = {
    "uvm_pagealloc": Charge(hold="cached_alloc", own=True),
    "uvm_pagefree": Charge(hold="cached_free", own=True),
    "uvm_redistribute": Charge(hold="other_hold"),
}
_SHARED: Final = {
    "uvm_pagealloc": Charge("global_outside", "global_alloc", "page_moved", "item_moved", "global_lines"),
    "uvm_pagefree": Charge("global_outside", "global_free", "page_moved", "item_moved", "global_lines"),
    "uvm_redistribute": Charge(hold="splice", lines="splice_lines"),
}

CHARGES: Final[Mapping[tuple[Kind, str], Charge]] = {
    **{("cpu", caller): charge for caller, charge in _CACHED.items()},
    **{("off", caller): charge for caller, charge in _CACHED.items()},
    **{("shared", caller): charge for caller, charge in _SHARED.items()},
}
"""By the lock's kind (kern/lockrank.py) and the caller. What `off` costs beside its hold: off_enter, off_leave, and
rendezvous for who comes from another CPU."""

OTHER: Final = Charge(hold="other_hold", lines="other_lines")
"""Of every other lock and caller."""

OUTSIDE_TIME: Final = frozenset({"uvm_audit", "uvm_close", "uvm_cpu_attach"})
"""Callers that cost nothing: what begins and ends a run."""

LOOKS: Final = "observer"
"""The caller that only looks: it takes no lock from anybody."""


@dataclass(frozen=True, slots=True)
class Costs:
    """The figures of one virtual machine; complete and checked."""

    name: str
    figures: Mapping[str, Figure] = field(repr=False)

    def __post_init__(self) -> None:
        missing = sorted(set(SETS[DEFAULT]) - set(self.figures))
        if missing:
            raise ParamError(f"costs={self.name!r}: has no {', '.join(missing)}")

    def ns(self, name: str) -> int:
        """Return a time in whole nanoseconds; an empty name is 0."""
        return round(self.figures[name].value) if name else 0

    count = ns

    @property
    def changed(self) -> dict[str, float]:
        """The figures that are not those of the set, by name."""
        own = SETS[self.name]
        return {name: one.value for name, one in self.figures.items() if one.value != own[name].value}

    def with_figures(self, figures: Mapping[str, object], source: str) -> Costs:
        """Return a table in which these figures replace others; ParamError names what is wrong with one.

        => A figure is a number, or a list of a number and where it is from; `source` is what else there is to say.
        """
        new = dict(self.figures)
        for name, given in figures.items():
            if name not in new:
                raise ParamError(f"{source}: no cost is called {name!r}; there are {', '.join(sorted(new))}")
            value, said = given, source
            if isinstance(given, list) and len(given) == 2 and isinstance(given[1], str) and given[1].strip():
                value, said = given
            new[name] = Figure(_checked(name, value, source), said)
        return Costs(self.name, new)


def _checked(name: str, value: object, source: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParamError(f"{source}: {name}={value!r}: must be a number")
    least = 1 if name in ("sockets", "socket_cores", "complex_cores", "core_threads", "backoff_min") else 0
    most = 99 if name == "jitter_percent" else VALUE_MAX
    if not least <= value <= most:
        raise ParamError(f"{source}: {name}={value!r}: must be from {least} to {most}")
    if name in COUNTS and value != int(value):
        raise ParamError(f"{source}: {name}={value!r}: must be a whole number")
    return float(value)


def costs_for(name: str | None = None, file: Path | str | None = None, **figures: float) -> Costs:
    """Return the table of that name, xeon-2s by default, with what a TOML file and then single figures change in it.

    => The file: `base = "SET"` if it does not lie over `name`, and a table `[costs]` of NAME = NS, or of
       NAME = [NS, "SOURCE"]. One that lies over nothing must have all costs.
    => A file is no set: the table has the name of the set below, and `changed` is what the file has of its own.
    """
    changes: Mapping[str, object] = {}
    base, named = DEFAULT if name is None else name, f"costs={name!r}"
    if file is not None:
        over, changes = _from_toml(Path(file))
        if over is not None:
            name, base, named = over, over, f"{file}: base = {over!r}"
    if base not in SETS:
        raise ParamError(f"{named}: must be one of {', '.join(sorted(SETS))}")
    costs = Costs(base, SETS[base]).with_figures(changes, str(file))
    if file is not None and name is None and (missing := [cost for cost in costs.figures if cost not in changes]):
        more = f" and {len(missing) - MISSING_MAX} more" if len(missing) > MISSING_MAX else ""
        listed = ", ".join(missing[:MISSING_MAX])
        raise ParamError(f'{file}: has no {listed}{more}; it must have all costs, or base = "SET" to lie over')
    return costs.with_figures(figures, "--cost") if figures else costs


def _from_toml(file: Path) -> tuple[str | None, Mapping[str, object]]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamError(f"{file}: {error.strerror or error}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ParamError(f"{file}: not TOML: {error}") from error
    base, costs = document.get("base"), document.get("costs", {})
    if unknown := sorted(set(document) - {"base", "costs"}):
        raise ParamError(f'{file}: may have base = "SET" and a table [costs]; has {", ".join(unknown)}')
    if not (base is None or isinstance(base, str)):
        raise ParamError(f'{file}: base = {base!r}: must be the name of a set in quotes, as "{min(SETS)}"')
    if not isinstance(costs, dict):
        raise ParamError(f"{file}: costs = {costs!r}: must be a table, [costs] and below it NAME = NS")
    return base, costs


def _over(base: Mapping[str, Figure], **figures: tuple[float, str]) -> dict[str, Figure]:
    return {**base, **{name: Figure(*figure) for name, figure in figures.items()}}


_C2C_XEON = "c2c: Ice Lake 51 / 108, Cascade Lake 47 / 135, Broadwell 44 / 118"
_C2C_MILAN = "c2c: Milan 23 in a complex, 107 across, 197 to the other socket"
_L1 = "a locked operation on a line in L1: 18 to 20 cycles"
_NATIVE = "bench/native.py on a busy host, an AMD EPYC (Zen 4) of two processors"
_ASSUMED = "assumed"

_XEON: Final = _over(
    {},
    sockets=(2, "two sockets"),
    socket_cores=(64, "Emerald Rapids 8592+"),
    complex_cores=(64, "one mesh: no level between core and socket"),
    core_threads=(2, "hyperthreads"),
    line_core=(8, "c2c: two threads of one core: Ice Lake 8.1, Cascade Lake 7.4 and 7.6, Broadwell 7.6"),
    line_complex=(50, _C2C_XEON),
    line_socket=(50, _C2C_XEON),
    line_remote=(120, _C2C_XEON),
    line_memory=(100, "assumed: about a memory latency; AnandTech measured 122 to 134 on an EPYC 7742"),
    cold_after_pages=(0, "off; 1764 is what 7 MB of cache a core hold of pages, each 4 KB and a struct of 64 bytes"),
    lock_acquire=(9, _L1),
    lock_release=(3, "a plain store to a line in L1"),
    off_enter=(1, "assumed: a store to a word of the CPU's own (splraiseipl, critical_enter)"),
    off_leave=(2, "assumed: the same, and a look whether an interrupt came in between (splx, critical_exit)"),
    rendezvous=(2000, "assumed: a cross-call that the other CPU answers at once"),
    atomic=(7, _L1),
    spin_pause=(40, "PAUSE since Skylake: as many as 140 cycles, 10 before (Intel's optimization manual, 2.6.4)"),
    backoff_min=(4, "SPINLOCK_BACKOFF_MIN, sys/sys/lock.h of NetBSD; x86 sets no other"),
    backoff_max=(128, "SPINLOCK_BACKOFF_MAX, sys/sys/lock.h of NetBSD; pauses double up to it"),
    ticket_spinner=(10, "assumed: the shape is Boyd-Wickizer's, the figure is not"),
    sleep_spin=(1000, "assumed: how long a Python lock's waiter stays awake"),
    sleep_wake=(6300, "glibc's semaphore: 5.6 to 7 us for who wakes a sleeper"),
    wakeup=(3000, _ASSUMED),
    cached_alloc=(58, "page_bench01: 115 to 185 cycles a pair; twice that for colours and queues is assumed"),
    cached_free=(57, "as cached_alloc"),
    global_outside=(33, "assumed: half of what a pair does beside locks and lists"),
    global_alloc=(40, "assumed: list head and uvmexp, beside the page itself"),
    global_free=(20, "assumed: as global_alloc, without a search"),
    global_lines=(3, "list head, neighbour page, uvmexp; Aaron Lu: most time under zone->lock is cache misses"),
    page_moved=(20, "rmqueue_bulk of 63 pages: 1 to 2 us; LLFree's slopes over cores give 37.5 to 151"),
    item_moved=(50, "assumed: a chunk that is moved by pointer is one line"),
    splice=(200, "assumed: O(buckets)"),
    splice_lines=(10, "assumed: O(buckets)"),
    other_hold=(50, "assumed: locks that are seldom taken"),
    other_lines=(1, "assumed"),
    zero_page=(300, "clear_page of 4 KB on Milan: 13.7 GB/s (Linux, x86: introduce clear_pages())"),
    page_fault=(1000, "measured: median 1,013 with zeroing"),
    disk_latency=(20000, "assumed: of a fast SSD, for a read or a write of a page"),
    disk_page=(1250, "assumed: 3.3 GB/s, what four lanes of PCIe 3 carry"),
    jitter_percent=(30, "assumed: the spread of work of a CPU's own; CPUs of exact times lock in phase"),
)

DEFAULT: Final = "xeon-2s"

SETS: Final[Mapping[str, Mapping[str, Figure]]] = {
    DEFAULT: _XEON,
    "epyc-2s": _over(
        _XEON,
        socket_cores=(64, "Milan 7763"),
        complex_cores=(8, "Milan: eight cores share an L3"),
        line_complex=(23, _C2C_MILAN),
        line_socket=(107, _C2C_MILAN),
        line_remote=(197, _C2C_MILAN),
        line_core=(10, "c2c: two threads of one core: 9.8 on a 7R13, 10 on a 7773X"),
        line_memory=(122, "AnandTech, EPYC 7742: 122 ns at 128 MB, 134 at 512 MB, random, NPS1"),
        cold_after_pages=(0, "off; 1134 is what 4.5 MB of cache a core (512 KB of L2, 4 MB of L3) hold of pages"),
    ),
    "one-socket": _over(
        _XEON, sockets=(1, "one socket"), socket_cores=(128, "Granite Rapids 6980P"), complex_cores=(128, "one mesh")
    ),
    "python-here": _over(
        _XEON,
        sockets=(1, "the host"),
        socket_cores=(2, "the host: two processors"),
        complex_cores=(2, "the host"),
        core_threads=(1, "the host"),
        line_complex=(52, "measured on an AMD EPYC host of two processors"),
        line_socket=(52, "as line_complex"),
        line_remote=(52, "as line_complex"),
        atomic=(5, "measured there"),
        lock_acquire=(30, "measured there: a pair of Python's lock is 45"),
        lock_release=(15, "measured there: a pair of Python's lock is 45"),
        cached_alloc=(230, "assumed: from pairs of 500 to 600 on CPython 3.11"),
        cached_free=(180, "assumed: as cached_alloc"),
        global_outside=(100, _ASSUMED),
        global_alloc=(300, "assumed: from pairs of 1,161 on CPython 3.11"),
        global_free=(250, "assumed: as global_alloc"),
        page_moved=(60, _ASSUMED),
    ),
    "this-host": _over(
        _XEON,
        sockets=(1, "the host"),
        socket_cores=(2, "the host: two processors"),
        complex_cores=(2, "the host: two cores, one L3"),
        core_threads=(1, "the host"),
        line_complex=(52, "measured there by a ping-pong of compare-and-swap, idle; 108 with the host busy"),
        line_socket=(52, "as line_complex"),
        line_remote=(52, "as line_complex"),
        line_memory=(177, f"{_NATIVE}: pointers through 512 MB of structs of 64 bytes; L3 32 MB"),
        lock_acquire=(1.6, f"{_NATIVE}: three quarters of a pair"),
        lock_release=(0.5, f"{_NATIVE}: a quarter of a pair"),
        atomic=(2.1, _NATIVE),
        spin_pause=(24.4, _NATIVE),
        zero_page=(136, f"{_NATIVE}: memset, 64 MB one page after the other"),
    ),
}
"""The shipped sets, by name."""
