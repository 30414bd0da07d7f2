"""`uvmfree designs`: what designs there are, and of each its locks, its tunables and its traits."""

from __future__ import annotations

import json
from typing import Any

import click

from uvmfree.cli.terminal import say, width

_KINDS = {"cpu": "one a CPU", "off": "interrupts off", "shared": "shared", "other": "other"}
"""What the kind of a lock (kern/lockrank.py) is to who reads of it for the first time."""


@click.command(short_help="List the designs: their locks, tunables and traits.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print one document.")
def designs(names: tuple[str, ...], as_json: bool) -> None:
    """List the designs, with the locks that each takes, in that order, its own tunables, and what it claims.

    NAME: a design, or the module:Class of one; all by default. A tunable is set by --set DESIGN.TUNABLE=VALUE.
    """
    from uvmfree.param import Param
    from uvmfree.uvm.designs import names as known

    chosen = [_described(Param(design=name)) for name in names or known()]
    if as_json:
        click.echo(json.dumps({"designs": chosen}, indent=1))
        return
    for number, each in enumerate(chosen):
        if number:
            click.echo("")
        say(f"{each['name']}: {each['summary']}")
        for lock in each["locks"]:
            _say("lock", f"{lock['name']} ({_KINDS[lock['kind']]}): {lock['guards']}")
        for one in each["tunables"]:
            _say("tunable", f"{each['name']}.{one['name']}={one['default']} {one['unit']}: {one['why']}")
        _say("traits", ", ".join(f"{claim} {_word(value)}" for claim, value in each["traits"].items()))
    click.echo("\nWhat each trait means: `python -m pydoc uvmfree.Traits`.")


def _say(label: str, text: str) -> None:
    """Print what a design has, behind what that is."""
    from uvmfree.report.text import paragraph

    for line in paragraph(f"  {label:<9}{text}", width(), " " * 11):
        click.echo(line)


def _word(value: Any) -> str:
    """Return a value as a sentence has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, "") else str(value)


def _described(param: Any) -> dict[str, Any]:
    """Return what there is to say of a design, by its docstrings, declarations and traits; ParamError."""
    from dataclasses import asdict, fields

    from uvmfree.uvm.designs import design_for, traits_of

    design = design_for(param)
    traits = asdict(traits_of(param))
    return {
        "name": design.name,
        "summary": design.summary,
        "locks": [
            {"name": rank.name, "kind": rank.kind, "guards": rank.guards, "rule": rank.rule} for rank in design.LOCKS
        ],
        "tunables": [
            {"name": each.name, "default": each.default, **{key: each.metadata[key] for key in ("unit", "why")}}
            for each in fields(design.Tunables)
        ],
        "traits": {
            claim: " ".join(sorted(value)) if isinstance(value, frozenset) else value
            for claim, value in traits.items()
        },
    }
