"""What must be true of the scheduler and of each lock policy, as functions of the machine's class.

Each raises AssertionError, or what the machine raises, if it is not. tests/machine/test_virtual.py runs them on the
machine, tests/machine/test_virtual_bugs.py on machines with a bug.
"""

import random
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

from tests.machine.virtual_rig import ACQUIRE, BIG, HOLD, LINE, OWN, RELEASE, UNDER, costs, machine_of, run, schedule
from uvmfree.errors import DeadlockError

Check = Callable[[Callable[..., Any]], None]

FIRST = (0, ACQUIRE, ACQUIRE + UNDER)
FREE = FIRST[2]
"""CPU 0 comes at 0, finds the line in memory, which is free here, and drops the lock at 215."""


def mcs(cls: Callable[..., Any]) -> None:
    """CPUs 1 and 2 come at 50 and 100, in the other order of starting: granted in the order of arrival.

    A hand-off is three transfers: "who is next" to the holder, the next one's node to the holder, and back.
    """
    second, third = FREE + 3 * LINE, FREE + 3 * LINE + UNDER + LINE + 3 * LINE
    expected = [FIRST, (1, second, second + UNDER + LINE), (2, third, third + UNDER + LINE)]
    assert schedule(machine_of(cls, "mcs"), [(2, 100), (0, 0), (1, 50)]) == expected


def mcs_across(cls: Callable[..., Any]) -> None:
    """The same with CPU 4 on the other socket: its transfers, and the next one's, take three times as long."""
    second, third = FREE + 3 * LINE, FREE + 3 * LINE + UNDER + LINE + 3 * 3 * LINE
    expected = [FIRST, (1, second, second + UNDER + LINE), (4, third, third + UNDER + 3 * LINE)]
    assert schedule(machine_of(cls, "mcs"), [(0, 0), (1, 50), (4, 100)]) == expected


def ticket(cls: Callable[..., Any]) -> None:
    """When CPU 2 comes CPU 1 spins already: its hand-off is delayed by one spinner."""
    second, third = FREE + LINE, FREE + LINE + UNDER + LINE + 7 + LINE
    expected = [FIRST, (1, second, second + UNDER + LINE), (2, third, third + UNDER + LINE)]
    assert schedule(machine_of(cls, "ticket"), [(0, 0), (1, 50), (2, 100)]) == expected


def ttas(cls: Callable[..., Any]) -> None:
    """CPU 1 looks at 90, 170, 330, 490, 650, 810, CPU 2 at 140, 220: the later one has the lock first.

    CPU 1's looks at 330 and 490 fetch the line from CPU 2, so that its drop at 625 takes a transfer more.
    """
    second = 220 + LINE
    dropped = second + UNDER + LINE + LINE
    assert dropped == 725
    third = 810 + LINE
    expected = [FIRST, (2, second, dropped), (1, third, third + UNDER + LINE)]
    assert schedule(machine_of(cls, "ttas"), [(0, 0), (1, 50), (2, 100)]) == expected


def ttas_barging(cls: Callable[..., Any]) -> None:
    """CPU 1's first look after the drop at 215 is at 330. CPU 2 comes at 300, when the lock is free."""
    second = 300 + LINE
    third = 810 + LINE  # CPU 2 has dropped it at 400 + 305 + 100, its line fetched by a look at 330
    expected = [FIRST, (2, second, second + UNDER + 2 * LINE), (1, third, third + UNDER + LINE)]
    assert schedule(machine_of(cls, "ttas"), [(0, 0), (1, 50), (2, 300)]) == expected


def ttas_before(cls: Callable[..., Any]) -> None:
    """CPU 1 looks at 21, in CPU 0's hold, and at 61; CPU 2 holds from 31 to 56: no look takes the line from it."""
    short = costs(spin_pause=5, other_hold=15, other_lines=0, line_complex=5, line_socket=5)
    expected = [(0, ACQUIRE, 30), (2, 31 + 5, 56), (1, 61 + 5, 86)]
    assert schedule(machine_of(cls, "ttas", costs=short), [(0, 0), (1, 1), (2, 31)]) == expected


