"""What the faults of a stress run do to a system that only notes what is done to it, and what they find wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.errors import ArgumentError, BindError, OutOfPages, XcallError
from uvmfree.stress import faults
from uvmfree.stress.fault import Fault
from uvmfree.stress.faults import ExhaustionFault, HotplugFault, StormFault, SwapwriteFault, XcallFault
from uvmfree.stress.shared import StressError
from uvmfree.stress.stamps import EXHAUSTION


class Struck:
    """A system of so many CPUs with a clock, below a fault. `done`: what was done to it; `bits`: what is drawn."""

    def __init__(self, ncpus: int = 4) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.now_ns = 0
        self.naps: list[float] = []
        self.stopped = False
        self.refuses = True
        self.machine = SimpleNamespace(clock_ns=lambda: self.now_ns, sleep=self.sleep)
        self.uvm = SimpleNamespace(
            param=SimpleNamespace(ncpus=ncpus, npages=64),
            uvmexp=SimpleNamespace(free=0),
            cpus=[SimpleNamespace(pagealloc=self.pagealloc) for _ in range(ncpus)],
            xcall=SimpleNamespace(broadcast=self.note("broadcast"), unicast=self.note("unicast")),
            **{name: self.note(name) for name in ("detach", "attach", "recolor", "redistribute", "kick_pdaemon")},
            pagefree=self.note("pagefree"),
        )
        self.xc_wait: Callable[[Any], object] = self.note("xc_wait")

    def note(self, name: str) -> Any:
        def noted(*args: Any) -> str:
            self.done.append((name, *args))
            return f"ticket of {name}"

        return noted

    def pagealloc(self) -> None:
        if self.refuses:
            raise BindError("detached")

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)
        self.naps.append(seconds)

    def nap(self, seconds: float) -> bool:
        self.sleep(seconds)
        return self.stopped

    def brief_ns(self, seconds: float) -> int:
        return round(seconds * 1e9)

    def rest_s(self) -> float:
        return 0.0


def inject(fault: Fault, run: Struck, *bits: int) -> bool:
    """Inject it once, with these numbers drawn."""
    drawn: Iterator[int] = iter(bits)
    fault._bits = lambda width: next(drawn)
    shared: Any = run
    done = fault.inject(shared)
    assert list(drawn) == []
    return done


def test_how_often_each_fault_strikes() -> None:
    """Seconds between two injections, from and to."""
    assert {name: kind.pause_s for name, kind in faults.FAULTS.items()} == {
        "xcall": (0.005, 0.03),
        "stall": (0.3, 0.6),
        "swapwrite": (0.5, 1.0),
        "exhaustion": (3.0, 6.0),
        "storm": (0.05, 0.2),
        "hotplug": (0.02, 0.1),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("storm,all", "'all' stands alone; give all, none, or some of xcall,"),
        ("none,storm", "'none' stands alone;"),
        ("storm,hail", "'hail' is no fault;"),
        ("storm, storm", "storm is given twice"),
    ],
)
def test_what_names_no_faults_is_told_why(text: str, said: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        faults.parse_faults(text)
    assert str(refused.value).startswith(f"--faults {text}: {said}")


@pytest.mark.parametrize(("recolour", "colours"), [(0, [("recolor", 8)]), (1, [])])
def test_a_cpu_is_away_for_some_milliseconds_and_pages_are_recoloured_now_and_then(
    recolour: int, colours: list[Any]
) -> None:
    run, fault = Struck(), HotplugFault()
    assert inject(fault, run, 6, 8, recolour, 31)
    assert run.done == [("detach", 2), *colours, ("attach", 2)]
    assert run.naps == [0.031]
    assert (fault.injected, [text for _, text in fault.events]) == (1, ["CPU 2 detached"])


def test_a_single_cpu_stays_and_colours_change() -> None:
    run, fault = Struck(ncpus=1), HotplugFault()
    assert inject(fault, run, 6, 4)
    assert (run.done, run.naps) == ([("recolor", 16)], [])
    assert [text for _, text in fault.events] == ["16 colours"]


def test_a_detached_cpu_that_allocates_is_found_and_comes_back() -> None:
    run = Struck()
    run.refuses = False
    with pytest.raises(StressError, match=r"CPU 3 is detached, and allocates \(Q13\)"):
        inject(HotplugFault(), run, 3, 0)
    assert run.done == [("detach", 3), ("attach", 3)]


def calling(run: Struck, answer: Callable[[BaseException], BaseException | None]) -> None:
    """Have the first ticket carry what is made of the error that its call raises; the second one's call runs."""
    called: list[Any] = []

    def send(function: object, to: int | None = None) -> int:
        called.append((to, function))
        return len(called)

    run.uvm.xcall.broadcast = run.uvm.xcall.unicast = send

    def xc_wait(ticket: int) -> None:
        to, function = called[ticket - 1]
        run.done.append(("waited", to))
        try:
            function(SimpleNamespace(index=1))
        except BaseException as error:  # noqa: BLE001 - one of them is no Exception on purpose
            if (made := answer(error)) is not None:
                raise made from made.__cause__

    run.xc_wait = xc_wait


def caused(error: BaseException) -> XcallError:
    made = XcallError("it raised")
    made.__cause__ = error
    return made


