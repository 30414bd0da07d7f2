"""What the pages show of the first command is what it printed."""

import re

import pytest

from docs import first_command

PRINTED, WITH_GIL = first_command.PRINTED.read_text(), first_command.WITH_GIL.read_text()
FOUND = first_command.parts(PRINTED, WITH_GIL)


@pytest.mark.parametrize("page", first_command.PAGES, ids=lambda page: page.name)
def test_a_page_shows_what_was_printed(page: object) -> None:
    """Where this fails: python docs/first_command.py."""
    text = first_command.ROOT.joinpath(str(page)).read_text()
    assert "<!-- first command: " in text
    assert first_command.filled(text, FOUND) == text


def test_what_is_shown_is_of_the_three_designs_and_as_printed() -> None:
    for part, printed in (("table", PRINTED), ("locks", PRINTED), ("curve", WITH_GIL)):
        assert FOUND[part].removeprefix("```text\n").removesuffix("\n```\n") in printed
    assert "free-threaded; " in PRINTED
    assert "with the GIL" in WITH_GIL
    gil = FOUND["gil"].removeprefix("```text\n").removesuffix("\n```\n")
    assert gil.startswith("Not measurable with the GIL")
    assert f"\n\n{gil}\n\n" in WITH_GIL
    answer = FOUND["answer"].splitlines()
    assert answer[0].endswith("| `fpageqlock` | `percpu` | `depot` |")
    assert {line.count("|") for line in answer} == {5}
    assert {row.split()[0] for row in FOUND["picture"].splitlines()[3:-1]} <= {"2", "4", "8", "16", "32", "64"}


def test_what_is_said_of_the_figures_has_figures_that_were_printed() -> None:
    """In the first minute's own words: whatever has a comma, or decimals, perhaps with fewer of them."""
    said = (first_command.ROOT / "docs/start.md").read_text().partition("## What it says")[2].partition("\n## ")[0]
    figures = re.findall(r"\d+(?:[,.]\d+)+", said)
    assert len(figures) > 2
    assert [figure for figure in figures if not re.search(rf"(?<!\d){re.escape(figure)}", PRINTED)] == []


def test_medians_are_shown_without_their_ranges_wherever_these_stand() -> None:
    printed = (
        "verdict.\n\n    fpageqlock   percpu\n-----\n"
        "shared lock taken per op   0.99   0.35\n                           [0.35-0.36]\n"
        "wait share %   36.09 [33.29-37.77]   9.94 [8.23-21.97]\n"
        "\nfpageqlock, 1 run with lockstat\nx\n\ncopies of x\n\nhead\nhead\n"
        "    2   1.9   0.0 % #   1.8   9.5 % #\n\nsaid"
    )
    assert first_command.parts(printed, printed)["answer"].splitlines()[2:] == [
        "| shared lock taken, per page operation | 0.99 | 0.35 |",
        "| waiting for page locks, % of the time | 36.09 | 9.94 |",
        "| work done by 2 CPUs, in virtual time | 1.9 | 1.8 |",
    ]


@pytest.mark.parametrize(
    ("counts", "shown"),
    [([8, 64], [8, 64]), ([8, 32, 64], [8, 32, 64]), ([2, 4, 8, 64], [4, 64]), ([2, 4, 8, 16, 32, 64], [4, 16, 64])],
)
def test_a_picture_has_every_second_row_of_a_long_curve_up_to_the_last(counts: list[int], shown: list[int]) -> None:
    rows = "".join(f"{count:5}   1.9   0.0 % #\n" for count in counts)
    printed = f"    fpageqlock  \n\nfpageqlock, 1 run with lockstat\nx\n\ncopies of x\n\nhead\nhead\n{rows}\nsaid"
    picture = first_command.parts(printed, printed)["picture"].splitlines()
    assert [int(line.split()[0]) for line in picture[3:-1]] == shown
