"""The pages in docs/ and README.md: they say what is there, and lead nowhere that is not."""

import re
from pathlib import Path

import pytest

import uvmfree
import uvmfree.design
from docs import tree
from docs._ext import picture
from uvmfree.measure.record import VERSION

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#[^)]*)?\)")
PICTURE = re.compile(r"^```\{lists\}\n(.*?)^```", re.MULTILINE | re.DOTALL)


def strayed(name: str, text: str) -> list[str]:
    """Return the links of a page to files that do not exist."""
    return [link for link in LINK.findall(text) if link and not (ROOT / name).parent.joinpath(link).exists()]


@pytest.mark.whole
@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files(name: str) -> None:
    assert strayed(name, PAGES[name]) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = "[a](docs/start.md#top), [b](https://netbsd.org/), [c](docs/nowhere.md), [d](#here)"
    assert strayed("README.md", text) == ["docs/nowhere.md"]


def test_readme_fits_three_screens() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 120


def test_the_map_is_that_of_the_package() -> None:
    """Where this fails: ./run python docs/tree.py."""
    assert tree.PAGE.read_text() == tree.page(ROOT / "uvmfree")


def test_the_map_has_each_file_under_its_layer(tmp_path: Path) -> None:
    for name, text in {
        "p/__init__.py": '"""The package."""',
        "p/b.py": '"""A | b.\n\nMore."""',
        "p/a/x.py": "",
        "p/a/__init__.py": '"""The layer a."""',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    said = tree.page(tmp_path / "p").removeprefix(tree.HEAD)
    head = "| file | what it is |\n|---|---|\n"
    assert said == (
        f"\n## p/\n\nThe package.\n\n{head}| `b.py` | A &#124; b. |\n"
        f"\n## p/a/\n\nThe layer a.\n\n{head}| `x.py` | (no docstring) |\n"
    )


def test_every_file_says_what_it_is() -> None:
    assert "(no docstring)" not in tree.PAGE.read_text()


def test_the_api_page_has_every_exported_name() -> None:
    named = set(re.findall(r"^\.\. auto\w+:: uvmfree\.(\w+)$", PAGES["docs/api.md"], re.MULTILINE))
    assert named - {"errors", "design"} == set(uvmfree.__all__) - set(vars(uvmfree.errors))


def test_the_api_page_has_what_a_design_is_written_with() -> None:
    named = set(re.findall(r"^\.\. auto\w+:: uvmfree\.design\.(\w+)$", PAGES["docs/api.md"], re.MULTILINE))
    assert named >= {"Design", "Walked", "GlobalFreelist", "PageList", "shared_lock", "tunable"}
    assert named <= set(uvmfree.design.__all__)
    assert all(
        hasattr(uvmfree.Cpu, name) and f"`{name}`" in PAGES["docs/api.md"] for name in ("take_one", "put_back")
    )


@pytest.mark.whole
@pytest.mark.parametrize("name", sorted(uvmfree.DESIGNS))
def test_every_design_has_a_page_with_a_picture(name: str) -> None:
    text = PAGES[f"docs/designs/{name}.md"]
    (lines,) = PICTURE.findall(text)
    assert picture.parse(lines.splitlines())
    assert re.search(rf"^{name}$", PAGES["docs/designs/index.md"], re.MULTILINE), "not in the list of designs"


def test_every_version_of_a_record_that_is_read_is_told() -> None:
    text = PAGES["docs/records.md"]
    assert f'`"schema": "uvmfree.record", "version": {VERSION}`' in text
    assert [number for number in range(1, VERSION) if f"Version {number} " not in " ".join(text.split())] == []


def test_decisions_are_numbered_and_dated() -> None:
    names = sorted(name for name in PAGES if name.startswith("docs/decisions/0"))
    assert [int(name.split("/")[-1][:4]) for name in names] == list(range(1, len(names) + 1))
    for name in names:
        number = int(name.split("/")[-1][:4])
        assert re.match(rf"# {number}\. \S.*\n\n\*Decided 20\d\d-\d\d-\d\d\.\*\n\n\S", PAGES[name]), name
