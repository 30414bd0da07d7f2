"""The page of the steps, whole: figures of two traces, one of them played on many CPUs, too."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from bench import steps
from bench.grid.step import StepCell
from tests.measure.curves import HOST, point


def test_each_step_has_its_figures_in_its_row_and_a_dash_where_nothing_was_measured() -> None:
    """What was not measured here: `bound` of untar-scan, and all but two steps of the copies."""
    cells: dict[str, Any] = {}
    for at, how in enumerate(steps.STEPS.values(), 1):
        for trace, factor in (("cc-j4.perf.xz", 1), ("untar-scan.perf.xz", 1000)):
            figures = {"page_locks_per_op": factor * at / 1e5, "parked_pages_max": factor * at, "held_items_p99": at}
            cells[str(StepCell(*how, trace))] = {"figures": figures}
    del cells[str(StepCell(*steps.STEPS["bound"], "untar-scan.perf.xz"))]
    for step, work, wait_ns in (("today", 20_000_000, 64_000_000), ("budget", 250_500_000, 1_000_000)):
        one = point(steps.STEPS[step][0], 256, 9, outside_ns=work, wait_ns=wait_ns)
        cells[str(StepCell(*steps.STEPS[step], "cc-j4", 256))] = {"point": json.loads(json.dumps(asdict(one)))}
    document = {"command": "./run it", "host": asdict(HOST) | {"affinity": [0, 1]}, "cells": cells}
    page = list(steps.lines(document, ["cc-j4", "untar-scan"]))
    assert page[0] == "# The steps: figures"
    assert page[2].startswith("`./run it`, 2026-11-23; 2 processors, Linux ")
    assert page[3:] == [
        "",
        "## Shared locks per page operation",
        "",
        "2 CPUs, from empty caches; without runs of pages.",
        "",
        "| step | cc-j4 | untar-scan |",
        "|---|---:|---:|",
        "| today | 0.00001 | 0.01000 |",
        "| split | 0.00002 | 0.02000 |",
        "| batch | 0.00003 | 0.03000 |",
        "| bound | 0.00004 | - |",
        "| units | 0.00005 | 0.05000 |",
        "| budget | 0.00006 | 0.06000 |",
        "",
        "## Pages parked, the most",
        "",
        "Free pages in caches, at the end of any operation.",
        "",
        "| step | cc-j4 | untar-scan |",
        "|---|---:|---:|",
        "| today | 1 | 1,000 |",
        "| split | 2 | 2,000 |",
        "| batch | 3 | 3,000 |",
        "| bound | 4 | - |",
        "| units | 5 | 5,000 |",
        "| budget | 6 | 6,000 |",
        "",
        "## Items in a hold, 99 %",
        "",
        "Pages touched under a shared lock, or runs moved by pointer.",
        "",
        "| step | cc-j4 | untar-scan |",
        "|---|---:|---:|",
        "| today | 1 | 1 |",
        "| split | 2 | 2 |",
        "| batch | 3 | 3 |",
        "| bound | 4 | - |",
        "| units | 5 | 5 |",
        "| budget | 6 | 6 |",
        "",
        "## 256 CPUs",
        "",
        "Copies of a trace, test-and-test-and-set: work, in CPUs that never wait / waiting.",
        "",
        "| step | cc-j4 | fork-exec |",
        "|---|---:|---:|",
        "| today | 20.0 / 25.00 % | - |",
        "| split | - | - |",
        "| batch | - | - |",
        "| bound | - | - |",
        "| units | - | - |",
        "| budget | 250.5 / 0.39 % | - |",
    ]
