"""The swap file and its I/O thread: slots, whole pages or an error, and an end that is bounded."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.anon.rig import PAGESIZE, io_error
from tests.kern.tasks import WAIT_S, await_event, begin, finish
from uvmfree.errors import ArgumentError, ClosedError, HangError
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm.swap import SwapFile, SwapIO


def swapfile(nslots: int = 4, **how: Any) -> SwapFile:
    return SwapFile(ThreadsMachine(), nslots, PAGESIZE, **how)


def page(byte: int) -> memoryview:
    return memoryview(bytes([byte]) * PAGESIZE)


def test_slots_go_round_until_the_file_is_full() -> None:
    file = swapfile(3)
    assert [file.allocate() for _ in range(4)] == [0, 1, 2, None]
    assert file.inuse == 3
    file.free(1)
    file.free(0)
    assert [file.allocate(), file.allocate(), file.allocate()] == [1, 0, None]
    file.close()


@pytest.mark.parametrize("slot", [-1, 0, 4, 1])
def test_a_slot_that_is_not_in_use_cannot_be_freed(slot: int) -> None:
    file = swapfile()
    assert file.allocate() == 0
    assert file.allocate() == 1
    file.free(0)
    file.free(1)
    with pytest.raises(ArgumentError, match=f"slot={slot}: is not in use; there are slots 0 to 3"):
        file.free(slot)
    assert file.inuse == 0
    file.close()


@pytest.mark.parametrize("nslots", [-1, 1.5, True])
def test_bad_sizes_are_refused(nslots: Any) -> None:
    with pytest.raises(ArgumentError, match="nslots="):
        swapfile(nslots)


def test_a_file_of_no_slots_is_full() -> None:
    file = swapfile(0)
    assert file.allocate() is None
    file.close()


def test_pages_come_back_as_they_were_and_apart() -> None:
    file = swapfile()
    for slot in (3, 0, 2, 1):
        file.write(slot, page(slot + 1))
    file.write(2, page(9))
    assert [file.read(slot)[0] for slot in range(4)] == [1, 2, 9, 4]
    assert [len(set(file.read(slot))) for slot in range(4)] == [1, 1, 1, 1]
    file.close()


def test_the_file_is_real_and_has_no_name(tmp_path: Path) -> None:
    file = swapfile(directory=str(tmp_path))
    file.write(0, page(1))
    assert list(tmp_path.iterdir()) == []
    file.close()
    file.close()
    assert list(tmp_path.iterdir()) == []


def test_a_short_write_is_gone_on_with() -> None:
    calls: list[int] = []

    def some(fd: int, data: memoryview, at: int) -> int:
        calls.append(len(data))
        return os.pwrite(fd, data[:200], at)

    file = swapfile(pwrite=some)
    file.write(1, memoryview(bytes(range(256)) * 2))
    assert calls == [512, 312, 112]
    assert file.read(1) == bytes(range(256)) * 2
    file.close()


def test_a_write_that_gets_nowhere_is_an_error() -> None:
    file = swapfile(pwrite=lambda fd, data, at: 0)
    with pytest.raises(OSError, match="nothing more could be written to swap slot 2"):
        file.write(2, page(1))
    file.close()


def test_a_short_read_is_gone_on_with_and_an_early_end_is_an_error() -> None:
    file = swapfile(pread=lambda fd, n, at: os.pread(fd, min(n, 100), at))
    written = bytes(range(256)) * (PAGESIZE // 256)  # no two parts of it are the same
    for slot in (0, 1):
        file.write(slot, memoryview(written))
        assert file.read(slot) == written
    with pytest.raises(OSError, match="swap slot 3 ends before its page does"):
        file.read(3)
    file.close()


def test_an_injected_failure_is_raised_instead_of_writing() -> None:
    file = swapfile(fail=lambda slot: io_error(slot) if slot == 1 else None)
    file.write(0, page(1))
    with pytest.raises(OSError, match="slot 1 is broken"):
        file.write(1, page(1))
    file.close()


def test_a_closed_file_refuses_and_is_closed_only_after_its_last_reader() -> None:
    reading, go = threading.Event(), threading.Event()

    def slow(fd: int, n: int, at: int) -> bytes:
        reading.set()
        await_event(go)
        return os.pread(fd, n, at)  # on a file that was closed under it this would fail, or read another file

    file = swapfile(pread=slow)
    file.write(0, page(5))
    got: list[bytes] = []
    reader = begin(lambda: got.append(file.read(0)))
    await_event(reading)
    file.close()
    go.set()
    finish(reader)
    assert got == [bytes(page(5))]
    with pytest.raises(ClosedError):
        file.read(0)
    with pytest.raises(ClosedError):
        file.write(0, page(1))


def test_without_a_thread_writes_wait_for_whoever_does_them() -> None:
    swap = SwapIO(ThreadsMachine(lockdebug=True), swapfile(fail=lambda slot: io_error(slot) if slot == 1 else None))
    ended: list[tuple[int, OSError | None]] = []
    for slot in (2, 1, 0):
        swap.submit(slot, page(slot + 1), lambda error, slot=slot: ended.append((slot, error)))  # type: ignore[misc]
    assert ended == []
    assert swap.one()
    assert ended == [(2, None)]
    swap.close()  # does the rest
    assert [slot for slot, _ in ended] == [2, 1, 0]
    assert [error is None for _, error in ended] == [True, False, True]
    assert not swap.one()
    assert swap.file.read(0) == bytes(page(1))
    swap.file.close()


def test_close_writes_what_is_queued_ends_the_thread_and_takes_no_more() -> None:
    swap = SwapIO(ThreadsMachine(lockdebug=True), swapfile(64))
    ended: list[OSError | None] = []
    for slot in range(32):
        swap.submit(slot, page(slot), ended.append)
    swap.start()
    for slot in range(32, 64):
        swap.submit(slot, page(slot), ended.append)
    swap.close(WAIT_S)
    assert ended == [None] * 64
    assert [swap.file.read(slot)[0] for slot in range(64)] == list(range(64))
    with pytest.raises(ClosedError):
        swap.submit(0, page(0), ended.append)
    swap.close()
    swap.file.close()


def test_a_write_that_hangs_bounds_close_and_is_named() -> None:
    writing, go = threading.Event(), threading.Event()

    def stuck(fd: int, data: memoryview, at: int) -> int:
        writing.set()
        await_event(go)
        return os.pwrite(fd, data, at)

    swap = SwapIO(ThreadsMachine(), swapfile(pwrite=stuck))
    swap.start()
    swap.submit(0, page(1), lambda error: None)
    await_event(writing)
    try:
        with pytest.raises(HangError, match=r"^swapio did not end within 0\.01 s"):
            swap.close(0.01)
    finally:
        go.set()
    swap.close(WAIT_S)  # now it has ended, or ends within the bound
    swap.file.close()


def test_a_thread_that_dies_tells_refuses_and_fails_close() -> None:
    swap = SwapIO(ThreadsMachine(lockdebug=True), swapfile())
    died = threading.Event()
    told: list[BaseException] = []
    swap.on_death(told.append)
    swap.on_death(lambda error: died.set())

    def breaks(error: OSError | None) -> None:
        raise LookupError("broken")

    swap.submit(0, page(1), breaks)
    swap.submit(1, page(1), lambda error: None)
    swap.start()
    await_event(died)
    assert [type(error) for error in told] == [LookupError]
    with pytest.raises(HangError, match="swapio died of LookupError"):
        swap.submit(2, page(1), breaks)
    with pytest.raises(HangError, match="swapio died of LookupError") as refusal:
        swap.close(WAIT_S)
    assert isinstance(refusal.value.__cause__, LookupError)
    swap.close()
    swap.file.close()


def test_no_slot_is_counted_from_the_end() -> None:
    file = swapfile(2)
    assert [file.allocate(), file.allocate()] == [0, 1]
    with pytest.raises(ArgumentError, match="slot=-1: is not in use"):
        file.free(-1)
    assert file.inuse == 2
    file.close()


def test_a_swap_that_is_closed_gives_no_slots_and_one_that_died_forgets_its_queue() -> None:
    machine = ThreadsMachine()
    swap = SwapIO(machine, swapfile())
    assert swap.allocate() == 0
    swap.close()
    assert (swap.allocate(), swap.file.inuse) == (None, 1)
    swap.file.close()

    def dies() -> None:
        raise LookupError("at its start")

    dead, told = SwapIO(machine, swapfile()), threading.Event()
    dead.on_death(lambda _: told.set())
    dead.submit(0, page(1), lambda _: None)
    dead.start(dies)
    assert told.wait(WAIT_S)
    with pytest.raises(HangError, match="swapio died of LookupError"):
        dead.close()
    assert not dead.one()
    dead.file.close()
