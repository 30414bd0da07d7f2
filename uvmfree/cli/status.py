"""The exit codes of every command."""

from typing import Final

FINE: Final = 0
BROKEN: Final = 1
"""An invariant is broken, a thread died or hangs, or a figure got worse than it may."""

BAD_INPUT: Final = 2
"""Usage or bad input, or an output that cannot be written: one clear line, no traceback."""

SIGNALLED: Final = 128
"""With the number of the signal added, as shells have it: 130 on Ctrl-C, 143 on SIGTERM, 129 on SIGHUP. Threads were
joined, and what was measured was kept and marked."""

READER_GONE: Final = SIGNALLED + 13
"""Whoever read stdout, or another pipe that was written to, closed it, as `| head` does. Nothing is said: other
programs end without a word by SIGPIPE."""
