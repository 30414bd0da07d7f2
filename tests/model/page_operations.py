"""What a thread may do about pages: one at a time, several at once, those of an anon map."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import pytest

import uvmfree
from tests.model.hands import Hands
from tests.model.model import Model
from tests.model.operations import Op
from tests.model.ranged import Ranged
from uvmfree.uvm.cpu import Strat
from uvmfree.uvm.page import FRESH, FRESH_ZERO, PG_CLEAN


class How(NamedTuple):
    """The options of an allocation; of `free_list` what is left over by the number of freelists."""

    zero: bool = False
    use_reserve: bool = False
    strat: Strat = "normal"
    free_list: int = 0
    color: int | None = None


PLAIN = How()

By = Literal["cpu", "system", "player", "list", "twice", "daemon"]
"""Who frees: the CPU that the thread plays, or is said to; the system, on behalf of who plays no CPU; the system, on
behalf of a player; all pages in one call, or in one call with the first page again; or as the pagedaemon does, past
all caches."""


@dataclass(frozen=True)
class Alloc(Op):
    """Allocate pages one at a time."""

    npages: int = 1
    how: How = PLAIN

    by_cpu: ClassVar[bool] = True

    def options(self, hands: Hands) -> dict[str, Any]:
        return self.how._replace(free_list=self.how.free_list % hands.uvm.param.nfreelists)._asdict()

    def system(self, hands: Hands) -> Iterator[int | None]:
        options = self.options(hands)
        for _ in range(self.npages):
            pg = hands.cpu.pagealloc(**options)
            if pg is not None:
                hands.allocs += 1
                assert pg.flags == (FRESH_ZERO if self.how.zero else FRESH), f"{pg!r} has flags {pg.flags:#x}"  # R12
                assert not self.how.zero or hands.table.is_zero(pg), f"{pg!r} came out as zero and is not"
                hands.took([pg])
            yield pg and pg.pfn

    def model(self, model: Model, hands: Hands, out: Any) -> int | None:
        return model.alloc(hands.me, hands.lwp, **self.options(hands))


@dataclass(frozen=True)
class Free(Op):
    """Free pages in hand: the oldest first, or those from `at` on, counted round."""

    npages: int = 1
    at: int = 0
    by: By = "cpu"

    @property
    def by_cpu(self) -> bool:  # type: ignore[override]
        return self.by == "cpu"

    def system(self, hands: Hands) -> Iterator[list[int]]:
        if self.by in ("list", "twice", "player"):
            yield from self._in_one_call(hands)
            return
        calls = {"system": hands.uvm.pagefree, "daemon": hands.uvm.design.pagefree_global}
        for _ in range(self.npages):
            if (pg := hands.gives(self.at)) is None:
                return
            with hands.unless_refused([pg]):
                free = hands.cpu.pagefree if self.by_cpu else calls[self.by]
                free(pg)
            yield [pg.pfn]

    def _in_one_call(self, hands: Hands) -> Iterator[list[int]]:
        pages = [pg for _ in range(self.npages) if (pg := hands.gives(self.at)) is not None]
        if not pages:
            return
        with hands.unless_refused(pages):
            if self.by == "player":
                with hands.playing():
                    hands.uvm.pglistfree(pages)
            elif self.by == "list":
                hands.uvm.pglistfree(pages)
            else:
                with pytest.raises(uvmfree.DoubleFree, match=hex(pages[0].pfn)):  # R13
                    hands.uvm.pglistfree([*pages, pages[0]])
        yield [pg.pfn for pg in pages]

    def model(self, model: Model, hands: Hands, out: list[int]) -> list[int]:
        to = hands.me if self.by in ("cpu", "player") else min(model.attached)
        for pfn in out:
            model.free(to, pfn)
        return out


@dataclass(frozen=True)
class Cycle(Op):
    """Allocate pages, and free just those."""

    npages: int

    def system(self, hands: Hands) -> Iterator[Any]:
        before = len(hands.held)
        yield from Alloc(self.npages).system(hands)
        yield from Free(len(hands.held) - before, at=before).system(hands)


@dataclass(frozen=True)
class Hand(Op):
    """Put the oldest pages on the tray of another thread."""

    npages: int
    to: int

    def system(self, hands: Hands) -> Iterator[None]:
        for _ in range(min(self.npages, len(hands.held))):
            hands.hand(hands.table.hands[self.to])
            yield None


@dataclass(frozen=True)
class Run(Op):
    """Allocate several pages in one call (uvm_pglistalloc)."""

    asked: Ranged
    waitok: bool = False
    timeout_s: float = 0.0

    def system(self, hands: Hands) -> Iterator[list[int] | None]:
        try:
            pages = hands.uvm.pglistalloc(*self.asked, waitok=self.waitok, timeout_s=self.timeout_s)
        except uvmfree.OutOfPages:
            yield None
            return
        assert all(pg.flags == PG_CLEAN for pg in pages)
        hands.took(pages)
        yield [pg.pfn for pg in pages]

    def model(self, model: Model, hands: Hands, out: Any) -> list[int] | None:
        assert self.timeout_s == 0
        if self.waitok:
            return model.pglistalloc_waitok(self.asked, min(model.attached))
        return model.pglistalloc(self.asked)


@dataclass(frozen=True)
class IdleZero(Op):
    """Zero pages ahead of time, until there is no more to do, or something is runnable after so many pieces.

    => Of the CPU that the thread plays, or as the idle thread of another.
    """

    pieces: int | None = None
    cpu: int | None = None

    by_cpu: ClassVar[bool] = True

    def system(self, hands: Hands) -> Iterator[int]:
        left = None if self.pieces is None else iter(range(self.pieces))
        cpu = hands.cpu if self.cpu is None else hands.uvm.cpus[self.cpu]
        yield cpu.pageidlezero(lambda: left is not None and next(left, None) is None)

    def model(self, model: Model, hands: Hands, out: Any) -> int:
        steps = model.pageidlezero(hands.me if self.cpu is None else self.cpu)
        left = None if self.pieces is None else iter(range(self.pieces))
        try:
            next(steps)
            while True:
                steps.send(left is not None and next(left, None) is None)
        except StopIteration as over:
            return int(over.value)


@dataclass(frozen=True)
class Touch(Op):
    """Access pages of the anon map; stops where no page comes free."""

    page: int
    npages: int = 1
    write: bool = False
    by_cpu: ClassVar[bool] = True

    def system(self, hands: Hands) -> Iterator[None]:
        anons = hands.table.map()
        with suppress(*hands.table.impatient):
            for each in range(self.page, self.page + self.npages):
                anons.touch(hands.cpu, each % anons.npages, write=self.write)
                yield None


@dataclass(frozen=True)
class Discard(Op):
    """Forget a page of the anon map."""

    page: int

    def system(self, hands: Hands) -> Iterator[None]:
        with suppress(*hands.table.impatient):
            hands.table.map().discard(hands.cpu, self.page)
        yield None
