"""The memory of a stress run: the most that it had at any look, what it had early, and what at the last."""

import mmap

from uvmfree.stress.supervised import Options, stress

MIB = 1 << 20


def test_the_peak_stays_when_memory_was_given_back() -> None:
    held: list[mmap.mmap] = []

    def take() -> None:
        """Be called before each look at the memory."""
        held.append(mmap.mmap(-1, 64 * MIB))
        held[-1].write(bytes(64 * MIB))

    def stop() -> bool:
        """Be asked after it."""
        held.pop().close()
        return False

    options = Options(seconds=0.1, ncpus=1, npages=256, faults=())
    run = stress(options, "percpu", tick=lambda run, elapsed_s: take(), stop=stop)
    assert run.errors == ()
    assert run.rss_kib_max >= run.rss_kib_end + 32 * 1024


def test_what_it_had_early_is_of_the_first_tenth_of_its_time() -> None:
    """Memory that a run takes later, and keeps, is not in it."""
    held: list[mmap.mmap] = []

    def take(elapsed_s: float) -> None:
        if elapsed_s > 0.5 and not held:
            held.append(mmap.mmap(-1, 64 * MIB))
            held[-1].write(bytes(64 * MIB))

    options = Options(seconds=1.0, ncpus=1, npages=256, faults=())
    run = stress(options, "percpu", tick=lambda run, elapsed_s: take(elapsed_s))
    assert run.errors == ()
    assert len(held) == 1
    assert 0 < run.rss_kib_early <= run.rss_kib_end - 32 * 1024
    held.pop().close()


def test_a_run_too_short_for_an_early_look_has_its_first_one() -> None:
    run = stress(Options(seconds=0.1, ncpus=1, npages=256, faults=()), "percpu")
    assert 0 < run.rss_kib_early <= run.rss_kib_max