def sleep(cls: Callable[..., Any]) -> None:
    """CPU 1 would spin for 165 ns, more than 50: it sleeps till 1,215. CPU 2 comes 35 ns before the drop."""
    second, third = FREE + LINE, FREE + 1000 + LINE
    expected = [FIRST, (2, second, second + UNDER + LINE), (1, third, third + UNDER + LINE)]
    assert schedule(machine_of(cls, "sleep"), [(0, 0), (1, 50), (2, 180)]) == expected


def sleep_is_paid_for(cls: Callable[..., Any]) -> None:
    """CPU 1 goes to sleep at 50, when CPU 0 has dropped the lock in the order of events, and is to pay for that."""
    machine = machine_of(cls, "sleep")
    mutex = machine.mutex(BIG)
    came: list[int] = []

    def again() -> None:
        handle = mutex.handle("cpu0")
        for _ in range(3):
            handle.acquire()
            came.append(machine.clock_ns())
            handle.release()
            machine.charge(10_000)

    def once() -> None:
        machine.charge(50)
        with mutex.handle("cpu1"):
            pass

    run(machine, [(0, again), (1, once)])
    first = came[0]
    assert first == FIRST[1]
    second = first + UNDER + 10_000 + 30 + LINE
    assert came == [first, second, second + UNDER + LINE + 10_000 + ACQUIRE]


def suspended_holder(cls: Callable[..., Any]) -> None:
    """Who holds a lock and sleeps keeps others out, whatever the policy."""
    for lock in ("mcs", "ticket", "ttas", "sleep"):
        machine = machine_of(cls, lock)
        mutex = machine.mutex(BIG)
        order: list[str] = []

        def holder(machine: Any = machine, mutex: Any = mutex, order: list[str] = order) -> None:
            with mutex.handle("holder"):
                machine.sleep(1e-6)
                order.append("held")

        def other(at: int, machine: Any = machine, mutex: Any = mutex, order: list[str] = order) -> None:
            machine.charge(at)
            handle = mutex.handle("other")
            assert not handle.try_acquire(), "a lock is taken that another strand holds"
            with handle:
                order.append(f"came at {at}")
                assert machine.clock_ns() > 1000

        run(machine, [(0, holder), (1, partial(other, 100)), (2, partial(other, 60)), (3, partial(other, 80))])
        came = ["came at 60", "came at 80", "came at 100"]
        assert order == ["held", *came] if lock in ("mcs", "ticket") else sorted(order) == sorted(["held", *came])


def ticket_suspended(cls: Callable[..., Any]) -> None:
    """Those who wait behind a holder that sleeps spin as well: each delays whoever came after it."""
    machine = machine_of(cls, "ticket")
    mutex = machine.mutex(BIG)
    inside: list[int] = []

    def holder() -> None:
        with mutex.handle("holder"):
            machine.sleep(1e-6)

    def other(at: int) -> None:
        machine.charge(at)
        with mutex.handle("other"):
            inside.append(machine.clock_ns())

    run(machine, [(0, holder), *((cpu, partial(other, 50 * cpu)) for cpu in (1, 2, 3))])
    dropped, granted = ACQUIRE + 1000 + UNDER, []
    for before in range(3):
        granted.append(dropped + 7 * before + LINE)
        dropped = granted[-1] + UNDER + LINE
    assert inside == granted


def sum_of_the_table(cls: Callable[..., Any]) -> None:
    """A run in which nobody waits takes the sum of what it was charged."""
    machine = machine_of(cls)
    mutex, words = machine.mutex(BIG), machine.counters(("one",))

    def body() -> None:
        handle, adder = mutex.handle("body"), words.adder("one")
        for _ in range(100):
            machine.charge(70)
            with handle:
                pass
            adder.add(2)
        # The word's line comes from memory the first time, which is free here.
        assert machine.clock_ns() == 100 * (70 + ACQUIRE + UNDER + 20)
        assert words.load("one") == 200

    run(machine, [(3, body)])


