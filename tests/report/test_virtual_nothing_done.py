"""A throughput of 0, of one seed or of all, is on no logarithmic axis: no point, whisker or band goes down to it."""

from typing import Any

import pytest

from tests.measure.curves import WINDOW_NS, curve, point
from tests.report.test_virtual import of_kind, plots, section
from uvmfree.measure.scale import Traffic

pytest.importorskip("plotly", reason="the extra `report` is not installed")


def trace(drawn: Any, name: str = "percpu") -> dict[str, Any]:
    (found,) = (trace for trace in drawn.traces if trace.get("name") == name)
    return dict(found)


def test_a_count_at_which_one_seed_did_nothing_is_left_out_whole() -> None:
    """Its whisker would go down to 0, which is nowhere."""
    done = {1: (1000, 1200), 2: (0, 2000), 4: (3000, 4000)}
    made = curve(
        *(point("percpu", ncpus, each, seed=seed) for ncpus, both in done.items() for seed, each in enumerate(both))
    )
    drawn, *_ = plots(made)
    line = trace(drawn)
    assert (line["x"], line["y"]) == ([1, 4], pytest.approx([1.1e6, 3.5e6]))
    assert line["error_y"]["array"] == pytest.approx([1e5, 5e5])
    assert line["error_y"]["arrayminus"] == pytest.approx([1e5, 5e5])
    assert [row[:3] for row in drawn.tables[0].rows] == [
        ("1", "percpu", "1.10 [1 - 1.20]"),
        ("2", "percpu", "1 [0 - 2]"),
        ("4", "percpu", "3.50 [3 - 4]"),
    ]


def test_a_share_of_nothing_is_drawn() -> None:
    """Its axis is linear."""
    points = [point("percpu", ncpus, 1000, held_ns=held) for ncpus, held in ((1, 0), (2, WINDOW_NS // 4))]
    _, busy, *_ = plots(curve(*points))
    assert (trace(busy)["x"], trace(busy)["y"]) == ([1, 2], [0, 25])


def test_a_band_begins_where_something_was_done_at_all_costs() -> None:
    def costed(ncpus: int, done: int, factor: float) -> Any:
        return point("percpu", ncpus, done, varied=True, changed={"atomic": factor})

    made = [point("percpu", ncpus, 1000 * ncpus) for ncpus in (1, 2, 4)]
    varied = [costed(1, 0, 2.0), costed(2, 1500, 2.0), costed(4, 3000, 2.0), costed(4, 5000, 0.5)]
    drawn, *_ = plots(curve(*made, *varied))
    (band,) = of_kind(drawn, "band")
    assert band["x"] == [2, 4, 4, 2]
    assert band["y"] == pytest.approx([1.5e6, 3e6, 5e6, 2e6])


def test_each_workload_names_what_is_no_curve() -> None:
    alone = (("percpu", 2, Traffic("pingpong")), ("depot", 8, Traffic("handoff")))
    words = section(*(curve(point(design, ncpus, 1000, traffic=traffic)) for design, ncpus, traffic in alone)).words
    for design, ncpus, traffic in alone:
        assert f"{traffic.name}: {design} was run on {ncpus} CPUs only; one point is no curve." in words
