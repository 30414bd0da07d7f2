"""Scene of the end: a running system is closed while threads are in all kinds of calls; each gets a clean answer.

=> A call that comes too late is refused with ClosedError, or BindError if its CPU was taken over or detached before;
   none hangs, none is served by halves, and close() ends every thread of the system.
"""

from contextlib import suppress
from typing import Any, ClassVar

import uvmfree
from tests.explore.everything import Everything

TOO_LATE = (uvmfree.ClosedError, uvmfree.BindError)


class Closing(Everything):
    """Two threads at work, and one that closes."""

    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("alloc", "zalloc", "free", "bind", "wait", "waitfor"),
        ("run", "patient", "redistribute", "fewer", "call", "kick", "idle_one", "look", "audit", "attach"),
        ("close", "detach", "tick", "page_out"),
    )
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu", "hoard_max": 3}
    lockdebug = False

    def do(self, thread: int, word: str) -> None:
        with suppress(*TOO_LATE):
            super().do(thread, word)

    def idle(self) -> bool:
        """Let time pass; whoever waits with a timeout may wait."""
        if not self.machine.alarms:
            return False
        self.machine.advance(1.0)
        return True

    def end(self) -> None:
        self.at_rest()
        with suppress(uvmfree.ClosedError):
            self.uvm.audit()
        self.uvm.close()
        assert self.uvm.pageout.waiters == 0
        for call in (self.uvm.wait, self.uvm.audit, self.uvm.kick_pdaemon, self.uvm.redistribute):
            with suppress(uvmfree.ClosedError):
                call()
                raise AssertionError("a closed system answered")


class FpageqlockClosing(Closing):
    tunables: ClassVar[dict[str, Any]] = {"design": "fpageqlock"}
