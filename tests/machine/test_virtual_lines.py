"""Cache lines in virtual time, store by store: who has one afterwards, and what the next one pays."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.machine.virtual_rig import ACQUIRE, LINE, RELEASE, costs, machine_of, run
from uvmfree.kern.lockrank import CPU_OFF, UVM_CPU, UVM_FPAGEQLOCK
from uvmfree.machine.virtual.lines import PAGE_BYTES
from uvmfree.machine.virtual.machine import VirtualMachine

ATOMIC, MEMORY, NO_CPU = 20, 700, None


def spent(machine: Any, steps: Sequence[tuple[int | None, Callable[[], object]]]) -> list[int]:
    """Have CPUs, or a strand of none, take steps one long after the other; return what each took."""
    took = [0] * len(steps)

    def body(number: int, step: Callable[[], object]) -> Callable[[], None]:
        def late() -> None:
            machine.sleep((1 + number) * 1e-3)
            began_ns = machine.clock_ns()
            step()
            took[number] = machine.clock_ns() - began_ns

        return late

    run(machine, [(cpu, body(number, step)) for number, (cpu, step) in enumerate(steps)])
    return took


def made() -> Any:
    return machine_of(VirtualMachine, costs=costs(line_memory=MEMORY))


def test_a_strand_of_no_cpu_takes_the_line_of_a_counter_from_nobody() -> None:
    machine = made()
    adder = machine.counters(("free", "zeropages")).adder("free")
    add = lambda: adder.add(1)  # noqa: E731
    assert spent(machine, [(0, add), (0, add), (NO_CPU, add), (0, add), (1, add)]) == [
        MEMORY, ATOMIC, ATOMIC, ATOMIC, LINE,
    ]  # fmt: skip


def test_a_swap_fetches_its_line_also_if_it_fails_and_for_no_cpu_it_fetches_none() -> None:
    machine = made()
    words = machine.words(16)
    swap, seen = words.swapper(), list[bool]()

    def swaps(at: int, was: int, becomes: int) -> Callable[[], None]:
        return lambda: seen.append(swap(at, was, becomes))

    took = spent(
        machine,
        [
            (0, swaps(0, 9, 1)),
            (0, swaps(7, 0, 1)),
            (NO_CPU, swaps(0, 0, 2)),
            (0, swaps(0, 2, 3)),
            (1, swaps(0, 9, 4)),
            (1, swaps(0, 3, 5)),
            (1, swaps(8, 0, 6)),
        ],
    )
    assert took == [MEMORY, ATOMIC, ATOMIC, ATOMIC, LINE, ATOMIC, MEMORY]
    assert seen == [False, True, True, True, False, True, True]
    assert words.read(0, 9) == [5, 0, 0, 0, 0, 0, 0, 1, 6]


def test_how_long_updates_waited_for_the_one_before_is_added_up() -> None:
    """Three that come at one moment: the second waits for the first, the third for both. So do swaps."""
    machine = made()
    adder, swap = machine.counters(("free",)).adder("free"), machine.words(1).swapper()
    run(machine, [(cpu, lambda: adder.add(1)) for cpu in range(3)])
    assert machine.words_waited_ns() == MEMORY + (MEMORY + LINE)
    run(machine, [(cpu, lambda: swap(0, 0, 0)) for cpu in range(3)])
    assert machine.words_waited_ns() == 2 * (MEMORY + (MEMORY + LINE))


def test_a_load_fetches_what_another_stored_and_shares_it_until_the_next_store() -> None:
    """Who has stored or loaded a line loads it for nothing, until another stores."""
    machine = made()
    words = machine.words(9)
    swap, seen = words.swapper(), list[int]()
    load = lambda: seen.append(words.view()[3])  # noqa: E731
    add = lambda: swap(0, words.words[0], words.words[0] + 1)  # noqa: E731
    took = spent(
        machine,
        [
            (0, load),  # from memory, and alone
            (0, add),
            (1, load),  # shared by 0 and 1
            (1, load),
            (0, load),
            (0, add),  # takes it from 1
            (0, add),
            (1, add),
            (0, load),
            (2, load),  # shared by three
            (1, lambda: words.view().__setitem__(3, 7)),  # a plain store takes it from both
            (2, load),
            (NO_CPU, load),
            (NO_CPU, add),  # takes it from nobody
            (2, load),
        ],
    )
    assert took == [
        MEMORY, ATOMIC, LINE, 0, 0, LINE, ATOMIC, LINE, LINE, LINE, LINE, LINE, 0, ATOMIC, 0,
    ]  # fmt: skip
    assert (seen, words.read(0, 4)) == ([0] * 6 + [7] * 3, [5, 0, 0, 7])


def test_counters_are_loaded_as_words_are_and_a_view_of_them_costs_nothing() -> None:
    machine = made()
    page = machine.counters(("free", "zeropages"))
    adder, unlocked, view = page.adder("free"), page.unlocked(), page.view()
    steps: list[tuple[int | None, Callable[[], object]]] = [
        (0, lambda: adder.add(1)),
        (1, lambda: unlocked[0]),
        (1, lambda: page.load("free")),
        (1, lambda: page.load("zeropages")),
        (2, lambda: page.load("free")),
        (3, lambda: view[0]),
        (0, lambda: adder.add(1)),
        (2, lambda: view[0]),
        (2, lambda: unlocked[0]),
    ]
    assert spent(machine, steps) == [MEMORY, LINE, 0, MEMORY, LINE, 0, LINE, 0, LINE]


def test_several_words_are_loaded_a_line_at_a_time() -> None:
    machine = made()
    packed, apart = machine.words(24), machine.words(3, apart=True)
    steps: list[tuple[int | None, Callable[[], object]]] = [
        (0, lambda: packed.read(7, 17)),  # three lines
        (0, lambda: packed.read(0, 24)),
        (1, lambda: packed.read(8, 16)),
        (0, lambda: apart.read(0, 3)),
        (1, lambda: apart.read(1, 3)),
    ]
    assert spent(machine, steps) == [3 * MEMORY, 0, LINE, 3 * MEMORY, 2 * LINE]


def test_taking_a_line_from_many_takes_what_the_farthest_takes() -> None:
    figures = costs(line_memory=MEMORY, line_complex=10, line_socket=30, line_remote=90, complex_cores=2)
    machine = machine_of(VirtualMachine, costs=figures)
    words = machine.words(1)
    swap = words.swapper()
    load, add = lambda: words.view()[0], lambda: swap(0, words.words[0], 1 + words.words[0])
    took = spent(
        machine,
        [(0, add), (1, load), (0, add), (1, load), (2, load), (0, add), (6, load), (1, load), (1, add), (5, add),
         (0, load), (1, add)],
    )  # fmt: skip
    assert took == [MEMORY, 10, 10, 10, 30, 30, 90, 10, 90, 90, 90, 90]  # at last: 0 is near, but 5 has stored


def test_a_load_that_fetches_waits_for_an_update_that_is_under_way() -> None:
    """All come at 0: CPU 0 updates until MEMORY, 1 and 2 fetch the line then, at once; 3 stores after the update."""
    machine = made()
    words, ended = machine.words(1), dict[int, int]()

    def body(cpu: int) -> Callable[[], None]:
        def run_it() -> None:
            words.swapper()(0, 0, 1) if cpu == 0 else words.view()[0]
            ended[cpu] = machine.clock_ns()

        return run_it

    run(machine, [(cpu, body(cpu)) for cpu in range(3)])
    assert ended == {0: MEMORY, 1: MEMORY + LINE, 2: MEMORY + LINE}
    assert machine.words_waited_ns() == 2 * MEMORY


class Told:
    """A list that tells what was touched."""

    def __init__(self) -> None:
        self.pages_touched = self.items_touched = 0
        self.taken: Sequence[Sequence[Any]] = ()


class Struct:
    """A page's struct."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on: object = None


