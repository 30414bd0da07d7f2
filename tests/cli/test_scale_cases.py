"""Which points `uvmfree scale` asks for, and its exit code where it is broken off; nothing is measured."""

import signal
import sys
from collections.abc import Callable

import pytest

from tests.cli.conftest import Said
from uvmfree.measure.curve import Curve
from uvmfree.measure.host import host
from uvmfree.measure.scale import Case

Run = Callable[..., Said]
Asked = list[Case]


@pytest.fixture
def scale(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Asked]]:
    """Run `uvmfree scale ARGS...` by a curve that has no points; return its exit code, and the points asked for."""

    def scale(*args: str, interrupted: bool = False, by: int = 0) -> tuple[int, Asked]:
        asked: Asked = []

        def measure(cases: Asked, stop: object, scheduler: object) -> Curve:
            asked.extend(cases)
            if by:
                signal.raise_signal(by)
            return Curve(host(), (), interrupted=interrupted)

        monkeypatch.setattr(sys.modules["uvmfree.cli.scale"], "measured_curve", measure)
        said = run("scale", "--json", "-", *args)
        return said.status, asked

    return scale


Scale = Callable[..., tuple[int, Asked]]


@pytest.mark.parametrize(
    ("args", "seeds"),
    [((), {1}), (("--seed", "0"), {0}), (("--seed", "0", "--seeds", "3"), {0, 1, 2}), (("--seeds", "2"), {1, 2})],
)
def test_seeds_follow_the_first(scale: Scale, args: tuple[str, ...], seeds: set[int]) -> None:
    status, asked = scale("--cpus", "2", "--design", "percpu", *args)
    assert status == 0
    assert [case.seed for case in asked] == sorted(seeds)


@pytest.mark.parametrize(("args", "outside_ns"), [(("--think", "0"), 0), (("--cost", "page_fault=123"), 123)])
def test_no_work_outside_is_work_of_no_time(scale: Scale, args: tuple[str, ...], outside_ns: int) -> None:
    _, asked = scale("--cpus", "2", "--design", "percpu", *args)
    assert {case.traffic.think_ns for case in asked} == {outside_ns}


def test_points_are_asked_for_by_design_then_by_cpus_each_once(scale: Scale) -> None:
    _, asked = scale("--cpus", "64,1,4,4", "--design", "percpu", "--design", "depot")
    assert [(case.design, case.ncpus) for case in asked] == [
        (design, ncpus) for design in ("percpu", "depot") for ncpus in (1, 4, 64)
    ]


@pytest.mark.parametrize(
    ("interrupted", "by", "status"),
    [
        (False, 0, 0),
        (True, 0, 1),  # a process was lost
        (True, signal.SIGINT, 130),
        (True, signal.SIGTERM, 143),
        (False, signal.SIGINT, 0),  # it came when all was measured
    ],
)
def test_a_curve_that_is_not_whole_is_no_success(scale: Scale, interrupted: bool, by: int, status: int) -> None:
    assert scale("--cpus", "2", interrupted=interrupted, by=by)[0] == status
