"""What a thread may do to a system as a whole: caches, CPUs and colours, who waits and who is paged out, calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import uvmfree
from tests.model.hands import Hands
from tests.model.model import Model
from tests.model.operations import Op, do
from tests.model.page_operations import Cycle, Free
from uvmfree.kern.xcall import Ticket

REFUSED = (uvmfree.BindError, uvmfree.ArgumentError)
"""What a change of CPUs may be refused with: it was made already, or it was the last one."""


Refusal = type[Exception] | None


@dataclass(frozen=True)
class Redistribute(Op):
    """Hand the cache of a CPU back, or of all (P8)."""

    cpu: int | None = None

    def system(self, hands: Hands) -> Iterator[int]:
        yield hands.uvm.redistribute(self.cpu)

    def model(self, model: Model, hands: Hands, out: Any) -> int:
        moved = 0
        for each in range(model.param.ncpus) if self.cpu is None else [self.cpu]:
            moved += model.redistribute(each)
            model.wake_waiters()
        return moved


@dataclass(frozen=True)
class Churn(Op):
    """Allocate pages, free them, and hand them back, so often."""

    npages: int
    times: int

    def system(self, hands: Hands) -> Iterator[Any]:
        for _ in range(self.times):
            yield from Cycle(self.npages).system(hands)
            yield from Redistribute(hands.me).system(hands)


@dataclass(frozen=True)
class Recolor(Op):
    """Give all pages so many colours (Q13)."""

    ncolors: int

    def system(self, hands: Hands) -> Iterator[Refusal]:
        yield _refusal(hands.uvm.recolor, self.ncolors)

    def model(self, model: Model, hands: Hands, out: Any) -> Refusal:
        if self.ncolors < 1 or self.ncolors & (self.ncolors - 1):
            return uvmfree.ArgumentError
        model.recolor(self.ncolors)
        return None


@dataclass(frozen=True)
class Detach(Op):
    """Take a CPU away (Q13)."""

    cpu: int

    def ready(self, hands: Hands) -> bool:
        return self.cpu not in hands.table.away

    def system(self, hands: Hands) -> Iterator[Refusal]:
        refused = _refusal(hands.uvm.detach, self.cpu)
        if refused is None:
            hands.table.away.add(self.cpu)
        yield refused

    def model(self, model: Model, hands: Hands, out: Any) -> Refusal:
        if self.cpu not in model.attached:
            return uvmfree.BindError
        if len(model.attached) == 1:
            return uvmfree.ArgumentError
        model.detach(self.cpu)
        return None


@dataclass(frozen=True)
class Attach(Op):
    """Bring a CPU back (Q13)."""

    cpu: int

    def ready(self, hands: Hands) -> bool:
        return self.cpu in hands.table.away

    def system(self, hands: Hands) -> Iterator[Refusal]:
        refused = _refusal(hands.uvm.attach, self.cpu)
        if refused is None:
            hands.table.away.discard(self.cpu)
        yield refused

    def model(self, model: Model, hands: Hands, out: Any) -> Refusal:
        if self.cpu in model.attached:
            return uvmfree.ArgumentError
        model.attach(self.cpu)
        return None


def _refusal(change: Callable[[int], None], to: int) -> Refusal:
    """Return with what a change is refused, or None."""
    try:
        change(to)
    except REFUSED as refused:
        return type(refused)
    return None


@dataclass(frozen=True)
class Bind(Op):
    """Play a CPU for a moment, by default the own, as a thread does that binds itself, and allocate a page on it."""

    cpu: int | None = None

    by_cpu: ClassVar[bool] = True

    def ready(self, hands: Hands) -> bool:
        return self.cpu not in hands.table.away

    def system(self, hands: Hands) -> Iterator[int | None]:
        with hands.uvm.run_on(hands.me if self.cpu is None else self.cpu) as cpu:
            pg = cpu.pagealloc()
        if pg is not None:
            hands.allocs += 1
            hands.took([pg])
        yield pg and pg.pfn


@dataclass(frozen=True)
class Wait(Op):
    """Sleep until pages may be had (R18)."""

    timeout_s: float | None = None

    def system(self, hands: Hands) -> Iterator[bool]:
        yield hands.uvm.wait(self.timeout_s)

    def model(self, model: Model, hands: Hands, out: Any) -> bool:
        assert self.timeout_s is not None
        return model.wait(round(self.timeout_s * 1e9))


@dataclass(frozen=True)
class PageoutStart(Op):
    """Begin to page pages out; which pages is nobody's concern but his who says so (R22)."""

    npages: int = 1

    def system(self, hands: Hands) -> Iterator[None]:
        hands.table.in_flight.append(self.npages)
        yield hands.uvm.pageout.start(self.npages)  # type: ignore[func-returns-value]

    def model(self, model: Model, hands: Hands, out: Any) -> None:
        model.start(self.npages)


@dataclass(frozen=True)
class PageoutDone(Op):
    """End the pageout that was begun last, and free a page as the daemon does, if told to (R22)."""

    free: bool = False

    def ready(self, hands: Hands) -> bool:
        return bool(hands.table.in_flight)

    def system(self, hands: Hands) -> Iterator[int]:
        if not self.ready(hands):
            return
        npages = hands.table.in_flight.pop()
        if self.free:
            do(Free(by="daemon"), hands)
        hands.uvm.pageout.done(npages)
        yield npages

    def model(self, model: Model, hands: Hands, out: int) -> int:
        assert not self.free
        model.done(out)
        return out


def _timers(hands: Hands) -> None:
    for index in range(hands.uvm.param.ncpus):
        hands.uvm.design.tick(index)
        hands.uvm.pageout.wake_waiters()


def _call(hands: Hands) -> Ticket:
    hands.table.tickets.append(hands.uvm.xcall.broadcast(hands.table.call))
    return hands.table.tickets[-1]


SIMPLE: Final[dict[str, Callable[[Hands], object]]] = {
    "take": Hands.take,  # what stands on the own tray
    "kick": lambda hands: hands.uvm.kick_pdaemon(),
    "pass": lambda hands: hands.uvm.pagedaemon.one_pass(),  # be the daemon (R19, R20)
    "timers": _timers,  # be the timer of each xc thread, one after the other (P9)
    "call": _call,  # have every CPU allocate and free a page on its xc thread (R30)
    "call and wait": lambda hands: hands.uvm.xcall.wait(_call(hands)),
    "audit": lambda hands: hands.uvm.audit(),  # walks everything, under every lock, while others are at work
    "look": lambda hands: (hands.uvm.uvmexp.snapshot(), hands.uvm.counter_lag()),
    "close": lambda hands: hands.uvm.close(),
}


@dataclass(frozen=True)
class Ask(Op):
    """Do what needs no more words."""

    what: str

    def system(self, hands: Hands) -> Iterator[None]:
        SIMPLE[self.what](hands)
        yield None

    def model(self, model: Model, hands: Hands, out: Any) -> None:
        {"kick": model.kick}[self.what]()
