"""Strands: the threads of control of a virtual machine, of which one runs at a time.

Two kinds do the same. A *greenlet* switches in about 0.3 us. A *baton* is an OS thread that runs while it has the
baton; a switch takes 12 to 28 us. Batons serve where greenlet is missing, and are the oracle of the other kind.

=> Which kind plays a strand changes nothing that happens in virtual time.
=> What strands share is safe because only one runs: the next begins after the last has handed over, and a
   `threading.Lock` orders the two. That holds without the GIL, too.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any


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
        self.resume: Callable[[Strand], object] = _not_started

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


class Batons:
    """Strands that are OS threads; each waits for a lock of its own, which is the baton."""

    name = "baton"
    one_thread = False

    def frame(self, strand: Strand) -> FrameType | None:
        """Return where its thread is."""
        return sys._current_frames().get(strand.ident)

    def adopt(self, strand: Strand) -> None:
        """Give the strand a baton, which somebody else has."""
        baton = threading.Lock()
        baton.acquire()
        strand.own = baton
        strand.resume = partial(_pass_baton, baton)

    def start(self, strand: Strand, life: Life) -> None:
        """Start a thread that waits for its baton."""
        self.adopt(strand)

        def run() -> None:
            strand.own.acquire()
            strand.ident = threading.get_ident()
            life().own.release()

        threading.Thread(target=run, name=strand.name, daemon=True).start()


Kind = Greenlets | Batons


def _pass_baton(baton: threading.Lock, leaving: Strand) -> None:
    baton.release()
    leaving.own.acquire()


def _not_started(_: Strand) -> object:
    raise AssertionError("a strand is resumed before it was started")


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