@pytest.mark.parametrize(
    ("to", "kind", "where", "said"),
    [
        (3, 1, 3, "InjectedError on CPU 3"),
        (4, 0, None, "InjectedExit on all CPUs"),
        (5, 1, 0, "InjectedError on CPU 0"),
    ],
)
def test_a_call_raises_on_one_cpu_or_on_all_and_another_one_runs(
    to: int, kind: int, where: int | None, said: str
) -> None:
    run, fault = Struck(), XcallFault()
    calling(run, caused)
    assert inject(fault, run, to, kind)
    assert run.done == [("waited", where), ("waited", None)]
    assert [text for _, text in fault.events] == [said]


def test_an_error_that_its_ticket_loses_or_mixes_up_is_found() -> None:
    lost, mixed = Struck(), Struck()
    calling(lost, lambda error: None)
    with pytest.raises(StressError, match=r"a cross-call raised on CPU 2, and xc_wait\(\) did not"):
        inject(XcallFault(), lost, 2, 1)
    calling(mixed, lambda error: caused(ValueError("another")))
    with pytest.raises(StressError, match="not the error of the call on all CPUs"):
        inject(XcallFault(), mixed, 4, 1)


def test_a_call_to_a_detached_cpu_is_no_injection() -> None:
    run, fault = Struck(), XcallFault()

    def unicast(function: object, to: int) -> None:
        raise ArgumentError("detached")

    run.uvm.xcall.unicast = unicast
    assert not inject(fault, run, 2, 1)
    assert (fault.injected, run.done) == (0, [])


def test_a_storm_lasts_for_ten_to_forty_milliseconds() -> None:
    """Each round here takes five; the caches are handed back, the daemon kicked, and every xc thread does so, too."""
    run, fault = Struck(), StormFault()
    run.xc_wait = lambda ticket: run.sleep(0.005)
    assert inject(fault, run, 7)
    assert [text for _, text in fault.events] == ["4 rounds"]
    assert [name for name, *_ in run.done] == ["broadcast", "redistribute", "kick_pdaemon"] * 4
    ((_, function), *_) = run.done
    run.done.clear()
    function(SimpleNamespace(index=2))
    assert run.done == [("redistribute", 2)]


class Stamps:
    """Stands for a stamper."""

    def __init__(self, uvm: Any) -> None:
        self.uvm = uvm

    def stamp(self, *how: Any) -> None:
        self.uvm.stamps.append(("stamp", *how))

    def check(self, *how: Any) -> None:
        self.uvm.stamps.append(("check", *how))


def test_all_memory_is_taken_by_halves_held_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a second and a half; where there is none it tries again each five milliseconds."""
    monkeypatch.setattr(faults, "Stamper", Stamps)
    run, fault = Struck(), ExhaustionFault()
    run.uvm.stamps, run.uvm.uvmexp.free = [], 5
    wanted: list[tuple[int, int]] = []

    def pglistalloc(want: int, nsegs: int) -> list[str]:
        wanted.append((want, nsegs))
        if run.uvm.uvmexp.free == 0:
            raise OutOfPages("none")
        run.uvm.uvmexp.free -= want
        return [f"page {len(wanted)}.{at}" for at in range(want)]

    run.uvm.pglistalloc = pglistalloc
    assert inject(fault, run, 1 << 15)
    assert wanted[:4] == [(2, 2), (1, 1), (1, 1), (1, 1)]
    assert run.naps == [0.005] * 300
    assert [text for _, text in fault.events] == [
        "all memory is taken for 1.5 s",
        "5 of 64 pages were taken; they go back",
    ]
    pages = ["page 1.0", "page 1.1", "page 2.0", "page 3.0", "page 4.0"]
    owned = [(pg, EXHAUSTION, version) for version, pg in enumerate(pages)]
    assert run.uvm.stamps == [("stamp", *one) for one in owned] + [("check", *one) for one in owned]
    assert run.done == [("pagefree", pg) for pg in pages]


def test_all_writes_fail_for_a_fifth_of_a_second() -> None:
    run, fault = Struck(), SwapwriteFault()
    seen = []

    def nap(seconds: float) -> bool:
        seen.append((seconds, fault.broken))
        fault.failed += 3
        return False

    run.nap = nap  # type: ignore[method-assign]
    fault.failed = 4
    assert inject(fault, run)
    assert (seen, fault.broken, fault.injected) == ([(0.2, True)], False, 1)
    assert [text for _, text in fault.events] == ["all writes fail", "3 writes failed"]


@pytest.mark.parametrize(("counted", "wrong"), [(4, False), (3, True), (5, True)])
def test_a_map_counts_each_write_that_failed(counted: int, wrong: bool) -> None:
    fault = SwapwriteFault()
    fault.failed = 4
    shared: Any = SimpleNamespace(
        anons=[SimpleNamespace(stats=lambda: SimpleNamespace(swap_write_errors=counted)), SimpleNamespace()]
    )
    if wrong:
        with pytest.raises(StressError, match=f"4 writes to swap failed, the map counts {counted}"):
            fault.finish(shared)
    else:
        fault.finish(shared)
    assert fault.details() == {"writes": 4}
