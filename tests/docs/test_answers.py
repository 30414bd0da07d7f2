"""docs/answer.md and docs/questions.md: what stands there is what template and records give."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench.grid.point import CurveCell
from bench.grid.step import StepCell
from bench.steps import STEPS
from docs import answers
from docs._figures import Figures
from uvmfree.measure.scale import Case, Point, Traffic
from uvmfree.uvm.designs import REGISTRY

DOCS = Path(__file__).resolve().parents[2] / "docs"

PRINTED = """\
head

  Q2: a bound
                  locks      hits, %
    no bound      1 [1-2]    50.5 [50.0-51.0]
    bound of 64   3          7.0

  Q7: alone, us
    percpu        9 [8-9]

claim
"""


@pytest.fixture
def figures(tmp_path: Path) -> Figures:
    """Records of a step, and of what a script printed on two builds."""
    cells = {
        str(StepCell(*STEPS[step], "cc-j4")): {"figures": {"page_locks_per_op": locks}}
        for step, locks in (("today", 1.0), ("split", 0.25))
    }
    put(tmp_path / "steps.json", {"cells": cells})
    for build, said in (("3.11", PRINTED.replace("3   ", "5   ")), ("3.13t", PRINTED)):
        record = {"id": "a", "claim": "in words: a row", "measured": 2.0 if build == "3.11" else 4.0}
        put(
            tmp_path / f"evidence-{build}.json",
            {"scripts": [{"script": "s.py", "output": said.splitlines(), "records": [record]}]},
        )
    return Figures(tmp_path)


def put(file: Path, document: Any) -> None:
    file.write_text(json.dumps(document))


def test_what_native_locks_took_is_what_their_script_printed_last() -> None:
    """Where this fails: ./run python docs/answers.py."""
    text = answers.VIRTUAL.read_text()
    assert text == answers.with_outputs(text, Figures(DOCS / "results"))
    assert [text.count(begin) for begin in answers.PRINTED.values()] == [1, 1]
    assert "predicted from one thread" in text


def test_what_no_script_has_printed_is_said_to_be_missing(tmp_path: Path) -> None:
    native, predict = answers.PRINTED.values()
    text = f"before\n{native}\nold\n{answers.END}between\n{predict}older\n{answers.END}after\n"
    said = f"\n{answers.MISSING}\n{answers.END}"
    assert answers.with_outputs(text, Figures(tmp_path)) == f"before\n{native}{said}between\n{predict}{said}after\n"


def test_the_pages_of_designs_have_results_from_the_records() -> None:
    """Where this fails: ./run python docs/answers.py."""
    figures = Figures(DOCS / "results")
    for name in sorted(REGISTRY.keys() - {"depot"}):  # whose page is made from a template
        text = (DOCS / "designs" / f"{name}.md").read_text()
        assert text.count(answers.RESULTS) == 1
        assert text == answers.with_results(text, name, figures)
        assert answers.MISSING not in text


def test_results_stand_between_their_marks_and_nowhere_else(tmp_path: Path) -> None:
    assert answers.with_results("no place\n", "percpu", Figures(tmp_path)) == "no place\n"
    text = f"before\n{answers.RESULTS}old\n{answers.END}after\n"
    figures = Figures(DOCS / "results")
    found = answers.with_results(text, "percpu", figures)
    assert found.startswith(f"before\n{answers.RESULTS}256 CPUs")
    assert f" do the work of {figures.curve('percpu', 'cc-j4', 'ttas', '256', 'work', '.0f')} that" in found
    assert found.endswith(f"\n{answers.END}after\n")
    assert "old" not in found
    assert answers.MISSING in answers.with_results(text, "percpu", Figures(tmp_path))


def test_the_page_of_all_designs_has_what_real_threads_made_of_them() -> None:
    """Where this fails: ./run python docs/answers.py."""
    text = answers.INDEX.read_text()
    assert text.count(answers.REAL) == 1
    assert text == answers.with_threads(text, Figures(DOCS / "results"))


def test_real_threads_have_pairs_of_each_build_and_scaling_of_the_free_threaded_one(tmp_path: Path) -> None:
    """A pair over the floor's, and over percpu's; what no build has measured yet is a dash."""

    def records(**measured: float) -> list[dict[str, Any]]:
        return [
            {"id": id, "claim": id, "measured": value, "low": value - 0.25, "high": value + 0.5}
            for id, value in measured.items()
        ]

    for build, ratios in (("3.11", {"percpu": 1.5, "xnu": 3.0}), ("3.13t", {"percpu": 2.0, "depot": 1.0})):
        pairs = {f"pair-{design}": ratio for design, ratio in ratios.items()}
        scaling = {} if build == "3.11" else {"scaling-xnu": 1.75, "scaling-nothing-shared": 1.98}
        listed = {"script": "s.py", "output": [], "records": records(**pairs, **scaling)}
        put(tmp_path / f"evidence-{build}.json", {"scripts": [listed]})
    rows = Figures(tmp_path).on_threads().splitlines()
    assert len(rows) == len(REGISTRY) + 3
    assert rows[0] == (
        "| design | 3.11: pair / floor's | 3.11: pair / `percpu`'s "
        "| 3.13t: pair / floor's | 3.13t: pair / `percpu`'s | 2 processors / 1 |"
    )
    assert {
        "| percpu | 1.50 | 1.00 | 2.00 | 1.00 | - |",
        "| xnu | 3.00 | 2.00 | - | - | 1.75 [1.50-2.25] |",
        "| depot | - | - | 1.00 | 0.50 | - |",
        "| nothing shared | - | - | - | - | 1.98 [1.73-2.48] |",
    } <= set(rows)


def test_a_published_gain_is_in_the_range_or_says_where_it_lies(tmp_path: Path) -> None:
    builds = [[20, {"16": 1.25, "64": 2.0}], [80, {"16": 1.5, "64": 3.0}]]
    chunks = {"longest_frees": {"bursts": [15, 480]}}
    put(tmp_path / "published.json", {"illustrated": {"builds": builds}, "predicted": chunks})
    said = (
        "{{gained_beside 16 1.2}}, {{gained_beside 16 1.5}}, {{gained_beside 64 3.1}}: {{shorter bursts .0f}} times"
    )
    assert answers.page(said, Figures(tmp_path)) == "below the range, in the range, above the range: 32 times\n"
    assert answers.page("{{gained_beside 16 1.2}}", Figures(tmp_path / "none")) == f"{answers.MISSING}\n"


@pytest.mark.parametrize("name", answers.PAGES)
def test_a_page_is_what_its_template_and_the_records_give(name: str) -> None:
    """Where this fails: ./run python docs/answers.py."""
    template = (DOCS / f"{name}.in").read_text()
    assert (DOCS / name).read_text() == answers.page(template, Figures(DOCS / "results"))


def test_who_reads_a_number_is_told_the_command_or_the_page() -> None:
    """In each paragraph and each item of a list of the reply."""
    text = (DOCS / "answer.md.in").read_text().partition("## In which order")[2]
    items = [item for block in text.split("\n\n") for item in re.split(r"\n(?=- |\d+\. )", block)]
    numbers = [item for item in items if "{{" in item and not item.startswith(("{{", "|"))]
    assert len(numbers) > 12
    assert [item for item in numbers if "`bench/" not in item and "](" not in item] == []


def test_a_sentence_of_the_reply_with_a_measured_number_names_its_command() -> None:
    """Of a list or a paragraph. The reply is two pages: about 1,100 words without its tables."""
    template = (DOCS / "answer.md.in").read_text()
    blocks = [block for block in template.split("\n\n")[2:] if not block.startswith(("#", "{{"))]
    sentences = [each for block in blocks for each in re.split(r"(?<=[.?%])\*{0,2} (?=[A-Z*])|\n", block)]
    measured = [each for each in sentences if re.search(r"\{\{(?!many\})", each)]
    assert len(measured) > 20
    assert [each for each in measured if "`bench/" not in each] == []
    said = [line for line in (DOCS / "answer.md").read_text().splitlines() if not line.startswith("|")]
    assert len(" ".join(said).split()) <= 1150


def test_numbers_come_from_records(figures: Figures) -> None:
    said = answers.page(
        "Locks: {{step split cc-j4 page_locks_per_op .2f}}, {{fewer split today cc-j4 .1f}} times less.", figures
    )
    assert said == "Locks: 0.25, 4.0 times less.\n"
    assert answers.page("{{step batch cc-j4 page_locks_per_op .2f}}; {{published a b .1f}}", figures) == (
        "(not measured); (not measured)\n"
    )
    assert answers.page("{{measured a .0f}} {{measured a .0f 3.11}} {{measured 'a|a row' .0f}}", figures) == "4 2 4\n"


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (["2026-01-03", "2026-01-01", "2026-01-02"], "2026-01-01 to 2026-01-03"),
        (["2026-01-02"] * 2, "2026-01-02"),
        ([], "2026-01-09"),
    ],
)
def test_evidence_of_several_days_says_the_first_and_the_last(tmp_path: Path, days: list[str], said: str) -> None:
    """A script that printed nothing says no day; a record without scripts is of the day on which it was made."""
    host = {"date": "2026-01-09T10:00:00+00:00", "implementation": "CPython", "python": "3.11.7", "gil": True}
    scripts = [{"script": f"{day}.py", "output": [f"{day} 10:00 UTC, CPython"]} for day in days]
    put(tmp_path / "evidence-3.11.json", {"host": host, "scripts": [*scripts, {"script": "x.py", "output": []}]})
    assert Figures(tmp_path).when() == f"{said}, CPython 3.11.7 with the GIL"


def test_what_a_script_printed_is_a_table(figures: Figures) -> None:
    assert (
        answers.page('{{printed s.py "Q2"}}\n\n{{printed s.py "Q7"}}', figures)
        == """\
