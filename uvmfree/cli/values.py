"""The values that options take. What is none is refused in one line that says what would be: ArgumentError."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from uvmfree.errors import ArgumentError

LONGEST: Final = 40
"""Characters of a value that an error shows: a number may have thousands of digits."""


class _Value:
    """What turns a refusal of click into one of ours; before the type of click that it goes with.

    => `wanted`: what the value must be.
    """

    wanted: str

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value; ArgumentError."""
        try:
            found = super().convert(value, param, ctx)  # type: ignore[misc]
            if found == found or not isinstance(self, Number):  # nan is in every range, to click
                return found
        except (click.BadParameter, ValueError):  # int() refuses numbers of thousands of digits by the latter
            pass
        option = param.opts[0] if param is not None else "value"
        text = str(value) or "''" if len(str(value)) <= LONGEST else f"{str(value)[: LONGEST - 3]}..."
        raise ArgumentError(f"{option} {text}: must be {self.wanted}")

    def _describe_range(self) -> str:
        """Say of a range in `--help` what an error says: click writes 1<=x<=64."""
        return self.wanted.partition(" from ")[2].replace(" on", " or more")


def _short(number: int) -> str:
    """Return a power of two of many digits as a power, any other number as it is."""
    return f"2^{number.bit_length() - 1}" if number >= 1 << 20 and not number & number - 1 else str(number)


class Whole(_Value, click.IntRange):
    """A whole number from `low` to `high`."""

    def __init__(self, low: int, high: int | None = None) -> None:
        super().__init__(low, high)
        self.wanted = f"a whole number from {low} " + ("on" if high is None else f"to {_short(high)}")


class Number(_Value, click.FloatRange):
    """A number from `low` to `high`."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__(low, high)
        self.wanted = f"a number from {low:g} to {high:g}"


class AnyWhole(_Value, click.types.IntParamType):
    """A whole number; whoever takes it says which make sense."""

    wanted = "a whole number"


class AnyNumber(_Value, click.types.FloatParamType):
    """A number, nan and inf too; whoever takes it says which make sense."""

    wanted = "a number"


class OneOf(_Value, click.Choice):  # type: ignore[type-arg]  # the oldest click that will do has no argument for it
    """One of some names."""

    def __init__(self, choices: Sequence[str]) -> None:
        super().__init__(choices)
        self.wanted = f"one of {', '.join(choices)}"


class Text(click.types.StringParamType):
    """A name, a file, a list: any text but none. An empty one is what a shell makes of a variable that is not set."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value; ArgumentError."""
        found = super().convert(value, param, ctx)
        if not found:
            named = isinstance(param, click.Option)
            name = "value" if param is None else param.opts[0] if named else param.human_readable_name
            raise ArgumentError(f"{name.removesuffix('...')} '': is empty")
        return found


def refuse_empty(command: click.Command) -> None:
    """Let no text that a command, or one below it, takes be empty."""
    for param in command.params:
        if param.type is click.STRING:
            param.type = Text()
    if isinstance(command, click.Group):
        for below in command.commands.values():
            refuse_empty(below)
