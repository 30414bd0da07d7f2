"""Designs for tests that are broken on purpose, each in one way, with the traits of the sound one that they spoil."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.linux_like import BATCH, HIGH, LinuxLike, LinuxLikeCpu
from uvmfree.uvm.page import PageList, VmPage


def losing(self: LinuxLikeCpu, npages: int) -> int:
    """Lose the first page of each spill on the way."""
    for order in self._order:
        if order:
            order.pop(0).pop(0).list = None
            break
    return LinuxLikeCpu.spill(self, npages)


class LosesAPageOnSpill(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801  # the name that the base has for it
        __slots__ = ()
        spill = losing


class ExceedsItsBound(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def spill(self, npages: int) -> int:
            return super().spill(npages) if self.cached_pages() > HIGH + 3 else 0


class SpillsTheWarmest(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def spill(self, npages: int) -> int:
            for order in self._order:
                order.reverse()
            for row in self.lists[0]:
                for pages in row:
                    pages.reverse()
            return super().spill(npages)


class HandsOutAPageTwice(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def _warmest(self, free_list: int) -> VmPage | None:
            pg = super()._warmest(free_list)
            if pg is not None and pg.pfn % 7 == 0:
                into = self._unknown_lists[free_list][pg.color]
                into.insert(0, pg)
                self._order[free_list].insert(0, into)
            return pg


class TakesBelowTheReserve(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def _gate(self, use_reserve: bool) -> int | None:
            return None


class FetchesTwoBatches(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def _room(self) -> int:
            return 2 * BATCH


class PrefersTheWorseFreelist(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def _freelists(self, strat: str, free_list: int) -> tuple[int, ...]:
            return super()._freelists(strat, free_list)[::-1]


class HandsOutDirtyZeros(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def _pagezero(self, pg: VmPage) -> None:
            if pg.pfn % 2:
                super()._pagezero(pg)


class FreesToTheWrongCpu(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def pagefree(self, pg: VmPage) -> None:
            other = self._state.cpus[0]
            LinuxLikeCpu.pagefree(other if isinstance(other, LinuxLikeCpu) else self, pg)


class ForgetsToCount(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def put_back(self, pages: int, zeropages: int) -> None:
            self.drained += pages


class CountsAColourThatWasNotHad(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def _count(self, pg: VmPage, queue: int, start: int, *, local: bool, zero: bool) -> None:
            super()._count(pg, queue, pg.color, local=local, zero=zero)


class NeverDecays(LinuxLike):
    def on_timer(self, index: int) -> None:
        pass


class FlushesWhereItSaysDecay(LinuxLike):
    def on_timer(self, index: int) -> None:
        self.redistribute(index, "decay")


class DoesNotDrainForRangedAllocation(LinuxLike):
    def gather(self, owners: set[int]) -> None:
        pass


class KeepsWhatADetachedCpuHad(LinuxLike):
    def detach(self, index: int, heir: int, refuse: Callable[[], object]) -> None:
        self._state.cpus[index].stop(refuse)


class IgnoresPressure(LinuxLike):
    def redistribute(self, index: int, cause: str) -> int:
        return 0 if cause == "pressure" else super().redistribute(index, cause)


class HandsBackHalf(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def chop(self) -> list[PageList]:
            chopped = super().chop()
            return chopped[: (len(chopped) + 1) // 2]


class ForgetsAtTakeOver(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)
            self.cpuhit = 0
