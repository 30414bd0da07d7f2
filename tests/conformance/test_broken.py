"""The contract's tests catch a design that is broken, by the test that is about what is broken."""

from collections.abc import Callable
from typing import Any

import pytest

import uvmfree
from tests.conformance import (
    broken,
    test_alloc,
    test_bind,
    test_free,
    test_holds,
    test_lists,
    test_many_cpus,
    test_reach,
    test_store,
    test_xcall,
)
from tests.conformance.conftest import LINUX_LIKE, Contender, booting
from tests.conformance.linux_like import LinuxLike

CAUGHT_BY: dict[type[LinuxLike], Callable[..., object]] = {
    broken.LosesAPageOnSpill: test_lists.test_a_cache_is_never_beyond_its_bound,
    broken.ExceedsItsBound: test_lists.test_a_cache_is_never_beyond_its_bound,
    broken.SpillsTheWarmest: test_lists.test_what_spills_is_the_coldest,
    broken.HandsOutAPageTwice: test_alloc.test_no_page_goes_out_twice,
    broken.TakesBelowTheReserve: test_alloc.test_where_the_reserves_are_asked,
    broken.FetchesTwoBatches: test_lists.test_a_miss_brings_no_more_than_the_refill_and_to_its_own_cpu,
    broken.PrefersTheWorseFreelist: test_alloc.test_strategies,
    broken.HandsOutDirtyZeros: test_alloc.test_a_wanted_zero_page_is_zero_by_every_way_to_it,
    broken.FreesToTheWrongCpu: test_free.test_a_page_goes_to_the_list_of_the_cpu_that_frees_it,
    broken.ForgetsToCount: test_lists.test_redistributing_twice_moves_nothing_more,
    broken.CountsAColourThatWasNotHad: test_alloc.test_hits_and_misses_add_up,
    broken.NeverDecays: test_xcall.test_an_idle_system_gets_its_cached_pages_back_by_itself,
    broken.FlushesWhereItSaysDecay: test_xcall.test_an_idle_system_gets_its_cached_pages_back_by_itself,
    broken.DoesNotDrainForRangedAllocation: test_reach.test_ranged_allocation_finds_what_is_cached,
    broken.KeepsWhatADetachedCpuHad: test_reach.test_a_cpu_that_goes_leaves_its_pages_to_the_others,
    broken.IgnoresPressure: test_reach.test_what_the_daemon_gets_back_under_pressure,
    broken.SkipsACpuUnderPressure: test_reach.test_what_the_daemon_gets_back_under_pressure,
    broken.CountsNothing: test_holds.test_what_moves_under_a_shared_lock_is_counted,
    broken.SpillsWithNoLockHeld: test_many_cpus.test_the_store_is_touched_under_its_lock_alone,
    broken.NamesTheStoreTooEarly: test_store.test_a_page_says_that_it_is_in_the_store_while_it_is,
    broken.HandsBackHalf: test_lists.test_redistributing_twice_moves_nothing_more,
    broken.ForgetsAtTakeOver: test_bind.test_counts_pages_and_the_next_colour_outlive_a_player,
}
ARGUMENTS: dict[Callable[..., object], dict[str, Any]] = {
    test_alloc.test_a_wanted_zero_page_is_zero_by_every_way_to_it: {"how": {}},
}


@pytest.mark.parametrize("design", CAUGHT_BY, ids=lambda design: design.__name__)
def test_conformance_catches_a_broken_design(design: type[LinuxLike]) -> None:
    """The same test lets the sound one pass, and finds the bug: by an assertion, an error, or the audit."""
    test = CAUGHT_BY[design]
    arguments = ARGUMENTS.get(test, {})
    with booting(LINUX_LIKE) as boot:
        test(boot, **arguments)
    spoilt = Contender(f"{broken.__name__}:{design.__name__}", lockdebug=True)
    with pytest.raises((AssertionError, uvmfree.UvmError)), booting(spoilt) as boot:
        test(boot, **arguments)
