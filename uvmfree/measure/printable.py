"""Text from a file as a terminal may have it: what a terminal would obey is written out instead.

=> For every text that somebody else wrote: names in a record, a trace or a counter page, and errors that quote them.
"""


def printable(text: str) -> str:
    """Return a text in which whatever cannot be printed is an escape sequence of Python, as `\\x1b` or `\\n`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
