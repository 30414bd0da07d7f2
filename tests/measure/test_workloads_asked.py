"""What each synthetic workload asks for, on so many CPUs, and how much memory is too little for it."""

from dataclasses import replace

import pytest

from uvmfree.errors import ArgumentError
from uvmfree.measure.machine_facts import VIRTUAL, MachineFacts
from uvmfree.measure.workloads import (
    Workload,
    by_name,
    check_fits,
    forkexit,
    handoff,
    pingpong,
    pressure,
)
from uvmfree.uvm.uvmexp import tune
from uvmfree.workload.synthetic import BURST_PAGES, PARCEL_PAGES, PARCELS_MAX


def asked(workload: Workload) -> tuple[int | None, int | None, int]:
    return workload.page_operations, workload.allocations, workload.live_pages


def test_each_page_is_allocated_and_freed_and_counts_twice() -> None:
    """In virtual time a tenth of the work is enough."""
    parcels = PARCEL_PAGES * (PARCELS_MAX + 2)
    assert asked(pingpong(3)) == (600_000, 300_000, 3 * BURST_PAGES)
    assert asked(pingpong(3, 0)) == (60_000, 30_000, 3 * BURST_PAGES)
    assert asked(handoff(6)) == (240_000, 120_000, 3 * parcels)
    assert asked(handoff(6, 1000)) == (24_000, 12_000, 3 * parcels)
    assert asked(forkexit(4)) == (2 * 100 * 256 * 4, 100 * 256 * 4, 9 * 256)
    assert asked(forkexit(4, 7)) == (2 * 10 * 256 * 4, 10 * 256 * 4, 9 * 256)
    assert (asked(pressure(2, 0.5))[:2], pressure(2, 0.5).asked()) == ((None, None), {})
    assert pingpong(3).asked() == {"page_operations": 600_000, "allocations": 300_000}
    assert [forkexit(4, 7).name, pressure(2, 0.5).name] == [
        "forkexit, 7 ns outside between operations",
        "pressure, 0.5 s",
    ]


@pytest.mark.parametrize(("kind", "ncpus"), [("pressure", 4), ("forkexit", 4), ("pingpong", 2), ("handoff", 2)])
def test_so_many_cpus_where_none_are_named(kind: str, ncpus: int) -> None:
    assert by_name(kind).ncpus == ncpus
    assert by_name(kind, ncpus=6).ncpus == 6


def test_in_virtual_time_memory_grows_with_what_a_load_holds_and_with_the_cpus() -> None:
    on = MachineFacts(VIRTUAL, "xeon-2s", lock="ttas", think_ns=1000)
    assert by_name("pingpong", ncpus=2, on=on).npages == 65_536
    assert by_name("pingpong", ncpus=200, on=on).npages == 200 * (BURST_PAGES + 1024)
    assert by_name("pressure", ncpus=2, on=on).npages == 4096
    assert by_name("pingpong", ncpus=2).npages is None


def test_what_is_live_and_the_kernel_reserve_have_to_fit() -> None:
    """The reserve of two CPUs is ten pages."""
    workload = replace(pingpong(2), live_pages=500)
    check_fits(workload, 510, 4096)
    for npages in (12, 509):
        with pytest.raises(
            ArgumentError,
            match=rf"^npages={npages}: pingpong on 2 CPUs has 500 pages live at once, and 10 are kept in reserve "
            "beside them; give 510 pages$",
        ):
            check_fits(workload, npages, 4096)


def test_the_pagedaemon_has_to_have_pages_to_sleep_by() -> None:
    target = tune(1000, 2, 4096).freetarg
    check_fits(replace(pingpong(2), live_pages=1000 - target), 1000, 4096, sleeps=True)
    with pytest.raises(
        ArgumentError,
        match=rf"has {1001 - target} pages live at once, and the pagedaemon would work all the time to have {target} "
        "free beside them; give 1001 pages$",
    ):
        check_fits(replace(pingpong(2), live_pages=1001 - target), 1000, 4096, sleeps=True)


@pytest.mark.parametrize("pagesize", [512, 4096, 65_536])
@pytest.mark.parametrize("live", [0, 5000, 100_000])
@pytest.mark.parametrize("ncpus", [1, 2, 64, 150, 512])
def test_the_number_that_is_told_is_enough_and_none_between_is(ncpus: int, live: int, pagesize: int) -> None:
    """The target grows with RAM, so that what lacks today is not what lacks then."""
    workload = replace(pingpong(ncpus), live_pages=live)
    with pytest.raises(ArgumentError) as told:
        check_fits(workload, 1, pagesize, sleeps=True)
    enough = int(str(told.value).split()[-2])
    check_fits(workload, enough, pagesize)
    check_fits(workload, enough, pagesize, sleeps=True)
    for npages in (1, (1 + enough) // 2, enough - 1):
        assert live + tune(npages, ncpus, pagesize).freetarg > npages
