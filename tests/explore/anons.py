"""Scene of anonymous memory: more virtual pages than RAM, so that threads fault while the daemon reclaims and swap is
written; each page says in its bytes whose it is, so that a write that is lost or a page with two owners is found.

The swap file is one of memory, and its next write may fail. What is in flight arrives whenever the I/O thread runs.
"""

import errno
from typing import Any, ClassVar

import uvmfree
from tests.explore.machine import ExploreMachine
from tests.explore.pages import WORDS, Spoken
from tests.model.page_operations import Discard, Touch

PAGESIZE = 1 << 15
VIRTUAL = 6
ROOM = 4
"""Pages of the map, and pages of RAM above the kernel's reserve."""


class Anons(Spoken):
    """A running system with an anon map: two threads that touch and discard, one that gets in their way."""

    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("write0", "write1", "read0", "fill", "discard0"),
        ("write0", "write2", "read1", "sweep", "discard0"),
        ("fail", "kick", "redistribute", "tick", "detach", "look"),
    )
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu"}
    words = WORDS | {
        "write0": Touch(0, write=True),
        "write1": Touch(1, write=True),
        "write2": Touch(2, write=True),
        "read0": Touch(0),
        "read1": Touch(1),
        "fill": Touch(0, ROOM, write=True),
        "sweep": Touch(0, VIRTUAL),
        "discard0": Discard(0),
    }
    rebinds = True

    def __init__(self) -> None:
        self.machine = ExploreMachine()
        sizes: dict[str, Any] = {"npages": 14, "ncpus": 2, "ncolors": 1, "pagesize": PAGESIZE}
        self.uvm = uvmfree.boot(self.machine, **sizes | self.tunables)  # type: ignore[arg-type]
        self.seat()
        self.slots = bytearray(VIRTUAL * PAGESIZE)
        self.failing = 0
        self.anons = self.table.anons = self.uvm.anon_memory(
            VIRTUAL, VIRTUAL, fail=self.failed, pwrite=self.pwrite, pread=self.pread, patience_s=60.0
        )

    def failed(self, slot: int) -> OSError | None:
        if self.failing == 0:
            return None
        self.failing -= 1
        return OSError(errno.EIO, f"slot {slot} is broken")

    def pwrite(self, fd: int, data: memoryview, at: int) -> int:
        self.machine.step()
        self.slots[at : at + len(data)] = data
        return len(data)

    def pread(self, fd: int, length: int, at: int) -> bytes:
        self.machine.step()
        return bytes(self.slots[at : at + length])

    def begin(self) -> None:
        self.uvm.__enter__()

    def fail(self, thread: int) -> None:
        """Let the next write to swap fail."""
        self.failing += 1

    def detach(self, thread: int) -> None:
        """Take CPU 1 away from the thread that plays it; it is back, as another object, at once."""
        self.uvm.detach(1)
        self.uvm.attach(1)

    def look(self, thread: int) -> None:
        self.anons.audit()
        self.anons.stats()

    def idle(self) -> bool:
        assert not self.uvm.pageout.waiters, "a waiter sleeps, and nobody will wake it"
        return False

    def end(self) -> None:
        self.at_rest()
        uvm = self.uvm
        assert (uvm.pageout.waiters, uvm.pageout.paging, uvm.pageout.pdpending) == (0, 0, 0)
        self.anons.audit()
        for index in range(VIRTUAL):
            self.anons.touch(uvm.cpus[0], index)
        self.anons.free_all(uvm.cpus[0])
        self.at_rest()
        assert uvm.uvmexp.free + sum(uvm.cached_pages()) == uvm.param.npages
        assert self.anons.stats().swpginuse == 0
        uvm.audit()
        uvm.close()

    def drop(self) -> None:
        for _, swap in self.uvm._anon_maps._maps:
            swap.file._file.close()

    def check(self) -> None:
        """All was checked before the system was closed."""


class FpageqlockAnons(Anons):
    tunables: ClassVar[dict[str, Any]] = {"design": "fpageqlock"}
