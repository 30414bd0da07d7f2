"""Credits: how much each CPU may keep, within one budget, and who lends to whom.

Dealt out evenly at boot; from then on a CPU that needs some borrows from one that is idle, or has more. Nothing gives
them back: the next one that needs them comes for them.

=> Credits move from one CPU to another with both guards held, so their sum never changes.
=> Whom to ask is chosen without a lock, by a hand that goes round, as in clock page replacement: a choice may be
   poor, never wrong.
"""

from collections.abc import Callable, Iterator
from typing import Final

LOOKS: Final = 8
"""CPUs that a borrower looks at: all of 256 would cost a miss 256 cache lines."""


class Credits:
    """The credits of all CPUs.

    => `of[i]`: CPU i's, guarded by its guard; read without it to choose, and again with it. `most`: what a CPU can
       use. `total`, `fair`: all of them, and a CPU's share; immutable.
    => `_hand`, `_seen`, `_since_ns`: stored by whoever looks at a CPU, without a lock. They only choose; a store that
       is lost makes a CPU look idle, or busy, for a look longer.
    """

    def __init__(self, total: int, ncpus: int, most: int, spare_s: float) -> None:
        """Deal them out; a CPU that did nothing for `spare_s` lends all."""
        self.total = min(total, ncpus * most)
        self.most, self.fair = most, self.total // ncpus
        self.of = [self.fair + (index < self.total % ncpus) for index in range(ncpus)]
        self._spare_ns = spare_s * 1e9
        self._hand, self._seen, self._since_ns = 0, [-1] * ncpus, [0] * ncpus

    def watch(self, clock_ns: Callable[[], int], operations: Callable[[int], int]) -> None:
        """Tell what time it is, and how many operations CPU i has done; both are asked without a lock."""
        self._clock_ns, self._operations = clock_ns, operations

    def lenders(self, borrower: int) -> Iterator[int]:
        """Yield CPUs that seem to have some to spare for one, at whose guard to try; with the borrower's guard held.

        => None, if it has all that it can use. One that has less than its share looks at all CPUs, and asks for one.
        """
        mine = self.of[borrower]
        poor = mine < self.fair
        for _ in range(0 if mine >= self.most else len(self.of) if poor else LOOKS):
            self._hand = index = (self._hand + 1) % len(self.of)
            if index != borrower and self._spare(index, mine) >= 2 - poor:
                yield index

    def lend(self, lender: int, borrower: int) -> int:
        """Move what one CPU can spare for another; both guards are held. Returns how many."""
        lent = min(self._spare(lender, self.of[borrower]), self.most - self.of[borrower])
        if lent <= 0:
            return 0
        self.of[lender] -= lent
        self.of[borrower] += lent
        return lent

    def bequeath(self, index: int, heir: int) -> None:
        """Leave all to another CPU, from whom others borrow; with everything stopped."""
        self.of[heir], self.of[index] = self.of[heir] + self.of[index], 0

    def idle_ns(self, index: int) -> int:
        """Return for how long a CPU has done nothing, as far as anybody looked."""
        now_ns, operations = self._clock_ns(), self._operations(index)
        if operations != self._seen[index]:
            self._since_ns[index] = now_ns
            self._seen[index] = operations
        return now_ns - self._since_ns[index]

    def check(self) -> Iterator[str]:
        """Check that none was lost or made; with everything stopped."""
        if sum(self.of) != self.total or min(self.of) < 0:
            yield f"the CPUs have credits {self.of}, {self.total} were dealt out"

    def _spare(self, index: int, mine: int) -> int:
        """Return how many a CPU can spare for one that has `mine`: all if idle, else half of the more."""
        idle = self.idle_ns(index) >= self._spare_ns
        return self.of[index] if idle else (self.of[index] - mine) // 2
