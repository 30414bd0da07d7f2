"""The table of a scaling curve as it is printed, on points made up by hand."""

from dataclasses import replace

import pytest

from tests.measure.curves import curve, point
from uvmfree.measure.scale import Traffic
from uvmfree.report.curve_text import lines


def test_work_waiting_and_a_bar_as_long_as_the_share_of_linear() -> None:
    """A bar of 18 signs is all of linear; more than that is drawn as much."""
    text = lines(
        curve(
            *(point("percpu", n, 1000 * n, wait_ns=n * 5000) for n in (1, 4)),
            *(point("fpageqlock", n, done, wait_ns=n * 400_000) for n, done in ((1, 1000), (4, 2000), (8, 9000))),
        )
    )
    assert list(text)[2:] == [
        "",
        "      percpu                             fpageqlock",
        " CPUs work of waiting                    work of waiting",
        "    1     1.0   0.5 % ##################     1.0  40.0 % ##################",
        "    4     4.0   0.5 % ##################     2.0  40.0 % #########",
        f"    8{'':40}9.0  40.0 % ##################",
        "",
        "percpu: above 90 % of linear up to 4 CPUs.",
        "fpageqlock: below 90 % of linear from 4 CPUs, above half of it up to 8.",
    ]


@pytest.mark.parametrize(("waited_ns", "said"), [(None, False), (9_999 * 4, False), (10_000 * 4, True)])
def test_waiting_for_words_is_told_from_one_percent_on(waited_ns: int | None, said: bool) -> None:
    """It is in no column: few designs do so, and they stop scaling with a wait share of nothing."""
    text = " ".join(lines(curve(*(point("openbsd_magazine", n, 1000 * n, words_wait_ns=waited_ns) for n in (1, 4)))))
    told = "At 4, words that all update are waited for 1.0 % of the time, beside the locks."
    assert (told in " ".join(text.split())) is said


@pytest.mark.parametrize(("designs", "bars", "signs"), [(2, [2], 9), (3, [3], 4), (4, [3, 1], 4)])
def test_three_designs_have_shorter_bars_and_a_fourth_stands_below(designs: int, bars: list[int], signs: int) -> None:
    """Half of linear is half a bar."""
    names = ("fpageqlock", "percpu", "depot", "xnu")[:designs]
    points = [point(name, n, done) for name in names for n, done in ((1, 1000), (2, 1000))]
    text = list(lines(curve(*points)))
    heads = [line.split() for line in text if line.split() and set(line.split()) <= set(names)]
    assert [len(head) for head in heads] == bars
    rows = [[bar for bar in line.split() if "#" in bar] for line in text if line.startswith("    2 ")]
    assert rows == [["#" * signs] * bar for bar in bars]
    assert max(map(len, text)) <= 80


def test_a_design_with_tunables_takes_more_columns_and_the_rows_follow() -> None:
    """Rather than its name moving those of its neighbours."""
    names = ("percpu, refill=8, hoard_max=512", "depot", "freebsd_pgcache, bucket_max=16")
    text = list(lines(curve(*(point(name, n, 1000 * n) for name in names for n in (1, 128)))))
    heads = [line for line in text if line.lstrip().startswith(names)]
    assert heads[0].split() == [*names[0].split(), names[1]]
    at = text.index(heads[0])
    shown, rows = text[at + 1], text[at + 2 : at + 4]
    assert [shown.index("work of"), shown.rindex("work of")] == [6, heads[0].index("depot")]
    for row in rows:
        assert row[heads[0].index("depot") :].split()[-1].startswith("#")
        assert row[heads[0].index("depot") - 1] == " "
    assert max(map(len, text)) <= 80


def test_seeds_that_follow_each_other_are_a_range() -> None:
    def head(*seeds: int) -> str:
        text = list(lines(curve(*(point("percpu", 1, 9, seed=seed) for seed in seeds))))
        return " ".join(text[: text.index("")])

    assert head(7).endswith(", seed 7")
    assert head(7, 8).endswith(", seeds 7, 8")
    assert head(7, 8, 9).endswith(", seeds 7 to 9")
    assert head(7, 8, 10).endswith(", seeds 7, 8, 10")


def test_the_head_says_what_takes_the_place_of_the_linear_line() -> None:
    """Without gaps in the load: nobody knows then what the fewest CPUs lose by waiting."""
    from_one, from_four = (curve(point("percpu", n, 1000 * n), point("percpu", 8, 8000)) for n in (1, 4))
    assert "count as" not in " ".join(lines(from_one))
    assert "; 4 CPUs count as 4, whatever they wait" in " ".join(lines(from_four))


def test_the_head_says_that_one_cpu_frees_all_pages() -> None:
    made = point("percpu", 1, 1000)
    serial = replace(made, case=replace(made.case, traffic=Traffic("forkexit")))
    assert "so the load itself does not scale" in " ".join(lines(curve(serial)))
    assert "does not scale" not in " ".join(lines(curve(made)))
