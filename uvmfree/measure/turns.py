"""What is said where figures are left out because threads took turns (Record.threads_run_at_once)."""

from typing import Final

LEFT_OUT: Final = (
    "With the GIL, threads take turns, so wait share, contended %, longest wait, the length of waits for pages and "
    "wall times say nothing. They are kept in the record and left out here; measure with a "
    "free-threaded Python (README) to have them."
)
