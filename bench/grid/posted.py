"""Linux with frees in chunks as they were measured: a spill ends with the chunk that brings the set below its limit.

Hahn's figures (2025) stand in the fourth version of the change and, to the digit, in the fifth, which was merged.
The loop of the fourth asks after each chunk whether the set is still full (`pcp->count >= high`); a set is full by
one page, so it frees one batch. The fifth frees as many pages as before the change, in chunks: that is `linux_pcp`.
"""

from __future__ import annotations

from uvmfree.uvm.designs.linux_pcp import LinuxPcp, LinuxPcpCpu


class PostedCpu(LinuxPcpCpu):
    """A CPU whose spill ends when the set is not full any more."""

    __slots__ = ()

    def _to_free(self, limit: int) -> int:
        """Return how many pages a full set spills: whole chunks, until it is below its limit."""
        chunk = self._sizes.chunk
        return min(super()._to_free(limit), -((self.pages - limit + 1) // -chunk) * chunk)


class Posted(LinuxPcp):
    """The page sets of the fourth version."""

    name = "linux_pcp_posted"
    summary = "Linux with frees in chunks as posted in the fourth version: one batch, then the set is not full"
    cpu_class = PostedCpu
