"""A lock that tells when it is held."""

import threading
from collections.abc import Callable


class Noted:
    """A raw lock that calls `taken` when it has just been taken, and `dropped` when it is about to be dropped."""

    def __init__(self, taken: Callable[[], None], dropped: Callable[[], None]) -> None:
        self._taken, self._dropped, self._lock = taken, dropped, threading.Lock()
        self.locked = self._lock.locked

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        got = self._lock.acquire(blocking, timeout)
        if got:
            self._taken()
        return got

    def release(self) -> None:
        self._dropped()
        self._lock.release()
