"""Docstrings as this project writes them, made into what Sphinx reads.

=> A line that begins with `=>` is an item of a list, with the lines that are indented below it.
=> Text in backquotes is code. All other text is text: no other character means anything.
=> Lines that are indented below a line of text are items, too: each that stands as far in as the first of them.
=> A block that is indented after an empty line is set as it stands; an example, which begins with `>>>`, ends at one.
"""

import re
from collections.abc import Iterator
from typing import Any

ITEM = "=> "


def inline(text: str) -> str:
    """Return a line with its code marked, and with nothing else that could be taken for markup."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backquote without a partner is one more character
        parts = [text]
    said = ""
    for i, part in enumerate(parts):
        # Code that touches a letter is none to Sphinx; an escaped space parts them, and is not printed.
        gap = "\\ " if i and re.match(r"\w", part if i % 2 == 0 else said[-1:]) else ""
        said += gap + (f"``{part}``" if i % 2 else re.sub(r"([\\*_|`])", r"\\\1", part))
    return said


def converted(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a docstring as reStructuredText."""
    kind, base = "", 0  # what the line before was part of, and how far in items begin there
    for line in lines:
        bare = line.strip()
        depth = len(line) - len(line.lstrip())
        if not bare:
            kind = ""
            yield ""
        elif kind in ("example", "block"):
            yield line
        elif bare.startswith(ITEM) and not depth:
            kind, base = "items", 0
            yield from ("", "- " + inline(bare.removeprefix(ITEM)))
        elif kind == "items" and depth > base:
            yield "  " + inline(bare)
        elif kind in ("text", "items") and depth:
            kind, base = "items", depth
            yield from ("", "- " + inline(bare))
        elif bare.startswith(">>>"):
            kind = "example"
            yield line
        elif depth:
            kind = "block"
            yield from ("::", "", line)
        else:
            if kind == "items":
                yield ""
            kind = "text"
            yield inline(line)
    yield ""


def convert(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Replace the lines of a docstring."""
    lines[:] = joined_code(lines)
    lines[:] = list(converted(lines))


def joined_code(lines: list[str]) -> list[str]:
    """Join a line to the next one where code in backquotes goes on there."""
    found: list[str] = []
    for line in lines:
        before = found[-1] if found else ""
        if before.count("`") % 2 and line.strip() and not before.lstrip().startswith(">>>"):
            found[-1] = f"{before} {line.strip()}"
        else:
            found.append(line)
    return found


def without_making(app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returns: str) -> Any:
    """Leave out how an object is made that users get and do not make."""
    if what == "class" and name not in app.config.classes_that_users_make:
        return "", None
    return signature, returns


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_config_value("classes_that_users_make", set(), "env")
    app.connect("autodoc-process-docstring", convert)
    app.connect("autodoc-process-signature", without_making)
    return {"parallel_read_safe": True}
