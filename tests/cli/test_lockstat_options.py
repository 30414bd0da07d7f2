"""--format, -l, -f, -L and -F of a command that shows lock statistics."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from uvmfree.measure import workloads

BENCH = ("bench", "--workload", "pingpong", "--npages", "1024", "--repetitions", "1")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "PINGPONG_PAGES", 500)


@pytest.mark.parametrize(
    ("lock_format", "line"),
    [
        ("netbsd", "Elapsed time: "),
        ("linux", "lock_stat version 0.4\n"),
        ("perf", " contended   total wait     max wait     avg wait         type   caller\n"),
    ],
)
def test_a_bench_prints_each_design_in_the_layout_asked_for(
    run: Callable[..., Any], lock_format: str, line: str
) -> None:
    said = run(*BENCH, "--format", lock_format)
    assert (said.status, said.err) == (0, "")
    assert said.out.count(f"\n{line}") == 2
    if lock_format == "linux":  # lines longer than a page are not broken
        assert any(text.startswith(" " * 20) and "uvm_fpageqlock:" in text and len(text) == 220
                   for text in said.out.splitlines())  # fmt: skip


def test_json_is_one_document_and_nothing_else(run: Callable[..., Any]) -> None:
    said = run(*BENCH, "--format", "json", "-L", "uvm_cpu[*]", "-f")
    assert (said.status, said.err) == (0, "")
    document = json.loads(said.out)
    assert document["by"] == "caller"
    assert [one["design"] for one in document["designs"]] == ["fpageqlock", "percpu"]
    fpageqlock, percpu = ({lock["caller"]: lock for lock in one["locks"]} for one in document["designs"])
    assert "uvm_pagealloc" not in fpageqlock
    assert percpu["uvm_pagealloc"]["acquired"] == percpu["uvm_pagefree"]["acquired"] == 1000
    assert {lock["name"] for lock in percpu.values()} == {"<all>"}


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("-L", "uvm_cpu[2]"), "-L uvm_cpu[2]: no lock is called so; there are "),
        (("-L", "fpageqlock"), "uvm_fpageqlock"),
        (("--format", "solaris"), "solaris"),
        (("--format", "json", "--json", "-"), "give --json a file"),
    ],
)
def test_bad_input_gets_one_clear_line(run: Callable[..., Any], args: tuple[str, ...], word: str) -> None:
    said = run(*BENCH, *args)
    assert (said.status, said.out) == (2, "")
    assert word in said.err.splitlines()[-1]
