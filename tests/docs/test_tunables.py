"""The tables of tunables on the pages of designs: each page asks for its own, made from the dataclass."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from docs._ext.tunable_table import lines
from uvmfree.errors import ParamError
from uvmfree.uvm.designs import REGISTRY

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.whole
@pytest.mark.parametrize("name", REGISTRY)
def test_each_page_has_its_table(name: str) -> None:
    text = (DOCS / "designs" / f"{name}.md").read_text()
    assert re.findall(r"^## Tunables\n\n```\{tunables\}\n(.*)\n```$", text, re.MULTILINE) == [name]
    own = fields(REGISTRY[name].Tunables)
    rows = [line for line in lines(name) if line.startswith("| `")]
    assert len(rows) == len(own)
    for row, each in zip(rows, own, strict=True):
        assert row.startswith(f"| `{each.name}` | ")
        assert each.metadata["why"] in row.replace("\\|", "|")


def test_defaults_have_their_units() -> None:
    assert "| `exchange` | 16 units | " in "\n".join(lines("depot"))
    assert "| `budget` | `None`, or pages | " in "\n".join(lines("depot"))
    assert "| `decay` | `True` | " in "\n".join(lines("linux_pcp"))
    assert "| `search` | `local` | " in "\n".join(lines("percpu"))


def test_the_tunables_of_the_system_that_a_design_goes_by_follow() -> None:
    assert lines("fpageqlock") == ["The design has no tunables of its own."]
    assert "`count_cached`" in lines("magazines")[-1]
    assert "`M`" not in lines("magazines")[-1]


def test_no_such_design() -> None:
    with pytest.raises(ParamError, match="nothing"):
        lines("nothing")
