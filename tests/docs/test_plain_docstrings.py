"""Docstrings for the site: sentences, `=>` lines, examples, and characters that mean nothing."""

import pytest

from docs._ext.plain_docstrings import converted, inline, joined_code


@pytest.mark.parametrize(
    ("said", "set_as"),
    [
        ("take `pg` of *args", "take ``pg`` of \\*args"),
        ("`pg`s and names_", "``pg``\\ s and names\\_"),
        ("a lone ` here", "a lone \\` here"),
    ],
)
def test_only_backquotes_mean_anything(said: str, set_as: str) -> None:
    assert inline(said) == set_as


def test_a_docstring_as_this_project_writes_it() -> None:
    docstring = """\
One sentence.

=> A contract
   that goes on.
=> Another.

Sizes
    npages: pages
        of RAM.
    ncpus: CPUs.
After.

    a block  *as it is*

>>> 1 + 1
2

End."""
    expected = """\
One sentence.


- A contract
  that goes on.

- Another.

Sizes

- npages: pages
  of RAM.

- ncpus: CPUs.

After.

::

    a block  *as it is*

>>> 1 + 1
2

End.
"""
    assert "\n".join(converted(docstring.splitlines())) == expected


def test_code_that_goes_on_in_the_next_line_is_joined() -> None:
    assert joined_code(["see `a(b,", "   c)` there", "more"]) == ["see `a(b, c)` there", "more"]
