"""What is done to a system as a whole, and what it does by itself: CPUs and colours, idle CPUs, time, want, calls."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

import uvmfree
from tests.model.beside import CPU, LWP, NCPUS, NPAGES, Beside
from tests.model.page_operations import Alloc, How, Run
from tests.model.ranged import Ranged
from tests.model.system_operations import Ask, Attach, Detach, PageoutDone, PageoutStart, Recolor, Redistribute, Wait
from uvmfree.uvm.cpu import Cpu, Lwp
from uvmfree.uvm.page import VmPage

HANDS_BACK = st.sampled_from(["one", "all", "time", "time", "played"])
SLEEPERS_MAX = 3
WANT = st.sampled_from(["kick", "wait", "wait", "sleep", "start", "done"])
POLLS = st.one_of(st.integers(0, 30), st.just(9 * NPAGES))
MEANWHILE = st.sampled_from(["", "", "free", "take", "detach", "take_over", "recolor", "redistribute", "advance"])


class SystemRules(Beside):
    """All that is not about one page."""

    # CPUs and colours.

    @rule(ncolors=st.sampled_from([0, 0, 1, 2, 4, 8, 3]), cpu=CPU, away=st.booleans())
    def change(self, ncolors: int, cpu: int, away: bool) -> None:
        """Q13: give pages so many colours, while a CPU is `away` or not; for 0, detach a CPU or bring it back."""
        if ncolors == 0 or away:
            self.hotplug(cpu)
        if ncolors:
            self.do(Recolor(ncolors))
            if away and ncolors != 3:
                self.hotplug(cpu)

    def hotplug(self, cpu: int) -> None:
        """Ask for what is so already, which is refused, and for the change."""
        for op in (Attach(cpu), Detach(cpu)) if cpu in self.model.attached else (Detach(cpu), Attach(cpu)):
            self.do(op)

    # Idle CPUs.

    @rule(cpu=CPU, npages=st.integers(0, 16), polls=POLLS, at=st.integers(1, 9), meanwhile=MEANWHILE)
    def pageidlezero(self, cpu: int, npages: int, polls: int, at: int, meanwhile: str) -> None:
        """R14 to R16: until there is no more to do, or something is runnable at the poll of that number.

        => The CPU frees some pages before. Something happens `meanwhile`, while it has a page in hand.
        """
        if cpu not in self.model.attached:
            return
        if npages:
            self.filled(cpu, npages)
        steps = self.model.pageidlezero(cpu)
        answers: list[bool] = []

        def runnable() -> bool:
            in_hand = steps.send(answers[-1]) if answers else next(steps)
            if in_hand is not None:
                page = self.page[in_hand]
                assert page.place is uvmfree.Place.ZEROING
                if len(answers) == at and at < polls:
                    self.happens(meanwhile, cpu, page)
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
            for npages in (free + 1, max(1, free)):
                self.filled(cpu, npages)
            self.do(Run(Ranged(2, in_hand.pfn & ~1, in_hand.pfn | 1, 1, 0, 1)))
        elif what == "detach":
            self.hotplug(cpu)
        elif what == "take_over":
            with self.uvm.run_on(cpu):
                pass
        elif what == "recolor":
            self.change(2 * self.model.ncolors % 15, cpu, away=False)
        elif what == "redistribute":
            self.do(Redistribute(cpu))
        elif what == "advance":
            self.advance(1.0)
        self.check()

    # Time.

    @rule(what=HANDS_BACK, cpu=CPU, seconds=st.sampled_from([0.25, 0.5, 1.0, 2.5]))
    def hand_back(self, what: str, cpu: int, seconds: float) -> None:
        """P8; P9 and R15: as time passes xc threads look after their caches, and a CPU that nobody plays is idle."""
        if what == "one":
            self.do(Redistribute(cpu))
        elif what == "all":
            self.do(Redistribute())
        elif what == "played" and cpu in self.model.attached:
            self.model.playing = cpu
            with self.uvm.run_on(cpu):
                self.advance(seconds)
            self.model.playing = None
        else:
            self.advance(seconds)

    # Want.

    @rule(what=WANT, timeout_s=st.sampled_from([0, 0.7, 2.0]), cpu=CPU, lwp=LWP, npages=st.integers(0, 20))
    def want(self, what: str, timeout_s: float, cpu: int, lwp: Lwp, npages: int) -> None:
        """R17 to R22: somebody kicks the daemon or waits for pages, a pageout begins or is done."""
        if what == "kick":
            self.do(Ask("kick"))
        elif what == "wait":
            self.wait(timeout_s, cpu, lwp)
        elif what == "sleep":
            self.sleep()
        else:
            self.do(PageoutStart(npages) if what == "start" or not self.table.in_flight else PageoutDone())

    @rule(cpu=CPU, npages=st.integers(0, 20), freed=st.integers(0, 40), done=st.booleans())
    def starve(self, cpu: int, npages: int, freed: int, done: bool) -> None:
        """R18, R22: all is used up and some of it is being paged out, so that who waits for pages does wait.

        => Then some pages are `freed`, which wakes nobody (R13), and the pageout is `done`.
        """
        self.do(PageoutStart(npages))
        before = self.nheld
        if not self.refused_where_it_is_away(cpu):
            self.do(Alloc(NPAGES), cpu, "kernel", enough=True)
        self.sleep()
        self.free(cpu, min(freed, self.nheld - before), before)
        if done:
            self.do(PageoutDone())

    def wait(self, timeout_s: float, cpu: int, lwp: Lwp) -> None:
        """The player of a CPU waits for a while, and the CPU is idle meanwhile."""
        if cpu not in self.model.attached:
            return
        hands = self.table.hands[cpu]
        hands.lwp = lwp
        with hands.playing():
            if lwp == "pagedaemon" and self.model.paging == 0:
                with pytest.raises(uvmfree.UvmError, match="nothing is being paged out"):
                    self.uvm.wait(timeout_s)
            else:
                self.do(Wait(timeout_s))
        self.settle()

    def sleep(self) -> None:
        """A thread that plays no CPU waits without end."""
        if len(self.model.waiters) < SLEEPERS_MAX:
            self.sleepers.append(self.machine.spawn("sleeper", lambda: self.woken.append(self.uvm.wait())))
            self.model.begin_wait()
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
        last = dict.fromkeys(range(NCPUS), -1)
        for cpu, number, pfn in ran:
            assert last[cpu] < number  # in order
            last[cpu] = number
            assert pfn == self.model.alloc(cpu, "kernel", **How(zero=zero)._asdict())
            if pfn is not None:
                self.model.free(cpu, pfn)
        self.settle()
