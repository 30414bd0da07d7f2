"""The threads of a system, their start and their end: xc threads, pagedaemon, the I/O threads of swap, idle threads.

=> Each is noted as the system's own: it cannot wait for the system's end, being part of it.
"""

from functools import partial

from uvmfree.errors import DeadlockError, HangError, UvmError
from uvmfree.kern.xcall import CLOSE_TIMEOUT_S, Xcall
from uvmfree.machine.face import Machine, Task
from uvmfree.uvm.anonmaps import AnonMaps
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.idle import IdleThreads
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.pdaemon import Pagedaemon
from uvmfree.uvm.players import Players


class OwnThreads:
    """The threads of one system; started and ended by whoever opens and closes it."""

    def __init__(
        self,
        machine: Machine,
        players: Players,
        pageout: Pageout,
        pagedaemon: Pagedaemon,
        xcall: Xcall[Cpu],
        anon_maps: AnonMaps,
        idle: IdleThreads | None,
    ) -> None:
        self._machine, self._players = machine, players
        self._pageout, self._pagedaemon = pageout, pagedaemon
        self._xcall, self._anon_maps, self._idle = xcall, anon_maps, idle
        self._daemon: Task | None = None

    def start(self) -> None:
        """Start all; idle threads if there are any."""
        self._xcall.start()
        self._anon_maps.start(partial(self._players.set_lwp, "user", own=True))
        self._daemon = self._machine.spawn("pagedaemon", self._be_pagedaemon)
        if self._idle is not None:
            self._idle.start()

    def check_not_own(self) -> None:
        """Refuse what would wait for the calling thread, if that is one of the system's own: DeadlockError."""
        if self._players.is_own():
            raise DeadlockError("close() is called by a thread of the system, which it would wait for; use another")

    def end(self) -> None:
        """Run the queued cross-calls and write the queued pages, then end all threads, each in a bounded time.

        => HangError or UvmError if one hung or died.
        """
        self._pageout.close()
        stray = [] if self._idle is None else self._idle.close(CLOSE_TIMEOUT_S)
        daemon = self._daemon
        if daemon is not None and (not daemon.join(CLOSE_TIMEOUT_S) or daemon.error is not None):
            stray.append(daemon)
        hung = self._anon_maps.close()
        self._xcall.close()
        if hung:
            raise hung[0]
        for task in stray:
            if task.error is None:
                raise HangError(f"{task.name} did not end within {CLOSE_TIMEOUT_S} s")
            raise UvmError(f"{task.name} died of {task.error!r}") from task.error

    def _be_pagedaemon(self) -> None:
        self._players.set_lwp("pagedaemon", own=True)
        self._pagedaemon.run()
