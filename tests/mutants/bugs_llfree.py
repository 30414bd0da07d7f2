"""Seeded bugs of LLFree: words that are swapped in the wrong order, not at all, or by nobody."""

from typing import Final

from tests.mutants.mutation import Mutant, become, forget
from tests.mutants.suites import machine

_RUNS = "uvmfree.uvm.treeruns"
_TREES, _RESERVED, _DESIGN = "uvmfree.uvm.trees", "uvmfree.uvm.reservations", "uvmfree.uvm.designs.llfree"


def _test(name: str) -> str:
    return f"uvm/designs/test_llfree.py::{name}"


def _run(name: str) -> str:
    return f"uvm/designs/test_llfree_runs.py::{name}"


BUGS: Final = (
    Mutant(
        "frame counted before it is free",
        f"{_DESIGN}:LlfreeCpu._put",
        (
            become("self._frames.put(pg), words", "self._design.trees.tree_of(pg), words"),
            become("self._tally.remote += 1\n", "self._tally.remote += 1\n    self._frames.put(pg)\n"),
        ),
        "who frees a frame counts it up first and sets its bit last",
        "who counts it off in between looks for a frame that is not there",
        _test("test_words_agree_with_bits_whoever_is_first"),
    ),
    Mutant(
        "swap that failed taken for done",
        f"{_TREES}:Counts.add",
        (become("if self._swap(at, word, word + n):", "if self._swap(at, word, word + n) or True:"),),
        "a count is not added again where another CPU was first",
        "each such free makes memory a page smaller, for ever",
        _test("test_words_agree_with_bits_whoever_is_first"),
    ),
    Mutant(
        "frame of the faster CPU",
        f"{_TREES}:Frames._clear",
        (become("bits, bits & bits - 1):", "bits, bits & bits - 1) or True:"),),
        "a frame is taken though another CPU has changed its row meanwhile",
        "a frame that the other CPU took gets a second holder",
        _test("test_no_allocation_fails_while_a_page_is_free"),
    ),
    Mutant(
        "old tree stays reserved",
        f"{_RESERVED}:Reservations.use",
        (forget("self._counts.add((old >> AT) // self._rows, (old & FREE) - RESERVED)"),),
        "a CPU that reserves another tree leaves the mark of the old one",
        "nobody reserves that tree again; in the end all CPUs steal",
        machine("llfree, small trees"),
    ),
    Mutant(
        "nobody steals",
        f"{_RESERVED}:Reservations.steal",
        (become("for step in range(1, ncpus):", "for step in range(0):"),),
        "what another CPU has reserved is out of reach",
        "an allocation fails with a whole tree free",
        _test("test_what_one_cpu_has_reserved_another_gets_when_there_is_nothing_else"),
    ),
    Mutant(
        "no last look at reserved trees",
        f"{_RESERVED}:Reservations.steal",
        (become("if self._counts.down(tree):", "if False:"),),
        "what was freed to a tree that another CPU has reserved waits until that CPU syncs",
        "an allocation fails while a page is free",
        _test("test_the_last_page_of_another_cpus_tree_is_found_too"),
    ),
    Mutant(
        "hand kept in the pocket",
        f"{_RESERVED}:Reservations.reserve",
        (forget("view[self._hand] = there"),),
        "a CPU does not say what it brings from a tree's word to its own",
        "whoever looks in between finds nothing, and an allocation fails while pages are free",
        _test("test_no_allocation_fails_while_a_page_is_free"),
    ),
    Mutant(
        "reserves never asked",
        f"{_DESIGN}:LlfreeCpu._may",
        (forget("view[LOW] = low"),),
        "it is not noted that memory is short: only who reserves a tree asks",
        "a CPU takes the kernel's reserve, as much as it has reserved of it (R6)",
        _test("test_the_reserves_hold_however_many_trees_are_reserved"),
    ),
    Mutant(
        "memory short without notice",
        f"{_DESIGN}:Llfree.remove",
        (forget("locals_[LOW] = 1"),),
        "a ranged allocation that takes nearly all does not have the reserves asked",
        "the CPUs go on to take what their trees have (R6)",
        _test("test_a_ranged_allocation_is_seen_by_the_next_allocation"),
    ),
    Mutant(
        "tree reserved for ever",
        f"{_DESIGN}:LlfreeCpu.leave",
        (become("for at in self._at:", "for at in ():"),),
        "a CPU that is detached keeps its tree",
        "with each CPU that goes, a tree is left that only thieves look at (Q13)",
        _test("test_a_cpu_that_goes_gives_its_trees_back_and_one_that_comes_begins_with_none"),
    ),
    Mutant(
        "range counted off the wrong word",
        f"{_DESIGN}:Llfree.remove",
        (become("if counts[tree] & FREE:", "if True:"),),
        "contiguous allocation takes its pages off the tree's word, though its CPU counts them",
        "the word runs below zero: the mark of the reservation goes, and another CPU reserves the tree as well",
        machine("llfree, small trees"),
    ),
    Mutant(
        "broken run keeps its pages",
        f"{_RUNS}:Runs.take",
        (forget("words.add(at, n)"),),
        "a run that another CPU broke into does not give back what it had counted off by then",
        "as many pages are free and nobody's, for ever",
        _run("test_a_run_that_another_cpu_breaks_into_is_given_back[clear]"),
    ),
    Mutant(
        "run counted off one word alone",
        f"{_RUNS}:Runs._count_off",
        (become("if reserved == tree)", "if False)"),),
        "a run takes from a tree no more than its own word counts",
        "there is none in a tree that a CPU has reserved, and all CPUs are stopped for it",
        _run("test_a_run_comes_out_of_another_cpus_tree_too"),
    ),
    Mutant(
        "frame of a run that is gone",
        f"{_TREES}:Counts.clear",
        (become("& mask == mask:", "& mask:"),),
        "the row of a run is cleared though another CPU has taken a frame of it",
        "that frame gets a second holder",
        _run("test_words_agree_with_bits_where_runs_are_taken_beside_pages"),
    ),
    Mutant(
        "given up at one look",
        f"{_RESERVED}:Reservations.elsewhere",
        (become("if not self._reserved.any_free(free_list):", "if True:"),),
        "who has found nothing does not add up once more",
        "an allocation fails while pages go from a tree's word to a CPU's",
        _run("test_who_finds_nothing_adds_up_before_it_gives_up"),
    ),
    Mutant(
        "start over in each tree",
        f"{_DESIGN}:LlfreeCpu._get",
        (forget("words.add(at, row - (word >> AT) << AT)"),),
        "a CPU does not keep the row where it goes on",
        "each allocation looks through the used rows from the tree's first on",
        _test("test_trees_are_reserved_as_often_as_the_reference_does[burst 1000]"),
    ),
    Mutant(
        "one page is worth a sync",
        f"{_RESERVED}:Reservations.sync",
        (become("& FREE > 1:", "& FREE > 0:"),),
        "a CPU fetches even a single page that was freed to its tree",
        "two CPUs that pass pages to each other share two words for each page",
        machine("llfree, small trees"),
    ),
    Mutant(
        "count that forgets what it added",
        "uvmfree.uvm.freecount:PartCount.add",
        (become("tally.uncounted = 0", "pass"),),
        "what a CPU has added to the count of free pages stays in its part, and is added again",
        "the count says plenty, and no reserve is asked",
        "uvm/test_freecount.py::test_a_part_is_added_when_it_is_more_than_the_threshold",
    ),
    Mutant(
        "count trusted near the mark",
        "uvmfree.uvm.freecount:PartCount.near",
        (become("mark + self._drift", "mark"),),
        "the count is taken for exact although CPUs have parts that are not in it",
        "memory is short, and the pagedaemon is not told",
        "uvm/test_freecount.py::test_who_is_near_a_mark_adds_up_and_who_is_not_takes_the_count",
    ),
    Mutant(
        "run that nobody counts",
        f"{_DESIGN}:Llfree.take_run",
        (become("cpu.free.add(-len(run))", "pass"),),
        "the pages of a run stay in the count of free pages",
        "the count says plenty, and no reserve is asked",
        "uvm/test_freecount.py::test_pages_that_a_run_takes_and_gives_back_are_counted",
    ),
)
