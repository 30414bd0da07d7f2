"""`uvmfree report`: one page from any number of records, or one line that says why not and nothing written."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Said
from tests.measure.curves import curve, saturating
from tests.report.made import record
from tests.report.reader import read
from uvmfree.measure.record import Record

Run = Callable[..., Said]

SIZE_MAX = 6_000_000
TIME_S = 5.0
HANDLED = 8
"""Or so many times what it takes to read the records and write them again: a host whose memory others use is slow."""


def written(folder: Path, *records: Record) -> list[str]:
    files = [folder / f"{index}.json" for index in range(len(records))]
    for file, each in zip(files, records, strict=True):
        file.write_text(json.dumps(each.document()))
    return [str(file) for file in files]


@pytest.fixture
def _plotly() -> None:
    pytest.importorskip("plotly", reason="the extra `report` is not installed")


@pytest.mark.usefixtures("_plotly")
def test_a_record_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path, record(ncpus=1))[0]
    before = Path(file).read_bytes()
    (tmp_path / "link.html").symlink_to(file)
    for output in (file, str(tmp_path / "link.html")):
        said = run("report", file, "-o", output)
        assert (said.status, said.out) == (2, "")
        assert said.err == f"uvmfree: --output {output}: is a record, which would be overwritten\n"
    assert Path(file).read_bytes() == before


@pytest.mark.usefixtures("_plotly")
def test_a_page_is_written_that_has_everything_in_it(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    files = written(tmp_path, record(ncpus=1), record(ncpus=2))
    said = run("report", *files, "-o", str(out))
    assert (said.status, said.out) == (0, "")
    assert said.err.startswith(f"uvmfree: {out}: 2 records, ")
    page = out.read_text()
    assert page.count("* plotly.js v") == 1
    top = read(page)
    assert len(top.all("section")) == 9
    assert not [element for tag in ("link", "img", "iframe") for element in top.all(tag)]
    assert "default-src 'none'" in str(top.all("meta")[1].attributes["content"])


@pytest.mark.usefixtures("_plotly")
def test_a_page_can_go_to_stdout(run: Run, tmp_path: Path) -> None:
    said = run("report", *written(tmp_path, record()), "-o", "-")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("<!doctype html>")
    assert said.out.endswith("</html>\n")


@pytest.mark.usefixtures("_plotly")
@pytest.mark.timeout(180)
@pytest.mark.rotated(3)
def test_twenty_records_stay_within_size_and_time(run: Run, tmp_path: Path) -> None:
    """Large ones, as long runs make them, at five CPU counts; in processor time, to which other work adds nothing."""
    files = [tmp_path / f"{index}.json" for index in range(20)]
    for ncpus in range(6, 11):
        text = json.dumps(record(ncpus=ncpus, repetitions=5, rows=999, events=200).document())
        for refill, file in enumerate(files[4 * (ncpus - 6) :][:4], 1):
            file.write_text(text.replace('"refill": 1,', f'"refill": {refill},', 1))
    out = tmp_path / "report.html"
    began_s = time.process_time()
    said = run("report", *map(str, files), "-o", str(out))
    took_s = time.process_time() - began_s
    assert said.status == 0
    assert len(read(out.read_text()).one("section", id="timeline").all("figure")) == 40
    assert out.stat().st_size < SIZE_MAX
    assert took_s < TIME_S or took_s < HANDLED * handled_s(files)  # the second takes a second itself


def handled_s(files: list[Path]) -> float:
    """Return the processor time that it takes to read these files as JSON, and write them again."""
    began_s = time.process_time()
    for file in files:
        json.dumps(json.loads(file.read_text()))
    return time.process_time() - began_s


def test_without_plotly_the_extra_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "plotly"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "plotly", None)
    out = tmp_path / "report.html"
    said = run("report", *written(tmp_path, record()), "-o", str(out))
    assert said == Said(2, "", "uvmfree: uvmfree report needs plotly: pip install 'uvmfree[report]'\n")
    assert not out.exists()


@pytest.mark.usefixtures("_plotly")
def test_curves_are_drawn_beside_records_or_alone(run: Run, tmp_path: Path) -> None:
    file, out = tmp_path / "scale.json", tmp_path / "report.html"
    file.write_text(json.dumps(saturating(band=True).document()))
    for files, count in (
        ([*written(tmp_path, record()), str(file)], "1 record and 1 scaling curve"),
        ([str(file)], "1 scaling curve"),
    ):
        said = run("report", *files, "-o", str(out))
        assert (said.status, said.out) == (0, "")
        assert said.err.startswith(f"uvmfree: {out}: {count}, ")
        top = read(out.read_text())
        drawn = [len(top.one("section", id=name).all("figure")) for name in ("answer", "virtual")]
        assert drawn == [1, 2]


@pytest.mark.usefixtures("_plotly")
@pytest.mark.rotated(3)
def test_a_large_curve_takes_seconds(run: Run, tmp_path: Path) -> None:
    """A hundred seeds of nine CPU counts, in processor time, to which other work adds nothing."""
    points = [each for seed in range(100) for each in saturating(counts=COUNTS, seed=seed).points]
    file = tmp_path / "scale.json"
    file.write_text(json.dumps(curve(*points).document()))
    began_s = time.process_time()
    assert run("report", str(file), "-o", str(tmp_path / "report.html")).status == 0
    assert time.process_time() - began_s < TIME_S


COUNTS = tuple(1 << power for power in range(9))


def later(folder: Path) -> str:
    (folder / "bad.json").write_text(json.dumps(saturating().document() | {"version": 2}))
    return "is a scaling curve of version 2; this uvmfree reads 1"


def hollow(folder: Path) -> str:
    document = saturating().document()
    document["points"][0]["window_ns"] = 0
    (folder / "bad.json").write_text(json.dumps(document))
    return ".points[0].window_ns: must be 1 or more, is 0"


def newer(folder: Path) -> str:
    document = record().document() | {"version": 99}
    (folder / "bad.json").write_text(json.dumps(document))
    return "is of version 99; this uvmfree reads up to 5, use a newer one"


def truncated(folder: Path) -> str:
    text = json.dumps(record().document())
    (folder / "bad.json").write_text(text[: len(text) // 2])
    return "breaks off in line 1; it was not written or copied whole"


def other(folder: Path) -> str:
    (folder / "bad.json").write_text("[1, 2]")
    return "is no uvmfree record: it has no schema"


def missing(folder: Path) -> str:
    return "No such file or directory"


@pytest.mark.usefixtures("_plotly")
@pytest.mark.parametrize("spoil", [newer, truncated, other, missing, later, hollow])
def test_what_is_no_record_is_refused_in_one_line(run: Run, tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    files = written(tmp_path, record())
    why, out, bad = spoil(tmp_path), tmp_path / "report.html", tmp_path / "bad.json"
    before = sorted(tmp_path.iterdir())
    said = run("report", *files, str(bad), "-o", str(out))
    assert said == Said(2, "", f"uvmfree: {bad}{'' if why.startswith('.') else ': '}{why}\n")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.usefixtures("_plotly")
def test_a_place_that_cannot_be_written_is_refused_before_the_work(run: Run, tmp_path: Path) -> None:
    (file,) = written(tmp_path, record())
    gone, folder = tmp_path / "gone" / "report.html", tmp_path
    assert run("report", file, "-o", str(gone)).err == f"uvmfree: --output {gone}: there is no folder {gone.parent}\n"
    assert (
        run("report", file, "-o", str(folder)).err == f"uvmfree: --output {folder}: is a folder; name a file in it\n"
    )


@pytest.mark.usefixtures("_plotly")
def test_a_page_that_was_there_stays_if_no_new_one_comes(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("what was there")
    assert run("report", str(tmp_path / "none.json"), "-o", str(out)).status == 2
    assert out.read_text() == "what was there"
    assert run("report", *written(tmp_path, record()), "-o", str(out)).status == 0
    assert out.stat().st_size > 1_000_000


@pytest.mark.usefixtures("_plotly")
def test_a_record_counts_once(run: Run, tmp_path: Path) -> None:
    (file,) = written(tmp_path, record())
    said = run("report", file, file, "-o", str(tmp_path / "report.html"))
    assert said == Said(2, "", f"uvmfree: {file}: is given 2 times; each record counts once\n")
    other = tmp_path / "other.json"
    other.symlink_to(file)
    said = run("report", str(other), file, "-o", str(tmp_path / "report.html"))
    assert said == Said(2, "", f"uvmfree: {other}: is given 2 times; each record counts once\n")


def test_records_and_output_must_be_named(run: Run, tmp_path: Path) -> None:
    assert run("report", "-o", str(tmp_path / "report.html")).status == 2
    assert run("report", *written(tmp_path, record())).status == 2


@pytest.mark.usefixtures("_plotly")
def test_a_sweep_in_which_nothing_is_measured_yet_is_refused(run: Run, tmp_path: Path) -> None:
    file, out = tmp_path / "sweep.json", tmp_path / "report.html"
    file.write_text(json.dumps({"schema": "uvmfree.sweep", "version": 1, "cells": [], "measured": []}))
    said = run("report", str(file), "-o", str(out))
    assert said == Said(2, "", f"uvmfree: {file}: nothing has been measured yet, so there is nothing to report\n")
    assert not out.exists()


@pytest.mark.usefixtures("_plotly")
def test_an_interrupted_record_is_marked(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert run("report", *written(tmp_path, replace(record(), interrupted=True)), "-o", str(out)).status == 0
    assert "This record: interrupted." in read(out.read_text()).one("aside").text
