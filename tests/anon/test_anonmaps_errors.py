"""Anon maps that cannot be made, and one whose I/O thread has died when the system closes."""

from typing import Any

import pytest

import uvmfree
from tests.mechanism.rig import until
from uvmfree.uvm import anonmaps


def test_a_map_that_cannot_be_made_leaves_no_swap_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Kept(anonmaps.SwapFile):
        def __init__(self, *arguments: Any, **how: Any) -> None:
            super().__init__(*arguments, **how)
            made.append(self)

    monkeypatch.setattr(anonmaps, "SwapFile", Kept)
    uvm = uvmfree.boot(npages=64, ncpus=1)
    with pytest.raises(uvmfree.ArgumentError, match="npages=0"):
        uvm.anon_memory(0, 8)
    assert [file._file.closed for file in made] == [True]
    with uvm:
        uvm.audit()


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_system_whose_io_thread_died_says_so_at_the_end_and_is_closed(design: str) -> None:
    """R22: nobody will say that the write is done; who waits is told, and close() ends the rest all the same."""

    def broken(fd: int, data: memoryview, at: int) -> int:
        raise RuntimeError("the disk is on fire")

    uvm = uvmfree.boot(npages=64, ncpus=1, pagesize=1 << 14, design=design)
    anons = uvm.anon_memory(128, 128, pwrite=broken, patience_s=5.0)
    files = [swap.file for _, swap in uvm._anon_maps._maps]

    def play() -> None:
        with uvm.run_on(0) as cpu:
            for index in range(128):
                anons.touch(cpu, index, write=True)

    with pytest.raises(uvmfree.HangError, match="swapio died of RuntimeError"), uvm:  # noqa: PT012 (both must raise)
        with pytest.raises(uvmfree.HangError, match="swapio died"):
            play()
        until(lambda: anons._io_died is not None)
    with pytest.raises(uvmfree.ClosedError):
        uvm.audit()
    assert all(file._file.closed for file in files)
