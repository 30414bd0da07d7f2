"""How a design is found that is not of this package: by the module and the class that it is called."""

import pytest

import uvmfree


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
