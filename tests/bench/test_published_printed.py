"""What bench/published.py prints and keeps, whole, of figures that are made up; and what it runs to illustrate."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench.scripted import Script, Scripts
from tests.bench.test_claims_of_cells import published
from tests.measure.curves import point


def test_what_was_published_is_what_figures_are_held_against(script: Scripts) -> None:
    records = published(script).module.predicted(False, {})
    assert [(record.bound, record.at_least) for record in records] == [
        (35, False),
        (15, True),
        (20, False),
        (5, False),
        (1.5, False),
        (16.5, False),
        (12.5, True),
    ]


def test_what_is_predicted_is_printed_and_kept(script: Scripts, capsys: pytest.CaptureFixture[str]) -> None:
    full: dict[str, Any] = {}
    published(script).module.predicted(False, full)
    assert capsys.readouterr().out.splitlines() == [
        "  warm: 40 pages moved with auto-tuning, 100 without: 40.0 of 100",
        "  cold: 0.500 pages moved per operation, recorded 0.400",
        "  Linux before auto-tuning, alloc: 1, 300, 603, 1089 ns; published (94, 298, 599, 984)",
        "  Linux before auto-tuning, free: 1, 1, 1, 1 ns; published (90, 354, 731, 1241)",
        "  LLFree, alloc: 1, 100, 1, 160 ns; published (83, 86, 95, 118)",
        "  LLFree, free: 1, 1, 1, 1 ns; published (92, 94, 93, 95)",
        "  bursts of 8192: 170 holds of 0.0 pages on average,",
        "    or 10 of 0.1: 17.0 times",
        "    the longest hold of a free: 15 pages, or 480",
        "  producer and consumer: 24 holds of 0.0 pages on average,",
        "    or 2 of 0.5: 12.0 times",
        "    the longest hold of a free: 15 pages, or 225",
    ]
    assert full == {
        "predicted": {
            "auto-tuning": {"on": 40.0, "off": 100.0, "cold_per_op": 0.5, "recorded_per_op": 0.4},
            "bulk_ns": {
                "linux": {1: [1.0, 1.0], 8: [300.0, 1.0], 16: [603.0, 1.0], 26: [1089.0, 1.0]},
                "llfree": {1: [1.0, 1.0], 8: [100.0, 1.0], 16: [1.0, 1.0], 26: [160.0, 1.0]},
            },
            "chunks": {"bursts of 8192": 17.0, "producer and consumer": 12.0},
            "longest_frees": {"bursts of 8192": [15, 480], "producer and consumer": [15, 225]},
        }
    }


def ran(case: Any) -> Any:
    """What is made up: waiting follows from the hold, the settings, the CPUs and the slowness; work from CPUs."""
    hold_ns, slower = case.changed["page_moved"], case.traffic.slower
    share = hold_ns * (2 if case.settings else 1) * case.ncpus / 224 / slower
    done = case.ncpus * (hold_ns + (case.ncpus if case.design == "openbsd_magazine" else 0))
    return point(case.design, case.ncpus, 9, wait_ns=round(share * case.ncpus * 10_000), outside_ns=done)


def illustrating(script: Scripts, cases: list[Any]) -> Script:
    """Have what is measured made up, and note the cases."""

    def measured_here(case: Any) -> Any:
        cases.append(case)
        return ran(case)

    bench = script("published")
    return bench.has(
        found_traces=lambda *_: (["cc-j4.perf.xz"], []),
        spread=lambda runs: {name: run() for name, run in runs.items()},
        measured_here=measured_here,
    )


def test_what_is_illustrated_is_printed_and_kept(script: Scripts, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of it is judged."""
    cases: list[Any] = []
    full: dict[str, Any] = {}
    assert illustrating(script, cases).module.illustrated(False, full) == []
    assert capsys.readouterr().out.splitlines() == [
        "",
        "waiting on 224 CPUs, published 14.0 % without auto-tuning, 1.0 % with (43.6 on one socket)",
        "  one zone, each pair of CPUs as fast as the recorded machine:",
        "    20 ns a page: 40.00 % without, 20.00 % with",
        "    80 ns a page: 160.00 % without, 80.00 % with",
        "    320 ns a page: 640.00 % without, 320.00 % with",
        "  one zone, each pair of CPUs at a quarter of that:",
        "    20 ns a page: 10.00 % without, 5.00 % with",
        "    80 ns a page: 40.00 % without, 20.00 % with",
        "    320 ns a page: 160.00 % without, 80.00 % with",
        "  a zone for each of two nodes, as fast: one node:",
        "    20 ns a page: 20.00 % without, 10.00 % with",
        "    80 ns a page: 80.00 % without, 40.00 % with",
        "    320 ns a page: 320.00 % without, 160.00 % with",
        "",
        "OpenBSD's kernel build, published {16: 1.2, 32: 1.47, 64: 1.46}",
        "  20 ns a page: 1.80 on 16, 2.60 on 32, 4.20 on 64",
        "  80 ns a page: 1.20 on 16, 1.40 on 32, 1.80 on 64",
        "  320 ns a page: 1.05 on 16, 1.10 on 32, 1.20 on 64",
    ]
    found = full["illustrated"]
    builds = {hold_ns: [*sooner, *map(pytest.approx, sooner.values())] for hold_ns, sooner in found.pop("builds")}
    assert builds == {
        20: [16, 32, 64, 1.8, 2.6, 4.2],
        80: [16, 32, 64, 1.2, 1.4, 1.8],
        320: [16, 32, 64, 1.05, 1.1, 1.2],
    }
    assert found == {
        "waiting": [[20, 40, 20], [80, 160, 80], [320, 640, 320]],
        "waiting_slower": [[20, 10, 5], [80, 40, 20], [320, 160, 80]],
        "waiting_node": [[20, 20, 10], [80, 80, 40], [320, 320, 160]],
    }


