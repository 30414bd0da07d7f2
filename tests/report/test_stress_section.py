"""Stress runs on the page: operations, faults, errors, and their counters over time."""

from dataclasses import replace

import pytest

from tests.report.made import record
from tests.report.reader import Element, read
from uvmfree.measure.machine_facts import MachineFacts
from uvmfree.measure.record import Record
from uvmfree.measure.stress_run import StressRun
from uvmfree.report.page import whole_page
from uvmfree.report.page.whole_page import build
from uvmfree.stress.supervised import Options, new_record

pytest.importorskip("plotly", reason="the extra `report` is not installed")


@pytest.fixture(autouse=True)
def _without_plotly_js(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five megabytes that say nothing about the rest."""
    monkeypatch.setattr(whole_page, "library", lambda: "")


def stressed(errors: tuple[str, ...] = ()) -> Record:
    """The record of a stress run whose samples are those of a benchmark."""
    like = record().counted("percpu")[-1]
    made = new_record(Options(seconds=3, ncpus=4, npages=4096, faults=("storm",)), ("percpu",))
    made.stress.append(
        StressRun(
            design="percpu",
            command="uvmfree stress",
            wall_s=3.0,
            operations={"alloc": 2000, "free": 1000},
            failed={"allocations": 1, "accesses and runs": 0, "detached": 0},
            faults={"storm": {"injected": 5, "survived": 4}},
            seen=replace(like.seen, gap_pages_max=321),
            uvmexp=like.uvmexp,
            rss_kib_end=2048,
            errors=errors,
            samples=like.samples,
            events=like.events,
        )
    )
    return made


def page(*records: Record) -> Element:
    return read(build([(f"{index}.json", each) for index, each in enumerate(records)]))


def test_operations_faults_and_maxima_are_listed() -> None:
    top = page(stressed())
    (section,) = top.all("section", id="stress")
    text = section.text
    for said in ("3,000 random operations", "5 faults of which 4 were survived", "no errors", "2,000", "5, 4", "321"):
        assert said in text
    assert "what went wrong" not in text


def test_the_page_opens_with_them_and_asks_for_no_curve() -> None:
    first = page(stressed()).one("section", id="answer").text
    assert "3,000 random operations on all CPUs at once, 5 faults of which 4 were survived, no errors." in first
    assert "uvmfree scale" not in first
    both = page(record(), stressed()).one("section", id="answer").text
    assert both.index("takes the shared lock") < both.index("random operations") < both.index("uvmfree scale")


def test_what_to_bear_in_mind_speaks_of_lockstat_where_it_was_on() -> None:
    for records, said in (((stressed(),), False), ((record(), stressed()), True)):
        top = page(*records)
        assert ("measured with lockstat on" in top.one("aside").text) == said
        assert "`" not in top.one("main").text


def test_seconds_of_virtual_time_have_milliseconds() -> None:
    made = stressed()
    made.stress[0].wall_s = 0.02
    virtual = replace(made, machine=MachineFacts("virtual", costs="xeon-2s", lock="ttas"))
    for one, seconds in ((made, "0.0"), (virtual, "0.020")):
        _, row = page(one).one("section", id="stress").all("table")[0].rows()
        assert row[1] == seconds


def test_the_section_does_not_say_that_no_locks_were_counted() -> None:
    """A run with lock statistics has them in its record; the page says where they can be read."""
    made = stressed()
    made.stress[0].lockstat, made.stress[0].locks = True, record().counted("percpu")[-1].locks
    (section,) = page(made).all("section", id="stress")
    assert "not counted" not in section.text
    assert "uvmfree stress --format" in section.text


def test_its_counters_are_drawn_over_time() -> None:
    (section,) = page(stressed()).all("section", id="timeline")
    assert "percpu, stressed" in section.text
    assert section.all("figure")


def test_an_error_stands_first_and_is_only_text() -> None:
    (section,) = page(stressed(("<b>a page was lost</b>",))).all("section", id="stress")
    assert "1 error." in section.text
    assert "<b>a page was lost</b>" in section.text
    assert "what went wrong" in section.all("table")[0].text


def test_without_a_stress_run_there_is_no_section() -> None:
    assert page(record()).all("section", id="stress") == []
    assert page(record(), stressed()).all("section", id="stress")


def test_with_the_gil_operations_per_second_are_left_out() -> None:
    """Of threads that took turns; beside others their cells are empty."""
    with_gil, free = (
        replace(one, host=replace(one.host, gil=gil)) for one, gil in ((stressed(), True), (stressed(), False))
    )
    for records, last in (((with_gil,), ["3,000"]), ((free,), ["1,000"]), ((with_gil, free), ["-", "1,000"])):
        section = page(*records).one("section", id="stress")
        head, *rows = section.all("table")[0].rows()
        assert ("per second" in head) == (free in records)
        assert [row[-1] for row in rows] == last
        assert ("free-threaded Python" in section.text) == (with_gil in records)
