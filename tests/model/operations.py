"""The vocabulary: what may be done to a system, as values, for every engine that does it at random.

Each operation says how it is done to a system by one thread, and how to the naive model by itself:

    ready(hands)              whether it makes sense now; an engine may also try it in vain
    system(hands)             do it, step by step: each step yields what came of it
    model(model, hands, out)  do one such step to the model; return what must have come of it. What `out` says is
                              used for what the caller chose, such as which pages he freed.

=> The engines choose: tests/model one call at a time beside the model, tests/threads on real threads, tests/explore
   on every schedule, tests/stress what the stress run of the product draws.
=> Those about pages stand in page_operations.py, those about the system as a whole in system_operations.py.
=> What comes of a step: frame numbers, a count, or the class of the error that refused it.
=> `repr` of an operation is Python that makes it again: failures print programs that way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.model.hands import Hands
from tests.model.model import Model


@dataclass(frozen=True)
class Op:
    """One operation.

    => `by_cpu`: it asks a CPU, and gets BindError where that is away or somebody else's.
    """

    by_cpu: ClassVar[bool] = False

    def ready(self, hands: Hands) -> bool:
        return True

    def system(self, hands: Hands) -> Iterator[Any]:
        raise AssertionError(f"{self} does nothing")

    def model(self, model: Model, hands: Hands, out: Any) -> Any:
        raise AssertionError(f"{self}: the model does not know it")


def do(op: Op, hands: Hands) -> list[Any]:
    """Do all steps of an operation to a system; return what came of each."""
    return list(op.system(hands))
