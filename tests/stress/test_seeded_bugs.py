"""Bugs put into the allocator: a stress run finds each, names the command that does it again, keeps what was done.

=> Each is a small change to the shipped code, patched in for the length of a test.
"""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stress.rig import run
from uvmfree.cli import cli
from uvmfree.kern.xcall import Xcall
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.machine.words import Adder, CounterPage
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.anonpage import Anon
from uvmfree.uvm.designs.percpu import PercpuCpu
from uvmfree.uvm.freelist import GlobalFreelist
from uvmfree.uvm.page import UNKNOWN, ZEROS, PageList, VmPage

SECONDS = 40
"""Far more than any of them needs: a run ends with the first finding."""


def lost_in_the_spill(patch: pytest.MonkeyPatch) -> None:
    """A splice that drops a page of what is handed over, when there are many."""
    splice = GlobalFreelist.splice

    def dropping(self: GlobalFreelist, chunk: PageList) -> None:
        if len(chunk) > 3:
            chunk.pop()
        splice(self, chunk)

    patch.setattr(GlobalFreelist, "splice", dropping)


def dirty_page_among_the_zeroed(patch: pytest.MonkeyPatch) -> None:
    """A free that believes the page to be as zero as it was when it was handed out."""
    pagefree = PercpuCpu.pagefree

    def believing(self: PercpuCpu, pg: VmPage) -> None:
        pagefree(self, pg)
        self._acquire_free()
        try:
            freed = self.grid[UNKNOWN][pg.free_list][pg.color]
            if freed and freed[-1] is pg:
                zeros = self.grid[ZEROS][pg.free_list][pg.color]
                zeros.append(freed.pop())
                pg.on = zeros
        finally:
            self._release_free()

    patch.setattr(PercpuCpu, "pagefree", believing)


def counter_without_atomicity(patch: pytest.MonkeyPatch) -> None:
    """uvmexp.free as `free = free + n`: what another CPU adds between the load and the store is gone."""
    machine = ThreadsMachine()

    def adder(self: CounterPage, name: str) -> Adder:
        words, slot = self.view(), self.slot(name)

        def add(n: int) -> None:
            before = words[slot]
            machine.sleep(0)
            words[slot] = before + n

        return Adder(add, self)

    patch.setattr(CounterPage, "adder", adder)


def swallowed_xcall_error(patch: pytest.MonkeyPatch) -> None:
    """R31 undone: the thread survives, and nobody hears of it."""
    call = Xcall._call

    def swallowing(self: Xcall[Any], function: Callable[..., object], index: int) -> None:
        call(self, function, index)

    patch.setattr(Xcall, "_call", swallowing)


def failed_write_taken_for_done(patch: pytest.MonkeyPatch) -> None:
    """R22 undone: a page whose write to swap failed is given away all the same."""
    written = AnonMemory._written

    def hopeful(self: AnonMemory, anon: Anon, pg: VmPage, error: OSError | None) -> None:
        written(self, anon, pg, None)

    patch.setattr(AnonMemory, "_written", hopeful)


BUGS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], dict[str, Any], str]] = {
    "a page lost in the spill": (lost_in_the_spill, {"settings": ("hoard_max=16",)}, "audit: "),
    "a dirty page among the zeroed": (dirty_page_among_the_zeroed, {}, "not zero|asked for as zeroed"),
    "a counter without atomicity": (counter_without_atomicity, {}, "uvmexp.(free|zeropages) is"),
    "a swallowed error of a cross-call": (swallowed_xcall_error, {"faults": ("xcall",)}, "R31"),
    "a failed write taken for done": (
        failed_write_taken_for_done,
        {"faults": ("swapwrite",)},
        "page .* of map 1|swap",
    ),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_found_and_can_be_run_again(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R3, R8, R22, R31, P8: nothing of it is silent."""
    patch_in, how, said = BUGS[name]
    monkeypatch.chdir(tmp_path)
    patch_in(monkeypatch)
    record = run("percpu", seconds=SECONDS, **{"faults": ("storm",)} | how)
    assert not record.hung
    assert record.wall_s < SECONDS
    assert re.search(said, "\n".join(record.errors)), record.errors
    assert record.file == str(tmp_path / "uvmfree-stress-percpu-7.txt")
    lines = Path(record.file).read_text().splitlines()
    again = shlex.split(lines[0].removeprefix("again: "))
    assert again[:2] == ["uvmfree", "stress"]
    cli.commands["stress"].make_context("stress", again[2:])  # the command line takes it as it is
    assert "--seed 7" in lines[0]
    assert sum("operations; the last, each" in line for line in lines) == 3
    assert sum(" -> " in line for line in lines) >= 3  # one of these bugs is found within ten operations
    assert any(line.startswith("CPU 2, ") for line in record.report)
