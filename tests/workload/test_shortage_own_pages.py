"""A trace in little memory: each allocation of each CPU has a page of the map to itself."""

from pathlib import Path

import uvmfree
from tests.workload.perf_lines import line, read
from uvmfree.uvm.anonpage import AnonState
from uvmfree.workload.driver import drive
from uvmfree.workload.replay_plan import plan
from uvmfree.workload.shortage import shortage

EACH = (5, 9, 3, 7)
"""Pages that each CPU allocates and keeps."""
GIVEN = 4
"""Pages that CPU 0 allocates, and CPU 3 frees."""


def test_four_cpus_share_no_page_of_the_map(tmp_path: Path) -> None:
    """Had two CPUs one, there would be a fault less; had it no place of its own, it would lie beyond the map."""
    events = [("alloc", 100 * (cpu + 1) + page, cpu) for cpu, npages in enumerate(EACH) for page in range(npages)]
    events += [("alloc", 900 + page, 0) for page in range(GIVEN)]
    events += [("free", 900 + page, 3) for page in range(GIVEN)]
    lines = (line(kind, hex(pfn), cpu=cpu, us=us) for us, (kind, pfn, cpu) in enumerate(events))
    made = plan(read(tmp_path, "".join(lines)))
    uvm = uvmfree.boot(npages=256, ncpus=4, pagesize=512)
    load = shortage(uvm, made)
    anons = load.anons
    assert anons is not None
    with uvm:
        done = drive(uvm, load.bodies)
        assert sum(done.failed) == 0
        stats = anons.stats()
        assert (stats.npages, stats.swpages) == (sum(EACH) + GIVEN, sum(EACH) + GIVEN)
        assert (stats.faults, stats.flt_przero) == (sum(EACH) + GIVEN, sum(EACH) + GIVEN)
        kept = [index for index in range(stats.npages) if anons.state(index) is not AnonState.UNTOUCHED]
        assert kept == list(range(sum(EACH)))
        load.settle()
        load.release()
