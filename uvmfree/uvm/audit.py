"""The audit: walk every page and every list of a system at rest, and hold the counters against what is there.

It is the cold truth behind the cheap counters: O(pages), under every lock. A system is at rest when no call of
its CPUs is under way; the locks make the walk safe at other times too, and what the counters of a design promise
under all locks is checked just the same.

Prior art: validate() of LLFree; _check() of sortedcontainers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from uvmfree.errors import AuditError
from uvmfree.kern.lock import LockHandle
from uvmfree.uvm.allocator import Design, UvmState
from uvmfree.uvm.page import ZEROS

FINDINGS_MAX = 20
"""Findings listed before the audit stops: one broken list shows as thousands of wrong pages."""


def audit(state: UvmState, design: Design, locks: Sequence[LockHandle], ranged: Callable[[], int]) -> None:
    """Check R3: every page in exactly one place, and every counter equal to what is walked.

    => AuditError lists what is wrong; returns None if nothing is.
    => Takes every lock of the design, `locks`, in order; none may be held.
    => `ranged()`: pages handed out by ranged allocation, which no CPU counts.
    """
    with ExitStack() as held:
        for handle in locks:
            held.enter_context(handle)
        findings: list[str] = []
        for finding in _findings(state, design, ranged()):
            findings.append(finding)
            if len(findings) == FINDINGS_MAX:
                break
    if findings:
        raise AuditError(findings)


def _findings(state: UvmState, design: Design, ranged: int) -> Iterator[str]:
    stands: dict[int, str] = {}
    colormask = state.uvmexp.ncolors - 1
    zero_page = bytes(state.param.pagesize)
    for where, pg in design.entries():
        if pg.pfn in stands:
            yield f"page {pg.pfn:#x} stands on {stands[pg.pfn]} and on {where}"
        stands[pg.pfn] = where
        on = pg.list
        if on is None:
            yield f"page {pg.pfn:#x} is allocated and stands on {where}"
        elif on.queue == ZEROS and state.physmem.bytes_of(pg) != zero_page:
            yield f"page {pg.pfn:#x} stands on a ZEROS queue of {where} and is not zero"
        if pg.color != pg.pfn & colormask:
            yield f"page {pg.pfn:#x} has colour {pg.color}, its frame number says {pg.pfn & colormask} (R1)"
    for player in state.cpus:
        for pg in player.zeroing():
            if pg.pfn in stands:
                yield f"page {pg.pfn:#x} is being zeroed by CPU {player.index} and stands on {stands[pg.pfn]} (R16)"
            stands[pg.pfn] = f"the zeroing list of CPU {player.index}"
    allocated = 0
    for pg in state.physmem:
        allocated += pg.list is None
        if pg.list is not None and pg.pfn not in stands:
            yield f"page {pg.pfn:#x} is free and stands on no list"
    stats = [cpu.stats() for cpu in state.cpus]
    held = ranged + sum(cpu.allocs - cpu.frees for cpu in stats)
    if held != allocated:
        yield f"the CPUs count {held} allocated pages, {allocated} are"
    for cpu in stats:
        if cpu.zerohit + cpu.zeromiss > cpu.allocs or cpu.colormiss > cpu.allocs:
            yield f"CPU {cpu.index} counts more hits and misses than its {cpu.allocs} allocations"
    yield from design.findings()
