"""Lock statistics in the layouts people know: which records are shown, how they are added up, and who draws them.

=> By lock and by caller, or by one of the two, as lockstat(8) has it: `-l` reports locks only, `-f` calling functions
   only; `-L LOCK` and `-F FUNC` limit what is reported to some of them.
=> The layouts have a file each, which says what every column means here. What is not measured is printed as `-`; with
   the GIL, waits are not, and the layouts that show nothing else give way to the counts of acquisitions.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Final

from uvmfree.errors import ArgumentError
from uvmfree.kern.lockrank import RANKS, LockRank
from uvmfree.kern.lockstat import LockStat, summed
from uvmfree.layouts.lockstat_linux import linux, linux_without_waits
from uvmfree.layouts.lockstat_netbsd import counts, netbsd
from uvmfree.layouts.lockstat_perf import perf
from uvmfree.param import NFREELISTS_MAX
from uvmfree.uvm.designs import find

SCHEMA: Final = "uvmfree.lockstat"
VERSION: Final = 1

LAYOUTS: Final[Mapping[str, Callable[[Iterable[LockStat], float], Iterator[str]]]] = {
    "netbsd": netbsd,
    "linux": linux,
    "perf": perf,
}
"""By name, what draws records, which `select` has added up, of so many seconds."""

WITHOUT_WAITS: Final[Mapping[str, Callable[[Iterable[LockStat], float], Iterator[str]]]] = {
    "netbsd": counts,
    "linux": linux_without_waits,
    "perf": counts,
}
"""What stands in for each of them where waits cannot be measured."""

_WAITS: Final = tuple(one.name for one in fields(LockStat) if one.name.startswith(("contended", "wait_")))
"""The fields of a record that tell of waits."""

JSON: Final = "json"
FORMATS: Final = (*LAYOUTS, JSON)

ALL: Final = "<all>"
"""In the place of a name: the sum over all of them, as lockstat(8) prints it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records are shown, and how they are added up.

    => `locks`, `callers`: names, or patterns with `*` and `?`; one that is met will do, none means all.
    => `only_locks`: one record for each lock. `only_callers`: one for each calling function, over all locks. Else one
       for each lock and caller.
    """

    locks: tuple[str, ...] = ()
    callers: tuple[str, ...] = ()
    only_locks: bool = False
    only_callers: bool = False

    def check(self, ncpus: int, designs: Iterable[str]) -> None:
        """Refuse a lock that no such system of so many CPUs has: ArgumentError names it and those that there are."""
        of_designs = [rank for design in designs for rank in find(design).LOCKS]
        known = [
            _names(rank, ncpus)
            for rank in dict.fromkeys((*of_designs, *RANKS))
            if rank.kind == "other" or rank in of_designs
        ]
        for pattern in self.locks:
            if not any(_matches(name, (pattern,)) for names in known for name in names):
                some = ", ".join(names[0] for names in known)
                raise ArgumentError(f"-L {pattern}: no lock is called so; there are {some} and so on")

    def select(self, records: Iterable[LockStat]) -> tuple[LockStat, ...]:
        """Return the records that are shown, added up; `<all>` stands where a name was summed over."""
        chosen = [
            replace(record, name=ALL) if self.only_callers else record
            for record in records
            if _matches(record.name, self.locks) and _matches(record.caller, self.callers)
        ]
        return summed(chosen, by_caller=not self.only_locks)

    @property
    def by(self) -> str:
        """What there is one record for."""
        if self.only_locks:
            return "all" if self.only_callers else "lock"
        return "caller" if self.only_callers else "lock and caller"


EVERYTHING: Final = Selection()


def render(
    layout: str,
    records: Iterable[LockStat],
    elapsed_s: float,
    selection: Selection = EVERYTHING,
    *,
    waits: bool = True,
) -> Iterator[str]:
    """Yield the lines of a report in one of LAYOUTS.

    => `records`: by lock and caller; those of several runs are added up. `elapsed_s`: how long those runs took.
    => `waits`: whether waits mean anything, which they do where threads run at once.
    """
    return (LAYOUTS if waits else WITHOUT_WAITS)[layout](selection.select(records), elapsed_s)


def document(
    runs: Mapping[str, tuple[Iterable[LockStat], float]], selection: Selection = EVERYTHING, *, waits: bool = True
) -> dict[str, Any]:
    """Return the records of several designs, with the seconds that each took, as one JSON document.

    => `not_measurable` names the fields that mean nothing here: those of waits, unless `waits`.
    """
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "not_measurable": [] if waits else list(_WAITS),
        "by": selection.by,
        "designs": [
            {
                "design": design,
                "elapsed_s": elapsed_s,
                "locks": [asdict(record) for record in selection.select(records)],
            }
            for design, (records, elapsed_s) in runs.items()
        ],
    }


def _names(rank: LockRank, ncpus: int) -> list[str]:
    """Name the locks of a rank: one for each CPU; or one, or of a design's own up to one for each CPU or freelist."""
    own = rank.kind == "shared" and rank not in RANKS
    alone = [] if rank.kind in ("cpu", "off") else [rank.name]
    numbered = max(ncpus, NFREELISTS_MAX) if own else 0 if alone else ncpus
    return alone + [f"{rank.name}[{index}]" for index in range(numbered)]


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    # Equality first: in a pattern the brackets of uvm_cpu[0] would be a set of characters.
    return not patterns or any(name == pattern or fnmatchcase(name, _escaped(pattern)) for pattern in patterns)


def _escaped(pattern: str) -> str:
    """Return a pattern in which only `*` and `?` are special."""
    return pattern.replace("[", "[[]")
