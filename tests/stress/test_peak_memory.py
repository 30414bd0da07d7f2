"""The memory of a stress run: the most that it had at any look, not what it had at the last."""

from uvmfree.measure.stress import Options, stress

MIB = 1 << 20


def test_the_peak_stays_when_memory_was_given_back() -> None:
    held: list[bytes] = []

    def stop() -> bool:
        """Be asked after each look at the memory."""
        held.clear()
        return False

    run = stress(
        Options(seconds=0.1, ncpus=1, npages=256, faults=()),
        "percpu",
        tick=lambda run, elapsed_s: held.append(b"x" * (64 * MIB)),
        stop=stop,
    )
    assert run.errors == ()
    assert run.rss_kib_max >= run.rss_kib_end + 32 * 1024
