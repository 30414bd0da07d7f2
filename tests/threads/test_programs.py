"""Programs on real threads: the counters agree with the lists at rest, and lag no further than said while they run.

=> The bound is derived in docs/locking.md, and computed in tests/threads/limits.py. The largest gap that was seen is
   printed at the end of the run.
"""

import pytest

from tests.threads.programs import VARIANTS, Report, check_programs

EXAMPLES = 12


@pytest.mark.sampled(4)
@pytest.mark.parametrize("variant", VARIANTS)
def test_counters_agree_with_the_lists_whatever_the_cpus_do(variant: str, report: Report) -> None:
    """R3, R16, R22 and P1: at rest free + cached + held + being zeroed + paging = npages; not too far off before."""
    check_programs(variant, EXAMPLES, report=report)
