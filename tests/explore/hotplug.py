"""Scenes of change: CPUs that come and go, pages that change colours, against allocation and free elsewhere (Q13).

Two threads use CPUs 0 and 1, a third attaches, detaches and recolours, and one zeroes the pages of CPU 1 as its idle
thread would. A call that is refused with BindError has changed nothing. No page is lost, whoever is refused when.
"""

from typing import Any, ClassVar

from tests.explore.pages import Pages
from tests.model.operations import do
from tests.model.system_operations import Attach


class Hotplugging(Pages):
    """CPU 1 goes and comes back; CPU 0 may be taken over by another thread."""

    PARTS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("alloc", "free", "zalloc", "bind"),
        ("alloc", "free", "zalloc", "bind"),
        ("detach", "attach", "more", "fewer", "redistribute", "give", "some"),
        ("idle_one", "idle_break", "give", "other"),
    )
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu"}
    rebinds, keeps = True, False

    def check(self) -> None:
        for index in range(self.uvm.param.ncpus):
            do(Attach(index), self.table.hands[index])
        super().check()


class FpageqlockHotplugging(Hotplugging):
    tunables: ClassVar[dict[str, Any]] = {"design": "fpageqlock"}
