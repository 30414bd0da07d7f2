"""Every tunable of a system: its unit, its default, and why that default.

=> `Param(...)` checks all fields together; ParamError names the field, the value and the limit.
=> Frozen: a system runs with what it was booted with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self, TypeVar, cast

from uvmfree.errors import ParamError

T = TypeVar("T")

PAGES_MAX: Final = 1 << 26
"""256 GiB of 4 KiB pages. A page costs about 130 bytes of Python memory, so this is 8 GiB of it."""

SMALL_INTS: Final = 256
"""CPython keeps the integers up to 256 for ever and counts no references to them. Numbers that every CPU
loads on its hot path (a bucket's) stay below, so that reading one touches no shared cache line."""

NCPUS_MAX: Final = 512
"""CPUs of one system. A CPU's own number may be above SMALL_INTS: only that CPU loads it."""

NFREELISTS_MAX: Final = 8
"""Freelists of one system."""


def tunable(default: Any, unit: str, why: str) -> Any:
    """Declare a tunable of a design: a field of its Tunables, with its unit and what it is for."""
    return field(default=default, metadata={"unit": unit, "why": why})


def whole(name: str, value: object, low: int, high: int, what: str = "") -> None:
    """Check that a tunable is a whole number within limits; ParamError. `what`: of what, to say."""
    if type(value) is not int:
        raise ParamError(f"{name}={value!r}: must be a whole number{what}")
    _in_range(name, value, low, high)


def yes_or_no(name: str, value: object) -> None:
    """Check that a tunable is True or False; ParamError."""
    if type(value) is not bool:
        raise ParamError(f"{name}={value!r}: must be True or False")


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """The tunables of one system.

    Sizes
        npages: pages of RAM. 65536 of 4 KiB are 256 MiB, more than any trace here needs.
        pagesize: bytes in a page, a power of two. 4096 is amd64's.
        ncpus: simulated CPUs, one OS thread each while they are played.
        ncolors: colour buckets, a power of two (R1). 8 is what a 256 KiB, 8-way L2 cache asks for.
        nfreelists: freelists, numbered by priority (R10); the last has the lowest addresses, as with ISA DMA.
    Design
        design: which allocator, a name in `uvmfree.DESIGNS`, or the `module:Class` of one of your own. percpu is the
            proposal.
        drain_retry: on a failure hand all caches back, rate limited, and try once more (Q5). The proposal has no
            such thing.
        count_cached: whether cached pages count as free when it is decided to wake the daemon or a waiter (Q3).
            They do not in the proposal, where nobody could count them without touching every CPU.
        remote_drain: whether the pagedaemon takes a CPU's own lock to hand its cache back, instead of asking that
            CPU's xc thread (Q14).
        redistribute_interval_s: how often an xc thread looks whether its CPU's pages are due to go back (P9).
        redistribute_min_gap_s: time between two redistributions under pressure (P10) or on failure. 10 ms: a few
            passes of the daemon, and well below the 50 ms in which a waiter should have its page.
        idlezero: whether idle CPUs fill free pages with zeros ahead of time (R14 to R16). Off, because on a host
            with no more processors than CPUs an idle thread takes its time from a busy one.
        idle_interval_s: how often an idle thread looks whether its CPU is idle. 10 ms, a clock tick at 100 Hz.
    Instruments
        lockstat: count and time every lock (kern/lockstat.py). Off, because it costs.
        lockdebug: check every lock (kern/lockdebug.py). Off, because it costs much more.
        own: tunables of designs, which they declare: pairs of `field` or `design.field` and the value.

    >>> Param(npages=4096, ncpus=2).pagesize
    4096
    >>> Param(ncolors=6)
    Traceback (most recent call last):
        ...
    uvmfree.errors.ParamError: ncolors=6: must be a power of two from 1 to 256
    """

    npages: int = 65536
    pagesize: int = 4096
    ncpus: int = 4
    ncolors: int = 8
    nfreelists: int = 1
    design: str = "percpu"
    drain_retry: bool = False
    count_cached: bool = False
    remote_drain: bool = False
    redistribute_interval_s: float = 1.0
    redistribute_min_gap_s: float = 0.01
    idlezero: bool = False
    idle_interval_s: float = 0.01
    lockstat: bool = False
    lockdebug: bool = False
    own: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, tunables: Mapping[str, Any]) -> Self:
        """Make it of tunables by name; those that are no fields are taken for a design's own."""
        known = {name: value for name, value in tunables.items() if name in cls.__dataclass_fields__}
        own = tuple((name, value) for name, value in tunables.items() if name not in known)
        return cls(**known | {"own": (*map(tuple, known.get("own", ())), *own)})

    def tunables_of(self, name: str, of: type[T]) -> T:
        """Return the own tunables of a design, an instance of its class; `name`: what the design is called.

        => A tunable that is called `NAME.field` is that design's alone; one without a dot is of whoever has it.
        => ParamError for one without a dot, or with this design's name, that the design does not have.
        """
        has = [each.name for each in fields(cast("Any", of))]
        values = {said.rpartition(".")[2]: value for said, value in self.own_of(name)}
        unknown = ", ".join(sorted(set(values) - set(has)))
        if unknown:
            others = ", ".join(each for each in self.__dataclass_fields__ if each != "own")
            theirs = f"{', '.join(has)} of {name}" if has else f"{name} has none of its own"
            raise ParamError(f"no tunable is called {unknown}; there are {others}; {theirs}")
        return of(**values)

    def own_of(self, name: str) -> tuple[tuple[str, Any], ...]:
        """Return those pairs of `own` that are not another design's; `name`: what the design is called."""
        return tuple(pair for pair in self.own if pair[0].rpartition(".")[0] in ("", name))

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.type in (int, "int") and (type(value) is not int):
                raise ParamError(f"{each.name}={value!r}: must be a whole number")
            if each.type in (bool, "bool"):
                yes_or_no(each.name, value)
            if each.type in (str, "str") and type(value) is not str:
                raise ParamError(f"{each.name}={value!r}: must be a name")
        own: Any = self.own
        if type(own) is not tuple or any(
            type(pair) is not tuple or len(pair) != 2 or type(pair[0]) is not str for pair in own
        ):
            raise ParamError(f"own={own!r}: must be pairs of a name and a value")
        _in_range("ncpus", self.ncpus, 1, NCPUS_MAX)
        _in_range("nfreelists", self.nfreelists, 1, NFREELISTS_MAX)
        _power_of_two("ncolors", self.ncolors, 1, SMALL_INTS // self.nfreelists)
        _power_of_two("pagesize", self.pagesize, 512, 1 << 21)
        # Below this the kernel reserve of R24 leaves nothing for anybody else.
        _in_range("npages", self.npages, 5 * self.ncpus + 2, PAGES_MAX)
        _in_range("npages", self.npages, self.nfreelists, PAGES_MAX)
        seconds("redistribute_interval_s", self.redistribute_interval_s)
        seconds("redistribute_min_gap_s", self.redistribute_min_gap_s)
        seconds("idle_interval_s", self.idle_interval_s)


def _in_range(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ParamError(f"{field}={value}: must be from {low} to {high}")


def seconds(field: str, value: float) -> None:
    """Check that a tunable is a number of seconds; ParamError."""
    if type(value) not in (int, float) or not 0.001 <= value <= 3600:
        raise ParamError(f"{field}={value!r}: must be a number of seconds from 0.001 to 3600")


def _power_of_two(field: str, value: int, low: int, high: int) -> None:
    if value <= 0 or value & (value - 1) or not low <= value <= high:
        raise ParamError(f"{field}={value}: must be a power of two from {low} to {high}")
