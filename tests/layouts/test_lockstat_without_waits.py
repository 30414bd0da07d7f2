"""Lock statistics where threads take turns: counts of acquisitions, and no number that is made of waits."""

from tests.layouts.test_lockstat_layout import RECORDS
from uvmfree.layouts.lockstat_layout import LAYOUTS, WITHOUT_WAITS, Selection, document, render

HEAD = [
    "Acquisitions; with the GIL, waits are not measurable.",
    "",
    "  Count          Lock                       Caller",
    "--------- ---------------------- ------------------------------",
]


def test_every_layout_has_something_to_show() -> None:
    assert WITHOUT_WAITS.keys() == LAYOUTS.keys()


def test_counts_stand_in_for_layouts_that_show_waits_alone() -> None:
    """Locks by acquisitions, all callers first, then each; who never waited is there too."""
    for layout in ("netbsd", "perf"):
        assert list(render(layout, RECORDS, 5.0, waits=False)) == [
            *HEAD,
            "     4000 uvm_fpageqlock         <all>",
            "     3000 uvm_fpageqlock         uvm_pagealloc",
            "     1000 uvm_fpageqlock         uvm_pagefree",
            "      200 uvm_cpu[0]             <all>",
            "      100 uvm_cpu[0]             uvm_pagealloc",
            "      100 uvm_cpu[0]             uvm_pglistalloc",
            "      100 uvm_pageout_lock       <all>",
            "      100 uvm_pageout_lock       uvm_wait",
        ]
    assert list(render("netbsd", RECORDS, 5.0, Selection(only_locks=True, locks=("uvm_cpu*",)), waits=False)) == [
        *HEAD,
        "      200 uvm_cpu[0]             <all>",
    ]


def test_linux_keeps_its_columns_and_leaves_those_of_waits_empty() -> None:
    _, note, _, head, _, _, *rows = render("linux", RECORDS, 5.0, waits=False)
    assert note.startswith("*NOTE* bounces are, and with the GIL waits are, not measured (-)")
    columns = head.split()[2:]
    measured = [dict(zip(columns, row.split()[1:], strict=True)) for row in rows]
    assert [row["acquisitions"] for row in measured] == ["4000", "200", "100"]  # no contention points in between
    for row in measured:
        waits = {row[name] for name in columns if name.startswith(("contentions", "waittime"))}
        assert waits == {"-"}
        assert row["holdtime-max"] == "2.00"


def test_a_document_names_the_fields_that_mean_nothing() -> None:
    made = {"percpu": (RECORDS, 1.0)}
    assert document(made)["not_measurable"] == []
    names = ["contended", "wait_ns_total", "wait_ns_max", "wait_hist", "wait_ns_min"]
    assert document(made, waits=False)["not_measurable"] == names
    assert document(made, waits=False)["designs"] == document(made)["designs"]
