"""The whole page: one document that needs nothing else, and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

from uvmfree.measure.curve import Curve
from uvmfree.measure.record import Record
from uvmfree.report.page import virtual
from uvmfree.report.page.answer import answer
from uvmfree.report.page.content import Section
from uvmfree.report.page.heatmap import heatmap
from uvmfree.report.page.markup import Html, joined, tag
from uvmfree.report.page.measured import caveats, measured
from uvmfree.report.page.page_locks import locks
from uvmfree.report.page.parked import parked
from uvmfree.report.page.plot import library
from uvmfree.report.page.render import Renderer
from uvmfree.report.page.scaling import scaling
from uvmfree.report.page.settings import Point, Source, designs_of, points_of
from uvmfree.report.page.stranded import stranded
from uvmfree.report.page.stress_runs import stressed, told
from uvmfree.report.page.timeline import over_time
from uvmfree.report.page.virtual_lines import CurveSource
from uvmfree.report.page.waits import waits
from uvmfree.workload.plural import plural

POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
"""What the page may load: nothing that is not in it. The browser sees to that."""


def build(named: Sequence[tuple[str, Record]], curves: Sequence[tuple[str, Curve]] = ()) -> str:
    """Write the page of some records and scaling curves, each with the name of its file.

    => Needs plotly; ExtraError without it.
    """
    sources = [Source(number, name, record) for number, (name, record) in enumerate(named, 1)]
    drawn = [CurveSource(number, name, curve) for number, (name, curve) in enumerate(curves, 1)]
    facts = [measured(sources)] if sources else []
    records = [record for _, record in named]
    points, designs = points_of(records), designs_of(records)
    first = answer(points, drawn, designs, list(told(sources)))
    sections = [*virtual.virtual(drawn), *(_of_records(sources, points, designs) if sources else [])]
    renderer = Renderer()
    contents = tag(
        "nav",
        tag("ol", *(tag("li", tag("a", section.title, href=f"#{section.name}")) for section in sections)),
        aria_label="Contents",
    )
    names = [record.workload.name for _, record in named]
    names += [curve.base.traffic.name for _, curve in curves if curve.base is not None]
    workloads = ("; " if curves else ", ").join(dict.fromkeys(names)) or "nothing"
    title = f"uvmfree: {workloads}"
    body = tag(
        "body",
        tag("a", "Skip to the figures", href=f"#{first.name}", class_="skip"),
        tag(
            "header",
            tag("h1", "NetBSD's page allocator, before and after splitting uvm_fpageqlock"),
            tag("p", f"Report of {counted(len(named), len(curves))}: {workloads}. Written {_now()}."),
            contents,
        ),
        tag(
            "main",
            tag("noscript", tag("p", "Without JavaScript there are no plots; the tables have all their figures.")),
            renderer.section(0, first),
            tag(
                "aside",
                tag("h2", "Bear in mind", id="caveats"),
                tag("ul", *(tag("li", words) for words in _caveats(sources, drawn))),
                aria_labelledby="caveats",
            ),
            *(renderer.section(0, section) for section in facts),
            *(renderer.section(number, section) for number, section in enumerate(sections, 1)),
        ),
        tag("script", Html(library())),
        tag("script", _ours("script.js")),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", _ours("style.css")),
    )
    return joined(Html("<!doctype html>\n"), tag("html", head, body, lang="en"), "\n")


def counted(records: int, curves: int) -> str:
    """Say how many there are of each; one of them there is."""
    words = [plural(number, word) for number, word in ((records, "record"), (curves, "scaling curve")) if number]
    return " and ".join(words)


def _of_records(sources: Sequence[Source], points: Sequence[Point], designs: Sequence[str]) -> list[Section]:
    return [
        *stressed(sources),
        locks(points, designs),
        scaling(points, designs),
        waits(points, designs),
        over_time(sources, designs),
        stranded(sources, designs),
        parked(sources, designs),
        heatmap(points, designs),
    ]


def _caveats(sources: Sequence[Source], curves: Sequence[CurveSource]) -> list[str]:
    return [*virtual.caveats(curves), *(caveats(sources) if sources else [])]


def _ours(name: str) -> Html:
    return Html((files(__package__) / name).read_text(encoding="utf-8"))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
