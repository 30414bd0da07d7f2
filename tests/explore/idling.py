"""Scenes of idle zeroing: pages that are on no list while a thread fills them, against all who look for pages.

A page that is being zeroed is given to nobody, by no path (R16, R28); it comes back zero, or as it was. Whoever holds
a page writes to it, so a page that passes for zero and is not, or is zeroed in somebody's hands, is found.
"""

from typing import Any, ClassVar

from tests.explore.pages import WORDS, Pages
from tests.model.operations import do
from tests.model.page_operations import IdleZero, Run
from tests.model.ranged import Ranged


class Idling(Pages):
    """CPU 0 and its idle thread, which runs while the CPU sleeps; another thread takes from all lists."""

    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("alloc", "zalloc", "free", "freelast"),
        ("idle_two", "idle_one", "idle_break"),
        ("run", "some", "grab", "redistribute", "give", "timer", "tick"),
    )
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu"}
    words = WORDS | {
        "idle_one": IdleZero(9, cpu=0),
        "idle_two": IdleZero(18, cpu=0),
        "idle_break": IdleZero(3, cpu=0),
    }

    def grab(self, thread: int) -> None:
        """Ask for a run of just that page which is being zeroed; to be had only if that has ended meanwhile (R28)."""
        for pg in self.uvm.cpus[0].zeroing():
            do(Run(Ranged(1, pg.pfn, pg.pfn + 1, 1, 1, 1)), self.table.hands[thread])


class FpageqlockIdling(Idling):
    tunables: ClassVar[dict[str, Any]] = {"design": "fpageqlock"}
