"""Sampled cases: the same word draws the same ones in every process, another draws others; by name all are run."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

import uvmfree
from tests.plain_run import OTHERS, asked, drawn

ROOT = Path(__file__).resolve().parents[1]

CASES = """
import pytest
@pytest.mark.sampled(3, batons=3)
@pytest.mark.parametrize("number", range(20))
def test_case(number):
    pass
def test_plain():
    pass
"""


DESIGNS = """
import pytest, uvmfree
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
@pytest.mark.parametrize("number", range(2))
def test_one(design, number):
    pass
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_two(design):
    pass
@pytest.mark.whole
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_cheap(design):
    pass
"""


@dataclass(frozen=True)
class Case:
    """As much of a test's case as drawing looks at."""

    nodeid: str

    days: int = 0
    together: str = ""

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        """It may be rotated; others it has none."""
        same_day = {"together": self.together} if self.together else {}
        return pytest.mark.rotated(self.days, **same_day).mark if name == "rotated" and self.days else None


def collected(folder: Path, *args: str, cases: str = CASES) -> list[str]:
    """Return the ids of what is run of a suite, by default one with one sampled test and a plain one."""
    (folder / "test_cases.py").write_text(cases)
    ids: list[str] = []

    class Collected:
        def pytest_collection_finish(self, session: pytest.Session) -> None:
            ids.extend(item.nodeid.partition("::")[2] for item in session.items)

    with settings_kept():
        command = ["-c", str(ROOT / "pyproject.toml"), "-p", "tests.timelimit", "-p", "tests.plain_run", "-n0"]
        command += ["-p", "no:unraisableexception"]  # it collects garbage five times
        pytest.main([*command, "-q", "--collect-only", *args, str(folder)], plugins=[Collected()])
    return ids


@contextmanager
def settings_kept() -> Iterator[None]:
    """Leave Hypothesis with the settings that it had: a run in this process loads its own."""
    before = settings()
    yield
    settings.register_profile("before", before)
    settings.load_profile("before")


@pytest.mark.rotated(3)
def test_a_word_draws_the_same_cases_again_and_another_word_others(tmp_path: Path) -> None:
    first = collected(tmp_path, "--sample=one")
    assert len(first) == 3 + 1
    assert "test_plain" in first
    assert collected(tmp_path, "--sample=one") == first
    assert collected(tmp_path, "--sample=another") != first


def test_what_is_asked_for_by_name_or_by_mark_is_run_whole(tmp_path: Path) -> None:
    assert len(collected(tmp_path)) == 20 + 1
    assert len(collected(tmp_path, "-mlong")) == 20


@pytest.mark.rotated(3)
def test_a_test_of_every_design_is_asked_of_two_and_of_one_that_is_drawn(tmp_path: Path) -> None:
    others = set()
    for word in ("one", "two", "three"):
        ids = collected(tmp_path, f"--sample={word}", cases=DESIGNS)
        one = [each for each in ids if each.startswith("test_one")]
        assert len(one) == 2 * 3
        assert sum(each.startswith("test_two") for each in ids) == 3
        assert sum(each.startswith("test_cheap") for each in ids) == len(uvmfree.DESIGNS)
        assert sum("fpageqlock" in each or "percpu" in each for each in one) == 2 * 2
        others |= {each.rpartition("-")[2] for each in one} - {"fpageqlock]", "percpu]"}
    assert others
    assert len(collected(tmp_path, cases=DESIGNS)) == 4 * len(uvmfree.DESIGNS)


def test_a_drawn_run_has_half_of_the_examples(tmp_path: Path) -> None:
    cases = "from hypothesis import settings\nimport pytest\n"
    cases += '@pytest.mark.parametrize("examples", [settings().max_examples])\ndef test_it(examples):\n    pass\n'
    whole = settings().max_examples
    for word, examples in (("one", whole // 2), ("all", whole)):
        (folder := tmp_path / word).mkdir()  # a module is imported once
        assert collected(folder, f"--sample={word}", cases=cases) == [f"test_it[{examples}]"]
    assert settings().max_examples == whole


def test_of_a_test_of_every_design_so_many_are_drawn_as_it_says(tmp_path: Path) -> None:
    cases = DESIGNS.replace("def test_one", "@pytest.mark.sampled(4, batons=4)\ndef test_one")
    for word in ("one", "two", "three"):
        ids = [each for each in collected(tmp_path, f"--sample={word}", cases=cases) if each.startswith("test_one")]
        assert len(ids) == 4
        assert len({each.rpartition("-")[2] for each in ids} - {"fpageqlock]", "percpu]"}) <= 1


def test_from_day_to_day_all_have_their_turn() -> None:
    """Each case of a sampled test within as many days as that takes, each design once in as many as there are."""
    days = [f"2026-02-{number}" for number in range(25, 29)] + [f"2026-03-0{number}" for number in range(1, 8)]
    cases = [Case(f"a.py::test_case[{number}]") for number in range(20)]
    assert {case for day in days[:7] for case in drawn(cases, 3, day)} == set(cases)
    assert len(drawn(cases, 99, days[0])) == 20
    for test in ("test_one", "test_two"):
        made = [name for day in days[: len(OTHERS)] for name in OTHERS if asked(Case(f"a.py::{test}[3-{name}]"), day)]
        assert sorted(made) == sorted(OTHERS)


def test_what_is_rotated_has_its_turn_one_day_in_so_many() -> None:
    """Not all of it on the same day; by name always."""
    days = [f"2026-03-0{number}" for number in range(1, 7)]
    firsts = set()
    for case in ("test_it", "test_it[1]", "test_it[2]", "test_other", "test_last"):
        one = [asked(Case(f"a.py::{case}", 3), day) for day in days]
        assert sum(one[:3]) == 1
        assert one[:3] == one[3:]
        firsts.add(one.index(True))
    assert len(firsts) > 1
    for day in days:
        assert len({asked(Case(f"a.py::test_it[{number}]", 3, "one visit"), day) for number in range(9)}) == 1


@pytest.mark.rotated(3)
def test_what_is_rotated_is_run_by_name_and_by_mark(tmp_path: Path) -> None:
    cases = "import pytest\n@pytest.mark.rotated(1000)\ndef test_it():\n    pass\ndef test_plain():\n    pass\n"
    assert collected(tmp_path, "--sample=one", cases=cases) == ["test_plain"]
    assert collected(tmp_path, cases=cases) == ["test_it", "test_plain"]
    assert collected(tmp_path, "-mlong", cases=cases) == ["test_it"]


def test_what_was_collected_is_no_garbage_to_look_for() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count() > 10_000
