"""What threads could have done, by what they got of the processors: counted with clocks that the test sets."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.kern.tasks import await_event
from tests.stress.test_rests_and_survivals import shared_on
from tests.stress.test_watchdog import Clock
from tests.uvm.machines import ClockMachine
from uvmfree.errors import XcallTimeout
from uvmfree.kern.xcall import Ticket
from uvmfree.stress.counted_time import TimeThatCounts
from uvmfree.stress.shared import TICKET_S
from uvmfree.stress.turns_got import Got, got
from uvmfree.stress.watchdog import Watchdog

ALWAYS = frozenset({1, 2})


class Host:
    """Ten looks of the watchdog in a second, in which threads run and wait for so much of a second."""

    def __init__(self, ran: float, waited: float) -> None:
        self.clock, self.ran, self.waited, self.threads = Clock(), ran, waited, ALWAYS
        self.each: tuple[int, ...] = ()
        self.done = 0
        self.dog = Watchdog(self.clock.ns, lambda: self.done, lambda: self.each, 5, 0.1, self.got)

    def got(self) -> Got:
        return Got(self.threads, self.clock.ns() * self.ran // 1, self.clock.ns() * self.waited // 1)  # type: ignore[arg-type]

    def reports_after_s(self, bound_s: int = 100) -> float | None:
        """Return when it says that something stands still, or None."""
        for turn in range(10 * bound_s):
            self.clock.now_s = turn / 10
            if self.dog.still() is not None:
                return self.clock.now_s
        return None


@pytest.mark.parametrize(
    ("ran", "waited", "least_s", "most_s"),
    [
        (0.0, 0.0, 5, 6),  # everybody sleeps
        (2.0, 0.0, 5, 6),  # they spin, on processors of their own
        (0.01, 0.2, 5, 8),  # a few wake up now and then, on a busy host
        (1.0, 1.0, 9, 12),  # they got half of what they wanted
        (0.02, 50.0, 9, 12),  # all are ready, and none gets a processor
    ],
)
def test_what_stands_still_is_reported_by_what_the_threads_got(
    ran: float, waited: float, least_s: float, most_s: float
) -> None:
    reported_s = Host(ran, waited).reports_after_s()
    assert reported_s is not None
    assert least_s < reported_s < most_s


def test_threads_that_start_one_after_the_other_get_on() -> None:
    """Nothing else does: a CPU's thread begins when all threads of the system have started."""
    host = Host(0.01, 100.0)
    for turn in range(2000):  # a thread every 8 s
        host.clock.now_s, host.threads = turn / 10, frozenset(range(turn // 80))
        assert host.dog.still() is None


@pytest.mark.parametrize(("steps_s", "least_s", "most_s"), [(1000, 19.9, 21), (20, 19.9, 21), (1, 390, 430)])
def test_one_cpu_has_the_time_in_which_the_others_get_on(steps_s: int, least_s: float, most_s: float) -> None:
    """Two CPUs that do ten steps a second each, on average, have processors enough; one step is a twentieth of it."""
    host = Host(0.1, 50.0)
    reported_s = 0.0
    for turn in range(10 * 500):
        host.clock.now_s = turn / 10
        host.done = steps_s * turn // 10
        host.each = (host.done, 0)
        if host.dog.still() is not None:
            reported_s = host.clock.now_s
            break
    assert least_s < reported_s < most_s


def test_time_counts_by_processor_time_and_a_quarter_at_least() -> None:
    clock, processor = Clock(), Clock()
    time = TimeThatCounts(clock.ns, processor.ns)
    clock.now_s, processor.now_s = 10.0, 7.0
    assert time.ns() == 7_000_000_000
    clock.now_s = 20.0
    assert time.ns() == 9_500_000_000
    clock.now_s, processor.now_s = 21.0, 9.0
    assert time.ns() == 10_500_000_000


@pytest.mark.parametrize(("share", "after_s"), [(1.0, TICKET_S), (0.01, 100 * TICKET_S)])
def test_a_cross_call_has_the_processor_time_that_its_threads_got(share: float, after_s: float) -> None:
    machine = ClockMachine(now_s=0.0)
    shared: Any = shared_on(machine, processor_ns=lambda: round(machine.clock_ns() * share))

    class Never:
        def wait(self, ticket: Ticket, timeout_s: float) -> None:
            machine.now_s += timeout_s
            raise XcallTimeout("not yet")

    xcall, shared.uvm.xcall = shared.uvm.xcall, Never()
    with pytest.raises(XcallTimeout, match="has not run on 2 of 2 CPUs after 10 s of processor time"):
        shared.xc_wait(Ticket({0, 1}))
    assert machine.now_s == pytest.approx(after_s, abs=1)
    shared.uvm.xcall = xcall
    shared.uvm.close()


def test_what_threads_got_is_read_without_the_one_that_asks() -> None:
    end, begun = threading.Event(), threading.Event()
    native: list[int] = []

    def sleep() -> None:
        native.append(threading.get_native_id())
        begun.set()
        await_event(end)

    thread = threading.Thread(target=sleep)
    thread.start()
    await_event(begun)
    found = got()
    end.set()
    thread.join()
    if found is None:
        pytest.skip("this kernel keeps no schedstat")
    assert native[0] in found.threads
    assert os.getpid() not in found.threads


def test_a_system_that_does_not_tell_is_known(tmp_path: Path) -> None:
    assert got(str(tmp_path / "none")) is None
    (tmp_path / "1").mkdir()
    assert got(str(tmp_path)) is None


def test_what_all_threads_got_is_added_up_and_one_that_has_ended_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for thread, line in ((999_999_001, "10 200 3\n"), (999_999_002, "4 50 6\n")):
        (tmp_path / str(thread)).mkdir()
        (tmp_path / str(thread) / "schedstat").write_text(line)
    threads = ["999999001", "999999003", "999999002"]  # the second one was there when it was listed
    monkeypatch.setattr(os, "listdir", lambda folder: threads)
    assert got(str(tmp_path)) == Got(frozenset({999_999_001, 999_999_002}), ran_ns=14, waited_ns=250)
