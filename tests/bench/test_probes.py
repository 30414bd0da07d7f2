"""What the probes of open questions say: in the unit that they name, by a clock whose every reading is known."""

import itertools

import pytest

import bench.probes as probes


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probe systems of 1,024 pages, with a clock that goes on by 3 ms between two readings."""
    monkeypatch.setattr(probes, "NPAGES", 1024)
    fill = probes.fill
    monkeypatch.setattr(probes, "fill", lambda uvm, pages=100: fill(uvm, pages))
    ticks = itertools.count(0, 3_000_000)
    monkeypatch.setattr(probes, "perf_counter_ns", lambda: next(ticks))


def test_ordinary_allocations_leave_the_reserve_and_with_it_one_page_stays() -> None:
    """Q7: 1,024 pages for 2 CPUs, of which 10 are the kernel's and one the daemon's."""
    got, cached = {}, {}
    for record in probes.reserves():
        (got if record.id == "q7-got" else cached)[record.claim.rpartition(": ")[2]] = record.measured
    assert got == {"fpageqlock": 9, "percpu": 9}
    assert cached == {"fpageqlock": 0, "percpu": 400}


def test_a_call_is_in_microseconds_and_what_it_leaves_in_pages() -> None:
    """Q8: a run is found beside full caches, or after they were handed back, when nothing is left in them."""
    found = {(record.id, record.claim.rpartition(": ")[2]): record.measured for record in probes.contiguous(2, 1)}
    assert {name: us for (id, name), us in found.items() if id == "q8-us"} == {
        "the store's lock": 3000,
        "drain first": 3000,
    }
    left = {name: pages for (id, name), pages in found.items() if id == "q8-left"}
    assert left["drain first"] == 0
    assert left["the store's lock"] == 400


def test_a_pair_is_in_nanoseconds() -> None:
    """Q9: 1,000 pairs between two readings."""
    assert [record.measured for record in probes.colours(1000, 1)] == [3000, 3000]


def test_processor_time_is_in_milliseconds_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Q10: 2 ms in 10."""
    ticks = itertools.count(0, 0.002)
    monkeypatch.setattr(probes, "process_time", lambda: next(ticks))
    assert [record.measured for record in probes.idle(0.01, 1)] == pytest.approx([200.0] * 6)


def test_what_stops_everything_is_in_milliseconds() -> None:
    """Q13: recolour, detach and attach, in either design."""
    found = {record.claim.rpartition(": ")[2]: record.measured for record in probes.hotplug(2)}
    assert found == {
        f"{design}, {what}": 3.0 for design in ("fpageqlock", "percpu") for what in ("recolour", "detach", "attach")
    }
