"""Every trait is asked for: a design that claims what is not so of it is caught, by each of its fields."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

import uvmfree
from tests.conformance import (
    liars,
    test_alloc,
    test_colors,
    test_free,
    test_lists,
    test_reach,
    test_xcall,
    test_zeros,
)
from tests.conformance.conftest import Contender, booting

CAUGHT_BY: dict[str, tuple[str, Callable[..., object], dict[str, Any]]] = {
    "Colors": ("colors", test_colors.test_a_wanted_colour_that_the_store_has_is_had, {"color": 2}),
    "ColorsOfAll": ("colors", test_colors.test_where_a_colour_is_looked_for_first, {}),
    "Zeros": ("zeros", test_zeros.test_an_idle_cpu_zeroes_and_whoever_wants_zeros_gets_them, {}),
    "NoZeros": ("zeros", test_zeros.test_without_a_queue_of_zeroed_pages_an_idle_cpu_zeroes_nothing, {}),
    "Lifo": ("lifo", test_lists.test_the_page_that_was_freed_last_goes_out_first, {}),
    "FreedToTheStore": ("freed", test_free.test_a_freed_page_goes_to_the_store, {}),
    "FreedToBoth": ("freed", test_lists.test_what_free_counts_while_pages_are_cached, {}),
    "FreedToTheCache": ("freed", test_lists.test_what_free_counts_while_pages_are_cached, {}),
    "Bound": ("bound", test_lists.test_a_cache_is_never_beyond_its_bound, {}),
    "NoBound": ("bound", test_lists.test_every_page_has_a_freelist_a_colour_a_queue_and_an_owner, {}),
    "Refill": ("refill", test_lists.test_a_miss_brings_no_more_than_the_refill_and_to_its_own_cpu, {}),
    "Flush": ("idle", test_xcall.test_an_idle_system_gets_its_cached_pages_back_by_itself, {}),
    "NoTimer": ("idle", test_xcall.test_an_idle_system_gets_its_cached_pages_back_by_itself, {}),
    "NoPressure": ("causes", test_reach.test_what_the_daemon_gets_back_under_pressure, {}),
    "Retry": ("causes", test_reach.test_a_search_that_fails_beside_cached_pages, {}),
    "NoExplicit": ("causes", test_lists.test_redistributing_twice_moves_nothing_more, {}),
    "FreeIsAll": ("free", test_lists.test_what_free_counts_while_pages_are_cached, {}),
    "Steals": ("steals", test_reach.test_a_search_that_fails_beside_cached_pages, {}),
    "ShortOfAll": ("short", test_alloc.test_what_is_counted_when_the_daemon_is_woken, {"lwp": "user"}),
    "GateAtTheStore": ("gate", test_alloc.test_where_the_reserves_are_asked, {}),
    "GateForAll": ("gate", test_alloc.test_where_the_reserves_are_asked, {}),
}


@pytest.mark.parametrize("liar", CAUGHT_BY)
def test_a_claim_that_is_not_so_is_caught(liar: str) -> None:
    """By an assertion of the test that is about it; the design itself is right."""
    _, test, arguments = CAUGHT_BY[liar]
    with (
        booting(Contender(f"{liars.__name__}:{liar}", lockdebug=True)) as boot,
        pytest.raises(AssertionError),
    ):
        test(boot, **arguments)


def test_no_trait_is_claimed_for_nothing() -> None:
    """Each field is one that some test of the contract asks for, and its meaning is written down."""
    assert {trait for trait, _, _ in CAUGHT_BY.values()} == {field.name for field in fields(uvmfree.Traits)}
    assert all(f"{field.name}: " in str(uvmfree.Traits.__doc__) for field in fields(uvmfree.Traits))
