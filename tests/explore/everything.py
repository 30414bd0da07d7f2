"""The scene of everything: a whole system that runs, under the checking mutex, so that every lock meets every other.

=> A lock taken out of order is an error, whether or not another thread was there to complete the deadlock; and if
   one was, the explorer says who waits for whom (docs/locking.md).
=> What moves pages is done by all at once: the lists and the counters must be exact in the end, and under all
   locks at any moment.
"""

from typing import Any, ClassVar

from tests.explore.pages import WORDS, Pages
from tests.model.operations import do
from tests.model.system_operations import Attach, PageoutDone, PageoutStart


class Everything(Pages):
    """xc threads, the daemon, two players that bind themselves, and a thread that changes the system."""

    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("bind", "alloc", "free", "waitfor", "call"),
        ("bind", "zalloc", "freelast", "kick", "idle_one"),
        ("redistribute", "run", "some", "detach", "attach", "fewer", "page_out", "tick", "look"),
    )
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu", "hoard_max": 3, "refill": 2}
    words = WORDS | {"free": WORDS["give"], "freelast": WORDS["givelast"]}
    rebinds, keeps = True, False
    lockdebug = True

    def begin(self) -> None:
        self.uvm.__enter__()

    def page_out(self, thread: int) -> None:
        """Page one page out, which arrives at once."""
        for op in (PageoutStart(), PageoutDone(free=True)):
            do(op, self.table.hands[thread])

    def idle(self) -> bool:
        assert not self.uvm.pageout.waiters, "a waiter sleeps, and nobody will wake it"
        return False

    def end(self) -> None:
        self.at_rest()
        do(Attach(1), self.table.hands[2])
        super().check()
        self.uvm.close()

    def check(self) -> None:
        """All was checked before the system was closed."""
