"""The faces of a lock: what a Machine has to provide, and what the users of a mutex hold."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol


class RawLock(Protocol):
    """What a Machine's lock must do: the face of `threading.Lock`."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; with `blocking` False or a timeout, return whether it was got."""

    def release(self) -> None:
        """Give the lock back."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None: ...


class LockHandle:
    """One user's access to a mutex: `acquire`, `try_acquire` and `release`, as bound callables."""

    __slots__ = ("acquire", "release", "try_acquire")

    def __init__(
        self, acquire: Callable[[], object], try_acquire: Callable[[], bool], release: Callable[[], None]
    ) -> None:
        self.acquire = acquire
        self.try_acquire = try_acquire
        self.release = release

    def refuse(self, refuse: Callable[[], object]) -> None:
        """Have every acquisition raise by `refuse` from now on; for when no other thread uses the handle."""
        self.acquire = refuse
        self.try_acquire = lambda: bool(refuse())

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()
