"""Scene of waits beside a pageout that is in flight: the daemon sleeps then (R19), and will not look again.

Whoever makes pages free has to tell the waiters, after the pages are there (R22, Q6). Nobody repairs it later: the
pass of the daemon that would is made only when the pageout arrives.
"""

from tests.explore.waiting import WaitingSystem


class PagingSystem(WaitingSystem):
    """A running system with a page on its way to swap from the beginning to the end."""

    PARTS = (("wait", "free"), ("free", "waitfor"), ("redistribute", "give", "timer", "tick"))

    def __init__(self) -> None:
        super().__init__()
        self.start(2)

    def timer(self, thread: int) -> None:
        """Be the timer of each xc thread, one after the other (P9)."""
        self.machine.advance(1.0)
        for index in range(self.uvm.param.ncpus):
            self.uvm._on_timer(index)
