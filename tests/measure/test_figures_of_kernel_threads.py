"""Figures of a run in which kernel threads took page locks: by hand, beside those of test_figures.py."""

from dataclasses import replace

from tests.measure.test_figures import LOCKS, RUN, lock
from uvmfree.measure.run import figures


def test_kernel_threads_contend_and_do_not_share_the_players_waits() -> None:
    handed_back = lock("uvm_fpageqlock", "uvm_redistribute", 400, 52, 60_000_000, 50_000_000)
    redistributions = {**RUN.redistributions, "retry": 0}
    alone = figures(replace(RUN, redistributions=redistributions))
    beside = figures(replace(RUN, locks=(*LOCKS, handed_back), redistributions=redistributions))
    assert beside.contended_percent == 5.0  # 48 and 52 of 1,600 and 400
    assert beside.shared_locks_per_op == alone.shared_locks_per_op + 400 / 1600
    assert (beside.wait_share_percent, beside.longest_wait_us) == (alone.wait_share_percent, alone.longest_wait_us)
    assert (alone.kernel_wait_ms, beside.kernel_wait_ms) == (0.0, 60.0)
