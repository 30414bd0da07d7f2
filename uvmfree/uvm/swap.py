"""Swap: a file of page-sized slots, and the thread that writes pages to it.

=> SwapFile is a real file, without a name: it is gone when it is closed, and when the process dies.
=> SwapIO is the I/O thread. A write is queued with the function that is to hear how it ended; that function runs on
   the I/O thread, with no lock held. Reads need no thread: whoever faults reads for himself, and waits for it.
=> A failed write is an answer, not an accident: the file is as useful as before. What a failed write was asked to
   write is still in RAM.

Source: uvm_swap.c, uvm_swap_io and uvm_aio_aiodone in sys/uvm of NetBSD 9.
"""

import errno
import os
import tempfile
from collections import deque
from collections.abc import Callable
from typing import Final

from uvmfree.errors import ArgumentError, ClosedError, HangError
from uvmfree.kern.lockrank import SWAPIO
from uvmfree.machine.face import Machine, Task

CLOSE_TIMEOUT_S: Final = 10.0
"""Thousands of page writes to a slow disk; a thread that needs longer hangs."""

Written = Callable[[OSError | None], None]
"""Hears how a write ended: None, or what was wrong."""


class SwapFile:
    """A swap file of `nslots` slots of a page each.

    Guarded by (s) its own lock, a leaf; (i) immutable.

    => `fail(slot)` is asked before each write: an OSError that it returns is raised instead of writing.
    => `pwrite`, `pread` are the system's, or stand in for them: both may do less than they are asked for.
    """

    def __init__(
        self,
        machine: Machine,
        nslots: int,
        pagesize: int,
        *,
        directory: str | None = None,
        fail: Callable[[int], OSError | None] = lambda slot: None,
        pwrite: Callable[[int, memoryview, int], int] = os.pwrite,
        pread: Callable[[int, int, int], bytes] = os.pread,
    ) -> None:
        """Make the file in `directory`, or where temporary files go; it takes space as slots are written."""
        if type(nslots) is not int or nslots < 0:
            raise ArgumentError(f"nslots={nslots!r}: must be a whole number of slots, 0 or more")
        self.nslots, self.pagesize = nslots, pagesize  # [i]
        self._fail, self._pwrite, self._pread = fail, pwrite, pread  # [i]
        # A file without a buffer, so that a write has reached the kernel when it returns.
        self._file = tempfile.TemporaryFile(buffering=0, prefix="uvmfree-swap-", dir=directory)  # noqa: SIM115
        self._fd = self._file.fileno()  # [i]
        self._lock = machine.raw_lock()
        # First in, first out: a slot that could not be written comes up again only after all others.  [s]
        self._free = deque(range(nslots))
        self._used = bytearray(nslots)  # [s]
        self._users = 0  # reads and writes under way  [s]
        self._closed = False  # [s]

    @property
    def inuse(self) -> int:
        """Slots in use."""
        with self._lock:
            return self.nslots - len(self._free)

    def allocate(self) -> int | None:
        """Take a free slot (uvm_swap_alloc); None if the file is full."""
        with self._lock:
            if not self._free:
                return None
            slot = self._free.popleft()
            self._used[slot] = True
            return slot

    def free(self, slot: int) -> None:
        """Give a slot back (uvm_swap_free); ArgumentError if it is not in use."""
        with self._lock:
            if not (0 <= slot < self.nslots and self._used[slot]):
                raise ArgumentError(f"slot={slot!r}: is not in use; there are slots 0 to {self.nslots - 1}")
            self._used[slot] = False
            self._free.append(slot)

    def write(self, slot: int, data: memoryview) -> None:
        """Write a page to a slot, all of it; OSError if that cannot be done, ClosedError after close()."""
        assert len(data) == self.pagesize
        self._enter()
        try:
            if (error := self._fail(slot)) is not None:
                raise error
            done = 0
            while done < self.pagesize:
                wrote = self._pwrite(self._fd, data[done:], slot * self.pagesize + done)
                if wrote <= 0:
                    raise OSError(errno.EIO, f"nothing more could be written to swap slot {slot}")
                done += wrote
        finally:
            self._leave()

    def read(self, slot: int) -> bytes:
        """Read the page in a slot, all of it; OSError if that cannot be done, ClosedError after close()."""
        self._enter()
        try:
            parts: list[bytes] = []
            left = self.pagesize
            while left:
                part = self._pread(self._fd, left, (slot + 1) * self.pagesize - left)
                if not part:
                    raise OSError(errno.EIO, f"swap slot {slot} ends before its page does")
                parts.append(part)
                left -= len(part)
            return b"".join(parts)
        finally:
            self._leave()

    def close(self) -> None:
        """Refuse reads and writes from now on, and give the file up when the last under way has ended; idempotent."""
        self._enter(closing=True)
        self._leave()

    def _enter(self, *, closing: bool = False) -> None:
        with self._lock:
            if self._closed and not closing:
                raise ClosedError("the swap file is closed")
            self._closed |= closing
            self._users += 1

    def _leave(self) -> None:
        # Never closed under a user: the number of a closed file may soon be that of another.
        with self._lock:
            self._users -= 1
            last = self._closed and self._users == 0
        if last:
            self._file.close()


