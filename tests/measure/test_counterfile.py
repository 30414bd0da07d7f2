"""The counter file: another process reads what the CPUs count, and tells a run from its end and from rubbish."""

import json
import mmap
from contextlib import closing
from pathlib import Path

import pytest

import uvmfree
from uvmfree.errors import ArgumentError, CounterFileError
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.measure.counterfile import CounterFile, CounterReader
from uvmfree.measure.observer import watch
from uvmfree.measure.top import HEADER, top
from uvmfree.param import Param

PARAM = Param(npages=512, ncpus=2, redistribute_interval_s=3600)


def booted(file: CounterFile, design: str = "percpu") -> uvmfree.Uvm:
    machine = ThreadsMachine(counters=file.place)
    return uvmfree.boot(machine, npages=512, ncpus=2, design=design, redistribute_interval_s=3600)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "counters")


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_the_words_that_the_cpus_update_are_those_that_are_read(path: str, design: str) -> None:
    """P1: uvmexp.free, at once and without a lock; nobody has to publish it."""
    with closing(CounterFile(path, PARAM)) as file, booted(file, design) as uvm:
        reader = CounterReader(path)
        assert reader.read().counts["free"] == 512
        pages = [uvm.cpus[0].pagealloc() for _ in range(30)]
        assert reader.read().counts["free"] == 512 - 30 == uvm.uvmexp.free
        for pg in pages:
            assert pg is not None
            uvm.cpus[0].pagefree(pg)
        uvm.redistribute()
        assert reader.read().counts["free"] == 512
        uvm.audit()


def test_what_the_observer_publishes_is_what_the_cpus_count(path: str) -> None:
    with closing(CounterFile(path, PARAM)) as file, booted(file) as uvm:
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


def test_the_end_of_a_run_can_be_seen_and_the_last_counters_stay(path: str) -> None:
    with closing(CounterFile(path, PARAM)) as file, booted(file) as uvm:
        reader = CounterReader(path)
        assert uvm.cpus[0].pagealloc() is not None
        assert not reader.read().ended
    read = reader.read()
    assert (read.ended, read.counts["free"]) == (True, 511)
    file.close()  # once more does no harm


def test_a_new_run_takes_the_place_of_the_old_one(path: str) -> None:
    with closing(CounterFile(path, PARAM)) as first:
        reader = CounterReader(path)
        before = reader.read()
        with closing(CounterFile(path, Param(npages=256, ncpus=3, design="fpageqlock"))):
            now = reader.read()
        assert (now.design, now.npages, len(now.cpus)) == ("fpageqlock", 256, 3)
        assert now.run != before.run
        with booted(first) as uvm:  # and the old run is not disturbed
            uvm.audit()
    assert list(Path(path).parent.iterdir()) == [Path(path)]  # nothing half-made is left


def test_a_page_that_vanished_is_named(path: str) -> None:
    with pytest.raises(CounterFileError, match="there is no such file; a run makes it with --counters"):
        CounterReader(path)
    with closing(CounterFile(path, PARAM)):
        reader = CounterReader(path)
        Path(path).unlink()
        with pytest.raises(CounterFileError, match="the counter page has vanished"):
            reader.read()


def header(**fields: object) -> bytes:
    return json.dumps(fields).encode().ljust(5 * mmap.PAGESIZE, b"\0")


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
            json.dumps({"format": "uvmfree.counters", "version": 1, "ncpus": 1}).encode().ljust(20000, b"\0"),
            "damaged",
        ),
    ],
)
def test_something_else_is_refused(path: str, content: bytes, says: str) -> None:
    Path(path).write_bytes(content)
    with pytest.raises(CounterFileError, match=says):
        CounterReader(path)


def test_a_page_that_is_cut_off_is_refused(path: str) -> None:
    with closing(CounterFile(path, PARAM)):
        whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: 2 * mmap.PAGESIZE])
    with pytest.raises(CounterFileError, match="cut off or damaged"):
        CounterReader(path)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"--counters .*nowhere"):
        CounterFile(str(tmp_path / "nowhere" / "counters"), PARAM)


def test_rates_are_what_happened_between_two_looks(path: str) -> None:
    with closing(CounterFile(path, PARAM)) as file, booted(file) as uvm:
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
    with closing(CounterFile(path, PARAM)):
        before = CounterReader(path).read()
    with closing(CounterFile(path, PARAM)) as file, booted(file) as uvm:
        with watch(uvm, file):
            assert uvm.cpus[0].pagealloc() is not None
        assert top(before, CounterReader(path).read()).allocs_per_s == 0
