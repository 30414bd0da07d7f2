"""Reads a page strictly: every element ends where it should, and what it says can be found."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "br"}


@dataclass
class Element:
    """An element: what is in it, in order, texts and elements."""

    tag: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    inner: list["Element | str"] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list["Element"]:
        """Find elements anywhere within; attributes as in markup.tag()."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        here = [self] if self.tag == tag and wanted.items() <= self.attributes.items() else []
        return here + [
            found for child in self.inner if isinstance(child, Element) for found in child.all(tag, **attributes)
        ]

    def one(self, tag: str, **attributes: str) -> "Element":
        """Find the only such element."""
        (found,) = self.all(tag, **attributes)
        return found

    @property
    def text(self) -> str:
        """All text within."""
        return "".join(child if isinstance(child, str) else child.text for child in self.inner)

    def rows(self) -> list[list[str]]:
        """The rows of a table, with its heading."""
        return [[cell.text for cell in row.inner if isinstance(cell, Element)] for row in self.all("tr")]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.top = Element("")
        self.open = [self.top]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag}: an attribute twice"
        element = Element(tag, dict(attrs))
        self.open[-1].inner.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inner.append(data)


def read(page: str) -> Element:
    """Read a page; AssertionError where an element does not end."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == [reader.top], [element.tag for element in reader.open]
    return reader.top


def plotted(figure: Element) -> dict[str, Any]:
    """The plot of a figure element, as plotly gets it."""
    figures: dict[str, Any] = json.loads(figure.one("script", type="application/json").text)
    return figures
