"""`uvmfree explain`: what it says of designs, that what it says adds up, and how it minds a terminal."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Said, without_notice
from tests.workload.perf_lines import line
from uvmfree.measure.explain import Stage
from uvmfree.measure.host import host
from uvmfree.param import Param
from uvmfree.report.stepframe import frame, plain
from uvmfree.report.steps import elsewhere, owned
from uvmfree.uvm.designs import REGISTRY
from uvmfree.workload.story import STORY

Run = Callable[..., Said]
BOUND_S = 60


def steps_of(said: Said) -> dict[int, str]:
    """What a run said, by step, each in one line."""
    assert (said.status, without_notice(said.err)) == (0, "")
    assert all(len(text) <= 80 and text.isprintable() for text in said.out.splitlines())
    paragraphs = said.out.split("\n\n")[1:]
    return {int(text.partition(".")[0]): " ".join(text.split()) for text in paragraphs}


def test_today_every_operation_takes_the_one_lock(run: Run) -> None:
    said = steps_of(run("explain", "fpageqlock"))
    assert "CPU 1 allocates: its list is empty; it takes uvm_fpageqlock and gets one page" in said[1]
    assert "which goes to the shared store and its list; it takes uvm_fpageqlock." in said[2]
    assert "its list of 1 page has none of the next colour" in said[3]
    assert re.search(r"CPU [02] waits [\d,]+ ns for uvm_fpageqlock.", said[4])
    assert "It takes uvm_fpageqlock 300 times." in said[5]
    assert "No page moves." in said[8]
    assert "gets one page from the shared store and the list of CPU 3." in said[15]


def test_the_proposal_hits_under_its_own_lock_and_strands_pages(run: Run) -> None:
    said = steps_of(run("explain", "percpu"))
    assert re.search(r"CPU 1: uvm_cpu\[1\] \d+ ns > uvm_fpageqlock \d+ ns pages: on the lists 0, 0, 0, 0;", said[1])
    assert "its list of 1 page has one; it takes no shared lock. CPU 1: uvm_cpu[1]" in said[3]
    assert (
        "0 hits, 300 misses. It takes uvm_fpageqlock 300 times. 300 pages go from the shared store to use." in said[5]
    )
    assert "pages: on the lists 0, 0, 0, 300; shared store 1,745; in use 3" in said[6]
    assert "go back to the shared store (timer): 299 from the list of CPU 3." in said[8]
    assert "(pressure): 300 from the list of CPU 3." in said[12]
    assert "CPU 2 allocates and gets no page" in said[15]
    assert "The 20 pages in the shared store are the kernel's reserve. Beyond its reach: 20 on the list" in said[15]


def timeless(text: str) -> str:
    """What a step says, in one line, but for times: those are the table of costs', which may get better figures."""
    return re.sub(r"[\d,]+ ns", "some ns", " ".join(text.split()))


def test_the_steps_that_the_docs_show(run: Run) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/start.md").read_text()
    shown = page.partition("Two steps of percpu:\n\n```text\n")[2].partition("\n```")[0]
    said = run("explain", "percpu").out.rstrip("\n").split("\n\n")
    assert [timeless(text) for text in shown.split("\n\n")] == [timeless(said[8]), timeless(said[15])]


def test_the_heading_names_tunables_that_were_set_and_the_interpreter(run: Run) -> None:
    for setting in ("refill=4", "percpu.refill=4"):
        said = " ".join(run("explain", "percpu", "--set", setting, "--steps", "1").out.split())
        assert said.startswith("percpu, refill=4: the proposal: ")
        assert f" 2,048 pages, virtual time (costs xeon-2s), {host().interpreter}. Locks stand " in said


def test_a_bound_spills(run: Run) -> None:
    said = steps_of(run("explain", "percpu", "--set", "hoard_max=64", "--steps", "6"))
    assert list(said) == [1, 2, 3, 4, 5, 6]
    assert re.search(
        r"CPU 3 frees 300 pages. It takes uvm_fpageqlock \d+ times. \d+ pages go from use to the", said[6]
    )


def test_the_depot_moves_units_and_steals(run: Run) -> None:
    said = steps_of(run("explain", "depot"))
    assert re.search(
        r"takes uvm_fpageqlock and moves (\d+) pages from the shared store: 1 handed out, \d+ kept", said[1]
    )
    assert "gets one page from the list of CPU 3. CPU 2 also takes uvm_cpu[3]." in said[15]
    # docs/answer.md: a miss holds the CPU's own lock for tens of microseconds, and the shared one for few.
    held = re.search(r"CPU 1: uvm_cpu\[1\] ([\d,]+) ns > uvm_fpageqlock ([\d,]+) ns", said[1])
    assert held is not None
    assert re.fullmatch(r"\d\d,\d{3}", held[1])
    assert re.fullmatch(r"\d,\d{3}|\d{3}", held[2])


