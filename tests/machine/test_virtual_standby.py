"""The main strand asks now and then, by the host's clock, whether to stop: no other strand can tell when it does."""

from functools import partial

import pytest

from tests.machine.virtual_rig import costs
from uvmfree.kern.lockrank import UVM_CPU
from uvmfree.machine.virtual.machine import VirtualMachine

NCPUS, ROUNDS = 4, 60


def holds(every_ns: int, steps: bool = False) -> str:
    """Let CPUs run ahead on locks of their own, which a strand from elsewhere takes, too; main looks in now and then.

    => `steps`: main makes a shared step each time.
    """
    machine = VirtualMachine(ncpus=NCPUS, costs=costs(jitter_percent=30), quantum_ns=2000, check=True)
    scheduler, journal = machine.scheduler, machine.journal
    assert journal is not None
    mutexes = [machine.mutex(UVM_CPU, cpu) for cpu in range(NCPUS)]
    running = NCPUS + 1

    def ended() -> None:
        nonlocal running
        running -= 1
        if not running:
            scheduler.wake(scheduler.main, scheduler.now)

    def player(cpu: int) -> None:
        handle = mutexes[cpu].handle("uvm_pagealloc")
        for _ in range(ROUNDS):
            machine.charge(150)
            with handle:
                pass
        ended()

    def foreigner() -> None:
        handles = [mutex.handle("elsewhere") for mutex in mutexes]
        for turn in range(ROUNDS):
            machine.charge(170)
            with handles[turn % NCPUS]:
                pass
        ended()

    strands = [machine.spawn(f"cpu/{cpu}", partial(player, cpu), cpu) for cpu in range(NCPUS)]
    strands.append(machine.spawn("foreigner", foreigner))
    event = machine.event()
    while not scheduler.stand_by("the end", every_ns):
        if steps:
            event.sleep_until(lambda: True)
    for strand in strands:
        assert machine.join(strand, 1.0)
    return journal.digest()


@pytest.mark.parametrize("every_ns", [1, 700, 3_000])
@pytest.mark.parametrize("steps", [False, True])
def test_when_main_looks_in_changes_nothing(every_ns: int, steps: bool) -> None:
    assert holds(every_ns, steps) == holds(1 << 40)


@pytest.mark.parametrize("every_ns", [1, 700, 3_000, 1 << 40])
def test_when_main_looks_in_decides_nothing_about_when_a_strand_ends(every_ns: int) -> None:
    """The last work of a strand leaves its clock ahead of the others': it ends when they have come as far."""
    machine = VirtualMachine(ncpus=2, costs=costs(), quantum_ns=2000)

    def work() -> None:
        machine.sleep(1e-6)
        machine.charge(5_000)

    def others() -> None:
        for _ in range(40):
            machine.sleep(1e-7)

    last = machine.spawn("cpu/0", work, 0)
    other = machine.spawn("cpu/1", others, 1)
    while not machine._joined(last, partial(machine.scheduler.stand_by, ns=every_ns)):
        pass
    assert (machine.clock_ns(), other.over) == (6_000, True)


def test_the_clock_of_who_joins_a_strand_that_is_behind_does_not_go_back() -> None:
    machine = VirtualMachine(ncpus=1, costs=costs())
    behind = machine.spawn("cpu/0", partial(machine.charge, 1_000), 0)
    machine.charge(9_000)
    assert machine.join(behind, 1.0)
    assert machine.clock_ns() == 9_000


def test_a_strand_that_sleeps_by_itself_lets_the_main_strand_look() -> None:
    """Nobody else has anything to do before, so it need not be switched for its sleep; for who stands by it must."""
    machine, slept, told = VirtualMachine(), 0, list[bool]()

    def sleeps() -> None:
        nonlocal slept
        while not told and slept < 100_000:
            slept += 1
            machine.sleep(1e-6)

    tasks = [machine.spawn("sleeps", sleeps), machine.spawn("later", lambda: machine.sleep(1.0))]
    assert not machine.wait_for(tasks, lambda: True)
    assert slept < 1000
    told.append(True)
    assert machine.wait_for(tasks, lambda: False)


def test_an_interrupt_that_comes_as_its_wait_ends_is_kept_for_the_next_one() -> None:
    machine = VirtualMachine()
    scheduler = machine.scheduler

    class Struck(type(scheduler)):  # type: ignore[misc]
        __slots__ = ()

        def park(self, awaits: object, deadline_ns: int | None = None) -> bool:
            self.interrupt(KeyboardInterrupt())
            return True

    task = machine.spawn("other", lambda: machine.sleep(1.0))
    kind = type(scheduler)
    scheduler.__class__ = Struck
    assert scheduler.stand_by("a wait", 10)
    scheduler.__class__ = kind
    with pytest.raises(KeyboardInterrupt):
        machine.sleep(0.5)
    assert machine.wait_for([task], lambda: False)
