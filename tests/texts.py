"""Texts of any characters, without hypothesis's own, whose table of all characters takes half a minute to be made."""

from hypothesis import strategies as st

SURROGATES = range(0xD800, 0xE000)


def characters() -> st.SearchStrategy[str]:
    """Any character that can be encoded, those of a keyboard more often."""
    anywhere = st.integers(0, 0x10FFFF).filter(lambda code: code not in SURROGATES)
    return (st.integers(0x20, 0x7E) | st.integers(0, 0xFF) | anywhere).map(chr)


def texts(alphabet: st.SearchStrategy[str] | None = None, max_size: int | None = None) -> st.SearchStrategy[str]:
    """Some characters, of an alphabet or of all, one after the other."""
    return st.lists(characters() if alphabet is None else alphabet, max_size=max_size).map("".join)
