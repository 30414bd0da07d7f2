"""What is no value of an option is refused in one line, by every option that takes numbers or names; so is misuse."""

from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

import uvmfree.cli
from uvmfree.cli.usage import _is_close
from uvmfree.cli.values import AnyNumber, AnyWhole, Number, OneOf, Whole
from uvmfree.errors import ArgumentError

Run = Callable[..., Any]


def commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands below one, each with what is typed to get there."""
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands(below, *path, name)
    else:
        yield path, command


COMMANDS = dict(commands(uvmfree.cli.cli))
OPTIONS = [
    (path, option)
    for path, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option)
]
RULED = (click.types.IntParamType, click.types.FloatParamType, click.Choice)
"""Types of click that refuse values."""


def wrong(option: click.Option) -> Iterator[str]:
    """Values that an option does not take."""
    kind: Any = option.type
    yield from ("x", "", "1 2", "\x1b[31m" * 20)
    if not isinstance(kind, OneOf):
        yield from ("0x10", "--1")
    if isinstance(kind, Number):
        yield from ("nan", "inf", "-1e999")
    if isinstance(kind, AnyWhole | Whole):
        yield from ("1.5", "1e3", "9" * 5000)
    if isinstance(kind, Number | Whole):
        yield str(kind.min - 1)
        if kind.max is not None:
            yield str(kind.max + 1)


ASKED = [
    pytest.param(path, option.opts[0], value, id=f"{' '.join(path)} {option.opts[0]} {value[:6]!a}")
    for path, option in OPTIONS
    if isinstance(option.type, RULED)
    for value in wrong(option)
]


def test_every_option_that_refuses_values_refuses_them_in_our_words() -> None:
    """So that what follows is of all of them: 30 and more, in eight commands."""
    ruled = [(path, option) for path, option in OPTIONS if isinstance(option.type, RULED)]
    assert not [
        (path, option.opts)
        for path, option in ruled
        if not isinstance(option.type, Whole | Number | AnyWhole | AnyNumber | OneOf)
    ]
    assert len(ruled) > 30
    assert len({path for path, _ in ruled}) >= 8


@pytest.mark.parametrize(("path", "option", "value"), ASKED)
def test_a_value_that_is_none_is_one_line_that_says_what_would_be(
    run: Run, path: tuple[str, ...], option: str, value: str
) -> None:
    given = (f"{option}={value}",) if option.startswith("--") else (option, value)
    said = run(*path, *given)
    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(f"uvmfree: {option} ")
    assert ": must be " in said.err
    assert len(said.err) < 200
    assert said.err.rstrip("\n").isprintable()


NAMED = [
    pytest.param(path, param, id=f"{' '.join(path)} {param.opts[0]}")
    for path, command in COMMANDS.items()
    for param in command.params
    if isinstance(param.type, click.types.StringParamType)
]


@pytest.mark.parametrize(("path", "param"), NAMED)
def test_a_name_that_is_empty_is_one_line(run: Run, path: tuple[str, ...], param: click.Parameter) -> None:
    """As of "$out" where the variable is not set."""
    required = [other for other in COMMANDS[path].params if other.required or other is param]
    required.sort(key=lambda other: isinstance(other, click.Argument))  # behind the first may come a command's own
    given = [(*other.opts[:1], "x")[isinstance(other, click.Argument) :] for other in required]
    given[required.index(param)] = (*given[required.index(param)][:-1], "")
    said = run(*path, *(text for texts in given for text in texts))
    assert (said.status, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.endswith(" '': is empty\n")


def test_the_arguments_of_a_command_that_is_run_may_be_empty(run: Run, tmp_path: Any) -> None:
    said = run("trace", "record", "-o", str(tmp_path / "none" / "x"), "--", "true", "")
    assert "empty" not in said.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ("report", "x.json"),
            "-o FILE: has to be given: write the page here; '-' is stdout (`uvmfree report --help`)",
        ),
        (("report",), "RECORD: has to be given (`uvmfree report --help`)"),
        (("explain",), "DESIGN: has to be given (`uvmfree explain --help`)"),
        (("sweep",), "-o FILE: has to be given: the records"),
        (("bench", "--npages"), "--npages: needs a value"),
        (("bench", "--vmstat=1"), "--vmstat: takes no value"),
        (("bench", "--repetition", "3"), "--repetition: there is no such option; do you mean --repetitions? ("),
        (("bench", "--reps", "3"), "--reps: there is no such option; do you mean --repetitions? ("),
        (("bench", "--desing", "x"), "--desing: there is no such option; do you mean --design? ("),
        (("bench", "--colour", "x"), "--colour: there is no such option ("),
        (("bench", "more"), "got unexpected extra argument (more) (`uvmfree bench --help`)"),
        (("trace", "look"), "no such command 'look' (`uvmfree trace --help`)"),
    ],
)
def test_misuse_is_one_line_that_begins_with_what_is_wrong(run: Run, args: tuple[str, ...], said: str) -> None:
    told = run(*args)
    assert (told.status, told.out, told.err.count("\n")) == (2, "", 1)
    assert told.err.startswith(f"uvmfree: {said}")


@pytest.mark.parametrize("args", [(), ("trace",)])
def test_who_asks_for_nothing_is_shown_what_there_is(run: Run, args: tuple[str, ...]) -> None:
    told = run(*args)
    assert told.status == 2
    assert "Commands:\n" in told.err


def test_a_large_power_of_two_is_said_as_a_power() -> None:
    tops = (1 << 19, 1 << 20, (1 << 20) + 1, 1 << 62)
    said = [Whole(0, top).wanted.rpartition(" ")[2] for top in tops]
    assert said == ["524288", "2^20", "1048577", "2^62"]
    assert Whole(1).wanted == "a whole number from 1 on"


def test_of_a_long_value_the_first_forty_characters_are_shown() -> None:
    for typed, said in (("x" * 40, "x" * 40), ("x" * 41, "x" * 37 + "...")):
        with pytest.raises(ArgumentError) as refused:
            Whole(1, 9).convert(typed, None, None)
        assert str(refused.value) == f"value {said}: must be a whole number from 1 to 9"


@pytest.mark.parametrize(
    ("typed", "name", "meant"),
    [("--dseign", "--design", True), ("--reps", "--cpus", False), ("--sed", "--set", False)],
)
def test_a_slip_has_most_letters_of_an_option_in_order(typed: str, name: str, meant: bool) -> None:
    assert _is_close(typed, name) == meant
