"""Scenes of change: CPUs that come and go, pages that change colours, against allocation and free elsewhere (Q13).

Two threads use CPUs 0 and 1, a third attaches, detaches and recolours, and one zeroes the pages of CPU 1 as its idle
thread would. A call that is refused with BindError has changed nothing. No page is lost, whoever is refused when.
"""

from contextlib import suppress
from typing import Any, ClassVar

import uvmfree
from tests.explore.pages import Pages
from uvmfree.uvm.allocator import Cpu

REFUSED = (uvmfree.BindError, uvmfree.ArgumentError)
"""What a CPU that is away, or somebody else's, may answer; or a change that was made already."""


class Hotplugging(Pages):
    """CPU 1 goes and comes back; CPU 0 may be taken over by another thread."""

    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("alloc", "free", "zalloc", "rebind"),
        ("alloc", "free", "zalloc", "rebind"),
        ("detach", "attach", "more", "fewer", "redistribute", "give", "some"),
        ("idle_one", "idle_break", "give", "other"),
    )
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu"}

    def cpu(self, thread: int) -> Cpu:
        return self.uvm.cpus[thread]

    def alloc(self, thread: int, zero: bool = False) -> None:
        with suppress(uvmfree.BindError):
            pg = self.cpu(thread).pagealloc(zero=zero)
            assert not zero or pg is None or not any(self.uvm.physmem.bytes_of(pg)), f"{pg!r} is not zero"
            self.took(thread, pg)

    def zalloc(self, thread: int) -> None:
        self.alloc(thread, zero=True)

    def free(self, thread: int) -> None:
        if (pg := self.gives(thread, 0)) is not None:
            try:
                self.cpu(thread).pagefree(pg)
            except uvmfree.BindError:
                self.took(thread, pg)

    def rebind(self, thread: int) -> None:
        """Play the CPU as a thread does that binds itself; it may be away, or another's."""
        with suppress(uvmfree.BindError), self.uvm.run_on(thread) as cpu:
            self.took(thread, cpu.pagealloc())

    def detach(self, thread: int) -> None:
        with suppress(*REFUSED):
            self.uvm.detach(1)

    def attach(self, thread: int) -> None:
        with suppress(*REFUSED):
            self.uvm.attach(1)

    def other(self, thread: int) -> None:
        """Detach the other one; refused if it is the last."""
        with suppress(*REFUSED):
            self.uvm.detach(0)

    def more(self, thread: int) -> None:
        self.uvm.recolor(4)

    def fewer(self, thread: int) -> None:
        self.uvm.recolor(1)

    def idle_one(self, thread: int) -> None:
        with suppress(uvmfree.BindError):
            self.idled(1, pieces=9)

    def idle_break(self, thread: int) -> None:
        with suppress(uvmfree.BindError):
            self.idled(1, pieces=3)

    def check(self) -> None:
        for index in range(self.uvm.param.ncpus):
            with suppress(*REFUSED):
                self.uvm.attach(index)
        super().check()


class FpageqlockHotplugging(Hotplugging):
    tunables: ClassVar[dict[str, Any]] = {"design": "fpageqlock"}
