"""Batons: who waits for one sleeps until it is released; they are counters of the kernel, or else locks."""

import gc
import os
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.kern.tasks import WAIT_S, begin, finish
from tests.machine.virtual_checks import random_run
from uvmfree.machine.virtual import strands
from uvmfree.machine.virtual.machine import VirtualMachine


def no_counters(patch: pytest.MonkeyPatch) -> None:
    patch.delattr(os, "eventfd")


def no_files(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(strands, "EVENTFDS_LEFT", 1 << 30)


def eventfds() -> set[str]:
    """The eventfds that this process has open, after those that nobody has any more were closed."""
    gc.collect()
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one by which they were listed
            if os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:[eventfd]":
                found.add(fd)
    return found


LOCKS = pytest.mark.parametrize("without", [no_counters, no_files])


def test_a_baton_is_an_eventfd_that_is_closed_with_it() -> None:
    before = eventfds()
    baton = strands.baton()
    assert isinstance(baton, strands.Eventfd)
    assert len(eventfds() - before) == 1
    del baton
    assert eventfds() == before


@LOCKS
def test_where_there_is_none_or_few_files_are_left_it_is_a_lock_and_no_file_stays_open(
    without: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch)
    before = eventfds()
    baton = strands.baton()
    assert type(baton) is type(threading.Lock())
    assert eventfds() == before


@pytest.mark.parametrize("lock", [False, True])
def test_who_waits_goes_on_when_it_is_released_and_who_comes_later_too(
    lock: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lock:
        no_counters(monkeypatch)
    baton, got = strands.baton(), []

    def wait() -> None:
        baton.acquire()
        got.append(1)

    waiting = begin(wait)
    assert not waiting.join(0.05)
    assert got == []
    baton.release()
    finish(waiting)
    baton.release()
    finish(begin(wait))
    late = begin(wait)  # what was released is used up
    assert not late.join(0.05)
    baton.release()
    assert late.join(WAIT_S)
    assert got == [1, 1, 1]


def test_files_of_strands_that_have_ended_are_closed_though_somebody_has_them() -> None:
    machine = VirtualMachine(ncpus=2, strands="baton")
    before, others = eventfds(), set(threading.enumerate())
    tasks = [machine.spawn(f"strand {number}", lambda: machine.sleep(1e-6)) for number in range(20)]
    assert len(eventfds() - before) == len(tasks)
    players = set(threading.enumerate()) - others
    assert {player.name for player in players} >= {task.name for task in tasks}
    machine.wait_for(tasks, lambda: False)
    # Who has handed its last baton over may not have come back from that yet, and still has it in its hand.
    for player in players:
        player.join(WAIT_S)
    assert eventfds() == before


@LOCKS
def test_what_the_batons_are_changes_nothing_in_virtual_time(
    without: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = random_run(VirtualMachine, 7, strands="baton")
    without(monkeypatch)
    assert random_run(VirtualMachine, 7, strands="baton") == digest
