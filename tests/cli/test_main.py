"""The command before it knows what it is asked: whose signals it hears, and where it looks for a design."""

import signal
import sys
from collections.abc import Callable, Iterator

import pytest

import uvmfree.cli
from tests.cli.conftest import Said
from uvmfree import __main__ as program

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def _handlers() -> Iterator[None]:
    """Put the handlers of signals back."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("ignored", [(), ENDING])
def test_signals_that_were_ignored_stay_so_but_for_that_of_ctrl_c(
    ignored: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[int, bool] = {}

    def command_line() -> None:
        found.update({number: callable(signal.getsignal(number)) for number in ENDING})

    monkeypatch.setattr(uvmfree.cli, "main", command_line)
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    program.main()
    assert found == {
        signal.SIGINT: True,
        signal.SIGTERM: not ignored,
        signal.SIGHUP: not ignored,
    }


def test_what_stands_in_the_current_folder_hides_nothing(
    run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = [folder for folder in sys.path if folder]
    monkeypatch.setattr(sys, "path", list(path))
    for _ in range(2):  # it is there once
        assert run("costs").status == 0
        assert sys.path == [*path, ""]
