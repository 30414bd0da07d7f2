"""The last look for a page before an allocation fails: with everything stopped, and once for all who wait for it.

Where memory is out every CPU comes here. If each looked by itself, one after the other, all would wait for all, the
pagedaemon too. And as the locks would be held all the time, each search by trylock would fail, and lead here.

=> Who waited while another looked has the other's answer, if it was none, for the same want.
=> If the other found a page, who waited searches once more before it looks; after TURNS times it looks in any case.
=> So each time that one goes round another has looked, and got its page or its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from uvmfree.uvm.cpu import Found, Want

TURNS: Final = 8
"""How often who waited searches once more before it looks itself."""


class Seeker(Protocol):
    """A CPU whose search was in vain. `looks`: LastLook.done then; written under its guard.

    => Who reads it without, and finds a newer one of the same CPU's other thread, waits for a newer look.
    """

    looks: int

    def check_running(self) -> None:
        """Refuse a CPU that was stopped meanwhile."""

    def _search_again(self, want: Want, color: int | None) -> Found | None:
        """Search once more, as before; no lock is held."""


S = TypeVar("S", bound=Seeker)


class LastLook(Generic[S]):
    """The looks of one system.

    => `stopped`: as Design.stopped(), told when it is needless. `look`: takes a page, with everything stopped.
    => `done`: how many looks there were. `_in_vain`: the last that found none, by what was wanted, and who by.
       Written with everything stopped, so that who has any one guard may read them.
    """

    def __init__(
        self,
        stopped: Callable[[Callable[[], bool]], AbstractContextManager[bool]],
        look: Callable[[S, Want, int | None], Found | None],
        lwp_of: Callable[[], str],
    ) -> None:
        self._stopped, self._look, self._lwp_of = stopped, look, lwp_of
        self.done = 0
        self._in_vain: dict[tuple[object, ...], int] = {}

    def find(self, cpu: S, want: Want, color: int | None) -> Found | None:
        """Find a page for a CPU whose search was in vain; None: since then there was a moment without one for it.

        => No lock is held. Takes all of the design's, or the first of them.
        """
        what = want.freelists, want.use_reserve, self._lwp_of()
        found, turns = None, TURNS
        while found is None:
            with self._stopped(partial(self._looked_since, cpu, turns)) as stopped:
                if stopped:
                    cpu.check_running()
                    self.done += 1
                    if found := self._look(cpu, want, color):
                        return found
                    self._in_vain[what] = self.done
                if self._in_vain.get(what, 0) > cpu.looks:
                    return None
            found, turns = cpu._search_again(want, color), turns - 1
        return found

    def _looked_since(self, cpu: S, turns: int) -> bool:
        """Whether another has looked since a CPU's search, so that it need not itself; with one guard held."""
        return turns > 0 and self.done > cpu.looks
