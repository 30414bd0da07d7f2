"""Scene of CPUs that are out of memory: they find each page that is left, and fail only for want of one.

All that the kernel does not keep is allocated, but for two pages in the cache of CPU 2. Nobody frees. So of all that
is asked for just two allocations succeed, whoever looks where, and whoever has the answer of another's look. Trylocks
fail, as if somebody held the other locks all the time: each search that its own cache does not end comes to a look.
"""

from itertools import chain
from typing import Any, ClassVar

import uvmfree
from tests.explore.machine import ExploreMachine
from tests.explore.pages import SMALL, DepotPages
from tests.explore.scene import Scene
from uvmfree.uvm.page import VmPage

LEFT = 2
"""Pages that are left."""


class LastLooks(Scene):
    """Three threads that play a CPU each."""

    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (("alloc",), ("alloc",), ("alloc",))

    def __init__(self) -> None:
        self.machine = ExploreMachine(lockdebug=False)
        self.uvm = uvmfree.boot(self.machine, **SMALL | DepotPages.tunables | {"ncpus": 3, "budget": 12})
        taken = list(iter(self.uvm.cpus[0].pagealloc, None))
        for _ in range(LEFT):
            self.uvm.cpus[2].pagefree(taken.pop())
        assert self.uvm.cpus[2].cached() == LEFT
        depot: Any = self.uvm.design
        depot._others = [mutex.handle("busy") for mutex in depot.cpu_locks]
        for handle in depot._others:
            handle.try_acquire = lambda: False
        self.got: list[list[VmPage | None]] = [[], [], []]
        """By thread, each its own."""

    def alloc(self, thread: int) -> None:
        self.got[thread].append(pg := self.uvm.cpus[thread].pagealloc())
        if pg is None:  # nobody frees: had there been none at any moment of the call, there would be none now
            with self.machine.atomic():
                left = sum(self.uvm.cached_pages())
            assert not left, f"CPU {thread} found no page, and {left} are cached"

    def check(self) -> None:
        asked = list(chain.from_iterable(self.got))
        pages = [pg for pg in asked if pg is not None]
        assert len(pages) == min(LEFT, len(asked)), f"{len(pages)} of {len(asked)} allocations found a page"
        assert len(set(map(id, pages))) == len(pages)
        self.uvm.audit()
        self.uvm.close()
