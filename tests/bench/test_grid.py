"""What the tables are made of: cells that are kept, the limit, blocks, the page and its picture."""

from __future__ import annotations

import json
import random
from array import array
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import uvmfree
from bench.grid.cell import GridCell
from bench.grid.code import code_of, modules_of
from bench.grid.kept import Kept, Where, fill, into_page, source
from bench.grid.limit import fewest_holds, least, limit
from bench.grid.loads import after_exit, passes
from bench.grid.picture import Dot, svg
from bench.grid.tables import dots, markdown
from bench.harness import TRACES
from uvmfree.workload.driver import drive
from uvmfree.workload.replay_plan import DO_ALLOC, DO_FREE, DO_RUN, Plan, Program

HERE = Where(processes=1)


@dataclass(frozen=True)
class Named:
    """A cell of these tests."""

    name: str
    fails: bool = False
    design: str = "percpu"

    def __str__(self) -> str:
        return self.name


def measured(plain: dict[str, Any]) -> dict[str, Any]:
    """Measure a cell in a process of its own."""
    if plain["fails"]:
        raise ValueError("no such thing")
    return {"of": plain["name"]}


@pytest.mark.rotated(2)
def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "cells.json"
    first = Kept.at(file, "the command")
    with pytest.raises(ValueError, match="no such thing"):
        fill(first, [Named("a"), Named("b", fails=True)], measured, HERE)
    kept = json.loads(file.read_text())
    assert list(kept["cells"]) == ["a"]
    assert kept["command"] == "the command"

    again = Kept.at(file, "the command")
    again.cells["a"]["of"] = "kept"
    assert fill(again, [Named("a"), Named("b")], measured, HERE)
    assert {name: cell["of"] for name, cell in again.cells.items()} == {"a": "kept", "b": "b"}


def kept_by_other_code(tmp_path: Path, *, equal: bool) -> Kept:
    """Return two cells that other code measured: the cheaper as this code would measure it, or not."""
    kept = Kept.at(tmp_path / "cells.json", "the command")
    kept.add("a", {"of": "a" if equal else "other", "host_s": 1, "code": "other"})
    kept.add("b", {"of": "old", "host_s": 9, "code": "other"})
    return Kept.at(tmp_path / "cells.json", "the command")


def test_a_cell_of_other_code_is_measured_anew(tmp_path: Path) -> None:
    kept = kept_by_other_code(tmp_path, equal=True)
    assert fill(kept, [Named("a"), Named("b")], measured, HERE)
    assert {name: cell["of"] for name, cell in kept.cells.items()} == {"a": "a", "b": "b"}


def test_what_is_kept_does_not_say_where_the_project_stands(tmp_path: Path) -> None:
    kept = Kept.at(tmp_path / "cells.json", "the command")
    kept.add("a", {"trace": str(TRACES / "a.perf.xz"), "host_s": 1})
    assert kept.cells["a"]["trace"] == "bench/traces/a.perf.xz"


@pytest.mark.rotated(2)
def test_the_page_says_what_earlier_code_measured(tmp_path: Path) -> None:
    kept = kept_by_other_code(tmp_path, equal=True)
    with pytest.raises(ValueError, match="no such thing"):
        fill(kept, [Named("a", fails=True), Named("b")], measured, HERE)
    assert "Measured by earlier code: percpu." in source(json.loads((tmp_path / "cells.json").read_text()))
    assert fill(kept, [Named("a"), Named("b")], measured, HERE)
    assert "earlier" not in source(kept.document())


@pytest.mark.parametrize(("equal", "then"), [(True, "old"), (False, "b")])
def test_what_is_said_to_be_the_same_is_tried_first(tmp_path: Path, equal: bool, then: str) -> None:
    kept = kept_by_other_code(tmp_path, equal=equal)
    assert fill(kept, [Named("a"), Named("b")], measured, HERE, same=True)
    assert {name: cell["of"] for name, cell in kept.cells.items()} == {"a": "a", "b": then}


def test_the_code_of_a_cell_is_what_its_design_runs() -> None:
    codes = {design: code_of("bench.grid.cell", design) for design in ("percpu", "depot", "xnu")}
    assert len(set(codes.values())) == 3
    runs = {design: modules_of("bench.grid.cell", design) for design in codes}
    assert "uvmfree.uvm.units" in runs["depot"] - runs["percpu"] - runs["xnu"]
    assert "uvmfree.uvm.designs.percpu" in runs["depot"]  # whose short way it is
    assert {"uvmfree.uvm.cpu", "uvmfree.machine.virtual.machine", "bench.grid.loads"} <= runs["xnu"]


def fewest_by_search(steps: list[int], most: int) -> int:
    """Try every way to cut."""

    @cache
    def best(start: int) -> int:
        if start == len(steps):
            return 0
        found, now, low, high = len(steps), 0, 0, 0
        for end in range(start, len(steps)):
            now += -1 if steps[end] == DO_ALLOC else 1
            low, high = min(low, now), max(high, now)
            if high - low <= most:
                found = min(found, 1 + best(end + 1))
        return found

    return best(0)