| setting | locks | hits, % |
|---|---:|---:|
| no bound | 1 [1-2] | 50.5 [50.0-51.0] |
| bound of 64 | 3 | 7.0 |

| setting | median [least-most] |
|---|---:|
| percpu | 9 [8-9] |
"""
    )
    assert (
        answers.page('{{cell s.py "Q2" "bound of 64" "hits, %"}} {{cell s.py "Q2" "no bound" locks}}', figures)
        == "7.0 1\n"
    )
    least_and_most = '{{most s.py Q2 "no bound" "hits, %"}} {{extremes s.py Q2 "no bound" "hits, %"}}'
    assert answers.page(least_and_most, figures) == "51.0 50.0 to 51.0\n"
    one = '{{most s.py Q2 "bound of 64" locks}} {{extremes s.py Q2 "bound of 64" locks}}'
    assert answers.page(one, figures) == "3 3\n"


SIZES = """\
head

locks / most
                  a           b
    base, 2 CPUs  3.00 / 50   1.25 / 1700
    base, 8 CPUs  2.00 / 7    2.00 / 9
    none, 2 CPUs  9.00 / 1    8.00 / 2
    none, 8 CPUs  7.50 / 4    6.50 / 3
"""


def test_a_table_of_settings_on_several_sizes_is_one_of_spans_and_one_of_each_size(tmp_path: Path) -> None:
    put(
        tmp_path / "evidence-3.11.json",
        {"scripts": [{"script": "s.py", "output": SIZES.splitlines(), "records": []}]},
    )
    figures = Figures(tmp_path)
    assert figures.spans("s.py", "locks").splitlines() == [
        "| setting | 2 CPUs | 8 CPUs |",
        "|---|---:|---:|",
        "| base | 1.25 to 3.00 / 1,700 | 2.00 to 2.00 / 9 |",
        "| none | 8.00 to 9.00 / 2 | 6.50 to 7.50 / 4 |",
    ]
    assert figures.of_rows("s.py", "locks", ", 8 CPUs").splitlines()[2:] == [
        "| base | 2.00 / 7 | 2.00 / 9 |",
        "| none | 7.50 / 4 | 6.50 / 3 |",
    ]
    assert answers.page('{{of_rows s.py locks ", 32 CPUs"}}', figures).strip() == answers.MISSING


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["| x | 0 | 0 |", "| y | 0 | 0 |"], "None, by any design on any load."),
        (["| x | 3 of 3 | 5 |", "| y | 3 of 3 | 5 |"], "All designs the same: 3 of 3 on one, 5 on two."),
        (["| x | 0 | 0 |", "| y | 0 | 1 |"], "| design | one | two |\n|---|---:|---:|\n| x | 0 | 0 |\n| y | 0 | 1 |"),
    ],
)
def test_what_is_the_same_with_every_design_is_a_sentence(tmp_path: Path, rows: list[str], said: str) -> None:
    table = "\n".join(["| design | one | two |", "|---|---:|---:|", *rows])
    (tmp_path / "designs.md").write_text(f"\n## Failed\n\nwords\n\n{table}\n\n## Next\n")
    assert Figures(tmp_path).section("designs.md", "Failed") == said


def test_what_the_first_command_printed_is_cited(tmp_path: Path) -> None:
    printed = "percpu takes it\n\n              fpageqlock   percpu\n-----\nlocks per op        0.99     0.35\n"
    (tmp_path / "first-command.txt").write_text(printed)
    said = '{{first "locks per op" percpu}} {{first "locks" percpu}} {{first "locks per op" depot}}'
    assert answers.page(said, Figures(tmp_path)) == "0.35 (not measured) (not measured)\n"


@pytest.mark.parametrize("name", answers.PAGES)
def test_every_figure_of_a_page_was_measured(name: str) -> None:
    assert "(not measured)" not in (DOCS / name).read_text()


def test_paragraphs_are_filled_and_tables_are_not(figures: Figures) -> None:
    long = "word " * 40
    said = answers.page(f"{long}\n\n- {long}\n- b\n\n| {long} |", figures)
    paragraph, items, table, *rest = said.split("\n\n")
    assert max(map(len, paragraph.splitlines())) <= answers.COLUMNS
    assert [line[:2] for line in items.splitlines()] == ["- ", "  ", "  ", "- "]
    assert (table.strip(), rest) == (f"| {long} |", [])


def test_a_block_is_told_from_the_least_to_the_most_of_its_columns(tmp_path: Path) -> None:
    said = ["head", "", "locks / most", "      a   b", "    x, 2 CPUs   1.5 / 30    0.25 / 4", ""]
    put(tmp_path / "evidence-3.11.json", {"scripts": [{"script": "s.py", "output": said, "records": []}]})
    for second, cell in (("", "30"), ("span", "4.0 to 30.0")):
        table = answers.page(f"{{{{spans s.py locks {second}}}}}", Figures(tmp_path))
        assert table == f"| setting | 2 CPUs |\n|---|---:|\n| x | 0.25 to 1.50 / {cell} |\n"


def test_the_least_that_any_caches_take_is_of_so_many_pages(tmp_path: Path) -> None:
    put(tmp_path / "designs.json", {"cells": {"limit: a": {"limit": [[64, 0.02], [128, 0.0071]]}}})
    assert answers.page("{{least_locks a 128 .1f}}", Figures(tmp_path)) == "7.1\n"


def test_designs_are_named_that_wait_little_wherever_they_were_measured(tmp_path: Path) -> None:
    waits = {"percpu": (5, 20), "magazines": (1, 2), "xnu": (0, 3), "depot": (9, 9)}
    cells = {
        str(CurveCell(name, "a", 8, lock)): {
            "point": asdict(Point(Case(name, 8, Traffic("trace", "a"), lock=lock), 1000, 9, 80 * percent, 0, 0, 0))
        }
        for name, each in waits.items()
        for lock, percent in zip(("ttas", "mcs"), each, strict=True)
    }
    cells |= {
        str(CurveCell(name, "a", 8, "ttas")): {
            "point": asdict(Point(Case(name, 8, Traffic("trace", "a")), 1000, 9, 8000, 0, 0, 0))
        }
        for name in REGISTRY.keys() - waits.keys()
    }
    put(tmp_path / "curve.json", {"cells": cells})
    figures = Figures(tmp_path)
    assert answers.page("{{unsaturated 10}}", figures) == "`magazines`, `xnu` and `depot`\n"
    assert answers.page("{{unsaturated 2.5}}", figures) == "`magazines`\n"
    assert answers.page("{{unsaturated 1}}", figures) == "(not measured)\n"


def test_a_design_is_saturated_where_waiting_takes_more_than_a_share(tmp_path: Path) -> None:
    """Whatever work is left undone because CPUs of a trace wait for each other's pages; costs as they are only."""
    cells = {}
    for ncpus, waited_percent, varied in ((2, 0, False), (8, 20, False), (4, 90, True), (64, 60, False)):
        case = Case("percpu", ncpus, Traffic("trace", "a.perf.xz"), varied=varied)
        point = Point(case, 1000, 9, 10 * waited_percent * ncpus, 0, 0, 0, outside_ns=400 * ncpus)
        cells[str(CurveCell("percpu", "a", ncpus, "ttas")) + ", x" * varied] = {"point": asdict(point)}
    put(tmp_path / "curve.json", {"cells": cells})
    figures = Figures(tmp_path)
    said = "{{saturates percpu a ttas 10}} {{saturates percpu a ttas 50}} {{saturates percpu a ttas 70}}"
    assert answers.page(said, figures) == "8 64 > 64\n"
    assert (
        answers.page("{{curve percpu a ttas 64 share .0f}} {{curve percpu a ttas 8 waits .0f}}", figures) == "40 20\n"
    )
    table = answers.page("{{saturation}}", figures).splitlines()
    assert table[0] == "| design | a, ttas |"
    assert "| percpu | 8 / 64 |" in table
    assert "| depot | - / - |" in table


