"""Who plays which CPU, what kind of thread is who, and which CPUs have something to run.

=> `_lwps` and `_busy` are replaced whole under `_lock`, never changed in place: a reader without the lock loads one
   reference and sees one state or the next.
"""

from uvmfree.errors import BindError
from uvmfree.machine.face import Machine
from uvmfree.uvm.state import Lwp


class Players:
    """The threads that play the CPUs of one system."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._lock = machine.raw_lock()  # a leaf, held for a dictionary operation
        self._players: dict[int, int] = {}  # CPU -> the thread that plays it; guarded by _lock
        self._lwps: dict[int, Lwp] = {}
        self._busy: frozenset[int] = frozenset()
        self._own: frozenset[int] = frozenset()  # the system's own threads; replaced whole under _lock

    def enter(self, index: int) -> None:
        """Note that the calling thread plays a CPU from now on; BindError if another does."""
        me = self._machine.me()
        with self._lock:
            if index in self._players:
                raise BindError(f"CPU {index} is played by thread {self._players[index]} already")
            self._players[index] = me
            self._busy |= {index}

    def leave(self, index: int) -> None:
        """Note that nobody plays the CPU now."""
        with self._lock:
            del self._players[index]
            self._busy -= {index}

    def mine(self) -> int | None:
        """Return the CPU that the calling thread plays."""
        me = self._machine.me()
        with self._lock:
            return next((index for index, thread in self._players.items() if thread == me), None)

    def is_own(self) -> bool:
        """Whether the calling thread is one of the system's own."""
        return self._machine.me() in self._own

    def forked(self) -> None:
        """Make a lock anew in the child of a fork: who held it is not there to release it."""
        self._lock = self._machine.raw_lock()

    def set_busy(self, index: int | None, busy: bool) -> None:
        """Note whether the thread that plays a CPU runs or sleeps."""
        if index is not None:
            with self._lock:
                self._busy = self._busy | {index} if busy else self._busy - {index}

    def is_busy(self, index: int) -> bool:
        """Whether something is runnable on a CPU; an unlocked read, which may be a moment old."""
        return index in self._busy

    def lwp(self) -> Lwp:
        """Return what kind of thread the calling one is."""
        return self._lwps.get(self._machine.me(), "user")

    def is_pagedaemon(self) -> bool:
        """Whether the calling thread is the pagedaemon."""
        return self.lwp() == "pagedaemon"

    def set_lwp(self, lwp: Lwp, *, own: bool = False) -> None:
        """Note what kind of thread the calling one is, and with `own` that it is one of the system's."""
        me = self._machine.me()
        with self._lock:
            if own:
                self._own |= {me}
            others = {thread: kind for thread, kind in self._lwps.items() if thread != me}
            self._lwps = others if lwp == "user" else {**others, me: lwp}
