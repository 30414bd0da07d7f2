"""The exit codes of every command."""

from typing import Final

FINE: Final = 0
BROKEN: Final = 1
"""An invariant is broken, a thread died or hangs, or a figure got worse than it may."""

BAD_INPUT: Final = 2
"""Usage or bad input: one clear line, no traceback."""

INTERRUPTED: Final = 130
"""Ctrl-C: threads joined, what was measured kept and marked."""
