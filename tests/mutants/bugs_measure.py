"""Seeded bugs outside of the allocator: in what is measured, and in the loads that are played."""

from typing import Final

from tests.mutants.mutation import Mutant, become

BUGS: Final = (
    Mutant(
        "looks that add up",
        "uvmfree.measure.counting:_stranded",
        (become("after_s - slept_s", "after_s"),),
        "what is stranded is looked at 1, 6 and 26 seconds after the run",
        "pages that stay for 25 seconds are printed as gone within 20",
        "measure/test_counting.py::test_what_is_stranded_is_looked_at_1_and_5_and_20_seconds_later[5.5-stranded2]",
    ),
    Mutant(
        "holds of all locks for those of the shared one",
        "uvmfree.measure.scale:_Meter._run",
        (
            become(
                "held_ns=sum(lock.hold_ns_total for lock in shared)",
                "held_ns=sum(lock.hold_ns_total for lock in pages)",
            ),
        ),
        "the time that the shared lock is held has that of the CPUs' own locks in it",
        "a design that takes no shared lock is shown as one that fills it",
        "measure/test_point.py::test_while_caches_serve_everything_no_shared_lock_is_held",
    ),
    Mutant(
        "given and got within a window",
        "uvmfree.workload.copies:_Between.end_epoch",
        (become("(self.live | self.begun) - self.ended", "(self.live - self.ended) | self.begun"),),
        "a page that one CPU gives and another gets within half a window is live from then on",
        "copies begin with pages that nobody frees, and play in less memory than they say",
        "workload/test_copies.py::test_what_is_live_where_a_copy_begins_is_what_was_allocated_before_less_what_was_freed",
    ),
)
