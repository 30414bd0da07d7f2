"""Copies of a trace: they begin anywhere with what is live there, go round, and end with their time."""

from contextlib import ExitStack, nullcontext
from pathlib import Path

import pytest

import uvmfree
from tests.workload.recorder import trace_of
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.workload.copies import copies
from uvmfree.workload.driver import drive
from uvmfree.workload.replay import Runs, bodies
from uvmfree.workload.replay_plan import DO_FREE, DO_FREE_RUN, DO_GET, DO_RUN, Plan, plan
from uvmfree.workload.trace import Trace

SECONDS = 0.25
"""Time for three copies to go round twice, if there are processors to be had."""

LONGEST_S = 16.0
"""Time for that where many want them."""

NPAGES = 8192
"""RAM for six CPUs: no design hoards so much that one of them finds no page."""

AHEAD = 2 * 4
"""Pages that a CPU may have allocated before another has freed what comes earlier: a window, with a run in it."""


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """Pages that stay, pages that change CPUs, a run, and two pages that are live at the end."""
    events = []
    for pfn in range(1, 25):
        events.append(("alloc", pfn, pfn % 2, {}))
        if pfn > 4:
            events.append(("free", pfn - 4, (pfn // 3) % 2, {}))
        if pfn in (6, 15):
            events.append(("alloc", 64, 0, {"order": 2}))
        if pfn in (12, 20):
            events.append(("free", 64, 1, {"order": 2}))
    return trace_of(tmp_path_factory.mktemp("copies"), events)


@pytest.fixture(scope="module")
def looped(trace: Trace) -> Plan:
    return plan(trace, window=4, loop=True)


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_plan_that_loops_leaves_nothing_behind(design: str, looped: Plan) -> None:
    assert looped.allocs == looped.frees
    with uvmfree.boot(npages=64, ncpus=2, design=design, redistribute_interval_s=3600) as uvm:
        drive(uvm, bodies(looped, uvm))
        uvm.audit()
        uvm.redistribute()
        assert uvm.uvmexp.free == 64


@pytest.mark.sampled(4)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_copies_go_round_until_their_time_is_up(design: str, seed: int, looped: Plan) -> None:
    """No page is freed that was not there, none is lost, and what is live stays below the trace's peak."""
    seconds = SECONDS
    while (went := goes_round(design, looped, seed, seconds)) <= 2 and seconds < LONGEST_S:
        seconds *= 4
    assert went > 2


def goes_round(design: str, looped: Plan, seed: int, seconds: float) -> float:
    """Let three copies go round for a time, check what must hold; return how often the slowest CPU did."""
    with uvmfree.boot(ThreadsMachine(), npages=NPAGES, ncpus=6, design=design, redistribute_interval_s=3600) as uvm:
        drove = drive(uvm, copies(uvm, looped, 3, seed).bodies, seconds=seconds)
        uvm.audit()
        assert drove.wall_ns >= seconds * 1e9
        assert drove.failed == (0,) * 6
        assert not drove.interrupted
        ops = [cpu.allocs + cpu.frees for cpu in uvm.cpu_stats()]
        uvm.redistribute()
        assert NPAGES - uvm.uvmexp.free <= 3 * (looped.live_peak + AHEAD)
        return min(ops) / (looped.allocs + looped.frees)


def test_copies_begin_at_places_of_their_own_with_what_is_live_there(looped: Plan) -> None:
    with uvmfree.boot(npages=4096, ncpus=40, design="fpageqlock") as uvm:
        live = [4096 - uvm.uvmexp.free]
        for seed in range(5):
            copies(uvm, looped, 20, seed)
            live.append(4096 - uvm.uvmexp.free - sum(live))
        assert live[0] == 0
        assert all(0 < pages < 20 * looped.live_peak for pages in live[1:])
        assert len(set(live[1:])) > 1


def test_what_is_live_where_a_copy_begins_is_what_was_allocated_before_less_what_was_freed(tmp_path: Path) -> None:
    """Also where pages change CPUs within one window, and runs begin and end there."""
    events: list[tuple[str, int, int, dict[str, int]]] = []
    for pfn in range(1, 25):
        events += [("alloc", pfn, 0, {}), ("alloc", 100 + pfn, 0, {}), ("free", 100 + pfn, 1, {})]
        events += [("alloc", 256, 0, {"order": 2}), ("free", 256, 1, {"order": 2})]
        if pfn > 4:
            events.append(("free", pfn - 4, 1, {}))
    made = plan(trace_of(tmp_path, events), window=16, loop=True)
    live = [0]
    for epoch, _ in enumerate(made.programs[0].epochs):
        live.append(live[-1])
        for program in made.programs:
            part = slice(program.epochs[epoch - 1] if epoch else 0, program.epochs[epoch])
            for step, page in zip(program.steps[part], program.pages[part], strict=True):
                size = made.run_pages[page] if step >= DO_RUN else 1
                live[-1] += -size if step in (DO_FREE, DO_GET, DO_FREE_RUN) else size
    found = set()
    for seed in range(6 * len(live)):
        with uvmfree.boot(npages=256, ncpus=2, design="fpageqlock") as uvm:
            copies(uvm, made, 1, seed)
            found.add(256 - uvm.uvmexp.free)
    assert live[-1] == 0
    assert found == set(live[:-1])


def test_too_short_a_trace_and_too_little_memory_are_refused(trace: Trace, looped: Plan) -> None:
    with uvmfree.boot(npages=64, ncpus=6) as uvm:
        with pytest.raises(uvmfree.ArgumentError, match="half windows: 1, at least 4"):
            copies(uvm, plan(trace, window=100, loop=True), 3, 1)
        uvm.pglistalloc(62, nsegs=62)
        with pytest.raises(uvmfree.ArgumentError, match=r"npages=64: the [0-9]+ pages that are live when"):
            copies(uvm, looped, 3, 1)


def test_a_run_on_the_clock_ends_while_a_partner_waits(tmp_path: Path) -> None:
    """Who has nothing to do until another CPU gives it a page sleeps until the end, and no error comes of it."""
    events = [("alloc", pfn, 0, {}) for pfn in range(1, 40)] + [("free", pfn, 1, {}) for pfn in range(1, 40)]
    made = plan(trace_of(tmp_path, events), window=4, loop=True)

    class Slow(ThreadsMachine):
        def charge(self, ns: int) -> None:
            self.sleep(0.02)

    with uvmfree.boot(Slow(), npages=256, ncpus=2, redistribute_interval_s=3600) as uvm:
        drove = drive(uvm, copies(uvm, made, 1, 3).bodies, seconds=SECONDS)
        assert not any(drove.failed)
        uvm.audit()


def test_runs_that_are_live_when_copies_begin_lie_where_their_order_has_them(
    looped: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an allocator of blocks would give them: at a multiple of their length, whatever was allocated before."""
    begun: list[list[int]] = []
    monkeypatch.setattr(Runs, "begin_with", lambda self, run, pages: begun.append([pg.pfn for pg in pages]))
    with uvmfree.boot(npages=4096, ncpus=40, design="fpageqlock") as uvm:
        uvm.pglistalloc(1)
        for seed in range(5):
            copies(uvm, looped, 20, seed)
    assert begun
    for frames in begun:
        assert frames == list(range(frames[0], frames[0] + 4))
        assert frames[0] % 4 == 0
    assert len({frames[0] for frames in begun}) == len(begun)


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_what_is_played_before_takes_the_time_that_it_takes_where_somebody_looks(design: str, looped: Plan) -> None:
    """A CPU that is played alone takes its lock by a short way, which no figure shows; not where locks are traced."""

    def played(locktrace: bool, started: bool) -> tuple[object, ...]:
        machine = uvmfree.VirtualMachine(ncpus=6, seed=3, lockstat=True, locktrace=locktrace)
        uvm = uvmfree.boot(machine, npages=NPAGES, ncpus=6, design=design)
        with ExitStack() as running:
            if started:
                running.enter_context(uvm)
            load = copies(uvm, looped, 3, 3, machine.acts_as, before=64)
            began_ns = machine.clock_ns()
            running.enter_context(uvm if not started else nullcontext())
            drive(uvm, load.bodies, seconds=1e-5)
            return began_ns, machine.clock_ns(), uvm.free_frames(), uvm.cpu_stats()

    for started in (False, True):
        assert played(False, started) == played(True, started)
