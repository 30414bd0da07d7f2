"""What a command hands on, and its exit code when that fails; with records, counters and outputs made by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.cli import exports as module
from uvmfree.cli.exports import Exports
from uvmfree.errors import ArgumentError, OutputError
from uvmfree.measure import counterfile
from uvmfree.measure.machine_facts import MachineFacts


def workload(*, timed: bool = True) -> Any:
    return SimpleNamespace(name="stand-in", facts=SimpleNamespace(timed=timed))


VIRTUAL: Any = SimpleNamespace(virtual=True)


@pytest.mark.parametrize(
    ("files", "machine", "timed", "said"),
    [
        ((None, "p", None, None), VIRTUAL, True, "--pyperf: a virtual machine takes no time of the host"),
        ((None, "p", None, None), MachineFacts(), False, "--pyperf: stand-in runs for a fixed time"),
        ((None, None, None, "c"), VIRTUAL, True, "--counters: virtual time passes too unevenly"),
    ],
)
def test_what_the_machine_or_the_workload_does_not_give_is_refused(
    files: tuple[str | None, ...], machine: Any, timed: bool, said: str
) -> None:
    with pytest.raises(ArgumentError, match=f"^{said}"):
        Exports(*files).check_fits(workload(timed=timed), machine)


def test_what_there_is_is_not_refused() -> None:
    Exports("j", "p", "t", "c").check_fits(workload(), MachineFacts())
    Exports("j", None, "t", "c").check_fits(workload(timed=False), MachineFacts())
    Exports("j", None, "t", None).check_fits(workload(timed=False), VIRTUAL)


def test_counters_are_kept_in_a_file_only() -> None:
    Exports("/dev/null", None, None, None).check()
    with pytest.raises(ArgumentError, match=r"^--counters /dev/null: "):
        Exports(None, None, None, "/dev/null").check()


@pytest.mark.parametrize(("lockstat", "written"), [((True,), ["r"]), ((True, False), ["p", "r"])])
def test_without_a_run_without_lockstat_there_are_no_wall_times(
    lockstat: tuple[bool, ...], written: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uvmfree.layouts.pyperf_file.content", lambda record: b"times")
    record: Any = SimpleNamespace(document=dict, runs=[SimpleNamespace(lockstat=each) for each in lockstat])
    Exports(str(tmp_path / "r"), str(tmp_path / "p"), None, None).write(record)
    assert sorted(file.name for file in tmp_path.iterdir()) == written


def test_a_timeline_that_is_broken_off_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def traced(record: Any, workload: Any, design: str, stop: Any) -> Any:
        asked.append(design)
        if design == "depot":
            return None, (), 0
        return SimpleNamespace(events=(), samples=None, events_dropped=0), (), 0

    monkeypatch.setattr("uvmfree.measure.bench.traced", traced)
    designs = ("percpu", "depot", "xnu")
    record: Any = SimpleNamespace(designs=designs, machine=SimpleNamespace(virtual=False))
    Exports(None, None, str(tmp_path / "timeline"), None).write_timeline(record, workload(), lambda: True)
    assert asked == ["percpu", "depot"]
    assert list(tmp_path.iterdir()) == []


RECORD: Any = SimpleNamespace(document=dict, runs=[])


def ended(exports: Exports, *errors: Exception, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The exit code of a command whose records cannot be written, each for one of the reasons; None is its own."""
    reasons = iter(errors)

    def write(*given: object) -> None:
        raise next(reasons)

    monkeypatch.setattr(module, "write_json", write)
    try:
        with exports.open():
            for _ in errors:
                exports.write(RECORD)
    except SystemExit as exit_:
        return exit_.code
    return None


GONE = OutputError("broken pipe", reader_gone=True)
FULL = ArgumentError("--json r: no space"), ArgumentError("--json r: no space at all")


@pytest.mark.parametrize(
    ("errors", "status", "said"),
    [
        ((), None, ""),
        (FULL, 2, "uvmfree: --json r: no space\nuvmfree: --json r: no space at all\n"),
        ((GONE,), 141, ""),
        ((GONE, FULL[0]), 2, "uvmfree: --json r: no space\n"),
    ],
)
def test_what_could_not_be_written_is_said_at_the_end(
    errors: tuple[Exception, ...],
    status: int | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ended(Exports("r", None, None, None), *errors, monkeypatch=monkeypatch) == status
    assert capsys.readouterr().err == said


class Counters:
    """Stands in for the counter file."""

    def __init__(self, file: str) -> None:
        self.file, self.closed, self.problem = file, 0, None if file == "fine" else f"--counters {file}: full"

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(("file", "status", "said"), [("fine", None, ""), ("c", 2, "uvmfree: --counters c: full\n")])
def test_counters_are_kept_while_it_lasts_and_what_went_wrong_with_them_is_said(
    file: str, status: int | None, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(counterfile, "CounterFile", Counters)
    exports: Any = Exports(None, None, None, file)
    assert ended(exports, monkeypatch=monkeypatch) == status
    assert (exports.counters.file, exports.counters.closed) == (file, 1)
    assert capsys.readouterr().err == said


def test_counters_are_closed_when_the_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counterfile, "CounterFile", Counters)
    exports: Any = Exports(None, None, None, "fine")
    with pytest.raises(ZeroDivisionError), exports.open():
        raise ZeroDivisionError
    assert exports.counters.closed == 1
