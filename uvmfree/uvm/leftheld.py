"""Locks that nobody will release: what an interrupt between taking a lock and the `try` after it leaves behind.

=> Whoever holds a lock for so long that others give up has gone, or hangs. A lock says neither who nor why.
"""

from collections.abc import Callable, Sequence
from typing import Final

from uvmfree.errors import AuditError
from uvmfree.kern.lock import Behind, LockHandle
from uvmfree.kern.mutex import Mutex

CLOSE_LOCK_S: Final = 3.0
"""How long close() waits for a lock: thirty times what a stress run stalls a holder for."""

AUDIT_LOCK_S: Final = 10.0
"""How long audit() does if no CPU gets on meanwhile."""

AUDIT_LOOKS: Final = 6
"""How often it waits so long as CPUs do get on: of many on a busy host, who holds the lock may stand in line for a
shared one all the time."""


def check(mutex: Behind, steps: Callable[[], int]) -> None:
    """Refuse a lock that does not come free: AuditError; it may not be the caller's.

    => `steps()` goes up as long as any CPU gets on.
    """
    for _ in range(AUDIT_LOOKS):
        before = steps()
        if mutex.comes_free(AUDIT_LOCK_S):
            return
        if steps() == before:
            break
    raise AuditError([f"{mutex.name} is held for good: a call was broken off that had taken it, or hangs"])


def take(handle: LockHandle, steps: Callable[[], int]) -> None:
    """Take a lock that comes free, as check() has it; else AuditError."""
    if not handle.try_acquire():
        if handle.mutex is not None:
            check(handle.mutex, steps)
        handle.acquire()


def wrested(mutexes: Sequence[Mutex]) -> list[str]:
    """Release the locks that do not come free within CLOSE_LOCK_S; return their names.

    => The innermost first: its holder may have an outer one, too, and release that as soon as it gets on.
    """
    names = []
    for mutex in sorted(mutexes, key=lambda mutex: (mutex.rank.rank, mutex.index or 0), reverse=True):
        if not mutex.comes_free(CLOSE_LOCK_S):
            mutex.wrest()
            names.append(mutex.name)
    return names
