"""Text that a terminal may have: nothing in it moves, colours, rings or hides, and what was there can be told."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.texts import SURROGATES, characters, texts
from uvmfree.errors import RecordError
from uvmfree.measure.decode import shown
from uvmfree.measure.printable import printable
from uvmfree.measure.record import of_document


@pytest.mark.parametrize(
    ("text", "said"),
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
def test_what_a_terminal_obeys_is_written_out(text: str, said: str) -> None:
    assert printable(text) == said


@given(texts(characters() | st.sampled_from(SURROGATES).map(chr)))
def test_any_text_becomes_one_line_that_can_be_encoded(text: str) -> None:
    made = printable(text)
    assert made.isprintable()
    made.encode()
    if "\\" not in text:
        assert ast.literal_eval('"' + made.replace('"', '\\"') + '"') == text


def test_a_value_of_a_document_is_shown_in_forty_characters() -> None:
    assert shown("x" * 38) == f"'{'x' * 38}'"
    assert shown("x" * 39) == f"'{'x' * 36}..."
    assert [shown(value) for value in ([], [1], {}, {"a": 1}, (1 << 63) - 1, 1 << 63)] == [
        "[]", "a list", "{}", "an object", "9223372036854775807", "a larger one",
    ]  # fmt: skip


def test_of_several_fields_that_are_missing_the_first_by_name_is_told() -> None:
    with pytest.raises(RecordError, match=r"^a\.json: has no 'designs'$"):
        of_document({"schema": "uvmfree.record", "version": 5, "kind": "bench"}, "a.json")
