"""The memory of a stress run: the most that it had at any look, not what it had at the last."""

import mmap

from uvmfree.measure.stress import Options, stress

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