def test_copies_of_the_build_are_run_over_the_hold(script: Scripts) -> None:
    """On one zone at two speeds, with and without auto-tuning; and OpenBSD's two designs as they are."""
    cases: list[Any] = []
    illustrating(script, cases).module.illustrated(False, {})
    assert {case.traffic.trace for case in cases} == {"cc-j4.perf.xz"}
    run = [(case.design, case.ncpus, case.traffic.slower, bool(case.settings)) for case in cases]
    zones = [(224, 1), (224, 4), (112, 1)]
    linux = [("linux_pcp", *zone, before) for zone in zones for _ in range(3) for before in (True, False)]
    builds = [
        (design, ncpus, 1, False)
        for ncpus in (16, 32, 64)
        for _ in range(3)
        for design in ("openbsd_magazine", "fpageqlock")
    ]
    assert run == linux + builds
    assert [case.changed for case in cases[::2]] == [{"page_moved": hold} for hold in (20, 80, 320)] * 6


def test_a_figure_without_its_design_is_left_out_with_a_word(
    script: Scripts, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = script("published").has(REGISTRY={"percpu": None})
    assert bench.module.there("both", "percpu")
    assert not bench.module.there("one", "percpu", "llfree")
    assert bench.module.predicted(False, {}) == []
    assert capsys.readouterr().out.splitlines() == [
        "",
        "both",
        "",
        "one: left out, llfree is not registered",
        "",
        "auto-tuning, cc-j4: left out, linux_pcp is not registered",
        "",
        "bulk allocation, 1 to 26 cores of one socket, MCS: left out, linux_pcp and llfree are not registered",
        "",
        "frees in chunks of a batch: left out, linux_pcp is not registered",
    ]


def test_a_short_run_compares_one_lock_on_four_cpus_with_one(script: Scripts) -> None:
    ran = []

    def bulk(design: str, ncpus: int, **how: Any) -> Any:
        ran.append((design, ncpus, how))
        return SimpleNamespace(alloc_ns=50.0 * ncpus)

    module = script("published").has(bulk=bulk).module
    (record,) = module.predicted(True, {})
    assert (record.id, record.measured, record.holds) == ("published-one-lock-grows", 4, None)
    assert ran == [("fpageqlock", 1, {"pages": 600}), ("fpageqlock", 4, {"pages": 600})]
    assert module.illustrated(True, {}) == []


def test_a_section_keeps_what_the_file_has_of_the_others(script: Scripts, tmp_path: Path) -> None:
    """All of them run where none is named; without a file nothing is kept."""
    ran: list[str] = []

    def section(name: str) -> Any:
        def run(smoke: bool, full: dict[str, Any], traces: Any) -> list[Any]:
            ran.append(name)
            full[name] = len(ran)
            return [name]

        return run

    bench = script("published")
    bench.has(
        SECTIONS={name: section(name) for name in ("predicted", "illustrated")},
        host_facts=lambda: point("percpu", 1, 9),
        RESULTS=tmp_path,
    )
    file = tmp_path / "published.json"

    def kept(**given: Any) -> Any:
        args = SimpleNamespace(**{"section": None, "keep": False, "full": None, "traces": []} | given)
        found = bench.module.bench(args, False)
        assert not file.exists() or "case" in bench.module.json.loads(file.read_text())["host"]
        return found, bench.module.json.loads(file.read_text()) if file.exists() else None

    assert kept() == (["predicted", "illustrated"], None)
    found, document = kept(section=["illustrated"], full=file)
    assert (found, document["illustrated"], "predicted" in document) == (["illustrated"], 3, False)
    found, document = kept(section=["predicted"], keep=True)
    assert (found, document["illustrated"], document["predicted"]) == (["predicted"], 3, 4)
