"""What the child of a fork() has of its parent's systems: a clear error from every call.

A child has the memory, and none of the threads: no pagedaemon, no xc thread, and locks whose holders are not there.
So every system is stopped in the child, before fork() returns there.
"""

import os
import weakref
from typing import Final, Protocol


class Forked(Protocol):
    """A system, as far as a fork goes."""

    def forked(self) -> None:
        """Refuse every call from now on; called in the child, which has no other thread."""


_systems: Final["weakref.WeakSet[Forked]"] = weakref.WeakSet()
"""Of this process, because os.register_at_fork() takes nothing back. While systems boot and go it changes by single
calls of a set's own methods, each of which is whole; it is walked in a child, where no other thread is."""


def stopped_in_children(system: Forked) -> None:
    """Have a system stopped in every child that this process forks, as long as it lives."""
    _systems.add(system)


def _in_child() -> None:
    for system in list(_systems):
        system.forked()


os.register_at_fork(after_in_child=_in_child)
