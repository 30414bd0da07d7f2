"""What today's design and the proposal do to the letter, beyond the contract that binds every design."""

from collections.abc import Iterator

import pytest

import uvmfree
from tests.conformance.conftest import Boot, Contender, booting
from tests.conformance.steps import free_all, take
from tests.kern.tasks import WAIT_S


@pytest.fixture(params=[False, True], ids=["", "lockdebug"])
def boot(request: pytest.FixtureRequest, design: str) -> Iterator[Boot]:
    with booting(Contender(design, lockdebug=request.param)) as boot:
        yield boot


@pytest.fixture(params=["fpageqlock", "percpu"])
def design(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_redistribution_keeps_the_order(boot: Boot) -> None:
    """R2 and P8: a list is spliced onto the head of the global one as it is; other CPUs take the warmest first."""
    uvm = boot(npages=256)
    pages = [take(uvm.cpus[0], color=1) for _ in range(10)]
    free_all(uvm.cpus[0], pages)
    uvm.redistribute()
    assert [take(uvm.cpus[1], color=1) for _ in range(10)] == pages[::-1]


def test_what_free_counts_while_pages_are_cached(boot: Boot, design: str) -> None:
    """R3: today all free pages stand on the global list; in the proposal cached ones do not."""
    uvm = boot(npages=100)
    held = [take(uvm.cpus[0]) for _ in range(30)]
    free_all(uvm.cpus[1], held)
    cached = {"fpageqlock": 0, "percpu": 30}[design]
    assert uvm.cached_pages() == (0, cached)
    assert uvm.uvmexp.free == 100 - cached


def test_what_a_redistribution_moves(boot: Boot, design: str) -> None:
    """P8: all that a CPU has cached, and today nothing."""
    uvm = boot(npages=128)
    for index, cpu in enumerate(uvm.cpus):
        free_all(cpu, [take(cpu) for _ in range(10 + index)])
    moved = [uvm.redistribute(0), uvm.redistribute(), uvm.redistribute()]
    assert moved == {"fpageqlock": [0, 0, 0], "percpu": [10, 11, 0]}[design]
    assert uvm.uvmexp.free == 128
    assert sum(stats.drained - stats.filled for stats in uvm.cpu_stats()) == 0


def test_once_a_millisecond_is_often_enough_for_the_timer(boot: Boot) -> None:
    """P9: by the real clock each xc thread hands its CPU's pages back once an interval."""
    uvm = boot(npages=128, redistribute_interval_s=0.001)
    free_all(uvm.cpus[1], [take(uvm.cpus[0]) for _ in range(40)])
    give_up_ns = uvm.machine.clock_ns() + int(WAIT_S * 1e9)
    with uvm:
        while uvm.uvmexp.free < 128:
            assert uvm.machine.clock_ns() < give_up_ns
            uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: None), WAIT_S)
        assert uvm.cached_pages() == (0, 0)
        uvm.audit()


def test_the_locks_by_name(boot: Boot) -> None:
    """P2 and P3: the locks that lockstat knows, with those of the CPUs where the design has them."""
    names = {record.name for record in boot(lockstat=True).lockstat()}
    always = {"uvm_fpageqlock", "uvm_pageout_lock", "xcall"}
    assert always <= names <= always | {"uvm_cpu[0]", "uvm_cpu[1]"}


def test_what_the_two_say_of_themselves(boot: Boot, design: str) -> None:
    """Neither has traits that would let the contract ask less of it."""
    traits = boot().traits
    assert (traits.zeros, traits.lifo, traits.refill, traits.idle) == (True, True, 1, 0)
    if design == "fpageqlock":
        assert (traits.colors, traits.freed, traits.bound) == ("system", "both", 0)
        assert (traits.free, traits.short, traits.gate, traits.causes) == ("all", "all", "system", frozenset())
    else:
        assert (traits.colors, traits.freed, traits.bound) == ("cache", "cache", None)
        assert (traits.free, traits.short, traits.gate) == ("store", "store", "store")
        assert traits.causes == {"timer", "pressure", "explicit", "pglistalloc"}


@pytest.mark.parametrize(
    ("option", "trait", "claimed"),
    [
        ({"hoard_max": 7}, "bound", 7),
        ({"refill": 5}, "refill", 5),
        ({"search": "colour"}, "colors", "system"),
        ({"count_cached": True}, "short", "all"),
        ({"drain_retry": True}, "causes", {"timer", "pressure", "explicit", "retry", "pglistalloc"}),
    ],
    ids=["hoard_max", "refill", "search", "count_cached", "drain_retry"],
)
def test_an_option_of_the_proposal_changes_the_trait_that_it_touches(
    option: dict[str, object], trait: str, claimed: object
) -> None:
    plain, changed = Contender("percpu").traits(), Contender("percpu", option).traits()
    assert getattr(changed, trait) == claimed
    fields = uvmfree.Traits.__dataclass_fields__
    assert {name for name in fields if getattr(plain, name) != getattr(changed, name)} == {trait}
