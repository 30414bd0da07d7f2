"""Seeded bugs of the page sets of Linux (linux_pcp)."""

from typing import Final

from tests.mutants.mutation import Mutant, become, forget

_PCP, _SET = "uvmfree.uvm.designs.linux_pcp", "uvmfree.uvm.designs.linux_pageset"
_ZONE = "uvmfree.uvm.designs.linux_zone"
_TESTS = "uvm/designs/test_linux_pcp.py::"

BUGS: Final = (
    Mutant(
        "gate behind the page set",
        f"{_PCP}:LinuxPcpCpu._get",
        (become("if not self.may_take(free, want):", "if not self.pages and not self.may_take(free, want):"),),
        "a caller below its watermark is given what its own CPU caches",
        "whoever has freed a little goes on while memory is out, and reclaim never begins",
        f"{_TESTS}test_the_gate_is_before_the_set",
    ),
    Mutant(
        "page set spills what is warm",
        f"{_SET}:PageSet.give_back",
        (become("part = pages[: npages - len(cold)]", "pages.reverse(); part = pages[: npages - len(cold)]"),),
        "the pages that were freed last go back to the zone",
        "the CPU's warm pages go to others, and it is left with the cold ones (R2)",
        f"{_TESTS}test_a_full_set_spills_the_coldest_so_many_to_a_hold",
    ),
    Mutant(
        "whole spill in one hold",
        f"{_PCP}:LinuxPcpCpu._spill",
        (become("min(npages, self._sizes.chunk)", "npages"),),
        "a spill holds the zone's lock until all of its pages are freed",
        "holds of thousands of pages; hundreds of CPUs wait behind each (mended in 6.19)",
        f"{_TESTS}test_a_full_set_spills_the_coldest_so_many_to_a_hold",
    ),
    Mutant(
        "spill stops after a chunk",
        f"{_PCP}:LinuxPcpCpu._spill_rest",
        (become("while left > 0 and self._try_put():", "while False and self._try_put():"),),
        "of a spill only the first chunk is freed",
        "every free after it spills again: as many holds, but twice the work",
        f"{_TESTS}test_a_full_set_spills_the_coldest_so_many_to_a_hold",
    ),
    Mutant(
        "batch never shrinks",
        f"{_PCP}:LinuxPcpCpu.pagefree",
        (forget("self.alloc_factor >>= 1"),),
        "a free does not halve the next batch",
        "a CPU that once missed in a row takes the largest batch for ever",
        f"{_TESTS}test_misses_in_a_row_double_the_batch_and_frees_halve_that",
    ),
    Mutant(
        "memory short for ever",
        f"{_ZONE}:Zone.check_high",
        (forget("self.flag(BELOW_HIGH, False)"),),
        "the zone counts as below its high watermark once it was",
        "no set ever grows again, and each free beyond high_min spills",
        f"{_TESTS}test_short_memory_shrinks_the_sets",
    ),
    Mutant(
        "page set that only grows",
        f"{_SET}:PageSet.shrink",
        (become("self.high - (self.high >> 3)", "self.high"),),
        "time does not lower a set's high",
        "what a process has left on a CPU stays there",
        f"{_TESTS}test_a_set_that_grew_shrinks_by_an_eighth_a_second",
    ),
    Mutant(
        "drained pages still counted",
        f"{_SET}:PageSet.give_back",
        (forget("self.pages -= len(cold)"),),
        "pages that left a set are still counted as its own",
        "the set counts as full while it is empty: it spills at every free",
        f"{_TESTS}test_a_drain_takes_both_locks_anew_for_each_of_its_chunks",
    ),
    Mutant(
        "reserve open past the page set",
        f"{_ZONE}:Passed.alloc",
        (become("want.freelists if cpu.allows(free, want) else ()", "want.freelists"),),
        "a CPU that finds the set locked takes a page that the reserves keep",
        "the last pages go to whoever comes during a drain, which is when memory is out (R6)",
        f"{_TESTS}test_past_the_set_the_reserves_are_asked",
    ),
    Mutant(
        "page freed past the set uncounted",
        f"{_ZONE}:Passed.free",
        (forget("self._free.add(1)"),),
        "a page that is freed while the set is locked does not count as free",
        "uvmexp.free sinks with every drain",
        f"{_TESTS}test_whoever_finds_the_set_locked_goes_past_it",
    ),
    Mutant(
        "reclaim without an end",
        "uvmfree.uvm.pdaemon:Pagedaemon.one_pass",
        (forget("self._reclaiming(False)"),),
        "the daemon does not say that it has ended",
        "sets stay at four batches for ever",
        f"{_TESTS}test_while_the_daemon_is_at_work_a_set_is_small",
    ),
    Mutant(
        "lock of a stopped CPU kept",
        f"{_PCP}:LinuxPcpCpu.pagefree",
        (become("self._release_free()", "self._lists and self._release_free()"),),
        "what releases the set's lock goes with the CPU",
        "a call that tried the lock as the CPU went keeps it: the CPU never comes back",
        f"{_TESTS}test_a_call_that_gets_the_lock_of_a_stopped_cpu_gives_it_back",
    ),
    Mutant(
        "batch fills the set",
        f"{_SET}:PageSet._to_take",
        (become("max(self.high - self.pages - batch, batch)", "max(self.high - self.pages, batch)"),),
        "a refill leaves no room for a batch in the set",
        "the free that follows it spills (nr_pcp_alloc)",
        f"{_TESTS}test_a_batch_leaves_room_for_another_in_the_set",
    ),
)
