"""Each fault of a stress run is healed once, when its own thread has ended and before the CPUs have to be done."""

from tests.stress.rig import fine, run
from uvmfree.stress.fault import Fault
from uvmfree.stress.shared import Shared


class Sick(Fault):
    """Does nothing but to say when it ended and when it was healed."""

    name, pause_s = "sick", (0.0, 0.001)

    def __init__(self) -> None:
        super().__init__()
        self.did: list[str] = []

    def inject(self, shared: Shared) -> bool:
        self.note(shared, "nothing")
        return True

    def run(self, shared: Shared) -> None:
        super().run(shared)
        self.did.append("ended")

    def heal(self) -> None:
        self.did.append("healed")

    def finish(self, shared: Shared) -> None:
        self.did.append("finished")


def test_it_is_healed_between_its_end_and_the_last_look() -> None:
    fault = Sick()
    fine(run("percpu", (), fault, seconds=0.1))
    assert fault.did == ["ended", "healed", "finished"]
