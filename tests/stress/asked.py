"""What stands for a system below the hands of a stress run's CPU, and notes what they ask of it."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

from uvmfree.stress.hands import Hands
from uvmfree.stress.program import KINDS

NCPUS, NFREELISTS, NPAGES = 4, 3, 640


class System:
    """Stands for a system, a CPU and a stamper: notes what each of them is asked.

    => `answers`: what a call returns, by its name; an error is raised.
    """

    def __init__(self, npages: int = NPAGES) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answers: dict[str, Any] = {}
        self.uvm = SimpleNamespace(
            param=SimpleNamespace(ncpus=NCPUS, nfreelists=NFREELISTS, npages=npages),
            xcall=SimpleNamespace(broadcast=self.call("broadcast"), unicast=self.call("unicast")),
            **{name: self.call(name) for name in ("pglistalloc", "pglistfree", "redistribute", "wait", "recolor")},
            kick_pdaemon=self.call("kick_pdaemon"),
        )
        self.map = SimpleNamespace(npages=1000, touch=self.call("touch"), discard=self.call("discard"))
        self.shared = SimpleNamespace(
            uvm=self.uvm,
            trays=[deque[Any]() for _ in range(NCPUS)],
            loose=deque[Any](),
            anons=(SimpleNamespace(), self.map),
            called="called",
            brief_ns=lambda seconds: round(seconds * 5e8),
            **{name: self.call(name) for name in ("reclaim_one", "xc_wait", "starved")},
        )
        shared: Any = self.shared
        self.hands = Hands(shared, 1)
        stamper: Any = SimpleNamespace(**{name: self.call(name) for name in ("stamp", "check", "check_zero")})
        cpu: Any = SimpleNamespace(**{name: self.call(name) for name in ("pagealloc", "pagefree", "pageidlezero")})
        self.hands.stamper, self.hands.cpu = stamper, cpu
        self.does = dict(zip(KINDS, self.hands.operations(), strict=True))

    def call(self, name: str) -> Any:
        def called(*args: Any, **how: Any) -> Any:
            self.asked.append((name, *args, *([how] if how else [])))
            answer = self.answers.get(name)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return called

    def do(self, kind: str, how: int) -> Any:
        """Do a step; what was asked before is forgotten."""
        self.asked.clear()
        return self.does[kind](how)


def page(pfn: int) -> Any:
    return SimpleNamespace(pfn=pfn)
