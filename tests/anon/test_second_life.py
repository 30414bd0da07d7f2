"""A page of a map that is discarded begins anew: what was accessed and written in its first life counts no more."""

import pytest

from tests.anon.rig import Rig
from uvmfree.uvm.anonpage import AnonState


@pytest.mark.parametrize("write", [False, True])
def test_it_has_no_second_chance_from_its_first_life(write: bool) -> None:
    with Rig() as rig:
        rig.touch(5, 5, write=write)  # twice: a chance, if it were kept
        rig.anons.discard(rig.cpu, 5)
        rig.touch(5)
        assert rig.anons.reclaim_one()
        now = rig.anons.stats()
        assert (now.pdreact, now.pdpageouts, now.pdfreed) == (0, 0, 1)
        assert rig.state(5) is AnonState.UNTOUCHED
        rig.settle()
