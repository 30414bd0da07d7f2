"""Claims: booting 1,000,000 pages takes at most 2 s, and at most 150 bytes of Python memory a page.

How: boot() of both designs in turn, with the garbage collector as it is in use; closing, which frees the pages, is
not timed. Of each repetition the slower design counts. Memory is taken apart from time, because tracing slows: what
tracemalloc says stands allocated after a boot less what stood before, divided by the pages; of the designs the worst.

What could fool it: what is left of the system before, so each is closed and collected first; RAM itself, which is an
anonymous mapping and no Python memory, 4 KiB for each page that is touched (a boot touches none); and the heap, which
tracemalloc sees as what was asked for, not as what the allocator rounds it up to: the process's growth is printed.

What a page is made of: the object with its five fields, 72 bytes; its frame number, an int of 28 bytes, or 48 on a
free-threaded build; 8 bytes for each list that it stands on, which are one or two free lists and that of all pages.
"""

import gc
import mmap
import sys
import tracemalloc
from functools import partial
from pathlib import Path
from time import perf_counter

from bench.harness import REPETITIONS, Claim, Record, interleaved, main, spread
from uvmfree.uvm.boot import boot
from uvmfree.uvm.designs import PAIR

SECONDS = Claim("boot-1m-seconds", "boot() of 1,000,000 pages, the slower design", "seconds", 2.0)
BYTES = Claim("boot-bytes-per-page", "Python memory after boot(), the larger design", "bytes a page", 150)

PAGES, PAGES_SMOKE = 1_000_000, 100_000


def seconds(design: str, pages: int) -> float:
    """Time one boot."""
    gc.collect()
    began = perf_counter()
    uvm = boot(npages=pages, design=design)
    took = perf_counter() - began
    uvm.close()
    return took


def bytes_per_page(design: str, pages: int) -> float:
    """Return what tracemalloc sees of one boot."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        uvm = boot(npages=pages, design=design)
        after, peak = tracemalloc.get_traced_memory()
        uvm.close()
    finally:
        tracemalloc.stop()
    print(f"  {design:<12} {(after - before) / pages:.1f} bytes a page, {(peak - before) / pages:.1f} at the peak")
    return (after - before) / pages


def resident_bytes() -> int:
    """Return how much memory this process has."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * mmap.PAGESIZE


def bench(smoke: bool) -> list[Record]:
    """Weigh each design once, then time them in turn."""
    pages = PAGES_SMOKE if smoke else PAGES
    before = resident_bytes()
    uvm = boot(npages=pages)
    print(f"  the process grew by {(resident_bytes() - before) / pages:.0f} bytes a page")
    uvm.close()
    taken = interleaved(
        {design: partial(seconds, design, pages) for design in PAIR},
        1 if smoke else REPETITIONS,
        warm_up=not smoke,
    )
    for design, values in taken.items():
        print(f"  {design:<12} {spread(values, 3)} s for {pages:,} pages")
    weights = [bytes_per_page(design, pages) for design in PAIR]
    slower = [max(values) for values in zip(*taken.values(), strict=True)]
    return [SECONDS.record(slower, judged=not smoke), BYTES.record([max(weights)], judged=not smoke)]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
