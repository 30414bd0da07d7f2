"""The counter file: another process reads what the CPUs count, and tells a run from its end and from rubbish."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import uvmfree
from uvmfree.errors import ArgumentError, CounterFileError
from uvmfree.layouts.top import HEADER, top
from uvmfree.measure.counterfile import CounterFile, CounterReader
from uvmfree.measure.observer import watch
from uvmfree.param import Param

PARAM = Param(npages=512, ncpus=2, redistribute_interval_s=3600)


PAGE = 4096


@contextmanager
def kept(path: str, param: Param = PARAM) -> Iterator[CounterFile]:
    """The counter file of a run that has begun."""
    file = CounterFile(path)
    file.begin(param)
    try:
        yield file
    finally:
        file.close()


def booted(design: str = "percpu") -> uvmfree.Uvm:
    return uvmfree.boot(npages=512, ncpus=2, design=design, redistribute_interval_s=3600)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "counters")


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_what_is_read_are_the_words_that_the_cpus_update(path: str, design: str) -> None:
    """P1: uvmexp's counters, as they were when the observer looked last."""
    with kept(path) as file, booted(design) as uvm:
        reader = CounterReader(path)
        with watch(uvm, file):
            assert reader.read().ended is False
        assert reader.read().counts["free"] == 512
        pages = [uvm.cpus[0].pagealloc() for _ in range(30)]
        with watch(uvm, file):
            pass
        cached = sum(uvm.cached_pages()) if uvm.traits.free == "store" else 0
        assert reader.read().counts["free"] == 512 - 30 - cached == uvm.uvmexp.free
        for pg in pages:
            assert pg is not None
            uvm.cpus[0].pagefree(pg)
        uvm.redistribute()
        with watch(uvm, file):
            pass
        assert reader.read().counts == {"free": 512, "zeropages": 0, "paging": 0, "pdpending": 0}
        uvm.audit()


def test_what_the_observer_publishes_is_what_the_cpus_count(path: str) -> None:
    with kept(path) as file, booted() as uvm:
        with watch(uvm, file):
            for _ in range(20):
                pg = uvm.cpus[1].pagealloc()
                assert pg is not None
                uvm.cpus[1].pagefree(pg)
        read = CounterReader(path).read()
        stats = uvm.cpu_stats()[1]
        assert read.cpus[1] == {
            "cached": 1,
            "allocs": 20,
            "frees": 20,
            "cpuhit": 19,
            "filled": 1,
            "drained": 0,
            "zeroed": 0,
            "atomics": stats.atomics,
        }
        assert (read.design, read.npages, read.cached, read.ended) == ("percpu", 512, 1, False)
        assert read.alive()
        assert read.system["lag"] == 0


def test_redistributions_are_those_that_moved_pages(path: str) -> None:
    """One that was asked for, and not done since the last one was a moment ago, is none."""
    param = replace(PARAM, ncpus=1, drain_retry=True, redistribute_min_gap_s=3600)
    with kept(path, param) as file, uvmfree.boot(**asdict(param)) as uvm:
        (cpu,) = uvm.cpus
        pg = cpu.pagealloc()
        assert pg is not None
        cpu.pagefree(pg)
        uvm.redistribute()
        while cpu.pagealloc() is not None:
            pass
        assert cpu.pagealloc() is None
        assert uvm.redistributions()["rate-limited"] > 0
        file.publish(uvm, uvm.cached_pages(), 0)
        assert CounterReader(path).read().system["redistributions"] == 1


def test_a_process_that_is_over_and_unburied_is_not_alive(path: str) -> None:
    with kept(path), subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        read = CounterReader(path).read()
        assert read.alive()
        assert not replace(read, pid=child.pid).alive()
    assert not replace(read, pid=child.pid).alive()


def test_the_end_of_a_run_can_be_seen_and_the_last_counters_stay(path: str) -> None:
    with kept(path) as file, booted() as uvm:
        reader = CounterReader(path)
        with watch(uvm, file):
            assert uvm.cpus[0].pagealloc() is not None
        assert not reader.read().ended
    read = reader.read()
    assert (read.ended, read.counts["free"]) == (True, 511)
    file.close()  # once more does no harm


def test_a_new_run_takes_the_place_of_the_old_one(path: str) -> None:
    with kept(path) as file:
        reader = CounterReader(path)
        before = reader.read()
        os.chmod(path, 0o600)
        file.end()
        file.begin(Param(npages=256, ncpus=3, design="fpageqlock"))
        now = reader.read()
        assert (now.design, now.npages, len(now.cpus), now.ended) == ("fpageqlock", 256, 3, False)
        assert now.run != before.run
        assert os.stat(path).st_mode & 0o777 == 0o600
    with kept(path) as again:  # and so does another command's
        assert reader.read().run not in (before.run, now.run)
        assert again.problem is None
    assert list(Path(path).parent.iterdir()) == [Path(path)]  # nothing half-made is left


def test_however_many_runs_one_file_is_open(path: str) -> None:
    with kept(path) as made:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            made.begin(PARAM)
        assert len(os.listdir("/proc/self/fd")) == before


def test_two_commands_do_not_share_a_file(path: str, tmp_path: Path) -> None:
    """The second is told, whether its name for the file is the same or a link; the first is not disturbed."""
    link = tmp_path / "link"
    link.symlink_to(path)
    with kept(path) as file:
        for run in range(2):
            for name in (path, str(link)):
                with pytest.raises(ArgumentError, match=f"--counters {name}: another run keeps its counters there"):
                    CounterFile(name).begin(PARAM)
            assert CounterReader(path).read().ended is False
            if not run:
                file.end()
                file.begin(PARAM)
    with kept(str(link)):
        assert link.is_symlink()


