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

    def locked(self) -> bool:
        """Whether anybody holds the lock at this moment."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None: ...


class Behind(Protocol):
    """A mutex, as far as who has a handle of it may ask."""

    name: str

    def comes_free(self, timeout_s: float) -> bool:
        """Whether nobody holds the mutex, or nobody does any more within a time."""


class LockHandle:
    """One user's access to a mutex: `acquire`, `try_acquire` and `release`, as bound callables; and which `mutex`."""

    __slots__ = ("acquire", "mutex", "release", "try_acquire")

    def __init__(
        self,
        acquire: Callable[[], object],
        try_acquire: Callable[[], bool],
        release: Callable[[], None],
        mutex: Behind | None = None,
    ) -> None:
        self.mutex = mutex
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
