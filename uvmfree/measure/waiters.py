"""Who waited for page locks: the players, who run the workload, or kernel threads beside them.

The share of time that a design costs is the players'. A kernel thread that waits holds nobody up by that.
"""

from collections.abc import Iterable
from typing import Final

from uvmfree.kern.lockstat import LockStat

REDISTRIBUTE: Final = "uvm_redistribute"
"""Caller by which a cache is handed back, whoever's it is."""


def by_whom(locks: Iterable[LockStat], retries: int) -> tuple[list[LockStat], list[LockStat]]:
    """Tell the locks that players took from those that kernel threads did, by the callers.

    => Kernel threads redistribute: xc threads and the pagedaemon. Where a failed allocation did so itself, `retries`
       times, that cannot be told apart, and all is the players'; so are the pages that the pagedaemon frees.
    """
    parted: tuple[list[LockStat], list[LockStat]] = [], []
    for lock in locks:
        parted[lock.caller == REDISTRIBUTE and not retries].append(lock)
    return parted
