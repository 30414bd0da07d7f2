"""Text that a terminal may have: nothing in it moves, colours, rings or hides, and what was there can be told."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.texts import SURROGATES, characters, texts
from uvmfree.measure.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, and 'quoted' \\ text", "plain, and 'quoted' \\ text"),
        ("größer → 漢字", "größer → 漢字"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x9b31m", "\\x9b31m"),  # a control sequence in one character
        ("\u202egnirts", "\\u202egnirts"),  # written from right to left
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_obeys_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(texts(characters() | st.sampled_from(SURROGATES).map(chr)))
def test_any_text_becomes_one_line_that_can_be_encoded(text: str) -> None:
    made = printable(text)
    assert made.isprintable()
    made.encode()
    if "\\" not in text:
        assert ast.literal_eval('"' + made.replace('"', '\\"') + '"') == text
