"""Records: what was written is read back, old versions too, and what is no record is refused in one clear line."""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.texts import texts
from tests.workload.perf_lines import line
from uvmfree.errors import RecordError
from uvmfree.measure import record as records
from uvmfree.measure import workloads
from uvmfree.measure.bench import measure, new_record
from uvmfree.measure.record import THREAD_TIMES, Record, load, of_document
from uvmfree.measure.run import figures
from uvmfree.measure.stress_run import StressRun
from uvmfree.measure.tally import TallyFigures
from uvmfree.param import Param
from uvmfree.stress import supervised as stresses
from uvmfree.workload.trace import read_trace

OLD = Path(__file__).parent / "record-version-1.json"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Record:
    trace = tmp_path_factory.mktemp("trace") / "small.perf"
    events = [line("alloc", hex(100 + page), cpu=page % 2, us=page) for page in range(60)]
    trace.write_text("".join([*events, *(line("free", hex(100 + page), cpu=1, us=400 + page) for page in range(60))]))
    workload = workloads.from_trace(read_trace(str(trace)))
    param, designs = Param(npages=1024, ncpus=workload.ncpus), ("fpageqlock", "percpu")
    record = new_record(workload, param, designs, ("uvmfree", "bench"))
    for _ in measure(record, workload, 2, lambda what: None):
        pass
    return record


@pytest.fixture
def plain(measured: Record) -> dict[str, Any]:
    """The record as a reader of the file finds it."""
    document: dict[str, Any] = json.loads(json.dumps(measured.document()))
    return document


