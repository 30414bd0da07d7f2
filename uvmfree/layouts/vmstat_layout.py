"""The counters of a system in the words and the layout of `vmstat -s`."""

from collections.abc import Iterator
from typing import Final

from uvmfree.uvm.uvmexp import UvmExpSnapshot

PHRASES: Final = (
    ("npages", "pages managed"),
    ("free", "pages free"),
    ("paging", "pages paging"),
    ("zeropages", "zero pages"),
    ("reserve_pagedaemon", "reserve pagedaemon pages"),
    ("reserve_kernel", "reserve kernel pages"),
    ("freemin", "minimum free pages"),
    ("freetarg", "target free pages"),
    ("pga_zerohit", "pagealloc zero wanted and avail"),
    ("pga_zeromiss", "pagealloc zero wanted and not avail"),
    ("zeroaborts", "aborts of idle page zeroing"),
    ("colorhit", "pagealloc desired color avail"),
    ("colormiss", "pagealloc desired color not avail"),
    ("cpuhit", "pagealloc local cpu avail"),
    ("cpumiss", "pagealloc local cpu not avail"),
    ("pdwoke", "times daemon wokeup"),
    ("pdfreed", "pages freed by daemon"),
    ("pdscans", "pages scanned by daemon"),
    ("pdpending", "total pending pageouts"),
)
"""Field of struct uvmexp_sysctl, and how vmstat(1) calls it."""


def vmstat_s(snapshot: UvmExpSnapshot) -> Iterator[str]:
    """Yield the lines of `vmstat -s`, as far as it speaks of pages and the pagedaemon."""
    for field, phrase in PHRASES:
        yield f"{getattr(snapshot, field):9d} {phrase}"
