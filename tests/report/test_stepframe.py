"""The bars of a step: what stayed, came and went, as long as there is room."""

from collections import Counter

import pytest

from uvmfree.measure.explain import Step, Where
from uvmfree.report.stepframe import frame, plain
from uvmfree.report.steps import sentences
from uvmfree.uvm.page import Place
from uvmfree.workload.story import Act

STORE, USE = Where(Place.GLOBAL, None), Where(Place.ALLOCATED, None)


def bars(was: tuple[int, int], now: tuple[int, int], room: int) -> list[str]:
    """The lines of a step in which two CPUs' lists, and the store, came to be so long."""
    before, after = (
        Counter(
            {Where(Place.CACHED, cpu): pages for cpu, pages in enumerate(lists)} | {STORE: 40, USE: 60 - sum(lists)}
        )
        for lists in (was, now)
    )
    act = Act("Idle", "wait", seconds=1.0)
    step = Step(3, act, 0, 0, 0, 0, 0, before, after, Counter(), True, True, (), (), 0)
    head, *lines = frame(step, 9, 2, room + 30)
    assert head == "Step 3 of 9: Idle"
    return lines


@pytest.mark.parametrize(
    ("was", "now", "room", "said", "unit"),
    [
        ((0, 3), (0, 3), 50, ("      0", "      3         ###"), 1),
        ((3, 5), (5, 3), 50, ("      5      +2 ###++", "      3      -2 ###--"), 1),
        ((9, 9), (0, 10), 4, ("      0      -9 ---", "     10      +1 ##+"), 4),  # less than a sign of difference
        ((16, 10), (16, 9), 4, ("     16         ####", "      9      -1 ##-"), 4),
        ((16, 1), (16, 0), 4, ("     16         ####", "      0      -1 -"), 4),
        ((17, 0), (17, 0), 4, ("     17         ###", "      0"), 8),
    ],
)
def test_lists_are_bars_of_one_unit(
    was: tuple[int, int], now: tuple[int, int], room: int, said: tuple[str, str], unit: int
) -> None:
    first, second, store, use, *units = bars(was, now, room)
    assert [first, second] == [f"{f'CPU {cpu} list':<14}{text}" for cpu, text in enumerate(said)]
    elsewhere = 2 if room == 50 else 32  # of 100 pages in all
    assert store == f"{'shared store':<14}{40:>7}{'':>8} {'#' * -(-40 // elsewhere)}"
    assert use.split()[:3] == ["in", "use", f"{60 - sum(now)}"]
    told = " ".join(" ".join(units).split())
    assert told.startswith(f"# stays, + comes, - goes; a sign is {unit} on a CPU's list, {elsewhere} elsewhere")


def test_a_cache_that_cpus_share_shows_where_it_has_pages_or_had() -> None:
    shared = Where(Place.CACHED, None)
    for was, now in ((0, 0), (5, 0), (0, 5), (5, 5)):
        before, after = (Counter({STORE: 40, shared: pages, USE: 60 - pages}) for pages in (was, now))
        act = Act("Idle", "wait", seconds=1.0)
        step = Step(3, act, 0, 0, 0, 0, 0, before, after, Counter(), True, True, (), (), 0)
        rows = [text.split()[:3] for text in frame(step, 9, 2, 80) if text.startswith("shared cache")]
        assert rows == ([["shared", "cache", str(now)]] if was or now else [])
        said = " ".join(" ".join(plain(step, 2, 80)).split())
        assert ("shared cache" in said) == bool(was or now)


def test_a_low_terminal_shows_what_happened_and_no_lists_without_pages() -> None:
    lists = {Where(Place.CACHED, 9): 7}
    pages = Counter({STORE: 40, USE: 53} | lists)
    act = Act("Idle", "wait", seconds=1.0)
    step = Step(3, act, 0, 0, 0, 0, 0, pages, pages, Counter(), True, True, (), (), 0)
    high = frame(step, 9, 16, 80, 22)
    assert sum(text.startswith("CPU ") for text in high) == 16
    low = frame(step, 9, 16, 80, 21)
    assert [text.rstrip("#").split() for text in low[1:3]] == [
        ["CPU", "9", "list", "7"],
        ["15", "empty", "lists", "0"],
    ]
    assert low[3:] == high[17:]
    assert low[-1] == "A second passes, and no CPU does anything. No page moves."


@pytest.mark.parametrize(
    ("pages", "done", "reserve", "said"),
    [
        (1, 0, 4, "The 4 pages in the shared store are the kernel's reserve."),
        (1, 0, 3, ""),
        (None, 9, 2, "The 2 pages in the shared store are the kernel's reserve."),
        (None, 9, 1, ""),
    ],
)
def test_what_is_left_in_the_store_is_the_reserve_or_something_else(
    pages: int | None, done: int, reserve: int, said: str
) -> None:
    """A single allocation that fails found the store as it was; several that end so left 2 of 4 pages there."""
    was, now = Counter({STORE: 4, USE: 60}), Counter({STORE: 2, USE: 62})
    act = Act("None left", "alloc", (0,), pages)
    step = Step(3, act, done, 1, 0, 0, 0, was, now, Counter(), True, True, (), (), reserve)
    told = sentences(step)
    assert ("in the shared store" in told) == bool(said)
    assert said in told
