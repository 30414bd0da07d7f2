"""The audit: walk every page and every list of a system at rest, and hold the counters against what is there.

It is the cold truth behind the cheap counters: O(pages), under every lock. A system is at rest when no call of
its CPUs is under way; the locks make the walk safe at other times too, and what the counters of a design promise
under all locks is checked just the same.

Prior art: validate() of LLFree; _check() of sortedcontainers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from uvmfree.errors import AuditError
from uvmfree.kern.lock import LockHandle
from uvmfree.kern.mutex import Mutex
from uvmfree.uvm.design import Design
from uvmfree.uvm.freelist import Walked, named
from uvmfree.uvm.leftheld import check, take
from uvmfree.uvm.page import ZEROS
from uvmfree.uvm.state import UvmState

FINDINGS_MAX = 20
"""Findings listed before the audit stops: one broken list shows as thousands of wrong pages."""


def audit(
    state: UvmState,
    design: Design[Any],
    locks: Sequence[LockHandle],
    mutexes: Sequence[Mutex],
    ranged: Callable[[], int],
) -> None:
    """Check R3: every page in exactly one place, and every counter equal to what is walked.

    => AuditError lists what is wrong; returns None if nothing is.
    => Takes every lock of the design, `locks`, in order; none may be held.
    => A lock that does not come free, one of `locks` or of the system's other `mutexes`, is a finding: the only one.
    => `ranged()`: pages handed out by ranged allocation, which no CPU counts.
    """

    def steps() -> int:
        return sum(cpu.frees + cpu.cpuhit + cpu.cpumiss for cpu in design.cpus)

    with ExitStack() as held:
        for handle in locks:
            take(handle, steps)
            held.callback(handle.release)
        state.check_open()
        findings: list[str] = []
        for finding in _findings(state, design, ranged()):
            findings.append(finding)
            if len(findings) == FINDINGS_MAX:
                break
    if findings:
        raise AuditError(findings)
    for mutex in mutexes:
        check(mutex, steps)


def _findings(state: UvmState, design: Design[Any], ranged: int) -> Iterator[str]:
    at_home: set[int] = set()
    labels = set[tuple[str, int, int | None, int | None]]()
    for walked in design.walk():
        yield from _stand_findings(state, walked)
        if walked.home:
            at_home.update(pg.pfn for pg in walked.real)
        label = (walked.where, walked.queue, walked.free_list, walked.color)
        if walked.color is not None and (walked.owner is not None or not walked.home):
            if label in labels:
                yield f"two lists of {walked.where} are marked as {named(*label[1:])}"
            labels.add(label)
    for player in design.cpus:
        for pg in player.zeroing():
            if pg.pfn in at_home:
                yield f"page {pg.pfn:#x} is being zeroed by CPU {player.index} and stands on a free list (R16)"
            at_home.add(pg.pfn)
            if player.lost(pg):
                yield f"page {pg.pfn:#x} is being zeroed by CPU {player.index}, and nobody is at it: it is lost (R16)"
    colormask = state.uvmexp.ncolors - 1
    freelist_of = {pfn: seg.free_list for seg in state.physmem.segments for pfn in range(seg.start, seg.end)}
    allocated = 0
    for pg in state.physmem:
        held = pg.on is state.physmem.system
        allocated += held
        if not held and pg.pfn not in at_home:
            yield f"page {pg.pfn:#x} is free and stands on no list"
        if pg.color != pg.pfn & colormask:
            yield f"page {pg.pfn:#x} has colour {pg.color}, its frame number says {pg.pfn & colormask} (R1)"
        if pg.free_list != freelist_of[pg.pfn]:
            yield f"page {pg.pfn:#x} has freelist {pg.free_list}, its segment is on {freelist_of[pg.pfn]} (R1)"
    stats = [cpu.stats() for cpu in design.cpus]
    if (counted := ranged + sum(of_cpu.allocs - of_cpu.frees for of_cpu in stats)) != allocated:
        yield f"the CPUs count {counted} allocated pages, {allocated} are"
    for cpu, of_cpu in zip(design.cpus, stats, strict=True):
        if of_cpu.zerohit + of_cpu.zeromiss > of_cpu.allocs or of_cpu.colormiss > of_cpu.allocs:
            yield f"CPU {cpu.index} counts more hits and misses than its {of_cpu.allocs} allocations"
        if of_cpu.cached != cpu.cached():
            yield f"CPU {cpu.index} counts {of_cpu.cached} cached pages, {cpu.cached()} stand there"
    yield from findings(design)


def findings(design: Design[Any]) -> Iterator[str]:
    """Check what the design promises of its own, and that the shared counters follow its store (R3)."""
    yield from design.check()
    if not design.publishes:
        return
    stock, counters = design.stock(), design.state.counters
    for name, truth in (("free", sum(stock)), ("zeropages", stock[ZEROS])):
        if counters.load(name) != truth:
            yield f"uvmexp.{name} is {counters.load(name)}, {truth} such pages are on the global list"


def _stand_findings(state: UvmState, walked: Walked) -> Iterator[str]:
    """Check one stand: its labels, its ghosts, and that its pages belong there."""
    stand, where = walked.pages, f"{walked.where}, {named(walked.queue, walked.free_list, walked.color)}"
    if (stand.place, stand.owner) != (walked.place, walked.owner):
        yield (
            f"{where}: is marked as {stand.place.value}, owner {stand.owner}; "
            f"it is {walked.place.value}, owner {walked.owner}"
        )
    ghosts = len(stand) - len(walked.real)
    if ghosts != stand.ghosts:
        yield (
            f"{where}: {ghosts} entries of pages that are not there, {stand.ghosts} counted as ghosts"
            f"{_astray(walked)}"
        )
    zero_page = bytes(state.param.pagesize)
    for pg in walked.real:
        if walked.free_list not in (None, pg.free_list) or walked.color not in (None, pg.color):
            yield f"page {pg.pfn:#x} of freelist {pg.free_list}, colour {pg.color} stands on {where}"
        if walked.queue == ZEROS and state.physmem.bytes_of(pg) != zero_page:
            yield f"page {pg.pfn:#x} stands on a ZEROS queue of {where} and is not zero"


def _astray(walked: Walked) -> str:
    """Name the entries of a list that are no pages on it."""
    here = {pg.pfn for pg in walked.real}
    astray = (
        [f"page {pg.pfn:#x}" for pg in walked.pages if pg.pfn not in here] if isinstance(walked.pages, list) else []
    )
    return f": {', '.join(astray) or 'a page twice':.80}"
