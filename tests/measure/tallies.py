"""Tallies made up: one in which everything happened, one of a design that parks nothing and takes no lock."""

from dataclasses import replace

from uvmfree.measure.tally import Held, Tally

TALLY = Tally(
    operations=800,
    allocations=400,
    own=100,
    reuse_pages=((3, 60), (256, 20), (257, 15), (9000, 5)),
    color_right=300,
    failed=9,
    failed_beside=4,
    parked_pages_max=1234,
    parked_pages_total=800 * 617,
    parked=(100, 1234, 500),
    parked_every=256,
    held=(
        Held("uvm_fpageqlock", "uvm_pagealloc", ((1, 50), (32, 49)), ((1, 50), (32, 49))),
        Held("uvm_fpageqlock", "uvm_redistribute", ((16, 1),), ((0, 1),)),
    ),
    free_blocks=101,
    store_blocks=77,
    stranded_pages=(600, 50, 0),
)
NONE = replace(
    TALLY,
    allocations=0,
    reuse_pages=(),
    color_right=0,
    parked_pages_max=0,
    parked_pages_total=0,
    parked=(0, 0, 0),
    held=(),
    store_blocks=101,
    failed_beside=0,
    stranded_pages=(0, 0, 0),
)
