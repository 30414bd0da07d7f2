"""What the bench scripts share: judgement, order of repetitions, exit codes, the file of records."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.harness import Claim, Record, alternating, driven, interleaved, main, table, write
from uvmfree.uvm.boot import boot
from uvmfree.uvm.cpu import Cpu
from uvmfree.workload.driver import Lane

AT_MOST = Claim("id", "in words", "s", 2.0)
AT_LEAST = Claim("id", "in words", "1/s", 2.0, at_least=True)


@pytest.mark.parametrize(
    ("claim", "values", "holds"),
    [
        (AT_MOST, [9.0, 2.0, 0.0], True),
        (AT_MOST, [2.1, 2.1, 0.0], False),
        (AT_LEAST, [9.0, 2.0, 0.0], True),
        (AT_LEAST, [1.9, 1.9, 9.0], False),
        (Claim("id", "in words", "s", None), [1.0], None),
    ],
)
def test_the_median_is_held_against_the_bound(claim: Claim, values: list[float], holds: bool | None) -> None:
    record = claim.record(values, judged=True)
    assert record.holds is holds
    assert (record.low, record.high) == (min(values), max(values))
    assert claim.record(values, judged=False).holds is None


def test_measures_take_turns_and_the_warm_up_is_thrown_away() -> None:
    order: list[str] = []

    def take(name: str) -> float:
        order.append(name)
        return float(len(order))

    values = interleaved({"a": lambda: take("a"), "b": lambda: take("b")}, 2)
    assert order == ["a", "b"] * 3
    assert values == {"a": [3, 5], "b": [4, 6]}


def test_slices_go_there_and_back_and_their_medians_count() -> None:
    order: list[str] = []

    def take(name: str) -> float:
        order.append(name)
        return float(len(order))

    assert alternating({"a": lambda: take("a"), "b": lambda: take("b")}, 3) == {"a": 4, "b": 3}
    assert "".join(order) == "abbaab"


@pytest.mark.parametrize(
    ("outcome", "code"),
    [([1.0], 0), ([3.0], 1), (None, 0), (KeyboardInterrupt, 130)],
    ids=["holds", "does not hold", "not measured", "Ctrl-C"],
)
def test_exit_code(
    outcome: list[float] | type[KeyboardInterrupt] | None,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "records.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--json", str(file)])

    def bench(smoke: bool) -> list[Record]:
        assert not smoke
        if isinstance(outcome, list):
            return [AT_MOST.record(outcome, judged=True)]
        if outcome is None:
            return [AT_MOST.unmeasured()]
        raise outcome

    checked: Callable[[bool], list[Record]] = bench
    assert main("doc", checked) == code
    assert file.exists() == (code != 130)


def test_records_replace_the_old_file_and_leave_nothing_beside(tmp_path: Path) -> None:
    file = tmp_path / "records.json"
    file.write_text("old")
    write(file, [AT_MOST.record([1.0], judged=True), AT_MOST.unmeasured()])
    first, second = json.loads(file.read_text())
    assert first == {"id": "id", "claim": "in words", "measured": 1.0, "bound": 2.0, "unit": "s", "holds": True}
    assert (second["measured"], second["holds"]) == (None, None)
    assert list(tmp_path.iterdir()) == [file]


def test_records_with_values_have_every_repetition(tmp_path: Path) -> None:
    file = tmp_path / "records.json"
    record = AT_LEAST.record([3.0, 1.0, 2.0], judged=True)
    write(file, [record], values=True)
    (read,) = json.loads(file.read_text())
    assert read["values"] == [3.0, 1.0, 2.0]
    assert (read["measured"], read["low"], read["high"], read["at_least"]) == (2.0, 1.0, 3.0, True)
    assert Record(**read | {"values": tuple(read["values"])}) == record


def test_table_says_what_holds() -> None:
    records = [
        AT_MOST.record([1.0, 1.5, 1.7], judged=True),
        AT_LEAST.record([1.0], judged=True),
        AT_LEAST.unmeasured(),
    ]
    lines = table(records).splitlines()
    assert lines[2].split() == ["id", "1.5", "[1-1.7]", "<=", "2", "yes"]
    assert lines[4].split() == ["id", "1", "[1-1]", ">=", "2", "NO"]
    assert lines[6].split() == ["id", "not", "measured", ">=", "2", "not", "judged"]


def test_a_run_in_which_one_cpu_lacked_pages_proves_nothing() -> None:
    with boot(npages=64, ncpus=2) as uvm:

        def fails(cpu: Cpu, lane: Lane) -> None:
            lane.failed += lane.index

        assert driven(uvm, [fails]).failed == (0,)
        with pytest.raises(RuntimeError, match="1 allocations failed; the system is too small"):
            driven(uvm, [fails] * 2)
