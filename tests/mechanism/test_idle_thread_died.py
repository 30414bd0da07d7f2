"""An idle thread that died is named when the threads are ended, though it has ended in time."""

from tests.kern.tasks import WAIT_S
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.idle import IdleThreads


def test_it_is_returned_with_what_it_died_of() -> None:
    machine, asked = ThreadsMachine(), list[int]()

    def cpu_of(index: int) -> Cpu:
        asked.append(index)
        raise LookupError(index)

    idle = IdleThreads(machine, 2, cpu_of, lambda index: index == 0, 1e-4)
    idle.start()
    assert machine.event().sleep_until(lambda: bool(asked), WAIT_S)
    stray = idle.close(WAIT_S)
    assert [(task.name, repr(task.error)) for task in stray] == [("idle/1", "LookupError(1)")]
