"""Scene of anonymous memory: more virtual pages than RAM, so that threads fault while the daemon reclaims and swap is
written; each page says in its bytes whose it is, so that a write that is lost or a page with two owners is found.

The swap file is one of memory, and its next write may fail. What is in flight arrives whenever the I/O thread runs.
"""

import errno
from contextlib import suppress
from typing import Any, ClassVar

import uvmfree
from tests.explore.machine import ExploreMachine
from tests.explore.model import Scene

PAGESIZE = 1 << 15
VIRTUAL = 6
"""Pages of the map; four pages of RAM are above the kernel's reserve."""


class Anons(Scene):
    """A running system with an anon map: two threads that touch and discard, one that gets in their way."""

    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("write0", "write1", "read0", "fill", "discard0"),
        ("write0", "write2", "read1", "sweep", "discard0"),
        ("fail", "kick", "redistribute", "tick", "detach", "look"),
    )
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu"}

    def __init__(self) -> None:
        self.machine = ExploreMachine()
        sizes: dict[str, Any] = {"npages": 14, "ncpus": 2, "ncolors": 1, "pagesize": PAGESIZE}
        self.uvm = uvmfree.boot(self.machine, **sizes | self.tunables)  # type: ignore[arg-type]
        self.cpus = self.uvm.cpus
        self.slots = bytearray(VIRTUAL * PAGESIZE)
        self.failing = 0
        self.anons = self.uvm.anon_memory(
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

    def touch(self, thread: int, index: int, *, write: bool = False) -> None:
        with suppress(uvmfree.BindError):  # the CPU is away
            self.anons.touch(self.cpus[thread], index, write=write)

    def write0(self, thread: int) -> None:
        self.touch(thread, 0, write=True)

    def write1(self, thread: int) -> None:
        self.touch(thread, 1, write=True)

    def write2(self, thread: int) -> None:
        self.touch(thread, 2, write=True)

    def read0(self, thread: int) -> None:
        self.touch(thread, 0)

    def read1(self, thread: int) -> None:
        self.touch(thread, 1)

    def fill(self, thread: int) -> None:
        """Write to as many pages as RAM has room for."""
        for index in range(4):
            self.touch(thread, index, write=True)

    def sweep(self, thread: int) -> None:
        """Read every page, which is more than RAM holds."""
        for index in range(VIRTUAL):
            self.touch(thread, index)

    def discard0(self, thread: int) -> None:
        self.anons.discard(self.cpus[thread], 0)

    def fail(self, thread: int) -> None:
        """Let the next write to swap fail."""
        self.failing += 1

    def kick(self, thread: int) -> None:
        self.uvm.kick_pdaemon()

    def redistribute(self, thread: int) -> None:
        self.uvm.redistribute()

    def tick(self, thread: int) -> None:
        self.machine.advance(1.0)

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
