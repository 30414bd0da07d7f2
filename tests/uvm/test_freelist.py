"""The global free list beside a naive model: plain Python lists, with the head at the end.

=> What is at stake are ghosts (entries of pages that were unlinked from the middle), sweeps, and chunks that were
   spliced: in any order of operations the pages come out as they would from plain lists.
"""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from uvmfree.uvm.freelist import Bucket, GlobalFreelist, grid
from uvmfree.uvm.page import NQUEUES, SWEEP_MIN, UNKNOWN, ZEROS, PageList, Place, VmPage

NCOLORS = 2
NFREELISTS = 2


def page(pfn: int) -> VmPage:
    return VmPage(pfn, pfn % 5 // 4, pfn % 7 // 6, "test")  # mostly colour 0 of freelist 0: one bucket has much to do


def spliceable(pages: list[VmPage], queue: int, free_list: int | None = None, color: int | None = None) -> PageList:
    made = PageList(Place.CACHED, 3, queue, free_list, color)
    for pg in pages:
        pg.on = made
    made += pages
    return made


class Beside:
    """A GlobalFreelist and its model: for each queue, freelist and colour a list with the head last."""

    def __init__(self, npages: int) -> None:
        self.real = GlobalFreelist("test", NFREELISTS, NCOLORS)
        self.model: dict[tuple[int, int, int], list[VmPage]] = defaultdict(list)
        self.out = [page(pfn) for pfn in range(npages)]

    def push(self, which: int, queue: int) -> None:
        if self.out:
            pg = self.out.pop(which % len(self.out))
            self.real.push(pg, queue)
            self.model[queue, pg.free_list, pg.color].append(pg)

    def pop(self, free_list: int, color: int, queues: tuple[int, int]) -> None:
        got = self.real.pop(free_list, color, queues, NCOLORS)
        wanted = None
        for step in range(NCOLORS):
            for queue in queues:
                bucket = self.model[queue, free_list, (color + step) % NCOLORS]
                if bucket and wanted is None:
                    wanted = bucket.pop(), queue
        assert got == wanted
        if got is not None:
            assert got[0].on == "test"
            self.out.append(got[0])

    def take(self, free_list: int, color: int, n: int, queue: int) -> None:
        batches = self.real.take(free_list, color, n, queue)
        left = n
        wanted = []
        for step in range(NCOLORS):
            bucket = self.model[queue, free_list, (color + step) % NCOLORS]
            share = -(-left // (NCOLORS - step))
            if share and bucket:
                wanted.append(bucket[-share:])
                left -= len(bucket[-share:])
                del bucket[-share:]
        assert batches == wanted
        for batch in batches:
            for pg in batch:
                pg.on = "test"
            self.out += batch

    def splice(self, free_list: int, color: int, n: int, queue: int) -> None:
        pages = [pg for pg in self.out if (pg.free_list, pg.color) == (free_list, color)][:n]
        if pages:
            self.out = [pg for pg in self.out if pg not in pages]
            self.real.splice(spliceable(pages, queue, free_list, color))
            self.model[queue, free_list, color] += pages

    def unlink(self, which: int) -> None:
        standing = [pg for bucket in self.model.values() for pg in bucket]
        if standing:
            pg = standing[which % len(standing)]
            self.real.unlink(pg)
            assert pg.on == "test"
            for bucket in self.model.values():
                if pg in bucket:
                    bucket.remove(pg)
            self.out.append(pg)

    def check(self) -> None:
        for queue, rows in enumerate(self.real.buckets):
            for free_list, row in enumerate(rows):
                for color, bucket in enumerate(row):
                    standing = [pg for chunk in bucket.chunks for pg in chunk.pages()]
                    assert standing == self.model[queue, free_list, color]
                    for chunk in bucket.chunks:
                        assert (chunk.place, chunk.owner) == (Place.GLOBAL, None)
                        assert (chunk.queue, chunk.free_list, chunk.color) == (queue, free_list, color)
                        assert chunk.ghosts == len(chunk) - len(chunk.pages())
        counted = [sum(len(b) for (q, _, _), b in self.model.items() if q == queue) for queue in range(NQUEUES)]
        assert self.real.npages == counted
        assert self.real.free == sum(counted)


QUEUE = st.sampled_from([UNKNOWN, UNKNOWN, UNKNOWN, ZEROS])
FREE_LIST = st.sampled_from([0, 0, 0, 1])
COLOR = st.sampled_from([0, 0, 1])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(0, 40), QUEUE),
        st.tuples(st.just("pop"), FREE_LIST, COLOR, st.sampled_from([(UNKNOWN, ZEROS), (ZEROS, UNKNOWN)])),
        st.tuples(st.just("take"), FREE_LIST, COLOR, st.integers(0, 9), QUEUE),
        st.tuples(st.just("splice"), FREE_LIST, COLOR, st.integers(0, 9), QUEUE),
        st.tuples(st.just("unlink"), st.integers(0, 40)),
    ),
    max_size=50,
)