@pytest.mark.parametrize(
    ("design", "said", "small"),
    [
        ("freebsd_pgcache", "its list of 4 pages has one; it takes no shared lock.", "its list is empty"),
        ("linux_pcp", "its list of 15 pages has one; it takes no shared lock.", "its list of 1 page has one"),
    ],
)
def test_a_design_whose_caches_depend_on_ram_has_that_of_benchmarks(
    run: Run, design: str, said: str, small: str
) -> None:
    """FreeBSD caches nothing of 2,048 pages, and Linux fetches and spills page by page: neither is how it ships."""
    third = ("explain", design, "--steps", "3")
    shown = run(*third)
    assert said in steps_of(shown)[3]
    assert "65,536 pages" in shown.out
    assert small in steps_of(run(*third, "--npages", "2048"))[3]


def test_llfree_takes_no_lock_but_has_interrupts_off(run: Run) -> None:
    said = steps_of(run("explain", "llfree"))
    assert "CPUs have no lists here; it takes no shared lock, and gets one page from the shared store." in said[1]
    assert not any("uvm_fpageqlock" in text or "waits" in text for text in said.values())
    assert re.search(r"It makes [34] atomic updates of words that CPUs share.", said[3])
    assert re.search(r"300 hits, 0 misses. .* It makes [\d,]{3,5} atomic updates", said[5])
    assert re.search(r"They make \d+ atomic updates", said[4])
    assert "atomic" not in "".join(steps_of(run("explain", "fpageqlock")).values())


@pytest.mark.parametrize("design", REGISTRY)
def test_every_design_plays_the_story_and_every_step_adds_up(design: str) -> None:
    stage = Stage(Param(design=design, npages=1024), "xeon-2s", 1)
    uvm = stage.uvm
    names = {mutex.name for mutex in (*uvm.design.cpu_locks, *uvm.design.shared_locks)}
    standing = counted = None
    for number, step in enumerate(stage.play(STORY), 1):
        assert step.number == number
        assert sum(step.standing.values()) == uvm.param.npages
        assert step.was == (standing or step.was)
        moved = step.was.copy()
        for (then, now), n in step.moves.items():
            moved[then] -= n
            moved[now] += n
        assert +moved == step.standing
        lists, others = owned(step.standing, 4), elsewhere(step.standing)
        assert others["in use"] == uvm.param.npages - sum(lists) - others["shared store"] - others[
            "shared cache"
        ] or (uvm.traits.freed == "both" and sum(lists) == others["shared store"])
        acquired = sum(each.acquired for each in uvm.lockstat() if each.name in names)
        assert counted is None or acquired - counted == sum(one.lock in names for one in step.taken)
        standing, counted = step.standing, acquired
        for text in (*plain(step, 4, 80), *frame(step, len(STORY), 4, 80)):
            assert len(text) <= 80, text
            assert text.isascii(), text
            assert not text or (text.isprintable() and text == text.rstrip()), text
    assert number == len(STORY)


def test_a_design_from_outside_is_named_by_where_it_stands(run: Run) -> None:
    outside = run("explain", "uvmfree.uvm.designs.xnu:Xnu", "--steps", "4")
    assert steps_of(outside) == steps_of(run("explain", "xnu", "--steps", "4"))


def test_a_trace_of_pages(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "few.perf"
    file.write_text(
        line("alloc", "0x1", cpu=0, us=1)
        + line("alloc", "0x8", cpu=1, us=2, order=3)
        + line("alloc", "0x2", cpu=5, us=3)
        + line("free", "0x1", cpu=1, us=4)
        + line("free", "0x2", cpu=1, us=5)
    )
    said = steps_of(run("explain", "percpu", "--trace", str(file), "--cpus", "2"))
    begins = [
        "CPU 0 allocates: its list is empty",
        "CPU 0 allocates: its",
        "CPU 1 frees a page",
        "CPU 1 frees a page",
    ]
    assert len(said) == len(begins)
    assert all(
        text.startswith(f"{number}. {begin}") for (number, text), begin in zip(said.items(), begins, strict=True)
    )
    assert "pages: on the lists 0, 2;" in said[4]
    assert len(steps_of(run("explain", "percpu", "--trace", str(file), "--cpus", "2", "--steps", "1"))) == 1
    file.write_text("".join(line("alloc", hex(page), us=page) for page in range(1, 60)))
    document = json.loads(run("explain", "percpu", "--trace", str(file), "--json").out)
    assert len(document["steps"]) == 40  # as --help says


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("nothing",), "must be one of fpageqlock"),
        (("percpu", "--cpus", "2"), "the story plays on 4 CPUs or more"),
        (("percpu", "--set", "npages=4096"), "npages is set by --npages"),
        (("percpu", "--set", "lockdebug=on"), "traced here, not checked"),
        (("fpageqlock", "--set", "depot.budget=1", "--set", "refil=2"), "no tunable is called refil"),
        (("percpu", "--trace", "/nonexistent"), "/nonexistent"),
        (("percpu", "--speed", "0"), "--speed"),
    ],
)
def test_bad_input(run: Run, args: tuple[str, ...], why: str) -> None:
    said = run("explain", *args)
    assert (said.status, said.out) == (2, "")
    assert why in said.err
    assert "Traceback" not in said.err


