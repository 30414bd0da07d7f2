"""Contiguous allocation's patient case: pages that need not be one run are collected as they come free (R29)."""

import contextlib
from collections.abc import Callable
from dataclasses import replace

from uvmfree.errors import OutOfPages, UvmError
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.pglist import PgList, Request


def collect(
    pglist: PgList,
    request: Request,
    timeout_s: float | None,
    *,
    clock_ns: Callable[[], int],
    wait: Callable[[float | None], bool],
    give_back: Callable[[list[VmPage]], None],
) -> list[VmPage]:
    """Keep what was got, wait for what is missing, and go on, at most `timeout_s` seconds in all.

    => Returns the pages by frame number. OutOfPages, or what wait() raised: all that was got has gone back then.
    """
    until_ns = None if timeout_s is None else clock_ns() + round(timeout_s * 1e9)
    pages: list[VmPage] = []
    try:
        while len(pages) < request.size:
            with contextlib.suppress(OutOfPages):
                pages += pglist.alloc_some(replace(request, size=request.size - len(pages)))
            left_s = None if until_ns is None else (until_ns - clock_ns()) / 1e9
            if len(pages) < request.size and not wait(left_s):
                break
    except UvmError:
        give_back(pages)
        raise
    if len(pages) < request.size:
        give_back(pages)
        raise OutOfPages(f"only {len(pages)} of {request.size} pages came free within {timeout_s} s")
    return sorted(pages, key=lambda pg: pg.pfn)
