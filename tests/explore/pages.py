"""Scenes of pages: redistribution by every path against allocation, free and ranged allocation (R3, P8 to P10).

Two threads play CPUs 0 and 1, a third does what any thread may do to all CPUs. In the end every page is in exactly
one place, nobody was given a page that another held, and every counter equals what is walked.

=> What a thread may do is said in words of one vocabulary, WORDS: operations of tests/model with what they need.
"""

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, ClassVar, Final

import uvmfree
from tests.explore.machine import ExploreMachine
from tests.explore.scene import Scene
from tests.model import page_operations as page
from tests.model import system_operations as system
from tests.model.hands import Table
from tests.model.operations import Op, do
from tests.model.ranged import one_run, scattered
from tests.model.rest import check_all_free, check_at_rest

SMALL: dict[str, Any] = {
    "npages": 24, "ncpus": 2, "ncolors": 2, "pagesize": 1 << 15, "redistribute_interval_s": 1.0,
}  # fmt: skip
"""24 pages, of which 10 are the kernel's: the watermarks are 11 and 14 (R24), so allocations run into them."""

CACHED_FROM = 16
"""From this frame on stand the pages that the scene puts into the caches; a ranged allocation takes those."""

PATIENCE_S = 0.5

WORDS: Final[Mapping[str, Op]] = MappingProxyType(
    {
        "alloc": page.Alloc(),
        "zalloc": page.Alloc(how=page.How(zero=True)),
        "free": page.Free(),
        "freelast": page.Free(at=-1),
        "give": page.Free(by="system"),
        "givelast": page.Free(at=-1, by="system"),
        "reclaim": page.Free(by="daemon"),
        "run": page.Run(one_run(2, CACHED_FROM)),
        "some": page.Run(scattered(3, CACHED_FROM)),
        "patient": page.Run(scattered(12), waitok=True),  # without the time to wait for those that are missing (R29)
        "idle_one": page.IdleZero(9, cpu=1),
        "idle_break": page.IdleZero(3, cpu=1),
        "redistribute": system.Redistribute(),
        "timer": system.Ask("timers"),
        "pressure": system.Ask("pass"),
        "bind": system.Bind(),
        "detach": system.Detach(1),
        "attach": system.Attach(1),
        "other": system.Detach(0),  # refused if CPU 1 is away
        "more": system.Recolor(4),
        "fewer": system.Recolor(1),
        "kick": system.Ask("kick"),
        "wait": system.Wait(),
        "waitfor": system.Wait(PATIENCE_S),
        "call": system.Ask("call and wait"),
        "look": system.Ask("look"),
        "audit": system.Ask("audit"),
        "close": system.Ask("close"),
    }
)

CPU_OPS = ("alloc", "free", "zalloc", "freelast")
ANY_OPS = ("redistribute", "timer", "pressure", "run", "some", "give", "reclaim", "tick")


class Spoken(Scene):
    """A scene of one system: a word is a method of the scene, or else an operation of the vocabulary."""

    words: ClassVar[Mapping[str, Op]] = WORDS
    rebinds: ClassVar[bool] = False
    """Whether CPUs go, or are taken over: who asks one that did is refused."""
    keeps: ClassVar[bool] = True
    """Whether each part goes on with the object by which it played its CPU first, or asks for that of now."""

    uvm: uvmfree.Uvm
    table: Table

    def seat(self) -> None:
        """Give every part its hands, when the system is booted."""
        self.table = Table(self.uvm, len(self.PARTS))
        if self.keeps:
            for hands, cpu in zip(self.table.hands, self.uvm.cpus, strict=False):
                hands.played = cpu

    def do(self, thread: int, word: str) -> None:
        if hasattr(self, word):
            super().do(thread, word)
            return
        spoken = self.words[word]
        with suppress(*((uvmfree.BindError,) if spoken.by_cpu and self.rebinds else ())):
            do(spoken, self.table.hands[thread])

    def tick(self, thread: int) -> None:
        self.machine.advance(1.0)


class Pages(Spoken):
    """A system without threads of its own: each path of redistribution is an operation."""

    PARTS = (CPU_OPS, CPU_OPS, ANY_OPS)
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu", "remote_drain": True}

    cached = 2
    """Pages in each cache at the start; each thread holds two more."""
    lockdebug = False
    """A lock order that is broken is for the explorer to find, as a deadlock; and there is less to do."""

    def __init__(self) -> None:
        self.machine = ExploreMachine(lockdebug=self.lockdebug)
        self.uvm = uvmfree.boot(self.machine, **SMALL | self.tunables)  # type: ignore[arg-type]
        self.seat()
        do(page.Run(scattered(2)), self.table.hands[2])
        for hands in self.table.hands[: self.uvm.param.ncpus]:
            do(page.Alloc(2 + self.cached), hands)
            do(page.Free(self.cached), hands)

    def check(self) -> None:
        check_at_rest(self.uvm, self.table.books())
        check_all_free(self.uvm, self.table)


class Counting(Pages):
    """Nothing is cached at the start, so whoever allocates takes from the global list and updates its counters."""

    PARTS = (("alloc", "free"), ("alloc", "free"), ("redistribute", "reclaim", "give", "some"))
    cached = 0


class FpageqlockCounting(Counting):
    tunables: ClassVar[dict[str, Any]] = {"design": "fpageqlock", "remote_drain": True}


class BoundedCounting(Counting):
    """A cache that spills with every page that is freed; the rest is as in Counting."""

    tunables: ClassVar[dict[str, Any]] = {"design": "percpu", "remote_drain": True, "hoard_max": 1}
    cached = 1


class BoundedPages(Pages):
    tunables: ClassVar[dict[str, Any]] = {
        "design": "percpu", "remote_drain": True, "drain_retry": True, "hoard_max": 3, "refill": 2,
        "search": "colour",
    }  # fmt: skip


class FpageqlockPages(Pages):
    tunables: ClassVar[dict[str, Any]] = {"design": "fpageqlock", "remote_drain": True}


class DepotPages(Pages):
    """Three credits for two CPUs, of two pages each: exchanges of one or two pages, lending, and stealing."""

    tunables: ClassVar[dict[str, Any]] = {
        "design": "depot", "remote_drain": True, "unit": 1, "exchange": 2, "budget": 6, "spare_s": 0.5,
    }  # fmt: skip


class SocketPages(DepotPages):
    """The same with a store for each socket, which is for each CPU."""

    tunables: ClassVar[dict[str, Any]] = DepotPages.tunables | {"per_socket": True}
