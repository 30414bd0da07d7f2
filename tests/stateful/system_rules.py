"""What is done to a system as a whole, and what it does by itself: CPUs and colours, idle CPUs, time, want, calls."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, rule

import uvmfree
from tests.stateful.beside import CPU, LWP, NCPUS, NPAGES, Beside
from tests.stateful.ranged import Ranged
from uvmfree.uvm.allocator import Cpu
from uvmfree.uvm.page import VmPage

SLEEPERS_MAX = 3
POLLS = st.one_of(st.integers(0, 30), st.just(9 * NPAGES))
MEANWHILE = st.sampled_from([*[""] * 7, "free", "take", "detach", "take_over", "recolor", "redistribute", "advance"])


class SystemRules(Beside):
    """All that is not about one page."""

    pageouts = Bundle("pageouts")  # begun, of so many pages each

    # CPUs and colours.

    @rule(ncolors=st.sampled_from([1, 2, 4, 8, 3]))
    def recolor(self, ncolors: int) -> None:
        """Q13."""
        if ncolors == 3:
            with pytest.raises(uvmfree.ArgumentError):
                self.uvm.recolor(ncolors)
        else:
            self.uvm.recolor(ncolors)
            self.model.recolor(ncolors)

    @rule(cpu=CPU)
    def detach(self, cpu: int) -> None:
        """Q13."""
        if cpu not in self.model.attached:
            with pytest.raises(uvmfree.BindError):
                self.uvm.detach(cpu)
        elif self.model.attached == {cpu}:
            with pytest.raises(uvmfree.ArgumentError):
                self.uvm.detach(cpu)
        else:
            self.uvm.detach(cpu)
            self.model.detach(cpu)

    @rule(cpu=CPU)
    def attach(self, cpu: int) -> None:
        """Q13: this CPU, or another that was detached."""
        away = sorted(set(range(NCPUS)) - self.model.attached)
        if away:
            cpu = away[cpu % len(away)]
            self.uvm.attach(cpu)
            self.model.attach(cpu)
        else:
            with pytest.raises(uvmfree.ArgumentError):
                self.uvm.attach(cpu)

    @rule(cpu=CPU, lwp=LWP)
    def take_over(self, cpu: int, lwp: str) -> None:
        """Whoever had the CPU's object before has it no more, and one thread at a time plays it; no page moves."""
        if cpu not in self.model.attached:
            return
        before, held = self.uvm.cpus[cpu], [self.page[pfn] for pfn in self.stamps]
        with self.playing(cpu, lwp), pytest.raises(uvmfree.BindError), self.uvm.run_on(cpu):
            pass
        calls: list[Callable[[], object]] = [before.pagealloc, before.pageidlezero]
        calls += [lambda pg=pg: before.pagefree(pg) for pg in held[:1]]  # type: ignore[misc]
        for call in calls:
            with pytest.raises(uvmfree.BindError):
                call()

    # Idle CPUs.

    @rule(
        cpu=CPU,
        polls=POLLS,
        at=st.integers(1, 20),
        meanwhile=MEANWHILE,
    )
    def pageidlezero(self, cpu: int, polls: int, at: int, meanwhile: str) -> None:
        """R14 to R16: until there is no more to do, or something is runnable at the poll of that number.

        => At another poll something happens `meanwhile`, while the CPU has a page in hand.
        """
        if cpu not in self.model.attached:
            cpu = max(self.model.attached, key=lambda each: len(self.model.owned(each)))
        steps = self.model.pageidlezero(cpu)
        answers: list[bool] = []

        def runnable() -> bool:
            in_hand = steps.send(answers[-1]) if answers else next(steps)
            if in_hand is not None:
                assert self.page[in_hand].place is uvmfree.Place.ZEROING
                if len(answers) == at and meanwhile:
                    self.happens(meanwhile, cpu, self.page[in_hand])
            answers.append(len(answers) >= polls)
            return answers[-1]

        try:
            done = self.uvm.cpus[cpu].pageidlezero(runnable)
        except uvmfree.BindError:
            # The CPU was taken over, or detached; the page in hand is back.
            assert meanwhile in ("detach", "take_over")
            assert not answers[-1]
            return
        with pytest.raises(StopIteration) as over:
            steps.send(answers[-1])
        assert done == over.value.value

    def happens(self, what: str, cpu: int, in_hand: VmPage) -> None:
        """Do something while a CPU zeroes a page."""
        if what == "free":
            with pytest.raises(uvmfree.DoubleFree):
                self.uvm.pagefree(in_hand)
        elif what == "take":
            free = len(self.model.free_pages())  # all but the one in hand (R28)
            self.pagefree(cpu, self.pglistalloc(Ranged(free + 1, 0, None, 1, 0, free + 1)))
            self.pagefree(cpu, self.pglistalloc(Ranged(free, 0, None, 1, 0, free)))
        elif what == "advance":
            self.advance(1.0)
        elif what == "take_over":
            self.take_over(cpu, "user")
        else:
            {"detach": self.detach, "recolor": self.recolor, "redistribute": self.redistribute}[what](
                4 if what == "recolor" else cpu
            )
        self.check()

    # Time.

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 2.5]), cpu=CPU, plays=st.booleans())
    def time_passes(self, seconds: float, cpu: int, plays: bool) -> None:
        """P9 and R15: xc threads look after their caches; a CPU that is played is not idle."""
        with self.playing(cpu, "user") if plays and cpu in self.model.attached else nullcontext():
            self.advance(seconds)

    # Want.

    @rule()
    def kick(self) -> None:
        """R20, R21: the daemon makes a pass."""
        self.uvm.kick_pdaemon()
        self.model.kick()
        self.settle()

    @rule(timeout_s=st.sampled_from([0, 0.7, 2.0]), cpu=CPU, lwp=LWP)
    def wait(self, timeout_s: float, cpu: int, lwp: str) -> None:
        """R18: the player of a CPU waits for a while, and the CPU is idle meanwhile."""
        if cpu not in self.model.attached:
            return
        with self.playing(cpu, lwp):
            if lwp == "pagedaemon" and self.model.paging == 0:
                with pytest.raises(uvmfree.UvmError, match="nothing is being paged out"):
                    self.uvm.wait(timeout_s)
            else:
                self.model.playing = None
                assert self.uvm.wait(timeout_s) is self.model.wait(round(timeout_s * 1e9), lwp)
        self.settle()

    @rule()
    def sleep(self) -> None:
        """R18: a thread that plays no CPU waits without end."""
        if len(self.model.waiters) < SLEEPERS_MAX:
            self.sleepers.append(self.machine.spawn("sleeper", lambda: self.woken.append(self.uvm.wait())))
            self.model.begin_wait()
            self.settle()

    @rule(target=pageouts, npages=st.integers(0, 20))
    def pageout_start(self, npages: int) -> int:
        """R22."""
        self.uvm.pageout.start(npages)
        self.model.start(npages)
        return npages

    @rule(npages=consumes(pageouts))
    def pageout_done(self, npages: int) -> None:
        """R22."""
        self.uvm.pageout.done(npages)
        self.model.done(npages)
        self.settle()

    # Cross-calls.

    @rule(to=st.lists(st.one_of(CPU, st.none()), min_size=1, max_size=3), zero=st.booleans(), fails=st.booleans())
    def xcall(self, to: list[int | None], zero: bool, fails: bool) -> None:
        """R30, R31: to one CPU each, or to all (None); a call is a kernel thread's (R5)."""
        ran: list[tuple[int, int, int | None]] = []

        def call(cpu: Cpu, number: int) -> None:
            pg = cpu.pagealloc(zero=zero)
            ran.append((cpu.index, number, pg and pg.pfn))
            if pg is not None:
                cpu.pagefree(pg)
            if fails:
                raise RuntimeError(f"call {number}")

        xcall, tickets, wanted = self.uvm.xcall, {}, []
        for number, target in enumerate(to):
            send = lambda cpu, number=number: call(cpu, number)  # noqa: E731
            if target is None:
                tickets[number] = xcall.broadcast(send)
                wanted += [(cpu, number) for cpu in self.model.attached]
            elif target in self.model.attached:
                tickets[number] = xcall.unicast(send, target)
                wanted.append((target, number))
            else:
                with pytest.raises(uvmfree.ArgumentError):
                    xcall.unicast(send, target)
        for number in reversed(tickets):
            if fails:
                with pytest.raises(uvmfree.XcallError, match=f"call {number}"):
                    xcall.wait(tickets[number], 5)
            else:
                xcall.wait(tickets[number], 5)
        assert sorted((cpu, number) for cpu, number, _ in ran) == sorted(wanted)
        how = {"zero": zero, "use_reserve": False, "strat": "normal", "free_list": 0, "color": None}
        last = dict.fromkeys(range(NCPUS), -1)
        for cpu, number, pfn in ran:
            assert last[cpu] < number  # in order
            last[cpu] = number
            assert pfn == self.model.alloc(cpu, "kernel", **how)
            if pfn is not None:
                self.model.free(cpu, pfn)
        self.settle()
