"""The scene of everything: a whole system that runs, under the checking mutex, so that every lock meets every other.

=> A lock taken out of order is an error, whether or not another thread was there to complete the deadlock; and if
   one was, the explorer says who waits for whom (docs/locking.md).
=> What moves pages is done by all at once: the lists and the counters must be exact in the end, and under all
   locks at any moment.
"""

from contextlib import suppress
from typing import Any, ClassVar

import uvmfree
from tests.explore.pages import Pages
from uvmfree.uvm.allocator import Cpu

REFUSED = (uvmfree.BindError, uvmfree.ArgumentError, uvmfree.ClosedError)
PATIENCE_S = 0.5


class Everything(Pages):
    """xc threads, the daemon, two players that bind themselves, and a thread that changes the system."""

    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("bind", "alloc", "free", "waitfor", "call"),
        ("bind", "zalloc", "freelast", "kick", "idle_one"),
        ("redistribute", "run", "some", "detach", "attach", "fewer", "page_out", "tick", "look"),
    )
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu", "hoard_max": 3, "refill": 2}
    lockdebug = True

    def begin(self) -> None:
        self.uvm.__enter__()

    def call(self, thread: int) -> None:
        """Have every CPU allocate and free on its xc thread, and wait for it."""

        def on_cpu(cpu: Cpu) -> None:
            with suppress(uvmfree.BindError):
                pg = cpu.pagealloc()
                if pg is not None:
                    self.uvm.pagefree(pg)

        self.uvm.xcall.wait(self.uvm.xcall.broadcast(on_cpu))

    def bind(self, thread: int) -> None:
        with suppress(uvmfree.BindError), self.uvm.run_on(thread) as cpu:
            self.took(thread, cpu.pagealloc())

    def alloc(self, thread: int) -> None:
        with suppress(uvmfree.BindError):
            self.took(thread, self.uvm.cpus[thread].pagealloc())

    def zalloc(self, thread: int) -> None:
        with suppress(uvmfree.BindError):
            self.took(thread, self.uvm.cpus[thread].pagealloc(zero=True))

    def free(self, thread: int) -> None:
        self.give(thread)

    def freelast(self, thread: int) -> None:
        if (pg := self.gives(thread, -1)) is not None:
            self.uvm.pagefree(pg)

    def waitfor(self, thread: int) -> None:
        self.uvm.wait(PATIENCE_S)

    def kick(self, thread: int) -> None:
        self.uvm.kick_pdaemon()

    def idle_one(self, thread: int) -> None:
        with suppress(uvmfree.BindError):
            self.idled(1, pieces=9)

    def detach(self, thread: int) -> None:
        with suppress(*REFUSED):
            self.uvm.detach(1)

    def attach(self, thread: int) -> None:
        with suppress(*REFUSED):
            self.uvm.attach(1)

    def fewer(self, thread: int) -> None:
        self.uvm.recolor(1)

    def page_out(self, thread: int) -> None:
        """Page one page out, which arrives at once."""
        self.uvm.pageout.start(1)
        if (pg := self.gives(thread, 0)) is not None:
            self.uvm._design.pagefree_global(pg)
        self.uvm.pageout.done(1)

    def look(self, thread: int) -> None:
        """Walk everything, under every lock, while the others are at work."""
        self.uvm.counter_lag()
        self.uvm.uvmexp.snapshot()

    def idle(self) -> bool:
        assert not self.uvm.pageout.waiters, "a waiter sleeps, and nobody will wake it"
        return False

    def end(self) -> None:
        self.at_rest()
        self.attach(2)
        super().check()
        self.uvm.close()

    def check(self) -> None:
        """All was checked before the system was closed."""
