"""The curve of the first command, where nothing is measured: what it has time for, and how it ends if broken off."""

import signal
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.cli import first_command
from uvmfree.cli.first_command import ALL_S, RUNS_S, print_curve
from uvmfree.measure.scale import Case
from uvmfree.report import curve_text

Curves = Callable[..., list[list[int]]]


@pytest.fixture
def curves(monkeypatch: pytest.MonkeyPatch) -> Curves:
    """Have each round of the curve take a second and measure nothing; return the CPU counts of each, to be filled."""

    def curves(*, interrupted: bool = False, by: int = 0) -> list[list[int]]:
        found: list[list[int]] = []
        seconds = iter(range(100))

        def measure(cases: list[Case], stop: object, *, rounds: Iterable[list[Case]]) -> Any:
            found.extend(sorted({case.ncpus for case in part}) for part in rounds)
            if by:
                signal.raise_signal(by)
            return SimpleNamespace(interrupted=interrupted)

        monkeypatch.setattr(first_command, "time", SimpleNamespace(perf_counter=lambda: float(next(seconds))))
        monkeypatch.setattr(first_command, "measured_curve", measure)
        monkeypatch.setattr(first_command, "strands", lambda: "greenlet")
        monkeypatch.setattr(curve_text, "lines", lambda curve: ["a curve"])
        return found

    return curves


def test_a_first_answer_takes_less_than_a_minute() -> None:
    assert 2 * RUNS_S <= ALL_S < 60


@pytest.mark.parametrize(
    ("cpus", "more", "left_out"),
    [
        (54, [2, 4, 16, 32], ""),
        (46, [2, 4, 32], "16"),
        (5, [4], "2, 16, 32"),
        (0, [], "2, 4, 16, 32"),
    ],
)
def test_what_the_ends_took_is_no_longer_there(
    cpus: int, more: list[int], left_out: str, curves: Curves, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ends, of 72 CPUs, took a second; of what is left there is time for so many."""
    rounds = curves()
    print_curve(1.0 + cpus / 72 + 1e-9)
    assert rounds == [[8, 64], more]
    said = f"\nLeft out for want of time: {left_out} CPUs; `uvmfree scale` runs them.\n" if left_out else ""
    assert capsys.readouterr().out == f"\na curve\n{said}"


@pytest.mark.parametrize(("by", "status"), [(0, 1), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_curve_that_is_broken_off_is_printed_and_no_success(
    by: int, status: int, curves: Curves, capsys: pytest.CaptureFixture[str]
) -> None:
    curves(interrupted=True, by=by)
    with pytest.raises(SystemExit) as ended:
        print_curve(0.0)
    assert (ended.value.code, capsys.readouterr().out) == (status, "\na curve\n")