def test_claims_have_what_each_build_measured_and_those_that_fail_are_named(tmp_path: Path) -> None:
    def record(id: str, **says: Any) -> dict[str, Any]:
        bound = {"bound": 2.0, "at_least": False, "holds": True, "measured": 1.0, "low": 1.0, "high": 1.0}
        return {"id": id, "claim": f"what {id} is", "unit": "s", **bound, **says}

    def evidence(build: str, *records: dict[str, Any]) -> None:
        put(tmp_path / f"evidence-{build}.json", {"scripts": [{"script": "s.py", "output": [], "records": records}]})

    evidence("3.11", record("b", holds=False, measured=3.0, low=2.5, high=3.0), record("a"), record("c", bound=None))
    evidence(
        "3.13t",
        record("b", holds=False),
        record("d", at_least=True, holds=None, bound=4e5, measured=498123.6, low=98765.4, high=5e5),
        record("e", measured=None),
    )
    figures = Figures(tmp_path)
    assert figures.claims().splitlines()[2:] == [
        "| `a` (s): what a is; s | <= 2 | 1 |  |",
        "| `b` (s): what b is; s | <= 2 | **3 [2.5-3]: no** | **1: no** |",
        "| `d` (s): what d is; s | >= 400,000 |  | 498,124 [98,765-500,000], not judged |",
    ]
    assert figures.failed() == "`b` (3.11 and 3.13t)"
    below = {"claim": "the same, from below", "at_least": True}
    evidence("3.11", *(record(id, **says) for id in "ab" for says in ({}, below | {"measured": float(ord(id))})))
    evidence("3.13t")
    assert Figures(tmp_path).claims().splitlines()[2:] == [
        "| `a` (s): the same, from below; s | >= 2 | 97 |  |",
        "| `a` (s): what a is; s | <= 2 | 1 |  |",
        "| `b` (s): the same, from below; s | >= 2 | 98 |  |",
        "| `b` (s): what b is; s | <= 2 | 1 |  |",
    ]
    evidence("3.11", record("a"))
    evidence("3.13t", record("a"))
    assert Figures(tmp_path).failed() == "none"
