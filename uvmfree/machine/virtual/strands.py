"""Strands: the threads of control of a virtual machine, of which one runs at a time.

Two kinds do the same. A *greenlet* switches in about 0.3 us. A *baton* is an OS thread that runs while it has the
baton; a switch takes 5 to 15 us. Batons serve where greenlet is missing, and are the oracle of the other kind.

=> Which kind plays a strand changes nothing that happens in virtual time.
=> What strands share is safe because only one runs: the next begins after the last has handed over, and the baton,
   an eventfd or a `threading.Lock`, orders the two. That holds without the GIL, too.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
import threading
from collections.abc import Callable
from functools import partial
from threading import Lock
from types import FrameType
from typing import Any, Final

FD_SETSIZE: Final = 1024
"""Files that select(2) knows, which others in the process may use."""

EVENTFDS_LEFT: Final = 256
"""Files that a process may still open when strands take no more of them."""

_ONE: Final = (1).to_bytes(8, sys.byteorder)
"""What is written to an eventfd for one who waits."""


class Place:
    """A CPU as the scheduler sees it: strands of one place never run at the same virtual time.

    => `top`: the strand that the CPU runs. `busy_until`: up to when it has been running something.
    """

    __slots__ = ("busy_until", "top")

    def __init__(self) -> None:
        self.busy_until = 0
        self.top: Strand | None = None


class Strand:
    """One thread of control, and its task: `error` and `over` are for who joins it.

    => `cpu`: the number of its CPU, or -1. `ticket`: the number of the one heap entry that counts for it, or 0.
    => `fresh`: it comes from a wait. `below`: who goes on when it waits again. `aside`: off the heap until then.
    => `awaits`: what it waits for. `woken`: whether that came. `pending`: an error to be raised where it waits.
    => `ident`: the OS thread that plays it, written as that begins.
    => `resume(leaving)` runs it and returns when `leaving`, the caller, is resumed.
    """

    __slots__ = (
        "arrives",
        "aside",
        "awaits",
        "below",
        "cpu",
        "error",
        "fresh",
        "ident",
        "jitter",
        "joiners",
        "machine",
        "name",
        "number",
        "over",
        "own",
        "pending",
        "place",
        "resume",
        "ticket",
        "woken",
    )

    def __init__(self, machine: Any, name: str, number: int, cpu: int, place: Place, jitter: Any) -> None:
        self.machine = machine
        self.name, self.number, self.cpu, self.place, self.jitter = name, number, cpu, place, jitter
        self.error: BaseException | None = None
        self.pending: BaseException | None = None
        self.over = self.woken = self.aside = False
        self.fresh = True
        self.ticket = self.ident = 0
        self.awaits: Any = None
        self.arrives: Any = None  # the spinlock that it comes for
        self.below: Strand | None = None
        self.joiners: list[Strand] = []
        self.own: Any = None  # the greenlet or the baton
        self.resume: Callable[[Strand], object] = _not_alive

    def join(self, timeout_s: float) -> bool:
        """Wait for its end, at most so many virtual seconds; return whether it has ended."""
        return bool(self.machine.join(self, timeout_s))

    def __repr__(self) -> str:
        return f"<strand {self.name}>"


Life = Callable[[], Strand]
"""What a strand runs, from its start to its end; returns who runs next."""


class Greenlets:
    """Strands that are greenlets, all in the OS thread that made the machine."""

    name = "greenlet"
    one_thread = True

    def __init__(self) -> None:
        import greenlet

        self._greenlet = greenlet.greenlet
        self._root = greenlet.getcurrent()

    def frame(self, strand: Strand) -> FrameType | None:
        """Return where its greenlet was left; None if it runs, or has not begun."""
        frame: FrameType | None = strand.own.gr_frame
        return frame

    def adopt(self, strand: Strand) -> None:
        """Take the greenlet that is running: the thread of control that made the machine."""
        strand.own, strand.resume = self._root, self._root.switch
        strand.ident = threading.get_ident()

    def start(self, strand: Strand, life: Life) -> None:
        """Make a greenlet that waits to be resumed."""
        # The root is the parent of all: a parent that is a strand could come to stand in a circle.
        spawner = sys.modules["greenlet"].getcurrent()

        def run(*_: object) -> None:
            spawner.switch()
            # A greenlet that ends goes on in its parent.
            own.parent = life().own

        own = self._greenlet(run, self._root)
        strand.own, strand.resume, strand.ident = own, own.switch, threading.get_ident()
        # Started at once: a greenlet inherits the recursion depth of who first switches to it.
        own.switch()


class Eventfd:
    """A baton that is a counter of the kernel's: who waits for it sleeps at once (eventfd(2)).

    => A free-threaded Python's Lock yields the processor up to 40 times before it sleeps (MAX_SPIN_COUNT in
       Python/lock.c), for locks that are soon released. A baton is not: with Locks a switch took five times as long.
    => Whoever waits has a reference to it, so that it is not closed under a wait.
    """

    __slots__ = ("_fd",)

    def __init__(self) -> None:
        """OSError or AttributeError where there is none to be had, or few files more (EVENTFDS_LEFT)."""
        self._fd = -1
        fd = os.eventfd(0)
        if fd >= min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], FD_SETSIZE) - EVENTFDS_LEFT:
            os.close(fd)
            raise OSError(errno.EMFILE, "the rest is for others")
        self._fd = fd

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def acquire(self) -> object:
        """Wait for the baton, and take it."""
        return os.read(self._fd, 8)

    def release(self) -> object:
        """Give the baton to who waits, or will."""
        return os.write(self._fd, _ONE)


def baton() -> Eventfd | Lock:
    """Make a baton, which somebody else has."""
    try:
        return Eventfd()
    except (AttributeError, OSError):  # not Linux, or too many strands
        lock = threading.Lock()
        lock.acquire()
        return lock


class Batons:
    """Strands that are OS threads; each waits for a baton of its own."""

    name = "baton"
    one_thread = False

    def frame(self, strand: Strand) -> FrameType | None:
        """Return where its thread is."""
        return sys._current_frames().get(strand.ident)

    def adopt(self, strand: Strand) -> None:
        """Give the strand a baton, which somebody else has."""
        strand.own = baton()
        strand.resume = partial(_pass_baton, strand.own)

    def start(self, strand: Strand, life: Life) -> None:
        """Start a thread that waits for its baton."""
        self.adopt(strand)

        def run() -> None:
            strand.own.acquire()
            strand.ident = threading.get_ident()
            after = life()
            strand.own, strand.resume = None, _not_alive  # its file is closed: machines are collected much later
            after.own.release()

        threading.Thread(target=run, name=strand.name, daemon=True).start()


Kind = Greenlets | Batons


def _pass_baton(to: Eventfd | Lock, leaving: Strand) -> None:
    to.release()
    leaving.own.acquire()


def _not_alive(_: Strand) -> object:
    raise AssertionError("a strand is resumed before its start, or after its end")


def greenlets_work() -> bool:
    """Whether greenlet may be used: it is installed, and does not switch the GIL back on."""
    free_threaded = not getattr(sys, "_is_gil_enabled", lambda: True)()
    if free_threaded and sys.version_info < (3, 14):
        return False
    try:
        import greenlet  # noqa: F401
    except ImportError:
        return False
    return True


def kind_named(name: str | None) -> Kind:
    """Return the kind of that name; by default greenlets where they work."""
    if name is None:
        name = "greenlet" if greenlets_work() else "baton"
    return Greenlets() if name == "greenlet" else Batons()
