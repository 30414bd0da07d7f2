"""A trace in less memory than it needs: it ends, all of it is done, and every stamp is checked on the way."""

from pathlib import Path

import pytest

import uvmfree
from tests.threads.programs import quiet
from tests.workload.perf_lines import line, read
from uvmfree.uvm.anonpage import AnonState
from uvmfree.workload.driver import drive
from uvmfree.workload.replay_plan import plan
from uvmfree.workload.shortage import shortage
from uvmfree.workload.trace import Trace


def a_trace(tmp_path: Path, npages: int) -> Trace:
    """Allocate pages on two CPUs and free half of them on the other one, half of the rest where they came from."""
    events = [("alloc", 1000 + page, page % 2, 0) for page in range(npages)]
    events.insert(npages // 2, ("alloc", 64, 0, 4))
    events += [("free", 1000 + page, (page + 1) % 2, 0) for page in range(0, npages, 2)]
    events += [("free", 1000 + page, page % 2, 0) for page in range(1, npages, 4)]
    events.append(("free", 64, 1, 4))
    return read(
        tmp_path,
        "".join(
            line(kind, hex(pfn), cpu=cpu, us=us, order=order) for us, (kind, pfn, cpu, order) in enumerate(events)
        ),
    )


@pytest.mark.sampled(1)
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_r18_a_trace_of_twice_the_memory_is_replayed_whole(design: str, tmp_path: Path) -> None:
    """What the trace leaves allocated is resident or in swap, what it frees is gone; runs are no part of the map."""
    npages = 2048
    made = plan(a_trace(tmp_path, npages))
    assert (made.live_peak, made.run_live_peak) == (npages + 16, 16)
    uvm = uvmfree.boot(npages=npages // 2, ncpus=2, pagesize=512, design=design)
    load = shortage(uvm, made)
    anons = load.anons
    assert anons is not None
    with uvm:
        failed = drive(uvm, load.bodies).failed
        assert sum(failed) == 0
        assert load.settle() == 0
        stats = anons.stats()
        assert stats.faults == npages
        assert stats.pgswapout >= npages // 4
        assert stats.pgswapin == 0
        left = [index for index in range(anons.npages) if anons.state(index) is not AnonState.UNTOUCHED]
        assert len(left) == npages // 4
        for index in left:
            anons.touch(uvm.cpus[0], index)  # checks its stamps
        load.settle()
        load.release()
        quiet(uvm)  # the daemon may have a clean page in hand, parted from its anon and not freed yet
        uvm.redistribute()
        uvm.audit()
        assert uvm.uvmexp.free == uvm.param.npages


@pytest.mark.rotated(2)
def test_an_allocation_that_gets_no_page_has_failed_and_its_free_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than RAM and nothing to reclaim, as swap is broken: counted, and the run ends."""
    monkeypatch.setattr("uvmfree.workload.shortage.PATIENCE_S", 0.002)
    uvm = uvmfree.boot(npages=256, ncpus=2, pagesize=512)
    monkeypatch.setattr(uvm, "anon_memory", lambda npages, swap, **how: type(uvm).anon_memory(uvm, npages, 0, **how))
    load = shortage(uvm, plan(a_trace(tmp_path, 600)))
    with uvm:
        done = drive(uvm, load.bodies)
        assert sum(done.failed) > 0
        assert not done.interrupted
        load.settle()
        load.release()
        uvm.audit()
