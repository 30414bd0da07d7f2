"""The last look before an allocation fails: who looks, who has another's answer, who searches once more."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.uvm.designs.depots import boot, depot_of
from uvmfree.errors import UvmError
from uvmfree.uvm.cpu import QUEUES, Found, Want
from uvmfree.uvm.lastlook import TURNS, LastLook
from uvmfree.uvm.page import UNKNOWN

WANT = Want(False, False, (0,), QUEUES[False])
PAGE: Any = object()
FOUND: Found = (PAGE, UNKNOWN, True)


class Rig:
    """A CPU whose search was in vain, and what others do while it waits for the first lock."""

    def __init__(self, meanwhile: Callable[[], object], *, again: Found | None = None) -> None:
        self.looks, self.searched, self.looked = 0, 0, list[Want]()
        self._meanwhile, self._again, self._lwp = meanwhile, again, "user"
        self.last = LastLook[Any](self.stopped, self.look, lambda: self._lwp)

    @contextmanager
    def stopped(self, needless: Callable[[], bool]) -> Iterator[bool]:
        self._meanwhile()
        yield not needless()

    def look(self, cpu: Any, want: Want, color: int | None) -> Found | None:
        self.looked.append(want)
        return None

    def check_running(self) -> None:
        pass

    def _search_again(self, want: Want, color: int | None) -> Found | None:
        self.searched += 1
        self.looks = self.last.done
        return self._again

    def another(self, want: Want, answer: Found | None, lwp: str = "user") -> None:
        """Have another CPU look, which finds that."""
        other, meanwhile, look = Rig(lambda: None), self._meanwhile, self.last._look
        other.looks = self.last.done
        self._meanwhile, self.last._look, self._lwp = lambda: None, lambda *_: answer, lwp
        assert self.last.find(other, want, None) is answer
        self._meanwhile, self.last._look, self._lwp = meanwhile, look, "user"


def test_a_cpu_looks_once_if_nobody_else_has() -> None:
    rig = Rig(lambda: None)
    assert rig.last.find(rig, WANT, None) is None
    assert (rig.looked, rig.searched, rig.last.done) == ([WANT], 0, 1)


def test_who_waited_for_a_look_in_vain_has_its_answer() -> None:
    """All who wait are served by one look: on 128 CPUs a look of each would last a hundred times as long."""
    rig = Rig(lambda: rig.another(WANT, None))
    assert rig.last.find(rig, WANT, None) is None
    assert (rig.looked, rig.searched) == ([], 0)


def test_a_look_that_ended_before_the_search_answers_nothing() -> None:
    """A page may have been freed between the two."""
    rig = Rig(lambda: None)
    rig.another(WANT, None)
    rig.looks = rig.last.done
    rig.last.find(rig, WANT, None)
    assert (rig.looked, rig.searched) == ([WANT], 0)


def test_nor_does_it_if_another_one_has_ended_since_that_found_a_page() -> None:
    rig = Rig(lambda: rig.another(WANT, FOUND), again=FOUND)
    rig.another(WANT, None)
    rig.looks = rig.last.done
    assert rig.last.find(rig, WANT, None) is FOUND


@pytest.mark.parametrize(
    ("want", "lwp"),
    [
        (Want(False, False, (1,), QUEUES[False]), "user"),
        (Want(False, True, (0,), QUEUES[False]), "user"),
        (WANT, "pagedaemon"),
    ],
)
def test_the_answer_to_another_want_is_none_to_this_one(want: Want, lwp: str) -> None:
    """Who may take of the reserve, or of another freelist, may find what the other did not."""
    rig = Rig(lambda: rig.another(want, None, lwp), again=FOUND)
    assert rig.last.find(rig, WANT, None) is FOUND
    assert (rig.looked, rig.searched) == ([], 1)


def test_who_waited_for_a_page_of_another_searches_before_it_looks() -> None:
    """Its trylocks may have failed for the other's look alone."""
    rig = Rig(lambda: rig.another(WANT, FOUND), again=FOUND)
    assert rig.last.find(rig, WANT, None) is FOUND
    assert (rig.looked, rig.searched) == ([], 1)


def test_no_cpu_lets_others_go_first_for_ever() -> None:
    rig = Rig(lambda: rig.another(WANT, FOUND))
    assert rig.last.find(rig, WANT, None) is None
    assert (rig.searched, rig.looked) == (TURNS, [WANT])


def test_a_cpu_that_was_stopped_meanwhile_is_refused_and_finds_nothing() -> None:
    class Stopped(Rig):
        def check_running(self) -> None:
            raise UvmError("stopped")

    rig = Stopped(lambda: None)
    with pytest.raises(UvmError, match="stopped"):
        rig.last.find(rig, WANT, None)
    assert (rig.looked, rig.last.done) == ([], 0)


def test_who_has_the_answer_of_another_takes_one_lock_and_not_all() -> None:
    with closing(boot(npages=1024, ncpus=4, lockstat=True)) as uvm:  # without threads: nobody else looks
        last, (first, second, *_) = depot_of(uvm).last, uvm.cpus
        while first.pagealloc() is not None:
            pass
        done = last.done

        def rescues() -> int:
            return sum(each.acquired for each in uvm.lockstat(by_caller=True) if each.caller == "uvm_rescue")

        for cpu in (first, second):
            cpu._search(WANT, 0)
        before = rescues()
        assert last.find(first, WANT, None) is None
        assert last.done == done + 1
        assert rescues() == before + 4 + 1
        assert last.find(second, WANT, None) is None
        assert rescues() == before + 4 + 1 + 1
        uvm.audit()
