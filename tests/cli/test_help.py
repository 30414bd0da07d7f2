"""What `--help` says, of every command: in 80 columns, in words, and whole."""

import re
from collections.abc import Callable

import click
import pytest

import uvmfree.cli
from tests.cli.conftest import Said
from tests.cli.test_values import COMMANDS, OPTIONS
from uvmfree.cli.values import AnyNumber, AnyWhole, Number, Whole

Run = Callable[..., Said]


@pytest.fixture(autouse=True)
def eighty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_it_fits_a_terminal_and_breaks_no_word(run: Run, path: tuple[str, ...]) -> None:
    said = run(*path, "--help")
    assert (said.status, said.err) == (0, "")
    assert max(map(len, said.out.splitlines())) <= 80
    words = set(said.out.replace("[", " ").split())
    for option in COMMANDS[path].params:
        for word in (getattr(option, "help", None) or "").split():
            assert word in words


@pytest.mark.parametrize("group", [(), ("trace",)])
def test_a_list_of_commands_has_a_whole_sentence_for_each(run: Run, group: tuple[str, ...]) -> None:
    listed = run(*group, "--help").out.partition("Commands:\n")[2].splitlines()
    assert listed
    for line in listed:
        assert re.fullmatch(r"  [a-z-]+ +[A-Z].*[^.]\.", line)


@pytest.mark.parametrize(("path", "option"), OPTIONS, ids=lambda given: " ".join(getattr(given, "opts", ())))
def test_a_range_is_in_words(path: tuple[str, ...], option: click.Option) -> None:
    context = click.Context(COMMANDS[path], info_name="uvmfree")
    record = option.get_help_record(context)
    assert record is not None
    assert "<" not in record[1]
    kind = option.type
    if isinstance(kind, AnyWhole | AnyNumber):
        assert re.search(r"\d to \d", record[1])
    if isinstance(kind, Whole | Number):
        least = f"{kind.min:g}"
        assert f"{least} to " in record[1] if kind.max is not None else f"{least} or more" in record[1]


def test_a_limit_of_many_digits_is_a_power(run: Run) -> None:
    """In the help, and where it is exceeded."""
    assert "0 to 2^62" in " ".join(run("scale", "--help").out.split())
    assert run("scale", "--seed", "-1").err == "uvmfree: --seed -1: must be a whole number from 0 to 2^62\n"


def test_the_first_help_says_where_to_begin(run: Run) -> None:
    assert "Begin with `uvmfree bench`" in run("--help").out
    assert set(uvmfree.cli.cli.commands) <= set(run("--help").out.split())
