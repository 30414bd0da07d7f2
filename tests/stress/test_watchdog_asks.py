"""When the watchdog asks what threads got of the processors, and from when on that counts; on a clock by hand."""

from tests.stress.test_watchdog import Clock
from uvmfree.stress.counted_time import TimeThatCounts
from uvmfree.stress.turns_got import Got
from uvmfree.stress.watchdog import Watchdog


class Watched:
    """A run whose threads get all that they want; `asked_s`: when the watchdog asked what that was."""

    def __init__(self) -> None:
        self.clock, self.done, self.asked_s = Clock(), 0, list[float]()
        self.dog = Watchdog(self.clock.ns, lambda: self.done, tuple, 5, got=self.got)
        self.asked_s.clear()

    def got(self) -> Got:
        self.asked_s.append(self.clock.now_s)
        return Got(frozenset({1}), self.clock.ns(), 0)

    def look(self, now_s: float, *, got_on: bool = False) -> str | None:
        self.clock.now_s = now_s
        self.done += got_on
        return self.dog.still()


def test_it_asks_ten_times_in_its_patience_and_only_while_nothing_gets_on() -> None:
    watched = Watched()
    for now_s in (0.25, 0.5, 0.75, 1.0):
        assert watched.look(now_s) is None
    assert watched.asked_s == [0.5, 1.0]
    watched.look(1.25)
    watched.look(1.375, got_on=True)
    watched.look(1.75)  # so long since it got on, and not since it was asked
    assert watched.asked_s == [0.5, 1.0]
    watched.look(1.875)
    assert watched.asked_s == [0.5, 1.0, 1.875]


def test_what_threads_got_before_something_got_on_says_nothing_of_the_time_after() -> None:
    """Until it was asked once, half of the time counts: 0.45 s, and then 0.9 s each time."""
    watched = Watched()
    assert watched.look(0.9) is None
    assert watched.look(1.0, got_on=True) is None
    found = [watched.look(1.0 + 0.9 * turn) for turn in range(1, 8)]
    assert found == [None] * 6 + ["no progress for 5 s"]


def test_time_between_two_questions_counts_for_a_turn_at_most() -> None:
    clock = Clock()
    time = TimeThatCounts(clock.ns, None, turn_ns=100)
    counted = []
    for now_ns in (40, 140, 1140, 1150):
        clock.now_s = now_ns / 1e9
        counted.append(time.ns())
    assert counted == [40, 140, 240, 250]
