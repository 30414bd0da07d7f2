"""Words that CPUs share without a lock, in cache lines: who has each, who shares it, until when it is busy.

    load     free to whom the line is with, or who shares it; else it is fetched, and shared from then on
    update   fetches the line from who has it and takes it from all who share it, at once: what the farthest takes;
             or what an atomic operation takes where nobody else has it

=> Updates of one line follow each other in virtual time: one waits until the last is over. So does a load that
   fetches. Loads do not wait for each other.
=> An update is a step that others see, in the order of time. A load is not: a CPU may be ahead of others by its own
   work when it loads, and then fetches a line anew at its next load instead.
=> A strand of no CPU has no cache: it fetches nothing and takes nothing away.

Source: the states of MESI, as in Papamarcos and Patel, ISCA 1984.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from uvmfree.machine.virtual.lines import Lines
from uvmfree.machine.virtual.scheduler import Scheduler

WORDS_A_LINE: Final = 8
"""Words of eight bytes to a cache line of 64."""


class VirtualSharedWords:
    """Words in lines: the face of `SharedWords`, and of a view of it, since each load and each store has its price.

    => No update is ahead of its time, unlike a CPU's own lock: others look at words whose line a CPU has.
    """

    def __init__(self, count: int, apart: bool, scheduler: Scheduler, lines: Lines, atomic_ns: int) -> None:
        self.words, self._per_line = [0] * count, 1 if apart else WORDS_A_LINE
        # Of each line: who wrote it last, or -1; a bit for each CPU that shares it; when the last update is over.
        self._at = [-1] * (count // self._per_line + 1)
        self._sharers = [0] * len(self._at)
        self._free_at = [0] * len(self._at)
        self._scheduler, self._lines, self._moves, self._atomic_ns = scheduler, lines, lines.moves, atomic_ns

    def view(self) -> VirtualSharedWords:
        """Return the words, as they are loaded and stored without a lock."""
        return self

    def __getitem__(self, index: int) -> int:
        line, cpu = index // self._per_line, self._scheduler.cpu
        if self._at[line] != cpu and cpu >= 0 and not self._sharers[line] >> cpu & 1:
            self._fetch(line, cpu)
        return self.words[index]

    def __setitem__(self, index: int, value: int) -> None:
        line, cpu = index // self._per_line, self._scheduler.cpu
        if cpu >= 0:
            self._scheduler.now += self._taken(line, cpu)
        self.words[index] = value

    def read(self, first: int, end: int) -> list[int]:
        """Load some of the words."""
        per_line = self._per_line
        for index in range(first - first % per_line, end, per_line):
            self.__getitem__(index)
        return self.words[first:end]

    def update(self, line: int) -> None:
        """Come to the moment at which the running strand may change words of a line, with the line its own."""
        scheduler = self._scheduler
        if scheduler.now > scheduler.head:
            scheduler.sync()
        self._wait(line)
        cpu = scheduler.cpu
        scheduler.now += (self._taken(line, cpu) if cpu >= 0 else 0) or self._atomic_ns
        self._free_at[line] = scheduler.now

    def swapper(self) -> Callable[[int, int, int], bool]:
        """Return a compare-and-swap: a closure, because each operation comes this way several times."""
        words, update, per_line = self.words, self.update, self._per_line

        def swap(index: int, was: int, becomes: int) -> bool:
            update(index // per_line)
            if words[index] != was:
                return False
            words[index] = becomes
            return True

        return swap

    def _wait(self, line: int) -> None:
        """Wait until the last update of a line is over."""
        scheduler = self._scheduler
        if (waited_ns := self._free_at[line] - scheduler.now) > 0:
            self._lines.waited_ns += waited_ns
            scheduler.now += waited_ns

    def _fetch(self, line: int, cpu: int) -> None:
        """Fetch a line to share it; one that no cache had is the CPU's alone."""
        self._wait(line)
        at = self._at[line]
        self._scheduler.now += self._moves[at][cpu]
        if at < 0:
            self._at[line] = cpu
        else:
            self._sharers[line] |= 1 << cpu

    def _taken(self, line: int, cpu: int) -> int:
        """Take a line from all others; return how long that takes: 0 if no other CPU had it."""
        ns = self._moves[self._at[line]][cpu]
        if sharers := self._sharers[line]:
            ns = max(ns, self._lines.farthest(cpu, sharers))
        self._at[line], self._sharers[line] = cpu, 0
        return ns


class VirtualWords:
    """Named words, each on a line of its own: the face of `CounterPage`.

    => `view()[slot]` is for who holds the lock that guards the word, whose hold has paid for it, or who watches.
    """

    def __init__(self, names: tuple[str, ...], scheduler: Scheduler, lines: Lines, atomic_ns: int) -> None:
        self.names = names
        self.closed = False
        self.direct = True
        self._lined = VirtualSharedWords(len(names), True, scheduler, lines, atomic_ns)
        self.update = self._lined.update

    def slot(self, name: str) -> int:
        """Return the index of a word in `view()`."""
        return self.names.index(name)

    def view(self) -> list[int]:
        """Return the words."""
        return self._lined.words

    def unlocked(self) -> VirtualSharedWords:
        """Return the words, as they are loaded and stored without a lock."""
        return self._lined

    def load(self, name: str) -> int:
        """Load a word without a lock."""
        return self._lined[self.slot(name)]

    def adder(self, name: str) -> VirtualAdder:
        """Return an updater of one word."""
        return VirtualAdder(self, self.slot(name))

    def close(self) -> None:
        """Do what a page of words does: reads go on working."""
        self.closed = True


class VirtualAdder:
    """Adds to one word, atomically; `operations` counts the read-modify-writes."""

    __slots__ = ("_slot", "_words", "operations")

    def __init__(self, words: VirtualWords, slot: int) -> None:
        self._words, self._slot = words, slot
        self.operations = 0

    def add(self, n: int) -> None:
        """Add `n`, which may be negative."""
        self._words.update(self._slot)
        self._words.view()[self._slot] += n
        self.operations += 1
