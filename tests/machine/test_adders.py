"""The two ways to update a counter: which one is taken, and what each does at the end of its page."""

import pytest

from uvmfree.machine.threads import ThreadsMachine
from uvmfree.machine.words import CounterPage


def test_the_short_way_is_taken_where_nobody_asks_for_the_other() -> None:
    """P1: what is measured is the design, not the library's Python."""
    for page in (CounterPage(("free",)), ThreadsMachine().counters(("free",))):
        assert page.direct
        page.close()


@pytest.mark.parametrize("public_calls", [False, True], ids=["direct", "public"])
def test_an_update_after_the_end_harms_nobody(public_calls: bool) -> None:
    """P1: by the short way it still lands on the page, which stays mapped; the documented call refuses it."""
    page = CounterPage(("free", "zeropages"), public_calls=public_calls)
    free, zeropages = page.adder("free"), page.adder("zeropages")
    free.add(3)
    page.close()
    if public_calls:
        with pytest.raises(ValueError, match="released"):
            free.add(1)
    else:
        free.add(1)
        zeropages.add(7)
    assert (page.load("free"), page.load("zeropages")) == ((3, 0) if public_calls else (4, 7))
    assert free.operations == (1 if public_calls else 2)