def test_of_two_commands_that_begin_at_once_one_is_told(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there was no file there is none to lock: the other one makes its own at the last moment."""
    link, other = os.link, CounterFile(path)

    def late(source: str, place: str) -> None:
        monkeypatch.setattr(os, "link", link)
        other.begin(Param(npages=256, ncpus=1))
        link(source, place)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(ArgumentError, match="another run keeps its counters there"):
        CounterFile(path).begin(PARAM)
    assert CounterReader(path).read().npages == 256
    other.close()
    assert list(Path(path).parent.iterdir()) == [Path(path)]


@pytest.mark.parametrize("size", [0, 100, PAGE, PAGE + 100])
def test_who_truncates_the_file_kills_neither_the_writer_nor_a_reader(path: str, size: int) -> None:
    with kept(path) as file, booted() as uvm:
        reader = CounterReader(path)
        os.truncate(path, size)
        with pytest.raises(CounterFileError, match=r"counters: the counter page was truncated$"):
            reader.read()
        with watch(uvm, file):
            assert uvm.cpus[0].pagealloc() is not None
        assert file.problem is None
        if size >= PAGE:  # the header is there, and the words have come again
            assert reader.read().counts["free"] == 511
        else:
            for one in (reader.read, lambda: CounterReader(path)):
                with pytest.raises(CounterFileError, match=r"counters: the counter page was truncated$"):
                    one()
        file.begin(PARAM)
        assert reader.read().ended is False


def test_words_of_two_moments_are_not_mixed(path: str) -> None:
    """A reader that falls into a write reads again; words that never fit their checksum are refused."""
    with kept(path):
        whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: PAGE + 8] + b"\1" + whole[PAGE + 9 :])
    with pytest.raises(CounterFileError, match="is a counter page that is damaged"):
        CounterReader(path)


def test_counters_that_cannot_be_written_do_not_end_a_run(path: str) -> None:
    """The disk may be full, and somebody may have taken the place between two runs."""
    with kept(path) as file, booted() as uvm:
        Path(path).unlink()
        with kept(path):
            file.begin(PARAM)
            assert file.problem == f"--counters {path}: another run keeps its counters there; name another file"
            with watch(uvm, file):
                pass
        file.end()


def test_a_page_that_vanished_is_named(path: str) -> None:
    with pytest.raises(CounterFileError, match="there is no such file; a run makes it with --counters"):
        CounterReader(path)
    with kept(path):
        reader = CounterReader(path)
        Path(path).unlink()
        with pytest.raises(CounterFileError, match="the counter page has vanished"):
            reader.read()


def header(**fields: object) -> bytes:
    return json.dumps(fields).encode().ljust(5 * PAGE, b"\0")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no counter page of uvmfree"),
        (b"{}", "is no counter page of uvmfree"),
        (b"\xff" * 20000, "is no counter page of uvmfree"),
        (
            json.dumps({"format": "other", "version": 1, "ncpus": 1}).encode().ljust(20000, b"\0"),
            "is no counter page",
        ),
        (
            json.dumps({"format": "uvmfree.counters", "version": 9, "ncpus": 1}).encode().ljust(20000, b"\0"),
            "version 9",
        ),
        (
            json.dumps({"format": "uvmfree.counters", "version": 2, "ncpus": 1}).encode().ljust(20000, b"\0"),
            "damaged",
        ),
    ],
)
def test_something_else_is_refused(path: str, content: bytes, says: str) -> None:
    Path(path).write_bytes(content)
    with pytest.raises(CounterFileError, match=says):
        CounterReader(path)


def test_a_page_that_is_cut_off_is_refused(path: str) -> None:
    with kept(path):
        whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[:-1])
    with pytest.raises(CounterFileError, match="the counter page was truncated"):
        CounterReader(path)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"--counters .*nowhere"):
        CounterFile(str(tmp_path / "nowhere" / "counters")).begin(PARAM)


def test_rates_are_what_happened_between_two_looks(path: str) -> None:
    with kept(path) as file, booted() as uvm:
        reader = CounterReader(path)
        with watch(uvm, file):
            pass
        before = reader.read()
        with watch(uvm, file):
            for _ in range(50):
                pg = uvm.cpus[0].pagealloc()
                assert pg is not None
                uvm.cpus[0].pagefree(pg)
        now = reader.read()
        look = top(before, now)
        elapsed_s = (now.system["clock_ns"] - before.system["clock_ns"]) / 1e9
        assert look.allocs_per_s * elapsed_s == pytest.approx(50)
        assert look.hit_percent == pytest.approx(98)  # the first one missed
        assert (look.free, look.cached, look.used, look.cpus[1].allocs_per_s) == (511, 1, 0, 0)
        assert top(now, now).allocs_per_s == 0
        assert len(look.line().split()) == len(HEADER.split())
        line = dict(zip(HEADER.split(), look.line().split(), strict=True))
        assert (line["r"], line["fre"], line["cac"], line["hit%"]) == ("1", "511", "1", "98.0")


def test_two_runs_have_no_rates_in_common(path: str) -> None:
    with kept(path):
        before = CounterReader(path).read()
    with kept(path) as file, booted() as uvm:
        with watch(uvm, file):
            assert uvm.cpus[0].pagealloc() is not None
        assert top(before, CounterReader(path).read()).allocs_per_s == 0
