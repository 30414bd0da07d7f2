"""Designs for tests that are broken on purpose, each in one way, with the traits of the sound one that they spoil."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tests.conformance.linux_like import BATCH, HIGH, LinuxLike, LinuxLikeCpu
from uvmfree.uvm.cpu import Found, Want
from uvmfree.uvm.page import UNKNOWN, PageList, Place, VmPage


def losing(self: LinuxLikeCpu, npages: int) -> int:
    """Lose the first page of each spill on the way."""
    for pages in self.lists():
        if pages:
            pages.pop(0).on = self._system
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
            return super().spill(npages) if self.cached() > HIGH + 3 else 0


class SpillsTheWarmest(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def spill(self, npages: int) -> int:
            for pages in self.lists():
                pages.reverse()
            return super().spill(npages)


class HandsOutAPageTwice(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def _get(self, want: Want, start: int) -> Found | None:
            found = super()._get(want, start)
            if found is not None and found[0].pfn % 7 == 0:
                self.lists()[found[0].free_list].insert(0, found[0])
            return found


class TakesBelowTheReserve(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def may_take(self, free: int, want: Want) -> bool:
            return True


class FetchesTwoBatches(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def _room(self) -> int:
            return 2 * BATCH


class PrefersTheWorseFreelist(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def _get(self, want: Want, start: int) -> Found | None:
            return super()._get(replace(want, freelists=want.freelists[::-1]), start)


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
            other = self._design.cpus[0]
            LinuxLikeCpu.pagefree(self if other.stopped else other, pg)


class ForgetsToCount(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def gave(self, pages: int, zeropages: int = 0) -> None:
            self.drained += pages


class CountsAColourThatWasNotHad(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def _search(self, want: Want, start: int) -> tuple[Found | None, int | None]:
            found = super()._search(want, start)
            self.colormiss = 0
            return found


class NeverDecays(LinuxLike):
    def tick(self, index: int) -> None:
        pass


class FlushesWhereItSaysDecay(LinuxLike):
    def tick(self, index: int) -> None:
        self.redistribute(index, "decay")


class DoesNotDrainForRangedAllocation(LinuxLike):
    def gather(self, owners: Iterable[int]) -> None:
        pass


class KeepsWhatADetachedCpuHad(LinuxLike):
    def detach(self, index: int, heir: int, refuse: Callable[[], object]) -> None:
        self.cpus[index].stop(refuse)


class IgnoresPressure(LinuxLike):
    def redistribute(self, index: int, cause: str) -> int:
        return 0 if cause == "pressure" else super().redistribute(index, cause)


class SkipsACpuUnderPressure(LinuxLike):
    def redistribute(self, index: int, cause: str) -> int:
        return 0 if (cause, index) == ("pressure", len(self.cpus) - 1) else super().redistribute(index, cause)


class CountsNothing(LinuxLike):
    def guarded(self) -> tuple[()]:
        return ()


class SpillsWithNoLockHeld(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def spill(self, npages: int) -> int:
            pages = self._lists[0]
            cold, pages[:npages] = pages[:npages], []
            for pg in cold:
                self._store.push(pg, UNKNOWN)
            self.gave(len(cold))
            return len(cold)


class NamesTheStoreTooEarly(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def spill(self, npages: int) -> int:
            pages, cold = self._lists[0], PageList(Place.GLOBAL, None, UNKNOWN, 0)
            cold.adopt(pages[:npages])
            del pages[:npages]
            self.put_back(cold, self._fpageqlock, self._store)
            return len(cold)


class HandsBackHalf(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def chop(self) -> list[PageList]:
            chopped = super().chop()
            for part in chopped:
                del part[: len(part) // 2]
            return chopped


class ForgetsAtTakeOver(LinuxLike):
    class cpu_class(LinuxLikeCpu):  # noqa: N801
        __slots__ = ()

        def take_over(self, before: Any) -> None:
            super().take_over(before)
            self.cpuhit = 0
