"""LLFree's audit: a page stands in a tree if its bit is set and it names the tree; one of the two is a finding."""

import pytest

import uvmfree
from uvmfree.uvm.trees import RESERVED


@pytest.fixture
def uvm() -> uvmfree.Uvm:
    return uvmfree.boot(design="llfree", npages=128, ncpus=1, tree_pages=64)


def test_a_page_that_names_a_tree_without_its_bit(uvm: uvmfree.Uvm) -> None:
    pg = uvm.cpus[0].pagealloc()
    assert pg is not None
    pg.on = uvm.design.trees.stands[0]
    with pytest.raises(uvmfree.AuditError, match=f"page {pg.pfn:#x} is free and stands on no list"):
        uvm.audit()


def test_a_bit_of_a_page_that_names_no_tree(uvm: uvmfree.Uvm) -> None:
    tree = uvm.design.trees.stands[1]
    free = [pg.pfn for pg in tree.pages()]
    tree.frames[5].on = uvm.physmem.system
    assert [pg.pfn for pg in tree.pages()] == [pfn for pfn in free if pfn != tree.frames[5].pfn]
    with pytest.raises(uvmfree.AuditError, match="1 entries of pages that are not there, 0 counted as ghosts"):
        uvm.audit()


def test_a_reserved_tree_that_is_not_marked_and_a_marked_one_that_nobody_has_reserved(uvm: uvmfree.Uvm) -> None:
    """The mark alone is wrong: what the words count stays true."""
    assert uvm.cpus[0].pagealloc() is not None
    counts = uvm.design.trees.counts.view()
    (mine,) = (tree for tree in range(2) if counts[tree] >= RESERVED)
    counts[mine] -= RESERVED
    counts[1 - mine] += RESERVED
    said = ["is marked as reserved, and should not be"] * 2
    said[mine] = "is not marked as reserved, and should be"
    assert list(uvm.design.check()) == [f"tree {tree} {what}" for tree, what in enumerate(said)]
