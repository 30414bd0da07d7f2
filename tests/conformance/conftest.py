"""What every test of this folder is run over: designs, each with the traits that it claims, and checked locks.

=> A test asks for `boot` and, if it is about what only some designs claim, is marked by `asks()`. It is then made for
   those alone.
=> `pytest tests/conformance --design module:Class` runs the same tests for one design, of this package or another.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

import uvmfree
from uvmfree.uvm.designs import traits_of

Boot = Callable[..., uvmfree.Uvm]

SMALL: dict[str, Any] = {"npages": 64, "ncpus": 2, "ncolors": 4, "redistribute_interval_s": 3600}
"""A system that does nothing by itself for as long as a test takes.

=> `npages`, here or in a test, is for a design that moves single pages. One that moves n at once gets n times as
   many, so that there are as many moves in a system.
"""


@dataclass(frozen=True)
class Contender:
    """A design with its options, as it is named in a test's id."""

    design: str
    options: dict[str, Any] = field(default_factory=dict)
    lockdebug: bool = False
    virtual: bool = False

    @property
    def name(self) -> str:
        options = [f"{name}={value}" for name, value in self.options.items()]
        return "-".join(
            [self.design.rpartition(":")[2], *options, *["lockdebug"] * self.lockdebug, *["virtual"] * self.virtual]
        )

    @property
    def marks(self) -> tuple[pytest.MarkDecorator, ...]:
        """A plain run has every design on checked locks; without them, in virtual time and with options in turn."""
        usual = self.lockdebug and not self.virtual and self.options == FEW.get(self.design, {})
        if not usual:
            return (pytest.mark.rotated(2),)
        return () if self.design in uvmfree.DESIGNS else (pytest.mark.rotated(3),)

    def traits(self, **tunables: Any) -> uvmfree.Traits:
        return traits_of(uvmfree.Param.of(SMALL | tunables | self.options | {"design": self.design}))

    def boot(self, *machine: Any, **tunables: Any) -> uvmfree.Uvm:
        npages = tunables.get("npages", SMALL["npages"]) * self.traits().refill
        told = {"npages": npages, "design": self.design, "lockdebug": self.lockdebug}
        if self.virtual and not machine:
            ncpus, lockstat = tunables.get("ncpus", SMALL["ncpus"]), tunables.get("lockstat", False)
            machine = (uvmfree.VirtualMachine(ncpus=ncpus, lockstat=lockstat, lockdebug=self.lockdebug, check=True),)
        return uvmfree.boot(*machine, **SMALL | tunables | self.options | told)


LINUX_LIKE = Contender("tests.conformance.linux_like:LinuxLike", lockdebug=True)
XNU_LIKE = Contender("tests.conformance.xnu_like:XnuLike", lockdebug=True)

FEW: dict[str, dict[str, Any]] = {"xnu": {"refill_limit": 8, "free_batch": 4}, "depot": {"unit": 2, "exchange": 2}}
"""Options with which a design that moves many pages at once moves few, so that its systems can be small."""

CONTENDERS = [
    *[Contender(design, FEW.get(design, {}), checked) for design in uvmfree.DESIGNS for checked in (False, True)],
    *[Contender(design, FEW.get(design, {}), lockdebug=True, virtual=True) for design in uvmfree.DESIGNS],
    Contender("freebsd_pgcache", {"cache_fraction": 2, "bucket_max": 4}, lockdebug=True),
    Contender("percpu", {"search": "colour", "count_cached": True}, lockdebug=True),
    Contender("percpu", {"refill": 4, "hoard_max": 8, "drain_retry": True}, lockdebug=True),
    LINUX_LIKE,
    XNU_LIKE,
]
"""Every design as it is, with plain and with checked locks, and in virtual time; the proposal with options; two that
are like neither."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--design", action="append", help="run the contract's tests for this design; may be repeated")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "asks(claim): made for the designs alone of whose traits the claim is true")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make each test for the designs that it is about."""
    if "contender" not in metafunc.fixturenames:
        return
    named = metafunc.config.getoption("--design", default=None)
    contenders = [Contender(name, lockdebug=True) for name in named] if named else CONTENDERS
    claims = [mark.kwargs["claim"] for mark in metafunc.definition.iter_markers("asks")]
    asked = [each for each in contenders if all(claim(each.traits()) for claim in claims)]
    if named and not asked:
        metafunc.parametrize("contender", [pytest.param(named[0], marks=pytest.mark.skip("claims nothing of it"))])
        return
    params = [pytest.param(each, marks=() if named else each.marks) for each in asked]
    metafunc.parametrize("contender", params, ids=lambda each: each.name)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is no test of the design that was named: the tests of the suite itself."""
    if config.getoption("--design", default=None):
        items[:] = [item for item in items if "contender" in getattr(item, "fixturenames", ())]


@contextmanager
def booting(contender: Contender) -> Iterator[Boot]:
    """Boot small systems of one design; each that is still open is audited and closed afterwards."""
    booted: list[uvmfree.Uvm] = []

    def boot(*machine: Any, **tunables: Any) -> uvmfree.Uvm:
        booted.append(contender.boot(*machine, **tunables))
        return booted[-1]

    try:
        yield boot
        for uvm in booted:
            with suppress(uvmfree.ClosedError):
                uvm.audit()
    finally:
        for uvm in booted:
            uvm.close()


@pytest.fixture
def boot(contender: Contender) -> Iterator[Boot]:
    with booting(contender) as boot:
        yield boot
