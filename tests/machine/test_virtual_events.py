"""Events in virtual time: who notifies late wakes all who fell asleep before that, whoever's turn came first."""

from uvmfree.machine.virtual.machine import VirtualMachine


def test_who_is_ahead_of_others_lets_them_catch_up_before_it_notifies() -> None:
    """The third is asleep at about 500 ns, and was not yet when the second, at about 1,000, had its turn."""
    machine = VirtualMachine(ncpus=3)
    event, woken = machine.event(), list[tuple[str, int]]()

    def sleeper(name: str, begins_ns: int) -> None:
        machine.charge(begins_ns)
        looks = iter([False, True, True])
        event.sleep_until(lambda: next(looks))
        woken.append((name, machine.clock_ns()))

    def notifier() -> None:
        machine.charge(1000)
        event.notify()

    tasks = [
        machine.spawn("first", lambda: sleeper("first", 0), 0),
        machine.spawn("second", notifier, 1),
        machine.spawn("third", lambda: sleeper("third", 500), 2),
    ]
    machine.wait_for(tasks, lambda: False)
    assert sorted(name for name, _ in woken) == ["first", "third"]
    assert all(at_ns >= 700 for _, at_ns in woken)


def test_what_came_true_when_the_time_was_up_counts() -> None:
    machine, looks = VirtualMachine(ncpus=1), iter([False, True])
    assert machine.event().sleep_until(lambda: next(looks), 1e-6)
    assert machine.clock_ns() == 1000