@settings(max_examples=max(100, settings().max_examples))  # the 65th has caught a seeded bug (docs/mutants.md)
@given(npages=st.integers(1, 24), steps=STEPS)
def test_any_order_of_operations_gives_what_plain_lists_give(npages: int, steps: list[tuple[object, ...]]) -> None:
    """R2: exactly last in, first out, whatever was unlinked, spliced or swept meanwhile."""
    beside = Beside(npages)
    for name, *arguments in steps:
        getattr(beside, str(name))(*arguments)
        beside.check()
    for free_list in range(NFREELISTS):
        for _ in range(npages):
            beside.pop(free_list, 1, (ZEROS, UNKNOWN))
    beside.check()
    assert len(beside.out) == npages


def test_the_warmest_page_goes_out_first() -> None:
    """R2: insert and remove at the head."""
    bucket = Bucket("test", UNKNOWN)
    pages = [page(pfn) for pfn in range(5)]
    for pg in pages:
        bucket.push(pg)
    assert [bucket.pop() for _ in range(6)] == [*pages[::-1], None]


def test_a_splice_goes_to_the_head_and_is_one_step_whatever_its_length() -> None:
    """P8: the very list is put on the bucket; its pages are not touched one by one."""
    bucket = Bucket("test", UNKNOWN)
    bucket.push(page(90))
    cached = spliceable([page(pfn) for pfn in range(50)], UNKNOWN)
    bucket.splice(cached)
    assert bucket.chunks[-1] is cached
    assert {(pg.on is cached, pg.place, pg.owner) for pg in cached} == {(True, Place.GLOBAL, None)}
    assert [pg.pfn for pg in iter(bucket.pop, None)] == [*range(49, -1, -1), 90]


def test_a_list_is_one_item_to_the_global_list_however_long_it_is() -> None:
    whole = GlobalFreelist("test", NFREELISTS, NCOLORS)
    for touched, npages in enumerate((50, 1), 1):
        whole.splice(spliceable([VmPage(pfn, 1, 0, "test") for pfn in range(npages)], UNKNOWN, 0, 1))
        assert (whole.items_touched, whole.pages_touched) == (touched, 0)
    assert whole.free == 51


def test_a_batch_crosses_chunks_and_skips_ghosts_and_keeps_the_order() -> None:
    bucket = Bucket("test", UNKNOWN)
    pages = [page(pfn) for pfn in range(9)]
    for begin in (0, 3, 6):
        bucket.splice(spliceable(pages[begin : begin + 3], UNKNOWN))
    bucket.unlink(pages[4])
    assert [pg.pfn for pg in bucket.take(5)] == [2, 3, 5, 6, 7, 8][1:]
    assert [pg.pfn for pg in bucket.take(5)] == [0, 1, 2]
    assert bucket.take(5) == []


