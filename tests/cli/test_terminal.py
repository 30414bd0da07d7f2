"""What a terminal gets of records and traces: no text of theirs moves its cursor or renames its window."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Said
from tests.report.made import lawful, record
from tests.workload.perf_lines import line

Run = Callable[..., Said]
HOSTILE = "\x1b]0;owned\x07\x9b31m[/bold]"
SHOWN = r"\x1b]0;owned\x07\x9b31m[/bold]"


def clean(said: Said) -> bool:
    return all(text.isprintable() for text in (said.out + said.err).splitlines())


def test_the_name_of_a_trace(run: Run, tmp_path: Path) -> None:
    file = tmp_path / f"{HOSTILE.replace('/', '')}.perf"
    file.write_text(line("alloc", "0x1", cpu=0, us=1))
    said = run("trace", "info", str(file))
    assert said.status == 0
    assert said.out.startswith(SHOWN.replace("/", ""))
    assert clean(said)


def test_a_line_of_a_trace_that_an_error_quotes(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.perf"
    file.write_text(line("alloc", "0x1", cpu=0, us=1) + f"what is {HOSTILE}\n")
    said = run("trace", "info", str(file))
    assert said.status == 2
    assert "owned" in said.err
    assert clean(said)


def test_names_in_records_that_the_law_is_fitted_to(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("scipy", reason="the extra `report` is not installed")
    files = []
    for ncpus in (1, 2, 4, 8, 16):
        one = lawful({HOSTILE: (1e6, 0.1, 0.001)}, ncpus, workload=HOSTILE, rows=1)
        files.append(tmp_path / f"{ncpus}.json")
        files[-1].write_text(json.dumps(one.document()))
    said = run("usl", *map(str, files))
    assert (said.status, said.err) == (0, "")
    assert said.out.count(SHOWN) == 2
    assert clean(said)
    other = replace(record(workload="other"), host=replace(one.host, kernel=HOSTILE))
    files[0].write_text(json.dumps(other.document()))
    said = run("usl", *map(str, files))
    assert said.status == 2
    assert SHOWN in said.err
    assert clean(said)


def test_a_page_on_stdout(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="the extra `report` is not installed")
    file = tmp_path / "hostile.json"
    file.write_text(json.dumps(record(workload=HOSTILE, designs=(HOSTILE,)).document()))
    said = run("report", str(file), "-o", "-")
    assert (said.status, said.err) == (0, "")
    assert "owned" in said.out
    assert not {"\x1b", "\x07", "\x9b"} & set(said.out)
