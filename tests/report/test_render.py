"""Sections, plots and tables made up by hand, as HTML: what is a heading, what may break, what is folded away."""

import pytest

from uvmfree.report.page.content import Group, Plot, Section, Table
from uvmfree.report.page.render import ROWS_UNFOLDED, Renderer


def html(*groups: Group, number: int = 0, commands: tuple[str, ...] = ()) -> str:
    return Renderer().section(number, Section("n", "Title", ["words"], groups, commands))


def drawn(rows: list[tuple[str, ...]], names: int = 1, *, wide: bool = False) -> str:
    """A table of three columns: what stands in its element."""
    made = html(Group([], tables=[Table("c", ("a", "", "c"), rows, names, wide)]))
    return made.partition("</caption>")[2].partition("</table>")[0]


def plotted(*rows: int) -> Plot:
    """A plot without a drawing, and a table of so many rows, for each number."""
    return Plot(
        "p", "says", [], {}, 10, [Table("c", ("a",), [(str(row),) * 2 for row in range(many)]) for many in rows]
    )


def test_a_section_has_its_number_words_and_commands() -> None:
    made = html(number=3, commands=("a < b", "c"))
    assert made == (
        '<section id="n" tabindex="-1" aria-labelledby="n-title"><h2 id="n-title">3. Title</h2><p>words</p>'
        '<pre tabindex="0"><code>a &lt; b\nc</code></pre></section>'
    )


def test_a_section_without_a_number_and_commands_has_none() -> None:
    assert html().endswith('<h2 id="n-title">Title</h2><p>words</p></section>')


def test_columns_that_name_a_row_stand_to_the_left_and_figures_to_the_right() -> None:
    assert drawn([("x", "y", "1")], 2) == (
        '<thead><tr><th scope="col" class="name">a</th><td class="name"></td><th scope="col" class="number">c</th>'
        '</tr></thead><tbody><tr><th scope="row" class="name">x</th><th scope="row" class="name">y</th>'
        '<td class="number">1</td></tr></tbody>'
    )


def test_of_a_wide_table_the_first_column_alone_heads_a_row_and_dates_do_not_break() -> None:
    made = drawn([("x", "y", "2026-11-28"), ("x", "of 2026-11-28", "1 [2-3]")], 2, wide=True)
    assert made.partition("<tbody>")[2] == (
        '<tr><th scope="row" class="name">x</th><td class="text">y</td><td class="text date">2026-11-28</td></tr>'
        '<tr><th scope="row" class="name">x</th><td class="text">of 2026-11-28</td><td class="text">1 [2-3]</td></tr>'
        "</tbody>"
    )


def test_between_a_value_and_its_range_a_line_may_break() -> None:
    made = drawn([("x", "1 [0-2]", "3")])
    assert '<td class="number"><span>1</span> <span>[0-2]</span></td><td class="number">3</td>' in made


def test_each_heading_begins_a_body_and_spans_all_columns() -> None:
    made = drawn([("one",), ("x", "1", "2"), ("two",), ("y", "3", "4")]).partition("</thead>")[2]
    bodies = made.split("<tbody>")
    assert bodies[0] == ""
    assert [body.partition("</tr>")[0] for body in bodies[1:]] == [
        f'<tr><th scope="rowgroup" class="heading" colspan="3">{each}</th>' for each in ("one", "two")
    ]


def test_rows_before_the_first_heading_have_a_body_of_their_own() -> None:
    made = drawn([("x", "1", "2"), ("one",), ("y", "3", "4")])
    assert made.count("<tbody>") == 2


def test_a_table_whose_columns_have_no_names_has_no_head() -> None:
    made = html(Group([], tables=[Table("c", ("", ""), [("x", "1")], wide=True)]))
    assert made.endswith(
        '<div class="scroll" role="group" tabindex="0" aria-labelledby="table-1"><table class="wide">'
        '<caption id="table-1">c</caption><tbody><tr><th scope="row" class="name">x</th><td class="text">1</td></tr>'
        "</tbody></table></div></section>"
    )


@pytest.mark.parametrize(
    ("rows", "opened"),
    [
        ((ROWS_UNFOLDED,), " open"),
        ((ROWS_UNFOLDED + 1,), ""),
        ((ROWS_UNFOLDED - 1, 1), " open"),
        ((ROWS_UNFOLDED, 1), ""),
    ],
)
def test_figures_of_many_rows_are_folded_away(rows: tuple[int, ...], opened: str) -> None:
    assert f"<details{opened}><summary>Figures</summary>" in html(Group([plotted(*rows)]))


def test_a_plot_with_nothing_to_draw_says_why_in_the_place_of_the_drawing() -> None:
    made = html(Group([plotted(1)]))
    assert '<div class="plots"><div><h3>p</h3><p>says</p><details open>' in made
    assert "<figure" not in made


@pytest.mark.parametrize(("unfolded", "opened"), [(True, " open"), (False, "")])
def test_a_group_with_a_summary_is_folded_as_it_says(unfolded: bool, opened: str) -> None:
    made = html(Group([], "sum", unfolded))
    assert made.endswith(f'<details class="record"{opened}><summary>sum</summary></details></section>')


def test_every_table_of_a_page_has_an_id_of_its_own() -> None:
    one = Table("c", ("a",), [("x",) * 2])
    renderer = Renderer()
    made = [renderer.section(0, Section("n", "t", [], [Group([], tables=[one, one])])) for _ in range(2)]
    assert [f'caption id="table-{n}"' in "".join(made) for n in range(1, 6)] == [True] * 4 + [False]
