"""How a design is found that is not of this package: by the module and the class that it is called."""

import pytest

import uvmfree
from tests.conformance.linux_like import LinuxLike
from uvmfree.kern.lockrank import CPU_OFF, UVM_CPU, UVM_FPAGEQLOCK, misplaced, shared_lock
from uvmfree.uvm.designs import REGISTRY, find

TRAYS = shared_lock("trays", "the rack of full trays", "after the CPU's lock")
BOXES = shared_lock("boxes", "the boxes", "after the CPU's lock")
INNER = shared_lock("inner", "the boxes", "before the trays", before=TRAYS)


class TraysLast(LinuxLike):
    LOCKS = (UVM_CPU, UVM_FPAGEQLOCK, TRAYS)


def test_a_design_from_elsewhere_is_booted_by_its_name() -> None:
    """It plays as any other, and the system says what it was booted with."""
    name = "tests.conformance.linux_like:LinuxLike"
    with uvmfree.boot(npages=1024, ncpus=2, design=name) as uvm, uvm.run_on(1) as cpu:
        pg = cpu.pagealloc()
        assert pg is not None
        assert uvm.cached_pages() == (0, 62)
        cpu.pagefree(pg)
        assert uvm.param.design == name
        assert uvm.traits.refill == 63
        uvm.audit()
    assert name not in uvmfree.DESIGNS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("linux_like", "must be one of fpageqlock, percpu, "),
        ("no.such:Design", "No module named 'no'"),
        ("tests.conformance.linux_like:Nothing", "has no attribute 'Nothing'"),
        ("tests.conformance.linux_like:BATCH", "BATCH is no design"),
        ("tests.conformance.linux_like:Traits", "Traits is no design"),
        ("tests.conformance.linux_like:", "has no attribute ''"),
        (":Percpu", "Empty module name"),
    ],
)
def test_what_is_no_design_is_refused_by_name(name: str, said: str) -> None:
    with pytest.raises(uvmfree.ParamError) as refusal:
        uvmfree.boot(npages=64, ncpus=1, design=name)
    assert str(refusal.value).startswith(f"design={name!r}: ")
    assert said in str(refusal.value)


def test_locks_out_of_order_are_refused_as_the_design_is_loaded() -> None:
    name = f"{__name__}:TraysLast"
    with pytest.raises(uvmfree.ParamError) as refusal:
        find(name)
    assert str(refusal.value) == (
        f"design={name!r}: LOCKS has uvm_fpageqlock (rank 2) before trays (rank 1.5), but ranks must ascend: list "
        "trays first if it is taken first; else have, in the place of uvm_fpageqlock, a lock that shared_lock(..., "
        "before=) puts before trays"
    )


def test_ranks_of_a_design_ascend() -> None:
    assert not misplaced((UVM_CPU, INNER, TRAYS, UVM_FPAGEQLOCK))
    assert "trays (rank 1.5) before boxes (rank 1.5)" in misplaced((CPU_OFF, TRAYS, BOXES))
    assert "uvm_cpu (rank 1) before splvm (rank 1)" in misplaced((UVM_CPU, CPU_OFF))
    assert not any(misplaced(design.LOCKS) for design in REGISTRY.values())