def test_what_a_hold_touched_is_paid_once_and_its_structs_are_with_that_cpu_then() -> None:
    machine, told = made(), Told()
    page = machine.lined(Struct, "on")
    pages = [page() for _ in range(3)]
    mutex = machine.mutex(UVM_FPAGEQLOCK)
    mutex.guards(told)
    handle = mutex.handle("uvm_pagefree")

    def hold(pages_touched: int, items_touched: int, taken: Sequence[Sequence[Any]]) -> Callable[[], None]:
        def body() -> None:
            with handle:
                told.pages_touched += pages_touched
                told.items_touched += items_touched
                told.taken = taken

        return body

    bare, touched, again, last = spent(
        machine, [(0, hold(0, 0, ())), (0, hold(3, 2, [pages])), (0, hold(0, 0, [pages])), (0, hold(0, 0, ()))]
    )
    figures = machine.costs
    assert touched - again == 3 * figures.ns("page_moved") + 2 * figures.ns("item_moved") + 3 * MEMORY
    assert (again, told.pages_touched, told.items_touched, told.taken) == (last, 0, 0, ())
    assert bare > last  # the lock's own line came from memory


def test_a_single_byte_takes_its_part_of_a_page() -> None:
    machine = machine_of(VirtualMachine, costs=costs(zero_page=3 * PAGE_BYTES))
    view = machine.ram(PAGE_BYTES).view()
    view[7] = 1
    assert machine.clock_ns() == 3


def test_who_has_used_a_cpu_s_own_lock_has_its_line_and_the_cpu_fetches_it_back() -> None:
    machine = made()
    handle = machine.mutex(UVM_CPU, 0).handle("uvm_pagefree")

    def take() -> None:
        handle.acquire()
        handle.release()

    under = machine.costs.ns("cached_free") + RELEASE
    assert spent(machine, [(0, take), (1, take), (0, take), (0, take)]) == [
        ACQUIRE + under, LINE + under, LINE + under, ACQUIRE + under,
    ]  # fmt: skip


def test_who_comes_from_elsewhere_where_interrupts_are_off_has_that_cpu_stand_still() -> None:
    """Also a strand that is on no CPU."""
    machine = made()
    handle = machine.mutex(CPU_OFF, 0).handle("uvm_redistribute")
    own, other, none = spent(machine, [(cpu, lambda: handle.__enter__() or handle.__exit__(None, None, None))
                                       for cpu in (0, 1, NO_CPU)])  # fmt: skip
    rendezvous = machine.costs.ns("rendezvous")
    assert own < rendezvous
    assert min(other, none) >= rendezvous + machine.costs.ns("off_leave")
