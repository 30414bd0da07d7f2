"""The picture of the curve: a line for each design and trace, and a bar where costs were varied."""

from __future__ import annotations

from xml.etree import ElementTree

from bench.grid.curve_picture import svg
from tests.measure.curves import curve, point


def test_there_is_a_line_for_each_design_and_a_bar_where_costs_were_varied() -> None:
    made = curve(
        *(point(design, n, 9, outside_ns=1_000_000 * n) for design in ("percpu", "depot") for n in (2, 4)),
        *(
            point("percpu", 4, 9, outside_ns=outside, varied=True, changed={"atomic": 1.0})
            for outside in (2_000_000, 3_000_000)
        ),
    )
    tree = ElementTree.fromstring(svg({("cc-j4", "ttas"): made, ("cc-j4", "mcs"): made}))
    titles = [title.text for title in tree.iterfind(".//{*}title")]
    assert titles == [
        "percpu, cc-j4",
        "percpu, 4 CPUs: 50 to 100 % of linear if costs are halved or doubled",
        "depot, cc-j4",
    ]
