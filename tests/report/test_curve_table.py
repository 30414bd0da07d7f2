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
            *(
                point("fpageqlock", n, done, wait_ns=n * 400_000, held_ns=n * 121_000)
                for n, done in ((1, 1000), (4, 2000), (8, 9000))
            ),
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
        "Shared locks are held on 4 CPUs: percpu 0.0 % of the time; on 8 CPUs: fpageqlock",
        "  96.8 % of the time.",
        "percpu: above 90 % of linear up to 4 CPUs.",
        "fpageqlock: below 90 % of linear from 4 CPUs, above half of it up to 8.",
    ]


def test_shared_locks_are_held_for_the_median_of_the_seeds_at_the_most_cpus() -> None:
    points = [point("fpageqlock", 4, 9, held_ns=100_000 * seed, seed=seed) for seed in (1, 2, 6)]
    text = list(lines(curve(point("fpageqlock", 1, 9, held_ns=900_000), *points, point("depot", 4, 9, held_ns=500))))
    held = "Shared locks are held on 4 CPUs: fpageqlock 20.0 % of the time, depot 0.1 %."
    assert [line for line in text if line.startswith("Shared")] == [held]


def test_several_locks_may_be_held_longer_than_the_time_and_that_is_said() -> None:
    text = lines(curve(point("netbsd10", 2, 9, held_ns=1_500_000)))
    held = "Shared locks are held on 2 CPUs: netbsd10 150.0 % of the time; several are added up."
    assert held in " ".join(" ".join(text).split())


@pytest.mark.parametrize(
    ("done", "low", "high", "said"),
    [
        (
            (1000, 1700, 2500),
            (1000, 1950, 2000),
            (1000, 1900, 3000),
            "from 2 CPUs, above half of it up to 4. With costs halved or doubled: below 90 % first at 2 to 4 CPUs; "
            "work of 2.0 to 3.0 on 4.",
        ),
        (
            (1000, 2000, 3900),
            (2000, 4000, 7800),
            (1000, 1700, 3000),
            "up to 4 CPUs. With costs halved or doubled: below 90 % first at 2 CPUs, or not up to 4; "
            "work of 3.0 to 3.9 on 4.",
        ),
        (
            (1000, 2000, 4000),
            (2000, 4000, 8000),
            (500, 1000, 2000),
            "up to 4 CPUs. With costs halved or doubled: the same; work of 4.0 on 4.",
        ),
    ],
)
def test_a_band_says_where_a_design_falls_below_linear_if_costs_are_others(
    done: tuple[int, ...], low: tuple[int, ...], high: tuple[int, ...], said: str
) -> None:
    """Each with its own costs against its own linear line."""
    points = [
        point("percpu", ncpus, operations, changed=changed, varied=bool(changed))
        for changed, each in (({}, done), ({"line_remote": 60.0}, low), ({"line_remote": 240.0}, high))
        for ncpus, operations in zip((1, 2, 4), each, strict=True)
    ]
    assert " ".join(" ".join(lines(curve(*points))).split()).endswith(f" 90 % of linear {said}")


def test_costs_with_which_a_curve_is_not_whole_say_nothing_of_where_it_falls() -> None:
    """As in a curve that was interrupted."""
    plain = [point("percpu", ncpus, 1000 * ncpus) for ncpus in (1, 2)]
    alone = point("percpu", 2, 100, changed={"line_remote": 60.0}, varied=True)
    assert list(lines(curve(*plain, alone)))[-1] == "percpu: above 90 % of linear up to 2 CPUs."


def test_with_no_costs_as_they_are_nothing_is_said_of_locks() -> None:
    text = list(lines(curve(point("percpu", 2, 100, changed={"line_remote": 60.0}, varied=True))))
    assert text[-1] == "percpu: no point was measured with these costs."
    assert not any(line.startswith("Shared") for line in text)


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
