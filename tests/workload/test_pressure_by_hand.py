"""What pressure does and counts, and how a page is waited for: on a clock by hand, in a system that only notes it."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.errors import ArgumentError, AuditError, OutOfPages
from uvmfree.workload.load import WAIT_S, Load, pagealloc_waiting
from uvmfree.workload.pressure import RUN_EVERY, RUN_PAGES, TOUCHES, pressure

NCPUS, NPAGES, ROUNDS, ACCESS_NS = 3, 1000, 4 * RUN_EVERY, 10_000


class Noting:
    """A system and its machine: an access takes 10 us; every other run of pages is not to be had."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.param = SimpleNamespace(npages=NPAGES, ncpus=NCPUS)
        self.machine: Any = self
        self.touched: list[tuple[int, bool]] = []
        self.held: Counter[int] = Counter()
        self.runs_asked = self.npages = self.waits = 0
        self.out_every = 0

    def clock_ns(self) -> int:
        return self.now_ns

    def disk(self, transfer: Any) -> Any:
        return transfer

    def anon_memory(self, npages: int, swap_pages: int, **how: Any) -> "Noting":
        self.npages = npages
        return self

    def touch(self, cpu: object, index: int, *, write: bool) -> None:
        self.now_ns += ACCESS_NS
        self.touched.append((index, write))
        if self.out_every and len(self.touched) % self.out_every == 0:
            raise OutOfPages("none")

    def pglistalloc(self, npages: int, alignment: int) -> list[int]:
        assert alignment == npages == RUN_PAGES
        self.runs_asked += 1
        if self.runs_asked % 2 == 0:
            raise OutOfPages("no run")
        pages = [self.runs_asked * RUN_PAGES + page for page in range(RUN_PAGES)]
        self.held.update(pages)
        return pages

    def pglistfree(self, pages: list[int]) -> None:
        self.held.subtract(pages)
        assert min(self.held.values(), default=0) >= 0, "a run is freed twice"


def played(system: Any, cpus: int = NCPUS) -> tuple[Load, list[list[tuple[int, bool]]]]:
    """Play CPUs one after the other, each for the rounds; return the load, and what each touched."""
    load = pressure(system, ROUNDS * TOUCHES * ACCESS_NS / 1e9)
    touched = []
    for index in range(cpus):
        lane: Any = SimpleNamespace(index=index, stopped=False)
        system.touched = []
        load.bodies[index](None, lane)  # type: ignore[arg-type]
        touched.append(system.touched)
    return load, touched


def test_each_cpu_has_addresses_of_its_own_and_half_of_them_write() -> None:
    _, touched = played(Noting())
    addresses = [[index for index, _ in each] for each in touched]
    assert addresses[0] != addresses[1] != addresses[2] != addresses[0]
    assert [{write for _, write in each} for each in touched] == [{True}, {False}, {True}]
    assert [len(each) for each in touched] == [ROUNDS * TOUCHES] * NCPUS
    assert played(Noting())[1] == touched


def test_the_map_is_half_as_large_again_as_memory_and_all_of_it_is_accessed() -> None:
    system = Noting()
    _, touched = played(system)
    assert system.npages == NPAGES * 3 // 2
    assert NPAGES < max(index for each in touched for index, _ in each) < system.npages


def test_a_run_is_held_until_the_next_is_asked_for_and_none_at_the_end() -> None:
    system = Noting()
    load, _ = played(system, 1)
    assert system.runs_asked == ROUNDS // RUN_EVERY
    assert not +system.held
    assert load.counts() == {
        "runs_asked": 4, "runs_met": 2, "runs_failed": 2, "runs_pages": 2 * RUN_PAGES, "out_of_pages": 0,
    }  # fmt: skip


def test_accesses_that_get_no_page_are_counted_and_go_on() -> None:
    system = Noting()
    system.out_every = 10
    load, touched = played(system, 1)
    assert len(touched[0]) == ROUNDS * TOUCHES
    assert load.counts()["out_of_pages"] == ROUNDS * TOUCHES // 10


@pytest.mark.parametrize("seconds", [0.01, 3600])
def test_the_shortest_and_the_longest_time_are_taken(seconds: float) -> None:
    assert len(pressure(Noting(), seconds).bodies) == NCPUS  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"must be from 0\.01 to 3600"):
        pressure(Noting(), seconds * (1.01 if seconds > 1 else 0.99))  # type: ignore[arg-type]


@pytest.mark.parametrize("zero", [False, True])
def test_who_waits_for_a_page_gets_what_it_asked_for_and_each_wait_counts_once(zero: bool) -> None:
    clock = iter(range(0, 10**6, 1000))
    waited: list[float] = []
    asked: list[bool] = []

    def pagealloc(zero: bool = False) -> Any:
        asked.append(zero)
        return "a page" if len(asked) == 4 else None

    system: Any = SimpleNamespace(machine=SimpleNamespace(clock_ns=lambda: next(clock)), wait=waited.append)
    lane: Any = SimpleNamespace(index=0, failed=0, stall_ns=0, stopped=False)
    cpu: Any = SimpleNamespace(pagealloc=pagealloc)
    assert pagealloc_waiting(system, cpu, lane, zero) == "a page"
    assert (asked, waited) == ([zero] * 4, [WAIT_S] * 3)
    assert (lane.failed, lane.stall_ns) == (3, 3 * 1000)


def test_a_map_is_looked_at_before_its_pages_are_let_go_and_after() -> None:
    did: list[str] = []
    anons: Any = SimpleNamespace(audit=lambda: did.append("audit"), free_all=lambda cpu: did.append(f"free by {cpu}"))
    system: Any = SimpleNamespace(cpus=["CPU 0", "CPU 1"])
    Load(system, [], anons).release()
    assert did == ["audit", "free by CPU 0", "audit"]

    def wrong() -> None:
        raise AuditError(["wrong"])

    anons.audit = wrong
    with pytest.raises(AuditError):
        Load(system, [], anons).release()
    assert len(did) == 3, "nothing is freed that is not in order"
