"""The directive `tunables`: the table of a design's tunables (tunable_table.py) in a page."""

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from tunable_table import lines

from uvmfree.errors import ParamError


class Tunables(Directive):
    """The directive `tunables`; its content is the name of a design."""

    has_content = True

    def run(self) -> list[Any]:
        """Set the table, or report a name that is no design's."""
        try:
            said = lines(" ".join(self.content).strip())
        except ParamError as error:
            raise self.error(str(error)) from None
        node = nodes.Element()
        self.state.nested_parse(StringList(said), self.content_offset, node)
        made: list[Any] = node.children
        return made


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("tunables", Tunables)
    return {"parallel_read_safe": True}
