"""Synthetic workloads: the two extremes between which real page traffic lies.

    pingpong   each CPU allocates a burst and frees it again: all local, the best case for per-CPU caches
    handoff    one CPU allocates, another frees: pages pile up in the wrong cache, the worst case (Q1)

Prior art: page_fault and malloc cases of will-it-scale; producer and consumer benchmarks of allocators.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from uvmfree.errors import ArgumentError
from uvmfree.machine.face import Event
from uvmfree.uvm.page import VmPage
from uvmfree.workload.driver import Lane, StoppedError
from uvmfree.workload.plural import plural
from uvmfree.workload.thinking import PageCpu, PageLoad

BURST_PAGES: Final = 16
"""Pages of a ping-pong burst: a small fork or read; more than one page of each of the 8 default colours."""

PARCEL_PAGES: Final = 32
"""Pages that are handed over at once: the hand-over itself should not be what is measured."""

PARCELS_MAX: Final = 8
"""Parcels in flight between two CPUs before the allocating one waits."""


def pingpong(ncpus: int, pages: int, look_bursts: int = 64) -> list[PageLoad]:
    """Make bodies that allocate and free `pages` pages each, in bursts, and look every so many whether to stop."""
    _at_least_one("pages", pages)

    def body(cpu: PageCpu, lane: Lane) -> None:
        pagealloc, pagefree = cpu.pagealloc, cpu.pagefree
        for burst in range(0, pages, BURST_PAGES):
            failed = 0
            held = [pagealloc() for _ in range(min(BURST_PAGES, pages - burst))]
            for pg in held:
                if pg is None:
                    failed += 1
                else:
                    pagefree(pg)
            if failed:
                lane.failed += failed
            if not burst % (look_bursts * BURST_PAGES) and lane.stopped:
                raise StoppedError("the run was stopped")

    return [body] * ncpus


def handoff(ncpus: int, pages: int, make_event: Callable[[], Event]) -> list[PageLoad]:
    """Make bodies in pairs: CPU 0 allocates `pages` pages and CPU 1 frees them, CPU 2 and CPU 3 the same, ...

    => `make_event()` makes an event of the machine that they run on. ArgumentError for an odd number of CPUs.
    => Where no page is to be had the allocating CPU waits for one, which counts as stall and as a failure.
    """
    _at_least_one("pages", pages)
    check_pairs(ncpus)
    bodies: list[PageLoad] = []
    for _ in range(ncpus // 2):
        # Shared by the two CPUs of a pair; deque.append and popleft are documented to be safe from two threads.
        parcels: deque[list[VmPage]] = deque()
        moved = make_event()
        bodies += [_giver(parcels, moved, pages), _taker(parcels, moved, pages)]
    return bodies


def check_pairs(ncpus: int) -> None:
    """Refuse CPUs of a handoff that cannot pair up: ArgumentError."""
    if ncpus < 2 or ncpus % 2:
        raise ArgumentError(f"{plural(ncpus, 'CPU')} cannot pair up; handoff needs an even number of them")


def _giver(parcels: deque[list[VmPage]], moved: Event, pages: int) -> PageLoad:
    def body(cpu: PageCpu, lane: Lane) -> None:
        parcel: list[VmPage] = []

        def got_one() -> bool:
            pg = cpu.pagealloc()
            if pg is not None:
                parcel.append(pg)
            return pg is not None

        for begin in range(0, pages, PARCEL_PAGES):
            for _ in range(min(PARCEL_PAGES, pages - begin)):
                if not got_one():
                    lane.failed += 1
                    lane.try_until(got_one)
            if len(parcels) >= PARCELS_MAX:
                lane.wait_until(lambda: len(parcels) < PARCELS_MAX, moved)
            elif lane.stopped:
                raise StoppedError("the run was stopped")
            parcels.append(parcel[:])
            moved.notify()
            parcel.clear()

    return body


def _taker(parcels: deque[list[VmPage]], moved: Event, pages: int) -> PageLoad:
    def body(cpu: PageCpu, lane: Lane) -> None:
        for _ in range(0, pages, PARCEL_PAGES):
            if not parcels:
                lane.wait_until(lambda: bool(parcels), moved)
            elif lane.stopped:
                raise StoppedError("the run was stopped")
            parcel = parcels.popleft()
            moved.notify()
            for pg in parcel:
                cpu.pagefree(pg)

    return body


def _at_least_one(argument: str, value: int) -> None:
    if value < 1:
        raise ArgumentError(f"{argument}={value}: must be at least 1")
