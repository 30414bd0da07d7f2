"""A page that was found with everything stopped is taken before anybody else may look."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from tests.uvm.designs.depots import boot, depot_of
from uvmfree.uvm.page import VmPage


def test_who_comes_right_after_a_rescue_does_not_have_its_page() -> None:
    """Else CPUs that are out of memory could take the last pages from each other for ever."""
    with closing(boot(npages=1024, ncpus=3)) as uvm:  # without threads: no daemon drains meanwhile
        depot, (thief, other, late) = depot_of(uvm), uvm.cpus
        while (pg := thief.pagealloc()) is not None:
            last = pg
        other.pagefree(last)
        trylocks, stopped, had = depot._others, depot.last._stopped, list[VmPage | None]()
        depot._others = [uvm.design.guard(index).handle("busy") for index in range(3)]
        depot._others[1].try_acquire = lambda: False

        @contextmanager
        def followed(needless: Callable[[], bool]) -> Iterator[bool]:
            with stopped(needless) as everything:
                yield everything
            if not had:
                depot._others = trylocks
                had.append(None)
                had[0] = late.pagealloc()

        depot.last._stopped = followed
        assert thief.pagealloc() is last
        assert had == [None]
        uvm.audit()