def word_line(cls: Callable[..., Any]) -> None:
    """Updates of one word follow each other: two at 0 end at 20, the atomic operation, and 120, with the transfer."""
    machine = machine_of(cls)
    words = machine.counters(("one", "two"))
    ended: list[int] = []

    def body() -> None:
        words.adder("one").add(1)
        ended.append(machine.clock_ns())

    run(machine, [(0, body), (1, body)])
    assert ended == [20, 20 + LINE]
    assert words.load("one") == 2
    assert machine.words_waited_ns() == 20


def word_swaps(cls: Callable[..., Any]) -> None:
    """Swaps of words that share a line follow each other, too; those of a line apart do not."""
    for apart, waited in ((False, 20), (True, 0)):
        machine = machine_of(cls)
        words = machine.words(2, apart=apart)
        ended: list[int] = []

        def body(index: int, machine: Any = machine, words: Any = words, ended: list[int] = ended) -> None:
            assert words.swapper()(index, 0, 1)
            ended.append(machine.clock_ns())

        run(machine, [(0, partial(body, 0)), (1, partial(body, 1))])
        assert ended == [20, 20 + (0 if apart else LINE)]
        assert machine.words_waited_ns() == waited


def one_strand_a_cpu(cls: Callable[..., Any]) -> None:
    """A strand that wakes on CPU 0 stops the one that works there, until it waits again; nobody runs at once."""
    machine = machine_of(cls)
    mutex = machine.mutex(BIG)
    work: list[tuple[str, int, int]] = []

    def step(name: str, handle: Any, ns: int) -> None:
        with handle:
            began = machine.clock_ns()
        machine.charge(ns)
        work.append((name, began, machine.clock_ns()))

    def player() -> None:
        handle = mutex.handle("player")
        for _ in range(20):
            step("player", handle, 1000)

    def kernel_thread() -> None:
        handle = mutex.handle("kernel")
        machine.sleep(5e-6)
        for _ in range(5):
            step("kernel", handle, 1000)

    run(machine, [(0, player), (0, kernel_thread)])
    work.sort(key=lambda one: one[1])
    assert all(before[2] <= after[1] for before, after in pairwise(work)), "a CPU is used twice"
    names = "".join(name[0] for name, *_ in work)
    assert names.strip("p") == "kkkkk", f"the kernel thread is interrupted: {names}"
    assert "pkkkkkp" in names
    # 25 steps of 1,000 with a hold of the same line each: no time is lost between the two.
    assert work[-1][2] == 25 * (1000 + ACQUIRE + UNDER) - 0


