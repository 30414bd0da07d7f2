"""`vmstat -s`, in the words that its users know."""

from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import uvmfree
from uvmfree.layouts.vmstat_layout import PHRASES, vmstat_s
from uvmfree.uvm.uvmexp import UvmExpSnapshot

LINES = """\
       64 pages managed
       63 pages free
        0 pages paging
        0 zero pages
        1 reserve pagedaemon pages
        5 reserve kernel pages
       32 minimum free pages
       42 target free pages
        0 pagealloc zero wanted and avail
        1 pagealloc zero wanted and not avail
        0 aborts of idle page zeroing
        1 pagealloc desired color avail
        0 pagealloc desired color not avail
        0 pagealloc local cpu avail
        1 pagealloc local cpu not avail
        0 times daemon wokeup
        0 pages freed by daemon
        0 pages scanned by daemon
        0 total pending pageouts
"""


def test_the_lines_are_those_of_vmstat() -> None:
    uvm = uvmfree.boot(npages=64, ncpus=1)
    uvm.cpus[0].pagealloc(zero=True)
    assert "".join(f"{line}\n" for line in vmstat_s(uvm.uvmexp.snapshot())) == LINES
    uvm.close()


def test_each_phrase_has_the_count_of_its_field() -> None:
    """Numbers that no two fields share, in the order of LINES."""
    numbers = {
        "npages": 1, "free": 2, "paging": 3, "zeropages": 4, "reserve_pagedaemon": 5, "reserve_kernel": 6,
        "freemin": 7, "freetarg": 8, "pga_zerohit": 9, "pga_zeromiss": 10, "zeroaborts": 11, "colorhit": 12,
        "colormiss": 13, "cpuhit": 14, "cpumiss": 15, "pdwoke": 16, "pdfreed": 17, "pdscans": 18, "pdpending": 19,
    }  # fmt: skip
    phrases = [line[10:] for line in LINES.splitlines()]
    snapshot: Any = SimpleNamespace(**numbers)
    assert list(vmstat_s(snapshot)) == [f"{number:9d} {phrase}" for number, phrase in enumerate(phrases, 1)]


def test_every_phrase_is_of_a_field() -> None:
    assert {name for name, _ in PHRASES} <= {field.name for field in fields(UvmExpSnapshot)}
