"""The directive `lists`: a picture of lists and locks (picture.py) in a page."""

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from picture import drawn, parse


class Lists(Directive):
    """The directive `lists`."""

    has_content = True

    def run(self) -> list[Any]:
        """Draw, or report the line that cannot be."""
        try:
            return [nodes.raw("", drawn(parse(list(self.content))), format="html")]
        except ValueError as error:
            raise self.error(str(error)) from None


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("lists", Lists)
    return {"parallel_read_safe": True}
