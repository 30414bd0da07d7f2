"""What boot() takes by keyword, for editors that complete it and for type checkers; it is empty when it runs.

=> The fields of Param, whose docstring says what each is for, and the own tunables of the designs of this package,
   which `uvmfree designs` lists. A test holds this table to both.
=> Of a design of another package, or of one design alone: `own=(("batch", 8), ("percpu.refill", 32))`, as in Param.
"""

from typing import Any, TypedDict


class Keywords(TypedDict, total=False):
    """The tunables of a system and of the designs, by name; units are in Param and in the designs' Tunables."""

    npages: int
    pagesize: int
    ncpus: int
    ncolors: int
    nfreelists: int
    design: str
    drain_retry: bool
    count_cached: bool
    remote_drain: bool
    redistribute_interval_s: float
    redistribute_min_gap_s: float
    idlezero: bool
    idle_interval_s: float
    lockstat: bool
    lockdebug: bool
    own: tuple[tuple[str, Any], ...]

    # percpu
    refill: int
    hoard_max: int | None
    search: str
    # magazines
    M: int
    # linux_pcp
    scale_max: int
    autotune: bool
    spill_chunk: int | None
    decay: bool
    # netbsd10
    nbuckets: int
    # freebsd_pgcache
    cache_fraction: int
    bucket_max: int
    adapt: bool
    # openbsd_magazine
    magazine: int
    counters: bool
    # xnu
    refill_limit: int
    free_batch: int
    # llfree
    tree_pages: int | None
    # depot
    unit: int
    exchange: int
    budget: int | None
    per_socket: bool
    spare_s: float