def test_what_was_written_is_read_back(measured: Record, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(json.dumps(measured.document()))
    assert load(str(file)) == measured
    assert len(measured.runs) == 8  # two designs, with lockstat and without, twice


def test_the_figures_in_a_file_are_those_of_its_raw_values(plain: dict[str, Any]) -> None:
    again = of_document(plain, "plain")
    for run, kept in zip(again.runs, plain["runs"], strict=True):
        assert (kept["figures"] is None) != run.lockstat
        if run.lockstat:
            assert figures(run).shared_locks_per_op == kept["figures"]["shared_locks_per_op"]


def test_samples_and_events_are_there_in_runs_with_lockstat(measured: Record) -> None:
    for run in measured.runs:
        assert (run.samples is not None) == run.lockstat
        if run.samples is not None:
            assert len(run.samples.t_ns) == len(run.samples.free) == len(run.samples.cached[0]) >= 1
            assert len(run.samples.cached) == 2


def test_version_1_is_read() -> None:
    old = load(str(OLD))
    assert (old.kind, old.designs, len(old.runs)) == ("bench", ("fpageqlock", "percpu"), 4)
    assert old.workload.page_operations == 120
    assert old.summary("percpu")["page_operations"].median == 120
    assert all(run.samples is None and run.events == () for run in old.runs)


def test_the_largest_number_of_64_bits_is_read(plain: dict[str, Any]) -> None:
    plain["runs"][0]["drive"]["wall_ns"] = (1 << 63) - 1
    assert of_document(plain, "plain").runs[0].drive.wall_ns == (1 << 63) - 1


def test_version_2_is_read(plain: dict[str, Any], measured: Record) -> None:
    """It had no `not_measurable`, and no counts of what was asked for: rates are then of what was done."""
    plain["version"] = 2
    with pytest.raises(RecordError, match="has 'not_measurable', which is no field"):
        of_document(plain, "plain")
    del plain["not_measurable"], plain["workload"]["note"]
    for run in plain["runs"]:
        run["counts"] = {}
    old = of_document(plain, "plain")
    for run, today in zip(old.runs, measured.runs, strict=True):
        assert figures(run).page_operations == figures(today).page_operations_done == 120
        assert figures(run).runs_asked is None


def test_version_3_is_read(plain: dict[str, Any], measured: Record) -> None:
    """It had no tallies: their figures are missing, and all others as they were."""
    plain["version"] = 3
    for run in plain["runs"]:
        del run["tally"]
        for lock in run["locks"]:
            del lock["kind"]
    old = of_document(plain, "plain")
    assert all(run.tally is None and figures(run).parked_pages_max is None for run in old.runs)
    assert [run.locks for run in old.runs] == [run.locks for run in measured.runs]
    for design in old.designs:
        now, then = measured.values(design), old.values(design)
        assert now.keys() - then.keys() == {name for name in asdict(TallyFigures()) if name in now}
        assert all(then[name] == now[name] for name in then)


def test_version_4_is_read(plain: dict[str, Any], measured: Record) -> None:
    """It had the tunables of percpu among those of the system; they are percpu's own."""
    plain["version"] = 4
    plain["param"] |= {"refill": 32, "hoard_max": None, "search": "local", "own": [["depot.unit", 4]]}
    own = (("depot.unit", 4), ("percpu.refill", 32), ("percpu.hoard_max", None), ("percpu.search", "local"))
    assert of_document(plain, "plain") == replace(measured, param=replace(measured.param, own=own))


def test_each_run_with_lockstat_has_the_tally_of_its_design(measured: Record) -> None:
    """It is the same for all repetitions: of the same work, in virtual time."""
    for design, parked in (("fpageqlock", 0), ("percpu", 60)):
        tallies = [run.tally for run in measured.runs if run.design == design]
        assert tallies[0::2] == [tallies[0]] * 2
        assert tallies[1::2] == [None] * 2
        assert tallies[0] is not None
        assert (tallies[0].operations, tallies[0].parked_pages_max) == (120, parked)
        assert measured.values(design)["parked_pages_max"] == [parked] * 2


@pytest.mark.parametrize("gil", [True, False])
def test_what_is_not_measurable_with_the_gil_is_kept_and_marked(measured: Record, gil: bool) -> None:
    """The figures of how threads ran beside each other; other programs find their names in the file."""
    here = replace(measured, host=replace(measured.host, gil=gil))
    document = json.loads(json.dumps(here.document()))
    assert document["not_measurable"] == (sorted(THREAD_TIMES) if gil else [])
    assert document["runs"][0]["figures"]["wait_share_percent"] is not None
    assert of_document(document, "made") == here


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return what puts a value at a place of a document."""

    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("schema"), "has no schema"),
        (put("schema", value="other"), "schema 'other'"),
        (put("version", value=6), "is of version 6; this uvmfree reads up to 5, use a newer one"),
        (put("version", value="3"), "version '3'"),
        (put("version", value=True), "version True"),
        (put("kind", value="tale"), "kind: must be bench or stress, is 'tale'"),
        (put("runs", value={}), r"runs: must be a list, is \{\}"),
        (put("runs", 0, value=7), r"runs\[0\]: must be an object, is 7"),
        (put("runs", 1, "design", value=None), r"runs\[1\].design: must be a text, is None"),
        (put("runs", 0, "locks", 0, "acquired", value="x"), r"runs\[0\].locks\[0\].acquired: must be a whole number"),
        (put("runs", 0, "locks", 0, "wait_hist", 3, value=0.5), r"wait_hist\[3\]: must be a whole number, is 0.5"),
        (put("runs", 0, "drive", "wall_ns", value=True), "wall_ns: must be a whole number, is True"),
        (put("runs", 0, "redistributions", "timer", value=[]), "redistributions.timer: must be a whole number"),
        (lambda d: d["host"].pop("gil"), "host: has no 'gil'"),
        (put("host", "moon", value=1), "host: has 'moon', which is no field of a record"),
        (put("param", "ncpus", value=1000), "param: ncpus=1000: must be from 1 to 512"),
        (put("workload", "linux_moved_per_op", value="?"), "linux_moved_per_op: must be a number"),
        (
            put("runs", 0, "locks", 0, "wait_hist", value=[1]),
            r"runs\[0\].locks\[0\].wait_hist: must have 40 entries, has 1",
        ),
        (put("runs", 0, "seen", "beside_free_hist", value=[]), "seen.beside_free_hist: must have 40 entries, has 0"),
        (put("runs", 0, "waits", "sleep_hist", value=[]), "waits.sleep_hist: must have 40 entries, has 0"),
        (put("runs", 0, "drive", "failed", value=[0]), "drive.failed: must have 2 entries, has 1"),
        (put("runs", 0, "samples", "lag", value=[]), r"samples.lag: must have \d+ entries, has 0"),
        (put("runs", 0, "samples", "cached", 1, value=[]), r"samples.cached\[1\]: must have \d+ entries, has 0"),
        (lambda d: d["runs"][0]["redistributions"].pop("timer"), r"runs\[0\].redistributions: has no 'timer'"),
        (put("runs", 0, "design", value="x"), r"runs\[0\].design: must be one of fpageqlock, percpu, .*is 'x'"),
        (put("version", value=10**5000), "is of version a larger one; this uvmfree reads up to 5"),
        (put("runs", 0, "drive", "wall_ns", value=1 << 63), "wall_ns: must be a whole number within 64 bits"),
        (put("runs", 0, "drive", "wall_ns", value=10**5000), "wall_ns: must be a whole number within 64 bits"),
        (put("runs", 0, "drive", "wall_ns", value=0), "wall_ns: must be 1 or more, is 0"),
        (put("runs", 0, "locks", 0, "wait_hist", 3, value=-(1 << 63)), r"wait_hist\[3\]: must be .* within 64 bits"),
        (put("host", "switch_interval_s", value=10**5000), "switch_interval_s: must be a number within 64 bits"),
        (put("host", "switch_interval_s", value=float("nan")), "must be a number within 64 bits, is nan"),
        (put("host", "switch_interval_s", value=float("-inf")), "must be a number within 64 bits, is -inf"),
        (put("host", "kernel", value=[10**5000]), "kernel: must be a text, is a list"),
        (put("host", "kernel", value="\ud800"), r"kernel: must be a text, has half a character: '.ud800'"),
        (put("runs", 0, "counts", "a\x1b[2J", value=""), r"counts\.a.x1b\[2J: must be a whole number"),
        (put("runs", 0, "counts", "\udfff", value=1), "counts: must be a text, has half a character"),
        (put("runs", 0, "tally", "stranded_pages", value=[1]), "tally.stranded_pages: must have 3 entries, has 1"),
        (put("runs", 0, "tally", "reuse_pages", value=[[1]]), r"reuse_pages\[0\]: must have 2 entries, has 1"),
        (put("runs", 0, "tally", "reuse_pages", value=[[1, 0]]), r"reuse_pages\[0\]: must count 1 or more, counts 0"),
        (put("runs", 0, "tally", "reuse_pages", value=[[4, 1], [4, 1]]), "reuse_pages: its values must ascend"),
        (
            put("runs", 0, "tally", "held", 0, "items", value=[[1, 1, 1]]),
            r"held\[0\].items\[0\]: must have 2 entries",
        ),
        (
            put("runs", 0, "tally", "held", 0, "pages", value=[[1, -1]]),
            r"pages\[0\]: must count 1 or more, counts -1",
        ),
        (put("runs", 0, "tally", "parked_every", value=0), "tally.parked_every: must be 1 or more, is 0"),
        (put("runs", 0, "tally", "operations", value=None), "tally.operations: must be a whole number, is None"),
        (put("designs", value=["\x1b[2J"]), r"design: must be one of .x1b\[2J, is "),
    ],
)
def test_what_is_no_record_is_refused_by_place(
    plain: dict[str, Any], change: Callable[[dict[str, Any]], None], says: str
) -> None:
    change(plain)
    with pytest.raises(RecordError, match=says) as refused:
        of_document(plain, "a.json")
    assert str(refused.value).startswith("a.json")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("value", [None, 1, "text", [], [1], {}])
def test_a_document_that_is_something_else_is_refused(value: Any) -> None:
    with pytest.raises(RecordError, match=r"a\.json: is no uvmfree record"):
        of_document(value, "a.json")


def test_a_file_that_was_cut_off_anywhere_is_refused(plain: dict[str, Any], tmp_path: Path) -> None:
    file, text = tmp_path / "cut.json", json.dumps(plain)
    for length in (0, 1, 10, len(text) // 3, len(text) // 2, len(text) - 1):
        file.write_text(text[:length])
        with pytest.raises(RecordError, match=r"cut\.json: (breaks off|is no JSON document)"):
            load(str(file))


def test_a_file_that_was_cut_off_within_a_text_is_said_to_break_off(plain: dict[str, Any], tmp_path: Path) -> None:
    file, text = tmp_path / "cut.json", json.dumps(plain)
    file.write_text(text[: text.index("uvm_fpageqlock") + 5])
    with pytest.raises(RecordError, match=r"cut\.json: breaks off in line 1; it was not written or copied whole"):
        load(str(file))


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"PAR1", b"[" * 200_000, b"{} {}", b"NaN", b'{"schema": ' + b"9" * 5000 + b"}"]
)
def test_a_file_that_is_no_json_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "other.bin"
    file.write_bytes(content)
    with pytest.raises(RecordError, match=r"other\.bin: is "):
        load(str(file))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"gone\.json: No such file"):
        load(str(tmp_path / "gone.json"))
    with pytest.raises(RecordError, match="Is a directory"):
        load(str(tmp_path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PLAIN: dict[str, Any] = json.loads(OLD.read_text())
PLACES: list[tuple[Any, ...]] = []


def find_places(value: Any, path: tuple[Any, ...]) -> None:
    """List every place of a document but those of the figures, which are not read."""
    PLACES.append(path)
    steps = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for step, inner in steps:
        if step != "figures":
            find_places(inner, (*path, step))


find_places(PLAIN, ())


@given(st.sampled_from([path for path in PLACES if path]), JSON)
def test_whatever_stands_anywhere_it_is_a_record_or_one_clean_error(path: tuple[Any, ...], value: Any) -> None:
    document = copy.deepcopy(PLAIN)
    put(*path, value=value)(document)
    said = None
    try:
        read = of_document(document, "any")
    except RecordError as error:
        said = str(error)
    if said is not None:
        assert said.startswith("any")
        assert "\n" not in said
    else:
        assert read.kind == "bench"
        json.dumps(read.document())  # and it can be written again


def test_the_schema_of_today_is_the_one_that_is_written(plain: dict[str, Any]) -> None:
    assert (plain["schema"], plain["version"]) == (records.SCHEMA, records.VERSION) == ("uvmfree.record", 5)


@pytest.mark.parametrize("gone", ["injected", "survived"])
def test_a_fault_that_does_not_say_how_often_is_refused(gone: str) -> None:
    made = stresses.new_record(stresses.Options(ncpus=2, npages=256), ("percpu",))
    made.stress.append(StressRun("percpu", faults={"storm": {"injected": 2, "survived": 1}}))
    document = json.loads(json.dumps(made.document()))
    assert of_document(document, "a.json").stress == made.stress
    del document["stress"][0]["faults"]["storm"][gone]
    with pytest.raises(RecordError, match=rf"^a\.json\.stress\[0\]\.faults\.storm: has no '{gone}'$"):
        of_document(document, "a.json")


def test_a_stress_record_without_its_length_is_refused() -> None:
    document = json.loads(json.dumps(stresses.new_record(stresses.Options(), ("percpu",)).document()))
    document["seconds"] = None
    with pytest.raises(RecordError, match=r"^a\.json\.seconds: must be a number, is None$"):
        of_document(document, "a.json")
