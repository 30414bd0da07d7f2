"""A run of pages of a replay is freed once, however often the plan begins again: the next one has to come first."""

from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.workload.driver import StoppedError
from uvmfree.workload.replay import Runs


def stops(ready: Any, event: object = None) -> None:
    if not ready():
        raise StoppedError("it would wait")


def test_a_run_that_was_freed_is_waited_for_again() -> None:
    freed: list[Any] = []
    uvm: Any = SimpleNamespace(pglistalloc=lambda npages, alignment: [object()] * npages, pglistfree=freed.append)
    lane: Any = SimpleNamespace(wait_until=stops)
    runs = Runs(uvm, (2, 4), SimpleNamespace(notify=lambda: None))
    for _ in range(2):
        runs.alloc(1, zero=False)
        runs.free(1, lane)
        with pytest.raises(StoppedError):
            runs.free(1, lane)
    assert [len(pages) for pages in freed] == [4, 4]
    assert runs.counts() == {"runs_asked": 2, "runs_met": 2, "runs_failed": 0, "runs_pages": 8}
