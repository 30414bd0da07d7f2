"""Which design a seed is played on: that follows from the seed, wherever a range begins, so that it can be told."""

from collections.abc import Callable
from concurrent.futures import Executor, Future

from uvmfree.measure.stress_run import StressRun
from uvmfree.stress.seeds import Seeds, play_seeds
from uvmfree.stress.supervised import Options


class Noting(Executor):
    """Plays nothing: notes what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int | None, str]] = []

    def submit(self, play: Callable[..., object], /, *args: object, **kwargs: object) -> Future[StressRun]:  # type: ignore[override]
        options, design = args
        assert isinstance(options, Options)
        assert isinstance(design, str)
        self.asked.append((options.seed, design))
        future = Future[StressRun]()
        future.set_result(StressRun(design))
        return future


def test_a_seed_has_the_same_design_in_every_range_that_has_it() -> None:
    played = {}
    for seeds in (range(3, 10), range(5, 7), range(6, 7)):
        noting, seen = Noting(), Seeds()
        for _ in play_seeds(seen, seeds, Options(), ("a", "b", "c"), noting, 1, lambda: False):  # type: ignore[arg-type]
            pass
        assert (seen.runs, seen.last) == (len(seeds), seeds[-1])
        played[seeds] = noting.asked
    assert played[range(3, 10)] == [(seed, "abc"[seed % 3]) for seed in range(3, 10)]
    assert played[range(5, 7)] == [(5, "c"), (6, "a")]
    assert played[range(6, 7)] == [(6, "a")]


def test_four_runs_are_handed_out_for_each_that_is_under_way_and_what_is_left_is_called_off() -> None:
    noting, seen = Noting(), Seeds()
    asked = iter([False, False, True])
    play = play_seeds(seen, range(1, 100), Options(), ("a",), noting, 2, lambda: next(asked))
    next(play)
    assert [seed for seed, _ in noting.asked] == list(range(1, 9))
    next(play)
    assert [seed for seed, _ in noting.asked] == list(range(1, 10))
    assert list(play) == []
    assert (seen.runs, seen.last, seen.interrupted) == (2, 2, True)
