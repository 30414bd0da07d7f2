"""The first command asks for nothing, answers for more CPUs too, and does only as much as there is time for."""

import time

import pytest
from click.testing import CliRunner

from uvmfree.cli import cli, first_command
from uvmfree.cli.first_command import COUNTS, ENDS, print_curve, that_fit, time_is_up
from uvmfree.measure import workloads
from uvmfree.uvm.designs import SHOWN


@pytest.mark.parametrize(
    ("words", "first"), [([], True), (["--repetitions", "5"], False), (["--workload", "trace"], False)]
)
def test_it_is_the_first_command_only_with_nothing_asked_for(words: list[str], first: bool) -> None:
    with cli.commands["bench"].make_context("bench", list(words)):
        assert first_command.is_it() is first


def test_repetitions_end_before_one_more_as_long_as_the_last_would_take_too_long() -> None:
    """The first, which does more, says nothing about the next; what it took counts."""
    now = 100.0
    is_up = time_is_up(20.0, lambda: now)
    found = []
    for took_s in (12.0, 3.0, 2.5, 2.5):
        now += took_s
        found.append(is_up())
    assert found == [False, False, False, True]  # 12, 15 + 3, 17.5 + 2.5, 20 + 2.5


def test_a_first_repetition_that_takes_all_the_time_is_the_only_one() -> None:
    now = 0.0
    is_up = time_is_up(20.0, lambda: now)
    now = 20.5
    assert is_up()


@pytest.mark.parametrize(
    ("strands", "took_s", "left_s", "fit"),
    [
        ("greenlet", 7.2, 5.4, [32, 16, 4, 2]),  # 0.1 s for each CPU, and 54 CPUs
        ("greenlet", 7.2, 5.3, [32, 16, 4]),
        ("greenlet", 7.2, 4.7, [32, 4, 2]),
        ("greenlet", 7.2, 3.1, [16, 4, 2]),
        ("greenlet", 40.0, 1.2, [2]),
        ("greenlet", 40.0, 0.5, []),
        ("greenlet", 40.0, -10.0, []),
        ("baton", 4.0, 8.6, [64, 16, 4, 2]),  # 86 CPUs
        ("baton", 20.0, 10.0, [16, 4]),
    ],
)
def test_the_other_counts_are_those_for_which_there_is_time(
    strands: str, took_s: float, left_s: float, fit: list[int]
) -> None:
    assert (ENDS, COUNTS) == ({"greenlet": (8, 64), "baton": (8, 32)}, (64, 32, 16, 8, 4, 2))
    assert that_fit(ENDS[strands], took_s, left_s) == fit


@pytest.mark.parametrize(
    ("left_s", "rows", "left_out"),
    [(1000.0, [1, 2, 3], []), (0.0, [1, 3], ["Left out for want of time: 2 CPUs; `uvmfree scale` runs them."])],
)
def test_the_curve_has_its_ends_and_says_what_it_leaves_out(
    left_s: float,
    rows: list[int],
    left_out: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(first_command, "KIND", "pingpong")  # a trace takes more of the host's time
    monkeypatch.setattr(first_command, "ENDS", {"greenlet": (1, 3), "baton": (1, 3)})
    monkeypatch.setattr(first_command, "COUNTS", (3, 2, 1))
    print_curve(left_s)
    printed = capsys.readouterr().out.splitlines()
    found = [int(line.split()[0]) for line in printed if line[:5].strip().isdigit()]
    assert found == rows
    assert [line for line in printed if line.startswith("Left out")] == left_out
    assert printed[1].startswith("pingpong, ")
    assert all(f"{design}: " in "\n".join(printed) for design in SHOWN)


@pytest.mark.rotated(3)
def test_the_curve_has_what_is_left_of_the_time_after_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[float] = []
    monkeypatch.setattr(first_command, "is_it", lambda: True)
    monkeypatch.setattr(first_command, "ALL_S", 1000.0)
    monkeypatch.setattr(first_command, "print_curve", left.append)
    monkeypatch.setattr(workloads, "PINGPONG_PAGES", 500)
    began_s = time.perf_counter()
    CliRunner().invoke(cli, ["bench", "--workload", "pingpong", "--repetitions", "1"], catch_exceptions=False)
    assert 1000 - (time.perf_counter() - began_s) <= left.pop() < 999.9
