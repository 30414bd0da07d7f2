"""The virtual machine as the state machines use one: nothing costs time, which passes when the test lets it pass."""

from uvmfree.errors import HangError
from uvmfree.machine.costs import COUNTS, SETS, costs_for
from uvmfree.machine.virtual.machine import VirtualMachine

FREE_OF_COST = {name: 0 for name in SETS["xeon-2s"] if name not in COUNTS}


class VirtualTurns(VirtualMachine):
    """A virtual machine with what a test asks of a TurnsMachine."""

    trouble = ""  # a deadlock is raised

    def __init__(self) -> None:
        free = costs_for("xeon-2s", **FREE_OF_COST, jitter_percent=0, other_lines=0)
        super().__init__(ncpus=8, costs=free, lock="mcs", lockdebug=True, check=True)

    @property
    def now_ns(self) -> int:
        return self.clock_ns()

    def settle(self) -> None:
        """Let all others run until they sleep."""
        steps = -1
        # Whoever is ready now runs before this strand does again; a step more says that somebody was woken.
        while self.scheduler.steps != steps + 1:
            steps = self.scheduler.steps
            self.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let time pass; whoever sleeps until a moment in between, or the last one, wakes at that moment."""
        self.sleep(seconds)
        self.settle()

    def give_up(self) -> None:
        """End every strand that is left."""
        self.scheduler.abandon(HangError("the test is over"))
        try:
            self.sleep(0)
        except HangError:
            self.settle()
