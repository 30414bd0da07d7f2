"""`uvmfree check-design`: the contract's tests, run against any design; what fails is told by its rule.

=> The tests are those of tests/conformance: of the checkout, or the copy that an installed package brings.
=> Exit 1 if a test fails. Run in this process, so that a design which stands in the current folder is found.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from uvmfree.cli.status import BROKEN
from uvmfree.workload.plural import plural

ADVICE: Final = {
    r"counts -?\d+ cached pages|uvmexp\.\w+ is -?\d+": "each page that leaves the store is told to took(), each that "
    "goes there to gave(); one that passes between a CPU and a cache that CPUs share counts in `filled` or `drained`",
    r"is free and stands on no list|allocated pages, -?\d+ are": "a page left its list and came to no other: look at "
    "each way out of _get(), _put(), chop(), leave() and remove()",
    r"entries of pages that are not there|is free already|went out twice|names where it stood": "a page that moves "
    "names what it stands on now, `pg.on`; one that goes out `self._system`",
    r"is marked as .*, owner \w+; it is": "a list that moves to a CPU gets its number, `pages.owner = self.index`, "
    "and one that leaves it None; or the list is right and walk() is not: a cache that CPUs share is CACHED and has "
    "no owner",
    r"guarded\(\) names nothing": "a hold of that lock counts as one page in held_items and in virtual time: "
    "have guarded() name it with an object whose pages_touched and items_touched grow by what moves",
    r"of freelist \d+, colour \d+ stands on": "a PageList with a freelist, or a colour, has pages of no other",
}
"""What is mostly wrong with a design of which such a thing is found."""

SHOWN: Final = 3
"""Tests that are named beside the first that finds the same."""

PACKAGE: Final = Path(__file__).resolve().parents[1]


@click.command("check-design", short_help="Test a design against the contract.")
@click.argument("name")
def check_design(name: str) -> int:
    """Ask a design, a NAME or module:Class, what the contract asks of every design, and print what fails."""
    from uvmfree.measure.extras import needs
    from uvmfree.uvm.designs import find

    design = find(name)
    pytest = needs("pytest", "check", "check-design")
    root = next(each for each in (PACKAGE / "contract", PACKAGE.parent) if (each / "tests/conformance").is_dir())
    judge = Judge(files_of(design))
    settings = ["-o", "addopts=", "-o", f"pythonpath={root}", "--import-mode=importlib", "-p", "no:terminal"]
    where = ["--rootdir", str(root), "-p", "no:cacheprovider", str(root / "tests/conformance")]
    status = pytest.main([*settings, "--design", name, *where], plugins=[judge])
    for line in judge.lines(name):
        click.echo(line)
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not judge.held:
        click.echo(f"the tests did not run to their end: {judge.broken or repr(status)}", err=True)
        return BROKEN
    return BROKEN if judge.failed else 0


@dataclass(frozen=True)
class Place:
    """A line of a file, of the design or not."""

    file: Path
    line: int
    of_design: bool = False

    def __str__(self) -> str:
        """Return it as editors take it, the file from the current folder on if it is in there."""
        here = Path.cwd()
        return f"{self.file.relative_to(here) if self.file.is_relative_to(here) else self.file}:{self.line}"


@dataclass(frozen=True)
class Failure:
    """A test that fails: its name, what it asks, what it said, and where that comes from, so far as it is known."""

    test: str
    asked: str
    said: str
    place: Place | None


@dataclass(eq=False)  # hashable, as pytest wants its plugins
class Judge:
    """A pytest plugin that keeps how each test ended: set-up, call and tear-down are a report each.

    => `files`: of the design. `_ended`: by test, "held", "unclaimed", or of one that failed what was said first.
    => `_places`: by test that failed, the line of the design that it came by last, or the one that found it.
    """

    files: frozenset[Path] = frozenset()
    broken: str = ""
    _asked: dict[str, str] = field(default_factory=dict)
    _ended: dict[str, tuple[str, str]] = field(default_factory=dict)
    _places: dict[str, Place] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """Tests that hold."""
        return sum(how == "held" for how, _ in self._ended.values())

    @property
    def unclaimed(self) -> int:
        """Tests that ask for what is not claimed."""
        return sum(how == "unclaimed" for how, _ in self._ended.values())

    @property
    def failed(self) -> list[Failure]:
        """Each test that fails."""
        return [
            Failure(
                test.rpartition("/")[2].partition("[")[0],
                self._asked.get(test, ""),
                re.sub(r"^([\w.]+\.)?(AuditError|AssertionError): | \(and \d+ more\)$", "", said),
                self._places.get(test),
            )
            for test, (how, said) in self._ended.items()
            if how == "failed"
        ]

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Note what each test says that it asks."""
        for item in items:
            self._asked[item.nodeid] = (inspect.getdoc(getattr(item, "obj", None)) or "").partition("\n")[0]

    def pytest_collectreport(self, report: Any) -> None:
        """Keep why tests could not be collected."""
        if report.failed:
            self.broken = str(report.longrepr).strip().splitlines()[-1]

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note how a test ended; one that failed stays failed, whatever else it does."""
        if report.failed:
            said = str(
                report.longrepr.reprcrash.message if hasattr(report.longrepr, "reprcrash") else report.longrepr
            )
            if self._ended.get(report.nodeid, ("", ""))[0] != "failed":
                self._ended[report.nodeid] = "failed", said.strip().splitlines()[0]
                if place := self._place(report.longrepr):
                    self._places[report.nodeid] = place
        elif report.skipped:
            self._ended.setdefault(report.nodeid, ("unclaimed", ""))
        elif report.when == "call":
            self._ended.setdefault(report.nodeid, ("held", ""))

    def lines(self, name: str) -> list[str]:
        """Return what to print: what failed, with the rule that asks for it, and the sum.

        => One mistake fails many tests: all that find the same are told as one, those that most find first. The same
           is what has one advice, or else one text, numbers aside, at one place.
        """
        alike: dict[object, list[Failure]] = {}
        for each in self.failed:
            text = re.sub(r"\b(0x[0-9a-f]+|\d+)\b", "#", each.said)
            alike.setdefault(_advice(each.said) or (text, each.place or each.test), []).append(each)
        lines = []
        for same in sorted(alike.values(), key=lambda same: -len(same)):
            first, advice = same[0], _advice(same[0].said)
            lines += [
                f"fails  {first.test}",
                *[f"       {first.asked}"] * bool(first.asked),
                f"       {first.said[:200]}",
            ]
            places = dict.fromkeys(str(each.place) for each in same if each.place and each.place.of_design)
            lines += [f"       at {place}" for place in list(places)[:SHOWN]]
            lines += [f"       => {advice}"] * bool(advice)
            others = list(dict.fromkeys(each.test.rpartition("::")[2] for each in same if each.test != first.test))
            named = ", ".join((*others[:SHOWN], *["..."] * (len(others) > SHOWN)))
            lines += [f"       so do {plural(len(same) - 1, 'more test')}{named and ': '}{named}"] * (len(same) > 1)
        lines.append(
            f"{name}: {self.held} tests of the contract hold, {len(self.failed)} fail, "
            f"{self.unclaimed} ask for what its traits do not claim"
        )
        return lines

    def _place(self, longrepr: Any) -> Place | None:
        """Return the innermost line of the design that a failure came by; without one, where it was raised."""
        entries = getattr(getattr(longrepr, "reprtraceback", None), "reprentries", ())
        at = [entry.reprfileloc for entry in entries if getattr(entry, "reprfileloc", None)]
        ours = [Place(Path(each.path).resolve(), each.lineno, of_design=True) for each in at]
        ours = [place for place in ours if place.file in self.files]
        return ours[-1] if ours else Place(Path(at[-1].path).resolve(), at[-1].lineno) if at else None


def files_of(design: type[Any]) -> frozenset[Path]:
    """Return the files that a design's classes stand in: those of its own package, or its module."""
    root = design.__module__.partition(".")[0]
    classes = (one for each in (design, design.cpu_class) for one in each.__mro__)
    files = (inspect.getsourcefile(one) for one in classes if one.__module__.partition(".")[0] == root)
    return frozenset(Path(file).resolve() for file in files if file)


def _advice(said: str) -> str:
    """Return what is mostly wrong where such a thing is found; nothing, if that is not known."""
    return next((advice for pattern, advice in ADVICE.items() if re.search(pattern, said)), "")