class SwapIO:
    """The I/O thread of a swap file, and its queue.

    => Without start() the writes are done by whoever calls one(), or close().
    => The queue has no bound of its own: the pagedaemon stops at four times its target of free and paging pages.
    """

    def __init__(self, machine: Machine, file: SwapFile) -> None:
        self.file = file
        self._machine = machine
        self.mutex = machine.mutex(SWAPIO)
        self._handle = self.mutex.handle("uvm_swap_io")
        self._work = machine.condvar()
        # All below is guarded by it.
        self._queue: deque[tuple[int, memoryview, Written]] = deque()
        self._closing = False
        self._died: BaseException | None = None
        self._on_death: tuple[Callable[[BaseException], None], ...] = ()
        self._task: Task | None = None

    def on_death(self, tell: Callable[[BaseException], None]) -> None:
        """Have `tell(error)` called, on the I/O thread, if that thread dies: what was queued will not be written."""
        with self._handle:
            self._on_death = (*self._on_death, tell)

    def start(self, on_start: Callable[[], None] = lambda: None) -> None:
        """Start the thread, on which `on_start()` runs first; what was queued before is written now."""
        task = self._machine.spawn("swapio", lambda: self._run(on_start))
        with self._handle:
            self._task = task

    def allocate(self) -> int | None:
        """Take a slot to write a page to; None if the file is full, or after close()."""
        with self._handle:
            return None if self._closing else self.file.allocate()

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        with self._handle:
            return self._closing

    def submit(self, slot: int, data: memoryview, written: Written) -> None:
        """Queue the write of a page to a slot; the bytes may not change before `written` was called.

        => ClosedError after close(); HangError if the I/O thread has died. The write was not queued then.
        """
        with self._handle:
            if self._died is not None:
                raise HangError(f"swapio died of {self._died!r}; no page will be written") from self._died
            if self._closing:
                raise ClosedError("a page was to be written to a swap that is closed")
            self._queue.append((slot, data, written))
            self._work.signal()

    def one(self) -> bool:
        """Do the write that has waited longest, and tell; False if there is none."""
        with self._handle:
            if not self._queue:
                return False
            slot, data, written = self._queue.popleft()
        failed: OSError | None = None
        try:
            self.file.write(slot, data)
        except OSError as error:
            failed = error
        written(failed)
        return True

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Write what is queued, end the thread; idempotent. The file stays open: its pages can still be read.

        => HangError if the thread does not end within `timeout_s` seconds, or has died.
        """
        with self._handle:
            self._closing = True
            self._work.broadcast()
            task = self._task
        if task is None:
            while self.one():
                pass
            return
        if not task.join(timeout_s):
            raise HangError(f"{task.name} did not end within {timeout_s} s")
        with self._handle:
            self._task, self._queue, died = None, deque(), self._died
        if died is not None:
            raise HangError(f"{task.name} died of {died!r}") from died

    def refuse(self, refuse: Callable[[], object]) -> None:
        """Have every call raise by `refuse` from now on, without a lock; for the child of a fork."""
        self._handle.refuse(refuse)

    def _run(self, on_start: Callable[[], None]) -> None:
        """Write until the system closes and nothing is queued any more."""
        try:
            on_start()
            while self._await_work():
                self.one()
        except BaseException as error:
            with self._handle:
                self._died = error
                tell_all = self._on_death
            for tell in tell_all:
                tell(error)
            raise

    def _await_work(self) -> bool:
        with self._handle:
            while not self._queue and not self._closing:
                self._work.wait(self._handle)
            return bool(self._queue)
