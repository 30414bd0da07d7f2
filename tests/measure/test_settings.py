"""Tunables as text."""

import pytest

from uvmfree.errors import ParamError
from uvmfree.measure.settings import parse_settings
from uvmfree.param import Param
from uvmfree.uvm.designs.percpu import Percpu

GIVEN = {"npages": "--npages"}


def test_values_have_the_types_of_the_fields() -> None:
    texts = ["refill=8", "hoard_max=64", "search=colour", "drain_retry=true", "redistribute_interval_s=0.5"]
    found = parse_settings(texts, given=GIVEN)
    assert found == {
        "drain_retry": True,
        "redistribute_interval_s": 0.5,
        "own": (("percpu.refill", 8), ("percpu.hoard_max", 64), ("percpu.search", "colour")),
    }
    assert Param(**found).tunables_of("percpu", Percpu.Tunables).hoard_max == 64
    assert parse_settings(["hoard_max=none", "count_cached=No"], given=GIVEN) == {
        "count_cached": False,
        "own": (("percpu.hoard_max", None),),
    }
    assert parse_settings(["hoard_max=None"], given=GIVEN) == {"own": (("percpu.hoard_max", None),)}
    assert parse_settings([], given=GIVEN) == {}


@pytest.mark.parametrize("words", ["true false", "yes no", "on off", "1 0", "TRUE Off"])
def test_each_word_for_yes_and_no(words: str) -> None:
    found = [parse_settings([f"drain_retry={word}"], given=GIVEN)["drain_retry"] for word in words.split()]
    assert found == [True, False]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["refill"], "--set refill: must be NAME=VALUE"),
        (["npages=8"], "npages is set by --npages"),
        (["refil=8"], "no tunable is called refil; there are .*refill"),
        (["refill=8", "refill=9"], "refill was set before"),
        (["refill=many"], "refill=many: must be a whole number"),
        (["refill=1.5"], "refill=1.5: must be a whole number"),
        (["refill=none"], "refill=none: must be a whole number"),
        (["idlezero=2"], "idlezero=2: must be true or false"),
        (["idle_interval_s=soon"], "idle_interval_s=soon: must be a number"),
        (["=3"], "no tunable is called"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(texts: list[str], said: str) -> None:
    with pytest.raises(ParamError, match=said):
        parse_settings(texts, given=GIVEN)
