"""The site: it builds without a warning, and a browser has nothing to complain of on any page, at any width.

=> Needs the group `docs`, and half a minute; .ci/run has it:
   ./run --no-default-groups --group docs --group test pytest -m long tests/docs/test_site.py
"""

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.report.chromium import installed, tab

pytest.importorskip("furo", reason="the group `docs` is not installed")
pytest.importorskip("myst_parser", reason="the group `docs` is not installed")
pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
]  # the build takes 10 s, the visit as long, on a machine that has nothing to do

DOCS = Path(__file__).resolve().parents[2] / "docs"
BUILD_S = 200
TELEPHONE_PX, DESK_PX = 400, 1280
LOOK = """
({
  wide: [...document.querySelectorAll("article *")].filter((one) => {
    if (one.getBoundingClientRect().right <= innerWidth) return false;
    for (let at = one; at.tagName != "ARTICLE"; at = at.parentElement)
      if (["auto", "scroll"].includes(getComputedStyle(at).overflowX)) return false;
    return true;
  }).map((one) => one.outerHTML.slice(0, 80)).slice(0, 3),
  paper: getComputedStyle(document.body).backgroundColor,
  ink: getComputedStyle(document.body).color,
  cpus: [...document.querySelectorAll(".lists .cpus")].map(
    (row) => [...row.children].filter((cpu) => cpu.offsetWidth > 0).length),
})
"""


@dataclass
class Seen:
    """What a visit of all pages has seen: of (page, width, scheme) what LOOK says."""

    looks: dict[tuple[str, int, str], dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; a warning is an error."""
    if "long" not in str(request.config.getoption("-m")):
        pytest.skip("takes half a minute; `pytest -m long` does it")
    out = tmp_path_factory.mktemp("site")
    build = [
        sys.executable,
        "-m",
        "sphinx",
        "-E",
        "-W",
        "--keep-going",
        "-q",
        "-d",
        f"{out}.trees",
        str(DOCS),
        str(out),
    ]
    done = subprocess.run(build, capture_output=True, text=True, timeout=BUILD_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


async def visit(site: Path) -> Seen:
    """Open every page on a telephone, and one of them everywhere."""
    seen = Seen()
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    looks = [(page, TELEPHONE_PX, "light") for page in pages]
    looks += [("designs/percpu.html", width, way) for width in (TELEPHONE_PX, DESK_PX) for way in ("light", "dark")]
    async with tab() as page:
        for name, width, scheme in looks:
            await page.show(width=width, scheme=scheme)
            await page.open((site / name).as_uri())
            seen.looks[name, width, scheme] = await page.run(LOOK)
        seen.requests, seen.complaints = page.requests, page.complaints
    return seen


@pytest.fixture(scope="module")
def seen(site: Path) -> Seen:
    """Visit the site once."""
    if installed() is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    pytest.importorskip("choreographer", reason="choreographer, which drives a browser, is not installed")
    return asyncio.run(visit(site))


def test_it_has_a_page_for_each_file(site: Path) -> None:
    wanted = {
        path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md") if "results" not in path.parts
    }
    assert {page for page in wanted if not (site / page).is_file()} == set()


def test_what_is_wider_than_the_window_scrolls(seen: Seen) -> None:
    assert {at: look["wide"] for at, look in seen.looks.items() if look["wide"]} == {}


def test_pages_load_nothing_from_the_network_and_complain_of_nothing(seen: Seen) -> None:
    assert [url for url in seen.requests if not url.startswith(("file:", "data:"))] == []
    assert seen.complaints == []


@pytest.mark.parametrize("width", [TELEPHONE_PX, DESK_PX])
def test_the_reader_chooses_light_or_dark(seen: Seen, width: int) -> None:
    light, dark = (seen.looks["designs/percpu.html", width, scheme] for scheme in ("light", "dark"))
    assert light["paper"] != dark["paper"]
    assert light["ink"] != dark["ink"]


def test_a_picture_has_as_many_cpus_as_fit(seen: Seen) -> None:
    shown = [seen.looks["designs/percpu.html", width, "light"]["cpus"] for width in (TELEPHONE_PX, DESK_PX)]
    assert shown == [[2], [3]]
