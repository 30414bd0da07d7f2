"""The counting models against the published counts of the kernels' rules, at 65,536 pages, 2 CPUs and 8 colours.

Per 1,000 operations: holds of the store's lock, holds of the lock of FreeBSD's stack of full buckets, pages moved. An
operation is an allocation or a free.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.designs.patterns import Counts, Pattern, burst, counted, producer_consumer, walk
from tests.designs.played import Played
from tests.designs.reference import Freebsd, Magazines, Netbsd10, Openbsd, Reference, Xnu
from tests.designs.reference_linux import Linux
from tests.designs.reference_llfree import Llfree

MODELS: dict[str, Callable[[], Reference]] = {
    "Linux 6.7 to 6.18": Linux,
    "Linux 6.19": lambda: Linux(chunked=True),
    "Linux, size fixed": lambda: Linux(tuned="fixed"),
    "NetBSD 10": Netbsd10,
    "FreeBSD, 0.1 %": Freebsd,
    "FreeBSD, 12.5 %": lambda: Freebsd(items=65_536 // 8),
    "OpenBSD": Openbsd,
}

WALK: tuple[Pattern, int] = (lambda player: walk(player, 200_000, ticks_every=100_000), 200_000)
BURSTS: dict[int, tuple[Pattern, int]] = {
    pages: (lambda player, pages=pages, rounds=rounds: burst(player, pages, rounds), 2 * pages * rounds)  # type: ignore[misc]
    for pages, rounds in ((100, 400), (1000, 40), (8192, 4))
}
PRODUCER: tuple[Pattern, int] = (lambda player: producer_consumer(player, 50_000), 100_000)

# Of each pattern: holds of the store's lock, of the stack's, pages moved; of the last burst and of the producer also
# the most pages cached.
PUBLISHED: dict[str, tuple[tuple[float, ...], ...]] = {
    "Linux 6.7 to 6.18": ((0.14, 0, 2.1), (0.04, 0, 1), (0.09, 0, 18), (1.59, 0, 644, 3825), (2.13, 0, 1000, 736)),
    "Linux 6.19": ((0.14, 0, 2.1), (0.04, 0, 1), (0.09, 0, 18), (20.5, 0, 644, 3825), (34.2, 0, 1000, 736)),
    "Linux, size fixed": ((0.14, 0, 2.1), (0.04, 0, 1), (5.46, 0, 1059), (3.51, 0, 996, 295), (3.31, 0, 999, 401)),
    "NetBSD 10": ((44.7, 0, 313), (80.1, 0, 561), (136, 0, 953), (143, 0, 999, 56), (143, 0, 999, 104)),
    "FreeBSD, 0.1 %": (
        (2.06, 10.6, 16.5),
        (60, 80, 481),
        (118, 64, 945),
        (124, 63, 994, 56),
        (0.11, 125, 1, 24),
    ),
    "FreeBSD, 12.5 %": (
        (0.01, 0, 2.5),
        (0.01, 0, 3),
        (0.05, 1.98, 13),
        (0.72, 3.2, 182, 7874),
        (0.03, 3.9, 8, 698),
    ),
    "OpenBSD": ((11.8, 0, 94), (110, 0, 880), (123, 0, 984), (125, 0, 998, 16), (125, 0, 999, 16)),
}


def as_published(found: float, printed: float) -> bool:
    """Whether a figure is the one that was printed, which was rounded to three digits at the most."""
    return any(round(found, digits) == printed for digits in range(3))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.sampled(3)
def test_the_models_count_what_was_published(name: str) -> None:
    patterns = [WALK, *BURSTS.values(), PRODUCER]
    for (pattern, operations), printed in zip(patterns, PUBLISHED[name], strict=True):
        counts = counted(MODELS[name](), pattern)
        found = [1000 * each / operations for each in (counts.store, counts.depot, counts.moved)]
        assert all(as_published(*each) for each in zip(found, printed[:3], strict=True)), (found, printed)
        assert counts.most_cached == printed[3] if len(printed) > 3 else counts.most_cached >= 0


def test_linux_gives_back_within_20_seconds_what_an_exit_left() -> None:
    linux = Linux()
    burst(linux, 20_000, 3)
    assert (linux.cached(), linux.sets[0].high) == (3795, 4096)
    ticks = 0
    while linux.sets[0].pages > linux.high_min:
        linux.tick()
        ticks += 1
    assert (ticks, linux.cached()) == (20, 320)


@pytest.mark.parametrize(("low", "high_min", "most"), [(640, 320, 736), (512, 256, 864)])
def test_the_low_watermark_decides_how_much_a_producer_and_a_consumer_cache(
    low: int, high_min: int, most: int
) -> None:
    """zone_highsize(): a kernel of 256 MiB has 640 pages there, the systems here have `freemin`, which is 512."""
    linux = Linux(low=low)
    assert (linux.high_min, counted(linux, PRODUCER[0]).most_cached) == (high_min, most)


@pytest.mark.parametrize("spill_chunk", [None, 0])
def test_linux_pcp_caches_what_the_model_does_with_the_marks_of_the_system(spill_chunk: int | None) -> None:
    with Played("linux_pcp", **({} if spill_chunk is None else {"spill_chunk": spill_chunk})) as played:
        assert played.uvm.uvmexp.marks.freemin == 512
        assert counted(played, PRODUCER[0]).most_cached == 864


def test_before_6_7_a_batch_grows_with_each_free_and_the_set_does_not() -> None:
    before, auto = Linux(tuned="before"), Linux()
    burst(before, 8192, 1)
    burst(auto, 8192, 1)
    assert before.sets[0].high == before.high_min < auto.sets[0].high
    assert before.store > 8192 // before.batch  # each miss takes a batch, whatever came before


def test_xnu_takes_the_lock_once_for_a_refill_and_once_for_a_batch() -> None:
    counts, holds = counted(Xnu(), lambda player: burst(player, 1024, 4)), 4 * (1024 // 128 + 1024 // 64)
    assert counts == Counts(holds, 0, 8 * 1024, 0, 0, holds)


def test_two_magazines_take_a_lock_at_most_once_in_so_many_operations() -> None:
    """Whatever the pattern: after an exchange a whole magazine of operations passes before the next."""
    for pattern, operations in (*BURSTS.values(), PRODUCER):
        counts = counted(Magazines(), pattern)
        assert counts.store + counts.depot <= operations / 256 + 2


def test_llfree_takes_no_lock_and_moves_no_page() -> None:
    for pattern, operations in (WALK, *BURSTS.values(), PRODUCER):
        model = Llfree()
        counts = counted(model, pattern)
        assert (counts.store, counts.depot, counts.moved) == (0, 0, 0)
        assert 2.9 * operations < counts.atomics < 4.1 * operations
        assert model.free_pages == 65_536 - model.in_use


def test_llfree_reserves_a_tree_for_many_allocations() -> None:
    model = Llfree()
    held = [model.alloc(0) for _ in range(5_120)]
    assert len(set(held)) == 5_120
    assert model.reservations == 10  # trees of 512
    for page in held:
        model.free(0, page)
    assert model.free_pages == 65_536
