"""Records of virtual machines: their times count whatever the interpreter, and they are told apart from real ones."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.made import OLD, lawful, record
from uvmfree.analyse.compare import compare, differences
from uvmfree.analyse.usl import points
from uvmfree.errors import ArgumentError, RecordError
from uvmfree.measure.machine_facts import VIRTUAL, MachineFacts
from uvmfree.measure.record import THREAD_TIMES, Record, of_document
from uvmfree.report.page.settings import points_of
from uvmfree.report.page.whole_page import build

TTAS = MachineFacts(VIRTUAL, "xeon-2s", {}, "ttas", 1000)
MCS = replace(TTAS, lock="mcs", changed={"line_socket": 100.0})


def virtual(machine: MachineFacts = TTAS, ncpus: int = 2, *, gil: bool = True, seed: int = 1) -> Record:
    """Make a record of a virtual machine: its runs are all with lockstat."""
    made = record(ncpus=ncpus, gil=gil)
    runs = [run for run in made.runs if run.lockstat]
    return replace(made, machine=machine, seed=seed, runs=runs)


def document(made: Record) -> dict[str, object]:
    plain: dict[str, object] = json.loads(json.dumps(made.document()))
    return plain


def test_a_record_without_a_machine_is_of_real_threads() -> None:
    plain = document(OLD)
    del plain["machine"]
    read = of_document(plain, "a.json")
    assert read.machine == MachineFacts()
    assert read.machine_words == "real threads"


def test_a_virtual_record_is_read_as_it_was_written() -> None:
    read = of_document(document(virtual(MCS, seed=4)), "a.json")
    assert read.machine == MCS
    assert read.machine_words == "virtual, costs xeon-2s, line_socket=100, mcs locks, seeds 4 to 6"


def test_costs_that_were_changed_are_named_in_one_order() -> None:
    """Two machines are the same by these words, whichever cost was given first."""
    costs = {"wakeup": 2000.0, "line_socket": 12.5}
    for changed in (costs, dict(reversed(costs.items()))):
        words = replace(TTAS, changed=changed, busy=2.5, warm_up=1).words
        said = "line_socket=12.5, wakeup=2000, ttas locks, 2.5 % busy, 1 loop of warm-up"
        assert words == f"virtual, costs xeon-2s, {said}"


def test_a_kind_of_machine_that_there_is_not_is_refused() -> None:
    plain = document(virtual()) | {"machine": {"kind": "quantum"}}
    with pytest.raises(RecordError, match=r"a\.json\.machine\.kind: must be threads or virtual, is 'quantum'"):
        of_document(plain, "a.json")


@pytest.mark.parametrize("gil", [True, False])
def test_times_count_whatever_the_gil(gil: bool) -> None:
    made = virtual(gil=gil)
    assert made.not_measurable == ()
    values = made.values("percpu")
    assert {"wait_share_percent", "longest_wait_us", "wall_ms"} <= THREAD_TIMES & values.keys()
    assert values["wall_ms"] == [run.drive.wall_ns / 1e6 for run in made.counted("percpu")]


def test_more_cpus_than_the_host_has_are_not_beyond_anything() -> None:
    assert [point.beyond for point in points([virtual(ncpus=64)], "percpu")] == [False] * 3
    assert [point.beyond for point in points([record(ncpus=64)], "percpu")] == [True] * 3


def test_real_and_virtual_records_do_not_compare() -> None:
    with pytest.raises(ArgumentError, match=r"of different machines, .*: real threads and virtual, costs"):
        compare(record(), virtual(), 0.05)


def test_virtual_records_compare_and_are_told_apart_by_machine_not_by_host() -> None:
    before, after = virtual(), virtual(MCS, gil=False, seed=8)
    assert {change.figure for change in compare(before, after, 0.05)} >= {"wait_share_percent", "wall_ms"}
    assert list(differences(before, after)) == [
        "machine: virtual, costs xeon-2s, ttas locks, seeds 1 to 3 before, "
        "virtual, costs xeon-2s, line_socket=100, mcs locks, seeds 8 to 10 after"
    ]


def test_labels_name_the_machine_and_hosts_and_seeds_make_no_other_setting() -> None:
    made = [virtual(), virtual(gil=False, seed=4), virtual(MCS), record()]
    assert [(point.label, len(point.record.runs)) for point in points_of(made)] == [
        ("virtual, costs xeon-2s, ttas locks", 12),
        ("virtual, costs xeon-2s, line_socket=100, mcs locks", 6),
        ("CPython 3.13.5, free-threaded, " + points_of([record()])[0].setting.host, 12),
    ]


def test_the_page_marks_virtual_records_and_shades_nothing(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    page = build([(f"{ncpus}.json", virtual(ncpus=ncpus)) for ncpus in (1, 2, 64)])
    assert "All records: times are virtual." in page
    assert "virtual, costs xeon-2s, ttas locks, seeds 1 to 3" in page
    assert '"name":"percpu, virtual, costs xeon-2s, ttas locks"' in page  # a legend
    assert "more threads than" not in page
    assert "the GIL is on" not in page
    assert "more threads than" in build([(f"{ncpus}.json", record(ncpus=ncpus)) for ncpus in (1, 2, 64)])


def test_the_law_is_fitted_to_virtual_records() -> None:
    laws = {"percpu": (1000.0, 0.1, 0.001)}
    made = [replace(lawful(laws, ncpus), machine=TTAS, seed=1) for ncpus in (1, 2, 4, 8, 16)]
    assert len(points_of(made)) == 5
    assert not any(point.beyond for point in points(made, "percpu"))


def test_wall_times_with_and_without_lockstat_are_two_figures_of_real_threads() -> None:
    made = record()
    values = made.values("percpu")
    for name, lockstat in (("wall_ms", False), ("wall_lockstat_ms", True)):
        runs = [run for run in made.runs if run.design == "percpu" and run.lockstat is lockstat]
        assert values[name] == [run.drive.wall_ns / 1e6 for run in runs]
    assert values["wall_ms"] != values["wall_lockstat_ms"]
