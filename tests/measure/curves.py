"""Scaling curves made up for tests: points with round figures, and no run behind them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from uvmfree.measure.curve import Curve
from uvmfree.measure.record import load
from uvmfree.measure.scale import Case, Point, Traffic

HOST = load(str(Path(__file__).parent / "record-version-1.json")).host

WINDOW_NS = 1_000_000
PINGPONG = Traffic("pingpong")


def point(design: str, ncpus: int, operations: int, **given: Any) -> Point:
    """Make a point that did so many operations in a virtual millisecond; `given` are fields of it or its case."""
    plain: dict[str, Any] = {
        "wait_ns": 0,
        "held_ns": 0,
        "shared_acquired": 0,
        "failed": 0,
        "outside_ns": None,
        "stall_ns": None,
        "words_wait_ns": None,
        "window_ns": WINDOW_NS,
    }
    own = {name: given.pop(name) for name in list(given) if name in plain}
    case = Case(design, ncpus, given.pop("traffic", PINGPONG), **given)
    return Point(case=case, operations=operations, **plain | own)


def curve(*points: Point, interrupted: bool = False) -> Curve:
    return Curve(HOST, ("uvmfree", "scale"), list(points), interrupted)


def saturating(
    lock: str = "ttas", band: bool = False, counts: tuple[int, ...] = (1, 2, 4, 8, 16), **case: Any
) -> Curve:
    """Two designs: `percpu` is linear, `fpageqlock` stops at what three CPUs do, and is full from 4 on.

    => With the band: a tenth less and a tenth more of everything.
    """
    points = []
    for ncpus in counts:
        done = 1000 * min(ncpus, 3)
        points.append(point("percpu", ncpus, 1000 * ncpus, lock=lock, wait_ns=1000, **case))
        points.append(
            point(
                "fpageqlock",
                ncpus,
                done,
                lock=lock,
                wait_ns=(ncpus - min(ncpus, 3)) * WINDOW_NS,
                held_ns=min(WINDOW_NS, 300_000 * ncpus),
                shared_acquired=done,
                **case,
            )
        )
    if band:
        for each in list(points):
            for factor in (0.9, 1.1):
                changed = replace(each.case, changed={"line_remote": 60 * factor}, varied=True)
                points.append(replace(each, case=changed, operations=round(each.operations * factor)))
    return curve(*points)
