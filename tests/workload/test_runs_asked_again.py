"""A run of pages that is not to be had: asked for once more after a wait, if the replay may wait; counted once."""

from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.errors import OutOfPages
from uvmfree.workload.replay import Runs


@pytest.mark.parametrize(
    ("answers", "wait_s", "did"),
    [
        ([True], 0.5, ["4"]),
        ([False], 0.0, ["4"]),
        ([False, True], 0.5, ["4", "wait 0.5", "4"]),
        ([False, False], 0.5, ["4", "wait 0.5", "4"]),
    ],
)
def test_what_is_done_for_it(answers: list[bool], wait_s: float, did: list[str]) -> None:
    done: list[str] = []
    left = iter(answers)

    def pglistalloc(npages: int, alignment: int) -> list[Any]:
        done.append(f"{npages}")
        if not next(left):
            raise OutOfPages("none")
        return [None] * npages

    uvm: Any = SimpleNamespace(pglistalloc=pglistalloc, wait=lambda seconds: done.append(f"wait {seconds}"))
    runs = Runs(uvm, (4,), SimpleNamespace(notify=lambda: None))  # type: ignore[arg-type]
    runs.alloc(0, zero=False, wait_s=wait_s)
    met = answers[-1]
    assert done == did
    assert runs.counts() == {"runs_asked": 1, "runs_met": met, "runs_failed": not met, "runs_pages": 4 * met}