def test_the_limit_is_the_fewest_holds_there_are() -> None:
    rng = random.Random(5)
    for _ in range(200):
        steps = [rng.choice((DO_ALLOC, DO_FREE)) for _ in range(rng.randrange(1, 14))]
        most = rng.randrange(1, 5)
        assert fewest_holds(steps, most) == fewest_by_search(steps, most), (steps, most)
    assert fewest_holds([DO_ALLOC, DO_RUN, DO_FREE] * 50, 1) == 1  # a run asks no cache


def test_the_limit_falls_with_what_is_parked() -> None:
    steps = array("q", [DO_ALLOC] * 100 + [DO_FREE] * 100)
    program = Program(steps, array("q", range(200)), array("q", [0] * 200), array("q", [200]), 100)
    plan = Plan((program,), 0, (), 100, 100, 200, 100, 0)
    found = limit(plan, (8, 64, 128))
    assert [pages for pages, _ in found] == [8, 64, 128]
    assert all(earlier > later for (_, earlier), (_, later) in pairwise(found))
    assert found[-1] == (128, 1 / 200)
    assert least(found, 8) == found[0][1]
    assert least(found, 9) == found[1][1]
    assert least(found, 1000) == found[2][1]


def test_passes_play_a_plan_so_many_times() -> None:
    steps = array("q", [DO_ALLOC, DO_ALLOC, DO_FREE, DO_FREE])
    program = Program(steps, array("q", [0, 1, 1, 0]), array("q", [0, 10, 10, 10]), array("q", [2, 4]), 2)
    plan = Plan((program, program), 0, (), 4, 4, 8, 4, 0)
    with uvmfree.boot(machine=uvmfree.VirtualMachine(ncpus=2, seed=1), npages=256, ncpus=2) as uvm:
        drive(uvm, passes(uvm, [plan] * 3).bodies)
        assert [(cpu.allocs, cpu.frees) for cpu in uvm.cpu_stats()] == [(6, 6), (6, 6)]


def test_what_an_exit_leaves_is_seen_after_a_second() -> None:
    seen = after_exit(uvmfree.VirtualMachine(ncpus=4, seed=1), {"design": "percpu"}, 2000)
    assert seen["before"] == 0
    assert seen["after_0_s"] >= 2_000
    assert seen["after_5_s"] < 100  # the flush of the proposal
    assert seen["idle_after_0_s"] >= 2_000
    assert seen["idle_after_5_s"] == 0 < seen["after_5_s"]  # what is left is with the CPUs that work


CELLS = [
    GridCell("percpu", "trace", "a.perf.xz"),
    GridCell("percpu", "exit"),
    GridCell("limit", "limit", "a.perf.xz"),
]


def document() -> dict[str, Any]:
    """Return a file of results, as far as the page reads it."""
    kept = Kept(None, "./run it")
    kept.cells["percpu: a"] = {
        "figures": {
            "page_locks_per_op": 0.25,
            "parked_pages_max": 1000,
            "parked_pages_mean": 12.4,
            "free_512_blocks": 7,
        },
        "host_s": 1,
    }
    kept.cells["percpu: exit"] = {"exit": {"after_0_s": 20_001, "after_1_s": 3, "idle_after_1_s": 0}, "host_s": 1}
    return kept.document()


def test_the_page_has_what_was_measured_and_no_empty_table() -> None:
    page = markdown(document(), CELLS, ["java-build"])
    assert "| percpu | 0.25000 |" in page
    assert "| percpu | 1,000 / 12 |" in page
    assert "| percpu | 7 / - |" in page
    assert "| percpu | 20,001 | 3 / 0 | - | - |" in page
    assert "Left out, since the files were not there: java-build." in page
    assert "`./run it`" in page
    assert "## Warmth" not in page
    assert "## handoff" not in page


def test_tables_go_where_a_page_has_a_place_for_them(tmp_path: Path) -> None:
    file = tmp_path / "index.md"
    assert not into_page(file, "designs.py", "# T\n")
    file.write_text("# Mine\n\n<!-- bench/designs.py -->\nold\n<!-- end -->\n\nmore\n")
    assert not into_page(file, "curve.py", "# T\n")
    for _ in range(2):
        assert into_page(file, "designs.py", "# T\n\nwords\n\n## Table\n\n![x](designs.svg)\n")
    put = "words\n\n### Table\n\n![x](../results/designs.svg)\n"
    assert file.read_text() == f"# Mine\n\n<!-- bench/designs.py -->\n{put}<!-- end -->\n\nmore\n"


def test_the_picture_has_a_mark_for_each_point_and_a_line_for_each_limit() -> None:
    points = dots(document(), CELLS)
    assert points == [Dot("percpu", "a", 1000, 0.25)]
    points.append(Dot("a < b", "a", 0, 1.0))
    drawn = ElementTree.fromstring(svg(points, {"a": [(8, 0.1), (64, 0.2)]}, "A title"))
    names = [element.tag.rpartition("}")[2] for element in drawn.iter()]
    assert names.count("polyline") == 1
    assert names.count("g") == 2
    titles = [element.text for element in drawn.iter() if element.tag.endswith("title")]
    assert "a < b, a: 1 locks per operation, 0 pages parked" in titles
