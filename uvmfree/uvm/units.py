"""Units: lists of a few pages of one queue and freelist and of any colour, which change hands by pointer.

=> A CPU chains the pages of a unit, and unlinks them, under its own lock alone. Under the lock of the store a unit
   is one item, whatever its length.
=> `pg.place` is GLOBAL if, and only if, the page's unit is on a stack: a unit is the CPU's that chains it, or that
   takes it, and is marked under the lock of the store as what it becomes.
=> Units are whole but for the last ones of what was chained. What fits into the unit on top is poured into it, page
   by page, so that few stay partial.
"""

from collections.abc import Collection, Iterator, Sequence

from uvmfree.uvm.freelist import Bucket, GlobalFreelist, Grid, each, in_turn
from uvmfree.uvm.page import NQUEUES, ZEROS, PageList, Place, VmPage


class Units(GlobalFreelist):
    """A store that is a stack of units for each queue and freelist; guarded by uvm_fpageqlock.

    => `unit`: pages in a whole one. A stack has no empty unit; `_emptied`: some are to be dropped.
    => `parts`: the stores that there are, this one; a machine of several sockets can have more (uvm/sockets.py).
    """

    def __init__(self, system: str, nfreelists: int, unit: int) -> None:
        self.unit, self._emptied = unit, False
        self.parts = [self]
        super().__init__(system, nfreelists, 1)

    @property
    def sure(self) -> int:
        """Pages that nobody else can take first: all, with the lock."""
        return self.free

    def recolor(self, ncolors: int) -> None:
        """Make new stacks, empty ones; the number of colours is nothing to them."""
        self._ncolors = 1
        self.buckets = [
            [[Bucket(self._system, queue, row)] for row in range(self._nfreelists)] for queue in range(NQUEUES)
        ]

    def push(self, pg: VmPage, queue: int) -> None:
        """Put one page into the unit on top, or on top of it."""
        bucket = self.buckets[queue][pg.free_list][0]
        if bucket.chunks and len(bucket.chunks[-1]) < self.unit:
            self.pages_touched += 1
        else:
            bucket.splice(PageList(Place.GLOBAL, None, queue, pg.free_list))
            self.items_touched += 1
        bucket.push(pg)
        self.npages[queue] += 1

    def splice(self, pages: PageList) -> None:
        """Put a unit on top, by pointer, or pour it into the one that is there; O(1), or O(`unit`)."""
        bucket = self.buckets[pages.queue][pages.free_list or 0][0]
        self.npages[pages.queue] += len(pages)
        if bucket.chunks and len(bucket.chunks[-1]) + len(pages) <= self.unit:
            for pg in pages:
                bucket.push(pg)
            self.pages_touched += len(pages)
        else:
            bucket.splice(pages)
            self.items_touched += 1

    def unlink(self, pg: VmPage) -> None:
        """Take a page out of the middle of its unit; O(`unit`)."""
        unit = pg.on
        assert isinstance(unit, PageList)
        unit.remove(pg)
        pg.on = self._system
        self.npages[unit.queue] -= 1
        self.pages_touched += 1
        self._emptied = self._emptied or not unit

    def remove(self, pages: Sequence[VmPage]) -> None:
        """Take pages out of their units, and units that are empty then off their stacks."""
        for pg in pages:
            self.unlink(pg)
        self.drop_empty()

    def drop_empty(self) -> None:
        """Take off the units that unlink() has emptied; O(units) here, O(1) each on a list that is doubly linked."""
        if self._emptied:
            for bucket in each(self.buckets):
                bucket.chunks = list(filter(None, bucket.chunks))
            self._emptied = False

    def units(self, index: int, free_list: int, queues: Sequence[int], npages: int, most: int) -> list[PageList]:
        """Take at most `most` units of at most `npages` pages in all; a single page if not one of them fits.

        => Returns units that belong to CPU `index`; none if there is no page.
        """
        taken: list[PageList] = []
        for queue in queues:
            chunks = self.buckets[queue][free_list][0].chunks
            while chunks and len(taken) < most and len(chunks[-1]) <= npages:
                unit = chunks.pop()
                unit.place, unit.owner = Place.CACHED, index
                self.items_touched += 1
                self.npages[queue] -= len(unit)
                npages -= len(unit)
                taken.append(unit)
            if chunks and not taken:
                unit = PageList(Place.CACHED, index, queue, free_list)
                unit.append(pg := chunks[-1].pop())
                pg.on = unit
                if not chunks[-1]:
                    chunks.pop()
                self.npages[queue] -= 1
                self.pages_touched += 1
                return [unit]
        return taken

    def check(self, where: str) -> Iterator[str]:
        """Check also that no unit is empty, or too long."""
        yield from super().check(where)
        for unit in self.lists():
            if not 0 < len(unit) <= self.unit:
                yield f"{where}: a unit of {len(unit)} pages; 1 at least, {self.unit} at most"


def chained(
    grid: Grid, index: int, npages: int, size: int, freelists: Collection[int] | None = None
) -> list[PageList]:
    """Chain so many of the coldest pages of CPU `index` into units of `size`, whole ones first; with its guard held.

    => O(pages). `freelists`: of those alone. Returns units that are that CPU's still; none if there is no page.
    """
    units: list[PageList] = []
    rows = [row for rows in grid for row in rows if freelists is None or row[0].free_list in freelists]
    for multiple in (size, 1):
        for row in rows:
            count = min(npages, sum(map(len, row))) // multiple * multiple
            if not count:
                continue
            npages -= count
            cold = _cut(row, count)
            for first in range(0, count, size):
                unit = PageList(Place.CACHED, index, row[0].queue, row[0].free_list)
                unit += cold[first : first + size]
                for pg in unit:
                    pg.on = unit
                units.append(unit)
    return units


def unchain(units: Sequence[PageList], grid: Grid) -> int:
    """Unlink the pages of units into a CPU's lists, with its guard held; return how many. O(pages)."""
    for unit in units:
        rows = grid[unit.queue]
        for pg in unit:
            into = rows[pg.free_list][pg.color]
            pg.on = into
            into.append(pg)
    return sum(map(len, units))


def parted(units: Sequence[PageList], size: int, most: int) -> Iterator[Sequence[PageList]]:
    """Part units so that to splice a part touches at most `most` items, or the pages of one unit.

    => A whole unit, of `size` pages, is one item, as is what comes on top of one. Others may be poured, page by page.
    """
    part: list[PageList] = []
    items, topped = 0, set[tuple[int, int | None]]()
    for unit in units:
        row, whole = (unit.queue, unit.free_list), len(unit) == size
        touched = 1 if whole or row in topped else len(unit)
        if part and items + touched > most:
            yield part
            part, items, topped = [], 0, set()
            touched = 1 if whole else len(unit)
        part.append(unit)
        items += touched
        topped |= {row} if whole else set()
    if part:
        yield part


def zeros(units: Sequence[PageList]) -> int:
    """Return how many pages of units are known to be zero."""
    return sum(len(unit) for unit in units if unit.queue == ZEROS)


def _cut(row: Sequence[PageList], count: int) -> list[VmPage]:
    """Cut so many of the coldest pages off the lists of a row, of each its share; colours in turn."""
    shares, left, total = [], count, sum(map(len, row))
    for pages in row:
        share = min(left, -(-len(pages) * count // total))
        left -= share
        shares.append(pages[:share])
        del pages[:share]
    return in_turn(shares)
