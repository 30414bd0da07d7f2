"""HTML in pieces: text that is put into one is escaped, unless it is a piece itself.

=> Control characters, which a document may not have and a terminal obeys, become U+FFFD.
"""

from __future__ import annotations

from html import escape
from typing import Final

_VOID: Final = frozenset({"meta", "br"})
"""Elements that have no end tag."""

_CONTROLS: Final = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\t"), ord("\n")}, "\ufffd")


class Html(str):
    """A text that is HTML already."""

    __slots__ = ()


def joined(*parts: str) -> Html:
    """Put parts after each other; those that are no Html are escaped."""
    return Html("".join(part if isinstance(part, Html) else _escaped(part) for part in parts))


def tag(name: str, /, *parts: str, **attributes: str | int | bool) -> Html:
    """Make an element.

    => Attributes that are words of Python end in an underscore, and `_` stands for `-`. True is an attribute
       without a value, False is none.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{_escaped(str(value))}"')
        for key, value in attributes.items()
        if value is not False
    )
    end = "" if name in _VOID else f"</{name}>"
    return Html(f"<{name}{written}>{joined(*parts)}{end}")


def _escaped(text: str) -> str:
    return escape(text.translate(_CONTROLS))
