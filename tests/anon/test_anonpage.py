"""An anon's stamps, states and audit: each thing that can go wrong with a page, and who says so."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.anon.rig import PAGESIZE, Rig
from uvmfree.errors import AuditError
from uvmfree.uvm.anonpage import Anon, AnonState, StampError, findings
from uvmfree.uvm.page import VmPage

UNTOUCHED, SWAPPED, RESIDENT, PAGEOUT = AnonState.UNTOUCHED, AnonState.SWAPPED, AnonState.RESIDENT, AnonState.PAGEOUT


def test_a_page_that_is_not_zero_when_it_should_be_is_caught() -> None:
    """R12: a page that was asked for zeroed is zero, to the last byte."""
    with Rig() as rig:
        pg = rig.cpu.pagealloc(zero=True)
        assert pg is not None
        rig.uvm.physmem.bytes_of(pg)[300] = 7
        cpu: Any = SimpleNamespace(pagealloc=lambda zero: pg)
        with pytest.raises(
            StampError, match=rf"<page {pg.pfn:#x},.*page 4 of map 1: byte 300 .* is 0x7 and not zero"
        ):
            rig.anons.touch(cpu, 4)
        rig.settle()


@pytest.mark.parametrize(("at", "where"), [(0, "begins"), (9, "begins"), (PAGESIZE - 24, "ends"), (-1, "ends")])
@pytest.mark.parametrize("written", [True, False])
def test_a_byte_that_somebody_else_wrote_is_caught(at: int, where: str, written: bool) -> None:
    with Rig() as rig:
        held = [rig.cpu.pagealloc(zero=True)]
        pg = held[0]
        assert pg is not None
        cpu: Any = SimpleNamespace(pagealloc=lambda zero: held.pop())
        rig.anons.touch(cpu, 0, write=written)
        rig.uvm.physmem.bytes_of(pg)[at] ^= 0x55
        for write in (True, False):  # and still when it is tried again: nothing is stamped over
            with pytest.raises(StampError, match=f"page 0 of map 1: {where} with owner, page, version"):
                rig.touch(0, write=write)
        rig.settle()


def test_a_page_handed_to_two_owners_is_caught_at_the_next_access() -> None:
    with Rig() as rig:
        pg = rig.cpu.pagealloc(zero=True)
        cpu: Any = SimpleNamespace(pagealloc=lambda zero: pg)
        rig.anons.touch(cpu, 0)
        rig.anons.touch(cpu, 1, write=True)  # reads as zeros still
        with pytest.raises(StampError, match=r"page 0 of map 1: begins with .* \(1, 1, 1\), not \(0, 0, 0\)"):
            rig.touch(0)
        with pytest.raises(AuditError, match=r"page 1 of map 1 \(RESIDENT\) shares <page"):
            rig.anons.audit()


def test_a_lost_write_is_caught() -> None:
    with Rig() as rig:
        rig.touch(0, write=True)
        rig.scan()
        old = memoryview(rig.file.read(0))
        rig.touch(0, write=True)
        rig.scan()
        rig.file.write(1, old)
        with pytest.raises(StampError, match=r"\(1, 0, 1\), not \(1, 0, 2\)"):
            rig.touch(0)
        rig.settle()


def test_a_discarded_page_reads_as_zeros_and_its_earlier_life_is_told_from_the_next() -> None:
    with Rig() as rig:
        rig.touch(0, 1, write=True)
        rig.touch(0, write=True)
        rig.anons.discard(rig.cpu, 0)
        rig.anons.discard(rig.cpu, 0)
        assert rig.state(0) is UNTOUCHED
        rig.touch(0)
        rig.scan()
        old = memoryview(rig.file.read(0))  # page 1, version 1
        rig.anons.discard(rig.cpu, 1)  # while it is in swap
        assert rig.file.inuse == 0
        rig.touch(1, write=True)
        rig.scan()
        rig.file.write(1, old)
        with pytest.raises(StampError, match=r"\(1, 1, 1\), not \(1, 1, 2\)"):
            rig.touch(1)
        rig.settle()


def test_only_legal_changes_of_state() -> None:
    legal = 0
    for before in AnonState:
        for after in AnonState:
            anon = Anon(0)
            anon.state = before
            try:
                anon.move(after)
            except AssertionError:
                assert anon.state is before
            else:
                legal += 1
    assert legal == 13


@pytest.mark.parametrize(
    ("fields", "queued", "pageouts", "finds"),
    [
        ({"state": RESIDENT}, {0}, 0, "page 0 of map 1 (RESIDENT) has None"),
        (
            {"state": SWAPPED, "slot": 1, "pg": VmPage(7, 0, 0, "")},
            set(),
            0,
            "page 0 of map 1 (SWAPPED) has <page 0x7",
        ),
        ({"state": SWAPPED, "slot": 1}, {0}, 0, "is on the inactive queue"),
        ({"state": RESIDENT, "pg": VmPage(7, 0, 0, "")}, set(), 0, "is not on the inactive queue"),
        ({"state": SWAPPED}, set(), 0, "has no slot"),
        ({"state": RESIDENT, "pg": VmPage(7, 0, 0, ""), "version": 1}, {0}, 0, "is clean and has no copy in swap"),
        ({"state": PAGEOUT, "pg": VmPage(7, 0, 0, ""), "slot": 1}, set(), 0, "map 1 counts -1 pageouts more than"),
        ({}, set(), 2, "map 1 counts 2 pageouts more than"),
    ],
)
def test_the_audit_finds_what_is_wrong(fields: dict[str, Any], queued: set[int], pageouts: int, finds: str) -> None:
    anon = Anon(0)
    assert list(findings(1, [anon], set(), 0)) == []
    for name, value in fields.items():
        setattr(anon, name, value)
    found = list(findings(1, [anon], queued, pageouts))
    assert len(found) == 1
    assert finds in found[0]


def test_the_audit_finds_a_slot_that_two_have() -> None:
    anons = [Anon(0), Anon(1)]
    for anon in anons:
        anon.state, anon.slot = SWAPPED, 3
    assert list(findings(1, anons, set(), 0)) == ["page 1 of map 1 (SWAPPED) shares slot 3 with page 0"]
