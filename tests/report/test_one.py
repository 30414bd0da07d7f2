"""One of anything is one: no "1 CPUs", "1 processors" or "1 repetitions" in what is said of records."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Said
from tests.cli.conftest import run as run
from tests.report.made import lawful, record
from tests.report.reader import Element, read
from tests.report.test_stress_section import stressed
from uvmfree.report.page import whole_page
from uvmfree.report.page.whole_page import build

ONES = re.compile(
    r"(?<![\d.,])1 (\w+ )?(CPUs|processors|repetitions|records|operations|faults|errors|counts|lines)\b"
)


def texts(element: Element) -> Iterator[str]:
    """Yield every text of a page, piece by piece."""
    for child in element.inner:
        if isinstance(child, str):
            yield child
        else:
            yield from texts(child)


@pytest.mark.parametrize("text", ["on 1 CPUs", "1 CPU counts", "of 1 repetitions", "1 random operations"])
def test_what_is_looked_for_is_found(text: str) -> None:
    assert ONES.search(text)
    assert not ONES.search(text.replace("1", "21"))
    assert not ONES.search(text.rstrip("s"))


def test_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("plotly", reason="the extra `report` is not installed")
    monkeypatch.setattr(whole_page, "library", lambda: "")
    records = [record(ncpus=ncpus, repetitions=1, processors=1) for ncpus in (1, 2)]
    other = replace(records[0], host=replace(records[0].host, affinity=(0, 1)))
    run_once = stressed(("one",))
    run_once.stress[0].operations = {"alloc": 1}
    run_once.stress[0].faults = {"storm": {"injected": 1, "survived": 1}}
    page = read(build([(f"{n}.json", one) for n, one in enumerate([*records, other, run_once])]))
    said = "\n".join([*texts(page), *(str(each.attributes.get("aria-label")) for each in page.all("div"))])
    assert "1 processor," in said
    assert "1 random operation on all CPUs at once, 1 fault of which 1 was survived, 1 error." in said
    assert not ONES.findall(said)


def test_commands(run: Callable[..., Said], tmp_path: Path) -> None:
    pytest.importorskip("scipy", reason="the extra `report` is not installed")
    one, other = (lawful({"percpu": (1e6, 0.1, 0.0)}, 1, workload=name) for name in ("pingpong", "handoff"))
    files = [str(tmp_path / "one.json"), str(tmp_path / "other.json")]
    for file, each in zip(files, (one, other), strict=True):
        Path(file).write_text(json.dumps(each.document()))
    few, different = run("usl", files[0]), run("compare", *files)
    assert few.err.startswith("uvmfree: 1 CPU count (1): ")
    assert "pingpong on 1 CPU and handoff on 1 CPU" in different.err
    assert not ONES.findall(few.err + different.err)
