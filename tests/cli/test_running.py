"""How a command hears what asks it to end: one signal is noted, a second is raised, afterwards all is as it was."""

import signal
import sys
from collections.abc import Iterator

import pytest

from tests.cli.screen import Terminal
from uvmfree.cli.running import (
    ENDING,
    Interrupted,
    first_signal_asks,
    progress,
    reading,
    signals_raise,
    signals_wait,
)


@pytest.fixture(autouse=True)
def heard() -> Iterator[list[int]]:
    """Have a handler of ours note signals, which is there again afterwards; return what it noted."""
    noted: list[int] = []
    handlers = {number: signal.getsignal(number) for number in ENDING}

    def note(number: int, frame: object) -> None:
        noted.append(number)

    for number in ENDING:
        signal.signal(number, note)
    yield noted
    assert [signal.getsignal(number) for number in ENDING] == [note] * len(ENDING)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_the_first_signal_is_noted_and_the_second_is_raised(number: int, heard: list[int]) -> None:

    def work() -> None:
        with first_signal_asks() as asked:
            assert not asked()
            signal.raise_signal(number)
            assert asked()
            assert asked.status == 128 + number
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted) as error:
        work()
    assert error.value.status == 128 + signal.SIGTERM
    assert heard == []
    signal.raise_signal(number)
    assert heard == [number]


def ended_by(number: int, error: BaseException) -> None:
    """Work that is ended by an error, after a signal."""
    with first_signal_asks():
        signal.raise_signal(number)
        raise error


@pytest.mark.parametrize("number", ENDING)
def test_work_that_ends_by_a_plain_interrupt_was_ended_by_the_signal_that_came(number: int) -> None:
    with pytest.raises(Interrupted) as error:
        ended_by(number, KeyboardInterrupt())
    assert error.value.status == 128 + number


def test_a_plain_interrupt_without_a_signal_and_what_says_its_own_are_left_alone() -> None:
    with pytest.raises(KeyboardInterrupt) as plain, first_signal_asks():
        raise KeyboardInterrupt
    assert type(plain.value) is KeyboardInterrupt
    with pytest.raises(Interrupted) as own:
        ended_by(signal.SIGHUP, Interrupted(signal.SIGTERM))
    assert own.value.status == 128 + signal.SIGTERM


def test_signals_that_were_ignored_stay_so_but_for_that_of_ctrl_c() -> None:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING}
    try:
        with first_signal_asks() as asked:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
            assert not asked()
            signal.raise_signal(signal.SIGINT)
            assert asked()
        assert {signal.getsignal(number) for number in ENDING} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_what_has_a_terminal_to_put_in_order_has_it_raised(number: int) -> None:
    with pytest.raises(Interrupted) as error, signals_raise():
        signal.raise_signal(number)
    assert error.value.status == 128 + number


def test_a_signal_that_waits_comes_after_the_end_and_once(heard: list[int]) -> None:
    done = []
    with signals_wait():
        signal.raise_signal(signal.SIGTERM)
        done.append(list(heard))
    assert (done, heard) == ([[]], [signal.SIGTERM])
    with signals_wait():
        pass
    assert heard == [signal.SIGTERM]


def test_how_far_it_is_is_for_terminals_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(2) as (tick, done):
        tick("a step")
        done()
    with reading("file") as told:
        assert told is None
    assert capsys.readouterr() == ("", "")


def test_the_name_of_a_file_that_is_read_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "200")
    with reading("a[/bold]b\x07") as told:
        assert told is not None
        told(1000)
    assert "reading a[/bold]b\\x07" in screen.getvalue()
