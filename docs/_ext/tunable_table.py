"""The table of a design's own tunables, from its dataclass, and which of the system's it goes by, in Markdown."""

from dataclasses import fields

from uvmfree.uvm.designs import find


def lines(name: str) -> list[str]:
    """Return the table in Markdown; ParamError if there is no such design."""
    design = find(name)
    own = fields(design.Tunables)
    said = []
    if own:
        said += ["| tunable | default | what it is |", "|---|---|---|"]
        for each in own:
            why = each.metadata["why"].replace("|", "\\|")
            said.append(f"| `{each.name}` | {_value(each.default, each.metadata['unit'])} | {why} |")
    else:
        said.append("The design has no tunables of its own.")
    others = sorted(design.used() - {each.name for each in own})
    if others:
        # A paragraph of its own: beside a table it would be taken for a row.
        said += ["", f"Of the system's tunables it goes by {', '.join(f'`{other}`' for other in others)} as well."]
    return said


def _value(default: object, unit: str) -> str:
    """Return a default with its unit, as far as it has one."""
    if default is None:
        return f"`None`, or {unit}"
    return f"`{default}`" if isinstance(default, bool | str) else f"{default} {unit}"
