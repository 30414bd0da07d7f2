"""Wall times for pyperf: its own reader finds each design and each value, and its comparison can be asked for."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.made import record as made_record
from uvmfree.cli.exports import Exports
from uvmfree.errors import ArgumentError, ExtraError
from uvmfree.layouts.pyperf_file import content
from uvmfree.measure.record import Record, load

pyperf = pytest.importorskip("pyperf", reason="the extra `report` is not installed")

OLD = load(str(Path(__file__).parents[1] / "measure" / "record-version-1.json"))


def three_times(record: Record) -> Record:
    return replace(record, runs=[replace(run, repetition=number) for number in range(3) for run in record.runs])


def test_pyperf_reads_every_value(tmp_path: Path) -> None:
    record, file = three_times(OLD), tmp_path / "pyperf.json"
    file.write_bytes(content(record))
    suite = pyperf.BenchmarkSuite.load(str(file))
    assert {each.get_name() for each in suite} == {f"small.perf, 2 CPUs, {design}" for design in record.designs}
    for design in record.designs:
        wanted = [run.drive.wall_ns / 1e9 for run in record.timed(design)]
        assert list(suite.get_benchmark(f"small.perf, 2 CPUs, {design}").get_values()) == wanted


@pytest.mark.parametrize(("gil", "said"), [(True, "on"), (False, "off")])
def test_each_benchmark_says_where_it_was_measured(tmp_path: Path, gil: bool, said: str) -> None:
    host = replace(OLD.host, gil=gil, cpus=8, kernel="Linux 6", uvmfree="0.9", python="3.13.5", implementation="PyPy")
    file = tmp_path / "pyperf.json"
    file.write_bytes(content(replace(OLD, host=host)))
    for each in pyperf.BenchmarkSuite.load(str(file)):
        facts = each.get_metadata()
        assert facts["unit"] == "second"
        assert (facts["gil"], facts["cpu_count"], facts["platform"]) == (said, 8, "Linux 6")
        assert (facts["cpu_model_name"], facts["uvmfree_version"]) == ("a processor", "0.9")
        assert (facts["python_version"], facts["python_implementation"]) == ("3.13.5", "PyPy")


def test_pyperf_compares_two_files(tmp_path: Path) -> None:
    """As the documentation says: compare_to --table."""
    slow = replace(
        OLD, runs=[replace(run, drive=replace(run.drive, wall_ns=3 * run.drive.wall_ns)) for run in OLD.runs]
    )
    for name, record in (("a.json", OLD), ("b.json", slow)):
        (tmp_path / name).write_bytes(content(three_times(record)))
    said = subprocess.run(
        [sys.executable, "-m", "pyperf", "compare_to", "--table", "a.json", "b.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
        encoding="utf-8",
    )
    assert said.stdout.count("3.00x slower") == 2 + 1  # each design, and the geometric mean


def test_a_record_without_wall_times_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no wall times"):
        content(replace(OLD, runs=[run for run in OLD.runs if run.lockstat]))


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyperf", None)
    with pytest.raises(ExtraError, match=r"needs pyperf: pip install 'uvmfree\[report\]'"):
        content(OLD)


def test_of_a_run_that_was_broken_off_before_any_wall_time_there_is_no_file(tmp_path: Path) -> None:
    """Nor is that a problem that the exit code tells of."""
    exports = Exports(None, str(tmp_path / "pyperf.json"), None, None)
    with exports.open():
        exports.write(made_record(repetitions=0))
    assert list(tmp_path.iterdir()) == []
