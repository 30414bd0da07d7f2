"""Bench scripts whose measures are made up, so that what they hold against their bounds can be worked out by hand."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import pytest

from bench.harness import Record

Found = dict[str, tuple[float | None, bool | None]]


class Script:
    """A bench script whose measures are replaced."""

    def __init__(self, name: str, patch: pytest.MonkeyPatch) -> None:
        self.module: Any = import_module(f"bench.{name}")
        self._patch = patch

    def has(self, **stand_ins: Any) -> "Script":
        """Replace what is there under these names."""
        for name, stand_in in stand_ins.items():
            self._patch.setattr(self.module, name, stand_in)
        return self

    def found(self, *args: Any) -> Found:
        """Run it in full; return what was measured, and whether that holds."""
        return said(self.module.bench(*args, False))


def said(records: Sequence[Record]) -> Found:
    found = {record.id: (record.measured, record.holds) for record in records}
    assert len(found) == len(records)
    return {name: (None if value is None else round(value, 9), holds) for name, (value, holds) in found.items()}


Scripts = Callable[[str], Script]
