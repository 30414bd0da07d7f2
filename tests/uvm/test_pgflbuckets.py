"""The buckets of NetBSD 10: what is counted as touched under the lock of one."""

from uvmfree.uvm.page import UNKNOWN, VmPage
from uvmfree.uvm.pgflbuckets import Buckets, PgflBucket

SYSTEM = "uvm"


def test_each_page_that_is_put_taken_or_unlinked_is_touched_once() -> None:
    bucket = PgflBucket(SYSTEM, 1, 1)
    pages = [VmPage(pfn, 0, 0, SYSTEM) for pfn in range(6)]
    for touched, pg in enumerate(pages, 1):
        bucket.push(pg, UNKNOWN)
        assert bucket.pages_touched == touched
    assert bucket.pop(0, 0) is pages[5]
    assert bucket.pages_touched == 7
    assert bucket.take(0, 0, 3) == pages[2:5]
    assert bucket.pages_touched == 10
    bucket.unlink(pages[0])
    assert (bucket.pages_touched, bucket.nfree) == (11, [1])
    assert bucket.items_touched == 0


def test_eight_neighbours_of_each_colour_are_in_one_bucket_the_next_eight_in_the_next() -> None:
    """As NetBSD has it where that does not go by NUMA node."""
    store = Buckets(SYSTEM, 3, 1, 2)
    numbers = [store.number_of(VmPage(pfn, pfn % 2, 0, SYSTEM)) for pfn in range(64)]
    assert numbers == [0] * 16 + [1] * 16 + [2] * 16 + [0] * 16