def test_a_page_that_comes_back_is_met_at_its_new_place() -> None:
    bucket = Bucket("test", UNKNOWN)
    pages = [page(pfn) for pfn in range(4)]
    for pg in pages:
        bucket.push(pg)
    for _ in range(3):  # three ghosts of one page, under its entry
        bucket.unlink(pages[0])
        bucket.push(pages[0])
        bucket.push(bucket.pop())  # type: ignore[arg-type]
    assert [pg.pfn for pg in iter(bucket.pop, None)] == [0, 3, 2, 1]


def test_ghosts_never_outnumber_pages_for_long() -> None:
    """A list from whose middle pages leave again and again does not grow."""
    bucket = Bucket("test", UNKNOWN)
    pages = [page(pfn) for pfn in range(400)]
    for pg in pages:
        bucket.push(pg)
    for round_ in range(20):
        for pg in pages[round_ : round_ + 300]:
            bucket.unlink(pg)
            bucket.push(pg)
        (chunk,) = bucket.chunks
        assert chunk.ghosts <= max(SWEEP_MIN, len(chunk) // 2)
        assert len(chunk.pages()) == 400
    for pg in pages[:-1]:
        bucket.unlink(pg)
    (chunk,) = bucket.chunks
    assert chunk.ghosts <= SWEEP_MIN
    assert [pg for chunk in bucket.chunks for pg in chunk.pages()] == [pages[-1]]


def test_a_batch_is_spread_over_the_colours() -> None:
    stock = GlobalFreelist("test", 1, 4)
    for pfn in range(40):
        stock.push(VmPage(pfn, pfn % 4, 0, "test"), UNKNOWN)
    batches = stock.take(0, 3, 6, UNKNOWN)
    assert [(batch[0].color, len(batch)) for batch in batches] == [(3, 2), (0, 2), (1, 1), (2, 1)]
    assert stock.npages == [34, 0]


def test_a_cpu_has_its_own_list_for_each_queue_freelist_and_colour() -> None:
    """R1: a list for every queue, freelist and colour."""
    lists = grid(3, 4, Place.CACHED, 1)
    flat = [pages for queue in lists for row in queue for pages in row]
    assert len({id(pages) for pages in flat}) == len(flat) == NQUEUES * 3 * 4
    assert [(pages.queue, pages.free_list, pages.color) for pages in (queue[2][3] for queue in lists)] == [
        (UNKNOWN, 2, 3),
        (ZEROS, 2, 3),
    ]


def test_a_list_of_mixed_pages_is_spliced_page_by_page() -> None:
    """P8: each goes to the bucket of its own freelist and colour, in the order in which they stood."""
    stock = GlobalFreelist("test", NFREELISTS, NCOLORS)
    pages = [page(pfn) for pfn in range(20)]
    stock.splice(spliceable(pages, UNKNOWN))
    assert stock.npages == [20, 0]
    for free_list in range(NFREELISTS):
        for color in range(NCOLORS):
            there = [pg for pg in pages if (pg.free_list, pg.color) == (free_list, color)]
            out = [stock.pop(free_list, color, (UNKNOWN,), 1) for _ in range(len(there) + 1)]
            assert out == [*((pg, UNKNOWN) for pg in reversed(there)), None]


def test_clearing_lets_go_of_all_pages() -> None:
    stock = GlobalFreelist("test", 1, 1)
    for pfn in range(3):
        stock.push(VmPage(pfn, 0, 0, "test"), UNKNOWN)
    stock.clear()
    assert stock.free == 0
    assert stock.pop(0, 0, (UNKNOWN, ZEROS), 1) is None


def test_the_last_batches_are_named_for_who_charges_their_lines() -> None:
    store = GlobalFreelist("test", 1, NCOLORS)
    for pfn in range(6):
        store.push(VmPage(pfn, pfn % NCOLORS, 0, "test"), UNKNOWN)
    assert store.taken == ()
    taken = store.take(0, 0, 4, UNKNOWN)
    assert store.taken is taken
    assert (store.pages_touched, sum(map(len, taken))) == (6 + 4, 4)
    store.pages_touched = 0
    assert sum(map(len, store.take(0, 0, 9, UNKNOWN))) == store.pages_touched == 2
