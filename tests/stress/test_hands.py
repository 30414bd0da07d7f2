"""What a stress run's CPU does with pages, a step at a time: what its bits ask for, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stress.asked import NCPUS, NFREELISTS, NPAGES, System, page
from uvmfree.errors import HangError, OutOfPages
from uvmfree.stress.stamps import CPU0, LOOSE, TRAY

IN_HAND_MAX = NPAGES // (4 * NCPUS)
ME = CPU0 + 1
A, B, C = page(10), page(11), page(12)


def holding(*pages: Any, npages: int = NPAGES) -> System:
    """A system on whose CPU 1 these pages are held, the first one in version 7, and so on."""
    system = System(npages)
    system.hands.mine = [(pg, version) for version, pg in enumerate(pages, 7)]
    return system


@pytest.mark.parametrize(
    ("how", "asked"),
    [
        (0b1_0001_01_000, (False, False)),
        (0b1_0001_00_000, (True, False)),
        (0b1_0000_01_100, (False, True)),
        (0b100101_0001_01_101, (False, False, {"color": 0b00101})),
        (0b101_0001_00_110, (True, False, "only", 5 % NFREELISTS)),
        (0b100_0000_01_111, (False, True, "fallback", 4 % NFREELISTS)),
    ],
    ids=["plain", "zeroed", "reserve", "colour", "freelist", "fallback"],
)
def test_the_bits_of_an_allocation(how: int, asked: tuple[Any, ...]) -> None:
    """What was asked for as zeroed is looked at, and each page bears a version of its own."""
    system = System()
    system.answers["pagealloc"] = A
    assert system.do("alloc", how) == 10
    looked = [("check_zero", A)] if asked[0] else []
    assert system.asked == [("pagealloc", *asked), *looked, ("stamp", A, ME, 1)]
    assert system.does["alloc"](how) == 10
    assert (system.hands.mine, system.hands.refused) == ([(A, 1), (A, 2)], 0)


def test_an_allocation_that_gets_nothing_is_counted() -> None:
    system = System()
    assert system.do("alloc", 0) == "no page"
    assert (system.hands.refused, system.hands.mine) == (1, [])
    assert [name for name, *_ in system.asked] == ["pagealloc"]


@pytest.mark.parametrize(("npages", "most"), [(NPAGES, 40), (100_000, 256), (16, 4)])
def test_a_cpu_with_full_hands_frees_instead(npages: int, most: int) -> None:
    """A quarter of the memory is for all of them; no less than 4 pages for each, no more than 256."""
    full = holding(*map(page, range(most)), npages=npages)
    assert full.do("alloc", 0) == 0
    assert [name for name, *_ in full.asked] == ["check", "pagefree"]
    nearly = holding(*map(page, range(most - 1)), npages=npages)
    nearly.answers["pagealloc"] = A
    assert nearly.do("alloc", 0) == 10


@pytest.mark.parametrize(("how", "left"), [(3, [(C, 9), (B, 8)]), (4, [(A, 7), (C, 9)]), (5, [(A, 7), (B, 8)])])
def test_a_page_that_is_drawn_is_freed(how: int, left: list[Any]) -> None:
    system = holding(A, B, C)
    freed = {10: (A, 7), 11: (B, 8), 12: (C, 9)}[system.do("free", how)]
    assert system.asked == [("check", freed[0], ME, freed[1]), ("pagefree", freed[0])]
    assert system.hands.mine == left


def test_a_page_that_is_written_to_has_a_new_version() -> None:
    system = holding(A, B)
    assert system.do("write", 2) == 10
    assert system.asked == [("check", A, ME, 7), ("stamp", A, ME, 1)]
    assert system.hands.mine == [(B, 8), (A, 1)]


def test_a_page_goes_over_the_tray_of_another_cpu() -> None:
    """The low bits say whose; the page keeps its version on the way, and gets one from who takes it over."""
    system = holding(A, B)
    assert system.do("hand over", 0b1_0000_0110) == 11
    assert system.asked == [("check", B, ME, 8), ("stamp", B, TRAY, 8)]
    assert (system.hands.mine, list(system.shared.trays[2])) == ([(A, 7)], [(B, 8)])
    system.shared.trays[2].extend([(B, 8)] * 62)
    assert system.do("hand over", 2) == 10
    assert system.do("hand over", 2) == "none to hand over, or a full tray"
    full = holding(A)
    full.shared.trays[2].extend([(B, 8)] * 64)
    assert full.do("hand over", 2) == "none to hand over, or a full tray"
    assert full.asked == []


@pytest.mark.parametrize(("how", "taken"), [(0b1000, 1), (1, 2), (7, 3)])
def test_a_cpu_takes_over_what_lies_on_its_own_tray(how: int, taken: int) -> None:
    system = System()
    system.shared.trays[1].extend([(A, 7), (B, 8), (C, 9)])
    assert system.do("take over", how) == f"{taken} pages"
    assert system.hands.mine == [(A, 1), (B, 2), (C, 3)][:taken]
    assert system.asked[:2] == [("check", A, TRAY, 7), ("stamp", A, ME, 1)]
    assert len(system.shared.trays[1]) == 3 - taken


def test_a_page_is_let_go_unless_as_many_as_a_cpu_holds_are_loose() -> None:
    system = holding(A, B)
    system.answers["reclaim_one"] = "reclaimed"
    system.shared.loose.extend([(C, 0)] * IN_HAND_MAX)
    assert system.do("let go", 0) == 10
    assert system.asked == [("check", A, ME, 7), ("stamp", A, LOOSE, 7)]
    assert (system.hands.mine, system.shared.loose[-1]) == ([(B, 8)], (A, 7))
    assert system.do("let go", 0) == "reclaimed"
    assert system.asked == [("reclaim_one",)]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("free", "none to free"),
        ("write", "none to write to"),
        ("hand over", "none to hand over, or a full tray"),
        ("take over", "0 pages"),
        ("let go", "none to let go of"),
        ("pglistfree", "none to free"),
        ("xc_wait", "none under way"),
    ],
)
def test_empty_hands_do_nothing(kind: str, said: str) -> None:
    system = System()
    assert system.do(kind, 0) == said
    assert system.asked == []


@pytest.mark.parametrize(("kind", "write"), [("touch", False), ("touch, write", True)])
def test_an_access_is_to_the_page_at_the_product_of_two_fractions(kind: str, write: bool) -> None:
    """A half of three quarters of 1,000 pages, in the second of two maps."""
    system = System()
    assert system.do(kind, 0xC000 << 20 | 0x8000 << 4 | 1) == 375
    assert system.asked == [("touch", system.hands.cpu, 375, {"write": write})]


def test_who_gets_no_page_gives_up_eight_of_the_map() -> None:
    system = System()
    system.answers["touch"] = OutOfPages("none")
    how = 0xFFFF << 20 | 0xFFFF << 4 | 1
    assert system.do("touch", how) == "no page for 999; it and the next are discarded"
    cpu = system.hands.cpu
    assert system.asked[1:] == [("discard", cpu, at) for at in (999, 0, 1, 2, 3, 4, 5, 6)]
    assert system.hands.out_of_pages == 1


@pytest.mark.parametrize("late", [True, False])
def test_an_access_that_hangs_is_late_where_all_are(late: bool) -> None:
    system = System()
    system.answers |= {"discard": HangError("busy"), "starved": late}
    if late:
        assert system.do("discard", 1) == "late: busy"
    else:
        with pytest.raises(HangError):
            system.do("discard", 1)
    assert system.hands.out_of_pages == late


def test_a_page_of_a_map_is_discarded() -> None:
    system = System()
    assert system.do("discard", 1234 << 4 | 1) == 234
    assert system.asked == [("discard", system.hands.cpu, 234)]


@pytest.mark.parametrize(
    ("how", "asked"),
    [
        (0b01_01_0_0_00, (1, {"nsegs": 1, "alignment": 1, "boundary": 0, "waitok": False})),
        (0b01_01_0_1_11, (8, {"nsegs": 8, "alignment": 1, "boundary": 0, "waitok": False})),
        (0b01_01_1_0_10, (4, {"nsegs": 1, "alignment": 2, "boundary": 0, "waitok": False})),
        (0b01_00_0_0_01, (2, {"nsegs": 1, "alignment": 1, "boundary": 16, "waitok": False})),
        (0b10_10_0_0_00, (1, {"nsegs": 1, "alignment": 1, "boundary": 0, "waitok": False})),
        (0b00_11_0_0_01, (2, {"nsegs": 1, "alignment": 1, "boundary": 0, "waitok": True})),
    ],
)
def test_the_bits_of_a_run(how: int, asked: tuple[int, dict[str, Any]]) -> None:
    """A run bears one version; a wait in it lasts as long as that of a step, two of threads' milliseconds."""
    system = System()
    system.answers["pglistalloc"] = [A, B]
    size, more = asked
    assert system.do("pglistalloc", how) == f"{size} pages from 0xa"
    call = ("pglistalloc", size, more | {"timeout_s": 0.001})
    assert system.asked == [call, ("stamp", A, ME, 1), ("stamp", B, ME, 1)]
    assert system.hands.runs == [[(A, 1), (B, 1)]]


def test_a_fourth_run_takes_the_place_of_the_first() -> None:
    """It is freed from its end; what is not to be had is counted."""
    system = System()
    system.answers["pglistalloc"] = OutOfPages("none")
    assert (system.do("pglistalloc", 0), system.hands.out_of_pages) == ("no run", 1)
    system.hands.runs = [[(A, 1), (B, 2)], [(C, 3)]]
    assert system.do("pglistalloc", 0) == "no run"
    system.hands.runs.append([(C, 4)])
    assert system.do("pglistalloc", 0) == "freed"
    freed = [("check", B, ME, 2), ("pglistfree", [B]), ("check", A, ME, 1), ("pglistfree", [A])]
    assert system.asked == freed
    assert system.hands.runs == [[(C, 3)], [(C, 4)]]
