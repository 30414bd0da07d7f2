"""Words that others change at the same time: each swap is tallied, and so is each that came too late."""

from collections.abc import Callable
from typing import Any

import pytest

from uvmfree.uvm.trees import FREE, RESERVED, Counts, Tally


class Contended:
    """A word that another one changes just before each of the first swaps: it counts one down there."""

    def __init__(self, word: int, others: int) -> None:
        self.words, self.others = [word], others

    def view(self) -> list[int]:
        return self.words

    def swapper(self) -> Callable[[int, int, int], bool]:
        return self._swap

    def _swap(self, at: int, was: int, becomes: int) -> bool:
        if self.others:
            self.others -= 1
            self.words[at] -= 1
        if self.words[at] != was:
            return False
        self.words[at] = becomes
        return True


@pytest.mark.parametrize(
    ("call", "others", "got", "word"),
    [
        (lambda counts: counts.down(0), 0, 8, 7),
        (lambda counts: counts.down(0), 3, 5, 4),
        (lambda counts: counts.add(0, 4), 2, 6, 10),
        (lambda counts: counts.take(0, 5), 3, True, 0),
        (lambda counts: counts.take(0, 5), 4, False, 4),
        (lambda counts: counts.clear(0, 8), 0, True, 0),
        (lambda counts: counts.clear(0, 8), 1, False, 7),
        (lambda counts: counts.change(0, 8, 1), 1, False, 7),
    ],
)
def test_swaps_and_those_that_came_too_late_are_tallied(
    call: Callable[[Counts], object], others: int, got: object, word: int
) -> None:
    words: Any = Contended(8, others)
    tally = Tally()
    assert call(Counts(words, tally)) == got
    assert words.words == [word]
    ended = got is not False
    assert (tally.swaps, tally.retries) == (int(ended), others)


def test_a_word_that_counts_none_gives_none_whatever_else_it_says() -> None:
    words: Any = Contended(RESERVED, 0)
    tally = Tally()
    assert Counts(words, tally).down(0) == 0
    assert words.words == [RESERVED]
    assert (RESERVED & FREE, tally.swaps, tally.retries) == (0, 0, 0)