def test_where_greenlet_is_missing_a_line_says_so_and_the_steps_are_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_any = run("explain", "percpu", "--steps", "3")
    monkeypatch.setitem(sys.modules, "greenlet", None)
    said = run("explain", "percpu", "--steps", "3")
    assert (said.status, said.out) == (0, with_any.out)
    assert said.err.startswith("uvmfree: no greenlet for this interpreter: strands of virtual time are threads")
    assert said.err.count("\n") == 1


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *args: str, term: str = "xterm") -> None:
        self.ours, self.theirs = pty.openpty()
        self.before = termios.tcgetattr(self.theirs)
        self.process = subprocess.Popen(
            (sys.executable, "-m", "uvmfree", "explain", *args),
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env={**os.environ, "TERM": term, "COLUMNS": "80", "LINES": "24"},
        )
        self.text = ""

    def until(self, said: str) -> None:
        """Wait until it has drawn this, after what was waited for before."""
        give_up_s = time.monotonic() + BOUND_S
        while said not in self.text:
            ready, _, _ = select.select([self.ours], [], [], 0.05)
            if ready:
                self.text += os.read(self.ours, 65536).decode()
            else:
                assert self.process.poll() is None, f"ended before {said!r}: {self.text!r}"
                assert time.monotonic() < give_up_s, self.text
        self.text = self.text.partition(said)[2]

    def press(self, key: str) -> None:
        os.write(self.ours, key.encode())

    def ended(self) -> int:
        """Return its exit code, with the terminal as it was before."""
        give_up_s = time.monotonic() + BOUND_S
        while self.process.poll() is None:  # who has written to a terminal ends when that was read
            assert time.monotonic() < give_up_s
            if select.select([self.ours], [], [], 0.05)[0]:
                self.text += os.read(self.ours, 65536).decode()
        while select.select([self.ours], [], [], 0)[0]:
            self.text += os.read(self.ours, 65536).decode()
        assert termios.tcgetattr(self.theirs) == self.before
        return self.process.returncode


@contextmanager
def terminal(*args: str, term: str = "xterm") -> Iterator[Terminal]:
    one = Terminal(*args, term=term)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        os.close(one.ours)
        os.close(one.theirs)


def test_a_key_for_each_step() -> None:
    with terminal("percpu", "--step") as shown:
        shown.until("Step 1 of 18: The first allocation")
        shown.press("\n")
        shown.until("Step 2 of 18")
        shown.until("CPU 1 list")
        shown.press("x")
        shown.until("Step 3 of 18")
        shown.press("q")
        assert shown.ended() == 0
        assert "Step 4" not in shown.text
        assert shown.text.endswith("\x1b[?25h")  # the cursor is shown again


def test_live_until_a_space() -> None:
    with terminal("percpu", "--speed", "50", "--steps", "4") as shown:
        shown.until("handed back to the global\r\nlist once a second")  # what the design is, whole
        shown.until("Step 4 of 4")
        assert shown.ended() == 0
    with terminal("percpu", "--speed", "0.05", "--steps", "3") as shown:
        shown.until("space: step by step")
        shown.press(" ")
        shown.until("Step 2 of 3")
        shown.until("takes no shared lock")
        shown.press("\n")
        shown.until("[Enter: next, q: end]")
        shown.press("q")
        assert shown.ended() == 0


def test_ctrl_c_leaves_the_terminal_as_it_was() -> None:
    with terminal("percpu", "--step", "--steps", "2") as shown:
        shown.until("CPU 1 list")
        shown.process.send_signal(signal.SIGINT)
        assert shown.ended() == 128 + signal.SIGINT
        assert "uvmfree: interrupted" in shown.text
        assert "Traceback" not in shown.text


def test_a_dumb_terminal_gets_what_a_pipe_gets() -> None:
    with terminal("percpu", "--steps", "2", term="dumb") as shown:
        shown.until("2. Freed where")
        assert shown.ended() == 0
        assert "\x1b" not in shown.text


def test_a_document_has_what_the_text_has(run: Run) -> None:
    """Of each step where the pages are, which went where, and every hold of a lock."""
    said = run("explain", "percpu", "--json")
    assert (said.status, without_notice(said.err)) == (0, "")
    document = json.loads(said.out)
    texts = steps_of(run("explain", "percpu"))
    assert (document["design"], document["npages"], document["ncpus"]) == ("percpu", 2048, 4)
    assert [step["number"] for step in document["steps"]] == list(texts)
    for step in document["steps"]:
        assert sum(each["pages"] for each in step["standing"]) == 2048
        for name in ("was", "standing"):
            assert all(each["place"] in ("global", "cached", "allocated", "zeroing") for each in step[name])
    first, burst = document["steps"][0], document["steps"][4]
    assert first["moves"] == [
        {"from": {"place": "global", "owner": None}, "to": {"place": "allocated", "owner": None}, "pages": 1}
    ]
    assert [(each["lock"], each["depth"]) for each in first["taken"]][:2] == [
        ("uvm_cpu[1]", 0),
        ("uvm_fpageqlock", 1),
    ]
    assert (burst["act"]["scene"], burst["done"], burst["hits"], burst["misses"]) == ("A burst", 300, 0, 300)