def timeouts(cls: Callable[..., Any]) -> None:
    """A timed wait ends at its time, unless the wakeup came before; what comes at the same time is in order."""
    machine = machine_of(cls)
    condvar, mutex = machine.condvar(), machine.mutex(BIG)
    seen: list[tuple[str, bool, int]] = []

    def waiter(name: str, timeout_s: float) -> Callable[[], None]:
        def body() -> None:
            handle = mutex.handle(name)
            handle.acquire()
            woken = condvar.wait(handle, timeout_s)
            seen.append((name, woken, machine.clock_ns() // 1000))
            handle.release()
            # Of who was woken the deadline passes meanwhile, and wakes nobody.
            slept_from = machine.clock_ns()
            machine.sleep(100e-6)
            assert machine.clock_ns() == slept_from + 100_000

        return body

    def waker() -> None:
        handle = mutex.handle("waker")
        machine.sleep(20e-6)
        with handle:
            condvar.signal()

    run(machine, [(0, waiter("early", 10e-6)), (1, waiter("late", 90e-6)), (2, waker), (3, waiter("never", 50e-6))])
    assert [(name, woken) for name, woken, _ in seen] == [("early", False), ("late", True), ("never", False)]
    times = [us for *_, us in seen]
    # The last one has dropped the lock at 1,025: two others had it before.
    assert times == [10, 21, 51], times


def events(cls: Callable[..., Any]) -> None:
    """Who sleeps on an event wakes `wakeup` after it was notified, and looks again."""
    machine = machine_of(cls)
    event = machine.event()
    ready = [False]
    seen: list[tuple[bool, int]] = []

    def sleeper() -> None:
        seen.append((event.sleep_until(lambda: ready[0]), machine.clock_ns()))

    def impatient() -> None:
        seen.append((event.sleep_until(lambda: ready[0], 1e-6), machine.clock_ns()))

    def notifier() -> None:
        machine.sleep(5e-6)
        event.notify()
        machine.sleep(5e-6)
        ready[0] = True
        event.notify()

    run(machine, [(0, sleeper), (1, impatient), (2, notifier)])
    assert seen == [(False, 1000), (True, 11_000)]


def circle(cls: Callable[..., Any]) -> None:
    """Two strands that wait for each other's lock: an error at once that names both, and the other one goes on."""
    for lock in ("mcs", "ticket", "ttas", "sleep"):
        machine = machine_of(cls, lock)
        one, two = machine.mutex(BIG), machine.mutex(OWN)
        errors: list[str] = []

        def body(first: Any, then: Any, machine: Any = machine, errors: list[str] = errors) -> Callable[[], None]:
            def take() -> None:
                with first.handle("a"):
                    machine.sleep(1e-6)
                    try:
                        then.handle("b").acquire()
                    except DeadlockError as error:
                        errors.append(str(error))
                    else:
                        then.handle("b").release()

            return take

        run(machine, [(0, body(one, two)), (1, body(two, one))])
        assert len(errors) == 1, errors
        assert "s1 waits for big, held by s0; s0 waits for own, held by s1" in errors[0], errors[0]


def random_run(cls: Callable[..., Any], seed: int = 3, lock: str = "ttas", **how: Any) -> str:
    """Let eight CPUs and two kernel threads take own and shared locks at random; return the digest of all holds."""
    machine = machine_of(cls, lock, **{"seed": seed, "costs": costs(jitter_percent=30), **how})
    shared, owns = machine.mutex(BIG), [machine.mutex(OWN, cpu) for cpu in range(8)]
    words = machine.counters(("n",))
    added = 0

    def body(cpu: int, steps: int, naps: bool) -> Callable[[], None]:
        drawn = random.Random(f"{seed}/{cpu}/{naps}")
        big, own = shared.handle(f"big{cpu}"), owns[cpu].handle("own")
        # Nobody else's: a CPU's own lock that others take is granted up to a quantum later to them.
        adder = words.adder("n")

        def work() -> None:
            nonlocal added
            for _ in range(steps):
                machine.charge(drawn.randrange(1, 900))
                if naps and drawn.random() < 0.3:
                    machine.sleep(drawn.randrange(1, 5000) / 1e9)
                with own:
                    pass
                if drawn.random() < 0.6:
                    with big:
                        if drawn.random() < 0.1:
                            machine.sleep(1e-7)
                elif drawn.random() < 0.5:
                    adder.add(1)
                    added += 1

        return work

    players = [(cpu, body(cpu, 60, False)) for cpu in range(8)]
    run(machine, [*players, (2, body(2, 20, True)), (5, body(5, 20, True))])
    assert words.load("n") == added
    assert machine.journal.holds
    assert HOLD > RELEASE
    return str(machine.journal.digest())


def random_runs(cls: Callable[..., Any]) -> None:
    """Checked random runs of every policy; the same seed gives the same holds, another seed others."""
    for lock in ("ttas", "ticket", "mcs", "sleep"):
        assert random_run(cls, 3, lock) == random_run(cls, 3, lock)
        assert random_run(cls, 3, lock) != random_run(cls, 4, lock)


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        mcs,
        mcs_across,
        ticket,
        ttas,
        ttas_barging,
        ttas_before,
        sleep,
        sleep_is_paid_for,
        suspended_holder,
        ticket_suspended,
        sum_of_the_table,
        word_line,
        word_swaps,
        one_strand_a_cpu,
        timeouts,
        events,
        circle,
        random_runs,
    )
}
