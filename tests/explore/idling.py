"""Scenes of idle zeroing: pages that are on no list while a thread fills them, against all who look for pages.

A page that is being zeroed is given to nobody, by no path (R16, R28); it comes back zero, or as it was. Whoever holds
a page writes to it, so a page that passes for zero and is not, or is zeroed in somebody's hands, is found.
"""

from contextlib import suppress
from typing import Any, ClassVar

import uvmfree
from tests.explore.pages import Pages


class Idling(Pages):
    """CPU 0 and its idle thread, which runs while the CPU sleeps; another thread takes from all lists."""

    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("alloc", "zalloc", "free", "freelast"),
        ("idle_two", "idle_one", "idle_break"),
        ("run", "some", "grab", "redistribute", "give", "timer", "tick"),
    )
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu"}

    def idle_one(self, thread: int) -> None:
        self.idled(0, pieces=9)

    def idle_two(self, thread: int) -> None:
        self.idled(0, pieces=18)

    def idle_break(self, thread: int) -> None:
        self.idled(0, pieces=3)

    def grab(self, thread: int) -> None:
        """Ask for a run of just that page which is being zeroed; to be had only if that has ended meanwhile (R28)."""
        for pg in self.uvm._state.cpus[0].zeroing():
            with suppress(uvmfree.OutOfPages):
                self.took(thread, *self.uvm.pglistalloc(1, low=pg.pfn, high=pg.pfn + 1, boundary=1))


class FpageqlockIdling(Idling):
    tunables: ClassVar[dict[str, Any]] = {"design": "fpageqlock"}
