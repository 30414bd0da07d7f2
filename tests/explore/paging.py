"""Scene of waits beside a pageout that is in flight: the daemon sleeps then (R19), and will not look again.

Whoever makes pages free has to tell the waiters, after the pages are there (R22, Q6). Nobody repairs it later: the
pass of the daemon that would is made only when the pageout arrives.
"""

from tests.explore.waiting import WaitingSystem
from tests.model.operations import do
from tests.model.system_operations import Ask, PageoutStart


class PagingSystem(WaitingSystem):
    """A running system with a page on its way to swap from the beginning to the end."""

    PARTS = (("wait", "free"), ("free", "waitfor"), ("redistribute", "give", "alarm", "tick"))

    def __init__(self) -> None:
        super().__init__()
        do(PageoutStart(), self.table.hands[2])

    def alarm(self, thread: int) -> None:
        """Be the timer of each xc thread when their time has come (P9)."""
        self.machine.advance(1.0)
        do(Ask("timers"), self.table.hands[thread])
