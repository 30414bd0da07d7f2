"""The exit code of `uvmfree stress`, by how its runs ended, and which designs have their turn; no run is played."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from uvmfree.cli import cli
from uvmfree.measure.stress_run import StressRun
from uvmfree.stress import supervised
from uvmfree.stress.supervised import Options

FINE, BROKEN = {"wall_s": 1.0}, {"wall_s": 1.0, "errors": ("it broke",), "file": "somewhere"}
HUNG = BROKEN | {"hung": True}


class Ended(BaseException):
    """Stands for the end of the process at once."""


@pytest.fixture
def stress(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Result, list[Options]]]:
    """Have the run of each design end like that; return what was said, and the options of each run."""

    def stress(*runs: dict[str, Any], args: tuple[str, ...] = (), by: int = 0) -> tuple[Result, list[Options]]:
        asked: list[Options] = []

        def play(options: Options, design: str, **how: object) -> StressRun:
            asked.append(options)
            if by:
                signal.raise_signal(by)
            return StressRun(design, **runs[len(asked) - 1])

        def end(status: int) -> None:
            raise Ended(status)

        monkeypatch.setattr(supervised, "stress", play)
        monkeypatch.setattr(os, "_exit", end)
        record = () if "--seeds" in args else ("--json", "-")  # in the place of tables
        command = ["stress", "--design", "percpu", "--design", "depot", *record, *args]
        return CliRunner().invoke(cli, command), asked

    return stress


Stress = Callable[..., tuple[Result, list[Options]]]


@pytest.mark.parametrize(
    ("runs", "by", "status", "played"),
    [
        ((FINE, FINE), 0, 0, 2),
        ((BROKEN, FINE), 0, 1, 2),
        ((FINE, BROKEN), 0, 1, 2),
        ((FINE, FINE), signal.SIGINT, 130, 1),
        ((FINE, FINE), signal.SIGTERM, 143, 1),
        ((BROKEN, FINE), signal.SIGINT, 1, 1),  # what was found is worth more
    ],
)
def test_what_was_found_and_who_broke_it_off_is_told_by_the_exit_code(
    stress: Stress, runs: tuple[dict[str, Any], ...], by: int, status: int, played: int
) -> None:
    result, asked = stress(*runs, by=by)
    assert (result.exit_code, len(asked)) == (status, played)


def test_a_run_that_hangs_is_the_last_and_ends_the_process_at_once(stress: Stress) -> None:
    with pytest.raises(Ended, match=r"^1$"):
        stress(HUNG, FINE)


@pytest.mark.parametrize(("args", "seed"), [(("--seed", "0"), 0), (("--seed", "7"), 7)])
def test_a_seed_is_the_one_that_was_asked_for(stress: Stress, args: tuple[str, ...], seed: int) -> None:
    _, asked = stress(FINE, FINE, args=args)
    assert [options.seed for options in asked] == [seed, seed]


@pytest.mark.parametrize(
    ("args", "seconds", "npages"),
    [((), 10.0, 2048), (("--machine", "virtual"), 0.02, 1024), (("--seconds", "0.5", "--npages", "300"), 0.5, 300)],
)
def test_how_long_and_with_how_many_pages(stress: Stress, args: tuple[str, ...], seconds: float, npages: int) -> None:
    _, asked = stress(FINE, FINE, args=args)
    assert (asked[0].seconds, asked[0].npages) == (seconds, npages)


@pytest.mark.parametrize(
    "args",
    [
        ("--seed", "0"),
        ("--vmstat",),
        ("-l",),
        ("--format", "netbsd"),
        ("--json", "-"),
    ],
)
def test_many_seeds_keep_no_record(
    stress: Stress, args: tuple[str, ...], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result, asked = stress(args=("--machine", "virtual", "--seeds", "1-2", *args))
    assert asked == []
    assert str(result.exception) == "--seeds: keeps no record; give one --seed for that"
